/* The tile of the products with BF16 instructions: panels of 32 rows, a pair of BF16 to a word, by up to 12 columns. */
#ifndef TNN_CPU_X86_GEMM_AVX512BF16_H
#define TNN_CPU_X86_GEMM_AVX512BF16_H

#include "cpu/x86/gemm_avx512.h"

/* y[j][0..rows) for n columns over one block of K; x: pairs of BF16, kc of them per column. */
TNN__INLINE void tile(int n, int64_t kc, const float *panel, const int32_t *x, bool first, const float *bias, float *y,
                      int64_t y_stride, int64_t rows) {
    vf acc[NR][2];
    TNN__UNROLL
    for (int j = 0; j < n; j++)
        acc[j][0] = acc[j][1] = vf_zero();
    for (int64_t k = 0; k < kc; k++) {
        __m512bh w0 = (__m512bh)_mm512_loadu_si512(panel + k * MR);
        __m512bh w1 = (__m512bh)_mm512_loadu_si512(panel + k * MR + LANES);
        TNN__UNROLL
        for (int j = 0; j < n; j++) {
            __m512bh xj = (__m512bh)_mm512_set1_epi32(x[j * kc + k]);
            acc[j][0] = _mm512_dpbf16_ps(acc[j][0], w0, xj);
            acc[j][1] = _mm512_dpbf16_ps(acc[j][1], w1, xj);
        }
    }
    TNN__UNROLL
    for (int j = 0; j < n; j++) {
        store_sum(acc[j][0], first, bias, y + j * y_stride, rows);
        if (rows > LANES)
            store_sum(acc[j][1], first, bias ? bias + LANES : NULL, y + j * y_stride + LANES, rows - LANES);
    }
}

/* Panels of `rows` packed rows by all columns; kc pairs. y begins at the first row, bias too. */
static void panels_by_columns(const float *panels, int64_t rows, int64_t kc, const int32_t *x, int64_t n_cols,
                              bool first, const float *bias, float *y, int64_t y_stride) {
    int n;
    for (int64_t t = 0; t < n_cols; t += n) {
        n = tile_columns(n_cols - t);
        for (int64_t i = 0; i < rows; i += MR) {
            const float *b = bias ? bias + i : NULL;
            float *to = y + t * y_stride + i;
            switch (n) {
#define X(n)                                                                                                           \
    case n:                                                                                                            \
        tile(n, kc, panels + i * kc, x + t * kc, first, b, to, y_stride, rows - i);                                    \
        break;
                TILES(X)
#undef X
            }
        }
    }
}

#endif
