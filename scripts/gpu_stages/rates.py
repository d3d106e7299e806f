"""What the card at hand does at most: matmuls of each type and copies, and a card file that says they were measured."""
import datetime
import json

import files
import results
from stage import Failed, Skipped

FIGURES = {"fp32": "fp32_flops", "tf32": "tf32_flops", "bf16": "bf16_flops", "fp16": "fp16_flops"}


def run(context):
    if context.rehearsal:
        raise Skipped("rates are a card's")
    told = context.part("rates", lambda: measured(context))
    best = {dtype: max(row["flops"] for row in told["matmuls"] if row["dtype"] == dtype) for dtype in {r["dtype"] for r in told["matmuls"]}}
    bandwidth = max(row["bytes_per_second"] for row in told["copies"])
    seen = results.read(context.setting.out / "stages" / "machine").data.get("card", {})
    context.data(best=best, bandwidth=bandwidth, **told)
    files.write_text(context.folder / "card.toml", card_file(context, told, best, bandwidth, seen))
    return f"bf16 {best['bf16'] / 1e12:.0f} fp32 {best['fp32'] / 1e12:.0f} TFLOP/s, copy {bandwidth / 1e12:.2f} TB/s"


def measured(context):
    path = context.folder / "rates.json"
    path.unlink(missing_ok=True)
    context.run([context.program("stepscope_card_tests"), "--gtest_filter=CardRates.*"], env={"STEPSCOPE_CARD_RATES": str(path)})
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Failed(f"rates.json: {error}") from None


def card_file(context, told, best, bandwidth, seen):
    """profiles/cards' own keys; context, libraries and clock are not what this measures and stay with the vendor's file."""
    day = datetime.date.today().isoformat()
    source = f"scripts/gpu, {day}, commit {context.setting.commit[:10]}, driver {seen.get('driver_version', 'unknown')}"
    lines = [f"# What one {told['name']} did at most on {day}: rates of its own, not of a data sheet.",
             f'name = "{told["name"]} (measured)"', "", figure("memory_bytes", told["memory_bytes"], source, "as CUDA reports it")]
    for dtype, key in FIGURES.items():
        if dtype in best:
            row = max((row for row in told["matmuls"] if row["dtype"] == dtype), key=lambda row: row["flops"])
            lines.append(figure(key, best[dtype], source, f"best of {row['repeats']} matmuls of {row['m']} x {row['n']} x {row['k']}"))
    lines.append(figure("bandwidth", bandwidth, source, "device-to-device copy, bytes read and written"))
    lines.append(figure("context_bytes", told["context_bytes"], source, "taken before a step begins"))
    lines.append(figure("multiprocessors", told["multiprocessors"], source, "as CUDA reports it"))
    return "\n".join([*lines, ""])


def figure(key, value, source, how):
    number = str(value) if isinstance(value, int) else f"{value:.6g}"  # bytes stay whole
    return f'{key} = {{ value = {number}, basis = "measured", source = "{source}: {how}" }}'
