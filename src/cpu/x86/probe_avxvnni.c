/* Products of bytes in registers. */
#include "cpu/probe.h"
#include "cpu/x86/float_avx2.h"

enum { CHAINS = 10 };

double tnn__probe_int8_avxvnni(int64_t n, volatile float *sink) {
    const __m256i w = _mm256_set1_epi8(3);
    __m256i x[CHAINS];
    int64_t rounds = n / (CHAINS * 64);
    TNN__UNROLL
    for (int l = 0; l < CHAINS; l++)
        x[l] = _mm256_set1_epi8((char)l);
    for (int64_t i = 0; i < rounds; i++) {
        TNN__UNROLL
        for (int l = 0; l < CHAINS; l++)
            x[l] = _mm256_dpbusd_avx_epi32(x[l], w, w);
    }
    TNN__UNROLL
    for (int l = 0; l < CHAINS; l++)
        *sink = _mm256_cvtss_f32(_mm256_castsi256_ps(x[l]));
    return (double)rounds * CHAINS * 64;
}
