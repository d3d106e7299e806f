"""Matrices that a stage runs, and what their records say. A run goes on where it was stopped; another program's run is left beside it."""
import json

from stage import Failed


def run_matrix(context, matrix, *words, device=None, folder="run"):
    """The folder of a run of scripts/gpu_stages/matrices/MATRIX in the time that the stage has left; device: the context's."""
    out = context.folder / f"{folder}-{context.setting.commit[:7]}"
    left = context.left_s() - 10
    if left < 10:
        raise Failed("no time was left for its matrix")
    status, output = context.run([context.program(), "run", context.matrix(matrix), *words, "--device", device or context.device, "--out", out,
                                  "--time-limit", f"{left:.0f}"], may_fail=True)
    context.figure(progress(out))
    if status not in (0, 3):
        lines = output.strip().splitlines() or [""]
        raise Failed(f"stepscope run {matrix}: {'ended at its limit' if status is None else f'status {status}'}: {lines[-1]}")
    return out


def cells_of(run):
    """Records in the matrix's order; those that cannot be read count as failed."""
    records = []
    for path in sorted(run.glob("cells/*/record.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            record["outcome"], record["bytes"], record["position"]
        except (OSError, ValueError, KeyError, TypeError):
            raise Failed(f"{path} is not a record") from None
        records.append(record)
    return sorted(records, key=lambda record: record["position"])


def progress(run):
    count = len(list(run.glob("cells/*/record.json")))
    return f"{count} cells have records"


def outcomes(records):
    """"11 ok, 1 out-of-memory"."""
    counts = {}
    for record in records:
        counts[record["outcome"]] = counts.get(record["outcome"], 0) + 1
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items(), key=lambda pair: pair[0] != "ok"))


def median_ms(record):
    time = record.get("step_time_ns") or {}
    return time["median"] / 1e6 if time.get("median") else None

