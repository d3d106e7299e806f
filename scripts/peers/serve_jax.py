#!/usr/bin/env python3
"""The step of the seed's model in JAX and Flax from given weights on a given batch, timed whenever it is asked for (exchange.py).

    scripts/peers/serve_jax.py --device cuda --precision bf16 --weights W --batch B --layers 12 --heads 8

One jitted function a step: micro-batches in a scan, optax's Adam, parameters donated; in bf16 Dense layers compute in bf16 from fp32
parameters and attention is cuDNN's where a card is; fp32 is the highest precision, not TF32. Dropout is 0. scripts/peers/same_step runs it.
"""
import argparse
import functools
import os
import time

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # others use the card in the same minutes

import exchange
import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax


class Block(nn.Module):
    heads: int
    dtype: object
    attention: str | None

    @nn.compact
    def __call__(self, x):
        dense = functools.partial(nn.Dense, dtype=self.dtype)
        norm = functools.partial(nn.LayerNorm, epsilon=1e-6, dtype=self.dtype)
        hidden = x.shape[-1]
        up = dense(4 * hidden, name="mlp.up")(norm(name="mlp.norm")(x))
        x = x + dense(hidden, name="mlp.down")(nn.gelu(up, approximate=True))
        qkv = dense(3 * hidden, name="attention.qkv")(norm(name="attention.norm")(x))
        q, k, v = jnp.moveaxis(qkv.reshape(*x.shape[:2], self.heads, 3, -1), 3, 0)  # each [B, S, heads, head_dim]
        mixed = jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation=self.attention)
        return x + dense(hidden, name="attention.out")(mixed.reshape(x.shape))


class Transformer(nn.Module):
    layers: int
    heads: int
    vocabulary: int
    hidden: int
    positions: int
    dtype: object
    attention: str | None

    @nn.compact
    def __call__(self, tokens, targets):
        table = nn.Embed(self.vocabulary, self.hidden, dtype=self.dtype, name="embedding")
        places = self.param("positions", nn.initializers.normal(0.02), (self.positions, self.hidden))
        x = table(tokens) + places[:tokens.shape[1]].astype(self.dtype)
        for layer in range(self.layers):
            x = Block(self.heads, self.dtype, self.attention, name=f"blocks.{layer}")(x)
        x = nn.LayerNorm(epsilon=1e-6, dtype=self.dtype, name="final_norm")(x)
        logits = nn.Dense(self.vocabulary, dtype=self.dtype, name="head")(x).astype(jnp.float32)
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()


def flax_parameters(weights):
    """The same weights under Flax's names: a layer's path, then kernel, bias, scale or embedding."""
    tree = {}
    for name, array in weights.items():
        if name == "positions":
            tree["positions"] = array
        elif name == "embedding":
            tree["embedding"] = {"embedding": array}
        else:
            *layers, kind = name.split(".")
            path = [".".join(layers[:2]), ".".join(layers[2:])] if layers[0] == "blocks" else layers
            place = tree
            for part in path:
                place = place.setdefault(part, {})
            place["kernel" if kind == "weight" else kind] = array
    return tree


class Server:
    def __init__(self, options):
        self.options = options
        kind, _, number = options.device.partition(":")
        self.device = jax.devices("cpu" if kind == "cpu" else "gpu")[int(number or 0)]
        if options.precision == "fp32":
            jax.config.update("jax_default_matmul_precision", "highest")
        self.weights = exchange.read_safetensors(options.weights)
        self.batch = exchange.read_safetensors(options.batch)
        vocabulary, hidden = self.weights["embedding"].shape
        narrow = options.precision == "bf16"
        self.attention = "cudnn" if narrow and options.device != "cpu" else None
        self.model = Transformer(options.layers, options.heads, vocabulary, hidden, len(self.weights["positions"]),
                                 jnp.bfloat16 if narrow else jnp.float32, self.attention)
        self.adam = optax.adam(options.learning_rate, b1=0.9, b2=0.999, eps=1e-8)
        self.step = jax.jit(self.one_step, donate_argnums=(0, 1))

    def one_step(self, parameters, moments, tokens, targets):
        def micro(carried, rows):
            loss, gradients = jax.value_and_grad(lambda p: self.model.apply({"params": p}, *rows))(parameters)
            total, summed = carried
            return (total + loss, jax.tree.map(jnp.add, summed, gradients)), None
        parts = self.options.accumulation
        rows = tuple(part.reshape(parts, -1, part.shape[-1]) for part in (tokens, targets))
        (loss, gradients), _ = jax.lax.scan(micro, (0.0, jax.tree.map(jnp.zeros_like, parameters)), rows)
        updates, moments = self.adam.update(jax.tree.map(lambda g: g / parts, gradients), moments, parameters)
        return optax.apply_updates(parameters, updates), moments, loss / parts

    def reset(self):
        with jax.default_device(self.device):
            self.parameters = jax.tree.map(jnp.array, flax_parameters(self.weights))
            self.moments = self.adam.init(self.parameters)
            self.rows = tuple(jnp.asarray(self.batch[name].astype(np.int32)) for name in ("tokens", "targets"))

    def visit(self, steps):
        """So many steps from the given weights; times of all but the first."""
        self.reset()
        times, loss = [], 0.0
        for _ in range(steps):
            begin = time.perf_counter()
            self.parameters, self.moments, loss = self.step(self.parameters, self.moments, *self.rows)
            loss = float(loss)
            times.append((time.perf_counter() - begin) * 1e3)
        memory = (self.device.memory_stats() or {}).get("peak_bytes_in_use")
        return {"times_ms": times[1:], "loss": loss, "peak_bytes": memory}

    def load(self):
        self.visit(2)  # compiles
        return {"peer": "JAX jit", "version": f"{jax.__version__}, Flax {flax.__version__}", "device": self.device.device_kind,
                "settings": f"dot_product_attention {self.attention or 'by XLA'}, optax.adam, donated parameters"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    exchange.add_options(parser)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    exchange.die_with_parent()
    server = Server(options)
    exchange.serve(server.load, server.visit)


if __name__ == "__main__":
    main()
