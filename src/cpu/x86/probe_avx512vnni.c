/* Products of bytes in registers. */
#include "cpu/probe.h"
#include "cpu/x86/float_avx2.h"

enum { CHAINS = 10 };

double tnn__probe_int8_avx512vnni(int64_t n, volatile float *sink) {
    const __m512i w = _mm512_set1_epi8(3);
    __m512i x[CHAINS];
    int64_t rounds = n / (CHAINS * 128);
    TNN__UNROLL
    for (int l = 0; l < CHAINS; l++)
        x[l] = _mm512_set1_epi8((char)l);
    for (int64_t i = 0; i < rounds; i++) {
        TNN__UNROLL
        for (int l = 0; l < CHAINS; l++)
            x[l] = _mm512_dpbusd_epi32(x[l], w, w);
    }
    TNN__UNROLL
    for (int l = 0; l < CHAINS; l++)
        *sink = _mm_cvtss_f32(_mm512_castps512_ps128(_mm512_castsi512_ps(x[l])));
    return (double)rounds * CHAINS * 128;
}
