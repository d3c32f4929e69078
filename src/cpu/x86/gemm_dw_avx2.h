/*
 * dW += dy x^T for x and dy in F32 or BF16: panels of 16 elements of x along k, one token after the other; columns are
 * rows of dW.
 */
#ifndef TNN_CPU_X86_GEMM_DW_AVX2_H
#define TNN_CPU_X86_GEMM_DW_AVX2_H

#include "cpu/kernels.h"
#include "cpu/x86/gemm_tile_avx2.h"

/* to[i][t] = dy[t][i] for the rows [0, n_i) of dW and n_t tokens, eight by eight. */
TNN__INLINE void transpose_dy(tnn_type type, const char *dy, int64_t n_out, int64_t n_i, int64_t n_t, float *to) {
    size_t size = elem_bytes(type), row_bytes = (size_t)n_out * size;
    int64_t whole_i = n_i / 8 * 8, whole_t = n_t / 8 * 8;
    for (int64_t t = 0; t < whole_t; t += 8)
        for (int64_t i = 0; i < whole_i; i += 8) {
            __m256 v[8];
            for (int64_t r = 0; r < 8; r++)
                v[r] = load8(type, dy + (size_t)(t + r) * row_bytes + (size_t)i * size);
            transpose8(v);
            for (int64_t r = 0; r < 8; r++)
                _mm256_store_ps(to + (i + r) * KC + t, v[r]);
        }
    for (int64_t t = 0; t < n_t; t++)
        for (int64_t i = t < whole_t ? whole_i : 0; i < n_i; i++) {
            const char *from = dy + (size_t)t * row_bytes + (size_t)i * size;
            uint16_t half;
            if (type == TNN_TYPE_F32) {
                memcpy(to + i * KC + t, from, sizeof *to);
            } else {
                memcpy(&half, from, sizeof half);
                to[i * KC + t] = tnn__bf16_to_f32(half);
            }
        }
}

TNN__INLINE void gemm_dw_of(tnn_type type, const void *x, const void *dy, const tnn__gemm_dw_args *a, int64_t row0,
                            int64_t row1, float *scratch) {
    size_t size = elem_bytes(type);
    float *panels = scratch, *columns = panels + MC * KC;
    for (int64_t t0 = 0; t0 < a->n_cols; t0 += KC) {
        int64_t n_t = a->n_cols - t0 < KC ? a->n_cols - t0 : KC;
        transpose_dy(type, (const char *)dy + (size_t)(t0 * a->n_out + row0) * size, a->n_out, row1 - row0, n_t,
                     columns);
        for (int64_t k0 = 0; k0 < a->n_in; k0 += MC) {
            int64_t n_k = a->n_in - k0 < MC ? a->n_in - k0 : MC;
            pack_transposed(type, (const char *)x + (size_t)(t0 * a->n_in + k0) * size, a->n_in, n_k, n_t, panels);
            panels_by_columns(panels, n_k, n_t, columns, KC, row1 - row0, false, NULL, a->dw + row0 * a->n_in + k0,
                              a->n_in);
        }
    }
}

static size_t gemm_dw_scratch(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_in, (void)n_cols;
    return (size_t)((MC + rows) * KC) * sizeof(float);
}

#endif
