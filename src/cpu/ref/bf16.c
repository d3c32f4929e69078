/*
 * Products of training in BF16, the definition: both operands rounded to nearest even, sums in F32. The activations
 * come rounded; here weights are unpacked, rounded, and multiplied as numbers.
 */
#include "base/half.h"
#include "cpu/kernels.h"
#include "cpu/ref/init.h"

/* n elements of a stored row as F32 that BF16 can hold. */
static void load_rounded(tnn_type type, const void *src, float *to, int64_t n) {
    (void)tnn_dequantize_row(type, src, to, n);
    for (int64_t k = 0; k < n; k++)
        to[k] = tnn__bf16_to_f32(tnn__f32_to_bf16(to[k]));
}

/* y = W x; scratch: a row of W */
static void gemm(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    float *w = scratch;
    for (int64_t i = row0; i < row1; i++) {
        load_rounded(a->type, (const char *)a->w + (size_t)i * a->row_bytes, w, a->n_in);
        for (int64_t t = 0; t < a->n_cols; t++) {
            const uint16_t *x = a->x16 + t * a->x_stride;
            float sum = 0;
            for (int64_t k = 0; k < a->n_in; k++)
                sum += w[k] * tnn__bf16_to_f32(x[k]);
            a->y[t * a->y_stride + i] = a->bias ? sum + a->bias[i] : sum;
        }
    }
}

/* dx = W^T dy; scratch: a row of W */
static void gemm_dx(const tnn__gemm_dx_args *a, int64_t k0, int64_t k1, void *scratch) {
    float *w = scratch;
    for (int64_t t = 0; t < a->n_cols; t++)
        for (int64_t k = k0; k < k1; k++)
            a->dx[t * a->n_in + k] = 0;
    for (int64_t i = 0; i < a->n_out; i++) {
        load_rounded(a->type, (const char *)a->w + (size_t)i * a->row_bytes, w, a->n_in);
        for (int64_t t = 0; t < a->n_cols; t++) {
            float dy = tnn__bf16_to_f32(a->dy16[t * a->n_out + i]);
            for (int64_t k = k0; k < k1; k++)
                a->dx[t * a->n_in + k] += dy * w[k];
        }
    }
}

/* dW += dy x^T */
static void gemm_dw(const tnn__gemm_dw_args *a, int64_t row0, int64_t row1, void *scratch) {
    (void)scratch;
    for (int64_t t = 0; t < a->n_cols; t++)
        for (int64_t i = row0; i < row1; i++) {
            float dy = tnn__bf16_to_f32(a->dy16[t * a->n_out + i]);
            for (int64_t k = 0; k < a->n_in; k++)
                a->dw[i * a->n_in + k] += dy * tnn__bf16_to_f32(a->x16[t * a->n_in + k]);
        }
}

void tnn__kernels_init_bf16_portable(tnn__kernels *k) {
#define X(type)                                                                                                        \
    k->gemm_bf16[TNN_TYPE_##type] = (tnn__gemm_kernel){gemm, false, 1, tnn__row_scratch};                              \
    k->gemm_dx_bf16[TNN_TYPE_##type] = (tnn__gemm_dx_kernel){gemm_dx, 1, tnn__row_scratch};
    TNN__WEIGHT_TYPES(X)
#undef X
    k->gemm_dw_bf16 = (tnn__gemm_dw_kernel){gemm_dw, 1, tnn__no_scratch};
}
