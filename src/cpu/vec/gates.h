/*
 * What surrounds the gated delta rule, row by row: gates, the gated norm, the causal convolution, and their gradients.
 * Written once over the vectors that the including kernel file brings (vec_f32.h of its architecture).
 */
#ifndef TNN_CPU_VEC_GATES_H
#define TNN_CPU_VEC_GATES_H

#include "cpu/kernels.h"
#include "cpu/vec/elements.h"

static void sigmoid(const float *x, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES)
        vf_store_n(y + i, vf_sigmoid(vf_load_n(x + i, n - i)), n - i);
}

static void sigmoid_gate(const float *x, const float *gate, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES)
        vf_store_n(y + i, vf_mul(vf_load_n(x + i, n - i), vf_sigmoid(vf_load_n(gate + i, n - i))), n - i);
}

static void sigmoid_gate_back(const float *x, const float *gate, const float *dy, float *dx, float *dgate, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        vf s = vf_sigmoid(vf_load_n(gate + i, n - i)), value = vf_load_n(x + i, n - i);
        vf through = vf_mul(vf_load_n(dy + i, n - i), s);
        vf_store_n(dx + i, through, n - i);
        vf_store_n(dgate + i, vf_mul(vf_mul(through, value), vf_sub(vf_set(1.0f), s)), n - i);
    }
}

static void rms_norm_gated(const float *x, const float *gamma, const float *z, float *y, int64_t n, float eps) {
    vf r = vf_set(inverse_rms(x, n, eps));
    for (int64_t i = 0; i < n; i += LANES) {
        vf normed = vf_mul(vf_mul(vf_load_n(x + i, n - i), r), vf_load_n(gamma + i, n - i));
        vf_store_n(y + i, vf_mul(normed, vf_silu(vf_load_n(z + i, n - i))), n - i);
    }
}

/* As the portable kernel; dx holds dy gamma silu(z) between the two passes. */
static void rms_norm_gated_back(const float *x, const float *gamma, const float *z, const float *dy, float *dx,
                                float *dz, float *dgamma, int64_t n, float eps) {
    float r = inverse_rms(x, n, eps);
    vf scale = vf_set(r), products = vf_zero();
    for (int64_t i = 0; i < n; i += LANES) {
        vf value = vf_load_n(x + i, n - i), gate = vf_load_n(z + i, n - i), d = vf_load_n(dy + i, n - i);
        vf g = vf_load_n(gamma + i, n - i), s = vf_sigmoid(gate), normed = vf_mul(value, scale);
        vf through = vf_mul(d, vf_mul(gate, s));
        vf_store_n(dgamma + i, vf_fma(through, normed, vf_load_n(dgamma + i, n - i)), n - i);
        vf_store_n(dz + i, vf_mul(vf_mul(vf_mul(d, normed), g), vf_silu_slope(gate, s)), n - i);
        through = vf_mul(through, g);
        products = vf_fma(through, value, products);
        vf_store_n(dx + i, through, n - i);
    }
    vf mean = vf_set(-vf_sum(products) * r / (float)n);
    for (int64_t i = 0; i < n; i += LANES) {
        vf normed = vf_mul(vf_load_n(x + i, n - i), scale);
        vf_store_n(dx + i, vf_mul(scale, vf_fma(normed, mean, vf_load_n(dx + i, n - i))), n - i);
    }
}

/* Widths other than 4 go through the loop. */
TNN__INLINE vf taps_sum(const float *const *x, const float *w, int64_t width, int64_t n, int64_t i) {
    vf c = vf_mul(vf_load_n(w + i, n - i), vf_load_n(x[0] + i, n - i));
    for (int64_t j = 1; j < width; j++)
        c = vf_fma(vf_load_n(w + j * n + i, n - i), vf_load_n(x[j] + i, n - i), c);
    return c;
}

TNN__INLINE void conv_row(const float *const *x, const float *w, int64_t width, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES)
        vf_store_n(y + i, vf_silu(taps_sum(x, w, width, n, i)), n - i);
}

static void conv1d_silu(const float *const *x, const float *w, int64_t width, float *y, int64_t n) {
    if (width == 4)
        conv_row(x, w, 4, y, n);
    else
        conv_row(x, w, width, y, n);
}

/* A block of channels at a time, and one row at a time: stores that alias loads of other rows by 4 KiB would stall
 * them.
 */
TNN__INLINE void conv_row_back(const float *const *x, const float *w, int64_t width, const float *dy, float *const *dx,
                               float *dw, int64_t n) {
    enum { BLOCK = 128 };
    float dc[BLOCK];
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK) {
        int64_t end = n - i0 < BLOCK ? n : i0 + BLOCK;
        for (int64_t i = i0; i < end; i += LANES) {
            vf c = taps_sum(x, w, width, n, i);
            vf_store(dc + i - i0, vf_mul(vf_load_n(dy + i, n - i), vf_silu_slope(c, vf_sigmoid(c))));
        }
        for (int64_t j = 0; j < width; j++) {
            float *sum = dw + j * n, *to = dx[j];
            const float *tap = w + j * n;
            for (int64_t i = i0; i < end; i += LANES)
                vf_store_n(sum + i, vf_fma(vf_load(dc + i - i0), vf_load_n(x[j] + i, n - i), vf_load_n(sum + i, n - i)),
                           n - i);
            for (int64_t i = i0; to && i < end; i += LANES) {
                vf before = j < width - 1 ? vf_load_n(to + i, n - i) : vf_zero();
                vf_store_n(to + i, vf_fma(vf_load(dc + i - i0), vf_load_n(tap + i, n - i), before), n - i);
            }
        }
    }
}

static void conv1d_silu_back(const float *const *x, const float *w, int64_t width, const float *dy, float *const *dx,
                             float *dw, int64_t n) {
    if (width == 4)
        conv_row_back(x, w, 4, dy, dx, dw, n);
    else
        conv_row_back(x, w, width, dy, dx, dw, n);
}

static void set_gates(tnn__kernels *k) {
    k->sigmoid = sigmoid;
    k->sigmoid_gate = sigmoid_gate;
    k->sigmoid_gate_back = sigmoid_gate_back;
    k->rms_norm_gated = rms_norm_gated;
    k->rms_norm_gated_back = rms_norm_gated_back;
    k->conv1d_silu = conv1d_silu;
    k->conv1d_silu_back = conv1d_silu_back;
}

#endif
