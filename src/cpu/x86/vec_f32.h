/*
 * The vectors of the float kernels that are written once for both widths: LANES floats each. A file that includes this
 * says which: TNN__WIDE 1 for 512 bits, 0 for 256. vm is a set of lanes.
 */
#ifndef TNN_CPU_X86_VEC_F32_H
#define TNN_CPU_X86_VEC_F32_H

#include "cpu/x86/float_avx2.h"

#if TNN__WIDE

#define TNN__VF_REGISTERS 32
enum { LANES = 16, VF_SCALE_MIN = -200 };
typedef __m512 vf;
typedef __mmask16 vm;

/* The first n lanes; all for n >= LANES. */
TNN__INLINE vm vm_first(int64_t n) {
    return n >= LANES ? (vm)0xffff : n <= 0 ? (vm)0 : (vm)((1u << n) - 1);
}
/* Lanes l with from <= base + l < to. */
TNN__INLINE vm vm_range(int64_t base, int64_t from, int64_t to) {
    return vm_first(to - base) & (vm)~vm_first(from - base);
}
TNN__INLINE vf vf_zero(void) {
    return _mm512_setzero_ps();
}
TNN__INLINE vf vf_set(float x) {
    return _mm512_set1_ps(x);
}
TNN__INLINE vf vf_load(const float *p) {
    return _mm512_loadu_ps(p);
}
TNN__INLINE void vf_store(float *p, vf v) {
    _mm512_storeu_ps(p, v);
}
/* Memory of other lanes is not touched; they read as zero. */
TNN__INLINE vf vf_load_some(const float *p, vm m) {
    return _mm512_maskz_loadu_ps(m, p);
}
TNN__INLINE void vf_store_some(float *p, vm m, vf v) {
    _mm512_mask_storeu_ps(p, m, v);
}
TNN__INLINE vf vf_select(vm m, vf yes, vf no) {
    return _mm512_mask_blend_ps(m, no, yes);
}
TNN__INLINE vf vf_add(vf a, vf b) {
    return _mm512_add_ps(a, b);
}
TNN__INLINE vf vf_sub(vf a, vf b) {
    return _mm512_sub_ps(a, b);
}
TNN__INLINE vf vf_mul(vf a, vf b) {
    return _mm512_mul_ps(a, b);
}
TNN__INLINE vf vf_div(vf a, vf b) {
    return _mm512_div_ps(a, b);
}
/* b where one of them is NaN. */
TNN__INLINE vf vf_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}
TNN__INLINE vf vf_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}
TNN__INLINE vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}
TNN__INLINE void vf_add_product(vf *sum, vf a, vf b) {
    *sum = vf_fma(a, b, *sum);
}
TNN__INLINE vf vf_sqrt(vf a) {
    return _mm512_sqrt_ps(a);
}
TNN__INLINE vf vf_round(vf a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT);
}
/* a * 2^n for whole n from VF_SCALE_MIN, which gives zero for |a| < 2, to 127. */
TNN__INLINE vf vf_scale(vf a, vf n) {
    return _mm512_scalef_ps(a, n);
}
/* a * 2^n for whole n from -150 to 128, through the subnormals and to infinity. */
TNN__INLINE vf vf_scale_far(vf a, vf n) {
    return _mm512_scalef_ps(a, n);
}
TNN__INLINE __m256 vf_fold(vf v) {
    return _mm256_add_ps(_mm512_castps512_ps256(v), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)));
}
TNN__INLINE float vf_sum(vf v) {
    return sum8(vf_fold(v));
}
TNN__INLINE float vf_greatest(vf v) {
    return max8(
        _mm256_max_ps(_mm512_castps512_ps256(v), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1))));
}
/* LANES elements of F32, F16 or BF16, at any address. */
TNN__INLINE vf vf_load_elems(tnn_type type, const void *p) {
    if (type == TNN_TYPE_F32) return _mm512_loadu_ps(p);
    __m256i h = _mm256_loadu_si256(p);
    if (type == TNN_TYPE_F16) return _mm512_cvtph_ps(h);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
TNN__INLINE vf vf_from_i8(const int8_t *q) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)q)));
}
/* As BF16 holds it: to nearest even, NaN stays. */
TNN__INLINE vf vf_round_bf16(vf v) {
    const __m512i u = _mm512_castps_si512(v);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
    __m512 rounded = _mm512_castsi512_ps(_mm512_and_si512(up, _mm512_set1_epi32((int)0xffff0000u)));
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), rounded, v);
}

#else

#define TNN__VF_REGISTERS 16
enum { LANES = 8, VF_SCALE_MIN = -127 };
typedef __m256 vf;
typedef __m256i vm;

TNN__INLINE vm vm_first(int64_t n) {
    return tail_mask(n < LANES ? n : LANES);
}
TNN__INLINE vm vm_range(int64_t base, int64_t from, int64_t to) {
    const __m256i index = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32((int)base));
    return _mm256_and_si256(_mm256_cmpgt_epi32(index, _mm256_set1_epi32((int)from - 1)),
                            _mm256_cmpgt_epi32(_mm256_set1_epi32((int)to), index));
}
TNN__INLINE vf vf_zero(void) {
    return _mm256_setzero_ps();
}
TNN__INLINE vf vf_set(float x) {
    return _mm256_set1_ps(x);
}
TNN__INLINE vf vf_load(const float *p) {
    return _mm256_loadu_ps(p);
}
TNN__INLINE void vf_store(float *p, vf v) {
    _mm256_storeu_ps(p, v);
}
TNN__INLINE vf vf_load_some(const float *p, vm m) {
    return _mm256_maskload_ps(p, m);
}
TNN__INLINE void vf_store_some(float *p, vm m, vf v) {
    _mm256_maskstore_ps(p, m, v);
}
TNN__INLINE vf vf_select(vm m, vf yes, vf no) {
    return _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(m));
}
TNN__INLINE vf vf_add(vf a, vf b) {
    return _mm256_add_ps(a, b);
}
TNN__INLINE vf vf_sub(vf a, vf b) {
    return _mm256_sub_ps(a, b);
}
TNN__INLINE vf vf_mul(vf a, vf b) {
    return _mm256_mul_ps(a, b);
}
TNN__INLINE vf vf_div(vf a, vf b) {
    return _mm256_div_ps(a, b);
}
TNN__INLINE vf vf_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}
TNN__INLINE vf vf_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}
TNN__INLINE vf vf_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}
/* *sum += a b where *sum is: in a loop that does several steps at once, GCC moves sums to other registers and to
 * memory. */
TNN__INLINE void vf_add_product(vf *sum, vf a, vf b) {
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(*sum) : "x"(a), "x"(b));
}
TNN__INLINE vf vf_sqrt(vf a) {
    return _mm256_sqrt_ps(a);
}
TNN__INLINE vf vf_round(vf a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
TNN__INLINE vf vf_scale(vf a, vf n) {
    __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(a, _mm256_castsi256_ps(power));
}
/* In two factors. */
TNN__INLINE vf vf_scale_far(vf a, vf n) {
    __m256i i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1);
    const __m256i bias = _mm256_set1_epi32(127);
    __m256i s0 = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i s1 = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(i, half), bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(a, _mm256_castsi256_ps(s0)), _mm256_castsi256_ps(s1));
}
TNN__INLINE __m256 vf_fold(vf v) {
    return v;
}
TNN__INLINE float vf_sum(vf v) {
    return sum8(v);
}
TNN__INLINE float vf_greatest(vf v) {
    return max8(v);
}
/* LANES pairs: the first of each and the second, in an order that vf_store_pairs undoes and vf_in_order makes that of
 * memory. Not for 512 bits, where nothing needs them. */
TNN__INLINE void vf_load_pairs(const float *p, vf *first, vf *second) {
    vf a = vf_load(p), b = vf_load(p + LANES);
    *first = _mm256_shuffle_ps(a, b, 0x88);
    *second = _mm256_shuffle_ps(a, b, 0xdd);
}
TNN__INLINE void vf_store_pairs(float *p, vf first, vf second) {
    vf_store(p, _mm256_unpacklo_ps(first, second));
    vf_store(p + LANES, _mm256_unpackhi_ps(first, second));
}
TNN__INLINE vf vf_in_order(vf v) {
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xd8));
}
TNN__INLINE vf vf_load_elems(tnn_type type, const void *p) {
    return load8(type, p);
}
TNN__INLINE vf vf_from_i8(const int8_t *q) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)q)));
}
TNN__INLINE vf vf_round_bf16(vf v) {
    const __m256i u = _mm256_castps_si256(v);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i up = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
    __m256 rounded = _mm256_castsi256_ps(_mm256_and_si256(up, _mm256_set1_epi32((int)0xffff0000u)));
    return _mm256_blendv_ps(rounded, v, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
}

#endif

/* to[i] = the sum of v[i]. */
TNN__INLINE void vf_sums_of_4(float to[4], const vf v[4]) {
    __m256 s =
        _mm256_hadd_ps(_mm256_hadd_ps(vf_fold(v[0]), vf_fold(v[1])), _mm256_hadd_ps(vf_fold(v[2]), vf_fold(v[3])));
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}

/* columns[i][j] = rows[j][i], eight by eight, with distances between rows and columns; columns are on 32 bytes. */
TNN__INLINE void transpose_8x8(const float *rows, int64_t stride, float *columns, int64_t column_stride) {
    __m256 v[8];
    for (int l = 0; l < 8; l++)
        v[l] = _mm256_loadu_ps(rows + l * stride);
    transpose8(v);
    for (int l = 0; l < 8; l++)
        _mm256_store_ps(columns + l * column_stride, v[l]);
}

TNN__INLINE float f32_of_f16(uint16_t h) {
    return _cvtsh_ss(h);
}

/* n < LANES elements of F32, F16 or BF16, the rest zero. */
TNN__INLINE vf vf_load_tail(tnn_type type, const void *p, int64_t n) {
    if (type == TNN_TYPE_F32) return vf_load_some(p, vm_first(n));
    uint16_t elems[LANES] = {0};
    memcpy(elems, p, (size_t)n * sizeof *elems);
    return vf_load_elems(type, elems);
}

#endif
