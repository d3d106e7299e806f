"""stepscope against transformers: random-weight models of every architecture that it reads, their loss and every gradient through
`stepscope step --hf`, and an export loaded back. Used by scripts/golden/parity.

Reference: transformers in fp64 where its modules allow it (rms norms and wavelengths are fp32 there), scaled-dot-product attention,
eval mode. Its own error in a precision, from the same weights under torch.autocast, stands beside ours. An error is the norm of a
difference over the norm of what was expected; a gradient that is zero but for rounding is held to a millionth of the largest.
"""
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import numpy as np
import safetensors
import torch
import transformers
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, Qwen2Config, Qwen3Config

import stepscope

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

LLAMA3 = {"rope_type": "llama3", "rope_theta": 700.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 24}
PLAIN = {"rope_type": "default", "rope_theta": 300.0}
ROTARY = {"vocab_size": 37, "hidden_size": 60, "intermediate_size": 29, "num_hidden_layers": 3, "num_attention_heads": 6,
          "max_position_embeddings": 48, "rope_parameters": PLAIN}
GPT2 = {"vocab_size": 37, "n_positions": 19, "n_embd": 30, "n_layer": 3, "n_head": 5, "resid_pdrop": 0, "embd_pdrop": 0,
        "attn_pdrop": 0}

# name, config, type that the weights are stored in, size of a file
CASES = [
    ("GPT2LMHeadModel", GPT2Config(**GPT2, n_inner=17), "float32", None),
    ("GPT2LMHeadModel, untied, bf16, several files", GPT2Config(**GPT2, tie_word_embeddings=False), "bfloat16", "8KB"),
    ("LlamaForCausalLM, grouped keys", LlamaConfig(**ROTARY, num_key_value_heads=2), "float32", None),
    ("LlamaForCausalLM, Llama-3 wavelengths, tied, several files",
     LlamaConfig(**{**ROTARY, "rope_parameters": LLAMA3}, num_key_value_heads=3, tie_word_embeddings=True), "float32", "20KB"),
    ("LlamaForCausalLM, every bias, one key head, wide heads, fp16",
     LlamaConfig(**ROTARY, num_key_value_heads=1, head_dim=14, attention_bias=True, mlp_bias=True), "float16", None),
    ("Qwen2ForCausalLM, tied", Qwen2Config(**ROTARY, num_key_value_heads=2, tie_word_embeddings=True), "float32",
     None),
    ("Qwen2ForCausalLM, untied, bf16", Qwen2Config(**ROTARY, num_key_value_heads=6), "bfloat16", None),
    ("Qwen3ForCausalLM, wide heads", Qwen3Config(**ROTARY, num_key_value_heads=2, head_dim=14), "float32", None),
    ("Qwen3ForCausalLM, narrow heads, biases, tied",
     Qwen3Config(**ROTARY, num_key_value_heads=3, head_dim=4, attention_bias=True, tie_word_embeddings=True), "float32", None),
]
ROWS, SEQUENCE = 3, 17
COLUMNS = ["model", "precision", "loss", "largest of gradients", "transformers' own loss", "its gradients", "loss of the export, loaded back"]
LIMITS = {"fp32": (1e-5, 1e-4), "bf16": (2e-2, 2e-1)}  # of the loss, of a gradient


def random_model(config, seed):
    """Every parameter drawn anew: transformers begins with norms of one and biases of zero, which would hide a mistake in them."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.normal_(0.0 if name.endswith("bias") else 1.0, 0.3)
            else:
                parameter.normal_(0.0, parameter.shape[-1] ** -0.5)
    return model


def random_batch(vocabulary, seed):
    generator = np.random.default_rng(seed)
    tokens = generator.integers(0, vocabulary, (ROWS, SEQUENCE), dtype=np.int32)
    targets = generator.integers(0, vocabulary, (ROWS, SEQUENCE), dtype=np.int32)
    targets[generator.random(targets.shape) < 0.1] = -1
    return {"tokens": tokens, "targets": targets}


def results(folder, batch, precision="fp64"):
    """Loss, logits and gradients by their names, of what transformers loads from the folder."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64 if precision == "fp64" else torch.float32).eval()
    tokens, targets = (torch.from_numpy(batch[name]).long() for name in ("tokens", "targets"))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        logits = model(tokens).logits
    loss = torch.nn.functional.cross_entropy(logits.to(torch.float64).flatten(0, 1), targets.flatten(), ignore_index=-1)
    loss.backward()
    return loss.item(), {name: parameter.grad.double().numpy() for name, parameter in model.named_parameters()}, model.config


def our_gradients(theirs, config):
    """Their gradients in our names: matrices input-major, queries, keys and values packed key head by key head."""
    gpt2 = config.model_type == "gpt2"
    heads = config.num_attention_heads
    key_heads = heads if gpt2 else config.num_key_value_heads
    ours = {}

    def matrix(name):
        value = theirs[name]
        return value.T if value.ndim == 2 and not gpt2 else value

    def packed(query, key, value):
        """[..., features] each; the features of a key head's queries, of the key, of the value, one after the other."""
        rows = query.shape[:-1]
        groups = [part.reshape(*rows, key_heads, -1) for part in (query, key, value)]
        return np.concatenate(groups, axis=-1).reshape(*rows, -1)

    outer, layers = ("transformer.", "h") if gpt2 else ("model.", "layers")
    ours["embedding"] = theirs[outer + ("wte" if gpt2 else "embed_tokens") + ".weight"]
    if gpt2:
        ours["positions"] = theirs["transformer.wpe.weight"]
    if "lm_head.weight" in theirs:
        ours["head.weight"] = theirs["lm_head.weight"].T
    names = ({"attention.norm": "ln_1", "attention.out": "attn.c_proj", "mlp.norm": "ln_2", "mlp.up": "mlp.c_fc", "mlp.down": "mlp.c_proj"}
             if gpt2 else
             {"attention.norm": "input_layernorm", "attention.out": "self_attn.o_proj", "attention.q_norm": "self_attn.q_norm",
              "attention.k_norm": "self_attn.k_norm", "mlp.norm": "post_attention_layernorm", "mlp.gate": "mlp.gate_proj",
              "mlp.up": "mlp.up_proj", "mlp.down": "mlp.down_proj"})
    for layer in range(config.num_hidden_layers):
        here, there = f"blocks.{layer}.", f"{outer}{layers}.{layer}."
        for our_name, their_name in names.items():
            for kind in ("weight", "bias"):
                if there + their_name + "." + kind in theirs:
                    our_kind = "scale" if kind == "weight" and "norm" in our_name else kind
                    ours[f"{here}{our_name}.{our_kind}"] = matrix(f"{there}{their_name}.{kind}")
        for kind in ("weight", "bias"):
            if gpt2:
                parts = np.split(theirs[f"{there}attn.c_attn.{kind}"], 3, axis=-1)
            elif f"{there}self_attn.q_proj.{kind}" in theirs:
                parts = [matrix(f"{there}self_attn.{part}_proj.{kind}") for part in "qkv"]
            else:
                continue
            ours[f"{here}attention.qkv.{kind}"] = packed(*parts)
    final = outer + ("ln_f" if gpt2 else "norm")
    ours["final_norm.scale"] = theirs[final + ".weight"]
    if gpt2:
        ours["final_norm.bias"] = theirs[final + ".bias"]
    return ours


def case_rows(number, case, folder):
    name, config, stored, shard = case
    batch = random_batch(config.vocab_size, 100 + number)
    model = random_model(config, number).to(getattr(torch, stored))
    model.save_pretrained(folder / "theirs", **({"max_shard_size": shard} if shard else {}))
    save_file(batch, folder / "batch.safetensors")
    loss, gradients, loaded = results(folder / "theirs", batch)
    expected = our_gradients(gradients, loaded)
    for precision in LIMITS:
        saved, exported = folder / f"{precision}.safetensors", folder / f"exported-{precision}"
        stepscope.step("--hf", folder / "theirs", "--batch", folder / "batch.safetensors", "--save", saved, "--set",
                       f"precision={precision}", "--export", f"hf:{exported}")
        ours = load_file(saved)
        got = {key.removeprefix("gradient."): value for key, value in ours.items() if key.startswith("gradient.")}
        their_loss, their_gradients, _ = results(folder / "theirs", batch, precision)
        there = folder / "back.safetensors"
        stepscope.step("--hf", exported, "--batch", folder / "batch.safetensors", "--save", there)
        back = results(exported, batch)[0]
        errors = (stepscope.relative(ours["loss"][0], loss), stepscope.largest_error(got, expected))
        own = (stepscope.relative(their_loss, loss), stepscope.largest_error(our_gradients(their_gradients, loaded), expected))
        export = stepscope.relative(load_file(there)["loss"][0], back)
        good = errors[0] <= LIMITS[precision][0] and errors[1][0] <= LIMITS[precision][1] and export <= 1e-5
        yield [name, precision, f"{errors[0]:.1e}", stepscope.largest_text(errors[1]), f"{own[0]:.1e}", f"{own[1][0]:.1e}",
               f"{export:.1e}"], good


def table(folder):
    """Lines of Markdown, and whether every row is within its limits."""
    rows = [row for number, case in enumerate(CASES) for row in case_rows(number, case, stepscope.new_folder(folder))]
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}, safetensors {safetensors.__version__}"
    return stepscope.table("Hugging Face", f"Against {versions}. " + " ".join(__doc__.split("\n\n")[1].split()), COLUMNS, rows)
