#!/usr/bin/env python3
"""The training step of a preset in PyTorch eager, timed: the number that stepscope's step is held against.

    scripts/peers/step_pytorch.py                        # seed-small in fp32, one JSON line
    scripts/peers/step_pytorch.py --precision bf16 --threads 1
    scripts/peers/step_pytorch.py --profile              # where the time goes, by operator

Needs torch (any 2.x). The model is the seed's (MLP before attention, pre-norm, untied head), the step is whole: forward, backward, Adam.
PyTorch gets its best settings: each kind of attention and of Adam is tried first and the fastest pair is timed.
"""
import argparse
import collections
import json
import os
import statistics
import sys
import time

# glibc gives large blocks back to the kernel at every free, so an eager step pays page faults for each of its tensors.
# No gain over the default was clear when it was tried; the variables are read when a process starts, hence the second start.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296", "MALLOC_TOP_PAD_": "268435456"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model = parser.add_argument_group("model (defaults: preset seed-small)")
    model.add_argument("--layers", type=int, default=4)
    model.add_argument("--hidden", type=int, default=256)
    model.add_argument("--heads", type=int, default=4)
    model.add_argument("--sequence", type=int, default=128)
    model.add_argument("--vocabulary", type=int, default=256)
    model.add_argument("--global-batch", type=int, default=8)
    model.add_argument("--accumulation", type=int, default=1)
    model.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="bf16: autocast, fp32 weights")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--attention", choices=["best", "sdpa", "materialised"], default="best")
    parser.add_argument("--optimizer", choices=["best", "fused", "foreach", "loop"], default="best")
    parser.add_argument("--malloc", choices=["keep", "default"], default="keep", help="keep: freed blocks stay with the process")
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", action="store_true", help="print a table of operators instead of JSON")
    return parser.parse_args()


def keep_freed_memory():
    """Starts this script again with MALLOC set, once."""
    if all(os.environ.get(name) == value for name, value in MALLOC.items()):
        return
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **MALLOC})


options = arguments()
if options.malloc == "keep":
    keep_freed_memory()

try:  # after the second start: importing torch twice would cost seconds
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError:
    sys.exit(f"{sys.executable} has no torch: python3 -m venv torch-venv && torch-venv/bin/pip install torch numpy")


class MlpBlock(nn.Module):
    def __init__(self, hidden, dropout):
        super().__init__()
        self.norm = nn.LayerNorm(hidden, eps=1e-6)
        self.up = nn.Linear(hidden, 4 * hidden)
        self.down = nn.Linear(4 * hidden, hidden)
        self.dropout = dropout

    def forward(self, x):
        hidden = F.gelu(self.up(self.norm(x)), approximate="tanh")
        return F.dropout(self.down(hidden), self.dropout)


class AttentionBlock(nn.Module):
    def __init__(self, hidden, heads, dropout, kind):
        super().__init__()
        self.norm = nn.LayerNorm(hidden, eps=1e-6)
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.heads, self.dropout, self.kind = heads, dropout, kind

    def forward(self, x, hidden_keys):
        batch, sequence, width = x.shape
        qkv = self.qkv(self.norm(x)).view(batch, sequence, self.heads, 3, width // self.heads)
        q, k, v = (qkv[:, :, :, part].transpose(1, 2) for part in range(3))  # each [B, heads, S, head_dim]
        if self.kind == "sdpa":
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
            scores = scores.float().masked_fill(hidden_keys, torch.finfo(torch.float32).min)
            mixed = torch.softmax(scores, dim=-1).to(v.dtype) @ v
        return F.dropout(self.out(mixed.transpose(1, 2).reshape(batch, sequence, width)), self.dropout)


class Transformer(nn.Module):
    def __init__(self, options, kind):
        super().__init__()
        hidden = options.hidden
        self.embedding = nn.Embedding(options.vocabulary, hidden)
        self.positions = nn.Parameter(torch.randn(options.sequence, hidden) * 0.02)
        nn.init.normal_(self.embedding.weight, std=hidden**-0.5)
        self.mlp = nn.ModuleList(MlpBlock(hidden, options.dropout) for _ in range(options.layers))
        self.attention = nn.ModuleList(
            AttentionBlock(hidden, options.heads, options.dropout, kind) for _ in range(options.layers))
        self.final_norm = nn.LayerNorm(hidden, eps=1e-6)
        self.head = nn.Linear(hidden, options.vocabulary)
        hidden_keys = torch.ones(options.sequence, options.sequence, dtype=torch.bool).triu(1)
        self.register_buffer("hidden_keys", hidden_keys)

    def forward(self, tokens):
        x = self.embedding(tokens) + self.positions
        for mlp, attention in zip(self.mlp, self.attention):
            x = x + mlp(x)
            x = x + attention(x, self.hidden_keys)
        return self.head(self.final_norm(x))


class Training:
    """A model, its optimizer and its data: step() is one optimizer step and returns the loss, left on the machine."""

    def __init__(self, options, kind, optimizer):
        torch.manual_seed(options.seed)
        self.options = options
        self.model = Transformer(options, kind)
        choice = {"fused": {"fused": True}, "foreach": {"foreach": True}, "loop": {"foreach": False}}[optimizer]
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=4e-4, betas=(0.9, 0.999), eps=1e-8, **choice)
        shape = (options.global_batch, options.sequence + 1)
        self.batches = [torch.randint(options.vocabulary, shape) for _ in range(8)]
        self.steps_done = 0

    def step(self):
        rows = self.batches[self.steps_done % len(self.batches)]
        self.steps_done += 1
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for part in rows.chunk(self.options.accumulation):
            loss = self.micro_step(part) / self.options.accumulation
            loss.backward()
            total = total + loss.detach()
        self.optimizer.step()
        return total

    def micro_step(self, rows):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.precision == "bf16"):
            logits = self.model(rows[:, :-1])
        return F.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())


def times_ms(training, warmup, steps):
    for _ in range(warmup):
        training.step()
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        loss = training.step()
        times.append((time.perf_counter() - start) * 1e3)
    return times, float(loss)


def fastest(options):
    """The pair (attention, optimizer) with the least median over a few steps of each."""
    kinds = ["sdpa", "materialised"] if options.attention == "best" else [options.attention]
    optimizers = ["fused", "foreach", "loop"] if options.optimizer == "best" else [options.optimizer]
    pairs = [(kind, optimizer) for kind in kinds for optimizer in optimizers]
    if len(pairs) == 1:
        return pairs[0], {}
    tried = {pair: min(times_ms(Training(options, *pair), 3, 10)[0]) for pair in pairs}
    return min(tried, key=tried.get), {"/".join(pair): round(ms, 2) for pair, ms in tried.items()}


def profile(training, warmup, steps):
    """Own time of each operator and shape a step, from the call at the lowest tenth, so that other load counts little."""
    times_ms(training, warmup, 1)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as seen:
        times_ms(training, 0, steps)
    calls_us = collections.defaultdict(list)
    for event in seen.events():
        shapes = [shape for shape in event.input_shapes if shape]
        calls_us[event.name, str(shapes[:3])].append(event.self_cpu_time_total)
    rows = sorted(((sorted(us)[len(us) // 10] * len(us) / steps / 1e3, len(us) / steps, *key)
                   for key, us in calls_us.items()), reverse=True)
    total = sum(row[0] for row in rows)
    print(f"{'ms a step':>9} {'share':>6} {'calls':>6}  operator, first shapes ({total:.1f} ms in all)")
    for ms, calls, name, shapes in rows[:40]:
        print(f"{ms:9.2f} {ms / total:6.1%} {calls:6.1f}  {name} {shapes}")


def main():
    if options.global_batch % options.accumulation != 0:
        sys.exit(f"--global-batch {options.global_batch} does not divide by --accumulation {options.accumulation}")
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    (kind, optimizer), tried = fastest(options)
    training = Training(options, kind, optimizer)
    if options.profile:
        profile(training, options.warmup, options.steps)
        return
    times, loss = times_ms(training, options.warmup, options.steps)
    quarters = statistics.quantiles(times, n=4)
    tokens = options.global_batch * options.sequence
    print(json.dumps({
        "peer": "pytorch", "version": torch.__version__, "precision": options.precision, "threads": options.threads,
        "attention": kind, "optimizer": optimizer, "malloc": options.malloc, "tried_min_ms": tried,
        "parameters": sum(p.numel() for p in training.model.parameters()),
        "step_time_ms": {"median": round(statistics.median(times), 3), "low": round(quarters[0], 3),
                         "high": round(quarters[2], 3), "least": round(min(times), 3), "steps": len(times)},
        "tokens_per_second": round(tokens / statistics.median(times) * 1e3), "final_loss": round(loss, 6)}))


if __name__ == "__main__":
    main()
