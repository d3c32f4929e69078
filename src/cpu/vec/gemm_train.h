/*
 * The products of training, written once over the vectors that the including file brings: y = W x for W of any type and
 * float x, dx = W^T dy, dW += dy x^T. All three are the tile of gemm_tile.h over panels that are packed differently.
 * Rows of W go through an ordinary call into a buffer from which they are packed, so the tile is compiled once and not
 * once per type.
 *
 * The same functions multiply in BF16 when they are given x and dy in it: weights are rounded while they are packed,
 * activations are widened a block of columns at a time, and sums are in F32.
 *
 * The including file names its table of conversions, TNN__TO_F32[type](from, to, n).
 */
#ifndef TNN_CPU_VEC_GEMM_TRAIN_H
#define TNN_CPU_VEC_GEMM_TRAIN_H

#include "cpu/kernels.h"
#include "cpu/vec/gemm_tile.h"

enum {
    KC = 288,       /* longest block of K: twice that is 576, and a panel is 18 KiB, or 36 with 512 bits */
    WIDE_COLS = 96, /* columns widened at a time: 108 KiB */
    AHEAD = 16,     /* rows of W that are read ahead where a task has a part of each */
};

/* A matrix that is multiplied from the right: its numbers, or their BF16 form. */
typedef struct factor {
    const float *x;
    const uint16_t *x16; /* not NULL: instead of x */
    int64_t stride;
    float *wide; /* WIDE_COLS * KC floats, for BF16 */
} factor;

/* n_k numbers of n_rows rows, `stride` apart, into rows of KC floats. */
static void widen(const uint16_t *x, int64_t stride, int64_t n_k, int64_t n_rows, float *to) {
    for (int64_t t = 0; t < n_rows; t++, x += stride, to += KC) {
        int64_t k = 0;
        for (; k + LANES <= n_k; k += LANES)
            vf_store(to + k, vf_load_elems(TNN_TYPE_BF16, x + k));
        if (k < n_k) vf_store(to + k, vf_load_tail(TNN_TYPE_BF16, x + k, n_k - k));
    }
}

/* Panels of `rows` packed rows by all columns of f, from its k0 on. */
static void multiply(const float *panels, int64_t rows, int64_t kc, const factor *f, int64_t k0, int64_t n_cols,
                     bool first, const float *bias, float *y, int64_t y_stride) {
    if (!f->x16) {
        panels_by_columns(panels, rows, kc, f->x + k0, f->stride, n_cols, first, bias, y, y_stride);
        return;
    }
    for (int64_t t = 0; t < n_cols; t += WIDE_COLS) {
        int64_t n = n_cols - t < WIDE_COLS ? n_cols - t : WIDE_COLS;
        widen(f->x16 + t * f->stride + k0, f->stride, kc, n, f->wide);
        panels_by_columns(panels, rows, kc, f->wide, KC, n, first, bias, y + t * y_stride, y_stride);
    }
}

/* n elements of a row of W; with BF16, up to the next whole vector may change. */
static void unpack(tnn_type type, bool bf16, const void *from, float *to, int64_t n) {
    TNN__TO_F32[type](from, to, n);
    for (int64_t i = 0; bf16 && i < n; i += LANES)
        vf_store(to + i, vf_round_bf16(vf_load(to + i)));
}

/* --- y = W x: MR rows of W at a time --- */

static void gemm_any(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    float *unpacked = scratch, *wide = unpacked + MR * KC, *panels = wide + WIDE_COLS * KC;
    const factor x = {a->x, a->x16, a->x_stride, wide};
    const int64_t block = tnn_type_get_info((int32_t)a->type)->block_elems;
    const int64_t step = block_length(a->n_in, KC, block < 8 ? 8 : block);
    for (int64_t row = row0; row < row1; row += MC) {
        int64_t rows = row1 - row < MC ? row1 - row : MC;
        for (int64_t k0 = 0; k0 < a->n_in; k0 += step) {
            int64_t kc = a->n_in - k0 < step ? a->n_in - k0 : step;
            const char *w = (const char *)a->w + (size_t)row * a->row_bytes + tnn_row_bytes((int32_t)a->type, k0);
            for (int64_t i = 0; i < rows; i += MR) {
                for (int64_t r = i; r < i + MR && r < rows; r++)
                    unpack(a->type, a->x16, w + (size_t)r * a->row_bytes, unpacked + (r - i) * KC, kc);
                pack_rows(unpacked, KC, kc, panels + i * kc);
            }
            multiply(panels, rows, kc, &x, k0, a->n_cols, k0 == 0, a->bias ? a->bias + row : NULL, a->y + row,
                     a->y_stride);
        }
    }
}

static size_t gemm_any_scratch(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_in, (void)n_cols, (void)rows;
    return (size_t)((MR + WIDE_COLS) * KC + panel_floats(MC, KC)) * sizeof(float);
}

/* --- dx = W^T dy: panels of elements along k, one row of W after the other --- */

static void gemm_dx(const tnn__gemm_dx_args *a, int64_t k0, int64_t k1, void *scratch) {
    int64_t n_k = k1 - k0, padded = whole_panels(n_k);
    float *unpacked = scratch, *wide = unpacked + padded, *panels = wide + WIDE_COLS * KC;
    const factor dy = {a->dy, a->dy16, a->n_out, wide};
    memset(unpacked, 0, (size_t)padded * sizeof *unpacked);
    const size_t bytes = tnn_row_bytes((int32_t)a->type, n_k);
    const int64_t step = block_length(a->n_out, KC, 8);
    for (int64_t i0 = 0; i0 < a->n_out; i0 += step) {
        int64_t rows = a->n_out - i0 < step ? a->n_out - i0 : step;
        const char *w = (const char *)a->w + (size_t)i0 * a->row_bytes + tnn_row_bytes((int32_t)a->type, k0);
        for (int64_t i = 0; i < rows; i++) {
            const char *from = w + (size_t)i * a->row_bytes;
            for (size_t at = 0; at < bytes && i0 + i + AHEAD < a->n_out; at += 64)
                __builtin_prefetch(from + AHEAD * a->row_bytes + at);
            unpack(a->type, a->dy16, from, unpacked, n_k);
            float *to = panels + i * MR;
            for (int64_t k = 0; k < padded; k += MR, to += rows * MR) {
                TNN__UNROLL
                for (int v = 0; v < VECTORS; v++)
                    vf_store(to + v * LANES, vf_load(unpacked + k + v * LANES));
            }
        }
        multiply(panels, n_k, rows, &dy, i0, a->n_cols, i0 == 0, NULL, a->dx + k0, a->n_in);
    }
}

static size_t gemm_dx_scratch(int64_t n_in, int64_t n_cols, int64_t n_k) {
    (void)n_in, (void)n_cols;
    int64_t padded = whole_panels(n_k);
    return (size_t)(padded + WIDE_COLS * KC + padded * KC) * sizeof(float);
}

/* --- dW += dy x^T: panels of elements of x along k, one token after the other; columns are rows of dW --- */

/* to[i][t] = dy[t][i] for n_i rows of dW and n_t tokens, eight by eight. */
TNN__INLINE void transpose_dy(tnn_type type, const void *dy, int64_t n_out, int64_t n_i, int64_t n_t, float *to) {
    for (int64_t t = 0; t < n_t; t += 8) {
        for (int64_t i = 0; i < n_i; i += 8) {
            _Alignas(32) float block[8 * 8 + LANES] = {0};
            const char *from = (const char *)dy + (size_t)(t * n_out + i) * elem_bytes(type);
            for (int64_t r = 0; r < 8 && t + r < n_t; r++, from += (size_t)n_out * elem_bytes(type))
                for (int64_t l = 0; l < 8 && i + l < n_i; l += LANES) {
                    int64_t left = n_i - i - l;
                    const char *p = from + (size_t)l * elem_bytes(type);
                    vf_store(block + 8 * r + l, left >= LANES ? vf_load_elems(type, p) : vf_load_tail(type, p, left));
                }
            transpose_8x8(block, 8, to + i * KC + t, KC);
        }
    }
}

/* x and dy of the tokens [t0, t0 + n_t), which are of the type. */
TNN__INLINE void add_tokens(tnn_type type, const tnn__gemm_dw_args *a, const void *x, const void *dy, int64_t t0,
                            int64_t n_t, int64_t row0, int64_t row1, float *columns, float *panels) {
    const char *from = (const char *)x + (size_t)(t0 * a->n_in) * elem_bytes(type);
    transpose_dy(type, (const char *)dy + (size_t)(t0 * a->n_out + row0) * elem_bytes(type), a->n_out, row1 - row0, n_t,
                 columns);
    for (int64_t k0 = 0; k0 < a->n_in; k0 += MC) {
        int64_t n_k = a->n_in - k0 < MC ? a->n_in - k0 : MC;
        pack_columns(type, from + (size_t)k0 * elem_bytes(type), a->n_in, n_k, n_t, panels);
        panels_by_columns(panels, n_k, n_t, columns, KC, row1 - row0, false, NULL, a->dw + row0 * a->n_in + k0,
                          a->n_in);
    }
}

static void gemm_dw(const tnn__gemm_dw_args *a, int64_t row0, int64_t row1, void *scratch) {
    float *panels = scratch, *columns = panels + MC * KC;
    const int64_t step = block_length(a->n_cols, KC, 8);
    for (int64_t t0 = 0; t0 < a->n_cols; t0 += step) {
        int64_t n_t = a->n_cols - t0 < step ? a->n_cols - t0 : step;
        if (a->x16)
            add_tokens(TNN_TYPE_BF16, a, a->x16, a->dy16, t0, n_t, row0, row1, columns, panels);
        else
            add_tokens(TNN_TYPE_F32, a, a->x, a->dy, t0, n_t, row0, row1, columns, panels);
    }
}

static size_t gemm_dw_scratch(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_in, (void)n_cols;
    return (size_t)((MC + (rows + 7) / 8 * 8) * KC) * sizeof(float);
}

/* --- the table --- */

static void set_gemm_train(tnn__kernels *k) {
    static const tnn_type types[] = {
#define X(type) TNN_TYPE_##type,
        TNN__WEIGHT_TYPES(X)
#undef X
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        int32_t block = (int32_t)tnn_type_get_info((int32_t)types[i])->block_elems, align = block == 1 ? MR : block;
        k->gemm_float[types[i]] = k->gemm_bf16[types[i]] = (tnn__gemm_kernel){gemm_any, false, MR, gemm_any_scratch};
        k->gemm_dx[types[i]] = k->gemm_dx_bf16[types[i]] = (tnn__gemm_dx_kernel){gemm_dx, align, gemm_dx_scratch};
    }
    k->gemm_dw = k->gemm_dw_bf16 = (tnn__gemm_dw_kernel){gemm_dw, MR, gemm_dw_scratch};
}

#endif
