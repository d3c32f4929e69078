/*
 * The K family: super-blocks of 256 with F16 scales for the whole and small integer scales for sub-blocks of 16 or 32.
 * Q2_K, Q4_K and Q5_K have a scale and a min per sub-block, Q3_K and Q6_K a signed scale. Quantising fits each
 * sub-block, rounds the scales, and rounds the codes again with the scales as they will be read back.
 */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "quant/blocks.h"
#include "quant/quant.h"
#include "quant/search.h"

#define QK TNN__QK_K

/* Of one super-block of the types with mins, before the bits are packed. */
typedef struct scale_min_fit {
    uint8_t codes[QK];
    uint8_t scale[16], min[16];
    uint16_t d, dmin;
} scale_min_fit;

/* How a type with mins is fitted. */
typedef struct scale_min_rule {
    int sub_elems, code_max, scale_max;
    tnn__scale_range range; /* without importance */
    bool weigh_by_rms;      /* then: weights rms + |x| instead of |x| */
    float variance_factor;  /* with importance: of the mean square of the super-block */
} scale_min_rule;

static const scale_min_rule q2_k_rule = {16, 3, 15, {-0.5f, 0.1f, 15, true}, false, 1};
static const scale_min_rule q4_k_rule = {32, 15, 63, {-1.0f, 0.1f, 20, false}, true, 2};
static const scale_min_rule q5_k_rule = {32, 31, 63, {-0.5f, 0.1f, 15, false}, true, 2};

static void plain_weights(const scale_min_rule *rule, const float *x, float *w) {
    int n = rule->sub_elems;
    float rms = rule->weigh_by_rms ? sqrtf(tnn__sum_squares(x, n) / (float)n) : 0;
    for (int i = 0; i < n; i++) {
        w[i] = rms + fabsf(x[i]);
    }
}

/* One value per sub-block to small integers times an F16: the largest gets scale_max. */
static uint16_t round_scales(const float *values, int n, int scale_max, uint8_t *rounded) {
    float max = 0;
    for (int s = 0; s < n; s++) {
        if (values[s] > max) max = values[s];
    }
    float inverse = max > 0 ? (float)scale_max / max : 0;
    for (int s = 0; s < n; s++) {
        rounded[s] = (uint8_t)tnn__round_code(inverse * values[s], 0, scale_max);
    }
    return tnn__f32_to_f16(max / (float)scale_max);
}

static void round_codes_again(const scale_min_rule *rule, const float *x, scale_min_fit *fit) {
    float d = tnn__f16_to_f32(fit->d), dmin = tnn__f16_to_f32(fit->dmin);
    for (int s = 0; s < QK / rule->sub_elems; s++) {
        float scale = d * (float)fit->scale[s];
        float min = dmin * (float)fit->min[s];
        if (scale == 0) continue;
        for (int i = s * rule->sub_elems; i < (s + 1) * rule->sub_elems; i++) {
            fit->codes[i] = (uint8_t)tnn__round_code((x[i] + min) / scale, 0, rule->code_max);
        }
    }
}

static void fit_scale_min(const scale_min_rule *rule, const float *x, const float *importance, scale_min_fit *fit) {
    int n = rule->sub_elems, n_sub = QK / n;
    float variance = importance ? rule->variance_factor * tnn__sum_squares(x, QK) / QK : 0;
    float scales[16], mins[16], sub_weights[16];
    for (int s = 0; s < n_sub; s++) {
        float w[32];
        if (importance) {
            tnn__importance_weights(x + s * n, importance + s * n, variance, n, w);
        } else {
            plain_weights(rule, x + s * n, w);
        }
        const tnn__scale_range *range = importance ? &tnn__weighted_scale_range : &rule->range;
        scales[s] = tnn__fit_scale_min(x + s * n, w, n, rule->code_max, range, fit->codes + s * n, &mins[s]);
        sub_weights[s] = 0;
        for (int i = 0; i < n; i++) {
            sub_weights[s] += w[i];
        }
    }
    if (importance) {
        fit->d = tnn__f32_to_f16(tnn__fit_scale_positive(scales, sub_weights, n_sub, rule->scale_max, fit->scale));
        fit->dmin = tnn__f32_to_f16(tnn__fit_scale_positive(mins, sub_weights, n_sub, rule->scale_max, fit->min));
    } else {
        fit->d = round_scales(scales, n_sub, rule->scale_max, fit->scale);
        fit->dmin = round_scales(mins, n_sub, rule->scale_max, fit->min);
    }
    round_codes_again(rule, x, fit);
}

/* Two-bit codes: x[128 n + 32 j + l] at bits 2j of qs[32 n + l]; Q2_K and the low bits of Q3_K. */
static void pack_two_bits(const uint8_t codes[QK], uint8_t qs[QK / 4]) {
    for (int n = 0; n < 2; n++) {
        for (int l = 0; l < 32; l++) {
            const uint8_t *c = codes + 128 * n + l;
            qs[32 * n + l] = (uint8_t)((c[0] & 3) | (c[32] & 3) << 2 | (c[64] & 3) << 4 | (c[96] & 3) << 6);
        }
    }
}

/* The inverse of tnn__k4_scales. */
static void pack_k4_scales(const uint8_t scale[8], const uint8_t min[8], uint8_t packed[12]) {
    for (int j = 0; j < 4; j++) {
        packed[j] = (uint8_t)(scale[j] | (scale[j + 4] >> 4) << 6);
        packed[j + 4] = (uint8_t)(min[j] | (min[j + 4] >> 4) << 6);
        packed[j + 8] = (uint8_t)((scale[j + 4] & 15) | (min[j + 4] & 15) << 4);
    }
}

/* Nibbles of Q4_K and Q5_K: x[64 i + l] low, x[64 i + 32 + l] high in qs[32 i + l]. */
static void pack_nibbles(const uint8_t codes[QK], uint8_t qs[QK / 2]) {
    for (int i = 0; i < 4; i++) {
        for (int l = 0; l < 32; l++) {
            qs[32 * i + l] = (uint8_t)((codes[64 * i + l] & 15) | (codes[64 * i + 32 + l] & 15) << 4);
        }
    }
}

static const float *importance_at(const float *importance, int64_t i) {
    return importance ? importance + i : NULL;
}

void tnn__dequantize_q2_k(const void *src, float *dst, int64_t n) {
    const tnn__block_q2_k *b = src;
    for (; n > 0; n -= QK, dst += QK, b++) {
        float d = tnn__f16_to_f32(b->d), dmin = tnn__f16_to_f32(b->dmin);
        for (int s = 0; s < 16; s++) {
            float scale = d * (float)(b->scales[s] & 15);
            float min = dmin * (float)(b->scales[s] >> 4);
            const uint8_t *qs = b->qs + 32 * (s / 8) + 16 * (s % 2);
            int shift = 2 * ((s % 8) / 2);
            for (int l = 0; l < 16; l++) {
                dst[16 * s + l] = scale * (float)((qs[l] >> shift) & 3) - min;
            }
        }
    }
}

void tnn__quantize_q2_k(const float *src, void *dst, int64_t n, const float *importance) {
    tnn__block_q2_k *b = dst;
    for (int64_t i = 0; i < n; i += QK, b++) {
        scale_min_fit fit;
        fit_scale_min(&q2_k_rule, src + i, importance_at(importance, i), &fit);
        for (int s = 0; s < 16; s++) {
            b->scales[s] = (uint8_t)(fit.scale[s] | fit.min[s] << 4);
        }
        pack_two_bits(fit.codes, b->qs);
        b->d = fit.d;
        b->dmin = fit.dmin;
    }
}

void tnn__dequantize_q4_k(const void *src, float *dst, int64_t n) {
    const tnn__block_q4_k *b = src;
    for (; n > 0; n -= QK, dst += QK, b++) {
        float d = tnn__f16_to_f32(b->d), dmin = tnn__f16_to_f32(b->dmin);
        uint8_t scales[8], mins[8];
        tnn__k4_scales(b->scales, scales, mins);
        for (int s = 0; s < 8; s++) {
            float scale = d * (float)scales[s], min = dmin * (float)mins[s];
            const uint8_t *qs = b->qs + 32 * (s / 2);
            int shift = 4 * (s % 2);
            for (int l = 0; l < 32; l++) {
                dst[32 * s + l] = scale * (float)((qs[l] >> shift) & 15) - min;
            }
        }
    }
}

void tnn__quantize_q4_k(const float *src, void *dst, int64_t n, const float *importance) {
    tnn__block_q4_k *b = dst;
    for (int64_t i = 0; i < n; i += QK, b++) {
        scale_min_fit fit;
        fit_scale_min(&q4_k_rule, src + i, importance_at(importance, i), &fit);
        b->d = fit.d;
        b->dmin = fit.dmin;
        pack_k4_scales(fit.scale, fit.min, b->scales);
        pack_nibbles(fit.codes, b->qs);
    }
}

void tnn__dequantize_q5_k(const void *src, float *dst, int64_t n) {
    const tnn__block_q5_k *b = src;
    for (; n > 0; n -= QK, dst += QK, b++) {
        float d = tnn__f16_to_f32(b->d), dmin = tnn__f16_to_f32(b->dmin);
        uint8_t scales[8], mins[8];
        tnn__k4_scales(b->scales, scales, mins);
        for (int s = 0; s < 8; s++) {
            float scale = d * (float)scales[s], min = dmin * (float)mins[s];
            const uint8_t *qs = b->qs + 32 * (s / 2);
            int shift = 4 * (s % 2);
            for (int l = 0; l < 32; l++) {
                int q = ((qs[l] >> shift) & 15) | ((b->qh[l] >> s) & 1) << 4;
                dst[32 * s + l] = scale * (float)q - min;
            }
        }
    }
}

void tnn__quantize_q5_k(const float *src, void *dst, int64_t n, const float *importance) {
    tnn__block_q5_k *b = dst;
    for (int64_t i = 0; i < n; i += QK, b++) {
        scale_min_fit fit;
        fit_scale_min(&q5_k_rule, src + i, importance_at(importance, i), &fit);
        b->d = fit.d;
        b->dmin = fit.dmin;
        pack_k4_scales(fit.scale, fit.min, b->scales);
        pack_nibbles(fit.codes, b->qs);
        memset(b->qh, 0, sizeof b->qh);
        for (int e = 0; e < QK; e++) {
            b->qh[e % 32] = (uint8_t)(b->qh[e % 32] | (fit.codes[e] >> 4) << (e / 32));
        }
    }
}

/* Codes of x ~ (d scale) (code - nmax), rounded again with the scales as they are read back. */
static void round_signed_again(const float *x, float d, const int8_t scale[16], int nmax, uint8_t codes[QK]) {
    for (int s = 0; s < 16; s++) {
        float step = d * (float)scale[s];
        if (step == 0) continue;
        for (int i = 16 * s; i < 16 * s + 16; i++) {
            codes[i] = (uint8_t)(tnn__round_code(x[i] / step, -nmax, nmax - 1) + nmax);
        }
    }
}

/* The scale of largest magnitude, signed, becomes -scale_max; gives d. */
static float round_signed_scales(const float scales[16], int scale_max, int8_t rounded[16]) {
    float max = tnn__signed_max(scales, 16);
    float inverse = max != 0 ? (float)-scale_max / max : 0;
    for (int s = 0; s < 16; s++) {
        rounded[s] = (int8_t)tnn__round_code(inverse * scales[s], -scale_max, scale_max - 1);
    }
    return max != 0 ? 1 / inverse : 0;
}

void tnn__dequantize_q3_k(const void *src, float *dst, int64_t n) {
    const tnn__block_q3_k *b = src;
    for (; n > 0; n -= QK, dst += QK, b++) {
        float d = tnn__f16_to_f32(b->d);
        int8_t scales[16];
        tnn__q3_k_scales(b->scales, scales);
        for (int s = 0; s < 16; s++) {
            float scale = d * (float)scales[s];
            int first = 16 * (s % 2), plane = (s % 8) / 2;
            const uint8_t *qs = b->qs + 32 * (s / 8) + first;
            const uint8_t *hmask = b->hmask + first;
            for (int l = 0; l < 16; l++) {
                int high = (hmask[l] >> (4 * (s / 8) + plane)) & 1;
                dst[16 * s + l] = scale * (float)(((qs[l] >> (2 * plane)) & 3) - (high ? 0 : 4));
            }
        }
    }
}

/* The inverse of tnn__q3_k_scales. */
static void pack_q3_k_scales(const int8_t scale[16], uint8_t packed[12]) {
    memset(packed, 0, 12);
    for (int j = 0; j < 16; j++) {
        int code = scale[j] + 32;
        packed[j % 8] = (uint8_t)(packed[j % 8] | (code & 15) << (4 * (j / 8)));
        packed[8 + j % 4] = (uint8_t)(packed[8 + j % 4] | (code >> 4) << (2 * (j / 4)));
    }
}

static float fit_q3_k(const float *x, float scales[16], int8_t rounded[16], uint8_t codes[QK]) {
    for (int s = 0; s < 16; s++) {
        scales[s] = tnn__fit_scale_descent(x + 16 * s, 16, 4, codes + 16 * s);
    }
    return round_signed_scales(scales, 32, rounded);
}

static float fit_q3_k_weighted(const float *x, const float *importance, float scales[16], int8_t rounded[16],
                               uint8_t codes[QK]) {
    float variance = 2 * tnn__sum_squares(x, QK) / QK;
    float sub_weights[16];
    for (int s = 0; s < 16; s++) {
        float w[16];
        tnn__importance_weights(x + 16 * s, importance + 16 * s, variance, 16, w);
        scales[s] = tnn__fit_scale(x + 16 * s, w, 16, 4, codes + 16 * s);
        sub_weights[s] = 0;
        for (int i = 0; i < 16; i++) {
            sub_weights[s] += w[i];
        }
    }
    uint8_t scale_codes[16];
    float d = tnn__fit_scale(scales, sub_weights, 16, 32, scale_codes);
    for (int s = 0; s < 16; s++) {
        rounded[s] = (int8_t)(scale_codes[s] - 32);
    }
    return d;
}

void tnn__quantize_q3_k(const float *src, void *dst, int64_t n, const float *importance) {
    tnn__block_q3_k *b = dst;
    for (int64_t i = 0; i < n; i += QK, b++) {
        float scales[16];
        int8_t rounded[16];
        uint8_t codes[QK];
        float d = importance ? fit_q3_k_weighted(src + i, importance + i, scales, rounded, codes)
                             : fit_q3_k(src + i, scales, rounded, codes);
        b->d = tnn__f32_to_f16(d);
        round_signed_again(src + i, tnn__f16_to_f32(b->d), rounded, 4, codes);
        pack_q3_k_scales(rounded, b->scales);
        pack_two_bits(codes, b->qs);
        memset(b->hmask, 0, sizeof b->hmask);
        for (int e = 0; e < QK; e++) {
            b->hmask[e % 32] = (uint8_t)(b->hmask[e % 32] | (codes[e] >> 2) << (e / 32));
        }
    }
}

void tnn__dequantize_q6_k(const void *src, float *dst, int64_t n) {
    const tnn__block_q6_k *b = src;
    for (; n > 0; n -= QK, dst += QK, b++) {
        float d = tnn__f16_to_f32(b->d);
        for (int s = 0; s < 16; s++) {
            float scale = d * (float)b->scales[s];
            int half = s / 8, plane = (s % 8) / 2, first = 16 * (s % 2);
            const uint8_t *ql = b->ql + 64 * half + 32 * (plane % 2) + first;
            const uint8_t *qh = b->qh + 32 * half + first;
            for (int l = 0; l < 16; l++) {
                int q = ((ql[l] >> (4 * (plane / 2))) & 15) | ((qh[l] >> (2 * plane)) & 3) << 4;
                dst[16 * s + l] = scale * (float)(q - 32);
            }
        }
    }
}

static void pack_q6_k(const uint8_t codes[QK], tnn__block_q6_k *b) {
    for (int half = 0; half < 2; half++) {
        for (int l = 0; l < 32; l++) {
            const uint8_t *c = codes + 128 * half + l;
            b->ql[64 * half + l] = (uint8_t)((c[0] & 15) | (c[64] & 15) << 4);
            b->ql[64 * half + 32 + l] = (uint8_t)((c[32] & 15) | (c[96] & 15) << 4);
            b->qh[32 * half + l] = (uint8_t)(c[0] >> 4 | (c[32] >> 4) << 2 | (c[64] >> 4) << 4 | (c[96] >> 4) << 6);
        }
    }
}

void tnn__quantize_q6_k(const float *src, void *dst, int64_t n, const float *importance) {
    tnn__block_q6_k *b = dst;
    for (int64_t i = 0; i < n; i += QK, b++) {
        const float *x = src + i;
        float scales[16], squares[QK];
        uint8_t codes[QK];
        for (int e = 0; e < QK; e++) {
            squares[e] = x[e] * x[e];
        }
        const float *w = importance ? importance + i : squares;
        for (int s = 0; s < 16; s++) {
            scales[s] = tnn__fit_scale(x + 16 * s, w + 16 * s, 16, 32, codes + 16 * s);
        }
        if (fabsf(tnn__signed_max(scales, 16)) < TNN__GROUP_EPS) {
            memset(b, 0, sizeof *b);
            continue;
        }
        b->d = tnn__f32_to_f16(round_signed_scales(scales, 128, b->scales));
        round_signed_again(x, tnn__f16_to_f32(b->d), b->scales, 32, codes);
        pack_q6_k(codes, b);
    }
}

void tnn__dequantize_q8_k(const void *src, float *dst, int64_t n) {
    const tnn__block_q8_k *b = src;
    for (; n > 0; n -= QK, dst += QK, b++) {
        for (int e = 0; e < QK; e++) {
            dst[e] = b->d * (float)b->qs[e];
        }
    }
}

void tnn__quantize_q8_k(const float *src, void *dst, int64_t n, const float *importance) {
    (void)importance;
    tnn__block_q8_k *b = dst;
    for (; n > 0; n -= QK, src += QK, b++) {
        float max = tnn__signed_max(src, QK);
        float inverse = max != 0 ? -127 / max : 0;
        b->d = max != 0 ? 1 / inverse : 0;
        for (int s = 0; s < 16; s++) {
            int sum = 0;
            for (int e = 16 * s; e < 16 * s + 16; e++) {
                b->qs[e] = (int8_t)tnn__round_code(inverse * src[e], -127, 127);
                sum += b->qs[e];
            }
            b->bsums[s] = (int16_t)sum;
        }
    }
}
