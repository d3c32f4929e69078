/* Bursts of products in registers: ten chains cover the latency. */
#include "cpu/probe.h"
#include "cpu/x86/float_avx2.h"

enum { CHAINS = 10 };

double tnn__probe_f32_avx512(int64_t n, volatile float *sink) {
    const __m512 a = _mm512_set1_ps(*(const volatile float[]){0.999f}), b = _mm512_set1_ps(0.001f);
    __m512 x[CHAINS];
    int64_t rounds = n / (CHAINS * 32);
    TNN__UNROLL
    for (int l = 0; l < CHAINS; l++)
        x[l] = _mm512_set1_ps((float)l);
    for (int64_t i = 0; i < rounds; i++) {
        TNN__UNROLL
        for (int l = 0; l < CHAINS; l++)
            x[l] = _mm512_fmadd_ps(x[l], a, b);
    }
    TNN__UNROLL
    for (int l = 0; l < CHAINS; l++)
        *sink = _mm_cvtss_f32(_mm512_castps512_ps128(x[l]));
    return (double)rounds * CHAINS * 32;
}

double tnn__probe_int8_avx512(int64_t n, volatile float *sink) {
    const __m512i w = _mm512_set1_epi8(3), ones = _mm512_set1_epi16(1);
    __m512i x[CHAINS];
    int64_t rounds = n / (CHAINS * 128);
    TNN__UNROLL
    for (int l = 0; l < CHAINS; l++)
        x[l] = _mm512_set1_epi8((char)l);
    for (int64_t i = 0; i < rounds; i++) {
        TNN__UNROLL
        for (int l = 0; l < CHAINS; l++)
            x[l] = _mm512_add_epi32(x[l], _mm512_madd_epi16(_mm512_maddubs_epi16(x[l], w), ones));
    }
    TNN__UNROLL
    for (int l = 0; l < CHAINS; l++)
        *sink = _mm_cvtss_f32(_mm512_castps512_ps128(_mm512_castsi512_ps(x[l])));
    return (double)rounds * CHAINS * 128;
}
