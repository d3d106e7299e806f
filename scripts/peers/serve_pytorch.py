#!/usr/bin/env python3
"""The step of the seed's model in PyTorch from given weights on a given batch, timed whenever it is asked for (exchange.py).

    scripts/peers/serve_pytorch.py --device cuda --mode compile --precision bf16 --weights W --batch B --layers 12 --heads 8

PyTorch's best: scaled_dot_product_attention, fused Adam, autocast to bf16 with fp32 weights; fp32 without TF32. Dropout is 0, so that its
loss can be held beside stepscope's. A step ends when its loss is known on the host. scripts/peers/same_step runs it.
"""
import argparse
import time

import exchange
import torch
import torch.nn as nn
import torch.nn.functional as F


class Dense(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.empty(outputs, inputs)), nn.Parameter(torch.empty(outputs))

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.empty(width)), nn.Parameter(torch.empty(width))

    def forward(self, x):
        return F.layer_norm(x, x.shape[-1:], self.scale, self.bias, 1e-6)


class Block(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.heads = heads
        self.mlp = nn.ModuleDict({"norm": Norm(hidden), "up": Dense(hidden, 4 * hidden), "down": Dense(4 * hidden, hidden)})
        self.attention = nn.ModuleDict({"norm": Norm(hidden), "qkv": Dense(hidden, 3 * hidden), "out": Dense(hidden, hidden)})

    def forward(self, x):
        mlp, attention = self.mlp, self.attention
        x = x + mlp["down"](F.gelu(mlp["up"](mlp["norm"](x)), approximate="tanh"))
        batch, sequence, width = x.shape
        qkv = attention["qkv"](attention["norm"](x)).view(batch, sequence, self.heads, 3, width // self.heads)
        q, k, v = (qkv[:, :, :, part].transpose(1, 2) for part in range(3))  # each [B, heads, S, head_dim]
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + attention["out"](mixed.transpose(1, 2).reshape(batch, sequence, width))


class Transformer(nn.Module):
    def __init__(self, layers, heads, vocabulary, hidden, positions):
        super().__init__()
        self.embedding, self.positions = nn.Parameter(torch.empty(vocabulary, hidden)), nn.Parameter(torch.empty(positions, hidden))
        self.blocks = nn.ModuleList(Block(hidden, heads) for _ in range(layers))
        self.final_norm, self.head = Norm(hidden), Dense(hidden, vocabulary)

    def forward(self, tokens, targets):
        x = F.embedding(tokens, self.embedding) + self.positions[:tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.final_norm(x))
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten())


class Server:
    def __init__(self, options):
        self.options = options
        torch.set_flush_denormal(True)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        device = torch.device(options.device)
        self.kind = device.type
        if device.index is not None:
            torch.cuda.set_device(device)
        read = exchange.read_safetensors(options.weights)
        self.weights = {name: torch.from_numpy(array.T.copy() if name.endswith(".weight") else array) for name, array in read.items()}
        vocabulary, hidden = self.weights["embedding"].shape
        self.model = Transformer(options.layers, options.heads, vocabulary, hidden, len(self.weights["positions"])).to(options.device)
        self.loss = torch.compile(self.model) if options.mode == "compile" else self.model
        batch = exchange.read_safetensors(options.batch)
        self.tokens, self.targets = (torch.from_numpy(batch[name]).long().to(options.device) for name in ("tokens", "targets"))

    def load(self):
        self.reset()
        self.step()  # compiles
        self.step()
        name = torch.cuda.get_device_name() if self.kind == "cuda" else "CPU"
        return {"peer": f"PyTorch {self.options.mode}", "version": torch.__version__, "device": name,
                "settings": "scaled_dot_product_attention, fused Adam" + (", autocast" if self.options.precision == "bf16" else "")}

    def reset(self):
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(self.weights[name])
        self.adam = torch.optim.Adam(self.model.parameters(), lr=self.options.learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)

    def step(self):
        self.adam.zero_grad(set_to_none=True)
        parts, total = self.options.accumulation, 0.0
        for tokens, targets in zip(self.tokens.chunk(parts), self.targets.chunk(parts)):
            with torch.autocast(self.kind, torch.bfloat16, enabled=self.options.precision == "bf16"):
                loss = self.loss(tokens, targets) / parts
            loss.backward()
            total = total + loss.detach()
        self.adam.step()
        return float(total)

    def visit(self, steps):
        """So many steps from the given weights; times of all but the first."""
        self.reset()
        times, loss = [], 0.0
        for _ in range(steps):
            begin = time.perf_counter()
            loss = self.step()
            times.append((time.perf_counter() - begin) * 1e3)
        memory = torch.cuda.max_memory_allocated() if self.kind == "cuda" else None
        return {"times_ms": times[1:], "loss": loss, "peak_bytes": memory}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    exchange.add_options(parser)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--mode", choices=["eager", "compile"], default="eager")
    options = parser.parse_args()
    exchange.die_with_parent()
    server = Server(options)
    exchange.serve(server.load, server.visit)


if __name__ == "__main__":
    main()
