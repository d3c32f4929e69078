/* Kernels over one row, written once over the vectors that the including file brings. */
#ifndef TNN_CPU_VEC_ROWS_H
#define TNN_CPU_VEC_ROWS_H

#include "cpu/kernels.h"
#include "cpu/vec/elements.h"

static void rms_norm(const float *x, const float *gamma, float *y, int64_t n, float eps) {
    const vf scale = vf_set(inverse_rms(x, n, eps));
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_store(y + i, vf_mul(vf_mul(vf_load(x + i), scale), vf_load(gamma + i)));
    if (i < n) vf_store_n(y + i, vf_mul(vf_mul(vf_load_n(x + i, n - i), scale), vf_load_n(gamma + i, n - i)), n - i);
}

static void swiglu(const float *gate, const float *up, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES)
        vf_store_n(y + i, vf_mul(vf_silu(vf_load_n(gate + i, n - i)), vf_load_n(up + i, n - i)), n - i);
}

static void add(const float *a, const float *b, float *y, int64_t n) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_store(y + i, vf_add(vf_load(a + i), vf_load(b + i)));
    if (i < n) vf_store_n(y + i, vf_add(vf_load_n(a + i, n - i), vf_load_n(b + i, n - i)), n - i);
}

static void set_rows(tnn__kernels *k) {
    k->rms_norm = rms_norm;
    k->swiglu = swiglu;
    k->add = add;
}

#endif
