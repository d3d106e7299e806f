"""What machine this is, and that the program starts on it."""
import platform
import shutil
import subprocess
import sys

from stage import Failed, last_json

PACKAGES = ("torch", "triton", "jax", "jaxlib", "flax", "optax")
QUERY = "name,driver_version,memory.total,compute_cap,clocks.max.sm,clocks.max.mem,power.limit,ecc.mode.current"


def packages_of(context):
    """{package: version} of the Python that the peers run with."""
    code = ("import importlib.metadata as m, json\nfound = {}\n"
            f"for name in {PACKAGES!r}:\n    try:\n        found[name] = m.version(name)\n    except m.PackageNotFoundError:\n"
            "        pass\nprint(json.dumps(found))")
    _, output = context.run([context.setting.peer_python, "-c", code], limit_s=20, may_fail=True)
    try:
        return last_json(output)
    except Failed:
        return {}


def card(context):
    """{query: value} of the first card, {} without nvidia-smi."""
    if shutil.which("nvidia-smi") is None:
        return {}
    status, output = context.run(["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"], limit_s=20, may_fail=True)
    if status != 0 or not output.strip():
        return {}
    return dict(zip(QUERY.split(","), (value.strip() for value in output.splitlines()[0].split(","))))


def run(context):
    seen = card(context)
    if seen:
        context.run(["nvidia-smi", "-q"], limit_s=20, may_fail=True)  # all of it, in log.txt
    packages = packages_of(context)
    tools = {}
    for name in ("nvcc", "ncu", "nsys", "compute-sanitizer"):
        try:
            tools[name] = context.tool(name)
        except Exception:
            continue
    context.data(card=seen, system=platform.platform(), libc=" ".join(platform.libc_ver()), python=sys.version.split()[0],
                 processor=processor(), packages=packages, tools=sorted(tools))
    what = f"{seen['name']}, {seen['driver_version']}" if seen else "no card"
    has = [name for name in ("torch", "jax") if name in packages] + [name.split("-")[-1] for name in sorted(tools) if name != "nvcc"]
    return f"{what}; {' '.join(has) or 'neither peers nor tools'}"


def processor():
    try:
        with open("/proc/cpuinfo") as stream:
            return next((line.split(":")[1].strip() for line in stream if line.startswith("model name")), "unknown")
    except OSError:
        return "unknown"


def build(context):
    """The programs of this clone, by the project's own build script: nothing where they were carried here."""
    if context.setting.carried or context.setting.kept_build:
        return
    folder = context.setting.build
    get = (f"cd '{context.root}'; . scripts/lib/stages.sh; . scripts/lib/packages.sh; . scripts/lib/build.sh; "
           "get_packages build tests; get_nvtx; get_cudnn_frontend; ")
    for_a_card = ("mapfile -t cuda < <(cuda_options); [ ${#cuda[@]} -gt 0 ] || fail 2 'no driver or no CUDA toolkit here: "
                  "scripts/cuda_toolkit, or carry a pack (scripts/gpu --pack)'; "
                  f"build '{folder}' card_tests_object -DSTEPSCOPE_TESTS=ON -DSTEPSCOPE_HOST_SIMT=OFF \"${{cuda[@]}}\" && "
                  f"quietly '{folder}.log' cmake --build '{folder}' --target stepscope stepscope_card_tests -j \"$(nproc)\"")
    without = f"build '{folder}' stepscope_tests -DSTEPSCOPE_TESTS=ON -DSTEPSCOPE_CUDA=OFF"  # and the simulated card with them
    context.run(["bash", "-euo", "pipefail", "-c", get + (without if context.rehearsal else for_a_card)])


def program(context):
    """The program is there, sees the device and takes one step of `tiny`, whose loss is the CPU's."""
    build(context)
    _, devices = context.run([context.program(), "devices"], limit_s=60)
    losses = {}
    for device in ("cpu", context.device):
        _, output = context.run([context.program(), "step", "--preset", "tiny", "--device", device, "--json"], limit_s=60)
        losses[device] = last_json(output)
    here, there = losses["cpu"], losses[context.device]
    difference = abs(there["loss"] / here["loss"] - 1) if there["loss"] else float("nan")
    context.data(devices=devices.splitlines(), device=there["device"], loss={"cpu": here["loss"], "device": there["loss"]})
    if not difference <= 1e-4:  # far above the table of tolerances: the laws hold it to that
        raise Failed(f"a tiny step's loss is {there['loss']} on {context.device}, {here['loss']} on the CPU")
    if there["used_peak"] != there["predicted_peak"]:
        raise Failed(f"a tiny step used {there['used_peak']} bytes, planned were {there['predicted_peak']}")
    return f"tiny: loss {there['loss']:.6f}, {there['used_peak']:,} bytes as planned"


def git_commit(root):
    """"abc1234...", with "+" behind it where files differ from it; "unknown" outside a clone."""
    git = ["git", "-C", str(root)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=20)
        state = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    if commit.returncode != 0:
        return "unknown"
    return commit.stdout.strip() + ("+" if state.stdout.strip() else "")
