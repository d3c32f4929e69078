#!/usr/bin/env python3
"""Compares two files of raw logits, one row of n_vocab per position: mean KL(REF || OTHER) in nats, the greatest
difference of a logit, and how often the most probable token is the same.

    python3 compare_logits.py REF.bin OTHER.bin --n-vocab N

Files whose name ends in .f64 hold little-endian doubles, all others little-endian floats. Needs numpy.
"""

import argparse
import sys

import numpy as np


def read_rows(path, n_vocab):
    values = np.fromfile(path, dtype="<f8" if path.endswith(".f64") else "<f4")
    if values.size == 0 or values.size % n_vocab != 0:
        sys.exit(f"compare_logits: {path} has {values.size} values, which is not a number of rows of {n_vocab}")
    return values.reshape(-1, n_vocab).astype(np.float64)


def log_softmax(x):
    shifted = x - x.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("ref")
    parser.add_argument("other")
    parser.add_argument("--n-vocab", type=int, required=True)
    args = parser.parse_args()
    ref = read_rows(args.ref, args.n_vocab)
    other = read_rows(args.other, args.n_vocab)
    if ref.shape != other.shape:
        sys.exit(f"compare_logits: {args.ref} has {len(ref)} rows, {args.other} has {len(other)}")
    for path, rows in ((args.ref, ref), (args.other, other)):
        if not np.isfinite(rows).all():
            sys.exit(f"compare_logits: {path} holds values that are not finite")
    log_p = log_softmax(ref)
    kl = (np.exp(log_p) * (log_p - log_softmax(other))).sum(axis=1)
    print(f"positions {len(ref)}")
    print(f"mean_kl {kl.mean():.6e}")
    print(f"max_kl {kl.max():.6e}")
    print(f"max_abs_dlogit {np.abs(ref - other).max():.6e}")
    print(f"top1_agreement {(ref.argmax(axis=1) == other.argmax(axis=1)).mean():.6f}")


if __name__ == "__main__":
    main()
