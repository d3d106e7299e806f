"""NVIDIA's own tools on our steps: what compute-sanitizer finds, what ncu's counters say of three kernels."""
import csv
import re

from stage import Failed, Skipped, told_by

# Small enough for a tool that slows a step a hundredfold; the second has heads of 64, so that attention is the tensor cores'.
SANITIZED = {"tiny": ["--preset", "tiny"],
             "flash": ["--preset", "seed-small", "--set", "precision=bf16", "--set", "layers=1", "--set", "global_batch=2"]}
CHECKS = ("memcheck", "racecheck", "initcheck")
SUMMARY = re.compile(r"(?:ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: (\d+) hazard)")


def sanitizer(context):
    if context.rehearsal:
        raise Skipped("compute-sanitizer needs a card")
    tool = context.tool("compute-sanitizer")
    found = {}
    for check in CHECKS:
        for name, words in SANITIZED.items():
            part = context.part(f"{check}-{name}", lambda: sanitized(context, tool, check, words))
            found[check] = found.get(check, 0) + part["errors"]
            context.figure(", ".join(f"{check} {errors}" for check, errors in found.items()) + " errors")
    context.data(errors=found)
    if any(found.values()):
        raise Failed("compute-sanitizer found errors; log.txt has them")
    return ", ".join(f"{check} {errors}" for check, errors in found.items()) + " errors"


def sanitized(context, tool, check, words):
    step = [context.program(), "step", *words, "--set", "launch=eager", "--device", context.device]
    status, output = context.run([tool, "--tool", check, "--print-limit", "20", *step], limit_s=90, may_fail=True)
    summary = SUMMARY.search(output)
    if summary is None:
        refused = next((line for line in output.splitlines() if "not supported" in line.lower()), "")
        if refused:
            raise Skipped(f"compute-sanitizer: {refused.strip('= ')}")
        raise Failed(f"{check} {words[1]}: {told_by(status, 90)} and no summary")
    if status != 0 and int(summary[1] or summary[2]) == 0:
        raise Failed(f"{check} {words[1]}: {told_by(status, 90)}")
    return {"errors": int(summary[1] or summary[2])}


METRICS = {"ns": "gpu__time_duration.sum", "read": "dram__bytes_read.sum", "written": "dram__bytes_write.sum",
           "dram": "dram__throughput.avg.pct_of_peak_sustained_elapsed",
           "tensor": "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_elapsed",
           "sm": "sm__throughput.avg.pct_of_peak_sustained_elapsed"}
KERNELS = {"layer_norm_packs": ("norm", "dram"), "flash_attention": ("attention", "tensor"), "adam": ("adam", "dram")}
# NAME_kernel: what a figure calls it, and which share of a peak counts
MODEL = ["--preset", "gpt2-124m", "--set", "precision=bf16", "--set", "global_batch=8", "--set", "sequence=1024", "--set", "launch=eager"]


def counters(context):
    """One launch of each of three kernels of a GPT-2 step under ncu, clocks left alone."""
    if context.rehearsal:
        raise Skipped("ncu needs a card")
    tool = context.tool("ncu")
    rows = {}
    for kernel in KERNELS:
        rows[kernel] = context.part(kernel, lambda: counted(context, tool, kernel))
        context.data(kernels=rows)
        figure = ", ".join(f"{name} {rows[kernel][share]:.0f} % {share}" for kernel, (name, share) in KERNELS.items() if kernel in rows)
        context.figure(figure)
    return figure


def counted(context, tool, kernel):
    step = [context.program(), "step", *MODEL, "--device", context.device]
    command = [tool, "--clock-control", "none", "--csv", "--page", "raw", "--kernel-name", f"regex:^{kernel}_kernel$", "--launch-count", "1",
               "--metrics", ",".join(METRICS.values()), *step]
    status, output = context.run(command, limit_s=120, may_fail=True)
    if "ERR_NVGPUCTRPERM" in output:
        raise Skipped("no permission for counters (ERR_NVGPUCTRPERM): run as root, or NVreg_RestrictProfilingToAdminUsers=0")
    row = read_counters(output)
    if row is None:
        lines = [line for line in output.strip().splitlines() if line.startswith("==")] or [told_by(status, 120)]
        raise Failed(f"ncu gave no counters of {kernel}: {lines[-1].strip('= ')}")
    return row


SCALE = {"byte": 1, "Kbyte": 1e3, "Mbyte": 1e6, "Gbyte": 1e9, "ns": 1, "nsecond": 1, "us": 1e3, "usecond": 1e3, "ms": 1e6,
         "msecond": 1e6, "%": 1}


def read_counters(output):
    """{key: number} of ncu's CSV (a header, units, one launch) in bytes, ns and %; None where it is not there."""
    lines = [line for line in output.splitlines() if line.startswith('"')]
    if len(lines) < 3:
        return None
    header, units, values = list(csv.reader(lines))[:3]
    row = {"kernel": values[header.index("Kernel Name")]}
    for key, metric in METRICS.items():
        if metric not in header:
            return None
        column = header.index(metric)
        if units[column] not in SCALE:
            return None
        row[key] = float(values[column].replace(",", "")) * SCALE[units[column]]
    return row
