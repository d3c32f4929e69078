/* Rotation of a row by position, written once over the vectors that the including file brings. */
#ifndef TNN_CPU_VEC_ROPE_H
#define TNN_CPU_VEC_ROPE_H

#include <string.h>

#include "cpu/kernels.h"

/* (x0, x1) turned by the angles of cos and sin. */
TNN__INLINE void turn(vf *x0, vf *x1, vf cos, vf sin) {
    vf y0 = vf_sub(vf_mul(*x0, cos), vf_mul(*x1, sin));
    *x1 = vf_add(vf_mul(*x0, sin), vf_mul(*x1, cos));
    *x0 = y0;
}

/* LANES pairs from the i-th on: (2i, 2i + 1) or (i, i + half). */
TNN__INLINE void turn_pairs(const float *x, const float *cs, float *y, int64_t i, int64_t half, bool interleaved,
                            vf sign) {
    vf cos, sin, x0, x1;
    vf_load_pairs(cs + 2 * i, &cos, &sin);
    sin = vf_mul(sin, sign);
    if (interleaved) {
        vf_load_pairs(x + 2 * i, &x0, &x1);
        turn(&x0, &x1, cos, sin);
        vf_store_pairs(y + 2 * i, x0, x1);
    } else {
        x0 = vf_load(x + i);
        x1 = vf_load(x + half + i);
        turn(&x0, &x1, vf_in_order(cos), vf_in_order(sin));
        vf_store(y + i, x0);
        vf_store(y + half + i, x1);
    }
}

/* One pair, as the portable kernel. */
TNN__INLINE void turn_pair(const float *x, float *y, int64_t i0, int64_t i1, float cos, float sin) {
    float x0 = x[i0], x1 = x[i1];
    y[i0] = x0 * cos - x1 * sin;
    y[i1] = x0 * sin + x1 * cos;
}

TNN__INLINE void turn_row(const float *x, const float *cs, float *y, int64_t half, bool interleaved, bool inverse) {
    float sign = inverse ? -1.0f : 1.0f;
    int64_t i = 0;
    for (; i + LANES <= half; i += LANES)
        turn_pairs(x, cs, y, i, half, interleaved, vf_set(sign));
    for (; i < half; i++)
        turn_pair(x, y, interleaved ? 2 * i : i, interleaved ? 2 * i + 1 : i + half, cs[2 * i], sign * cs[2 * i + 1]);
}

static void rope(const float *x, const float *cs, float *y, int64_t d, int64_t n_rot, bool interleaved, bool inverse) {
    int64_t half = n_rot / 2;
    if (interleaved)
        turn_row(x, cs, y, half, true, inverse);
    else
        turn_row(x, cs, y, half, false, inverse);
    if (y != x) memcpy(y + 2 * half, x + 2 * half, (size_t)(d - 2 * half) * sizeof *y);
}

#endif
