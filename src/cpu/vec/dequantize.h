/*
 * Rows of stored weights as F32, the values of the portable conversions (src/quant) bit for bit, once for several
 * instruction sets. The including file has its vectors of floats and, as vb, of sixteen bytes:
 *
 *   vb_load(p), vb_set(x), vb_and, vb_or, vb_sub
 *   vb_shr(v, n), vb_shl(v, n)     n < 8; bits of a neighbour may come in, and have to be masked
 *   vb_bits(p)                     255 where bit l of the little-endian 16 bits at p is set, else 0
 *   vb_lookup(values, codes)       codes below 16
 *   vb_to_f32(q, scale, min, to)   to[l] = scale * q[l] - min, q signed, rounded twice
 */
#ifndef TNN_CPU_VEC_DEQUANTIZE_H
#define TNN_CPU_VEC_DEQUANTIZE_H

#include <string.h>

#include "base/half.h"
#include "quant/blocks.h"

/* Every quantised type that models are made of, and the elements of its blocks. */
#define TNN__BLOCK_TYPES(X)                                                                                            \
    X(Q4_0, q4_0, TNN__QK)                                                                                             \
    X(Q4_1, q4_1, TNN__QK)                                                                                             \
    X(Q5_0, q5_0, TNN__QK)                                                                                             \
    X(Q5_1, q5_1, TNN__QK)                                                                                             \
    X(Q8_0, q8_0, TNN__QK)                                                                                             \
    X(Q2_K, q2_k, TNN__QK_K)                                                                                           \
    X(Q3_K, q3_k, TNN__QK_K)                                                                                           \
    X(Q4_K, q4_k, TNN__QK_K)                                                                                           \
    X(Q5_K, q5_k, TNN__QK_K)                                                                                           \
    X(Q6_K, q6_k, TNN__QK_K)                                                                                           \
    X(IQ4_NL, iq4_nl, TNN__QK)                                                                                         \
    X(IQ4_XS, iq4_xs, TNN__QK_K)                                                                                       \
    X(MXFP4, mxfp4, TNN__QK)

/* Sixteen codes of n bits from bit `shift` of each byte on. */
TNN__INLINE vb codes_of(const uint8_t *bytes, int shift, int n_bits) {
    return vb_and(vb_shr(vb_load(bytes), shift), vb_set((1 << n_bits) - 1));
}

/* Bit `from` of each byte as bit `to`. */
TNN__INLINE vb one_bit(const uint8_t *bytes, int from, int to) {
    return vb_shl(codes_of(bytes, from, 1), to);
}

/* --- blocks of 32: nibbles hold elements l and l + 16 --- */

TNN__INLINE void put_nibbles(const uint8_t qs[16], int offset, float d, float min, float *to) {
    vb_to_f32(vb_sub(codes_of(qs, 0, 4), vb_set(offset)), d, min, to);
    vb_to_f32(vb_sub(codes_of(qs, 4, 4), vb_set(offset)), d, min, to + 16);
}

TNN__INLINE void put_five_bits(const uint8_t qs[16], const uint8_t qh[4], int offset, float d, float min, float *to) {
    const vb fifth = vb_set(16);
    vb low = vb_or(codes_of(qs, 0, 4), vb_and(vb_bits(qh), fifth));
    vb high = vb_or(codes_of(qs, 4, 4), vb_and(vb_bits(qh + 2), fifth));
    vb_to_f32(vb_sub(low, vb_set(offset)), d, min, to);
    vb_to_f32(vb_sub(high, vb_set(offset)), d, min, to + 16);
}

TNN__INLINE void put_values(const uint8_t qs[16], const int8_t values[16], float d, float *to) {
    vb_to_f32(vb_lookup(values, codes_of(qs, 0, 4)), d, 0, to);
    vb_to_f32(vb_lookup(values, codes_of(qs, 4, 4)), d, 0, to + 16);
}

TNN__INLINE void block_q4_0(const tnn__block_q4_0 *b, float *to) {
    put_nibbles(b->qs, 8, f32_of_f16(b->d), 0, to);
}

TNN__INLINE void block_q4_1(const tnn__block_q4_1 *b, float *to) {
    put_nibbles(b->qs, 0, f32_of_f16(b->d), -f32_of_f16(b->m), to);
}

TNN__INLINE void block_q5_0(const tnn__block_q5_0 *b, float *to) {
    put_five_bits(b->qs, b->qh, 16, f32_of_f16(b->d), 0, to);
}

TNN__INLINE void block_q5_1(const tnn__block_q5_1 *b, float *to) {
    put_five_bits(b->qs, b->qh, 0, f32_of_f16(b->d), -f32_of_f16(b->m), to);
}

TNN__INLINE void block_q8_0(const tnn__block_q8_0 *b, float *to) {
    float d = f32_of_f16(b->d);
    vb_to_f32(vb_load(b->qs), d, 0, to);
    vb_to_f32(vb_load(b->qs + 16), d, 0, to + 16);
}

TNN__INLINE void block_iq4_nl(const tnn__block_iq4_nl *b, float *to) {
    put_values(b->qs, tnn__iq4_values, f32_of_f16(b->d), to);
}

TNN__INLINE void block_mxfp4(const tnn__block_mxfp4 *b, float *to) {
    put_values(b->qs, tnn__fp4_values, tnn__f32_from_bits(tnn__mxfp4_scale_bits(b->e)), to);
}

/* --- super-blocks of 256 --- */

TNN__INLINE void block_q2_k(const tnn__block_q2_k *b, float *to) {
    float d = f32_of_f16(b->d), dmin = f32_of_f16(b->dmin);
    TNN__UNROLL
    for (int s = 0; s < 16; s++) {
        vb q = codes_of(b->qs + 32 * (s / 8) + 16 * (s % 2), 2 * (s % 8 / 2), 2);
        vb_to_f32(q, d * (float)(b->scales[s] & 15), dmin * (float)(b->scales[s] >> 4), to + 16 * s);
    }
}

TNN__INLINE void block_q3_k(const tnn__block_q3_k *b, float *to) {
    float d = f32_of_f16(b->d);
    int8_t scales[16];
    tnn__q3_k_scales(b->scales, scales);
    TNN__UNROLL
    for (int s = 0; s < 16; s++) {
        int half = s / 8, plane = s % 8 / 2, first = 16 * (s % 2);
        vb q = vb_or(codes_of(b->qs + 32 * half + first, 2 * plane, 2), one_bit(b->hmask + first, 4 * half + plane, 2));
        vb_to_f32(vb_sub(q, vb_set(4)), d * (float)scales[s], 0, to + 16 * s);
    }
}

TNN__INLINE void block_q4_k(const tnn__block_q4_k *b, float *to) {
    float d = f32_of_f16(b->d), dmin = f32_of_f16(b->dmin);
    uint8_t scales[8], mins[8];
    tnn__k4_scales(b->scales, scales, mins);
    TNN__UNROLL
    for (int i = 0; i < 16; i++) {
        int s = i / 2;
        vb q = codes_of(b->qs + 32 * (s / 2) + 16 * (i % 2), 4 * (s % 2), 4);
        vb_to_f32(q, d * (float)scales[s], dmin * (float)mins[s], to + 16 * i);
    }
}

TNN__INLINE void block_q5_k(const tnn__block_q5_k *b, float *to) {
    float d = f32_of_f16(b->d), dmin = f32_of_f16(b->dmin);
    uint8_t scales[8], mins[8];
    tnn__k4_scales(b->scales, scales, mins);
    TNN__UNROLL
    for (int i = 0; i < 16; i++) {
        int s = i / 2, first = 16 * (i % 2);
        vb q = vb_or(codes_of(b->qs + 32 * (s / 2) + first, 4 * (s % 2), 4), one_bit(b->qh + first, s, 4));
        vb_to_f32(q, d * (float)scales[s], dmin * (float)mins[s], to + 16 * i);
    }
}

TNN__INLINE void block_q6_k(const tnn__block_q6_k *b, float *to) {
    float d = f32_of_f16(b->d);
    TNN__UNROLL
    for (int s = 0; s < 16; s++) {
        int half = s / 8, plane = s % 8 / 2, first = 16 * (s % 2);
        vb low = codes_of(b->ql + 64 * half + 32 * (plane % 2) + first, 4 * (plane / 2), 4);
        vb high = codes_of(b->qh + 32 * half + first, 2 * plane, 2);
        vb q = vb_sub(vb_or(low, vb_shl(high, 4)), vb_set(32));
        vb_to_f32(q, d * (float)b->scales[s], 0, to + 16 * s);
    }
}

TNN__INLINE void block_iq4_xs(const tnn__block_iq4_xs *b, float *to) {
    float d = f32_of_f16(b->d);
    TNN__UNROLL
    for (int s = 0; s < 8; s++)
        put_values(b->qs + 16 * s, tnn__iq4_values, d * (float)tnn__iq4_xs_scale(b, s), to + 32 * s);
}

/* --- rows: n elements, whole blocks; blocks may lie at any address --- */

#define X(TYPE, name, elems)                                                                                           \
    static void name##_to_f32(const void *src, float *dst, int64_t n) {                                                \
        for (const tnn__block_##name *b = src; n > 0; n -= elems, dst += elems, b++)                                   \
            block_##name(b, dst);                                                                                      \
    }
TNN__BLOCK_TYPES(X)
#undef X

TNN__INLINE void halves_to_f32(tnn_type type, const char *from, float *to, int64_t n) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_store(to + i, vf_load_elems(type, from + 2 * i));
    if (i < n) vf_store_some(to + i, vm_first(n - i), vf_load_tail(type, from + 2 * i, n - i));
}

static void f16_to_f32(const void *src, float *dst, int64_t n) {
    halves_to_f32(TNN_TYPE_F16, src, dst, n);
}

static void bf16_to_f32(const void *src, float *dst, int64_t n) {
    halves_to_f32(TNN_TYPE_BF16, src, dst, n);
}

static void f32_to_f32(const void *src, float *dst, int64_t n) {
    memcpy(dst, src, (size_t)n * sizeof *dst);
}

/* What a level's table of conversions holds. */
#define TNN__ROWS_TO_F32(X)                                                                                            \
    X(F32, f32, 1)                                                                                                     \
    X(F16, f16, 1)                                                                                                     \
    X(BF16, bf16, 1)                                                                                                   \
    TNN__BLOCK_TYPES(X)

#endif
