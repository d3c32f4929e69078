/*
 * The first family: blocks of 32 with one F16 scale d, and in the _1 types an offset m. Nibbles hold elements j and
 * j + 16. The plain rules fix the scale from the extremes; the weighted ones search for it.
 */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "quant/blocks.h"
#include "quant/quant.h"
#include "quant/search.h"

#define QK   TNN__QK
#define HALF (TNN__QK / 2)

static void pack_nibbles(const uint8_t codes[QK], uint8_t qs[HALF]) {
    for (int j = 0; j < HALF; j++) {
        qs[j] = (uint8_t)((codes[j] & 15) | (codes[j + HALF] & 15) << 4);
    }
}

static void pack_fifth_bits(const uint8_t codes[QK], uint8_t qh[4]) {
    memset(qh, 0, 4);
    for (int j = 0; j < QK; j++) {
        qh[j / 8] = (uint8_t)(qh[j / 8] | (codes[j] >> 4) << (j % 8));
    }
}

static int fifth_bit(const uint8_t qh[4], int j) {
    return ((qh[j / 8] >> (j % 8)) & 1) << 4;
}

/* d and codes of x ~ d (code - nmax) from the signed extreme, which gets code 0. */
static float scale_from_extreme(const float *x, int nmax, uint8_t codes[QK]) {
    float d = tnn__signed_max(x, QK) / (float)-nmax;
    float inverse = d != 0 ? 1 / d : 0;
    for (int j = 0; j < QK; j++) {
        codes[j] = (uint8_t)tnn__trunc_code(x[j] * inverse + ((float)nmax + 0.5f), 2 * nmax - 1);
    }
    return d;
}

/* d, m and codes of x ~ d code + m from the least and the greatest element. */
static float scale_from_range(const float *x, int nmax, uint8_t codes[QK], float *m) {
    float min = x[0], max = x[0];
    for (int j = 1; j < QK; j++) {
        if (x[j] < min) min = x[j];
        if (x[j] > max) max = x[j];
    }
    float d = (max - min) / (float)nmax;
    float inverse = d != 0 ? 1 / d : 0;
    for (int j = 0; j < QK; j++) {
        codes[j] = (uint8_t)tnn__trunc_code((x[j] - min) * inverse + 0.5f, nmax);
    }
    *m = min;
    return d;
}

/* The two models with the rule that the importance asks for; `variance` is that of the whole row. */
static float symmetric_codes(const float *x, const float *importance, float variance, int nmax, uint8_t codes[QK]) {
    if (!importance) return scale_from_extreme(x, nmax, codes);
    float w[QK];
    tnn__importance_weights(x, importance, variance, QK, w);
    return tnn__fit_scale(x, w, QK, nmax, codes);
}

static float offset_codes(const float *x, const float *importance, float variance, int nmax, uint8_t codes[QK],
                          float *m) {
    if (!importance) return scale_from_range(x, nmax, codes, m);
    float w[QK], min;
    tnn__importance_weights(x, importance, variance, QK, w);
    float d = tnn__fit_scale_min(x, w, QK, nmax, &tnn__weighted_scale_range, codes, &min);
    *m = -min;
    return d;
}

static float row_variance(const float *x, int64_t n, const float *importance) {
    return importance ? tnn__sum_squares(x, n) / (float)n : 0;
}

static const float *importance_at(const float *importance, int64_t i) {
    return importance ? importance + i : NULL;
}

void tnn__dequantize_q4_0(const void *src, float *dst, int64_t n) {
    const tnn__block_q4_0 *b = src;
    for (; n > 0; n -= QK, dst += QK, b++) {
        float d = tnn__f16_to_f32(b->d);
        for (int j = 0; j < HALF; j++) {
            dst[j] = (float)((b->qs[j] & 15) - 8) * d;
            dst[j + HALF] = (float)((b->qs[j] >> 4) - 8) * d;
        }
    }
}

void tnn__quantize_q4_0(const float *src, void *dst, int64_t n, const float *importance) {
    tnn__block_q4_0 *b = dst;
    float variance = row_variance(src, n, importance);
    for (int64_t i = 0; i < n; i += QK, b++) {
        uint8_t codes[QK];
        b->d = tnn__f32_to_f16(symmetric_codes(src + i, importance_at(importance, i), variance, 8, codes));
        pack_nibbles(codes, b->qs);
    }
}

void tnn__dequantize_q4_1(const void *src, float *dst, int64_t n) {
    const tnn__block_q4_1 *b = src;
    for (; n > 0; n -= QK, dst += QK, b++) {
        float d = tnn__f16_to_f32(b->d), m = tnn__f16_to_f32(b->m);
        for (int j = 0; j < HALF; j++) {
            dst[j] = (float)(b->qs[j] & 15) * d + m;
            dst[j + HALF] = (float)(b->qs[j] >> 4) * d + m;
        }
    }
}

void tnn__quantize_q4_1(const float *src, void *dst, int64_t n, const float *importance) {
    tnn__block_q4_1 *b = dst;
    float variance = row_variance(src, n, importance);
    for (int64_t i = 0; i < n; i += QK, b++) {
        uint8_t codes[QK];
        float m;
        b->d = tnn__f32_to_f16(offset_codes(src + i, importance_at(importance, i), variance, 15, codes, &m));
        b->m = tnn__f32_to_f16(m);
        pack_nibbles(codes, b->qs);
    }
}

void tnn__dequantize_q5_0(const void *src, float *dst, int64_t n) {
    const tnn__block_q5_0 *b = src;
    for (; n > 0; n -= QK, dst += QK, b++) {
        float d = tnn__f16_to_f32(b->d);
        for (int j = 0; j < HALF; j++) {
            dst[j] = (float)(((b->qs[j] & 15) | fifth_bit(b->qh, j)) - 16) * d;
            dst[j + HALF] = (float)(((b->qs[j] >> 4) | fifth_bit(b->qh, j + HALF)) - 16) * d;
        }
    }
}

void tnn__quantize_q5_0(const float *src, void *dst, int64_t n, const float *importance) {
    tnn__block_q5_0 *b = dst;
    float variance = row_variance(src, n, importance);
    for (int64_t i = 0; i < n; i += QK, b++) {
        uint8_t codes[QK];
        b->d = tnn__f32_to_f16(symmetric_codes(src + i, importance_at(importance, i), variance, 16, codes));
        pack_nibbles(codes, b->qs);
        pack_fifth_bits(codes, b->qh);
    }
}

void tnn__dequantize_q5_1(const void *src, float *dst, int64_t n) {
    const tnn__block_q5_1 *b = src;
    for (; n > 0; n -= QK, dst += QK, b++) {
        float d = tnn__f16_to_f32(b->d), m = tnn__f16_to_f32(b->m);
        for (int j = 0; j < HALF; j++) {
            dst[j] = (float)((b->qs[j] & 15) | fifth_bit(b->qh, j)) * d + m;
            dst[j + HALF] = (float)((b->qs[j] >> 4) | fifth_bit(b->qh, j + HALF)) * d + m;
        }
    }
}

void tnn__quantize_q5_1(const float *src, void *dst, int64_t n, const float *importance) {
    tnn__block_q5_1 *b = dst;
    float variance = row_variance(src, n, importance);
    for (int64_t i = 0; i < n; i += QK, b++) {
        uint8_t codes[QK];
        float m;
        b->d = tnn__f32_to_f16(offset_codes(src + i, importance_at(importance, i), variance, 31, codes, &m));
        b->m = tnn__f32_to_f16(m);
        pack_nibbles(codes, b->qs);
        pack_fifth_bits(codes, b->qh);
    }
}

/* Codes with the unrounded scale, which is also what the sum of Q8_1 is made with. */
static float q8_codes(const float *x, int8_t qs[QK]) {
    float d = fabsf(tnn__signed_max(x, QK)) / 127;
    float inverse = d != 0 ? 1 / d : 0;
    for (int j = 0; j < QK; j++) {
        float q = roundf(x[j] * inverse);
        qs[j] = (int8_t)(q > -127 ? q < 127 ? q : 127 : -127);
    }
    return d;
}

void tnn__dequantize_q8_0(const void *src, float *dst, int64_t n) {
    const tnn__block_q8_0 *b = src;
    for (; n > 0; n -= QK, dst += QK, b++) {
        float d = tnn__f16_to_f32(b->d);
        for (int j = 0; j < QK; j++) {
            dst[j] = (float)b->qs[j] * d;
        }
    }
}

void tnn__quantize_q8_0(const float *src, void *dst, int64_t n, const float *importance) {
    (void)importance;
    tnn__block_q8_0 *b = dst;
    for (; n > 0; n -= QK, src += QK, b++) {
        b->d = tnn__f32_to_f16(q8_codes(src, b->qs));
    }
}

void tnn__dequantize_q8_1(const void *src, float *dst, int64_t n) {
    const tnn__block_q8_1 *b = src;
    for (; n > 0; n -= QK, dst += QK, b++) {
        float d = tnn__f16_to_f32(b->d);
        for (int j = 0; j < QK; j++) {
            dst[j] = (float)b->qs[j] * d;
        }
    }
}

void tnn__quantize_q8_1(const float *src, void *dst, int64_t n, const float *importance) {
    (void)importance;
    tnn__block_q8_1 *b = dst;
    for (; n > 0; n -= QK, src += QK, b++) {
        float d = q8_codes(src, b->qs);
        int sum = 0;
        for (int j = 0; j < QK; j++) {
            sum += b->qs[j];
        }
        b->d = tnn__f32_to_f16(d);
        b->s = tnn__f32_to_f16((float)sum * d);
    }
}
