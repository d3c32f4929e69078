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

/* Codes, which lie across cache lines more often than not: loaded once into a register for all that uses them. */
KERNEL __m256i load_block256(const void *p) {
    __m256i v = load256(p);
    PIN(v);
    return v;
}

/* Each byte shifted right by n bits and cut to the bits of mask, which are few enough that no neighbour shows. */
KERNEL __m256i bits(__m256i v, int n, int mask) {
    return _mm256_and_si256(_mm256_srli_epi16(v, n), _mm256_set1_epi8((char)mask));
}

/* The bits of mask of each byte after it was shifted left by n bits, or right where n is below zero. */
KERNEL __m256i moved_bits(__m256i v, int n, int mask) {
    return n > 0 ? _mm256_and_si256(_mm256_slli_epi16(v, n), _mm256_set1_epi8((char)mask)) : bits(v, -n, mask);
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

/* 16 in each of the 16 + 16 bytes whose bit is set in the low or high 16 bits of its half's word. */
KERNEL __m256i fifth_bits16(__m256i words, int high) {
    __m256i byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0, 0x0101010101010101);
    __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
    __m256i v = _mm256_shuffle_epi8(words, high ? _mm256_add_epi8(byte, _mm256_set1_epi8(2)) : byte);
    return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(v, bit), bit), _mm256_set1_epi8(16));
}

/* The doubled FP4 values plus code_offset. */
static const int8_t fp4_codes[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

KERNEL __m256i codes_q5_k(const tnn__block_q5_k *b, int g) {
    __m256i high = moved_bits(load_block256(b->qh), 4 - g, 0x10);
    return _mm256_or_si256(bits(load_block256(b->qs + g / 2 * 32), g % 2 * 4, 15), high);
}

KERNEL __m256i codes_q6_k(const tnn__block_q6_k *b, int g) {
    __m256i low = bits(load_block256(b->ql + g / 4 * 64 + g % 2 * 32), g % 4 / 2 * 4, 15);
    return _mm256_or_si256(low, moved_bits(load_block256(b->qh + g / 4 * 32), 4 - g % 4 * 2, 0x30));
}

KERNEL __m256i codes_q3_k(const tnn__block_q3_k *b, int g) {
    __m256i low = bits(load_block256(b->qs + g / 4 * 32), g % 4 * 2, 3);
    return _mm256_or_si256(low, moved_bits(load_block256(b->hmask), 2 - g, 4));
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
        return load_block256(((const tnn__block_q8_0 *)block)->qs);
    case TNN_TYPE_IQ4_NL:
        return lookup(tnn__iq4_values, nibbles(((const tnn__block_iq4_nl *)block)->qs));
    case TNN_TYPE_IQ4_XS:
        return lookup(tnn__iq4_values, nibbles(((const tnn__block_iq4_xs *)block)->qs + 16 * g));
    case TNN_TYPE_Q2_K:
        return bits(load_block256(((const tnn__block_q2_k *)block)->qs + g / 4 * 32), g % 4 * 2, 3);
    case TNN_TYPE_Q3_K:
        return codes_q3_k((const tnn__block_q3_k *)block, g);
    case TNN_TYPE_Q4_K:
        return bits(load_block256(((const tnn__block_q4_k *)block)->qs + g / 2 * 32), g % 2 * 4, 15);
    case TNN_TYPE_Q5_K:
        return codes_q5_k((const tnn__block_q5_k *)block, g);
    case TNN_TYPE_Q6_K:
        return codes_q6_k((const tnn__block_q6_k *)block, g);
    default:
        return lookup(fp4_codes, nibbles(((const tnn__block_mxfp4 *)block)->qs));
    }
}

/* Types of blocks of 32 nibbles, which unpack cheaper two at a time. */
KERNEL bool has_paired_codes(tnn_type type) {
    return block_elems(type) == TNN__QK && type != TNN_TYPE_Q8_0;
}

/* Codes of blocks i and j of a chunk, i in the low half: the first 16 of each, then the second. */
KERNEL void paired_codes(tnn_type type, const uint8_t *chunk, int i, int j, __m256i codes[2]) {
    const uint8_t *a = chunk + (size_t)i * block_bytes(type), *b = chunk + (size_t)j * block_bytes(type);
    size_t qs = block_bytes(type) - 16, qh = qs - 4; /* they come last in all these blocks */
    __m256i v = _mm256_set_m128i(load128(b + qs), load128(a + qs));
    codes[0] = bits(v, 0, 15);
    codes[1] = bits(v, 4, 15);
    if (type == TNN_TYPE_Q5_0 || type == TNN_TYPE_Q5_1) {
        __m256i high = _mm256_set_m128i(_mm_set1_epi32((int)load_u32(b + qh)), _mm_set1_epi32((int)load_u32(a + qh)));
        codes[0] = _mm256_or_si256(codes[0], fifth_bits16(high, 0));
        codes[1] = _mm256_or_si256(codes[1], fifth_bits16(high, 1));
    }
    for (int half = 0; half < 2; half++) {
        if (type == TNN_TYPE_IQ4_NL) codes[half] = lookup(tnn__iq4_values, codes[half]);
        if (type == TNN_TYPE_MXFP4) codes[half] = lookup(fp4_codes, codes[half]);
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

/* The halves at p, p + stride, ...: n of them, zero after. Each is followed by two bytes more. */
KERNEL __m256 halves(const uint8_t *p, size_t stride, int n) {
    __m128i v[8];
    UNROLL for (int i = 0; i < 8; i++) v[i] =
        i < n ? _mm_cvtsi32_si128((int)load_u32(p + (size_t)i * stride)) : _mm_setzero_si128();
    UNROLL for (int i = 0; i < 8; i += 2) v[i] = _mm_unpacklo_epi16(v[i], v[i + 1]);
    __m128i low = _mm_unpacklo_epi32(v[0], v[2]), high = _mm_unpacklo_epi32(v[4], v[6]);
    return _mm256_cvtph_ps(_mm_unpacklo_epi64(low, high));
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
    return _mm256_castsi256_ps(_mm256_and_si256(scale, first_lanes8(n)));
}

/* tnn__k4_scales, all at once: 0 .. 63 each, scales in the low half, mins in the high one. */
KERNEL __m128i k4_scales(const uint8_t packed[12]) {
    __m128i v = load128(packed); /* and four bytes of what follows */
    __m128i third = _mm_srlv_epi32(_mm_shuffle_epi32(v, 0xaa), _mm_setr_epi32(0, 4, 0, 0));
    __m128i first_four = _mm_and_si128(v, _mm_set1_epi8(63));
    __m128i last_four =
        _mm_or_si128(_mm_and_si128(_mm_srli_epi32(v, 2), _mm_set1_epi8(0x30)), _mm_and_si128(third, _mm_set1_epi8(15)));
    return _mm_unpacklo_epi32(first_four, last_four);
}

/* x = d scale code - dmin min, for Q4_K and Q5_K: d and dmin come together. */
KERNEL void k4_group_scales(const uint8_t *d_dmin, const uint8_t packed[12], __m256 *scale, __m256 *min) {
    __m128 d = _mm_cvtph_ps(_mm_cvtsi32_si128((int)load_u32(d_dmin)));
    __m128i scales = k4_scales(packed);
    __m256i s = _mm256_cvtepu8_epi32(scales), m = _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(scales, scales));
    *scale = _mm256_mul_ps(_mm256_cvtepi32_ps(s), _mm256_broadcastss_ps(d));
    __m128 minus_dmin = _mm_xor_ps(_mm_movehdup_ps(d), _mm_set1_ps(-0.0f));
    *min = _mm256_mul_ps(_mm256_cvtepi32_ps(m), _mm256_broadcastss_ps(minus_dmin));
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
        k4_group_scales(chunk, b->scales, scale, min);
        return;
    }
    case TNN_TYPE_Q5_K: {
        const tnn__block_q5_k *b = (const tnn__block_q5_k *)chunk;
        k4_group_scales(chunk, b->scales, scale, min);
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
