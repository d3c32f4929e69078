#!/usr/bin/env python3
"""Steps of Muon in float64, for tests/train/test_muon.c: data/muon.gguf, a file that is no model.

For each shape NAME (more columns than rows, more rows than columns, square): NAME.start, NAME.grad.STEP and
NAME.value.STEP after that step, F32. The formulas are those of Keller Jordan et al., "Muon: an optimizer for hidden
layers in neural networks" (2024), with the scale of Liu et al., "Muon is scalable for LLM training" (2025), eq. 4; the
script also runs torch.optim.Muon, which iterates in bfloat16, and fails if the two are further apart than that explains.
Needs numpy, gguf and torch 2.9 or newer.

    python3 make_muon_reference.py
"""

from pathlib import Path

import gguf
import numpy as np
import torch

SHAPES = {"wide": (24, 40), "tall": (40, 24), "square": (16, 16)}  # rows, columns
STEPS, LR, MOMENTUM, DECAY = 3, 0.02, 0.95, 0.1
A, B, C = 3.4445, -4.7750, 2.0315


def orthogonal(u):
    x = u / np.linalg.norm(u)
    if u.shape[0] > u.shape[1]:
        x = x.T
    for _ in range(5):
        s = x @ x.T
        x = A * x + (B * s + C * s @ s) @ x
    return x.T if u.shape[0] > u.shape[1] else x


def muon(value, grads):
    m = np.zeros_like(value)
    for g in grads:
        m = MOMENTUM * m + (1 - MOMENTUM) * g
        u = (1 - MOMENTUM) * g + MOMENTUM * m
        value = value - LR * (DECAY * value + 0.2 * np.sqrt(max(value.shape)) * orthogonal(u))
        yield value


def by_torch(start, grads):
    p = torch.nn.Parameter(torch.tensor(start, dtype=torch.float32))
    optimizer = torch.optim.Muon([p], lr=LR, weight_decay=DECAY, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw")
    for g in grads:
        p.grad = torch.tensor(g, dtype=torch.float32)
        optimizer.step()
        yield p.detach().numpy().astype(np.float64)


def main():
    rng = np.random.RandomState(0)
    writer = gguf.GGUFWriter(Path(__file__).parent / "data" / "muon.gguf", "muon")
    for key, number in {"lr": LR, "momentum": MOMENTUM, "decay": DECAY}.items():
        writer.add_float32(f"muon.{key}", number)
    for name, shape in SHAPES.items():
        start = rng.standard_normal(shape).astype(np.float32)
        grads = [rng.standard_normal(shape).astype(np.float32) for _ in range(STEPS)]
        writer.add_tensor(f"{name}.start", start)
        for step, (g, value, other) in enumerate(
                zip(grads, muon(start.astype(np.float64), [g.astype(np.float64) for g in grads]),
                    by_torch(start, grads))):
            change = np.linalg.norm(value - start)
            apart = np.linalg.norm(value - other) / change
            print(f"{name} step {step}: torch is {apart:.1e} of the change away")
            if apart > 0.02:
                raise SystemExit("make_muon_reference: that is more than bfloat16 explains")
            writer.add_tensor(f"{name}.grad.{step}", g)
            writer.add_tensor(f"{name}.value.{step}", value.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
