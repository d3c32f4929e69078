/*
 * The vectors of the int8 products: LANES 32-bit lanes each, one lane per row of weights. A file that includes this
 * says which: TNN__WIDE 1 for 512 bits, 0 for 256; TNN__VNNI 1 where the level has the dot product of four bytes.
 */
#ifndef TNN_CPU_X86_VEC_Q8_H
#define TNN_CPU_X86_VEC_Q8_H

#include <stdint.h>
#include <string.h>

#include "cpu/vec/compiler.h"
#include "cpu/x86/intrin.h"

/* Emulated, kernels inlined and unrolled would take a compiler minutes, for nothing. */
#ifdef TNN_EMULATE_AVX512
#define KERNEL static inline
#define UNROLL
#else
#define KERNEL TNN__INLINE
#define UNROLL TNN__UNROLL
#endif

KERNEL uint32_t load_u32(const void *p) {
    uint32_t u;
    memcpy(&u, p, sizeof u);
    return u;
}

/* Makes the compiler load from a stored array, which can broadcast for free, rather than shuffle registers. */
#define IN_MEMORY(array) __asm__("" : "+m"(array))

/*
 * Nothing at run time. GCC reorders sums of integers so that all products come first, which spills every one of them;
 * what has passed through here stays where it was written.
 */
#ifdef TNN_EMULATE_AVX512
#define PIN(v) (void)(v)
#else
#define PIN(v) __asm__("" : "+v"(v))
#endif

/* All bits in the first n of eight lanes. */
KERNEL __m256i first_lanes8(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

#if TNN__WIDE

enum { LANES = 16 };
typedef __m512i vi;
typedef __m512 vf;

KERNEL vi vi_load(const void *p) {
    return _mm512_load_si512(p);
}
/* Four bytes to every lane. */
KERNEL vi vi_broadcast(const void *p) {
    return _mm512_set1_epi32((int)load_u32(p));
}
KERNEL vi vi_set16(int x) {
    return _mm512_set1_epi16((short)x);
}
KERNEL vi vi_set32(int x) {
    return _mm512_set1_epi32(x);
}
KERNEL vi vi_add16(vi a, vi b) {
    return _mm512_add_epi16(a, b);
}
KERNEL vi vi_add32(vi a, vi b) {
    return _mm512_add_epi32(a, b);
}
/* Products of unsigned and signed bytes, added in pairs to 16 bits. */
KERNEL vi vi_maddubs(vi u, vi s) {
    return _mm512_maddubs_epi16(u, s);
}
/* The same of signed bytes, exact for s within -127 .. 127. */
KERNEL vi vi_maddbs(vi a, vi s) {
    vi signs = _mm512_mask_sub_epi8(s, _mm512_movepi8_mask(a), _mm512_setzero_si512(), s);
    return _mm512_maddubs_epi16(_mm512_abs_epi8(a), signs);
}
/* Products of 16-bit integers, added in pairs to 32 bits. */
KERNEL vi vi_madd16(vi a, vi b) {
    return _mm512_madd_epi16(a, b);
}
KERNEL vf vi_to_vf(vi a) {
    return _mm512_cvtepi32_ps(a);
}
KERNEL vf vf_load(const void *p) {
    return _mm512_load_ps(p);
}
KERNEL vf vf_zero(void) {
    return _mm512_setzero_ps();
}
KERNEL vf vf_set(float x) {
    return _mm512_set1_ps(x);
}
KERNEL vf vf_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
KERNEL vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
/* The first n lanes, any alignment; the others read as zero. */
KERNEL vf vf_load_n(const float *p, int n) {
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
KERNEL void vf_store_n(float *p, vf a, int n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), a);
}

#else

enum { LANES = 8 };
typedef __m256i vi;
typedef __m256 vf;

KERNEL vi vi_load(const void *p) {
    return _mm256_load_si256(p);
}
KERNEL vi vi_broadcast(const void *p) {
    return _mm256_set1_epi32((int)load_u32(p));
}
KERNEL vi vi_set16(int x) {
    return _mm256_set1_epi16((short)x);
}
KERNEL vi vi_set32(int x) {
    return _mm256_set1_epi32(x);
}
KERNEL vi vi_add16(vi a, vi b) {
    return _mm256_add_epi16(a, b);
}
KERNEL vi vi_add32(vi a, vi b) {
    return _mm256_add_epi32(a, b);
}
KERNEL vi vi_maddubs(vi u, vi s) {
    return _mm256_maddubs_epi16(u, s);
}
KERNEL vi vi_maddbs(vi a, vi s) {
    return _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(s, a));
}
KERNEL vi vi_madd16(vi a, vi b) {
    return _mm256_madd_epi16(a, b);
}
KERNEL vf vi_to_vf(vi a) {
    return _mm256_cvtepi32_ps(a);
}
KERNEL vf vf_load(const void *p) {
    return _mm256_load_ps(p);
}
KERNEL vf vf_zero(void) {
    return _mm256_setzero_ps();
}
KERNEL vf vf_set(float x) {
    return _mm256_set1_ps(x);
}
KERNEL vf vf_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
KERNEL vf vf_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
KERNEL vf vf_load_n(const float *p, int n) {
    return n == LANES ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first_lanes8(n));
}
KERNEL void vf_store_n(float *p, vf a, int n) {
    if (n == LANES)
        _mm256_storeu_ps(p, a);
    else
        _mm256_maskstore_ps(p, first_lanes8(n), a);
}

#endif

/* 1 in 16 bits, made anew after v is there: AVX2 has no register to keep it in. */
KERNEL vi vi_ones16(vi v) {
#if TNN__WIDE
    (void)v;
    return vi_set16(1);
#else
    vi ones;
    __asm__("vpcmpeqw %0, %0, %0\n\tvpsrlw $15, %0, %0" : "=x"(ones) : "x"(v));
    return ones;
#endif
}

/* acc plus the products of unsigned and signed bytes, added in fours. */
#if TNN__VNNI && TNN__WIDE
KERNEL vi vi_dot(vi acc, vi u, vi s) {
    return _mm512_dpbusd_epi32(acc, u, s);
}
#elif TNN__VNNI
KERNEL vi vi_dot(vi acc, vi u, vi s) {
    return _mm256_dpbusd_avx_epi32(acc, u, s);
}
#endif

/* The same over 32 bytes along one row, exact where no pair of products leaves 16 bits. */
KERNEL __m256i dot32(__m256i u, __m256i s) {
#if TNN__VNNI && TNN__WIDE
    return _mm256_dpbusd_epi32(_mm256_setzero_si256(), u, s);
#elif TNN__VNNI
    return _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), u, s);
#else
    return _mm256_madd_epi16(_mm256_maddubs_epi16(u, s), _mm256_set1_epi16(1));
#endif
}

KERNEL float sum_lanes(__m256 v) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

/* Rows of eight 32-bit elements to columns. */
KERNEL void transpose8(__m256i v[8]) {
    __m256i pair[8], quad[8];
    for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
        pair[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            quad[i + 2 * j] = _mm256_unpacklo_epi64(pair[i + j], pair[i + j + 2]);
            quad[i + 2 * j + 1] = _mm256_unpackhi_epi64(pair[i + j], pair[i + j + 2]);
        }
    for (int j = 0; j < 4; j++) {
        v[j] = _mm256_permute2x128_si256(quad[j], quad[j + 4], 0x20);
        v[j + 4] = _mm256_permute2x128_si256(quad[j], quad[j + 4], 0x31);
    }
}

#endif
