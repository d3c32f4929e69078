/*
 * The tile of the AVX2 float products, forward and back: panels of 16 rows, k fastest but one, times up to 6 columns in
 * 12 registers (after BLIS, Van Zee and van de Geijn 2015).
 */
#ifndef TNN_CPU_X86_GEMM_TILE_AVX2_H
#define TNN_CPU_X86_GEMM_TILE_AVX2_H

#include "cpu/x86/float_avx2.h"

enum {
    MR = 16,  /* rows of a tile */
    NR = 6,   /* columns of a tile */
    KC = 256, /* longest block of K: a panel is 16 KiB, half of L1 */
    MC = 128, /* rows packed at a time: 128 KiB, a quarter of L2 or less */
};

/* panel[k][0..MR) = the weights of rows [0, rows) at k, zero from `rows` on; kc elements from w on. */
TNN__INLINE void pack_panel(tnn_type type, const char *w, size_t row_bytes, int64_t rows, int64_t kc, float *panel) {
    for (int64_t i0 = 0; i0 < MR; i0 += 8) {
        for (int64_t k = 0; k < kc; k += 8) {
            __m256 v[8];
            for (int64_t i = 0; i < 8; i++) {
                const char *p = w + (size_t)(i0 + i) * row_bytes + (size_t)k * elem_bytes(type);
                if (i0 + i >= rows)
                    v[i] = _mm256_setzero_ps();
                else
                    v[i] = kc - k >= 8 ? load8(type, p) : load_tail(type, p, kc - k);
            }
            transpose8(v);
            for (int64_t i = 0; i < 8 && k + i < kc; i++)
                _mm256_store_ps(panel + (k + i) * MR + i0, v[i]);
        }
    }
}

/* y[0..rows) of a tile's column: sum (and bias) on the first block of K, added to what is there on the others. */
TNN__INLINE void store8(__m256 sum, bool first, const float *bias, float *y, int64_t rows) {
    if (rows >= 8) {
        if (!first)
            sum = _mm256_add_ps(_mm256_loadu_ps(y), sum);
        else if (bias)
            sum = _mm256_add_ps(sum, _mm256_loadu_ps(bias));
        _mm256_storeu_ps(y, sum);
        return;
    }
    __m256i mask = tail_mask(rows);
    if (!first)
        sum = _mm256_add_ps(_mm256_maskload_ps(y, mask), sum);
    else if (bias)
        sum = _mm256_add_ps(sum, _mm256_maskload_ps(bias, mask));
    _mm256_maskstore_ps(y, mask, sum);
}

/* y[j][0..rows) for n columns over one block of K. */
TNN__INLINE void tile(int n, int64_t kc, const float *panel, const float *x, int64_t x_stride, bool first,
                      const float *bias, float *y, int64_t y_stride, int64_t rows) {
    __m256 acc[NR][2];
    TNN__UNROLL
    for (int j = 0; j < n; j++)
        acc[j][0] = acc[j][1] = _mm256_setzero_ps();
    for (int64_t k = 0; k < kc; k++) {
        __m256 w0 = _mm256_load_ps(panel + k * MR), w1 = _mm256_load_ps(panel + k * MR + 8);
        TNN__UNROLL
        for (int j = 0; j < n; j++) {
            __m256 xj = _mm256_broadcast_ss(x + j * x_stride + k);
            acc[j][0] = _mm256_fmadd_ps(w0, xj, acc[j][0]);
            acc[j][1] = _mm256_fmadd_ps(w1, xj, acc[j][1]);
        }
    }
    TNN__UNROLL
    for (int j = 0; j < n; j++) {
        store8(acc[j][0], first, bias, y + j * y_stride, rows);
        if (rows > 8) store8(acc[j][1], first, bias ? bias + 8 : NULL, y + j * y_stride + 8, rows - 8);
    }
}

/* The same for a number of columns that is no constant. */
TNN__INLINE void tile_n(int64_t n, int64_t kc, const float *panel, const float *x, int64_t x_stride, bool first,
                        const float *bias, float *y, int64_t y_stride, int64_t rows) {
    switch (n) {
    case 1:
        tile(1, kc, panel, x, x_stride, first, bias, y, y_stride, rows);
        break;
    case 2:
        tile(2, kc, panel, x, x_stride, first, bias, y, y_stride, rows);
        break;
    case 3:
        tile(3, kc, panel, x, x_stride, first, bias, y, y_stride, rows);
        break;
    case 4:
        tile(4, kc, panel, x, x_stride, first, bias, y, y_stride, rows);
        break;
    case 5:
        tile(5, kc, panel, x, x_stride, first, bias, y, y_stride, rows);
        break;
    default:
        tile(6, kc, panel, x, x_stride, first, bias, y, y_stride, rows);
        break;
    }
}

/* Columns of the next tile when `left` are left: even halves rather than a full tile and a sliver. */
TNN__INLINE int64_t tile_columns(int64_t left) {
    return left >= 2 * NR || left <= NR ? (left < NR ? left : NR) : (left + 1) / 2;
}

/* Panels of `rows` packed rows by all columns: x and y begin at the first column, y at the first row. */
TNN__INLINE void panels_by_columns(const float *panels, int64_t rows, int64_t kc, const float *x, int64_t x_stride,
                                   int64_t n_cols, bool first, const float *bias, float *y, int64_t y_stride) {
    for (int64_t t = 0, n; t < n_cols; t += n) {
        n = tile_columns(n_cols - t);
        for (int64_t i = 0; i < rows; i += MR)
            tile_n(n, kc, panels + i * kc, x + t * x_stride, x_stride, first, bias ? bias + i : NULL,
                   y + t * y_stride + i, y_stride, rows - i);
    }
}

/*
 * Panels whose rows are the columns of x: panel[t][0..MR) = x[t][k ..), zero from n_k on; n_t rows of x in F32 or BF16,
 * `stride` elements apart.
 */
TNN__INLINE void pack_transposed(tnn_type type, const void *x, int64_t stride, int64_t n_k, int64_t n_t,
                                 float *panels) {
    for (int64_t t = 0; t < n_t; t++) {
        const char *row = (const char *)x + (size_t)(t * stride) * elem_bytes(type);
        for (int64_t k = 0; k < n_k; k += MR) {
            float *to = panels + k * n_t + t * MR;
            for (int64_t half = 0; half < MR; half += 8) {
                const char *from = row + (size_t)(k + half) * elem_bytes(type);
                int64_t left = n_k - k - half;
                __m256 v = left >= 8 ? load8(type, from) : left > 0 ? load_tail(type, from, left) : _mm256_setzero_ps();
                _mm256_store_ps(to + half, v);
            }
        }
    }
}

#endif
