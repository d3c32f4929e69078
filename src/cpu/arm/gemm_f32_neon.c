/*
 * Matrix product with F32 activations and F32, F16 or BF16 weights: dot products of four rows by four columns, so that
 * each vector loaded serves four products. Four interleaved sums along K, added up last, whatever the tile.
 */
#include <arm_neon.h>
#include <string.h>

#include "base/half.h"
#include "cpu/arm/init.h"
#include "cpu/vec/compiler.h"

enum { ROWS = 4, COLS = 4 };

TNN__INLINE size_t elem_bytes(tnn_type type) {
    return type == TNN_TYPE_F32 ? 4 : 2;
}

/* Four elements at any address. */
TNN__INLINE float32x4_t load4(tnn_type type, const uint8_t *p) {
    if (type == TNN_TYPE_F32) return vreinterpretq_f32_u8(vld1q_u8(p));
    uint16x4_t h = vreinterpret_u16_u8(vld1_u8(p));
    if (type == TNN_TYPE_F16) return vcvt_f32_f16(vreinterpret_f16_u16(h));
    return vreinterpretq_f32_u32(vshll_n_u16(h, 16));
}

TNN__INLINE float load1(tnn_type type, const uint8_t *p) {
    float f;
    uint16_t h;
    if (type == TNN_TYPE_F32) {
        memcpy(&f, p, sizeof f);
        return f;
    }
    memcpy(&h, p, sizeof h);
    return type == TNN_TYPE_F16 ? tnn__f16_to_f32(h) : tnn__bf16_to_f32(h);
}

TNN__INLINE void tile(tnn_type type, const tnn__gemm_args *a, int64_t row, int nr, int64_t col, int nc) {
    const uint8_t *w = (const uint8_t *)a->w + (size_t)row * a->row_bytes;
    const float *x = a->x + col * a->x_stride;
    float32x4_t sum[ROWS][COLS];
    float rest[ROWS][COLS];
    TNN__UNROLL for (int r = 0; r < nr; r++) TNN__UNROLL for (int c = 0; c < nc; c++) {
        sum[r][c] = vdupq_n_f32(0.0f);
        rest[r][c] = 0.0f;
    }
    int64_t k = 0;
    for (; k + 4 <= a->n_in; k += 4) {
        float32x4_t xs[COLS];
        TNN__UNROLL for (int c = 0; c < nc; c++) xs[c] = vld1q_f32(x + c * a->x_stride + k);
        TNN__UNROLL for (int r = 0; r < nr; r++) {
            float32x4_t wr = load4(type, w + (size_t)r * a->row_bytes + (size_t)k * elem_bytes(type));
            TNN__UNROLL for (int c = 0; c < nc; c++) sum[r][c] = vfmaq_f32(sum[r][c], wr, xs[c]);
        }
    }
    for (; k < a->n_in; k++)
        for (int r = 0; r < nr; r++) {
            float wr = load1(type, w + (size_t)r * a->row_bytes + (size_t)k * elem_bytes(type));
            for (int c = 0; c < nc; c++)
                rest[r][c] += wr * x[c * a->x_stride + k];
        }
    for (int r = 0; r < nr; r++)
        for (int c = 0; c < nc; c++) {
            float y = vaddvq_f32(sum[r][c]) + rest[r][c];
            a->y[(col + c) * a->y_stride + row + r] = a->bias ? y + a->bias[row + r] : y;
        }
}

TNN__INLINE void gemm(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1) {
    for (int64_t i = row0, nr; i < row1; i += nr) {
        nr = row1 - i >= ROWS ? ROWS : 1;
        for (int64_t t = 0, nc; t < a->n_cols; t += nc) {
            nc = a->n_cols - t >= COLS ? COLS : 1;
            if (nr == ROWS && nc == COLS)
                tile(type, a, i, ROWS, t, COLS);
            else if (nr == ROWS)
                tile(type, a, i, ROWS, t, 1);
            else if (nc == COLS)
                tile(type, a, i, 1, t, COLS);
            else
                tile(type, a, i, 1, t, 1);
        }
    }
}

static size_t no_scratch(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_in, (void)n_cols, (void)rows;
    return 0;
}

#define TYPES(X) X(F32) X(F16) X(BF16)
#define X(TYPE)                                                                                                        \
    static void gemm_##TYPE(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {                      \
        (void)scratch;                                                                                                 \
        gemm(TNN_TYPE_##TYPE, a, row0, row1);                                                                          \
    }
TYPES(X)
#undef X

void tnn__kernels_init_gemm_neon(tnn__kernels *k) {
#define X(TYPE) k->gemm[TNN_TYPE_##TYPE] = (tnn__gemm_kernel){gemm_##TYPE, false, ROWS, no_scratch};
    TYPES(X)
#undef X
}
