#!/usr/bin/env python3
"""Ten steps of training by PyTorch, for tests/train/test_pytorch.c to follow: full fine-tuning through transformers'
LlamaForCausalLM, and LoRA through PEFT from a random B (a B of zero makes the gradient of every A zero).

Writes OUT, a GGUF file that is no model:

    training.ids                    one sequence a step, one after the other
    training.n_rows, .lora.alpha    tokens of a sequence; strength of the pairs
    training.MODE.lr, .losses, .norms   for MODE full and lora: learning rate, loss and gradient norm of every step
    full.NAME                       the first gradient of the tensor NAME, in the order of the GGUF
    start.NAME.lora_a, .lora_b      the pairs training begins from
    lora.NAME.lora_a, .lora_b       their first gradients

AdamW (0.9, 0.999, 1e-8), decay 0.01 on matrices alone, gradients clipped to a norm of 1. Needs gguf, torch,
transformers and peft.

    python3 make_training_reference.py MODEL.gguf OUT [--rows 24] [--dtype float64] [--ids FILE]
"""

import argparse
from pathlib import Path

import gguf
import numpy as np
import torch
from peft import LoraConfig, get_peft_model

from make_smollm2_reference import load_llama

STEPS, RANK, ALPHA = 10, 4, 8
LINEARS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
NORMS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def gguf_name(name):
    """model.layers.3.mlp.up_proj.weight -> blk.3.ffn_up.weight"""
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name in ("model.norm.weight", "lm_head.weight"):
        return {"model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{(LINEARS | NORMS)[part]}.weight"


def permute(rows, n_head):
    """Hugging Face's order of Q and K rows (first and second halves of a head) -> pairs side by side."""
    head_dim = rows.shape[0] // n_head
    halves = rows.reshape(n_head, 2, head_dim // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def unpermute(rows, n_head):
    head_dim = rows.shape[0] // n_head
    pairs = rows.reshape(n_head, head_dim // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)


def heads_of(config, name):
    """Heads whose rows the GGUF permutes, or None."""
    return {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(name.split(".")[-2])


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


def full(writer, model, sequences, lr):
    losses, norms, first = train(model, sequences, lr)
    add_curve(writer, "full", lr, losses, norms)
    for name, grad in first.items():
        to = gguf_name(name)
        heads = heads_of(model.config, to)
        writer.add_tensor(f"full.{to}", permute(grad, heads) if heads else grad)


def lora(writer, model, sequences, lr):
    model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0, target_modules="all-linear"))
    rng = np.random.RandomState(1)
    config = model.get_base_model().config
    halves = {}
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        base, half = name.removeprefix("base_model.model.").removesuffix(".default.weight").rsplit(".", 1)
        to = gguf_name(base + ".weight")
        heads = heads_of(config, to) if half == "lora_B" else None
        values = (rng.standard_normal(p.shape) / np.sqrt(p.shape[1] if half == "lora_A" else 400)).astype(np.float32)
        with torch.no_grad():
            p.copy_(torch.from_numpy(unpermute(values, heads) if heads else values))
        halves[name] = (f"{to}.{half.lower()}", heads)
        writer.add_tensor(f"start.{halves[name][0]}", values)
    losses, norms, first = train(model, sequences, lr)
    add_curve(writer, "lora", lr, losses, norms)
    for name, grad in first.items():
        to, heads = halves[name]
        writer.add_tensor(f"lora.{to}", permute(grad, heads) if heads else grad)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--dtype", default="float64")
    parser.add_argument("--ids", type=Path, help="ids separated by spaces; random ones without it")
    parser.add_argument("--lr", type=float, default=1e-3, help="of full fine-tuning; LoRA takes ten times as much")
    args = parser.parse_args()
    dtype = getattr(torch, args.dtype)

    def fresh():
        return load_llama(args.model).to(dtype)

    n = STEPS * args.rows
    n_vocab = fresh().config.vocab_size
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
    full(writer, fresh(), sequences, args.lr)
    print("lora")
    lora(writer, fresh(), sequences, 10 * args.lr)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
