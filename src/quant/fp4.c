/* MXFP4 (OCP Microscaling Formats v1.0): FP4 E2M1 elements, one E8M0 exponent per 32. */
#include <math.h>

#include "base/half.h"
#include "quant/blocks.h"
#include "quant/quant.h"
#include "quant/search.h"

#define GROUP TNN__QK

void tnn__dequantize_mxfp4(const void *src, float *dst, int64_t n) {
    const tnn__block_mxfp4 *b = src;
    for (; n > 0; n -= GROUP, dst += GROUP, b++) {
        float d = tnn__f32_from_bits(tnn__mxfp4_scale_bits(b->e));
        for (int j = 0; j < 16; j++) {
            dst[j] = (float)tnn__fp4_values[b->qs[j] & 15] * d;
            dst[j + 16] = (float)tnn__fp4_values[b->qs[j] >> 4] * d;
        }
    }
}

/* The nearest value, the first of equals: so that 0 is code 0. */
static int nearest_code(float v, float d) {
    int best = 0;
    float least = fabsf(v);
    for (int i = 1; i < 16; i++) {
        float error = fabsf((float)tnn__fp4_values[i] * d - v);
        if (error < least) {
            least = error;
            best = i;
        }
    }
    return best;
}

/* 4 = 2^2 is the greatest power of two of E2M1, and E8M0 has bias 127. log2f in F32, as the reference has it. */
static uint8_t shared_exponent(float amax) {
    if (amax == 0) return 0;
    int e = (int)floorf(log2f(amax)) - 2 + 127;
    return (uint8_t)(e > 0 ? e : 0);
}

void tnn__quantize_mxfp4(const float *src, void *dst, int64_t n, const float *importance) {
    (void)importance;
    tnn__block_mxfp4 *b = dst;
    for (; n > 0; n -= GROUP, src += GROUP, b++) {
        b->e = shared_exponent(fabsf(tnn__signed_max(src, GROUP)));
        float d = tnn__f32_from_bits(tnn__mxfp4_scale_bits(b->e));
        for (int j = 0; j < 16; j++) {
            b->qs[j] = (uint8_t)(nearest_code(src[j], d) | nearest_code(src[j + 16], d) << 4);
        }
    }
}
