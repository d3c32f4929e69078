#!/usr/bin/env python3
"""Merges that Hugging Face `tokenizers` learns from a text, for comparison with `tnn tokenizer train`.

The pre-tokenizer is that of SmolLM2's tokenizer.json (single digits, then GPT-2's), the alphabet all 256 bytes. Written
is one merge a line, as in tokenizer.ggml.merges. Needs tokenizers.

    python3 make_bpe_merges.py TEXT VOCAB_SIZE OUT
"""

import argparse
import json
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers


def learn(text, vocab_size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=2, show_progress=False,
                                  special_tokens=["<|endoftext|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([text], trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("vocab_size", type=int)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    merges = learn(args.text.read_bytes().decode("utf-8"), args.vocab_size)
    args.out.write_text("".join(f"{merge}\n" for merge in merges), encoding="utf-8")
    print(f"{args.out}: {len(merges)} merges")


if __name__ == "__main__":
    main()
