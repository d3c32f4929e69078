/*
 * Matrix product with F32 activations and F32, F16 or BF16 weights.
 *
 * Many columns: after BLIS (Van Zee and van de Geijn 2015). K is cut into blocks; a block of W is packed into panels of
 * 16 rows, k fastest but one, that stay in L2; a tile of 16 rows by 6 columns lives in 12 registers. x is read in
 * place. Each tile sums its block of K from zero and then adds to y, so the order along K depends on n_in alone. Few
 * columns: dot products.
 */
#define TNN__WIDE 0
#include "cpu/x86/vec_f32.h"

#include "cpu/kernels.h"
#include "cpu/vec/gemm_dot.h"
#include "cpu/vec/gemm_tile.h"
#include "cpu/x86/init.h"

enum {
    KC = 256, /* longest block of K: a panel is 16 KiB */
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

TNN__INLINE void gemm_packed(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1, float *panels) {
    int64_t step = block_length(a->n_in, KC, 8);
    for (int64_t row = row0; row < row1; row += MC) {
        int64_t rows = row1 - row < MC ? row1 - row : MC;
        for (int64_t k0 = 0; k0 < a->n_in; k0 += step) {
            int64_t kc = a->n_in - k0 < step ? a->n_in - k0 : step;
            const char *w = (const char *)a->w + (size_t)row * a->row_bytes + (size_t)k0 * elem_bytes(type);
            for (int64_t i = 0; i < rows; i += MR)
                pack_panel(type, w + (size_t)i * a->row_bytes, a->row_bytes, rows - i, kc, panels + i * kc);
            panels_by_columns(panels, rows, kc, a->x + k0, a->x_stride, a->n_cols, k0 == 0,
                              a->bias ? a->bias + row : NULL, a->y + row, a->y_stride);
        }
    }
}

TNN__INLINE void gemm(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    if (a->n_cols <= DOT_COLS_LIMIT)
        gemm_dot(type, a, row0, row1);
    else
        gemm_packed(type, a, row0, row1, scratch);
}

static size_t scratch_bytes(int64_t n_in, int64_t n_cols, int64_t rows) {
    if (n_cols <= DOT_COLS_LIMIT) return 0;
    int64_t packed = rows < MC ? (rows + MR - 1) / MR * MR : MC;
    return (size_t)(packed * block_length(n_in, KC, 8)) * sizeof(float);
}

static void gemm_f32(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    gemm(TNN_TYPE_F32, a, row0, row1, scratch);
}
static void gemm_f16(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    gemm(TNN_TYPE_F16, a, row0, row1, scratch);
}
static void gemm_bf16(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    gemm(TNN_TYPE_BF16, a, row0, row1, scratch);
}

void tnn__kernels_init_gemm_avx2(tnn__kernels *k) {
    k->gemm[TNN_TYPE_F32] = (tnn__gemm_kernel){gemm_f32, false, MR, scratch_bytes};
    k->gemm[TNN_TYPE_F16] = (tnn__gemm_kernel){gemm_f16, false, MR, scratch_bytes};
    k->gemm[TNN_TYPE_BF16] = (tnn__gemm_kernel){gemm_bf16, false, MR, scratch_bytes};
}
