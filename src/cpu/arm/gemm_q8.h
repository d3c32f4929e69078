/*
 * Matrix products of quantised weights with int8 activations on AArch64, written once for three levels: the includer
 * defines TNN__ARM_LEVEL as 0 (NEON), 1 (dot product instructions) or 2 (8-bit matrix instructions).
 *
 * Four rows at a time are unpacked to bytes, scales and offsets, and multiplied with four columns at a time, so that
 * each byte loaded serves four products. Integer sums over a group are exact; groups are added in F32 in ascending
 * order, in four interleaved sums that are added up last, whatever the tile; with matrix instructions a whole tile has
 * one sum for each product.
 */
#ifndef TNN_CPU_ARM_GEMM_Q8_H
#define TNN_CPU_ARM_GEMM_Q8_H

#include <arm_neon.h>
#include <stdbool.h>

#include "base/half.h"
#include "cpu/kernels_q8.h"
#include "cpu/vec/compiler.h"
#include "quant/blocks.h"

enum { ROWS = 4, COLS = 4, GROUP = 32 };

/* --- rows as bytes --- */

typedef struct unpacked {
    int8_t *q[ROWS];
    float *scale[ROWS];  /* per 16 */
    float *offset[ROWS]; /* per 16 */
} unpacked;

static size_t scratch_bytes(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_cols, (void)rows;
    return ROWS * (size_t)(n_in + n_in / 16 * 2 * (int64_t)sizeof(float));
}

static unpacked carve(void *scratch, int64_t n_in) {
    unpacked u;
    float *floats = scratch;
    int8_t *bytes = (int8_t *)(floats + ROWS * (n_in / 16) * 2);
    for (int r = 0; r < ROWS; r++) {
        u.scale[r] = floats + r * (n_in / 16) * 2;
        u.offset[r] = u.scale[r] + n_in / 16;
        u.q[r] = bytes + r * n_in;
    }
    return u;
}

/* Nibbles of 16 bytes: the low ones, then the high ones. */
TNN__INLINE void store_nibbles(const uint8_t *qs, int8_t *q) {
    uint8x16_t v = vld1q_u8(qs);
    vst1q_u8((uint8_t *)q, vandq_u8(v, vdupq_n_u8(15)));
    vst1q_u8((uint8_t *)q + 16, vshrq_n_u8(v, 4));
}

TNN__INLINE void set_group(float *scale, float *offset, int64_t g, float s, float o) {
    scale[2 * g] = scale[2 * g + 1] = s;
    offset[2 * g] = offset[2 * g + 1] = o;
}

static void unpack_q8_0(const uint8_t *row, int64_t n, int8_t *q, float *scale, float *offset) {
    for (int64_t g = 0; g < n / 32; g++) {
        const tnn__block_q8_0 *b = (const void *)(row + (size_t)g * sizeof *b);
        vst1q_s8(q + 32 * g, vld1q_s8(b->qs));
        vst1q_s8(q + 32 * g + 16, vld1q_s8(b->qs + 16));
        set_group(scale, offset, g, tnn__f16_to_f32(b->d), 0.0f);
    }
}

static void unpack_q4_0(const uint8_t *row, int64_t n, int8_t *q, float *scale, float *offset) {
    for (int64_t g = 0; g < n / 32; g++) {
        const tnn__block_q4_0 *b = (const void *)(row + (size_t)g * sizeof *b);
        float d = tnn__f16_to_f32(b->d);
        store_nibbles(b->qs, q + 32 * g);
        set_group(scale, offset, g, d, -8.0f * d);
    }
}

static void unpack_q4_1(const uint8_t *row, int64_t n, int8_t *q, float *scale, float *offset) {
    for (int64_t g = 0; g < n / 32; g++) {
        const tnn__block_q4_1 *b = (const void *)(row + (size_t)g * sizeof *b);
        store_nibbles(b->qs, q + 32 * g);
        set_group(scale, offset, g, tnn__f16_to_f32(b->d), tnn__f16_to_f32(b->m));
    }
}

static void unpack_q4_k(const uint8_t *row, int64_t n, int8_t *q, float *scale, float *offset) {
    for (int64_t s = 0; s < n / 256; s++) {
        const tnn__block_q4_k *b = (const void *)(row + (size_t)s * sizeof *b);
        float d = tnn__f16_to_f32(b->d), dmin = tnn__f16_to_f32(b->dmin);
        uint8_t scales[8], mins[8];
        tnn__k4_scales(b->scales, scales, mins);
        for (int64_t i = 0; i < 4; i++) {
            int8_t *to = q + 256 * s + 64 * i;
            for (int64_t half = 0; half < 32; half += 16) {
                uint8x16_t v = vld1q_u8(b->qs + 32 * i + half);
                vst1q_u8((uint8_t *)to + half, vandq_u8(v, vdupq_n_u8(15)));
                vst1q_u8((uint8_t *)to + 32 + half, vshrq_n_u8(v, 4));
            }
        }
        for (int64_t g = 0; g < 8; g++)
            set_group(scale, offset, 8 * s + g, d * (float)scales[g], -dmin * (float)mins[g]);
    }
}

static void unpack(tnn_type type, const uint8_t *row, int64_t n, int8_t *q, float *scale, float *offset) {
    switch (type) {
    case TNN_TYPE_Q8_0:
        unpack_q8_0(row, n, q, scale, offset);
        break;
    case TNN_TYPE_Q4_0:
        unpack_q4_0(row, n, q, scale, offset);
        break;
    case TNN_TYPE_Q4_1:
        unpack_q4_1(row, n, q, scale, offset);
        break;
    case TNN_TYPE_Q4_K:
        unpack_q4_k(row, n, q, scale, offset);
        break;
    default:
        tnn__unpack_q8_row(type, row, n, q, scale, offset);
    }
}

/* --- products --- */

/* Four partial sums of 16 products. */
TNN__INLINE int32x4_t dot16(int32x4_t sum, int8x16_t a, int8x16_t b) {
#if TNN__ARM_LEVEL >= 1
    return vdotq_s32(sum, a, b);
#else
    /* Two products of bytes fit 16 bits: 2 * 128 * 127 < 2^15. */
    int16x8_t products = vmull_s8(vget_low_s8(a), vget_low_s8(b));
    products = vmlal_s8(products, vget_high_s8(a), vget_high_s8(b));
    return vpadalq_s16(sum, products);
#endif
}

/* Scales per 16 instead of per 32. */
TNN__INLINE bool has_half_groups(tnn_type type) {
    return type == TNN_TYPE_Q2_K || type == TNN_TYPE_Q3_K || type == TNN_TYPE_Q6_K;
}

/* Sum over groups of offset * d * sum of the activations. */
static float offset_sum(const float *offset, const float *d, const int16_t *sum16, int64_t n) {
    float32x4_t sum = vdupq_n_f32(0.0f);
    int64_t g = 0;
    for (; g + 4 <= n / 16; g += 4) {
        float32x2_t pair = vld1_f32(d + g / 2);
        float32x4_t scales = vcombine_f32(vdup_lane_f32(pair, 0), vdup_lane_f32(pair, 1));
        float32x4_t sums = vcvtq_f32_s32(vmovl_s16(vld1_s16(sum16 + g)));
        sum = vfmaq_f32(sum, vmulq_f32(vld1q_f32(offset + g), scales), sums);
    }
    float total = vaddvq_f32(sum);
    for (; g < n / 16; g++)
        total += offset[g] * d[g / 2] * (float)sum16[g];
    return total;
}

/* y: the product of the codes of row r of the tile, which begins at `row`, with column `col`. */
TNN__INLINE void store_product(const unpacked *u, const tnn__gemm_args *a, int r, int64_t row, int64_t col, float y) {
    int64_t n = a->n_in;
    y += offset_sum(u->offset[r], a->act.d + col * (n / 32), a->act.sum16 + col * (n / 16), n);
    a->y[col * a->y_stride + row + r] = a->bias ? y + a->bias[row + r] : y;
}

#if TNN__ARM_LEVEL < 2

TNN__INLINE void tile(bool halves, const unpacked *u, int nr, const tnn__gemm_args *a, int64_t row, int64_t col,
                      int nc) {
    int64_t n = a->n_in;
    float32x4_t sum[ROWS][COLS];
    TNN__UNROLL for (int r = 0; r < nr; r++) TNN__UNROLL for (int c = 0; c < nc; c++) sum[r][c] = vdupq_n_f32(0.0f);
    const int8_t *act = a->act.q + col * n;
    const float *d = a->act.d + col * (n / GROUP);
    for (int64_t g = 0; g < n / GROUP; g++) {
        int8x16_t low[COLS], high[COLS];
        TNN__UNROLL for (int c = 0; c < nc; c++) {
            low[c] = vld1q_s8(act + c * n + GROUP * g);
            high[c] = vld1q_s8(act + c * n + GROUP * g + 16);
        }
        TNN__UNROLL for (int r = 0; r < nr; r++) {
            int8x16_t w0 = vld1q_s8(u->q[r] + GROUP * g), w1 = vld1q_s8(u->q[r] + GROUP * g + 16);
            float s0 = u->scale[r][2 * g], s1 = u->scale[r][2 * g + 1];
            TNN__UNROLL for (int c = 0; c < nc; c++) {
                float dc = d[c * (n / GROUP) + g];
                int32x4_t first = dot16(vdupq_n_s32(0), w0, low[c]);
                if (halves) {
                    int32x4_t second = dot16(vdupq_n_s32(0), w1, high[c]);
                    sum[r][c] = vfmaq_n_f32(sum[r][c], vcvtq_f32_s32(first), s0 * dc);
                    sum[r][c] = vfmaq_n_f32(sum[r][c], vcvtq_f32_s32(second), s1 * dc);
                } else {
                    sum[r][c] = vfmaq_n_f32(sum[r][c], vcvtq_f32_s32(dot16(first, w1, high[c])), s0 * dc);
                }
            }
        }
    }
    for (int r = 0; r < nr; r++)
        for (int c = 0; c < nc; c++)
            store_product(u, a, r, row, col + c, vaddvq_f32(sum[r][c]));
}

#else

/* Two rows of 32 bytes as four vectors: eight bytes of the first, the same eight of the second. */
TNN__INLINE void pair_rows(const int8_t *a, const int8_t *b, int8x16_t pairs[4]) {
    TNN__UNROLL for (int h = 0; h < 2; h++) {
        int64x2_t x = vreinterpretq_s64_s8(vld1q_s8(a + 16 * h)), y = vreinterpretq_s64_s8(vld1q_s8(b + 16 * h));
        pairs[2 * h] = vreinterpretq_s8_s64(vzip1q_s64(x, y));
        pairs[2 * h + 1] = vreinterpretq_s8_s64(vzip2q_s64(x, y));
    }
}

/* [a, a, b, b] */
TNN__INLINE float32x4_t by_row(float a, float b) {
    return vcombine_f32(vdup_n_f32(a), vdup_n_f32(b));
}

/* Lane r is the sum of v[r]. */
TNN__INLINE int32x4_t totals(const int32x4_t v[4]) {
    return vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3]));
}

/* Four rows by four columns, two by two: lanes are row 0 column 0, row 0 column 1, row 1 column 0, row 1 column 1. */
TNN__INLINE void matrix_tile(bool halves, const unpacked *u, const tnn__gemm_args *a, int64_t row, int64_t col) {
    int64_t n = a->n_in, n_groups = n / GROUP;
    const int32x4_t zero = vdupq_n_s32(0);
    float32x4_t sum[2][2] = {{vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)}, {vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)}};
    const int8_t *act = a->act.q + col * n;
    const float *d = a->act.d + col * n_groups;
    for (int64_t g = 0; g < n_groups; g++) {
        int8x16_t x[2][4];
        float32x4_t dx[2];
        TNN__UNROLL for (int c = 0; c < 2; c++) {
            const int8_t *pair = act + 2 * c * n + GROUP * g;
            pair_rows(pair, pair + n, x[c]);
            float32x2_t both = {d[2 * c * n_groups + g], d[(2 * c + 1) * n_groups + g]};
            dx[c] = vcombine_f32(both, both);
        }
        TNN__UNROLL for (int r = 0; r < 2; r++) {
            int8x16_t w[4];
            pair_rows(u->q[2 * r] + GROUP * g, u->q[2 * r + 1] + GROUP * g, w);
            float32x4_t s0 = by_row(u->scale[2 * r][2 * g], u->scale[2 * r + 1][2 * g]);
            float32x4_t s1 = by_row(u->scale[2 * r][2 * g + 1], u->scale[2 * r + 1][2 * g + 1]);
            TNN__UNROLL for (int c = 0; c < 2; c++) {
                int32x4_t first = vmmlaq_s32(vmmlaq_s32(zero, w[0], x[c][0]), w[1], x[c][1]);
                if (halves) {
                    int32x4_t second = vmmlaq_s32(vmmlaq_s32(zero, w[2], x[c][2]), w[3], x[c][3]);
                    sum[r][c] = vfmaq_f32(sum[r][c], vcvtq_f32_s32(first), vmulq_f32(s0, dx[c]));
                    sum[r][c] = vfmaq_f32(sum[r][c], vcvtq_f32_s32(second), vmulq_f32(s1, dx[c]));
                } else {
                    first = vmmlaq_s32(vmmlaq_s32(first, w[2], x[c][2]), w[3], x[c][3]);
                    sum[r][c] = vfmaq_f32(sum[r][c], vcvtq_f32_s32(first), vmulq_f32(s0, dx[c]));
                }
            }
        }
    }
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLS; c++) {
            float lanes[4];
            vst1q_f32(lanes, sum[r / 2][c / 2]);
            store_product(u, a, r, row, col + c, lanes[r % 2 * 2 + c % 2]);
        }
}

/* The same sums for up to four rows and one column. */
TNN__INLINE void column_tile(bool halves, const unpacked *u, int nr, const tnn__gemm_args *a, int64_t row,
                             int64_t col) {
    int64_t n = a->n_in, n_groups = n / GROUP;
    float32x4_t sum = vdupq_n_f32(0.0f);
    for (int64_t g = 0; g < n_groups; g++) {
        const int8_t *x = a->act.q + col * n + GROUP * g;
        int8x16_t x0 = vld1q_s8(x), x1 = vld1q_s8(x + 16);
        int32x4_t first[ROWS], second[ROWS];
        float s0[ROWS] = {0}, s1[ROWS] = {0};
        TNN__UNROLL for (int r = 0; r < ROWS; r++) first[r] = second[r] = vdupq_n_s32(0);
        TNN__UNROLL for (int r = 0; r < nr; r++) {
            const int8_t *w = u->q[r] + GROUP * g;
            first[r] = dot16(first[r], vld1q_s8(w), x0);
            if (halves)
                second[r] = dot16(second[r], vld1q_s8(w + 16), x1);
            else
                first[r] = dot16(first[r], vld1q_s8(w + 16), x1);
            s0[r] = u->scale[r][2 * g];
            s1[r] = u->scale[r][2 * g + 1];
        }
        float d = a->act.d[col * n_groups + g];
        sum = vfmaq_f32(sum, vcvtq_f32_s32(totals(first)), vmulq_n_f32(vld1q_f32(s0), d));
        if (halves) sum = vfmaq_f32(sum, vcvtq_f32_s32(totals(second)), vmulq_n_f32(vld1q_f32(s1), d));
    }
    float lanes[ROWS];
    vst1q_f32(lanes, sum);
    for (int r = 0; r < nr; r++)
        store_product(u, a, r, row, col, lanes[r]);
}

#endif

TNN__INLINE void columns(bool halves, const unpacked *u, int nr, const tnn__gemm_args *a, int64_t row) {
    int64_t t = 0;
#if TNN__ARM_LEVEL >= 2
    for (; nr == ROWS && t + COLS <= a->n_cols; t += COLS)
        matrix_tile(halves, u, a, row, t);
    for (; t < a->n_cols; t++)
        column_tile(halves, u, nr, a, row, t);
#else
    for (; t + COLS <= a->n_cols; t += COLS)
        tile(halves, u, nr, a, row, t, COLS);
    for (; t < a->n_cols; t++)
        tile(halves, u, nr, a, row, t, 1);
#endif
}

TNN__INLINE void gemm(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    unpacked u = carve(scratch, a->n_in);
    for (int64_t i = row0; i < row1; i += ROWS) {
        int nr = row1 - i < ROWS ? (int)(row1 - i) : ROWS;
        for (int r = 0; r < nr; r++) {
            const uint8_t *row = (const uint8_t *)a->w + (size_t)(i + r) * a->row_bytes;
            unpack(type, row, a->n_in, u.q[r], u.scale[r], u.offset[r]);
        }
        if (nr == ROWS) {
            columns(has_half_groups(type), &u, ROWS, a, i);
            continue;
        }
        for (int r = 0; r < nr; r++) {
            unpacked one = {{u.q[r]}, {u.scale[r]}, {u.offset[r]}};
            columns(has_half_groups(type), &one, 1, a, i + r);
        }
    }
}

/* --- table --- */

#define X(TYPE)                                                                                                        \
    static void gemm_##TYPE(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {                      \
        gemm(TNN_TYPE_##TYPE, a, row0, row1, scratch);                                                                 \
    }
TNN__Q8_TYPES(X)
#undef X

static void init_gemm_q8(tnn__kernels *k) {
#define X(TYPE) k->gemm[TNN_TYPE_##TYPE] = (tnn__gemm_kernel){gemm_##TYPE, true, ROWS, scratch_bytes};
    TNN__Q8_TYPES(X)
#undef X
}

#endif
