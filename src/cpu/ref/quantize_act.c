/* Activations to int8 in groups of 32, the rule that every vector version reproduces bit for bit. */
#include <string.h>

#include "base/half.h"
#include "cpu/kernels_q8.h"

/*
 * The largest magnitude is taken over the bits, so that a NaN is the largest of all. A group with a NaN or an infinity
 * gets a scale that is not finite, and with it every product it enters; a group below 2^-100 becomes zero, because 127
 * over its largest magnitude could overflow.
 */
static void quantize_group(const float *x, int8_t *q, float *d, float *s, int16_t *sum16) {
    uint32_t max_bits = 0;
    for (int i = 0; i < 32; i++) {
        uint32_t bits = tnn__f32_bits(x[i]) & 0x7fffffffu;
        if (bits > max_bits) max_bits = bits;
    }
    float max = tnn__f32_from_bits(max_bits);
    bool finite = max_bits < 0x7f800000u, zero = max < 0x1p-100f;
    float inverse = finite && !zero ? 127.0f / max : 0.0f;
    *d = zero ? 0.0f : max / 127.0f;
    for (int h = 0; h < 2; h++) {
        int sum = 0;
        for (int i = 16 * h; i < 16 * h + 16; i++) {
            /* Half away from zero: adding the float before 0.5 and cutting off is exact over the range of an int8. */
            float scaled = finite ? x[i] * inverse : 0.0f;
            q[i] = (int8_t)(scaled + (scaled < 0 ? -0x1.fffffep-2f : 0x1.fffffep-2f));
            sum += q[i];
        }
        sum16[h] = (int16_t)sum;
    }
    *s = *d * (float)(sum16[0] + sum16[1]);
}

void tnn__quantize_act_portable(const float *x, int64_t n, int8_t *q, float *d, float *s, int16_t *sum16) {
    for (int64_t g = 0; g < n / 32; g++)
        quantize_group(x + 32 * g, q + 32 * g, d + g, s + g, sum16 + 2 * g);
}
