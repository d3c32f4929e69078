/*
 * The tile of the float products that are written once over the vectors that the including file brings: panels of MR
 * rows, k fastest but one, times up to NR columns, whose sums fill three quarters of the registers (after BLIS, Van Zee
 * and van de Geijn 2015). Each tile sums its block of K from zero and then adds to y, so the order of a sum depends on
 * the length of K alone.
 */
#ifndef TNN_CPU_VEC_GEMM_TILE_H
#define TNN_CPU_VEC_GEMM_TILE_H

#include <stdbool.h>

/* Columns of a tile. With 32 registers of four lanes: four vectors by six rather than two by twelve, fewer numbers of x
 * to spread. */
#if TNN__VF_REGISTERS == 16 || defined(__aarch64__)
#define TNN__TILE_COLUMNS 6
#define TNN__TILES(X)     X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define TNN__TILE_COLUMNS 12
#define TNN__TILES(X)     X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#endif

enum {
    VECTORS = LANES == 4 ? 4 : 2, /* to a row of a panel */
    MR = VECTORS * LANES,         /* rows of a tile: a multiple of 8 */
    NR = TNN__TILE_COLUMNS,
    STEPS = 4, /* of K at a time: fewer instructions beside the sums, which whoever shares the core also wants */
    MC = 128,  /* rows packed at a time: with blocks of K of at most 288, 144 KiB, a third of L2 or less */
};

/* n of K cut into equal blocks of at most `most`, of a multiple of `align`, which is one of 8. */
TNN__INLINE int64_t block_length(int64_t n, int64_t most, int64_t align) {
    const int64_t n_blocks = n > most ? (n + most - 1) / most : 1;
    const int64_t length = ((n + n_blocks - 1) / n_blocks + align - 1) / align * align;
    return length <= most ? length : most / align * align;
}

/* --- packing: panels are on 32 bytes --- */

TNN__INLINE int64_t whole_panels(int64_t n) {
    return (n + MR - 1) / MR * MR;
}

/* Floats that panels of up to n rows and `kc` take. */
TNN__INLINE int64_t panel_floats(int64_t n, int64_t kc) {
    return whole_panels(n) * kc + 8 * MR; /* what pack_rows writes past the end */
}

/* panel[k][i] = from[i][k] of MR rows, `stride` floats apart; up to seven k more than kc. */
TNN__INLINE void pack_rows(const float *from, int64_t stride, int64_t kc, float *panel) {
    for (int64_t i = 0; i < MR; i += 8)
        for (int64_t k = 0; k < kc; k += 8)
            transpose_8x8(from + i * stride + k, stride, panel + k * MR + i, MR);
}

/*
 * Panels whose rows are the columns of x: panel[t][0..MR) = x[t][k ..), zero from n_k on; n_t rows of x in F32 or BF16,
 * `stride` elements apart.
 */
TNN__INLINE void pack_columns(tnn_type type, const void *x, int64_t stride, int64_t n_k, int64_t n_t, float *panels) {
    for (int64_t t = 0; t < n_t; t++) {
        const char *row = (const char *)x + (size_t)(t * stride) * elem_bytes(type);
        for (int64_t k = 0; k < n_k; k += MR) {
            float *to = panels + k * n_t + t * MR;
            for (int64_t l = 0; l < MR; l += LANES) {
                const char *from = row + (size_t)(k + l) * elem_bytes(type);
                int64_t left = n_k - k - l;
                vf v = left >= LANES ? vf_load_elems(type, from)
                       : left > 0    ? vf_load_tail(type, from, left)
                                     : vf_zero();
                vf_store(to + l, v);
            }
        }
    }
}

/* --- the tile --- */

/* y[j][0..rows) of n columns, MR sums each: with the bias on the first block of K, added to what is there on the
 * others.
 */
TNN__ONCE static void store_edge(int n, const float *sums, bool first, const float *bias, float *y, int64_t y_stride,
                                 int64_t rows) {
    for (int j = 0; j < n; j++) {
        float *to = y + j * y_stride;
        for (int64_t i = 0; i < rows; i++) {
            float before = !first ? to[i] : bias ? bias[i] : 0.0f;
            to[i] = before + sums[j * MR + i];
        }
    }
}

/* The same for all rows of a panel, on the first block of K and on the others. */
TNN__INLINE void store_first(int n, vf sums[NR][VECTORS], const float *bias, float *y, int64_t y_stride) {
    vf before[VECTORS];
    TNN__UNROLL
    for (int v = 0; v < VECTORS; v++)
        before[v] = bias ? vf_load(bias + v * LANES) : vf_zero();
    TNN__UNROLL
    for (int j = 0; j < n; j++) {
        TNN__UNROLL
        for (int v = 0; v < VECTORS; v++)
            vf_store(y + j * y_stride + v * LANES, vf_add(sums[j][v], before[v]));
    }
}

TNN__INLINE void add_sums(int n, vf sums[NR][VECTORS], float *y, int64_t y_stride) {
    TNN__UNROLL
    for (int j = 0; j < n; j++) {
        TNN__UNROLL
        for (int v = 0; v < VECTORS; v++) {
            float *to = y + j * y_stride + v * LANES;
            vf_store(to, vf_add(vf_load(to), sums[j][v]));
        }
    }
}

/* acc[j] += panel[k] x[j][(k0 + k) x_step] for n columns and n_k of K. */
TNN__INLINE void add_steps(int n, int64_t n_k, const float *panel, const float *const x[NR], int64_t x_step, int64_t k0,
                           vf acc[NR][VECTORS]) {
    TNN__UNROLL
    for (int64_t k = 0; k < n_k; k++) {
        vf w[VECTORS];
        TNN__UNROLL
        for (int v = 0; v < VECTORS; v++)
            w[v] = vf_load(panel + k * MR + v * LANES);
        TNN__UNROLL
        for (int j = 0; j < n; j++) {
            vf xj = vf_set(x[j][(k0 + k) * x_step]);
            TNN__UNROLL
            for (int v = 0; v < VECTORS; v++)
                vf_add_product(&acc[j][v], w[v], xj);
        }
    }
}

/* y[j][0..rows) for n columns over one block of K. */
TNN__INLINE void tile(int n, int64_t kc, const float *panel, const float *x, int64_t x_stride, int64_t x_step,
                      bool first, const float *bias, float *y, int64_t y_stride, int64_t rows) {
    vf acc[NR][VECTORS];
    const float *column[NR];
    TNN__UNROLL
    for (int j = 0; j < n; j++) {
        column[j] = x + j * x_stride;
        TNN__UNROLL
        for (int v = 0; v < VECTORS; v++)
            acc[j][v] = vf_zero();
    }
    int64_t k = 0;
    for (; k + STEPS <= kc; k += STEPS, panel += STEPS * MR) {
        TNN__UNROLL
        for (int j = 0; x_step == 1 && NR <= 6 && j < n; j++)
            TNN__IN_REGISTER(column[j]);
        add_steps(n, STEPS, panel, column, x_step, k, acc);
    }
    for (; k < kc; k++, panel += MR)
        add_steps(n, 1, panel, column, x_step, k, acc);
    if (rows < MR) {
        float sums[NR * MR];
        TNN__UNROLL
        for (int j = 0; j < n; j++) {
            TNN__UNROLL
            for (int v = 0; v < VECTORS; v++)
                vf_store(sums + j * MR + v * LANES, acc[j][v]);
        }
        store_edge(n, sums, first, bias, y, y_stride, rows);
    } else if (first) {
        store_first(n, acc, bias, y, y_stride);
    } else {
        add_sums(n, acc, y, y_stride);
    }
}

/* Columns of the next tile when `left` are left: even halves rather than a full tile and a sliver. */
TNN__INLINE int tile_columns(int64_t left) {
    return (int)(left >= 2 * NR ? NR : left <= NR ? left : (left + 1) / 2);
}

/*
 * Panels of `rows` packed rows by all columns: x and y begin at the first column, y and bias at the first row. Numbers
 * of a column of x lie x_step apart, columns x_stride; one of them is 1.
 */
TNN__INLINE void multiply_panels(const float *panels, int64_t rows, int64_t kc, const float *x, int64_t x_stride,
                                 int64_t x_step, int64_t n_cols, bool first, const float *bias, float *y,
                                 int64_t y_stride) {
    int n;
    for (int64_t t = 0; t < n_cols; t += n) {
        n = tile_columns(n_cols - t);
        for (int64_t i = 0; i < rows; i += MR) {
            const float *b = bias ? bias + i : NULL;
            switch (n) {
#define X(n)                                                                                                           \
    case n:                                                                                                            \
        tile(n, kc, panels + i * kc, x + t * x_stride, x_stride, x_step, first, b, y + t * y_stride + i, y_stride,     \
             rows - i);                                                                                                \
        break;
                TNN__TILES(X)
#undef X
            }
        }
    }
}

/* Columns of x are rows in memory. */
TNN__ONCE static void panels_by_columns(const float *panels, int64_t rows, int64_t kc, const float *x, int64_t x_stride,
                                        int64_t n_cols, bool first, const float *bias, float *y, int64_t y_stride) {
    multiply_panels(panels, rows, kc, x, x_stride, 1, n_cols, first, bias, y, y_stride);
}

#endif
