/*
 * IQ4_NL and IQ4_XS: 4-bit codes into a fixed, unevenly spaced codebook. IQ4_NL has an F16 scale per 32 elements,
 * IQ4_XS an F16 scale per 256 and a signed 6-bit one per 32.
 */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "quant/blocks.h"
#include "quant/quant.h"
#include "quant/search.h"

#define GROUP TNN__QK
#define TRIES 7

/* The entry nearest to v; between two at the same distance the greater. */
static int nearest_code(float v) {
    if (v <= (float)tnn__iq4_values[0]) return 0;
    for (int i = 1; i < 16; i++) {
        float above = (float)tnn__iq4_values[i];
        if (v < above) return v - (float)tnn__iq4_values[i - 1] < above - v ? i - 1 : i;
    }
    return 15;
}

/* Weighted sums of codebook values q against x: of q x and of q^2. */
static void value_sums(const float *x, const float *w, float inverse, float *sum_qx, float *sum_q2) {
    *sum_qx = *sum_q2 = 0;
    for (int j = 0; j < GROUP; j++) {
        float q = (float)tnn__iq4_values[nearest_code(inverse * x[j])];
        *sum_qx += w[j] * q * x[j];
        *sum_q2 += w[j] * q * q;
    }
}

/* The scale of 32 elements: least squares from start scales that put the extreme on or near the first entry. */
static float fit_group(const float *x, const float *w) {
    float max = tnn__signed_max(x, GROUP);
    if (fabsf(max) < TNN__GROUP_EPS) return 0;
    float lowest = (float)tnn__iq4_values[0];
    float sum_qx, sum_q2;
    value_sums(x, w, 1 / (-max / lowest), &sum_qx, &sum_q2);
    float scale = sum_q2 > 0 ? sum_qx / sum_q2 : 0;
    float best = scale * sum_qx;
    for (int step = -TRIES; step <= TRIES; step++) {
        value_sums(x, w, ((float)step + lowest) / max, &sum_qx, &sum_q2);
        if (sum_q2 > 0 && sum_qx * sum_qx > best * sum_q2) {
            scale = sum_qx / sum_q2;
            best = scale * sum_qx;
        }
    }
    return scale;
}

static void group_weights(const float *x, const float *importance, float variance, float w[GROUP]) {
    if (importance) {
        tnn__importance_weights(x, importance, variance, GROUP, w);
        return;
    }
    for (int j = 0; j < GROUP; j++) {
        w[j] = x[j] * x[j];
    }
}

static void pack_group(const float *x, float scale, uint8_t qs[16]) {
    float inverse = scale != 0 ? 1 / scale : 0;
    for (int j = 0; j < 16; j++) {
        qs[j] = (uint8_t)(nearest_code(inverse * x[j]) | nearest_code(inverse * x[j + 16]) << 4);
    }
}

static void unpack_group(const uint8_t qs[16], float scale, float *dst) {
    for (int j = 0; j < 16; j++) {
        dst[j] = scale * (float)tnn__iq4_values[qs[j] & 15];
        dst[j + 16] = scale * (float)tnn__iq4_values[qs[j] >> 4];
    }
}

void tnn__dequantize_iq4_nl(const void *src, float *dst, int64_t n) {
    const tnn__block_iq4_nl *b = src;
    for (; n > 0; n -= GROUP, dst += GROUP, b++) {
        unpack_group(b->qs, tnn__f16_to_f32(b->d), dst);
    }
}

void tnn__quantize_iq4_nl(const float *src, void *dst, int64_t n, const float *importance) {
    tnn__block_iq4_nl *b = dst;
    for (int64_t i = 0; i < n; i += GROUP, b++) {
        const float *x = src + i;
        float w[GROUP];
        float variance = 2 * tnn__sum_squares(x, GROUP) / GROUP;
        group_weights(x, importance ? importance + i : NULL, variance, w);
        float d = fit_group(x, w);
        b->d = tnn__f32_to_f16(d);
        pack_group(x, d, b->qs);
    }
}

void tnn__dequantize_iq4_xs(const void *src, float *dst, int64_t n) {
    const tnn__block_iq4_xs *b = src;
    for (; n > 0; n -= TNN__QK_K, dst += TNN__QK_K, b++) {
        float d = tnn__f16_to_f32(b->d);
        for (int s = 0; s < 8; s++) {
            unpack_group(b->qs + 16 * s, d * (float)tnn__iq4_xs_scale(b, s), dst + GROUP * s);
        }
    }
}

void tnn__quantize_iq4_xs(const float *src, void *dst, int64_t n, const float *importance) {
    tnn__block_iq4_xs *b = dst;
    for (int64_t i = 0; i < n; i += TNN__QK_K, b++) {
        float variance = 2 * tnn__sum_squares(src + i, TNN__QK_K) / TNN__QK_K;
        float scales[8];
        for (int s = 0; s < 8; s++) {
            int64_t first = i + GROUP * s;
            float w[GROUP];
            group_weights(src + first, importance ? importance + first : NULL, variance, w);
            scales[s] = fit_group(src + first, w);
        }
        float d = -tnn__signed_max(scales, 8) / 32;
        float inverse = d != 0 ? 1 / d : 0;
        b->d = tnn__f32_to_f16(d);
        b->scales_h = 0;
        memset(b->scales_l, 0, sizeof b->scales_l);
        for (int s = 0; s < 8; s++) {
            int scale = tnn__round_code(inverse * scales[s], -32, 31);
            int code = scale + 32;
            b->scales_l[s / 2] = (uint8_t)(b->scales_l[s / 2] | (code & 15) << (4 * (s % 2)));
            b->scales_h = (uint16_t)(b->scales_h | (code >> 4) << (2 * s));
            pack_group(src + i + GROUP * s, d * (float)scale, b->qs + 16 * s);
        }
    }
}
