"""The measured matrices: the tutorial's rows with graphs and launched one by one, and what a profiler sees of them."""
import json

from records import cells_of, median_ms, outcomes, run_matrix
from stage import Failed


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
    gain = f"; graphs {ratio:.3f} eager" if ratio else ""
    return f"{outcomes(records)}; best {best['tokens_per_second']:,.0f} tok/s{gain}"


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
    accounts = device_accounts(run)
    context.data(overheads=overheads, traces=len(traces), device=accounts)
    worst = max(overheads, key=abs)
    return f"looking costs {100 * worst:+.1f} % at worst{attributed(accounts)}"


def device_accounts(run):
    """Of each profiled visit: its cell, how times were come by, the card's time, what of it has an owner, and its share of the steps."""
    accounts = []
    for path in sorted(run.glob("cells/*/visit-*.json")):
        try:
            visit = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise Failed(f"{path} is not a visit") from None
        profiler = visit.get("profiler") or {}
        if profiler.get("device_ns"):
            accounts.append({"cell": path.parent.name, "method": profiler.get("method"), "device_ns": profiler["device_ns"],
                             "operations_ns": profiler["operations_ns"], "remainders": profiler.get("remainders"),
                             "device_of_steps": profiler["device_ns"] / sum(visit["step_time_ns"])})
    return accounts


def attributed(accounts):
    """The least share of the card's time that has an operation to own it, where visits tell it."""
    shares = [account["operations_ns"] / account["device_ns"] for account in accounts]
    return f"; {100 * min(shares):.2f} % owned" if shares else ""
