"""The seed's model in plain JAX, written from its description alone, against `stepscope step`: loss, logits, every gradient, and the
weights after three steps of Adam. Used by scripts/golden/parity.

Reference: the model in fp64. JAX's own error in a precision, from the same function, stands beside ours. An error is the norm of a
difference over the norm of what was expected (of weights: of how far they moved); a gradient that is zero but for rounding is held to a
millionth of the largest, and an element of a weight whose gradient is rounding alone is left out, because Adam divides by it.
Which elements dropout drops is handed to both: stepscope's generator, written once more from its description. A softmax in bf16 has its
probabilities rounded to bf16, and gradients see what was rounded; the reference rounds there too, and nowhere else, so fp32 shows fp32's error.

Per block x += mlp(norm(x)), then x += attention(norm(x)); tanh GELU; queries, keys, values packed per head; queries scaled in the compute
type; scores and softmax in fp32; hidden keys get the lowest finite score; statistics of norms, logits and loss in fp32. Dropout twice a
block, behind each branch. Mixed precision: fp32 weights, matmuls and the residual stream in bf16.
"""
import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import load_file, save_file

import stepscope

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_default_matmul_precision", "highest")

MODEL = {"layers": 2, "hidden": 24, "heads": 3, "mlp_hidden": 37, "vocabulary": 29, "max_sequence": 13}
ROWS, SEQUENCE, SEED, STEPS, PEAK_RATE = 4, 11, 5, 3, 0.04
# name, masks beside the file's lengths and mask, rate of dropout, kind of attention, type of the softmax
CASES = [("causal", ["causal"], 0.0, "fused", "fp32"), ("causal, materialised scores", ["causal"], 0.0, "materialised", "fp32"),
         ("padding", ["padding"], 0.0, "fused", "fp32"), ("custom, one mask a row and head", ["custom"], 0.0, "fused", "fp32"),
         ("causal, padding and custom", ["causal", "padding", "custom"], 0.0, "fused", "fp32"),
         ("causal, dropout 0.2", ["causal"], 0.2, "fused", "fp32"),
         ("causal, softmax in bf16", ["causal"], 0.0, "fused", "bf16"),
         ("causal, materialised scores, softmax in bf16", ["causal"], 0.0, "materialised", "bf16"),
         ("causal, padding and custom, softmax in bf16, dropout 0.2", ["causal", "padding", "custom"], 0.2, "fused", "bf16")]
LIMITS = {"fp32": {"loss": 1e-5, "logits": 1e-5, "gradients": 1e-4, "moved": 1e-3}, "bf16": {"loss": 2e-2, "logits": 5e-2, "gradients": 2e-1}}
COLUMNS = ["masks", "precision", "loss", "logits", "largest of gradients", "weights after three steps", "JAX's own loss", "its logits",
           "its gradients", "its weights"]


def random_weights(generator):
    """Names and layout of `stepscope step --weights`; norms and biases are random too."""
    H, F, V = MODEL["hidden"], MODEL["mlp_hidden"], MODEL["vocabulary"]
    shapes = {"embedding": (V, H), "positions": (MODEL["max_sequence"], H), "head.weight": (H, V), "head.bias": (V,),
              "final_norm.scale": (H,), "final_norm.bias": (H,)}
    for layer in range(MODEL["layers"]):
        for block, first, wide, second in (("mlp", "up", F, "down"), ("attention", "qkv", 3 * H, "out")):
            here = f"blocks.{layer}.{block}."
            inner = F if block == "mlp" else H
            shapes |= {here + "norm.scale": (H,), here + "norm.bias": (H,), here + first + ".weight": (H, wide), here + first + ".bias": (wide,),
                       here + second + ".weight": (inner, H), here + second + ".bias": (H,)}
    return {name: (generator.normal(size=shape) * (0.3 if len(shape) == 1 else shape[0] ** -0.5) + name.endswith("scale")).astype(np.float32)
            for name, shape in shapes.items()}


def philox(key, counter):
    """Philox4x32-10 (Salmon et al. 2011) of one counter."""
    for _ in range(10):
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [second >> 32 ^ counter[1] ^ key[0], second & 0xFFFFFFFF, first >> 32 ^ counter[3] ^ key[1], first & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


def kept_elements(rate, step):
    """[2 layers, B, S, H] booleans: site counts the dropouts of the model in their order, token the tokens of the step."""
    H, tokens, sites = MODEL["hidden"], ROWS * SEQUENCE, 2 * MODEL["layers"]
    words = [[[word for block in range((H + 3) // 4) for word in philox([SEED, site], [block, token, step, 0])][:H] for token in range(tokens)]
             for site in range(sites)]
    return (np.array(words, dtype=np.uint64) >= int(rate * 2**32)).reshape(sites, ROWS, SEQUENCE, H)


@jax.custom_vjp
def rounded_softmax(scores):
    """Probabilities rounded to bf16, held in the type of the scores; the gradient of a softmax, by them."""
    return jax.nn.softmax(scores, axis=-1).astype(jnp.bfloat16).astype(scores.dtype)


def softmax_gradient(p, dp):
    return (p * (dp - (p * dp).sum(-1, keepdims=True)),)


rounded_softmax.defvjp(lambda scores: (rounded_softmax(scores),) * 2, softmax_gradient)


def forward(weights, batch, visible, kept, rate, softmax, compute, wide):
    """Logits [B, S, V] in the wide type: fp32, or fp64 for the reference."""
    def norm(x, name):
        x = x.astype(wide)
        mean = x.mean(-1, keepdims=True)
        y = (x - mean) / jnp.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-6)
        return (y * weights[name + ".scale"] + weights[name + ".bias"]).astype(compute)

    def dense(x, name, output=None):
        # Products are summed in the wide type and rounded once, behind the bias.
        y = jnp.matmul(x, weights[name + ".weight"].astype(compute), preferred_element_type=wide)
        return (y + weights[name + ".bias"].astype(compute).astype(wide)).astype(output or compute)

    def dropout(x, site):
        return x if rate == 0 else jnp.where(kept[site], x.astype(wide) / (1 - rate), 0).astype(compute)

    B, S = batch["tokens"].shape
    heads, D = MODEL["heads"], MODEL["hidden"] // MODEL["heads"]
    x = (weights["embedding"][batch["tokens"]] + weights["positions"][:S]).astype(compute)
    for layer in range(MODEL["layers"]):
        mlp, attention = f"blocks.{layer}.mlp.", f"blocks.{layer}.attention."
        h = dense(jax.nn.gelu(dense(norm(x, mlp + "norm"), mlp + "up"), approximate=True), mlp + "down")
        x = x + dropout(h, 2 * layer)
        q, k, v = jnp.split(dense(norm(x, attention + "norm"), attention + "qkv").reshape(B, S, heads, 3 * D), 3, axis=-1)
        scores = jnp.einsum("bqhd,bkhd->bhqk", (q * D**-0.5).astype(compute), k, preferred_element_type=wide)
        scores = jnp.where(visible, scores, jnp.finfo(jnp.float32).min)
        p = rounded_softmax(scores) if softmax == "bf16" else jax.nn.softmax(scores, axis=-1)
        weighted = jnp.einsum("bhqk,bkhd->bqhd", p.astype(compute), v, preferred_element_type=wide)
        x = x + dropout(dense(weighted.astype(compute).reshape(B, S, -1), attention + "out"), 2 * layer + 1)
    return dense(norm(x, "final_norm"), "head", wide)


def visible_keys(masks, batch):
    """[B, heads, S, S], true where a query may see a key: every mask combined by and."""
    S = SEQUENCE
    visible = np.ones((ROWS, MODEL["heads"], S, S), dtype=bool)
    if "causal" in masks:
        visible &= np.tril(np.ones((S, S), dtype=bool))
    if "padding" in masks:
        visible &= (np.arange(S) < batch["lengths"][:, None])[:, None, None, :]
    return visible & batch["mask"].astype(bool) if "custom" in masks else visible


def loss_and_logits(weights, batch, *settings):
    logits = forward(weights, batch, *settings)
    counted = batch["targets"] >= 0
    picked = jnp.take_along_axis(logits, np.maximum(batch["targets"], 0)[..., None], axis=-1)[..., 0]
    losses = jax.nn.logsumexp(logits, axis=-1) - picked
    return jnp.where(counted, losses, 0).sum() / counted.sum(), logits


def trained(weights, batch, visible, rate, softmax, precision):
    """Of the first step loss, logits and gradients; then the weights after all steps, and every step's gradients."""
    wide = jnp.float64 if precision == "fp64" else jnp.float32
    compute = jnp.bfloat16 if precision == "bf16" else wide
    weights = {name: jnp.asarray(value, wide) for name, value in weights.items()}
    step_of = jax.jit(jax.value_and_grad(lambda w, kept: loss_and_logits(w, batch, visible, kept, rate, softmax, compute, wide), has_aux=True))
    mean = {name: jnp.zeros_like(value) for name, value in weights.items()}
    square, results, all_gradients = dict(mean), None, []
    for step in range(STEPS):
        kept = kept_elements(rate, step) if rate else np.zeros(0)
        (loss, logits), gradients = step_of(weights, kept)
        results = results or {"loss": np.asarray(loss), "logits": np.asarray(logits), "gradients": {n: np.asarray(g) for n, g in gradients.items()}}
        all_gradients.append({name: np.asarray(value) for name, value in gradients.items()})
        for name, g in gradients.items():  # Kingma and Ba 2015, algorithm 1
            mean[name] = 0.9 * mean[name] + 0.1 * g
            square[name] = 0.999 * square[name] + 0.001 * g * g
            corrected = mean[name] / (1 - 0.9 ** (step + 1)) / (jnp.sqrt(square[name] / (1 - 0.999 ** (step + 1))) + 1e-8)
            weights[name] = weights[name] - PEAK_RATE * step / 10 * corrected  # the tutorial's warm-up, from 0
    return results | {"updated": {n: np.asarray(w, np.float64) for n, w in weights.items()}, "all": all_gradients}


def ours(case, weights, batch, precision, folder):
    _, masks, rate, attention, softmax = case
    given = {name: value for name, value in batch.items() if name != "mask" or "custom" in masks}
    save_file(given, folder / "batch.safetensors")
    save_file(weights, folder / "weights.safetensors")
    fields = MODEL | {"dropout": rate, "attention": attention, "softmax_precision": softmax, "precision": precision, "seed": SEED,
                      "learning_rate": PEAK_RATE,
                      "mask": str([mask for mask in masks if mask != "custom"]).replace("'", '"')}
    arguments = ["--preset", "seed", "--batch", folder / "batch.safetensors", "--weights", folder / "weights.safetensors"]
    for name, value in fields.items():
        arguments += ["--set", f"{name}={value}"]
    saved = {}
    for steps in (1, STEPS):
        stepscope.step(*arguments, "--steps", steps, "--save", folder / f"{steps}.safetensors")
        saved[steps] = load_file(folder / f"{steps}.safetensors")
    part = lambda tensors, kind: {n.removeprefix(kind): v for n, v in tensors.items() if n.startswith(kind)}  # noqa: E731
    return {"loss": saved[1]["loss"][0], "logits": saved[1]["logits"], "gradients": part(saved[1], "gradient."),
            "updated": part(saved[STEPS], "updated.")}


def errors_of(got, exact, start, noise):
    norm = np.linalg.norm
    moved = {}
    for name, value in exact["updated"].items():
        digits = np.all([np.abs(g[name]) >= noise * np.abs(g[name]).max() for g in exact["all"]], axis=0)
        moved[name] = norm((got["updated"][name].astype(np.float64) - value)[digits]) / max(norm((value - start[name])[digits]), 1e-12)
    worst = max(moved, key=moved.get)
    return {"loss": stepscope.relative(got["loss"], exact["loss"]),
            "logits": norm(got["logits"] - exact["logits"]) / norm(exact["logits"]),
            "gradients": stepscope.largest_error(got["gradients"], exact["gradients"]), "moved": (moved[worst], worst)}


def case_rows(case, folder):
    name, masks, rate, _, softmax = case
    generator = np.random.default_rng(3)
    weights = random_weights(generator)
    batch = {key: generator.integers(0, MODEL["vocabulary"], (ROWS, SEQUENCE), dtype=np.int32) for key in ("tokens", "targets")}
    batch["targets"][generator.random((ROWS, SEQUENCE)) < 0.1] = -1
    batch["mask"] = (generator.random((ROWS, MODEL["heads"], SEQUENCE, SEQUENCE)) < 0.7).astype(np.uint8)
    batch["mask"][..., 0] = 1  # every query sees a key; rows that see none are held by tests/golden
    if "padding" in masks:
        batch["lengths"] = np.array([SEQUENCE, 4, 7, 1], dtype=np.int32)
        batch["targets"][np.arange(SEQUENCE) >= batch["lengths"][:, None]] = -1
    visible = visible_keys(masks, batch)
    exact = trained(weights, batch, visible, rate, softmax, "fp64")
    # Below it a gradient is rounding. Rounded probabilities do not sum to one: what a key's bias then gets is bf16's rounding alone.
    noise = 2**-8 if softmax == "bf16" else 1e-5
    for precision, limits in LIMITS.items():
        mine = errors_of(ours(case, weights, batch, precision, folder), exact, weights, noise)
        own = errors_of(trained(weights, batch, visible, rate, softmax, precision), exact, weights, noise)
        number = lambda of: of[0] if isinstance(of, tuple) else of  # noqa: E731
        good = all(number(mine[key]) <= limit for key, limit in limits.items()) and number(mine["moved"]) <= 2 * number(own["moved"]) + 1e-3
        yield [name, precision, f"{mine['loss']:.1e}", f"{mine['logits']:.1e}", stepscope.largest_text(mine["gradients"]),
               stepscope.largest_text(mine["moved"]), *(f"{number(own[key]):.1e}" for key in ("loss", "logits", "gradients", "moved"))], good


def table(folder):
    """Lines of Markdown, and whether every row is within its limits."""
    rows = [row for case in CASES for row in case_rows(case, stepscope.new_folder(folder))]
    about = " ".join(__doc__.split("\n\n")[1].split())
    return stepscope.table("The seed's model, in JAX", f"Against jax {jax.__version__}, numpy {np.__version__}. {about}", COLUMNS, rows)
