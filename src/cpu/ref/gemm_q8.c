/*
 * Matrix product of quantised weights with int8 activations, in plain C: what every other version is tested against.
 * A row of weights is unpacked to small integers q with a scale and an offset per 16 elements, w = scale * q + offset,
 * so that one loop serves all types:
 *
 *   y = sum over groups of 16:  d * (scale * sum(q * a) + offset * sum(a)),  x = d * a the activations.
 *
 * The integer sums are exact, and so are scale and offset: products of a half and an integer of at most 8 bits.
 */
#include "base/half.h"
#include "cpu/kernels_q8.h"
#include "quant/blocks.h"

enum { GROUP = 16 };

/* One block into its integers and, per 16 of them, scale and offset. */
typedef void unpack_fn(const void *block, int8_t *q, float *scale, float *offset);

static void fill(float *scale, float *offset, int n, float s, float o) {
    for (int i = 0; i < n; i++) {
        scale[i] = s;
        offset[i] = o;
    }
}

/* Codes of the first family: elements 0..15 in the low nibbles, 16..31 in the high ones. */
static void nibbles(const uint8_t *qs, int8_t *q) {
    for (int j = 0; j < 16; j++) {
        q[j] = (int8_t)(qs[j] & 15);
        q[j + 16] = (int8_t)(qs[j] >> 4);
    }
}

static void nibbles_through(const int8_t *values, const uint8_t *qs, int8_t *q) {
    for (int j = 0; j < 16; j++) {
        q[j] = values[qs[j] & 15];
        q[j + 16] = values[qs[j] >> 4];
    }
}

static void fifth_bits(const uint8_t *qh, int8_t *q) {
    for (int j = 0; j < 32; j++)
        q[j] = (int8_t)(q[j] | ((qh[j / 8] >> (j % 8)) & 1) << 4);
}

static void unpack_q4_0(const void *block, int8_t *q, float *scale, float *offset) {
    const tnn__block_q4_0 *b = block;
    float d = tnn__f16_to_f32(b->d);
    nibbles(b->qs, q);
    fill(scale, offset, 2, d, -8 * d);
}

static void unpack_q4_1(const void *block, int8_t *q, float *scale, float *offset) {
    const tnn__block_q4_1 *b = block;
    nibbles(b->qs, q);
    fill(scale, offset, 2, tnn__f16_to_f32(b->d), tnn__f16_to_f32(b->m));
}

static void unpack_q5_0(const void *block, int8_t *q, float *scale, float *offset) {
    const tnn__block_q5_0 *b = block;
    float d = tnn__f16_to_f32(b->d);
    nibbles(b->qs, q);
    fifth_bits(b->qh, q);
    fill(scale, offset, 2, d, -16 * d);
}

static void unpack_q5_1(const void *block, int8_t *q, float *scale, float *offset) {
    const tnn__block_q5_1 *b = block;
    nibbles(b->qs, q);
    fifth_bits(b->qh, q);
    fill(scale, offset, 2, tnn__f16_to_f32(b->d), tnn__f16_to_f32(b->m));
}

static void unpack_q8_0(const void *block, int8_t *q, float *scale, float *offset) {
    const tnn__block_q8_0 *b = block;
    for (int j = 0; j < 32; j++)
        q[j] = b->qs[j];
    fill(scale, offset, 2, tnn__f16_to_f32(b->d), 0);
}

static void unpack_iq4_nl(const void *block, int8_t *q, float *scale, float *offset) {
    const tnn__block_iq4_nl *b = block;
    nibbles_through(tnn__iq4_values, b->qs, q);
    fill(scale, offset, 2, tnn__f16_to_f32(b->d), 0);
}

static void unpack_mxfp4(const void *block, int8_t *q, float *scale, float *offset) {
    const tnn__block_mxfp4 *b = block;
    nibbles_through(tnn__fp4_values, b->qs, q);
    fill(scale, offset, 2, tnn__f32_from_bits(tnn__mxfp4_scale_bits(b->e)), 0);
}

static void unpack_q2_k(const void *block, int8_t *q, float *scale, float *offset) {
    const tnn__block_q2_k *b = block;
    float d = tnn__f16_to_f32(b->d), dmin = tnn__f16_to_f32(b->dmin);
    for (int i = 0; i < TNN__QK_K; i++)
        q[i] = (int8_t)((b->qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2)) & 3);
    for (int s = 0; s < 16; s++)
        fill(scale + s, offset + s, 1, d * (float)(b->scales[s] & 15), -dmin * (float)(b->scales[s] >> 4));
}

static void unpack_q3_k(const void *block, int8_t *q, float *scale, float *offset) {
    const tnn__block_q3_k *b = block;
    float d = tnn__f16_to_f32(b->d);
    int8_t scales[16];
    tnn__q3_k_scales(b->scales, scales);
    for (int i = 0; i < TNN__QK_K; i++) {
        int low = (b->qs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2)) & 3;
        int high = (b->hmask[i % 32] >> (i / 32)) & 1;
        q[i] = (int8_t)(low + 4 * high - 4);
    }
    for (int s = 0; s < 16; s++)
        fill(scale + s, offset + s, 1, d * (float)scales[s], 0);
}

static void unpack_k4_scales(uint16_t d_bits, uint16_t dmin_bits, const uint8_t packed[12], float *scale,
                             float *offset) {
    float d = tnn__f16_to_f32(d_bits), dmin = tnn__f16_to_f32(dmin_bits);
    uint8_t scales[8], mins[8];
    tnn__k4_scales(packed, scales, mins);
    for (int s = 0; s < 8; s++)
        fill(scale + 2 * s, offset + 2 * s, 2, d * (float)scales[s], -dmin * (float)mins[s]);
}

static void unpack_q4_k(const void *block, int8_t *q, float *scale, float *offset) {
    const tnn__block_q4_k *b = block;
    for (int i = 0; i < TNN__QK_K; i++)
        q[i] = (int8_t)((b->qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4)) & 15);
    unpack_k4_scales(b->d, b->dmin, b->scales, scale, offset);
}

static void unpack_q5_k(const void *block, int8_t *q, float *scale, float *offset) {
    const tnn__block_q5_k *b = block;
    for (int i = 0; i < TNN__QK_K; i++) {
        int low = (b->qs[i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4)) & 15;
        int high = (b->qh[i % 32] >> (i / 32)) & 1;
        q[i] = (int8_t)(low + 16 * high);
    }
    unpack_k4_scales(b->d, b->dmin, b->scales, scale, offset);
}

static void unpack_q6_k(const void *block, int8_t *q, float *scale, float *offset) {
    const tnn__block_q6_k *b = block;
    float d = tnn__f16_to_f32(b->d);
    for (int i = 0; i < TNN__QK_K; i++) {
        int n = i / 128, k = i / 32 % 4, l = i % 32;
        int low = (b->ql[64 * n + 32 * (k & 1) + l] >> (k / 2 * 4)) & 15;
        int high = (b->qh[32 * n + l] >> (2 * k)) & 3;
        q[i] = (int8_t)(low + 16 * high - 32);
    }
    for (int s = 0; s < 16; s++)
        fill(scale + s, offset + s, 1, d * (float)b->scales[s], 0);
}

static void unpack_iq4_xs(const void *block, int8_t *q, float *scale, float *offset) {
    const tnn__block_iq4_xs *b = block;
    float d = tnn__f16_to_f32(b->d);
    for (int s = 0; s < 8; s++) {
        nibbles_through(tnn__iq4_values, b->qs + 16 * s, q + 32 * s);
        fill(scale + 2 * s, offset + 2 * s, 2, d * (float)tnn__iq4_xs_scale(b, s), 0);
    }
}

/* A row's blocks one after the other. */
static inline void unpack_row(unpack_fn *unpack, int block_elems, size_t block_bytes, const void *row, int64_t n,
                              int8_t *q, float *scale, float *offset) {
    const char *block = row;
    for (int64_t k = 0; k < n; k += block_elems, block += block_bytes)
        unpack(block, q + k, scale + k / GROUP, offset + k / GROUP);
}

static float dot(const int8_t *q, const float *scale, const float *offset, const tnn__act_q8 *act, int64_t t,
                 int64_t n) {
    const int8_t *a = act->q + t * n;
    const float *d = act->d + t * (n / 32);
    const int16_t *sum = act->sum16 + t * (n / GROUP);
    float y = 0;
    for (int64_t g = 0; g < n / GROUP; g++) {
        int32_t isum = 0;
        for (int j = 0; j < GROUP; j++)
            isum += q[g * GROUP + j] * a[g * GROUP + j];
        y += d[g / 2] * (scale[g] * (float)isum + offset[g] * (float)sum[g]);
    }
    return y;
}

/* Scratch: one row, as n_in / 16 scales, as many offsets, n_in integers. */
static size_t scratch_bytes(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_cols;
    (void)rows;
    return (size_t)(n_in / GROUP) * (2 * sizeof(float) + GROUP);
}

static inline void gemm(unpack_fn *unpack, int block_elems, size_t block_bytes, const tnn__gemm_args *a, int64_t row0,
                        int64_t row1, void *scratch) {
    float *scale = scratch, *offset = scale + a->n_in / GROUP;
    int8_t *q = (int8_t *)(offset + a->n_in / GROUP);
    for (int64_t i = row0; i < row1; i++) {
        const char *row = (const char *)a->w + (size_t)i * a->row_bytes;
        unpack_row(unpack, block_elems, block_bytes, row, a->n_in, q, scale, offset);
        for (int64_t t = 0; t < a->n_cols; t++) {
            float y = dot(q, scale, offset, &a->act, t, a->n_in);
            a->y[t * a->y_stride + i] = a->bias ? y + a->bias[i] : y;
        }
    }
}

/* type, its name, elements of a block */
#define TYPES(X)                                                                                                       \
    X(Q4_0, q4_0, TNN__QK)                                                                                             \
    X(Q4_1, q4_1, TNN__QK)                                                                                             \
    X(Q5_0, q5_0, TNN__QK)                                                                                             \
    X(Q5_1, q5_1, TNN__QK)                                                                                             \
    X(Q8_0, q8_0, TNN__QK)                                                                                             \
    X(IQ4_NL, iq4_nl, TNN__QK)                                                                                         \
    X(MXFP4, mxfp4, TNN__QK)                                                                                           \
    X(Q2_K, q2_k, TNN__QK_K)                                                                                           \
    X(Q3_K, q3_k, TNN__QK_K)                                                                                           \
    X(Q4_K, q4_k, TNN__QK_K)                                                                                           \
    X(Q5_K, q5_k, TNN__QK_K)                                                                                           \
    X(Q6_K, q6_k, TNN__QK_K)                                                                                           \
    X(IQ4_XS, iq4_xs, TNN__QK_K)

#define X(TYPE, name, elems)                                                                                           \
    static void gemm_##name(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {                      \
        gemm(unpack_##name, elems, sizeof(tnn__block_##name), a, row0, row1, scratch);                                 \
    }
TYPES(X)
#undef X

void tnn__unpack_q8_row(tnn_type type, const void *row, int64_t n, int8_t *q, float *scale, float *offset) {
    switch (type) {
#define X(TYPE, name, elems)                                                                                           \
    case TNN_TYPE_##TYPE:                                                                                              \
        unpack_row(unpack_##name, elems, sizeof(tnn__block_##name), row, n, q, scale, offset);                         \
        break;
        TYPES(X)
#undef X
    default:
        break;
    }
}

void tnn__kernels_init_q8_portable(tnn__kernels *k) {
    k->quantize_act = tnn__quantize_act_portable;
#define X(TYPE, name, elems)                                                                                           \
    k->gemm[TNN_TYPE_##TYPE] = (tnn__gemm_kernel){.run = gemm_##name,                                                  \
                                                  .int8_activations = true,                                            \
                                                  .row_align = 1,                                                      \
                                                  .scratch_bytes = scratch_bytes};
    TYPES(X)
#undef X
}
