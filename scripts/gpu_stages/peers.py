"""PyTorch eager, PyTorch compile and JAX on the seed's step, in the minutes in which stepscope takes it (scripts/peers/same_step)."""
from stage import Failed, Skipped, last_json, told_by
from tuning import tuned

SIZES = {"card": ("seed", 4, 3, 10, 120), "rehearsal": ("seed-small", 2, 2, 3, 90)}  # preset, micro-batches, rounds, steps, patience


def run(context):
    require_python(context)
    preset, micro, rounds, steps, patience = SIZES["rehearsal" if context.rehearsal else "card"]
    device = context.device
    if context.rehearsal:  # peers know no simulated card
        device, context.where = "cpu", "CPU: "
    tuning = [] if context.rehearsal else tuned(context, context.matrix("tuning.toml"))
    told = {}
    for precision in ("bf16", "fp32"):
        words = ["--device", device, "--preset", preset, "--accumulation", micro, "--rounds", rounds, "--steps", steps,
                 "--patience", patience, *tuning]
        told[precision] = context.part(f"{preset}-{precision}", lambda: same_step(context, precision, words))
        context.data(results=told)
        context.figure(figure_of(told))
    left_out = [f"{name} ({row['left_out']})" for name, row in told["bf16"]["results"].items() if "left_out" in row]
    if len(left_out) == len(told["bf16"]["results"]) - 1:
        raise Failed(f"no peer ran: {left_out[0]}")
    return figure_of(told)


def require_python(context):
    _, output = context.run([context.setting.peer_python, "-c", "import importlib.util as u\n"
                             "print([n for n in ('numpy', 'torch', 'jax') if u.find_spec(n)])"], limit_s=30, may_fail=True)
    if "'numpy'" not in output or not ("'torch'" in output or "'jax'" in output):
        raise Skipped("neither torch nor jax in this Python (--peer-python)")


def same_step(context, precision, words):
    command = [context.root / "scripts" / "peers" / "same_step", "--stepscope", context.program(), "--python", context.setting.peer_python,
               "--precision", precision, *words, "--json"]
    status, output = context.run(command, may_fail=True)
    if status != 0:
        raise Failed(f"{precision}: {told_by(status, context.left_s())}: {(output.strip().splitlines() or [''])[-1]}")
    return last_json(output)


def figure_of(told):
    """"bf16: 0.71 of eager, 0.93 of compile, 1.02 of jax": stepscope's step over theirs; fp32 is in the data."""
    ratios = [f"{row['ratio']['mean']:.2f} of {'jax' if name == 'JAX jit' else name.split()[-1]}"
              for name, row in told["bf16"]["results"].items() if "ratio" in row]
    return "bf16: " + ", ".join(ratios)
