#!/usr/bin/env python3
"""The time that flash-linear-attention's PyTorch reference takes for what bench_gdn measures, one thread.

    pip install torch flash-linear-attention einops
    bench/gdn_reference.py [ROWS [HEADS]]
"""
import sys
import time

import torch
import torch.nn.functional as F
from fla.ops.gated_delta_rule.naive import naive_chunk_gated_delta_rule


def main():
    n_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 512
    n_heads = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    d = 128
    torch.set_num_threads(1)
    torch.manual_seed(1)
    q, k, v, dout = (torch.rand(1, n_rows, n_heads, d) * 2 - 1 for _ in range(4))
    g = -0.2 * torch.rand(1, n_rows, n_heads)
    beta = torch.rand(1, n_rows, n_heads)
    leaves = [x.requires_grad_() for x in (q, k, v, g, beta)]

    def forward():
        return naive_chunk_gated_delta_rule(F.normalize(q, dim=-1), F.normalize(k, dim=-1), v, g, beta)[0]

    def both():
        for x in leaves:
            x.grad = None
        forward().backward(dout)

    for name, run, unit in (("forward", forward, 7), ("with back", both, 22)):
        best = float("inf")
        for _ in range(5):
            start = time.thread_time()
            run()
            best = min(best, time.thread_time() - start)
        rows = n_rows * n_heads
        print(f"d {d}, {n_heads} heads, {n_rows} rows: {name} {unit * rows * d * d / best * 1e-9:.1f} GFLOP/s, "
              f"{best / rows * 1e6:.2f} us a row")


main()
