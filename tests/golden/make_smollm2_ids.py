#!/usr/bin/env python3
"""Token ids of whole texts by Hugging Face `tokenizers`, for comparison with `tnn tokenize --no-bos`.

The tokenizer is built from the vocabulary and merges of a SmolLM2 GGUF with the pre-tokenizer of SmolLM2's own
tokenizer.json: Digits(individual), then ByteLevel with its regular expression. Control tokens are matched in the
text as Hugging Face does. Needs gguf and tokenizers.

    python3 make_smollm2_ids.py MODEL.gguf OUT_FOLDER TEXT...     writes OUT_FOLDER/<TEXT's stem>.smollm2.ids
"""

import argparse
from pathlib import Path

import gguf
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

CONTROL = 3  # tokenizer.ggml.token_type


def smollm2_tokenizer(path):
    fields = gguf.GGUFReader(path).fields
    if fields["tokenizer.ggml.pre"].contents() != "smollm":
        raise SystemExit(f"make_smollm2_ids: the pre-tokenizer of {path} is not smollm")
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token, kind in zip(tokens, types) if kind == CONTROL])
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("out_folder", type=Path)
    parser.add_argument("texts", type=Path, nargs="+", metavar="TEXT")
    args = parser.parse_args()
    tokenizer = smollm2_tokenizer(args.model)
    args.out_folder.mkdir(parents=True, exist_ok=True)
    for text in args.texts:
        ids = tokenizer.encode(text.read_bytes().decode("utf-8"), add_special_tokens=False).ids
        out = args.out_folder / f"{text.stem}.smollm2.ids"
        out.write_text("".join(f"{i}\n" for i in ids))
        print(f"{out}: {len(ids)} ids")


if __name__ == "__main__":
    main()
