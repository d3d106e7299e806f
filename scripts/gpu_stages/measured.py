"""The measured matrices: the tutorial's rows with graphs and launched one by one, and what a profiler sees of them."""
import json
import shutil

from records import cells_of, median_ms, one, outcomes, run_matrix
from stage import Failed, Skipped


def seed(context):
    """The six rows and the batch-256 cell."""
    records = cells_of(run_matrix(context, "seed.toml", device=context.large_device()))
    context.data(cells={record["id"]: {"outcome": record["outcome"], "ms": median_ms(record), "mfu": record.get("mfu"),
                                       "used_peak": record["bytes"].get("used_peak")} for record in records})
    ok = [record for record in records if record["outcome"] == "ok"]
    if not ok:
        raise Failed(f"no cell was measured: {outcomes(records)}")
    best = max(ok, key=lambda record: record["tokens_per_second"])
    ratio = graph_gain(records)
    gain = f"; graphs {ratio:.3f} of eager" if ratio else ""
    return f"{outcomes(records)}; best {best['tokens_per_second']:,.0f} tok/s, {median_ms(best):.1f} ms{gain}"


def graph_gain(records):
    """Step time with graphs over that of the same cell launched operation by operation, of the first pair."""
    for record in records:
        if record["outcome"] == "ok" and record["axes"].get("launch") == "eager":
            twin = {key: value for key, value in record["axes"].items() if key != "launch"}
            graph = next((r for r in records if r["outcome"] == "ok" and r["axes"].get("launch", "graph") == "graph" and
                          all(r["axes"].get(key) == value for key, value in twin.items())), None)
            if graph:
                return median_ms(graph) / median_ms(record)
    return None


def profile(context):
    """Profiled visits: kernels by operation, what stays unattributed, what looking cost."""
    run = run_matrix(context, "profile.toml", device=context.large_device())
    ok = [record for record in cells_of(run) if record["outcome"] == "ok"]
    if not ok:
        raise Failed("no cell was measured")
    overheads = [record["profiler_overhead"] for record in ok if record.get("profiler_overhead") is not None]
    if not overheads:
        raise Failed("no cell has a profiled visit")
    traces = list(run.glob("cells/*/trace.json.gz"))
    context.data(overheads=overheads, traces=len(traces),
                 profiles={record["id"]: record.get("profile") for record in ok})
    worst = max(overheads, key=abs)
    return f"{len(ok)} cells, {len(traces)} traces; profiled steps {100 * worst:+.1f} % at worst{attributed(ok)}"


def attributed(records):
    """The least share of kernel time with an owner, where records tell it."""
    shares = [record["profile"]["attributed_share"] for record in records
              if isinstance(record.get("profile"), dict) and "attributed_share" in record["profile"]]
    return f"; {100 * min(shares):.2f} % of kernel time attributed" if shares else ""


def tuning(context):
    """Matmul algorithms chosen on this card for the shapes of the seed's cells."""
    run = run_matrix(context, "tuning.toml", device=context.large_device())
    path = run / "tuning.json"
    if not path.exists():
        raise Skipped("this program left no tuning.json: algorithms are the library's first choice")
    tuned = json.loads(path.read_text(encoding="utf-8"))
    shutil.copy(path, context.folder / "tuning.json")
    counted = next((len(value) for value in tuned.values() if isinstance(value, (list, dict)) and len(value) > 1), 0)
    record = one(cells_of(run), precision="bf16")
    ms = f"; seed in bf16 {median_ms(record):.1f} ms" if record and median_ms(record) else ""
    return f"{counted} shapes tuned{ms}"
