"""The stages of scripts/gpu, most valuable first: what is wrong must show before what is fast."""
import checks
import machine
import measured
import models
import nvidia_tools
import peers
import rates
import tuning
from runner import Stage

PROGRAM = ("program",)

STAGES = [
    Stage("machine", "card, driver, peers and tools that are here", 40, 5, machine.run, every_call=True),
    Stage("program", "built or carried, and a tiny step on the device", 420, 10, machine.program, every_call=True),
    Stage("operations", "every operation beside the CPU machine", 180, 20, checks.operations, PROGRAM),
    Stage("laws", "whole steps and mixes: same step, bytes as planned", 180, 30, checks.laws, PROGRAM),
    Stage("sanitizer", "compute-sanitizer on small steps", 200, 30, nvidia_tools.sanitizer, PROGRAM),
    Stage("tuning", "matmul algorithms for the seed's shapes", 90, 20, tuning.run, PROGRAM),
    Stage("calibration", "matmul and copy rates of this card", 60, 15, rates.run, PROGRAM),
    Stage("seed", "the tutorial's rows, graphs and eager", 300, 60, measured.seed, PROGRAM),
    Stage("profile", "profiled visits: kernels by operation, overhead", 150, 40, measured.profile, PROGRAM),
    Stage("peers", "PyTorch and JAX on the same step", 300, 60, peers.run, PROGRAM),
    Stage("gpt2-124m", "524,288 tokens a step", 120, 40, models.stage_of("gpt2-124m"), PROGRAM),
    Stage("qwen2.5-0.5b", "524,288 tokens a step", 150, 50, models.stage_of("qwen2.5-0.5b"), PROGRAM),
    Stage("gpt2-1558m", "524,288 tokens a step", 240, 70, models.stage_of("gpt2-1558m"), PROGRAM),
    Stage("qwen2.5-1.5b", "524,288 tokens a step", 240, 70, models.stage_of("qwen2.5-1.5b"), PROGRAM),
    Stage("counters", "ncu on three kernels", 180, 30, nvidia_tools.counters, PROGRAM),
]
