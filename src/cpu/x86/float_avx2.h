/* What the AVX2 float kernels share: loads of stored types as F32, sums over lanes, a transpose. */
#ifndef TNN_CPU_X86_FLOAT_AVX2_H
#define TNN_CPU_X86_FLOAT_AVX2_H

#include <stdint.h>
#include <string.h>

#include <tinynn/types.h>

#include "base/half.h"
#include "cpu/vec/compiler.h"
#include "cpu/x86/intrin.h"
#include "quant/blocks.h"

/* Bytes of one element of F32, F16 or BF16. */
TNN__INLINE size_t elem_bytes(tnn_type type) {
    return type == TNN_TYPE_F32 ? 4 : 2;
}

/* Eight elements of F32, F16 or BF16, at any address. */
TNN__INLINE __m256 load8(tnn_type type, const void *p) {
    if (type == TNN_TYPE_F32) return _mm256_loadu_ps(p);
    __m128i h = _mm_loadu_si128(p);
    if (type == TNN_TYPE_F16) return _mm256_cvtph_ps(h);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

/* n < 8 elements, the rest zero. */
TNN__INLINE __m256 load_tail(tnn_type type, const void *p, int64_t n) {
    uint8_t elems[32] = {0};
    memcpy(elems, p, (size_t)n * elem_bytes(type));
    return load8(type, elems);
}

/* Lanes from n on are zero. */
TNN__INLINE __m256i tail_mask(int64_t n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

TNN__INLINE float sum8(__m256 v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

TNN__INLINE float max8(__m256 v) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/* Rows to columns: v[i] holds row i before and column i after. */
TNN__INLINE void transpose8(__m256 v[8]) {
    __m256 t[8], u[8];
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_ps(v[2 * i], v[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(v[2 * i], v[2 * i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
        v[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
    }
}

#endif
