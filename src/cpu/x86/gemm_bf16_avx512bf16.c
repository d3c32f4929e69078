/*
 * Matrix product with BF16 weights by the dot product of BF16 pairs; activations are rounded to BF16. For many columns
 * only: with few, reading W is what takes the time, and the F32 activations of the level below cost nothing.
 */
#include "cpu/x86/gemm_avx512bf16.h"
#include "cpu/x86/init.h"

enum { FEW_COLS = 32 };

/* elems elements from k0 on of every column, as kc pairs each, with zeros behind. */
static void round_columns(const tnn__gemm_args *a, int64_t k0, int64_t elems, int64_t kc, int32_t *pairs) {
    for (int64_t t = 0; t < a->n_cols; t++) {
        const float *x = a->x + t * a->x_stride + k0;
        for (int64_t i = 0; i < 2 * kc; i += LANES) {
            __m256i h = (__m256i)_mm512_cvtneps_pbh(vf_load_some(x + i, vm_first(elems - i)));
            int64_t left = (2 * kc - i) / 2 * (int64_t)sizeof *pairs;
            memcpy(pairs + t * kc + i / 2, &h, (size_t)(left < 32 ? left : 32));
        }
    }
}

static void gemm_bf16(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    int64_t step = block_words((a->n_in + 1) / 2);
    int32_t *x = scratch;
    float *panels = (float *)scratch + (a->n_cols * step + 15) / 16 * 16;
    for (int64_t k0 = 0; k0 < a->n_in; k0 += 2 * step) {
        int64_t elems = a->n_in - k0 < 2 * step ? a->n_in - k0 : 2 * step, kc = (elems + 1) / 2;
        round_columns(a, k0, elems, kc, x);
        for (int64_t row = row0; row < row1; row += MC) {
            int64_t rows = row1 - row < MC ? row1 - row : MC;
            for (int64_t i = 0; i < rows; i += MR) {
                const char *w = (const char *)a->w + (size_t)(row + i) * a->row_bytes + (size_t)k0 * 2;
                pack_panel(TNN_TYPE_BF16, true, w, a->row_bytes, rows - i, elems, panels + i * kc);
            }
            panels_by_columns(panels, rows, kc, x, a->n_cols, k0 == 0, a->bias ? a->bias + row : NULL, a->y + row,
                              a->y_stride);
        }
    }
}

static void gemm_bf16_any(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    if (a->n_cols <= FEW_COLS)
        tnn__gemm_bf16_avx512(a, row0, row1, scratch);
    else
        gemm_bf16(a, row0, row1, scratch);
}

static size_t scratch_bytes(int64_t n_in, int64_t n_cols, int64_t rows) {
    if (n_cols <= FEW_COLS) return 0;
    int64_t step = block_words((n_in + 1) / 2);
    return (size_t)((n_cols * step + 15) / 16 * 16 + panel_rows(rows) * step) * sizeof(float);
}

void tnn__kernels_init_gemm_avx512bf16(tnn__kernels *k) {
    k->gemm[TNN_TYPE_BF16] = (tnn__gemm_kernel){gemm_bf16_any, false, MR, scratch_bytes};
}
