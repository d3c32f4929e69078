#!/usr/bin/env python3
"""Reference logits of a quantised SmolLM2 (or any llama-arch GGUF without RoPE scaling): its weights dequantised,
run in float32 by PyTorch through transformers' LlamaForCausalLM.

Writes OUT_FOLDER/smollm2_ids.txt (the first N token ids of TEXT, separated by spaces),
OUT_FOLDER/smollm2_top1.txt (for the first 64 positions: id, the likeliest next id, by how much its logit leads) and
OUT_FOLDER/smollm2_logits.bin (raw little-endian F32, one row of n_vocab per position; 100 MB for 512 positions,
so it is made where it is needed and not kept with the tests). Needs gguf, tokenizers, torch and transformers.

    python3 make_smollm2_reference.py MODEL.gguf TEXT OUT_FOLDER [--positions 512]
"""

import argparse
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from make_smollm2_ids import smollm2_tokenizer


def unpermute(rows, n_head):
    """GGUF order of Q and K rows (pairs side by side) -> Hugging Face's (first and second halves of a head)."""
    head_dim = rows.shape[0] // n_head
    pairs = rows.reshape(n_head, head_dim // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)


def load_llama(path):
    reader = gguf.GGUFReader(path)
    arch = reader.fields["general.architecture"].contents()
    if arch != "llama":
        raise SystemExit(f"make_smollm2_reference: {path} has architecture {arch}, not llama")

    def key(name, default=None):
        found = reader.fields.get(f"llama.{name}")
        return found.contents() if found else default

    weights = {t.name: gguf.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
    n_head = key("attention.head_count")
    n_head_kv = key("attention.head_count_kv", n_head)
    tied = "output.weight" not in weights
    config = LlamaConfig(
        vocab_size=weights["token_embd.weight"].shape[0],
        hidden_size=key("embedding_length"),
        intermediate_size=key("feed_forward_length"),
        num_hidden_layers=key("block_count"),
        num_attention_heads=n_head,
        num_key_value_heads=n_head_kv,
        head_dim=key("rope.dimension_count", key("embedding_length") // n_head),
        max_position_embeddings=key("context_length"),
        rms_norm_eps=key("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": key("rope.freq_base", 10000.0)},
        tie_word_embeddings=tied,
        attn_implementation="eager",
    )
    state = {
        "model.embed_tokens.weight": weights["token_embd.weight"],
        "model.norm.weight": weights["output_norm.weight"],
        "lm_head.weight": weights["token_embd.weight" if tied else "output.weight"],
    }
    for il in range(config.num_hidden_layers):
        blk, layer = f"blk.{il}.", f"model.layers.{il}."
        state[layer + "input_layernorm.weight"] = weights[blk + "attn_norm.weight"]
        state[layer + "self_attn.q_proj.weight"] = unpermute(weights[blk + "attn_q.weight"], n_head)
        state[layer + "self_attn.k_proj.weight"] = unpermute(weights[blk + "attn_k.weight"], n_head_kv)
        state[layer + "self_attn.v_proj.weight"] = weights[blk + "attn_v.weight"]
        state[layer + "self_attn.o_proj.weight"] = weights[blk + "attn_output.weight"]
        state[layer + "post_attention_layernorm.weight"] = weights[blk + "ffn_norm.weight"]
        state[layer + "mlp.gate_proj.weight"] = weights[blk + "ffn_gate.weight"]
        state[layer + "mlp.up_proj.weight"] = weights[blk + "ffn_up.weight"]
        state[layer + "mlp.down_proj.weight"] = weights[blk + "ffn_down.weight"]
    model = LlamaForCausalLM(config).to(torch.float32)
    model.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()}, strict=True)
    return model.eval()


def top1_lines(ids, logits, n):
    for token, row in zip(ids[:n], logits[:n]):
        second, first = np.argsort(row)[-2:]
        yield f"{token} {first} {row[first] - row[second]:.4f}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("out_folder", type=Path)
    parser.add_argument("--positions", type=int, default=512)
    args = parser.parse_args()
    text = args.text.read_bytes().decode("utf-8")
    ids = smollm2_tokenizer(args.model).encode(text, add_special_tokens=False).ids[: args.positions]
    if len(ids) < args.positions:
        raise SystemExit(f"make_smollm2_reference: {args.text} has only {len(ids)} tokens")
    with torch.no_grad():
        logits = load_llama(args.model)(torch.tensor([ids])).logits[0].float().numpy()
    args.out_folder.mkdir(parents=True, exist_ok=True)
    (args.out_folder / "smollm2_ids.txt").write_text(" ".join(map(str, ids)) + "\n")
    (args.out_folder / "smollm2_top1.txt").write_text("".join(top1_lines(ids, logits, 64)))
    logits.astype("<f4").tofile(args.out_folder / "smollm2_logits.bin")
    log_p = torch.log_softmax(torch.from_numpy(logits), dim=-1)
    nll = -log_p[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].mean().item()
    print(f"{len(ids)} positions, n_vocab {logits.shape[1]}, mean negative log-likelihood {nll:.6f} nats")


if __name__ == "__main__":
    main()
