/* The scale searches. The rules, to the order of the operations, are those of ggml's reference quantiser. */
#include "quant/search.h"

#include <math.h>
#include <string.h>

#define GROUP_MAX 32

const tnn__scale_range tnn__weighted_scale_range = {-0.9f, 0.05f, 36, false};

float tnn__signed_max(const float *x, int n) {
    float max = 0, amax = 0;
    for (int i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        if (a > amax) {
            amax = a;
            max = x[i];
        }
    }
    return max;
}

float tnn__sum_squares(const float *x, int64_t n) {
    float sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    return sum;
}

void tnn__importance_weights(const float *x, const float *importance, float variance, int n, float *w) {
    for (int i = 0; i < n; i++) {
        w[i] = importance[i] * sqrtf(variance + x[i] * x[i]);
    }
}

static void zero_codes(uint8_t *codes, int n) {
    for (int i = 0; i < n; i++) {
        codes[i] = 0;
    }
}

/* Of a code vector l against x, all weighted. */
typedef struct sums {
    float xl, l2;
} sums;

static void add_term(sums *s, float w, float x, int l) {
    s->xl += w * x * (float)l;
    s->l2 += w * (float)l * (float)l;
}

static sums without_term(sums s, float w, float x, int l) {
    s.xl -= w * x * (float)l;
    s.l2 -= w * (float)l * (float)l;
    return s;
}

/* s explains more of x than t: s.xl^2 / s.l2 > t.xl^2 / t.l2 without the division. */
static bool better(sums s, sums t) {
    return s.xl * s.xl * t.l2 > t.xl * t.xl * s.l2;
}

static float best_scale(sums s) {
    return s.l2 > 0 ? s.xl / s.l2 : 0;
}

static sums code_sums(const float *x, const float *w, int n, int nmax, float inverse) {
    sums s = {0, 0};
    for (int i = 0; i < n; i++) {
        add_term(&s, w[i], x[i], tnn__round_code(inverse * x[i], -nmax, nmax - 1));
    }
    return s;
}

float tnn__fit_scale(const float *x, const float *w, int n, int nmax, uint8_t *codes) {
    float max = tnn__signed_max(x, n);
    if (fabsf(max) < TNN__GROUP_EPS) {
        zero_codes(codes, n);
        return 0;
    }
    float chosen = (float)-nmax / max;
    sums s = code_sums(x, w, n, nmax, chosen);
    float scale = best_scale(s);
    float best = scale * s.xl;
    for (int step = -9; step <= 9; step++) {
        if (step == 0) continue;
        float inverse = -((float)nmax + 0.1f * (float)step) / max;
        s = code_sums(x, w, n, nmax, inverse);
        if (s.l2 > 0 && s.xl * s.xl > best * s.l2) {
            chosen = inverse;
            scale = s.xl / s.l2;
            best = scale * s.xl;
        }
    }
    for (int i = 0; i < n; i++) {
        codes[i] = (uint8_t)(tnn__round_code(chosen * x[i], -nmax, nmax - 1) + nmax);
    }
    return scale;
}

#define DESCENT_PASSES 5

float tnn__fit_scale_descent(const float *x, int n, int nmax, uint8_t *codes) {
    float max = tnn__signed_max(x, n);
    if (fabsf(max) < TNN__GROUP_EPS) {
        zero_codes(codes, n);
        return 0;
    }
    int l[GROUP_MAX];
    sums s = {0, 0};
    for (int i = 0; i < n; i++) {
        l[i] = tnn__round_code((float)-nmax / max * x[i], -nmax, nmax - 1);
        add_term(&s, x[i] * x[i], x[i], l[i]);
    }
    bool changed = true;
    for (int pass = 0; pass < DESCENT_PASSES && changed; pass++) {
        changed = false;
        for (int i = 0; i < n; i++) {
            float w = x[i] * x[i];
            sums t = without_term(s, w, x[i], l[i]);
            if (!(t.xl > 0)) continue;
            int candidate = tnn__round_code(x[i] * t.l2 / t.xl, -nmax, nmax - 1);
            if (candidate == l[i]) continue;
            add_term(&t, w, x[i], candidate);
            if (t.l2 > 0 && better(t, s)) {
                l[i] = candidate;
                s = t;
                changed = true;
            }
        }
    }
    for (int i = 0; i < n; i++) {
        codes[i] = (uint8_t)(l[i] + nmax);
    }
    return best_scale(s);
}

static float positive_error(const float *x, const float *w, int n, int nmax, float inverse) {
    float scale = 1 / inverse, error = 0;
    for (int i = 0; i < n; i++) {
        float diff = x[i] - scale * (float)tnn__round_code(inverse * x[i], 0, nmax);
        error += w[i] * diff * diff;
    }
    return error;
}

/* The start scale of least error, codes first made with nmax / max. */
static float positive_start(const float *x, const float *w, int n, int nmax, float max) {
    float chosen = (float)nmax / max;
    float best = positive_error(x, w, n, nmax, chosen);
    for (int step = -4; step <= 4; step++) {
        if (step == 0) continue;
        float inverse = (0.1f * (float)step + (float)nmax) / max;
        float error = positive_error(x, w, n, nmax, inverse);
        if (error < best) {
            best = error;
            chosen = inverse;
        }
    }
    return chosen;
}

float tnn__fit_scale_positive(const float *x, const float *w, int n, int nmax, uint8_t *codes) {
    float max = 0;
    for (int i = 0; i < n; i++) {
        if (x[i] > max) max = x[i];
    }
    zero_codes(codes, n);
    if (max < TNN__GROUP_EPS) return 0;
    float inverse = positive_start(x, w, n, nmax, max);
    sums s = {0, 0};
    for (int i = 0; i < n; i++) {
        codes[i] = (uint8_t)tnn__round_code(inverse * x[i], 0, nmax);
        add_term(&s, w[i], x[i], codes[i]);
    }
    bool changed = true;
    for (int pass = 0; pass < DESCENT_PASSES && changed; pass++) {
        changed = false;
        for (int i = 0; i < n; i++) {
            sums t = without_term(s, w[i], x[i], codes[i]);
            if (!(t.xl > 0 && t.l2 > 0)) continue;
            int candidate = tnn__round_code(x[i] * t.l2 / t.xl, 0, nmax);
            if (candidate == codes[i]) continue;
            add_term(&t, w[i], x[i], candidate);
            if (better(t, s)) {
                codes[i] = (uint8_t)candidate;
                s = t;
                changed = true;
            }
        }
    }
    return best_scale(s);
}

/* scale * codes + min against x */
static float line_error(const float *x, const float *w, int n, const uint8_t *codes, float scale, float min,
                        bool absolute) {
    float error = 0;
    for (int i = 0; i < n; i++) {
        float diff = scale * (float)codes[i] + min - x[i];
        error += w[i] * (absolute ? fabsf(diff) : diff * diff);
    }
    return error;
}

/* The line through (codes, x) of least squares with min <= 0; false where the codes do not determine one. */
static bool fit_line(const float *x, const float *w, int n, const uint8_t *codes, float sum_w, float sum_x,
                     float *scale, float *min) {
    float sum_l = 0, sum_l2 = 0, sum_xl = 0;
    for (int i = 0; i < n; i++) {
        float l = codes[i];
        sum_l += w[i] * l;
        sum_l2 += w[i] * l * l;
        sum_xl += w[i] * l * x[i];
    }
    float determinant = sum_w * sum_l2 - sum_l * sum_l;
    if (!(determinant > 0)) return false;
    *scale = (sum_w * sum_xl - sum_x * sum_l) / determinant;
    *min = (sum_l2 * sum_x - sum_l * sum_xl) / determinant;
    if (*min > 0) {
        *min = 0;
        *scale = sum_xl / sum_l2;
    }
    return true;
}

static void round_codes(const float *x, int n, int nmax, float inverse, float min, uint8_t *codes) {
    for (int i = 0; i < n; i++) {
        codes[i] = (uint8_t)tnn__round_code(inverse * (x[i] - min), 0, nmax);
    }
}

float tnn__fit_scale_min(const float *x, const float *w, int n, int nmax, const tnn__scale_range *range, uint8_t *codes,
                         float *out_min) {
    float min = x[0], max = x[0];
    float sum_w = w[0], sum_x = sum_w * x[0];
    for (int i = 1; i < n; i++) {
        if (x[i] < min) min = x[i];
        if (x[i] > max) max = x[i];
        sum_w += w[i];
        sum_x += w[i] * x[i];
    }
    if (min > 0) min = 0;
    if (max <= min) {
        zero_codes(codes, n);
        *out_min = -min;
        return 0;
    }
    float inverse = (float)nmax / (max - min);
    float scale = 1 / inverse;
    round_codes(x, n, nmax, inverse, min, codes);
    float best = line_error(x, w, n, codes, scale, min, range->absolute);
    for (int step = 0; step <= range->n_steps; step++) {
        uint8_t trial[GROUP_MAX];
        float trial_scale, trial_min;
        /* An accepted trial moves min, and with it the start of those after it. */
        inverse = (range->first + range->step * (float)step + (float)nmax) / (max - min);
        round_codes(x, n, nmax, inverse, min, trial);
        if (!fit_line(x, w, n, trial, sum_w, sum_x, &trial_scale, &trial_min)) continue;
        float error = line_error(x, w, n, trial, trial_scale, trial_min, range->absolute);
        if (error < best) {
            best = error;
            scale = trial_scale;
            min = trial_min;
            memcpy(codes, trial, (size_t)n);
        }
    }
    *out_min = -min;
    return scale;
}
