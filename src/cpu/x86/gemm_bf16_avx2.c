/*
 * Products of training in BF16 on processors that multiply F32 alone: the tile of gemm_tile_avx2.h over weights that
 * are rounded while they are packed, and activations that are widened a block of columns at a time.
 */
#include "cpu/kernels.h"
#include "cpu/x86/dequantize_avx2.h"
#include "cpu/x86/gemm_dw_avx2.h"
#include "cpu/x86/gemm_tile_avx2.h"
#include "cpu/x86/init.h"

enum { WIDE_COLS = 96 }; /* columns widened at a time: 96 KiB */

/* Eight numbers as BF16 holds them: to nearest even, NaN stays. */
static __m256 round8(__m256 v) {
    const __m256i u = _mm256_castps_si256(v), upper = _mm256_set1_epi32((int)0xffff0000u);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i up = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
    __m256 rounded = _mm256_castsi256_ps(_mm256_and_si256(up, upper));
    return _mm256_blendv_ps(rounded, v, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
}

/* From `from` on in place; what lies between n and the next multiple of eight may change. */
static void round_row(float *row, int64_t n) {
    for (int64_t i = 0; i < n; i += 8)
        _mm256_storeu_ps(row + i, round8(_mm256_loadu_ps(row + i)));
}

/* n_k numbers of n_rows rows, `stride` apart, into rows of KC floats. */
static void widen(const uint16_t *x, int64_t stride, int64_t n_k, int64_t n_rows, float *to) {
    for (int64_t t = 0; t < n_rows; t++, x += stride, to += KC) {
        int64_t k = 0;
        for (; k + 8 <= n_k; k += 8)
            _mm256_store_ps(to + k, load8(TNN_TYPE_BF16, x + k));
        if (k < n_k) _mm256_store_ps(to + k, load_tail(TNN_TYPE_BF16, x + k, n_k - k));
    }
}

/* Panels of `rows` packed rows by all columns of x. */
static void panels_by_wide(const float *panels, int64_t rows, int64_t kc, const uint16_t *x, int64_t x_stride,
                           int64_t n_cols, bool first, const float *bias, float *y, int64_t y_stride, float *wide) {
    for (int64_t t = 0; t < n_cols; t += WIDE_COLS) {
        int64_t n = n_cols - t < WIDE_COLS ? n_cols - t : WIDE_COLS;
        widen(x + t * x_stride, x_stride, kc, n, wide);
        panels_by_columns(panels, rows, kc, wide, KC, n, first, bias, y + t * y_stride, y_stride);
    }
}

/* --- y = W x --- */

TNN__INLINE void gemm(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1, float *scratch) {
    float *panels = scratch, *unpacked = panels + MC * KC, *wide = unpacked + MR * KC;
    for (int64_t row = row0; row < row1; row += MC) {
        int64_t rows = row1 - row < MC ? row1 - row : MC;
        for (int64_t k0 = 0; k0 < a->n_in; k0 += KC) {
            int64_t kc = a->n_in - k0 < KC ? a->n_in - k0 : KC;
            const char *w = (const char *)a->w + (size_t)row * a->row_bytes + tnn_row_bytes((int32_t)type, k0);
            for (int64_t i = 0; i < rows; i += MR) {
                int64_t n = rows - i < MR ? rows - i : MR;
                for (int64_t r = 0; r < n; r++) {
                    dequantize(type, w + (size_t)(i + r) * a->row_bytes, unpacked + r * KC, kc);
                    round_row(unpacked + r * KC, kc);
                }
                pack_panel(TNN_TYPE_F32, (const char *)unpacked, KC * sizeof(float), n, kc, panels + i * kc);
            }
            panels_by_wide(panels, rows, kc, a->x16 + k0, a->x_stride, a->n_cols, k0 == 0,
                           a->bias ? a->bias + row : NULL, a->y + row, a->y_stride, wide);
        }
    }
}

static size_t gemm_scratch(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_in, (void)n_cols, (void)rows;
    return (MC + MR + WIDE_COLS) * KC * sizeof(float);
}

/* --- dx = W^T dy: panels of 16 elements along k, one row of W after the other --- */

TNN__INLINE void pack_columns(tnn_type type, const char *w, size_t row_bytes, int64_t n_rows, int64_t n_k,
                              float *panels, float *unpacked) {
    for (int64_t i = 0; i < n_rows; i++) {
        dequantize(type, w + (size_t)i * row_bytes, unpacked, n_k);
        for (int64_t k = 0; k < n_k; k += MR) {
            float *to = panels + k * n_rows + i * MR;
            _mm256_store_ps(to, round8(_mm256_loadu_ps(unpacked + k)));
            _mm256_store_ps(to + 8, round8(_mm256_loadu_ps(unpacked + k + 8)));
        }
    }
}

static int64_t padded(int64_t n) {
    return (n + MR - 1) / MR * MR;
}

TNN__INLINE void gemm_dx(tnn_type type, const tnn__gemm_dx_args *a, int64_t k0, int64_t k1, float *scratch) {
    int64_t n_k = k1 - k0;
    float *panels = scratch, *wide = panels + padded(n_k) * KC, *unpacked = wide + WIDE_COLS * KC;
    for (int64_t k = n_k; k < padded(n_k); k++)
        unpacked[k] = 0.0f;
    for (int64_t i0 = 0; i0 < a->n_out; i0 += KC) {
        int64_t rows = a->n_out - i0 < KC ? a->n_out - i0 : KC;
        const char *w = (const char *)a->w + (size_t)i0 * a->row_bytes + tnn_row_bytes((int32_t)type, k0);
        pack_columns(type, w, a->row_bytes, rows, n_k, panels, unpacked);
        panels_by_wide(panels, n_k, rows, a->dy16 + i0, a->n_out, a->n_cols, i0 == 0, NULL, a->dx + k0, a->n_in, wide);
    }
}

static size_t gemm_dx_scratch(int64_t n_in, int64_t n_cols, int64_t n_k) {
    (void)n_in, (void)n_cols;
    return (size_t)(padded(n_k) * (KC + 1) + WIDE_COLS * KC) * sizeof(float);
}

static void gemm_dw(const tnn__gemm_dw_args *a, int64_t row0, int64_t row1, void *scratch) {
    gemm_dw_of(TNN_TYPE_BF16, a->x16, a->dy16, a, row0, row1, scratch);
}

/* --- the table --- */

#define X(type)                                                                                                        \
    static void gemm_##type(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {                      \
        gemm(TNN_TYPE_##type, a, row0, row1, scratch);                                                                 \
    }                                                                                                                  \
    static void gemm_dx_##type(const tnn__gemm_dx_args *a, int64_t k0, int64_t k1, void *scratch) {                    \
        gemm_dx(TNN_TYPE_##type, a, k0, k1, scratch);                                                                  \
    }
TNN__WEIGHT_TYPES(X)
#undef X

void tnn__kernels_init_gemm_bf16_avx2(tnn__kernels *k) {
#define X(type)                                                                                                        \
    k->gemm_bf16[TNN_TYPE_##type] = (tnn__gemm_kernel){gemm_##type, false, MR, gemm_scratch};                          \
    k->gemm_dx_bf16[TNN_TYPE_##type] =                                                                                 \
        (tnn__gemm_dx_kernel){gemm_dx_##type, k->gemm_dx[TNN_TYPE_##type].k_align, gemm_dx_scratch};
    TNN__WEIGHT_TYPES(X)
#undef X
    k->gemm_dw_bf16 = (tnn__gemm_dw_kernel){gemm_dw, MR, gemm_dw_scratch};
}
