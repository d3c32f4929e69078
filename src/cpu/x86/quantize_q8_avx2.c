/* Activations to int8 with AVX2: bit for bit what ref/quantize_act.c gives, and why it does what it does is said there.
 */
#include "cpu/kernels_q8.h"
#include "cpu/x86/intrin.h"

static inline __m256i max_bits_of(const __m256i x[4]) {
    __m256i m = _mm256_max_epu32(_mm256_max_epu32(x[0], x[1]), _mm256_max_epu32(x[2], x[3]));
    m = _mm256_max_epu32(m, _mm256_permute2x128_si256(m, m, 1));
    m = _mm256_max_epu32(m, _mm256_shuffle_epi32(m, 0x4e));
    return _mm256_max_epu32(m, _mm256_shuffle_epi32(m, 0xb1));
}

static inline int sum_of(__m128i v) {
    v = _mm_add_epi32(v, _mm_shuffle_epi32(v, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(v, _mm_shuffle_epi32(v, 0xb1)));
}

static inline void quantize_group(const float *x, int8_t *q, float *d, float *s, int16_t *sum16) {
    const __m256 sign = _mm256_set1_ps(-0.0f), below_half = _mm256_set1_ps(0x1.fffffep-2f);
    __m256 v[4];
    __m256i magnitude[4], r[4];
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_loadu_ps(x + 8 * i);
        magnitude[i] = _mm256_castps_si256(_mm256_andnot_ps(sign, v[i]));
    }
    __m256i max_bits = max_bits_of(magnitude);
    float max = _mm256_cvtss_f32(_mm256_castsi256_ps(max_bits));
    bool finite = (uint32_t)_mm256_cvtsi256_si32(max_bits) < 0x7f800000u, zero = max < 0x1p-100f;
    float inverse = finite && !zero ? 127.0f / max : 0.0f;
    *d = zero ? 0.0f : max / 127.0f;
    __m256 keep = _mm256_castsi256_ps(_mm256_set1_epi32(finite ? -1 : 0));
    for (int i = 0; i < 4; i++) {
        __m256 scaled = _mm256_and_ps(_mm256_mul_ps(v[i], _mm256_set1_ps(inverse)), keep);
        __m256 half = _mm256_or_ps(below_half, _mm256_and_ps(sign, scaled));
        r[i] = _mm256_cvttps_epi32(_mm256_add_ps(scaled, half));
    }
    __m256i low = _mm256_add_epi32(r[0], r[1]), high = _mm256_add_epi32(r[2], r[3]);
    sum16[0] = (int16_t)sum_of(_mm_add_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
    sum16[1] = (int16_t)sum_of(_mm_add_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)));
    *s = *d * (float)(sum16[0] + sum16[1]);
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(r[0], r[1]), _mm256_packs_epi32(r[2], r[3]));
    __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256((__m256i *)q, _mm256_permutevar8x32_epi32(bytes, order));
}

void tnn__quantize_act_avx2(const float *x, int64_t n, int8_t *q, float *d, float *s, int16_t *sum16) {
    for (int64_t g = 0; g < n / 32; g++)
        quantize_group(x + 32 * g, q + 32 * g, d + g, s + g, sum16 + 2 * g);
}
