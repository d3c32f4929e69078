#!/usr/bin/env python3
"""Ten steps of training by PyTorch, for tests/train/test_pytorch.c to follow: full fine-tuning through transformers'
LlamaForCausalLM or Qwen3_5ForCausalLM, and LoRA through PEFT from a random B (a B of zero makes the gradient of every A
zero), beside the linears of the blocks and, with --output, an untied output.

Writes OUT, a GGUF file that is no model:

    training.ids                    one sequence a step, one after the other
    training.n_rows, .lora.alpha    tokens of a sequence; strength of the pairs
    training.MODE.lr, .losses, .norms   for MODE full and lora: learning rate, loss and gradient norm of every step
    full.NAME                       the first gradient of the tensor NAME, in the order of the GGUF
    start.NAME.lora_a, .lora_b      the pairs training begins from
    lora.NAME.lora_a, .lora_b       their first gradients

AdamW (0.9, 0.999, 1e-8), decay 0.01 on matrices alone, gradients clipped to a norm of 1. Needs gguf, torch,
transformers and peft.

    python3 make_training_reference.py MODEL.gguf OUT [--rows 24] [--dtype float64] [--ids FILE] [--output]
"""

import argparse
from pathlib import Path

import gguf
import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen3_5ForCausalLM, Qwen3_5TextConfig

from make_smollm2_reference import load_llama
from make_tiny_models import Model

STEPS, RANK, ALPHA = 10, 4, 8


class LlamaLayout:
    """Where a parameter of LlamaForCausalLM stands in a GGUF, and in which order its rows and columns."""

    parts = {
        "self_attn.q_proj.weight": "attn_q.weight", "self_attn.k_proj.weight": "attn_k.weight",
        "self_attn.v_proj.weight": "attn_v.weight", "self_attn.o_proj.weight": "attn_output.weight",
        "mlp.gate_proj.weight": "ffn_gate.weight", "mlp.up_proj.weight": "ffn_up.weight",
        "mlp.down_proj.weight": "ffn_down.weight",
        "input_layernorm.weight": "attn_norm.weight", "post_attention_layernorm.weight": "ffn_norm.weight",
    }
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}

    def __init__(self, path):
        self.path = path
        self.config = self.fresh().config

    def fresh(self):
        return load_llama(self.path)

    def name(self, name):
        """model.layers.3.mlp.up_proj.weight -> blk.3.ffn_up.weight"""
        if name in self.whole:
            return self.whole[name]
        _, _, layer, part = name.split(".", 3)
        return f"blk.{layer}.{self.parts[part]}"

    def rows(self, part):
        """Which row of Hugging Face's stands in each row of the GGUF; None: the same."""
        heads = {"attn_q": self.config.num_attention_heads, "attn_k": self.config.num_key_value_heads}.get(part)
        if heads is None:
            return None
        # First and second halves of a head -> pairs side by side.
        halves = np.arange(heads * self.config.head_dim).reshape(heads, 2, -1)
        return halves.swapaxes(1, 2).reshape(-1)

    def columns(self, part):
        return None

    def to_gguf(self, name, values, rows=True, columns=True):
        """Values of the parameter that the GGUF calls `name`; of a low-rank half, only rows or columns are a model's."""
        part = name.split(".")[2] if name.startswith("blk.") else name
        order = self.rows(part) if rows else None
        values = values if order is None else values[order]
        order = self.columns(part) if columns else None
        return np.ascontiguousarray(values if order is None else values[:, order])

    def from_gguf(self, name, values, rows=True, columns=True):
        where = self.to_gguf(name, np.arange(values.size).reshape(values.shape), rows, columns)
        out = np.empty_like(values)
        out.reshape(-1)[where.reshape(-1)] = values.reshape(-1)
        return out


class Qwen35Layout(LlamaLayout):
    """The same for Qwen3_5ForCausalLM: value heads that share a key head lie together there and apart in a GGUF, norms
    are stored as what is added to 1, and decays as A_log, which is also what tinynn trains."""

    parts = LlamaLayout.parts | {
        "post_attention_layernorm.weight": "post_attention_norm.weight",
        "self_attn.q_norm.weight": "attn_q_norm.weight", "self_attn.k_norm.weight": "attn_k_norm.weight",
        "linear_attn.in_proj_qkv.weight": "attn_qkv.weight", "linear_attn.in_proj_z.weight": "attn_gate.weight",
        "linear_attn.in_proj_b.weight": "ssm_beta.weight", "linear_attn.in_proj_a.weight": "ssm_alpha.weight",
        "linear_attn.conv1d.weight": "ssm_conv1d.weight", "linear_attn.A_log": "ssm_a_log",
        "linear_attn.dt_bias": "ssm_dt.bias", "linear_attn.norm.weight": "ssm_norm.weight",
        "linear_attn.out_proj.weight": "ssm_out.weight",
    }

    def value_heads(self, d):
        c = self.config
        grouped = np.arange(c.linear_num_value_heads * d).reshape(c.linear_num_key_heads, -1, d)
        return grouped.swapaxes(0, 1).reshape(-1)

    def rows(self, part):
        d = self.config.linear_value_head_dim
        if part in ("attn_qkv", "ssm_conv1d"):
            keys = 2 * self.config.linear_num_key_heads * self.config.linear_key_head_dim
            return np.concatenate([np.arange(keys), keys + self.value_heads(d)])
        if part in ("ssm_alpha", "ssm_beta", "ssm_a_log", "ssm_dt"):
            return self.value_heads(1)
        return self.value_heads(d) if part == "attn_gate" else None

    def columns(self, part):
        return self.value_heads(self.config.linear_value_head_dim) if part == "ssm_out" else None

    def fresh(self):
        model = Model(self.path)
        key, tensors = model.key, model.tensors
        d, n_layers = key("ssm.state_size"), key("block_count")
        gdn = [f"blk.{il}.ssm_a" in tensors for il in range(n_layers)]
        self.config = Qwen3_5TextConfig(
            vocab_size=len(tensors["token_embd.weight"]), hidden_size=key("embedding_length"),
            intermediate_size=key("feed_forward_length"), num_hidden_layers=n_layers,
            num_attention_heads=key("attention.head_count"), num_key_value_heads=key("attention.head_count_kv"),
            head_dim=key("attention.key_length"), rms_norm_eps=key("attention.layer_norm_rms_epsilon"),
            linear_conv_kernel_dim=key("ssm.conv_kernel"), linear_key_head_dim=d, linear_value_head_dim=d,
            linear_num_key_heads=key("ssm.group_count"), linear_num_value_heads=key("ssm.time_step_rank"),
            layer_types=["linear_attention" if is_gdn else "full_attention" for is_gdn in gdn],
            rope_parameters={"rope_type": "default", "rope_theta": key("rope.freq_base"),
                             "mrope_section": key("rope.dimension_sections")[:3], "mrope_interleaved": True,
                             "partial_rotary_factor": key("rope.dimension_count") / key("attention.key_length")},
            tie_word_embeddings="output.weight" not in tensors, attn_implementation="eager")
        hf = Qwen3_5ForCausalLM(self.config).to(torch.float64)
        with torch.no_grad():
            for name, p in hf.named_parameters():
                to = self.name(name)
                values = np.log(-tensors[to.removesuffix("_log")]) if to.endswith("ssm_a_log") else tensors[to]
                values = self.from_gguf(to, values)
                if to.endswith("norm.weight") and not to.endswith("ssm_norm.weight"):
                    values = values - 1
                p.copy_(torch.from_numpy(values.reshape(tuple(p.shape))))
        return hf.eval()


def layout_of(path):
    return {"llama": LlamaLayout, "qwen35": Qwen35Layout}[Model(path).arch](path)


def train(model, sequences, lr):
    """Losses, gradient norms, and the first gradients by parameter name."""
    params = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in params.values() if p.ndim > 1], "weight_decay": 0.01},
         {"params": [p for p in params.values() if p.ndim == 1], "weight_decay": 0.0}],
        lr=lr, betas=(0.9, 0.999), eps=1e-8)
    losses, norms, first = [], [], None
    for ids in sequences:
        optimizer.zero_grad()
        logits = model(input_ids=ids[None]).logits[0]
        loss = torch.nn.functional.cross_entropy(logits[:-1], ids[1:])
        loss.backward()
        if first is None:
            first = {name: p.grad.detach().clone().to(torch.float32).numpy() for name, p in params.items()}
        norms.append(float(torch.nn.utils.clip_grad_norm_(params.values(), 1.0)))
        optimizer.step()
        losses.append(float(loss.detach()))
        print(f"  loss {losses[-1]:.6f}  norm {norms[-1]:.6f}", flush=True)
    return losses, norms, first


def add_curve(writer, mode, lr, losses, norms):
    writer.add_float32(f"training.{mode}.lr", lr)
    writer.add_array(f"training.{mode}.losses", losses)
    writer.add_array(f"training.{mode}.norms", norms)


def full(writer, layout, model, sequences, lr):
    losses, norms, first = train(model, sequences, lr)
    add_curve(writer, "full", lr, losses, norms)
    for name, grad in first.items():
        to = layout.name(name)
        grad = grad.squeeze(1) if grad.ndim == 3 else grad
        writer.add_tensor(f"full.{to}", layout.to_gguf(to, grad))


def lora(writer, layout, model, sequences, lr, output):
    # "all-linear" leaves the output out.
    targets = [name for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)] if output else "all-linear"
    model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules=targets))
    rng = np.random.RandomState(1)
    halves = {}
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        base, half = name.removeprefix("base_model.model.").removesuffix(".default.weight").rsplit(".", 1)
        to, is_a = layout.name(base + ".weight"), half == "lora_A"
        values = (rng.standard_normal(p.shape) / np.sqrt(p.shape[1] if is_a else 400)).astype(np.float32)
        with torch.no_grad():
            p.copy_(torch.from_numpy(layout.from_gguf(to, values, rows=not is_a, columns=is_a)))
        halves[name] = (to, half.lower(), is_a)
        writer.add_tensor(f"start.{to}.{half.lower()}", values)
    losses, norms, first = train(model, sequences, lr)
    add_curve(writer, "lora", lr, losses, norms)
    for name, grad in first.items():
        to, half, is_a = halves[name]
        writer.add_tensor(f"lora.{to}.{half}", layout.to_gguf(to, grad, rows=not is_a, columns=is_a))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--dtype", default="float64")
    parser.add_argument("--ids", type=Path, help="ids separated by spaces; random ones without it")
    parser.add_argument("--output", action="store_true", help="a pair beside the output as well")
    parser.add_argument("--lr", type=float, default=1e-3, help="of full fine-tuning; LoRA takes ten times as much")
    args = parser.parse_args()
    dtype = getattr(torch, args.dtype)

    layout = layout_of(args.model)

    def fresh():
        return layout.fresh().to(dtype)

    n = STEPS * args.rows
    n_vocab = layout.config.vocab_size
    ids = ([int(x) for x in args.ids.read_text().split()][:n] if args.ids
           else np.random.RandomState(0).randint(0, n_vocab, n).tolist())
    if len(ids) < n:
        raise SystemExit(f"make_training_reference: {n} ids are needed, {len(ids)} are there")
    sequences = torch.tensor(ids).reshape(STEPS, args.rows)
    writer = gguf.GGUFWriter(args.out, "training")
    writer.add_array("training.ids", ids)
    writer.add_uint32("training.n_rows", args.rows)
    writer.add_float32("training.lora.alpha", ALPHA)
    print("full")
    full(writer, layout, fresh(), sequences, args.lr)
    print("lora")
    lora(writer, layout, fresh(), sequences, 10 * args.lr, args.output)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
