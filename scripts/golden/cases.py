"""The golden cases: small models, each hard for one reason. A case is made from its name alone, so it never changes by accident."""
import zlib

import numpy as np

IGNORED = -1


class Case:
    """One model and one batch. `model` and `training` hold fields for `stepscope step --set`, `batch` and `weights` numpy arrays."""

    def __init__(self, name, why, sequence, batch, mask=("causal",), steps=0, training=None, **model):
        self.name, self.why, self.sequence, self.batch_size, self.steps = name, why, sequence, batch, steps
        self.training = training or {}
        self.model = {"layers": 2, **model, "mask": list(mask)}
        self.random = np.random.default_rng(zlib.crc32(name.encode()))
        self.weights = self._usual_weights()
        self.batch = self._usual_batch()

    def normal(self, shape, mean=0.0, deviation=1.0):
        return (mean + deviation * self.random.standard_normal(shape)).astype(np.float32)

    def _usual_weights(self):
        """As the model starts, but with biases and norms that are not 0 and 1: a forgotten one must show."""
        m = self.model
        hidden, inner = m["hidden"], m["mlp_hidden"]
        head_dim, kv_heads = m.get("head_dim", hidden // m["heads"]), m.get("kv_heads", m["heads"])
        weights = {"embedding": self.normal((m["vocabulary"], hidden), deviation=0.6)}
        if m.get("positions") != "rotary":
            weights["positions"] = self.normal((m["max_sequence"], hidden), deviation=0.3)

        def norm(name, width=hidden, bias=m.get("norm") != "rms"):
            weights[name + ".scale"] = self.normal((width,), mean=1, deviation=0.2)
            if bias:
                weights[name + ".bias"] = self.normal((width,), deviation=0.1)

        def dense(name, inputs, outputs, bias):
            weights[name + ".weight"] = self.normal((inputs, outputs), deviation=inputs**-0.5)
            if m.get(bias, True):
                weights[name + ".bias"] = self.normal((outputs,), deviation=0.1)

        for layer in range(m["layers"]):
            mlp, attention = f"blocks.{layer}.mlp", f"blocks.{layer}.attention"
            norm(f"{mlp}.norm")
            if m.get("activation") == "swiglu":
                dense(f"{mlp}.gate", hidden, inner, "mlp_bias")
            dense(f"{mlp}.up", hidden, inner, "mlp_bias")
            dense(f"{mlp}.down", inner, hidden, "mlp_bias")
            norm(f"{attention}.norm")
            dense(f"{attention}.qkv", hidden, (m["heads"] + 2 * kv_heads) * head_dim, "qkv_bias")
            if m.get("qk_norm"):
                norm(f"{attention}.q_norm", head_dim, bias=False)
                norm(f"{attention}.k_norm", head_dim, bias=False)
            dense(f"{attention}.out", m["heads"] * head_dim, hidden, "out_bias")
        norm("final_norm")
        if not m.get("tied_head"):
            dense("head", hidden, m["vocabulary"], "head_bias")
        return weights

    def _usual_batch(self):
        shape = (self.batch_size, self.sequence)
        return {name: self.random.integers(self.model["vocabulary"], size=shape, dtype=np.int32)
                for name in ("tokens", "targets")}

    def ignore_targets(self, share):
        self.batch["targets"][self.random.random(self.batch["targets"].shape) < share] = IGNORED

    def draw_norms_and_biases(self):
        for name, value in self.weights.items():
            if name.endswith(".scale"):
                self.weights[name] = self.normal(value.shape, mean=0.3, deviation=1)
            elif name.endswith(".bias"):
                self.weights[name] = self.normal(value.shape, deviation=0.7)

    def scale_queries_and_keys(self, factor):
        """Multiplies their weights and leaves the values' alone: scores grow by factor squared."""
        hidden, heads = self.model["hidden"], self.model["heads"]
        for layer in range(self.model["layers"]):
            qkv = self.weights[f"blocks.{layer}.attention.qkv.weight"].reshape(hidden, heads, 3, hidden // heads)
            qkv[:, :, :2] *= np.float32(factor)


def peaked_softmax():
    case = Case("peaked_softmax", "scores up to 46 apart: in a quarter of the rows one key has more than 0.99 of the weight",
                sequence=12, batch=2, hidden=16, heads=2, mlp_hidden=24, vocabulary=23, max_sequence=12)
    case.scale_queries_and_keys(3)
    return case


def random_norms():
    case = Case("random_norms", "norm scales of both signs, large biases everywhere, S below max_sequence, ignored targets, odd widths",
                sequence=9, batch=3, hidden=15, heads=3, mlp_hidden=31, vocabulary=17, max_sequence=14)
    case.draw_norms_and_biases()
    case.ignore_targets(0.3)
    return case


def padding():
    case = Case("padding", "lengths 13, 1, 6 and 0: keys past a length are hidden, targets there are ignored though the file names some",
                sequence=13, batch=4, mask=("causal", "padding"), layers=1, hidden=18, heads=3, mlp_hidden=25,
                vocabulary=29, max_sequence=16)
    case.batch["lengths"] = np.array([13, 1, 6, 0], dtype=np.int32)
    case.ignore_targets(0.1)
    return case


def custom_mask():
    case = Case("custom_mask", "a mask for each sequence and head, combined with causal; some rows see no key, one sees one",
                sequence=10, batch=2, layers=2, hidden=12, heads=2, mlp_hidden=20, vocabulary=19, max_sequence=11)
    mask = (case.random.random((2, 2, 10, 10)) < 0.6).astype(np.uint8)
    mask[0, 1, 4] = 0                     # nothing visible to this head's row
    mask[1, :, 7] = 0                     # nor to any head of this row
    mask[1, 0, 8] = np.arange(10) == 3    # a single key
    case.batch["mask"] = mask
    return case


def shared_mask():
    case = Case("shared_mask", "one [1, 1, S, S] mask without causal, combined with lengths: keys after the query are visible",
                sequence=8, batch=3, mask=("padding",), layers=1, hidden=8, heads=1, mlp_hidden=12, vocabulary=11,
                max_sequence=8)
    case.batch["mask"] = (case.random.random((1, 1, 8, 8)) < 0.7).astype(np.uint8)
    case.batch["lengths"] = np.array([8, 5, 2], dtype=np.int32)
    return case


def adam_steps():
    return Case("adam_steps", "three steps of Adam on one batch with the tutorial's learning rates 0, 4e-5, 8e-5",
                sequence=7, batch=2, steps=3, layers=1, hidden=16, heads=4, mlp_hidden=24, vocabulary=13, max_sequence=7)


GPT2 = {"block_order": "attention-first", "tied_head": True, "head_bias": False, "norm_epsilon": 1e-5}


def gpt2():
    case = Case("gpt2", "GPT-2: attention first, the embedding as head, epsilon 1e-5; odd widths, S below max_sequence, lengths, "
                "ignored targets", sequence=9, batch=3, mask=("causal", "padding"), **GPT2, layers=2, hidden=10, heads=2,
                mlp_hidden=17, vocabulary=21, max_sequence=12)
    case.draw_norms_and_biases()
    # Sent through small features, the epsilon of a norm is felt: 1e-6 in its place would be off by far more than the tolerance.
    case.weights["embedding"] *= np.float32(0.05)
    case.weights["positions"] *= np.float32(0.05)
    case.batch["lengths"] = np.array([9, 1, 6], dtype=np.int32)
    case.ignore_targets(0.2)
    return case


def adamw_steps():
    return Case("adamw_steps", "three steps of torch.optim.AdamW on GPT-2's layers: Dense matrices decay, the tied embedding does not",
                sequence=6, batch=2, steps=3, training={"optimizer": "adamw", "weight_decay": 0.5, "beta2": 0.95}, **GPT2,
                layers=1, hidden=8, heads=2, mlp_hidden=12, vocabulary=13, max_sequence=7)


LLAMA = {"block_order": "attention-first", "norm": "rms", "activation": "swiglu", "positions": "rotary", "head_bias": False,
         "qkv_bias": False, "out_bias": False, "mlp_bias": False}


def llama():
    case = Case("llama", "Llama 3.1: two queries to a key, gated MLP, one wavelength as it is, one between, one stretched; an untied head, "
                "epsilon 1e-5, heads wider than hidden, lengths", sequence=11, batch=3, mask=("causal", "padding"), **LLAMA, layers=1,
                hidden=10, heads=4, kv_heads=2, head_dim=6, mlp_hidden=15, vocabulary=17, max_sequence=14, norm_epsilon=1e-5,
                rope_theta=100.0, rope_scaling="llama3", rope_factor=8.0, rope_low_frequency=1.0, rope_high_frequency=4.0,
                rope_original_sequence=40)
    case.draw_norms_and_biases()
    case.weights["embedding"] *= np.float32(0.05)  # as for GPT-2: so that epsilon is felt
    case.batch["lengths"] = np.array([11, 1, 6], dtype=np.int32)
    return case


def qwen3():
    model = {**LLAMA, "qkv_bias": True}
    case = Case("qwen3", "Qwen3 with Qwen2's biases: norms of queries and keys, three queries to one key, a tied head, epsilon 1e-6; odd "
                "widths, S below max_sequence, ignored targets", sequence=9, batch=2, **model, layers=2, hidden=7, heads=3, kv_heads=1,
                head_dim=4, mlp_hidden=13, vocabulary=19, max_sequence=12, norm_epsilon=1e-6, tied_head=True, qk_norm=True,
                rope_theta=1000.0)
    case.draw_norms_and_biases()
    case.ignore_targets(0.2)
    return case


CASES = [peaked_softmax, random_norms, padding, custom_mask, shared_mask, adam_steps, gpt2, adamw_steps, llama, qwen3]
