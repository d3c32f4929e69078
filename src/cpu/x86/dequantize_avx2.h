/* Rows of stored weights as F32 with AVX2: vectors for the block types that people train on. */
#ifndef TNN_CPU_X86_DEQUANTIZE_AVX2_H
#define TNN_CPU_X86_DEQUANTIZE_AVX2_H

#include "cpu/x86/float_avx2.h"

/* scale * code - min of eight signed bytes. */
TNN__INLINE void scaled8(__m128i codes, __m256 scale, __m256 min, float *to) {
    __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)), scale);
    _mm256_storeu_ps(to, _mm256_sub_ps(v, min));
}

TNN__INLINE void scaled16(__m128i codes, __m256 scale, __m256 min, float *to) {
    scaled8(codes, scale, min, to);
    scaled8(_mm_srli_si128(codes, 8), scale, min, to + 8);
}

static void unpack_q8_0(const char *blocks, float *to, int64_t n) {
    for (int64_t i = 0; i < n; i += TNN__QK, blocks += sizeof(tnn__block_q8_0)) {
        __m256 v[4];
        load_q8_0(blocks, v);
        for (int l = 0; l < 4; l++)
            _mm256_storeu_ps(to + i + 8 * l, v[l]);
    }
}

static void unpack_q4_0(const char *blocks, float *to, int64_t n) {
    const __m128i nibble = _mm_set1_epi8(15), offset = _mm_set1_epi8(8);
    for (int64_t i = 0; i < n; i += TNN__QK, blocks += sizeof(tnn__block_q4_0)) {
        tnn__block_q4_0 b;
        memcpy(&b, blocks, sizeof b);
        const __m256 d = _mm256_set1_ps(_cvtsh_ss(b.d));
        __m128i qs = _mm_loadu_si128((const void *)b.qs);
        __m128i low = _mm_sub_epi8(_mm_and_si128(qs, nibble), offset);
        __m128i high = _mm_sub_epi8(_mm_and_si128(_mm_srli_epi16(qs, 4), nibble), offset);
        scaled16(low, d, _mm256_setzero_ps(), to + i);
        scaled16(high, d, _mm256_setzero_ps(), to + i + 16);
    }
}

static void unpack_q4_k(const char *blocks, float *to, int64_t n) {
    const __m128i nibble = _mm_set1_epi8(15);
    for (int64_t i = 0; i < n; i += TNN__QK_K, blocks += sizeof(tnn__block_q4_k)) {
        tnn__block_q4_k b;
        memcpy(&b, blocks, sizeof b);
        float d = _cvtsh_ss(b.d), dmin = _cvtsh_ss(b.dmin);
        uint8_t scales[8], mins[8];
        tnn__k4_scales(b.scales, scales, mins);
        for (int s = 0; s < 8; s++) {
            const __m256 scale = _mm256_set1_ps(d * (float)scales[s]), min = _mm256_set1_ps(dmin * (float)mins[s]);
            for (int half = 0; half < 2; half++) {
                __m128i qs = _mm_loadu_si128((const void *)(b.qs + 32 * (s / 2) + 16 * half));
                if (s % 2) qs = _mm_srli_epi16(qs, 4);
                scaled16(_mm_and_si128(qs, nibble), scale, min, to + i + 32 * s + 16 * half);
            }
        }
    }
}

static void unpack_q6_k(const char *blocks, float *to, int64_t n) {
    const __m128i nibble = _mm_set1_epi8(15), pair = _mm_set1_epi8(3), offset = _mm_set1_epi8(32);
    for (int64_t i = 0; i < n; i += TNN__QK_K, blocks += sizeof(tnn__block_q6_k)) {
        tnn__block_q6_k b;
        memcpy(&b, blocks, sizeof b);
        float d = _cvtsh_ss(b.d);
        for (int s = 0; s < 16; s++) {
            int half = s / 8, plane = s % 8 / 2, first = 16 * (s % 2);
            __m128i low = _mm_loadu_si128((const void *)(b.ql + 64 * half + 32 * (plane % 2) + first));
            __m128i high = _mm_loadu_si128((const void *)(b.qh + 32 * half + first));
            low = _mm_and_si128(_mm_srli_epi16(low, 4 * (plane / 2)), nibble);
            high = _mm_and_si128(_mm_srli_epi16(high, 2 * plane), pair);
            __m128i codes = _mm_sub_epi8(_mm_or_si128(low, _mm_slli_epi16(high, 4)), offset);
            scaled16(codes, _mm256_set1_ps(d * (float)b.scales[s]), _mm256_setzero_ps(), to + i + 16 * s);
        }
    }
}

#define TNN__UNPACKED(X)                                                                                               \
    X(Q8_0, q8_0)                                                                                                      \
    X(Q4_0, q4_0)                                                                                                      \
    X(Q4_K, q4_k)                                                                                                      \
    X(Q6_K, q6_k)

#include "cpu/vec/unpack.h"

#endif
