/* Rows between F32 and stored types: to F32 what models are made of, from F32 what a KV cache may hold. The values are
 * the portable ones, bit for bit. */
#define TNN__WIDE 0
#include "cpu/x86/vec_f32.h"

#include "cpu/kernels.h"
#include "cpu/x86/init.h"

/* --- to F32 --- */

typedef __m128i vb;

TNN__INLINE vb vb_load(const void *p) {
    return _mm_loadu_si128(p);
}
TNN__INLINE vb vb_set(int x) {
    return _mm_set1_epi8((char)x);
}
TNN__INLINE vb vb_and(vb a, vb b) {
    return _mm_and_si128(a, b);
}
TNN__INLINE vb vb_or(vb a, vb b) {
    return _mm_or_si128(a, b);
}
TNN__INLINE vb vb_sub(vb a, vb b) {
    return _mm_sub_epi8(a, b);
}
TNN__INLINE vb vb_shr(vb v, int n) {
    return _mm_srl_epi16(v, _mm_cvtsi32_si128(n));
}
TNN__INLINE vb vb_shl(vb v, int n) {
    return _mm_sll_epi16(v, _mm_cvtsi32_si128(n));
}
TNN__INLINE vb vb_bits(const uint8_t p[2]) {
    const vb byte = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const vb bit = _mm_set1_epi64x((int64_t)UINT64_C(0x8040201008040201));
    return _mm_cmpeq_epi8(_mm_and_si128(_mm_shuffle_epi8(_mm_set1_epi16((short)(p[0] | p[1] << 8)), byte), bit), bit);
}
TNN__INLINE vb vb_lookup(const int8_t values[16], vb codes) {
    return _mm_shuffle_epi8(vb_load(values), codes);
}
TNN__INLINE void vb_to_f32(vb q, float scale, float min, float *to) {
    for (int l = 0; l < 16; l += 8, q = _mm_srli_si128(q, 8)) {
        __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)), _mm256_set1_ps(scale));
        _mm256_storeu_ps(to + l, _mm256_sub_ps(v, _mm256_set1_ps(min)));
    }
}

#include "cpu/vec/dequantize.h"

tnn__to_f32_fn *const tnn__to_f32_avx2[TNN_TYPE_COUNT] = {
#define X(TYPE, name, elems) [TNN_TYPE_##TYPE] = name##_to_f32,
    TNN__ROWS_TO_F32(X)
#undef X
};

/* --- from F32 --- */

/* To nearest even. Of a NaN the portable conversions keep the sign: F16 makes it the one quiet NaN, BF16 cuts it. */
TNN__INLINE __m128i round_f16(__m256 v) {
    __m256 nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
    __m256 quiet =
        _mm256_or_ps(_mm256_and_ps(v, _mm256_set1_ps(-0.0f)), _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000)));
    return _mm256_cvtps_ph(_mm256_blendv_ps(v, quiet, nan), _MM_FROUND_TO_NEAREST_INT);
}

TNN__INLINE __m128i round_bf16(__m256 v) {
    const __m256i u = _mm256_castps_si256(v);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd), 16);
    __m256i cut = _mm256_or_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(64));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    __m256i h = _mm256_blendv_epi8(rounded, cut, nan);
    return _mm_packus_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
}

TNN__INLINE void from_f32(tnn_type type, const float *src, void *dst, int64_t n) {
    uint8_t *d = dst;
    for (int64_t i = 0; i < n; i += 8, d += 16) {
        __m256 v = n - i >= 8 ? _mm256_loadu_ps(src + i) : load_tail(TNN_TYPE_F32, src + i, n - i);
        __m128i h = type == TNN_TYPE_F16 ? round_f16(v) : round_bf16(v);
        if (n - i >= 8)
            _mm_storeu_si128((void *)d, h);
        else
            memcpy(d, &h, (size_t)(n - i) * 2);
    }
}

static void f16_from_f32(const float *src, void *dst, int64_t n) {
    from_f32(TNN_TYPE_F16, src, dst, n);
}

static void bf16_from_f32(const float *src, void *dst, int64_t n) {
    from_f32(TNN_TYPE_BF16, src, dst, n);
}

/* roundf: half away from zero. x - trunc(x) is exact. */
TNN__INLINE __m256 round_away(__m256 x) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 whole = _mm256_round_ps(x, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    __m256 rest = _mm256_andnot_ps(sign, _mm256_sub_ps(x, whole));
    __m256 step = _mm256_and_ps(_mm256_cmp_ps(rest, _mm256_set1_ps(0.5f), _CMP_GE_OQ), _mm256_set1_ps(1.0f));
    return _mm256_add_ps(whole, _mm256_or_ps(step, _mm256_and_ps(x, sign)));
}

TNN__INLINE void quantize_q8_0(const float *src, tnn__block_q8_0 *b) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 v[4], largest = _mm256_setzero_ps(), nan = _mm256_setzero_ps();
    for (int l = 0; l < 4; l++) {
        v[l] = _mm256_loadu_ps(src + 8 * l);
        largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, v[l]));
        nan = _mm256_or_ps(nan, _mm256_cmp_ps(v[l], v[l], _CMP_UNORD_Q));
    }
    float max = max8(largest);
    if (_mm256_movemask_ps(nan) != 0 || !(max <= 65504.0f)) {
        *b = (tnn__block_q8_0){.d = 0x7e00}; /* as the portable kernel: a block that has no scale reads as NaN */
        return;
    }
    float d = max / 127;
    const __m256 inverse = _mm256_set1_ps(d != 0 ? 1 / d : 0);
    __m256i q[4];
    for (int l = 0; l < 4; l++) {
        __m256 r = round_away(_mm256_mul_ps(v[l], inverse));
        r = _mm256_min_ps(_mm256_max_ps(r, _mm256_set1_ps(-127)), _mm256_set1_ps(127));
        q[l] = _mm256_cvtps_epi32(r);
    }
    __m256i q16 = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    q16 = _mm256_permutevar8x32_epi32(q16, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    b->d = tnn__f32_to_f16(d);
    memcpy(b->qs, &q16, sizeof b->qs);
}

static void q8_0_from_f32(const float *src, void *dst, int64_t n) {
    uint8_t *d = dst;
    for (int64_t i = 0; i < n; i += TNN__QK, d += sizeof(tnn__block_q8_0)) {
        tnn__block_q8_0 b;
        quantize_q8_0(src + i, &b);
        memcpy(d, &b, sizeof b);
    }
}

void tnn__kernels_init_convert_avx2(tnn__kernels *k) {
    memcpy(k->to_f32, tnn__to_f32_avx2, sizeof k->to_f32);
    k->from_f32[TNN_TYPE_F16] = f16_from_f32;
    k->from_f32[TNN_TYPE_BF16] = bf16_from_f32;
    k->from_f32[TNN_TYPE_Q8_0] = q8_0_from_f32;
}
