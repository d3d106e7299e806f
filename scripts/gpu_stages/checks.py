"""Is what the card computes right? Every operation beside the CPU machine, whole steps, matrices whose cells are held to one another."""
import google_test
from records import cells_of, run_matrix
from stage import Failed

# A step's executor is a law of whole steps; all else is of single operations.
STEPS = "CudaExecutor*"


def test_program(context):
    """The tests of the CUDA machine: on the card, else the same ones on fibers with the stand-in for CUDA's runtime."""
    return context.program("stepscope_tests" if context.rehearsal else "stepscope_card_tests")


SUITES = "*Cuda*:*OnCard*:*FlashAttention*:MatmulBatch*"


def operations(context):
    tests = google_test.Tests(context, test_program(context), f"{SUITES}-{STEPS}")
    return verdict(context, tests)


def verdict(context, tests):
    tests.run()
    counts, failed = tests.counts(), tests.failed()
    context.data(counts=counts, failed=failed)
    figure = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    context.figure(figure)
    if failed:
        raise Failed(f"{len(failed)} not passed, {failed[0]}")
    if not counts.get("passed"):
        raise Failed("no test passed")
    return figure


def laws(context):
    """Whole steps against the CPU's, then a matrix: every mix has the reference's loss and gradients and uses what was planned."""
    steps = verdict(context, google_test.Tests(context, test_program(context), STEPS))
    run = run_matrix(context, "laws.toml")
    records = cells_of(run)
    ok = [record for record in records if record["outcome"] == "ok"]
    planned = [record for record in ok if record["bytes"]["used_peak"] == record["bytes"]["predicted_peak"]]
    untold = ("unsupported",) if context.device == "cpu" else ()  # a processor launches no graphs
    wrong = [f"{record['id']}: {record['outcome']}" for record in records if record["outcome"] not in ("ok", *untold)]
    context.data(cells=len(records), ok=len(ok), used_as_planned=len(planned), wrong=wrong)
    figure = f"steps {steps}; cells {len(ok)}/{len(records)}, {len(planned)} as planned"
    context.figure(figure)
    if wrong or len(planned) != len(ok):
        raise Failed(wrong[0] if wrong else "bytes used are not those planned")
    return figure
