/*
 * What every kernel file here includes instead of <immintrin.h>. In a TNN_SIMDE build the AVX-512 files (they alone
 * have TNN_EMULATE_AVX512) are compiled against SIMDe's portable versions, so that they are tested on processors
 * without AVX-512. Functions that the SIMDe of current distributions (0.7.4) lacks are spelled out below, lane by lane;
 * add to them what a new kernel needs. AVX-VNNI files have TNN_EMULATE_AVXVNNI.
 */
#ifndef TNN_CPU_X86_INTRIN_H
#define TNN_CPU_X86_INTRIN_H

#ifndef TNN_EMULATE_AVX512
#include <immintrin.h>
#else
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

/* Lanes of a register as an array of T, and back. */
#define LANES(T, n, name, value)                                                                                       \
    T name[n];                                                                                                         \
    memcpy(name, &(value), sizeof(name))

static inline float emu_reduce_add_ps(__m512 v) {
    LANES(float, 16, x, v);
    /* The order of the hardware sequence compilers emit: halves, quarters, pairs. */
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            x[i] += x[i + half];
    return x[0];
}

static inline float emu_reduce_max_ps(__m512 v) {
    LANES(float, 16, x, v);
    for (int i = 1; i < 16; i++)
        x[0] = x[i] > x[0] ? x[i] : x[0];
    return x[0];
}

static inline int emu_reduce_add_epi32(__m512i v) {
    LANES(uint32_t, 16, x, v);
    for (int i = 1; i < 16; i++)
        x[0] += x[i];
    return (int)x[0];
}

static inline int emu_reduce_max_epi32(__m512i v) {
    LANES(int32_t, 16, x, v);
    for (int i = 1; i < 16; i++)
        x[0] = x[i] > x[0] ? x[i] : x[0];
    return x[0];
}

/* Masked loads and stores touch no lane whose bit is clear. */
#define MASKED_MEMORY(T, n, suffix, mask_type, vector)                                                                 \
    static inline vector emu_maskz_loadu_##suffix(mask_type m, const void *p) {                                        \
        T x[n] = {0};                                                                                                  \
        vector v;                                                                                                      \
        for (int i = 0; i < n; i++)                                                                                    \
            if (((uint64_t)m >> i) & 1) memcpy(&x[i], (const char *)p + (size_t)i * sizeof(T), sizeof(T));             \
        memcpy(&v, x, sizeof(v));                                                                                      \
        return v;                                                                                                      \
    }                                                                                                                  \
    static inline void emu_mask_storeu_##suffix(void *p, mask_type m, vector v) {                                      \
        LANES(T, n, x, v);                                                                                             \
        for (int i = 0; i < n; i++)                                                                                    \
            if (((uint64_t)m >> i) & 1) memcpy((char *)p + (size_t)i * sizeof(T), &x[i], sizeof(T));                   \
    }
MASKED_MEMORY(float, 16, ps, __mmask16, __m512)
MASKED_MEMORY(int32_t, 16, epi32, __mmask16, __m512i)
MASKED_MEMORY(int16_t, 32, epi16, __mmask32, __m512i)
MASKED_MEMORY(int8_t, 64, epi8, __mmask64, __m512i)

static inline __m512 emu_cvtph_ps(__m256i h) {
    __m256 half[2] = {_mm256_cvtph_ps(_mm256_castsi256_si128(h)), _mm256_cvtph_ps(_mm256_extracti128_si256(h, 1))};
    __m512 v;
    memcpy(&v, half, sizeof(v));
    return v;
}

static inline __m512i emu_cvtepu16_epi32(__m256i a) {
    __m256i half[2] = {_mm256_cvtepu16_epi32(_mm256_castsi256_si128(a)),
                       _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1))};
    __m512i v;
    memcpy(&v, half, sizeof(v));
    return v;
}

static inline __m512i emu_cvtepi8_epi32(__m128i a) {
    __m256i half[2] = {_mm256_cvtepi8_epi32(a), _mm256_cvtepi8_epi32(_mm_srli_si128(a, 8))};
    __m512i v;
    memcpy(&v, half, sizeof(v));
    return v;
}

static inline __m512 emu_cvtepi32_ps(__m512i a) {
    LANES(int32_t, 16, x, a);
    float y[16];
    __m512 v;
    for (int i = 0; i < 16; i++)
        y[i] = (float)x[i];
    memcpy(&v, y, sizeof(v));
    return v;
}

#define emu_cvtps_ph(v, rounding) emu_cvtps_ph_nearest(v)
static inline __m256i emu_cvtps_ph_nearest(__m512 v) {
    LANES(__m256, 2, half, v);
    return _mm256_set_m128i(_mm256_cvtps_ph(half[1], 0), _mm256_cvtps_ph(half[0], 0));
}

/* Round to nearest even; a NaN stays one. Denormal inputs count as zero, as in hardware. */
static inline uint16_t emu_bf16(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof(u));
    if (isnan(f)) return (uint16_t)((u >> 16) | 0x40);
    if ((u & 0x7f800000u) == 0) return (uint16_t)((u >> 16) & 0x8000u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}

static inline __m256bh emu_cvtneps_pbh(__m512 v) {
    LANES(float, 16, x, v);
    uint16_t h[16];
    __m256bh r;
    for (int i = 0; i < 16; i++)
        h[i] = emu_bf16(x[i]);
    memcpy(&r, h, sizeof(r));
    return r;
}

static inline __m512bh emu_cvtne2ps_pbh(__m512 high, __m512 low) {
    LANES(float, 16, hi, high);
    LANES(float, 16, lo, low);
    uint16_t h[32];
    __m512bh r;
    for (int i = 0; i < 16; i++) {
        h[i] = emu_bf16(lo[i]);
        h[16 + i] = emu_bf16(hi[i]);
    }
    memcpy(&r, h, sizeof(r));
    return r;
}

#undef _mm512_reduce_add_ps
#undef _mm512_reduce_max_ps
#undef _mm512_reduce_add_epi32
#undef _mm512_reduce_max_epi32
#undef _mm512_maskz_loadu_ps
#undef _mm512_maskz_loadu_epi32
#undef _mm512_maskz_loadu_epi16
#undef _mm512_maskz_loadu_epi8
#undef _mm512_mask_storeu_ps
#undef _mm512_mask_storeu_epi32
#undef _mm512_mask_storeu_epi16
#undef _mm512_mask_storeu_epi8
#undef _mm512_cvtph_ps
#undef _mm512_cvtps_ph
#undef _mm512_madd_epi16
#undef _mm512_cvtepu16_epi32
#undef _mm512_cvtepi8_epi32
#undef _mm512_cvtepi32_ps
#undef _mm512_cvtneps_pbh
#undef _mm512_cvtne2ps_pbh
#define _mm512_reduce_add_ps     emu_reduce_add_ps
#define _mm512_reduce_max_ps     emu_reduce_max_ps
#define _mm512_reduce_add_epi32  emu_reduce_add_epi32
#define _mm512_reduce_max_epi32  emu_reduce_max_epi32
#define _mm512_maskz_loadu_ps    emu_maskz_loadu_ps
#define _mm512_maskz_loadu_epi32 emu_maskz_loadu_epi32
#define _mm512_maskz_loadu_epi16 emu_maskz_loadu_epi16
#define _mm512_maskz_loadu_epi8  emu_maskz_loadu_epi8
#define _mm512_mask_storeu_ps    emu_mask_storeu_ps
#define _mm512_mask_storeu_epi32 emu_mask_storeu_epi32
#define _mm512_mask_storeu_epi16 emu_mask_storeu_epi16
#define _mm512_mask_storeu_epi8  emu_mask_storeu_epi8
#define _mm512_cvtph_ps          emu_cvtph_ps
#define _mm512_cvtps_ph          emu_cvtps_ph
#define _mm512_cvtneps_pbh       emu_cvtneps_pbh
#define _mm512_cvtne2ps_pbh      emu_cvtne2ps_pbh
#define _mm512_madd_epi16        simde_mm512_madd_epi16 /* 0.7.4 defines it with the arguments of the masked one */
#define _mm512_cvtepu16_epi32    emu_cvtepu16_epi32
#define _mm512_cvtepi8_epi32     emu_cvtepi8_epi32
#define _mm512_cvtepi32_ps       emu_cvtepi32_ps

#undef LANES
#undef MASKED_MEMORY
#endif

/* AVX-VNNI, which SIMDe has not: the same build, in terms of AVX2. */
#ifdef TNN_EMULATE_AVXVNNI
static inline __m256i emu_dpbusd_avx_epi32(__m256i sum, __m256i u, __m256i s) {
    __m256i even =
        _mm256_madd_epi16(_mm256_and_si256(u, _mm256_set1_epi16(0xff)), _mm256_srai_epi16(_mm256_slli_epi16(s, 8), 8));
    __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(u, 8), _mm256_srai_epi16(s, 8));
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}
#undef _mm256_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32 emu_dpbusd_avx_epi32
#endif

#endif
