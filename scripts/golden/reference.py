"""The model's loss and gradients in fp64 by PyTorch's autograd, written from its description and from nothing of stepscope's code.

    weights = {"embedding": ..., "blocks.0.mlp.up.weight": ...}      # names, shapes and layouts as in `stepscope step --weights`
    loss, logits, gradients = loss_and_gradients(case, weights, batch)

The tutorial that the model comes from: UvA deep learning notebooks, "Single-GPU transformer" (Lippe 2024). Per block
    x += down(gelu(up(norm(x))))      x += out(attention(qkv(norm(x))))      MLP first, pre-norm, every Dense with a bias
then a final norm and an untied head. GPT-2 (Radford et al. 2019) has the same layers with attention first, epsilon 1e-5, and logits
from the embedding, without a bias. Llama (Touvron et al. 2023; Llama 3.1: Dubey et al. 2024) has attention first, norms by the root of
the mean square, a gated MLP  down(silu(gate(n)) * up(n)),  rotary positions, no biases, and several queries to a key. Qwen2 adds biases
to queries, keys and values, Qwen3 (Yang et al. 2025) a norm over each query and key. Dropout is 0 here.

With `rounding = torch.float16` (or bfloat16) it rounds as mixed precision does, and computes exactly in between: weights of Dense layers,
what every layer gives to the next and what comes back to it; never statistics, scores, logits, loss or the gradients of weights.
B sequences, S positions, H hidden, V vocabulary.
"""
import torch

NORM_EPSILON = 1e-6  # where a case does not say
IGNORED = -1
rounding = None  # the type of activations; None: the type of the weights


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(context, x, value, gradient):
        context.gradient = gradient
        return x.to(rounding).to(x.dtype) if value else x.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient.to(rounding).to(gradient.dtype) if context.gradient else gradient, None, None


def rounded(x, value=True, gradient=True):
    return x if rounding is None else Rounded.apply(x, value, gradient)


def rms_norm(x, scale, epsilon):
    return x / torch.sqrt((x**2).mean(dim=-1, keepdim=True) + epsilon) * scale


def norm(case, x, weights, name):
    epsilon = case.get("norm_epsilon", NORM_EPSILON)
    if case.get("norm") == "rms":
        return rms_norm(x, weights[name + ".scale"], epsilon)
    mean = x.mean(dim=-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(dim=-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + epsilon) * weights[name + ".scale"] + weights[name + ".bias"]


def dense(x, weights, name):
    y = x @ rounded(weights[name + ".weight"], gradient=False)  # weights are [inputs, outputs]
    y = y + rounded(weights[name + ".bias"], gradient=False) if name + ".bias" in weights else y
    return rounded(y, value=name != "head")


def gelu(x):
    return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))


def mlp(case, x, weights, name):
    if case.get("activation") != "swiglu":
        return dense(rounded(gelu(dense(x, weights, name + ".up"))), weights, name + ".down")
    gate = dense(x, weights, name + ".gate")
    return dense(rounded(gate / (1 + torch.exp(-gate)) * dense(x, weights, name + ".up")), weights, name + ".down")


def rotary_frequencies(case, head_dim):
    """Radians a position for each pair of features; Llama 3.1 slows those down whose wavelength is long beside its first context."""
    frequencies = case["rope_theta"] ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    if case.get("rope_scaling") != "llama3":
        return frequencies
    context, factor = case["rope_original_sequence"], case["rope_factor"]
    low, high = case["rope_low_frequency"], case["rope_high_frequency"]
    slowed = []
    for frequency in frequencies.tolist():
        wavelength = 2 * torch.pi / frequency
        if wavelength > context / low:
            frequency = frequency / factor
        elif wavelength > context / high:
            share = (context / wavelength - low) / (high - low)
            frequency = (1 - share) * frequency / factor + share * frequency
        slowed.append(frequency)
    return torch.tensor(slowed, dtype=torch.float64)


def turned(case, x):
    """x [B, heads, S, D] with its features i and i + D/2 turned by the angle of their position and pair."""
    head_dim = x.shape[-1]
    angles = torch.arange(x.shape[-2], dtype=torch.float64)[:, None] * rotary_frequencies(case, head_dim)[None, :]
    cosines, sines = (torch.cat([part, part], dim=-1).to(x.dtype) for part in (angles.cos(), angles.sin()))
    first, second = x.split(head_dim // 2, dim=-1)
    return x * cosines + torch.cat([-second, first], dim=-1) * sines


def visible_keys(case, batch):
    """[B, heads, S, S], true where query i may see key j: every given mask combined by logical and."""
    B, S = batch["tokens"].shape
    visible = torch.ones(B, case["heads"], S, S, dtype=torch.bool)
    if "causal" in case["mask"]:
        visible &= torch.ones(S, S, dtype=torch.bool).tril()
    if "lengths" in batch:
        keys_within = torch.arange(S)[None, :] < batch["lengths"][:, None]
        visible &= keys_within[:, None, None, :]
    if "mask" in batch:
        visible &= batch["mask"].bool()
    return visible


def queries_keys_values(case, x, weights, name):
    """Each [B, heads, S, head_dim]. They are packed kv head by kv head: its queries, its key, its value."""
    B, S, H = x.shape
    heads = case["heads"]
    head_dim, kv_heads = case.get("head_dim", H // heads), case.get("kv_heads", heads)
    queries = heads // kv_heads
    packed = dense(x, weights, name + ".qkv").view(B, S, kv_heads, queries + 2, head_dim)
    q = packed[:, :, :, :queries].reshape(B, S, heads, head_dim).transpose(1, 2)
    k, v = (packed[:, :, :, queries + i].transpose(1, 2) for i in (0, 1))
    if case.get("qk_norm"):
        q, k = (rounded(rms_norm(part, weights[f"{name}.{which}_norm.scale"], case["norm_epsilon"]))
                for part, which in ((q, "q"), (k, "k")))
    if case.get("positions") == "rotary":
        q, k = rounded(turned(case, q)), rounded(turned(case, k))
    if queries > 1:
        k, v = (part.repeat_interleave(queries, dim=1) for part in (k, v))
    return q, k, v


def attention(case, x, weights, name, visible):
    q, k, v = queries_keys_values(case, x, weights, name)
    head_dim = q.shape[-1]
    scores = rounded(rounded(q * head_dim**-0.5) @ k.transpose(-1, -2), value=False)
    # Hidden keys get the lowest finite score, so a row without any visible key would weigh all keys alike.
    # The rule for such a row: attention gives zeros, and no gradient goes through it.
    scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)
    weighted = rounded(rounded(torch.softmax(scores, dim=-1), gradient=False) @ v)
    weighted = torch.where(visible.any(dim=-1, keepdim=True), weighted, torch.zeros_like(weighted))
    return dense(weighted.transpose(1, 2).flatten(2), weights, name + ".out")


def forward(case, weights, batch):
    """Logits [B, S, V]. Only the first S rows of the learned positions are used."""
    tokens = batch["tokens"].long()
    visible = visible_keys(case, batch)
    x = weights["embedding"][tokens]
    if case.get("positions") != "rotary":
        x = x + weights["positions"][: tokens.shape[1]]
    x = rounded(x)

    def mlp_branch(x, name):
        return mlp(case, rounded(norm(case, x, weights, name + ".norm")), weights, name)

    def attention_branch(x, name):
        return attention(case, rounded(norm(case, x, weights, name + ".norm")), weights, name, visible)

    for layer in range(case["layers"]):
        block = f"blocks.{layer}"
        if case.get("block_order") == "attention-first":
            x = rounded(x + attention_branch(x, block + ".attention"))
            x = rounded(x + mlp_branch(x, block + ".mlp"))
        else:
            x = rounded(x + mlp_branch(x, block + ".mlp"))
            x = rounded(x + attention_branch(x, block + ".attention"))
    x = rounded(norm(case, x, weights, "final_norm"))
    if case.get("tied_head"):
        return rounded(x @ rounded(weights["embedding"], gradient=False).T, value=False)
    return dense(x, weights, "head")


def counted_targets(batch):
    """Targets with -1 where nothing is to be predicted: positions past a sequence's length count as ignored."""
    targets = batch["targets"].long()
    if "lengths" in batch:
        within = torch.arange(targets.shape[1])[None, :] < batch["lengths"][:, None]
        targets = torch.where(within, targets, torch.full_like(targets, IGNORED))
    return targets


def loss_and_gradients(case, weights, batch, dtype=torch.float64, loss_scale=1):
    """The sum over counted targets divided by their number, the logits, and d loss / d weight by name."""
    leaves = {name: value.to(dtype).requires_grad_() for name, value in weights.items()}
    logits = forward(case, leaves, batch)
    targets = counted_targets(batch)
    counted = targets != IGNORED
    log_probabilities = logits - torch.logsumexp(logits, dim=-1, keepdim=True)
    picked = log_probabilities.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    loss = -(picked * counted).sum() / counted.sum()
    gradients = torch.autograd.grad(loss * loss_scale, list(leaves.values()))
    return loss.detach(), logits.detach(), {name: gradient / loss_scale for name, gradient in zip(leaves, gradients)}


def tutorial_learning_rate(update, peak=4e-4):
    """A linear rise over ten updates from 0, then 0.99 an update."""
    return peak * update / 10 if update < 10 else peak * 0.99 ** (update - 10)


def adam(case, weights, batch, steps, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """The weights in fp64 after some steps on the same batch, with bias correction and the tutorial's learning rate."""
    weights = {name: value.double() for name, value in weights.items()}
    first = {name: torch.zeros_like(value) for name, value in weights.items()}
    second = {name: torch.zeros_like(value) for name, value in weights.items()}
    for update in range(steps):
        _, _, gradients = loss_and_gradients(case, weights, batch)
        for name, gradient in gradients.items():
            first[name] = beta1 * first[name] + (1 - beta1) * gradient
            second[name] = beta2 * second[name] + (1 - beta2) * gradient**2
            corrected_first = first[name] / (1 - beta1 ** (update + 1))
            corrected_second = second[name] / (1 - beta2 ** (update + 1))
            step = corrected_first / (corrected_second.sqrt() + epsilon)
            weights[name] = (weights[name] - tutorial_learning_rate(update) * step).detach()
    return weights


def adamw(case, weights, batch, steps, weight_decay, beta2, beta1=0.9, epsilon=1e-8):
    """The weights in fp64 after some steps of torch.optim.AdamW, at the tutorial's learning rate. Dense matrices decay, all else does not."""
    weights = {name: value.double().requires_grad_() for name, value in weights.items()}
    decaying = {name for name in weights if name.endswith(".weight")}
    groups = [{"params": [weights[name] for name in sorted(decaying)], "weight_decay": weight_decay},
              {"params": [weights[name] for name in sorted(set(weights) - decaying)], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(beta1, beta2), eps=epsilon)
    for update in range(steps):
        _, _, gradients = loss_and_gradients(case, {name: value.detach() for name, value in weights.items()}, batch)
        for name, gradient in gradients.items():
            weights[name].grad = gradient
        for group in optimizer.param_groups:
            group["lr"] = tutorial_learning_rate(update)
        optimizer.step()
    return {name: value.detach() for name, value in weights.items()}
