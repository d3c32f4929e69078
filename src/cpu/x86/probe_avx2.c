/* Bursts of products in registers: ten chains cover the latency. */
#include "cpu/probe.h"
#include "cpu/x86/float_avx2.h"

enum { CHAINS = 10 };

double tnn__probe_f32_avx2(int64_t n, volatile float *sink) {
    const __m256 a = _mm256_set1_ps(*(const volatile float[]){0.999f}), b = _mm256_set1_ps(0.001f);
    __m256 x[CHAINS];
    int64_t rounds = n / (CHAINS * 16);
    TNN__UNROLL
    for (int l = 0; l < CHAINS; l++)
        x[l] = _mm256_set1_ps((float)l);
    for (int64_t i = 0; i < rounds; i++) {
        TNN__UNROLL
        for (int l = 0; l < CHAINS; l++)
            x[l] = _mm256_fmadd_ps(x[l], a, b);
    }
    TNN__UNROLL
    for (int l = 0; l < CHAINS; l++)
        *sink = _mm256_cvtss_f32(x[l]);
    return (double)rounds * CHAINS * 16;
}

/* A product of bytes takes three instructions here: to 16 bits, to 32 bits, and the sum. */
double tnn__probe_int8_avx2(int64_t n, volatile float *sink) {
    const __m256i w = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
    __m256i x[CHAINS];
    int64_t rounds = n / (CHAINS * 64);
    TNN__UNROLL
    for (int l = 0; l < CHAINS; l++)
        x[l] = _mm256_set1_epi8((char)l);
    for (int64_t i = 0; i < rounds; i++) {
        TNN__UNROLL
        for (int l = 0; l < CHAINS; l++)
            x[l] = _mm256_add_epi32(x[l], _mm256_madd_epi16(_mm256_maddubs_epi16(x[l], w), ones));
    }
    TNN__UNROLL
    for (int l = 0; l < CHAINS; l++)
        *sink = _mm256_cvtss_f32(_mm256_castsi256_ps(x[l]));
    return (double)rounds * CHAINS * 64;
}
