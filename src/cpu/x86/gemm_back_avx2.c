/*
 * Products of training: F32 activations with weights of any type, and the gradients of a product with respect to its
 * input and to its weights. All three are the tile of gemm_tile_avx2.h over panels that are packed differently; block
 * types are dequantised while packing.
 */
#include "cpu/kernels.h"
#include "cpu/x86/dequantize_avx2.h"
#include "cpu/x86/gemm_dw_avx2.h"
#include "cpu/x86/gemm_tile_avx2.h"
#include "cpu/x86/init.h"

/* --- y = W x: rows of W, dequantised 16 at a time --- */

TNN__INLINE void gemm_any(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1, float *scratch) {
    float *panels = scratch, *unpacked = scratch + MC * KC;
    for (int64_t row = row0; row < row1; row += MC) {
        int64_t rows = row1 - row < MC ? row1 - row : MC;
        for (int64_t k0 = 0; k0 < a->n_in; k0 += KC) {
            int64_t kc = a->n_in - k0 < KC ? a->n_in - k0 : KC;
            const char *w = (const char *)a->w + (size_t)row * a->row_bytes + tnn_row_bytes((int32_t)type, k0);
            for (int64_t i = 0; i < rows; i += MR) {
                int64_t n = rows - i < MR ? rows - i : MR;
                for (int64_t r = 0; r < n; r++)
                    dequantize(type, w + (size_t)(i + r) * a->row_bytes, unpacked + r * KC, kc);
                pack_panel(TNN_TYPE_F32, (const char *)unpacked, KC * sizeof(float), n, kc, panels + i * kc);
            }
            panels_by_columns(panels, rows, kc, a->x + k0, a->x_stride, a->n_cols, k0 == 0,
                              a->bias ? a->bias + row : NULL, a->y + row, a->y_stride);
        }
    }
}

static size_t gemm_any_scratch(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_in, (void)n_cols, (void)rows;
    return (MC + MR) * KC * sizeof(float);
}

/* --- dx = W^T dy: panels of 16 elements along k, one row of W after the other --- */

TNN__INLINE void pack_columns(tnn_type type, const char *w, size_t row_bytes, int64_t n_rows, int64_t n_k,
                              float *panels, float *unpacked) {
    for (int64_t i = 0; i < n_rows; i++) {
        dequantize(type, w + (size_t)i * row_bytes, unpacked, n_k);
        for (int64_t k = 0; k < n_k; k += MR) {
            float *to = panels + k * n_rows + i * MR;
            _mm256_store_ps(to, _mm256_loadu_ps(unpacked + k));
            _mm256_store_ps(to + 8, _mm256_loadu_ps(unpacked + k + 8));
        }
    }
}

TNN__INLINE void gemm_dx(tnn_type type, const tnn__gemm_dx_args *a, int64_t k0, int64_t k1, float *scratch) {
    int64_t n_k = k1 - k0, padded = (n_k + MR - 1) / MR * MR;
    float *panels = scratch, *unpacked = scratch + padded * KC;
    for (int64_t k = n_k; k < padded; k++)
        unpacked[k] = 0.0f;
    for (int64_t i0 = 0; i0 < a->n_out; i0 += KC) {
        int64_t rows = a->n_out - i0 < KC ? a->n_out - i0 : KC;
        const char *w = (const char *)a->w + (size_t)i0 * a->row_bytes + tnn_row_bytes((int32_t)type, k0);
        pack_columns(type, w, a->row_bytes, rows, n_k, panels, unpacked);
        panels_by_columns(panels, n_k, rows, a->dy + i0, a->n_out, a->n_cols, i0 == 0, NULL, a->dx + k0, a->n_in);
    }
}

static size_t gemm_dx_scratch(int64_t n_in, int64_t n_cols, int64_t n_k) {
    (void)n_in, (void)n_cols;
    return (size_t)((n_k + MR - 1) / MR * MR * (KC + 1)) * sizeof(float);
}

static void gemm_dw(const tnn__gemm_dw_args *a, int64_t row0, int64_t row1, void *scratch) {
    gemm_dw_of(TNN_TYPE_F32, a->x, a->dy, a, row0, row1, scratch);
}

/* --- the table --- */

#define BLOCK_TYPES(X)                                                                                                 \
    X(Q4_0, 64)                                                                                                        \
    X(Q4_1, 64)                                                                                                        \
    X(Q5_0, 64)                                                                                                        \
    X(Q5_1, 64)                                                                                                        \
    X(Q8_0, 64)                                                                                                        \
    X(IQ4_NL, 64)                                                                                                      \
    X(MXFP4, 64)                                                                                                       \
    X(Q2_K, 256)                                                                                                       \
    X(Q3_K, 256)                                                                                                       \
    X(Q4_K, 256)                                                                                                       \
    X(Q5_K, 256)                                                                                                       \
    X(Q6_K, 256)                                                                                                       \
    X(IQ4_XS, 256)
#define PLAIN_TYPES(X)                                                                                                 \
    X(F32, 16)                                                                                                         \
    X(F16, 16)                                                                                                         \
    X(BF16, 16)

#define X(type, align)                                                                                                 \
    static void gemm_##type(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {                      \
        gemm_any(TNN_TYPE_##type, a, row0, row1, scratch);                                                             \
    }
BLOCK_TYPES(X)
#undef X
#define X(type, align)                                                                                                 \
    static void gemm_dx_##type(const tnn__gemm_dx_args *a, int64_t k0, int64_t k1, void *scratch) {                    \
        gemm_dx(TNN_TYPE_##type, a, k0, k1, scratch);                                                                  \
    }
BLOCK_TYPES(X)
PLAIN_TYPES(X)
#undef X

/* The products of plain types serve training as they are. */
void tnn__kernels_init_gemm_back_avx2(tnn__kernels *k) {
#define X(type, align) k->gemm_float[TNN_TYPE_##type] = (tnn__gemm_kernel){gemm_##type, false, MR, gemm_any_scratch};
    BLOCK_TYPES(X)
#undef X
#define X(type, align) k->gemm_float[TNN_TYPE_##type] = k->gemm[TNN_TYPE_##type];
    PLAIN_TYPES(X)
#undef X
#define X(type, align) k->gemm_dx[TNN_TYPE_##type] = (tnn__gemm_dx_kernel){gemm_dx_##type, align, gemm_dx_scratch};
    BLOCK_TYPES(X)
    PLAIN_TYPES(X)
#undef X
    k->gemm_dw = (tnn__gemm_dw_kernel){gemm_dw, MR, gemm_dw_scratch};
}
