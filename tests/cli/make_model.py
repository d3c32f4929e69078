#!/usr/bin/env python3
"""Writes a tiny random llama GGUF for the command's tests, with the standard library alone.

    make_model.py OUT [--arch NAME] [--no-tokenizer] [--no-template] [--vocab-only] [--iq]

Two layers of width 32, a byte-level BPE vocabulary of 256 bytes, two merges and four special tokens, the ChatML
template. Its text is noise, the same everywhere. --iq makes one tensor an IQ2_XXS, which tinynn does not run.
"""
import argparse
import random
import struct

E, LAYERS, HEADS, KV_HEADS, FF = 32, 2, 4, 2, 64
U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5

TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def text(s):
    data = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, v):
    if kind == STRING:
        return text(v)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], v)


def pair(key, kind, v):
    if isinstance(v, list):
        return text(key) + struct.pack("<iiQ", ARRAY, kind, len(v)) + b"".join(value(kind, x) for x in v)
    return text(key) + struct.pack("<i", kind) + value(kind, v)


def byte_characters():
    """The printable stand-ins of byte-level BPE."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def vocabulary():
    character = byte_characters()
    space = character[32]
    tokens = ["<|bos|>", "<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    kinds = [3] * len(tokens)
    words = [character[b] for b in range(256)] + ["he", space + "t"]
    return tokens + words, kinds + [1] * len(words), ["h e", space + " t"]


def metadata(args, tokens, kinds, merges):
    a = args.arch
    keys = [
        pair("general.architecture", STRING, a),
        pair("general.name", STRING, "tiny \x1b[31mtest\x07"),
        pair("general.file_type", U32, 0),
        pair(f"{a}.context_length", U32, 256),
        pair(f"{a}.embedding_length", U32, E),
        pair(f"{a}.block_count", U32, LAYERS),
        pair(f"{a}.feed_forward_length", U32, FF),
        pair(f"{a}.attention.head_count", U32, HEADS),
        pair(f"{a}.attention.head_count_kv", U32, KV_HEADS),
        pair(f"{a}.attention.layer_norm_rms_epsilon", F32, 1e-5),
        pair(f"{a}.rope.freq_base", F32, 10000.0),
        pair(f"{a}.vocab_size", U32, len(tokens)),
    ]
    if args.no_tokenizer:
        return keys + [pair("tokenizer.ggml.model", STRING, "none")]
    keys += [
        pair("tokenizer.ggml.model", STRING, "gpt2"),
        pair("tokenizer.ggml.pre", STRING, "gpt-2"),
        pair("tokenizer.ggml.tokens", STRING, tokens),
        pair("tokenizer.ggml.token_type", I32, kinds),
        pair("tokenizer.ggml.merges", STRING, merges),
        pair("tokenizer.ggml.bos_token_id", U32, 0),
        pair("tokenizer.ggml.eos_token_id", U32, 2),
        pair("tokenizer.ggml.add_bos_token", BOOL, True),
    ]
    return keys if args.no_template else keys + [pair("tokenizer.chat_template", STRING, TEMPLATE)]


def shapes(args, n_vocab):
    """name -> ne"""
    if args.vocab_only:
        return {}
    head = E // HEADS
    out = {"token_embd.weight": (E, n_vocab), "output_norm.weight": (E,), "output.weight": (E, n_vocab)}
    for i in range(LAYERS):
        out.update({
            f"blk.{i}.attn_norm.weight": (E,),
            f"blk.{i}.attn_q.weight": (E, HEADS * head),
            f"blk.{i}.attn_k.weight": (E, KV_HEADS * head),
            f"blk.{i}.attn_v.weight": (E, KV_HEADS * head),
            f"blk.{i}.attn_output.weight": (HEADS * head, E),
            f"blk.{i}.ffn_norm.weight": (E,),
            f"blk.{i}.ffn_gate.weight": (E, FF),
            f"blk.{i}.ffn_up.weight": (E, FF),
            f"blk.{i}.ffn_down.weight": (FF, E),
        })
    if args.iq:
        out["blk.0.iq.weight"] = (256,)
    return out


def data_of(rng, name, ne):
    n = ne[0] * (ne[1] if len(ne) > 1 else 1)
    if name == "blk.0.iq.weight":
        return 16, bytes(66)
    if len(ne) == 1:
        return 0, struct.pack(f"<{n}f", *[1.0] * n)
    return 0, struct.pack(f"<{n}f", *[rng.gauss(0, 0.3) for _ in range(n)])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--arch", default="llama")
    for flag in ("--no-tokenizer", "--no-template", "--vocab-only", "--iq"):
        parser.add_argument(flag, action="store_true")
    args = parser.parse_args()

    tokens, kinds, merges = vocabulary()
    keys = metadata(args, tokens, kinds, merges)
    rng = random.Random(7)
    infos, blob = [], b""
    for name, ne in shapes(args, len(tokens)).items():
        kind, data = data_of(rng, name, ne)
        infos.append(text(name) + struct.pack(f"<I{len(ne)}QiQ", len(ne), *ne, kind, len(blob)))
        blob += data + bytes(-len(data) % 32)
    header = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(keys)) + b"".join(keys) + b"".join(infos)
    with open(args.out, "wb") as f:
        f.write(header + bytes(-len(header) % 32) + blob)


main()
