"""Published models at 1,024 tokens a row and 524,288 a step, as llm.c and LLM.Q report them: tokens a second and MFU."""
import json
import math
import statistics
import time

import results
from records import cells_of, outcomes, run_matrix
from stage import Failed, last_json
from tuning import tuned

ROWS, SEQUENCE, MICRO_ROWS = 512, 1024, 16
VISITS, STEPS = 3, 3  # processes, and steps of each after the first
PEAK = 989.4e12  # dense bf16 of H100 and H200 SXM, the one that others' MFU divides by; other cards get none


def stage_of(preset):
    def run(context):
        return model(context, preset)
    return run


def model(context, preset):
    device = context.large_device()
    tuning = tuned(context, *fields(preset, ROWS, ROWS // MICRO_ROWS))
    planned = context.part("plan", lambda: plan(context, preset))
    verified = context.part("verified", lambda: verify(context, preset, device))
    context.figure(f"8 rows: {verified['told']}")
    visits = []
    for number in range(VISITS):
        if number > 0 and context.left_s() < 1.2 * visits[-1]["seconds"]:
            break
        visits.append(context.part(f"visit-{number + 1}", lambda: visit(context, preset, device, tuning)))
        figure = speed(context, planned, visits, verified)
    context.figure(figure)
    if verified["ok"] < verified["cells"]:
        raise Failed(f"not verified: {verified['told']}")
    return figure


def fields(preset, rows, micro_steps):
    values = {"precision": "bf16", "sequence": SEQUENCE, "global_batch": rows, "accumulation": micro_steps, "logits_chunks": 8}
    return ["--preset", preset] + [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def plan(context, preset):
    _, output = context.run([context.program(), "plan", *fields(preset, ROWS, ROWS // MICRO_ROWS), "--json"], limit_s=60)
    record = json.loads(next(line for line in output.splitlines() if '"stepscope.record/' in line))
    axes = record["axes"]
    return {"parameters": record["parameters"], "model_flops": record["flops"]["model"], "layers": axes["layers"],
            "hidden": axes["hidden"]}


def verify(context, preset, device):
    """The same model on 8 rows, in bf16 and in the fp32 that a reference is: losses and gradients within bf16's table."""
    run = run_matrix(context, "verify.toml", "--preset", preset, device=device, folder="verify")
    records = cells_of(run)
    return {"cells": len(records), "ok": sum(record["outcome"] == "ok" for record in records), "told": outcomes(records)}


def visit(context, preset, device, tuning):
    begin = time.monotonic()
    _, output = context.run([context.program(), "step", *fields(preset, ROWS, ROWS // MICRO_ROWS), "--device", device, *tuning,
                             "--steps", STEPS + 1, "--json"])
    told = last_json(output)
    return {"ns": told["step_time_ns"]["median"], "loss": told["loss"], "used": told["used_peak"], "planned": told["predicted_peak"],
            "seconds": time.monotonic() - begin}


def speed(context, planned, visits, verified):
    seconds = math.exp(statistics.mean(math.log(visit["ns"]) for visit in visits)) / 1e9
    tokens_s = ROWS * SEQUENCE / seconds
    reported = (6 * planned["parameters"] + 6 * planned["layers"] * planned["hidden"] * SEQUENCE) * tokens_s  # LLM.Q's formula
    rate = planned["model_flops"] / seconds
    share = {"model_tflops": rate / 1e12, "reported_tflops": reported / 1e12}
    if any(name in card_name(context) for name in ("H100", "H200")):
        share["mfu"] = reported / PEAK
    if best := best_matmul(context):
        share["of_own_matmul"] = rate / best
    spread = max(visit["ns"] for visit in visits) / min(visit["ns"] for visit in visits) - 1
    context.data(visits=visits, tokens_per_second=tokens_s, seconds=seconds, spread=spread, formula="(6 N + 6 L H S) tokens/s", **share)
    fits = "as planned" if all(visit["used"] == visit["planned"] for visit in visits) else "NOT as planned"
    told = f"MFU {100 * share['mfu']:.1f} %" if "mfu" in share else f"{rate / 1e12:.0f} TFLOP/s"
    figure = f"{tokens_s:,.0f} tok/s, {told}, {visits[-1]['used'] / 2**30:.1f} GiB {fits}"
    context.figure(figure)
    return figure


def other_stage(context, name):
    return results.read(context.setting.out / "stages" / name).data


def card_name(context):
    return other_stage(context, "program").get("device", {}).get("name", "")


def best_matmul(context):
    """FLOP/s of bf16 that the calibration stage measured, None before it ran."""
    return other_stage(context, "calibration").get("best", {}).get("bf16")
