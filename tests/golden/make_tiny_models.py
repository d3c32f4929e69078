#!/usr/bin/env python3
"""Writes tiny random F32 models, one per architecture, RoPE kind and form of hybrid, and their reference logits.

For every entry of CASES this makes

    data/NAME.gguf         random weights, no tokenizer (tokenizer.ggml.model = "none")
    data/NAME.logits.f64   float64 logits of PROMPT, raw little-endian, one row of n_vocab per position

and once data/prompt.ids (PROMPT, separated by spaces), data/cases.txt (NAME and n_vocab, one case a line) and
data/SHA256SUMS. The reference reads the GGUF it is about to judge and computes in float64 numpy throughout; it
knows nothing of the engine under test. Needs numpy and gguf. The GGUF files are reproducible byte for byte; the
logits to the last few bits of a double, as the order of summation is numpy's.

    python3 make_tiny_models.py [FOLDER]      (default: data/ beside this file)
"""

import argparse
import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np

PROMPT = [1, 17, 93, 42, 42, 5, 88, 0, 61, 7, 29, 70, 13, 95, 34, 2, 51, 80, 17, 66, 9, 38, 74, 23]

# Archs whose RoPE rotates pairs (i, i + n_rot/2); all others here rotate (2i, 2i+1).
HALF_SPLIT_ARCHS = {"qwen2", "qwen3", "qwen35"}
# smollm3 leaves every fourth layer without RoPE.
NOPE_INTERVAL = {"smollm3": 4}


@dataclass
class Gdn:
    """The Gated DeltaNet layers of a stack."""

    n_key_heads: int
    n_value_heads: int
    state_size: int  # of keys and values alike
    conv_kernel: int = 4
    interval: int | None = None  # every nth layer is full attention
    recurrent_layers: list | None = None  # or: which layers are GDN
    n_mtp_layers: int = 0  # stored after the stack, and not a part of it


@dataclass
class Case:
    name: str
    arch: str
    n_embd: int = 32
    n_head: int = 4
    n_head_kv: int | None = 2  # None: the key is left out, so every head has its own K and V
    head_dim: int | None = None  # None: the keys are left out, so n_embd / n_head
    n_ff: int = 48
    n_layer: int = 2
    n_vocab: int = 96
    tied: bool = True
    qkv_bias: bool = False
    other_bias: bool = False  # attention output and the three of the FFN
    rms_eps: float = 1e-5
    freq_base: float = 10000.0
    scaling: dict = field(default_factory=dict)  # keys below {arch}.rope.scaling.
    llama3_scaling: dict = field(default_factory=dict)  # becomes the tensor rope_freqs.weight
    gdn: Gdn | None = None  # qwen35: Gated DeltaNet layers, gated attention, partial RoPE


YARN = {"type": "yarn", "factor": 4.0, "original_context_length": 256}
LINEAR = {"type": "linear", "factor": 4.0}

CASES = [
    # n_head * head_dim = 64, n_embd = 32.
    Case("llama-gqa", "llama", head_dim=16),
    # No optional key at all, and no size that is a multiple of 8.
    Case("llama-mha-untied", "llama", n_embd=36, n_head=3, n_head_kv=None, n_ff=52, n_vocab=97, tied=False),
    Case("llama-mqa-bias", "llama", n_head_kv=1, qkv_bias=True, other_bias=True),
    # The original context is short enough for all three branches to occur among the 8 frequencies.
    Case("llama-rope-freqs", "llama", head_dim=16,
         llama3_scaling={"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_context": 32}),
    Case("llama-rope-linear", "llama", head_dim=16, scaling=LINEAR),
    Case("llama-rope-yarn", "llama", head_dim=16, scaling=YARN),
    Case("qwen2", "qwen2", qkv_bias=True, tied=False, rms_eps=1e-6),
    Case("qwen2-rope-yarn", "qwen2", n_embd=48, n_head=3, n_head_kv=1, qkv_bias=True, rms_eps=1e-6, scaling=YARN),
    Case("qwen3", "qwen3", head_dim=16, rms_eps=1e-6, freq_base=1e6),
    Case("qwen3-rope-linear", "qwen3", head_dim=16, rms_eps=1e-6, scaling=LINEAR),
    # Five layers: one without RoPE, and one with it after that.
    Case("smollm3", "smollm3", n_head=6, head_dim=8, n_ff=40, n_layer=5, rms_eps=1e-6, freq_base=5e6),
    # Three layers of GDN and one of attention; a quarter of each attention head is rotated.
    Case("qwen35", "qwen35", head_dim=16, n_ff=40, n_layer=4, rms_eps=1e-6, freq_base=1e7,
         gdn=Gdn(n_key_heads=2, n_value_heads=2, state_size=8, interval=4)),
    # Value head n reads key head n % 2; the layers are listed, attention first.
    Case("qwen35-tiled-untied", "qwen35", head_dim=16, n_ff=40, n_layer=3, n_vocab=97, tied=False, rms_eps=1e-6,
         freq_base=1e7, gdn=Gdn(n_key_heads=2, n_value_heads=4, state_size=8, recurrent_layers=[False, True, True])),
    # A layer for predicting further tokens follows the two of the stack.
    Case("qwen35-mtp", "qwen35", head_dim=16, n_ff=40, n_layer=2, rms_eps=1e-6, freq_base=1e7,
         gdn=Gdn(n_key_heads=1, n_value_heads=3, state_size=8, interval=2, n_mtp_layers=1)),
]


# ---- models ----


def llama3_rope_freqs(n_rot, freq_base, factor, low_freq_factor, high_freq_factor, original_context):
    """Divisors of the n_rot/2 rotation frequencies: 1 for short waves, `factor` for long ones, smooth between."""
    divisors = []
    for i in range(n_rot // 2):
        wavelen = 2 * math.pi * freq_base ** (2 * i / n_rot)
        if wavelen < original_context / high_freq_factor:
            divisors.append(1.0)
        elif wavelen > original_context / low_freq_factor:
            divisors.append(factor)
        else:
            smooth = (original_context / wavelen - low_freq_factor) / (high_freq_factor - low_freq_factor)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(divisors, dtype=np.float32)


class Random:
    """A stream of weights."""

    def __init__(self, seed):
        # RandomState is the generator whose stream numpy promises never to change.
        self.rng = np.random.RandomState(seed)

    def normal(self, *shape, std):
        return (std * self.rng.standard_normal(shape)).astype(np.float32)

    def matrix(self, n_out, n_in, gain=1.0):
        return self.normal(n_out, n_in, std=gain / math.sqrt(n_in))

    def gamma(self, n):
        return (1 + self.normal(n, std=0.2)).astype(np.float32)


def is_gdn_layer(case, il):
    if case.gdn is None or il >= case.n_layer:
        return False
    if case.gdn.recurrent_layers is not None:
        return case.gdn.recurrent_layers[il]
    return (il + 1) % case.gdn.interval != 0


def gdn_layer(case, random):
    gdn = case.gdn
    key_dim = gdn.n_key_heads * gdn.state_size
    value_dim = gdn.n_value_heads * gdn.state_size
    conv_dim = 2 * key_dim + value_dim
    return {
        "attn_norm.weight": random.gamma(case.n_embd),
        "attn_qkv.weight": random.matrix(conv_dim, case.n_embd, gain=1.5),
        "attn_gate.weight": random.matrix(value_dim, case.n_embd),
        "ssm_alpha.weight": random.matrix(gdn.n_value_heads, case.n_embd),
        "ssm_beta.weight": random.matrix(gdn.n_value_heads, case.n_embd),
        "ssm_conv1d.weight": random.normal(conv_dim, gdn.conv_kernel, std=0.6),
        # Decays from a few tokens to some tens of them.
        "ssm_a": -np.exp(random.normal(gdn.n_value_heads, std=0.7)).astype(np.float32),
        "ssm_dt.bias": (random.normal(gdn.n_value_heads, std=0.5) - 2).astype(np.float32),
        "ssm_norm.weight": random.gamma(gdn.state_size),
        "ssm_out.weight": random.matrix(case.n_embd, value_dim),
    }


def random_tensors(case, seed):
    """GGUF name -> F32 array, numpy axes slowest first (the reverse of ne)."""
    random = Random(seed)
    normal, matrix, gamma = random.normal, random.matrix, random.gamma
    head_dim = case.head_dim or case.n_embd // case.n_head
    q_dim = head_dim * case.n_head
    kv_dim = head_dim * (case.n_head_kv or case.n_head)
    gate = 2 if case.gdn else 1  # attn_q holds a gate of the same width
    ffn_norm = "post_attention_norm" if case.gdn else "ffn_norm"

    tensors = {"token_embd.weight": normal(case.n_vocab, case.n_embd, std=0.4)}
    if case.llama3_scaling:
        tensors["rope_freqs.weight"] = llama3_rope_freqs(head_dim, case.freq_base, **case.llama3_scaling)
    n_mtp_layers = case.gdn.n_mtp_layers if case.gdn else 0
    for il in range(case.n_layer + n_mtp_layers):
        layer = gdn_layer(case, random) if is_gdn_layer(case, il) else {
            "attn_norm.weight": gamma(case.n_embd),
            # Gain 1.5 on both sides makes the attention peaked enough for a wrong angle to show.
            "attn_q.weight": matrix(gate * q_dim, case.n_embd, gain=1.5),
            "attn_k.weight": matrix(kv_dim, case.n_embd, gain=1.5),
            "attn_v.weight": matrix(kv_dim, case.n_embd),
            "attn_output.weight": matrix(case.n_embd, q_dim),
        }
        layer |= {
            f"{ffn_norm}.weight": gamma(case.n_embd),
            "ffn_gate.weight": matrix(case.n_ff, case.n_embd),
            "ffn_up.weight": matrix(case.n_ff, case.n_embd),
            "ffn_down.weight": matrix(case.n_embd, case.n_ff),
        }
        if case.arch == "qwen3" or (case.gdn and "attn_q.weight" in layer):
            layer["attn_q_norm.weight"] = gamma(head_dim)
            layer["attn_k_norm.weight"] = gamma(head_dim)
        biased = (["attn_q", "attn_k", "attn_v"] if case.qkv_bias else []) + (
            ["attn_output", "ffn_gate", "ffn_up", "ffn_down"] if case.other_bias else [])
        for linear in biased:
            layer[linear + ".bias"] = normal(layer[linear + ".weight"].shape[0], std=0.3)
        if il >= case.n_layer:
            layer |= {"nextn.eh_proj.weight": matrix(case.n_embd, 2 * case.n_embd)}
            layer |= {f"nextn.{norm}.weight": gamma(case.n_embd) for norm in ("enorm", "hnorm", "shared_head_norm")}
        tensors.update({f"blk.{il}.{name}": values for name, values in layer.items()})
    tensors["output_norm.weight"] = gamma(case.n_embd)
    if not case.tied:
        tensors["output.weight"] = matrix(case.n_vocab, case.n_embd, gain=2.0)
    return tensors


def add_gdn_keys(writer, prefix, gdn):
    writer.add_array(f"{prefix}.rope.dimension_sections", [1, 1, 0, 0])
    writer.add_uint32(f"{prefix}.ssm.conv_kernel", gdn.conv_kernel)
    writer.add_uint32(f"{prefix}.ssm.state_size", gdn.state_size)
    writer.add_uint32(f"{prefix}.ssm.group_count", gdn.n_key_heads)
    writer.add_uint32(f"{prefix}.ssm.time_step_rank", gdn.n_value_heads)
    writer.add_uint32(f"{prefix}.ssm.inner_size", gdn.n_value_heads * gdn.state_size)
    if gdn.interval is not None:
        writer.add_uint32(f"{prefix}.full_attention_interval", gdn.interval)
    if gdn.recurrent_layers is not None:
        writer.add_array(f"{prefix}.attention.recurrent_layers", gdn.recurrent_layers)
    if gdn.n_mtp_layers:
        writer.add_uint32(f"{prefix}.nextn_predict_layers", gdn.n_mtp_layers)


def write_model(path, case, seed):
    writer = gguf.GGUFWriter(path, case.arch)
    writer.add_string("general.name", f"tinynn test {case.name}")
    writer.add_uint32("general.file_type", 0)  # all F32
    prefix = case.arch
    writer.add_uint32(f"{prefix}.vocab_size", case.n_vocab)
    writer.add_uint32(f"{prefix}.context_length", 1024)
    writer.add_uint32(f"{prefix}.embedding_length", case.n_embd)
    writer.add_uint32(f"{prefix}.block_count", case.n_layer + (case.gdn.n_mtp_layers if case.gdn else 0))
    writer.add_uint32(f"{prefix}.feed_forward_length", case.n_ff)
    writer.add_uint32(f"{prefix}.attention.head_count", case.n_head)
    if case.n_head_kv is not None:
        writer.add_uint32(f"{prefix}.attention.head_count_kv", case.n_head_kv)
    if case.head_dim is not None:
        writer.add_uint32(f"{prefix}.attention.key_length", case.head_dim)
        writer.add_uint32(f"{prefix}.attention.value_length", case.head_dim)
        writer.add_uint32(f"{prefix}.rope.dimension_count", case.head_dim // 4 if case.gdn else case.head_dim)
    if case.gdn:
        add_gdn_keys(writer, prefix, case.gdn)
    writer.add_float32(f"{prefix}.attention.layer_norm_rms_epsilon", case.rms_eps)
    if case.freq_base != 10000.0:
        writer.add_float32(f"{prefix}.rope.freq_base", case.freq_base)
    for key, value in case.scaling.items():
        add = {str: writer.add_string, float: writer.add_float32, int: writer.add_uint32}[type(value)]
        add(f"{prefix}.rope.scaling.{key}", value)
    writer.add_string("tokenizer.ggml.model", "none")
    for name, values in random_tensors(case, seed).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---- float64 reference ----


class Model:
    """Metadata and float64 tensors of a GGUF file."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.meta = {key: f.contents() for key, f in reader.fields.items() if not key.startswith("GGUF.")}
        self.tensors = {t.name: t.data.astype(np.float64) for t in reader.tensors}
        self.arch = self.meta["general.architecture"]

    def key(self, name, default=None):
        value = self.meta.get(f"{self.arch}.{name}", default)
        if value is None:
            raise KeyError(f"{self.arch}.{name}")
        return value

    def linear(self, name, x):
        """x [T, n_in] -> [T, n_out]."""
        y = x @ self.tensors[name + ".weight"].T
        return y + self.tensors[name + ".bias"] if name + ".bias" in self.tensors else y


def rms_norm(x, gamma, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * gamma


def silu(x):
    return x / (1 + np.exp(-x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def yarn_ramp(n_rot, freq_base, n_ctx_orig, beta_fast, beta_slow):
    """Share of extrapolation for each pair: 1 for the fast dimensions, 0 for the slow (YaRN, section 3.2)."""

    def correction_dim(beta):
        return n_rot * math.log(n_ctx_orig / (beta * 2 * math.pi)) / (2 * math.log(freq_base))

    low = max(0, math.floor(correction_dim(beta_fast)))
    high = min(n_rot - 1, math.ceil(correction_dim(beta_slow)))
    pair = np.arange(n_rot // 2)
    return 1 - np.clip((pair - low) / max(0.001, high - low), 0, 1)


def rope_angles(model, n_rot, n_pos):
    """Angles [T, n_rot/2] and the factor that multiplies sine and cosine."""
    freq_base = model.key("rope.freq_base", 10000.0)
    kind = model.key("rope.scaling.type", "linear")
    factor = model.key("rope.scaling.factor", 1.0)
    freqs = freq_base ** (-2 * np.arange(n_rot // 2) / n_rot)
    if "rope_freqs.weight" in model.tensors:
        freqs = freqs / model.tensors["rope_freqs.weight"]
    extrapolated = np.arange(n_pos)[:, None] * freqs
    if kind == "none":
        return extrapolated, 1.0
    interpolated = extrapolated / factor
    if kind == "linear":
        return interpolated, 1.0
    if kind != "yarn":
        raise ValueError(f"rope.scaling.type {kind!r}")
    n_ctx_orig = model.key("rope.scaling.original_context_length", model.key("context_length"))
    ramp = yarn_ramp(n_rot, freq_base, n_ctx_orig, beta_fast=32, beta_slow=1)
    return interpolated * (1 - ramp) + extrapolated * ramp, 1 + 0.1 * math.log(factor)


def rotate(x, angles, mscale, half_split):
    """x [T, heads, head_dim]; dimensions from n_rot on pass through."""
    n_rot = 2 * angles.shape[1]
    cos = mscale * np.cos(angles)[:, None, :]
    sin = mscale * np.sin(angles)[:, None, :]
    first, second = ((slice(0, n_rot // 2), slice(n_rot // 2, n_rot)) if half_split
                     else (slice(0, n_rot, 2), slice(1, n_rot, 2)))
    y = x.copy()
    y[..., first] = x[..., first] * cos - x[..., second] * sin
    y[..., second] = x[..., first] * sin + x[..., second] * cos
    return y


def attention(q, k, v):
    """Causal. q [T, H, D], k and v [T, K, D] -> [T, H*D]; query head h reads KV head h / (H/K)."""
    n_pos, n_head, head_dim = q.shape
    group = n_head // k.shape[1]
    out = np.empty_like(q)
    future = np.triu(np.ones((n_pos, n_pos), dtype=bool), k=1)
    for h in range(n_head):
        scores = q[:, h] @ k[:, h // group].T / math.sqrt(head_dim)
        scores[future] = -np.inf
        out[:, h] = softmax(scores) @ v[:, h // group]
    return out.reshape(n_pos, n_head * head_dim)


def attention_layer(model, blk, h, angles, mscale):
    """h [T, E] -> [T, E]; a gate beside q multiplies what attention returns (qwen35)."""
    n_pos = len(h)
    n_head = model.key("attention.head_count")
    n_head_kv = model.key("attention.head_count_kv", n_head)
    head_dim = model.key("attention.key_length", model.key("embedding_length") // n_head)
    eps = model.key("attention.layer_norm_rms_epsilon")
    q = model.linear(blk + "attn_q", h).reshape(n_pos, n_head, -1)
    q, gate = q[..., :head_dim], q[..., head_dim:]
    k = model.linear(blk + "attn_k", h).reshape(n_pos, n_head_kv, head_dim)
    v = model.linear(blk + "attn_v", h).reshape(n_pos, n_head_kv, head_dim)
    if blk + "attn_q_norm.weight" in model.tensors:
        q = rms_norm(q, model.tensors[blk + "attn_q_norm.weight"], eps)
        k = rms_norm(k, model.tensors[blk + "attn_k_norm.weight"], eps)
    if angles is not None:
        q = rotate(q, angles, mscale, model.arch in HALF_SPLIT_ARCHS)
        k = rotate(k, angles, mscale, model.arch in HALF_SPLIT_ARCHS)
    y = attention(q, k, v)
    if gate.size:
        y = y * sigmoid(gate.reshape(n_pos, -1))
    return model.linear(blk + "attn_output", y)


def causal_conv(x, weight):
    """Depthwise: x [T, C], weight [C, width] whose last column meets the current row -> [T, C]."""
    width = weight.shape[1]
    padded = np.concatenate([np.zeros((width - 1, x.shape[1])), x])
    return sum(padded[j : j + len(x)] * weight[:, j] for j in range(width))


def l2_norm(x, eps=1e-6):
    return x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + eps)


def delta_rule(q, k, v, log_decay, beta):
    """Yang et al. 2024, token by token. q, k, v [T, H, d]; log_decay, beta [T, H] -> [T, H, d]."""
    n_pos, n_head, d = q.shape
    out = np.empty_like(v)
    for h in range(n_head):
        state = np.zeros((d, d))  # row: element of the key
        for t in range(n_pos):
            state = np.exp(log_decay[t, h]) * state
            update = beta[t, h] * (v[t, h] - state.T @ k[t, h])
            state = state + np.outer(k[t, h], update)
            out[t, h] = state.T @ q[t, h] / math.sqrt(d)
    return out


def gdn_layer_output(model, blk, h):
    """h [T, E] -> [T, E]: a Gated DeltaNet layer as Qwen3.5 has it."""
    n_pos = len(h)
    n_key_heads = model.key("ssm.group_count")
    n_value_heads = model.key("ssm.time_step_rank")
    d = model.key("ssm.state_size")
    qkv = silu(causal_conv(model.linear(blk + "attn_qkv", h), model.tensors[blk + "ssm_conv1d.weight"]))
    q, k, v = np.split(qkv.reshape(n_pos, -1, d), [n_key_heads, 2 * n_key_heads], axis=1)
    tiled = np.arange(n_value_heads) % n_key_heads
    q, k = l2_norm(q)[:, tiled], l2_norm(k)[:, tiled]
    alpha = model.linear(blk + "ssm_alpha", h) + model.tensors[blk + "ssm_dt.bias"]
    log_decay = model.tensors[blk + "ssm_a"] * np.log1p(np.exp(alpha))
    y = delta_rule(q, k, v, log_decay, sigmoid(model.linear(blk + "ssm_beta", h)))
    y = rms_norm(y, model.tensors[blk + "ssm_norm.weight"], model.key("attention.layer_norm_rms_epsilon"))
    return model.linear(blk + "ssm_out", y.reshape(n_pos, -1) * silu(model.linear(blk + "attn_gate", h)))


def reference_logits(path, ids):
    """float64 logits [T, n_vocab] of the model in `path`."""
    model = Model(path)
    head_dim = model.key("attention.key_length", model.key("embedding_length") // model.key("attention.head_count"))
    eps = model.key("attention.layer_norm_rms_epsilon")
    angles, mscale = rope_angles(model, model.key("rope.dimension_count", head_dim), len(ids))
    nope_interval = NOPE_INTERVAL.get(model.arch)

    x = model.tensors["token_embd.weight"][ids]
    for il in range(model.key("block_count") - model.key("nextn_predict_layers", 0)):
        blk = f"blk.{il}."
        h = rms_norm(x, model.tensors[blk + "attn_norm.weight"], eps)
        if blk + "ssm_out.weight" in model.tensors:
            x = x + gdn_layer_output(model, blk, h)
        else:
            has_rope = nope_interval is None or (il + 1) % nope_interval != 0
            x = x + attention_layer(model, blk, h, angles if has_rope else None, mscale)
        ffn_norm = "post_attention_norm" if blk + "post_attention_norm.weight" in model.tensors else "ffn_norm"
        h = rms_norm(x, model.tensors[f"{blk}{ffn_norm}.weight"], eps)
        h = silu(model.linear(blk + "ffn_gate", h)) * model.linear(blk + "ffn_up", h)
        x = x + model.linear(blk + "ffn_down", h)
    x = rms_norm(x, model.tensors["output_norm.weight"], eps)
    return model.linear("output" if "output.weight" in model.tensors else "token_embd", x)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "data")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prompt.ids").write_text(" ".join(map(str, PROMPT)) + "\n")
    (folder / "cases.txt").write_text("".join(f"{case.name} {case.n_vocab}\n" for case in CASES))
    sums = []
    for number, case in enumerate(CASES):
        path = folder / f"{case.name}.gguf"
        write_model(path, case, seed=1000 + number)
        logits = reference_logits(path, PROMPT)
        logits.astype("<f8").tofile(folder / f"{case.name}.logits.f64")
        sums.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
        print(f"{case.name:20} {path.stat().st_size:7} bytes  logit std {logits.std():.3f} max {np.abs(logits).max():.3f}")
    (folder / "SHA256SUMS").write_text("".join(sums))


if __name__ == "__main__":
    main()
