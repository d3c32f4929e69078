/*
 * Matrix product with F32 activations and F32, F16 or BF16 weights, 512 bits: packed panels for many columns, dot
 * products for few. See gemm_f32_avx2.c.
 */
#include "cpu/x86/gemm_avx512.h"

#include "cpu/vec/gemm_dot.h"
#include "cpu/x86/init.h"

/* --- many columns --- */

/* y[j][0..rows) for n columns over one block of K. */
TNN__INLINE void tile(int n, int64_t kc, const float *panel, const float *x, int64_t x_stride, bool first,
                      const float *bias, float *y, int64_t y_stride, int64_t rows) {
    vf acc[NR][2];
    TNN__UNROLL
    for (int j = 0; j < n; j++)
        acc[j][0] = acc[j][1] = vf_zero();
    for (int64_t k = 0; k < kc; k++) {
        vf w0 = vf_load(panel + k * MR), w1 = vf_load(panel + k * MR + LANES);
        TNN__UNROLL
        for (int j = 0; j < n; j++) {
            vf xj = vf_set(x[j * x_stride + k]);
            acc[j][0] = vf_fma(w0, xj, acc[j][0]);
            acc[j][1] = vf_fma(w1, xj, acc[j][1]);
        }
    }
    TNN__UNROLL
    for (int j = 0; j < n; j++) {
        store_sum(acc[j][0], first, bias, y + j * y_stride, rows);
        if (rows > LANES)
            store_sum(acc[j][1], first, bias ? bias + LANES : NULL, y + j * y_stride + LANES, rows - LANES);
    }
}

/* The packed rows [row, row + rows) by all columns. */
static void packed_block(const tnn__gemm_args *a, int64_t row, int64_t rows, int64_t k0, int64_t kc,
                         const float *panels) {
    int n;
    for (int64_t t = 0; t < a->n_cols; t += n) {
        const float *x = a->x + t * a->x_stride + k0;
        n = tile_columns(a->n_cols - t);
        for (int64_t i = 0; i < rows; i += MR) {
            const float *bias = a->bias ? a->bias + row + i : NULL;
            float *y = a->y + t * a->y_stride + row + i;
            switch (n) {
#define X(n)                                                                                                           \
    case n:                                                                                                            \
        tile(n, kc, panels + i * kc, x, a->x_stride, k0 == 0, bias, y, a->y_stride, rows - i);                         \
        break;
                TILES(X)
#undef X
            }
        }
    }
}

TNN__INLINE void gemm_packed(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1, float *panels) {
    int64_t step = block_words(a->n_in);
    for (int64_t row = row0; row < row1; row += MC) {
        int64_t rows = row1 - row < MC ? row1 - row : MC;
        for (int64_t k0 = 0; k0 < a->n_in; k0 += step) {
            int64_t kc = a->n_in - k0 < step ? a->n_in - k0 : step;
            const char *w = (const char *)a->w + (size_t)row * a->row_bytes + (size_t)k0 * elem_bytes(type);
            for (int64_t i = 0; i < rows; i += MR)
                pack_panel(type, false, w + (size_t)i * a->row_bytes, a->row_bytes, rows - i, kc, panels + i * kc);
            packed_block(a, row, rows, k0, kc, panels);
        }
    }
}

/* --- the table --- */

TNN__INLINE void gemm(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    if (a->n_cols <= DOT_COLS_LIMIT)
        gemm_dot(type, a, row0, row1);
    else
        gemm_packed(type, a, row0, row1, scratch);
}

static size_t scratch_bytes(int64_t n_in, int64_t n_cols, int64_t rows) {
    if (n_cols <= DOT_COLS_LIMIT) return 0;
    return (size_t)(panel_rows(rows) * block_words(n_in)) * sizeof(float);
}

static void gemm_f32(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    gemm(TNN_TYPE_F32, a, row0, row1, scratch);
}
static void gemm_f16(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    gemm(TNN_TYPE_F16, a, row0, row1, scratch);
}
void tnn__gemm_bf16_avx512(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    gemm(TNN_TYPE_BF16, a, row0, row1, scratch);
}

void tnn__kernels_init_gemm_avx512(tnn__kernels *k) {
    k->gemm[TNN_TYPE_F32] = (tnn__gemm_kernel){gemm_f32, false, MR, scratch_bytes};
    k->gemm[TNN_TYPE_F16] = (tnn__gemm_kernel){gemm_f16, false, MR, scratch_bytes};
    k->gemm[TNN_TYPE_BF16] = (tnn__gemm_kernel){tnn__gemm_bf16_avx512, false, MR, scratch_bytes};
}
