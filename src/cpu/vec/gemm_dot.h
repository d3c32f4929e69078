/*
 * Matrix product with F32, F16 or BF16 weights by dot products, written once over the vectors that the including file
 * brings: for few columns, where reading W is what takes time, so that nothing is packed. Tiles of DOT_ROWS rows by up
 * to DOT_COLS columns; a vector of partial sums along K for each, added up last, so that no result depends on its tile.
 */
#ifndef TNN_CPU_VEC_GEMM_DOT_H
#define TNN_CPU_VEC_GEMM_DOT_H

#include "cpu/kernels.h"

enum {
    DOT_ROWS = 4,
    DOT_COLS = TNN__VF_REGISTERS == 32 ? 4 : 3, /* sums, columns and a row's elements are in registers */
    DOT_COLS_LIMIT = 32,                        /* up to this many columns, faster than packed panels on x86 */
};

/* y[j][i] for r rows from w on, `apart` rows from one to the next, and n columns. */
TNN__INLINE void dot_tile(tnn_type type, int r, int n, const char *w, size_t row_bytes, int64_t apart, int64_t n_in,
                          const float *x, int64_t x_stride, const float *bias, float *y, int64_t y_stride) {
    const size_t w_stride = row_bytes * (size_t)apart;
    vf acc[DOT_COLS][DOT_ROWS];
    TNN__UNROLL
    for (int j = 0; j < n; j++) {
        TNN__UNROLL
        for (int i = 0; i < r; i++)
            acc[j][i] = vf_zero();
    }
    int64_t k = 0;
    for (; k + LANES <= n_in; k += LANES) {
        vf xs[DOT_COLS];
        TNN__UNROLL
        for (int j = 0; j < n; j++)
            xs[j] = vf_load(x + j * x_stride + k);
        TNN__UNROLL
        for (int i = 0; i < r; i++) {
            vf wi = vf_load_elems(type, w + (size_t)i * w_stride + (size_t)k * elem_bytes(type));
            TNN__UNROLL
            for (int j = 0; j < n; j++)
                acc[j][i] = vf_fma(wi, xs[j], acc[j][i]);
        }
    }
    if (k < n_in) {
        TNN__UNROLL
        for (int i = 0; i < r; i++) {
            vf wi = vf_load_tail(type, w + (size_t)i * w_stride + (size_t)k * elem_bytes(type), n_in - k);
            TNN__UNROLL
            for (int j = 0; j < n; j++)
                acc[j][i] = vf_fma(wi, vf_load_tail(TNN_TYPE_F32, x + j * x_stride + k, n_in - k), acc[j][i]);
        }
    }
    TNN__UNROLL
    for (int j = 0; j < n; j++) {
        TNN__UNROLL
        for (int i = 0; i < r; i++)
            y[j * y_stride + i * apart] = vf_sum(acc[j][i]) + (bias ? bias[i * apart] : 0.0f);
    }
}

/* A tile of r rows from row i on, for all columns. */
TNN__INLINE void dot_rows(tnn_type type, int r, const tnn__gemm_args *a, int64_t i, int64_t apart) {
    const char *w = (const char *)a->w + (size_t)i * a->row_bytes;
    const float *bias = a->bias ? a->bias + i : NULL;
    for (int64_t t = 0; t < a->n_cols; t += DOT_COLS) {
        const float *x = a->x + t * a->x_stride;
        float *y = a->y + t * a->y_stride + i;
        int64_t left = a->n_cols - t;
#define TILE(n) dot_tile(type, r, n, w, a->row_bytes, apart, a->n_in, x, a->x_stride, bias, y, a->y_stride)
        if (left == 1)
            TILE(1);
        else if (left == 2)
            TILE(2);
        else if (left == 3 && DOT_COLS > 3)
            TILE(3);
        else
            TILE(DOT_COLS);
#undef TILE
    }
}

/* The rows of a tile come from different parts of the task: each is a long stream that the processor reads ahead. */
TNN__INLINE void gemm_dot(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1) {
    int64_t apart = (row1 - row0) / DOT_ROWS;
    for (int64_t i = row0; i < row0 + apart; i++)
        dot_rows(type, DOT_ROWS, a, i, apart);
    for (int64_t i = row0 + apart * DOT_ROWS; i < row1; i++)
        dot_rows(type, 1, a, i, 1);
}

#endif
