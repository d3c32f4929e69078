/*
 * Blocks to vectors, for both the row products and the panels. All types are seen the same way: chunks of up to eight
 * groups of 32 weights (a super-block of a K type, eight blocks of the others), of each group 32 codes in their order
 * along the row and of each chunk eight scales. What a code means:
 *
 *   unsigned, one scale:    w = scale * (code - code_offset(type)) + min
 *   signed:                 w = scale * code                                       Q8_0, IQ4_NL, IQ4_XS
 *   unsigned, half groups:  w = d * scale * (code - code_offset(type)) - dmin * min    Q2_K, Q3_K, Q6_K, per 16
 */
#ifndef TNN_CPU_X86_UNPACK_Q8_H
#define TNN_CPU_X86_UNPACK_Q8_H

#include <tinynn/types.h>

#include "cpu/x86/vec_q8.h"
#include "quant/blocks.h"

KERNEL int block_elems(tnn_type type) {
    switch (type) {
    case TNN_TYPE_Q2_K:
    case TNN_TYPE_Q3_K:
    case TNN_TYPE_Q4_K:
    case TNN_TYPE_Q5_K:
    case TNN_TYPE_Q6_K:
    case TNN_TYPE_IQ4_XS:
        return TNN__QK_K;
    default:
        return TNN__QK;
    }
}

KERNEL size_t block_bytes(tnn_type type) {
    switch (type) {
    case TNN_TYPE_Q4_0:
        return sizeof(tnn__block_q4_0);
    case TNN_TYPE_Q4_1:
        return sizeof(tnn__block_q4_1);
    case TNN_TYPE_Q5_0:
        return sizeof(tnn__block_q5_0);
    case TNN_TYPE_Q5_1:
        return sizeof(tnn__block_q5_1);
    case TNN_TYPE_Q8_0:
        return sizeof(tnn__block_q8_0);
    case TNN_TYPE_Q2_K:
        return sizeof(tnn__block_q2_k);
    case TNN_TYPE_Q3_K:
        return sizeof(tnn__block_q3_k);
    case TNN_TYPE_Q4_K:
        return sizeof(tnn__block_q4_k);
    case TNN_TYPE_Q5_K:
        return sizeof(tnn__block_q5_k);
    case TNN_TYPE_Q6_K:
        return sizeof(tnn__block_q6_k);
    case TNN_TYPE_IQ4_NL:
        return sizeof(tnn__block_iq4_nl);
    case TNN_TYPE_IQ4_XS:
        return sizeof(tnn__block_iq4_xs);
    default:
        return sizeof(tnn__block_mxfp4);
    }
}

/* Where element k of a row lies; k is a multiple of the block size. */
KERNEL size_t row_offset(tnn_type type, int64_t k) {
    return (size_t)(k / block_elems(type)) * block_bytes(type);
}

KERNEL bool has_signed_codes(tnn_type type) {
    return type == TNN_TYPE_Q8_0 || type == TNN_TYPE_IQ4_NL || type == TNN_TYPE_IQ4_XS;
}

KERNEL bool has_half_groups(tnn_type type) {
    return type == TNN_TYPE_Q2_K || type == TNN_TYPE_Q3_K || type == TNN_TYPE_Q6_K;
}

KERNEL bool has_min(tnn_type type) {
    return type == TNN_TYPE_Q4_1 || type == TNN_TYPE_Q5_1 || type == TNN_TYPE_Q2_K || type == TNN_TYPE_Q4_K ||
           type == TNN_TYPE_Q5_K;
}

/* What is subtracted from a code; for signed codes, what makes them unsigned. */
KERNEL int code_offset(tnn_type type) {
    switch (type) {
    case TNN_TYPE_Q3_K:
        return 4;
    case TNN_TYPE_Q4_0:
        return 8;
    case TNN_TYPE_MXFP4:
        return 12;
    case TNN_TYPE_Q5_0:
        return 16;
    case TNN_TYPE_Q6_K:
        return 32;
    case TNN_TYPE_Q8_0:
    case TNN_TYPE_IQ4_NL:
    case TNN_TYPE_IQ4_XS:
        return 128;
    default:
        return 0;
    }
}

/* How many products with an int8 of at most 127 can be added in pairs in 16 bits: 2 * chain * max code * 127 < 2^15. */
KERNEL int code_chain(tnn_type type) {
    switch (type) {
    case TNN_TYPE_Q4_0:
    case TNN_TYPE_Q4_1:
    case TNN_TYPE_Q4_K:
        return 8; /* codes up to 15 */
    case TNN_TYPE_Q6_K:
        return 2; /* up to 63 */
    case TNN_TYPE_Q8_0:
    case TNN_TYPE_IQ4_NL:
    case TNN_TYPE_IQ4_XS:
        return 1; /* up to 128 */
    default:
        return 4; /* up to 31 */
    }
}

/* --- codes -------------------------------------------------------------------------------------------------------- */

KERNEL __m128i load128(const void *p) {
    return _mm_loadu_si128(p);
}

KERNEL __m256i load256(const void *p) {
    return _mm256_loadu_si256(p);
}

/* Each byte shifted right by n bits and cut to the bits of mask, which are few enough that no neighbour shows. */
KERNEL __m256i bits(__m256i v, int n, int mask) {
    return _mm256_and_si256(_mm256_srli_epi16(v, n), _mm256_set1_epi8((char)mask));
}

/* 16 bytes to 32 nibbles, the low ones first. */
KERNEL __m256i nibbles(const uint8_t *qs) {
    __m128i v = load128(qs);
    return bits(_mm256_inserti128_si256(_mm256_castsi128_si256(v), _mm_srli_epi16(v, 4), 1), 0, 15);
}

KERNEL __m256i lookup(const int8_t values[16], __m256i codes) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load128(values)), codes);
}

/* 16 in each of the 32 bytes whose bit is set. */
KERNEL __m256i fifth_bits(const uint8_t *qh) {
    __m256i byte = _mm256_setr_epi64x(0x0000000000000000, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
    __m256i v = _mm256_shuffle_epi8(_mm256_set1_epi32((int)load_u32(qh)), byte);
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(v, bit), bit), _mm256_set1_epi8(16));
}

/* The doubled FP4 values plus code_offset. */
static const int8_t fp4_codes[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

KERNEL __m256i codes_q5_k(const tnn__block_q5_k *b, int g) {
    __m256i high = bits(load256(b->qh), g, 1);
    return _mm256_or_si256(bits(load256(b->qs + g / 2 * 32), g % 2 * 4, 15), _mm256_slli_epi16(high, 4));
}

KERNEL __m256i codes_q6_k(const tnn__block_q6_k *b, int g) {
    __m256i low = bits(load256(b->ql + g / 4 * 64 + g % 2 * 32), g % 4 / 2 * 4, 15);
    __m256i high = bits(load256(b->qh + g / 4 * 32), g % 4 * 2, 3);
    return _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
}

KERNEL __m256i codes_q3_k(const tnn__block_q3_k *b, int g) {
    __m256i low = bits(load256(b->qs + g / 4 * 32), g % 4 * 2, 3);
    __m256i high = bits(load256(b->hmask), g, 1);
    return _mm256_or_si256(low, _mm256_slli_epi16(high, 2));
}

/* The 32 codes of group g of a chunk. */
KERNEL __m256i group_codes(tnn_type type, const uint8_t *chunk, int g) {
    const uint8_t *block = chunk + (block_elems(type) == TNN__QK ? (size_t)g * block_bytes(type) : 0);
    switch (type) {
    case TNN_TYPE_Q4_0:
        return nibbles(((const tnn__block_q4_0 *)block)->qs);
    case TNN_TYPE_Q4_1:
        return nibbles(((const tnn__block_q4_1 *)block)->qs);
    case TNN_TYPE_Q5_0: {
        const tnn__block_q5_0 *b = (const tnn__block_q5_0 *)block;
        return _mm256_or_si256(nibbles(b->qs), fifth_bits(b->qh));
    }
    case TNN_TYPE_Q5_1: {
        const tnn__block_q5_1 *b = (const tnn__block_q5_1 *)block;
        return _mm256_or_si256(nibbles(b->qs), fifth_bits(b->qh));
    }
    case TNN_TYPE_Q8_0:
        return load256(((const tnn__block_q8_0 *)block)->qs);
    case TNN_TYPE_IQ4_NL:
        return lookup(tnn__iq4_values, nibbles(((const tnn__block_iq4_nl *)block)->qs));
    case TNN_TYPE_IQ4_XS:
        return lookup(tnn__iq4_values, nibbles(((const tnn__block_iq4_xs *)block)->qs + 16 * g));
    case TNN_TYPE_Q2_K:
        return bits(load256(((const tnn__block_q2_k *)block)->qs + g / 4 * 32), g % 4 * 2, 3);
    case TNN_TYPE_Q3_K:
        return codes_q3_k((const tnn__block_q3_k *)block, g);
    case TNN_TYPE_Q4_K:
        return bits(load256(((const tnn__block_q4_k *)block)->qs + g / 2 * 32), g % 2 * 4, 15);
    case TNN_TYPE_Q5_K:
        return codes_q5_k((const tnn__block_q5_k *)block, g);
    case TNN_TYPE_Q6_K:
        return codes_q6_k((const tnn__block_q6_k *)block, g);
    default:
        return lookup(fp4_codes, nibbles(((const tnn__block_mxfp4 *)block)->qs));
    }
}

/* --- scales ------------------------------------------------------------------------------------------------------- */

KERNEL float half_to_float(uint16_t h) {
    return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
}

KERNEL uint16_t load_u16(const uint8_t *p) {
    uint16_t u;
    memcpy(&u, p, sizeof u);
    return u;
}

/* The halves at p, p + stride, ...: n of them, zero after. */
KERNEL __m256 halves(const uint8_t *p, size_t stride, int n) {
    uint16_t h[8];
    for (int i = 0; i < 8; i++)
        h[i] = i < n ? load_u16(p + (size_t)i * stride) : 0;
    return _mm256_cvtph_ps(_mm_setr_epi16((short)h[0], (short)h[1], (short)h[2], (short)h[3], (short)h[4], (short)h[5],
                                          (short)h[6], (short)h[7]));
}

/* 2^(e - 128), as tnn__mxfp4_scale_bits; zero after n. */
KERNEL __m256 mxfp4_scales(const uint8_t *p, int n) {
    int32_t e32[8] = {0};
    for (int i = 0; i < n; i++)
        e32[i] = p[(size_t)i * sizeof(tnn__block_mxfp4)];
    __m256i e = load256(e32), two = _mm256_set1_epi32(2);
    __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    __m256i scale = _mm256_blendv_epi8(normal, subnormal, _mm256_cmpgt_epi32(two, e));
    __m256i keep = _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_castsi256_ps(_mm256_and_si256(scale, keep));
}

/* Eight bytes to floats, times factor. */
KERNEL __m256 scaled_bytes(uint32_t low, uint32_t high, float factor) {
    __m256i v = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)((uint64_t)high << 32 | low)));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(v), _mm256_set1_ps(factor));
}

/* tnn__k4_scales, four bytes at a time. */
KERNEL void k4_scales(uint16_t d, uint16_t dmin, const uint8_t packed[12], __m256 *scale, __m256 *min) {
    uint32_t a = load_u32(packed), b = load_u32(packed + 4), c = load_u32(packed + 8);
    *scale = scaled_bytes(a & 0x3f3f3f3f, (c & 0x0f0f0f0f) | (a >> 2 & 0x30303030), half_to_float(d));
    *min = scaled_bytes(b & 0x3f3f3f3f, (c >> 4 & 0x0f0f0f0f) | (b >> 2 & 0x30303030), -half_to_float(dmin));
}

KERNEL __m256 iq4_xs_scales(const tnn__block_iq4_xs *b) {
    __m256i s = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i low = _mm256_srlv_epi32(_mm256_set1_epi32((int)load_u32(b->scales_l)), _mm256_slli_epi32(s, 2));
    __m256i high = _mm256_srlv_epi32(_mm256_set1_epi32(b->scales_h), _mm256_slli_epi32(s, 1));
    low = _mm256_and_si256(low, _mm256_set1_epi32(15));
    high = _mm256_slli_epi32(_mm256_and_si256(high, _mm256_set1_epi32(3)), 4);
    __m256i scale = _mm256_sub_epi32(_mm256_or_si256(low, high), _mm256_set1_epi32(32));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(scale), _mm256_set1_ps(half_to_float(b->d)));
}

/* Scales of the n groups of a chunk, and what is added to each weight: min, or what code_offset comes to. */
KERNEL void group_scales(tnn_type type, const uint8_t *chunk, int n, __m256 *scale, __m256 *min) {
    size_t stride = block_bytes(type);
    switch (type) {
    case TNN_TYPE_Q4_K: {
        const tnn__block_q4_k *b = (const tnn__block_q4_k *)chunk;
        k4_scales(b->d, b->dmin, b->scales, scale, min);
        return;
    }
    case TNN_TYPE_Q5_K: {
        const tnn__block_q5_k *b = (const tnn__block_q5_k *)chunk;
        k4_scales(b->d, b->dmin, b->scales, scale, min);
        return;
    }
    case TNN_TYPE_Q4_1:
    case TNN_TYPE_Q5_1:
        *scale = halves(chunk, stride, n);
        *min = halves(chunk + 2, stride, n);
        return;
    case TNN_TYPE_IQ4_XS:
        *scale = iq4_xs_scales((const tnn__block_iq4_xs *)chunk);
        break;
    case TNN_TYPE_MXFP4:
        *scale = mxfp4_scales(chunk, n);
        break;
    default:
        *scale = halves(chunk, stride, n);
        break;
    }
    *min = _mm256_mul_ps(*scale, _mm256_set1_ps((float)-code_offset(type)));
}

/*
 * For the types with half groups, w = d * scale * code + correction_scale * correction, scale and correction integers
 * per 16.
 */
typedef struct half_scales {
    float d;
    float correction_scale;
    __m256i scale;
    __m256i correction;
} half_scales;

/* tnn__q3_k_scales, four bytes at a time. */
KERNEL __m128i q3_k_scales(const uint8_t packed[12]) {
    uint32_t a = load_u32(packed), b = load_u32(packed + 4), c = load_u32(packed + 8);
    uint32_t s0 = (a & 0x0f0f0f0f) | (c << 4 & 0x30303030), s1 = (b & 0x0f0f0f0f) | (c << 2 & 0x30303030);
    uint32_t s2 = (a >> 4 & 0x0f0f0f0f) | (c & 0x30303030), s3 = (b >> 4 & 0x0f0f0f0f) | (c >> 2 & 0x30303030);
    return _mm_sub_epi8(_mm_setr_epi32((int)s0, (int)s1, (int)s2, (int)s3), _mm_set1_epi8(32));
}

KERNEL half_scales half_group_scales(tnn_type type, const uint8_t *block) {
    half_scales s;
    if (type == TNN_TYPE_Q2_K) {
        const tnn__block_q2_k *b = (const tnn__block_q2_k *)block;
        __m256i packed = _mm256_cvtepu8_epi16(load128(b->scales));
        s.d = half_to_float(b->d);
        s.scale = _mm256_and_si256(packed, _mm256_set1_epi16(15));
        s.correction_scale = -half_to_float(b->dmin);
        s.correction = _mm256_srli_epi16(packed, 4);
        return s;
    }
    if (type == TNN_TYPE_Q3_K) {
        const tnn__block_q3_k *b = (const tnn__block_q3_k *)block;
        s.d = half_to_float(b->d);
        s.scale = _mm256_cvtepi8_epi16(q3_k_scales(b->scales));
    } else {
        const tnn__block_q6_k *b = (const tnn__block_q6_k *)block;
        s.d = half_to_float(b->d);
        s.scale = _mm256_cvtepi8_epi16(load128(b->scales));
    }
    s.correction_scale = s.d;
    s.correction = _mm256_mullo_epi16(s.scale, _mm256_set1_epi16((short)-code_offset(type)));
    return s;
}

#endif
