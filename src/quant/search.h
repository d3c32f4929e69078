/*
 * Finding the scale of a group of elements: the searches of the reference quantiser, shared by the families. Sums run
 * in F32 in element order and in the order of operations of the reference, because a near tie decides a code.
 */
#ifndef TNN_QUANT_SEARCH_H
#define TNN_QUANT_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

/* Below this magnitude a group counts as zero. */
#define TNN__GROUP_EPS 1e-15f

/* To the nearest integer of [lo, hi], ties to even; NaN gives lo. |lo|, |hi| <= 2^22. */
static inline int tnn__round_code(float v, int lo, int hi) {
    float clamped = v > (float)lo ? v < (float)hi ? v : (float)hi : (float)lo;
    /* At 1.5 * 2^23 the last bit of an F32 is worth 1, so the addition rounds. */
    return (int)((clamped + 0x1.8p23f) - 0x1.8p23f);
}

/* Toward zero, into [0, hi]; NaN gives 0. */
static inline int tnn__trunc_code(float v, int hi) {
    return v > 0 ? v < (float)hi ? (int)v : hi : 0;
}

/* The element of largest magnitude with its sign, the first of equals; 0 if all are 0. */
float tnn__signed_max(const float *x, int n);

/* w[i] = importance[i] * sqrt(variance + x[i]^2) */
void tnn__importance_weights(const float *x, const float *importance, float variance, int n, float *w);

/* Sum of squares of n elements, in order. */
float tnn__sum_squares(const float *x, int64_t n);

/*
 * x[i] ~ scale * (codes[i] - nmax), -nmax <= code - nmax < nmax, weighted least squares over a few start scales.
 * Gives the scale, 0 with all codes 0 for a zero group.
 */
float tnn__fit_scale(const float *x, const float *w, int n, int nmax, uint8_t *codes);

/* The same model without weights other than x^2, by coordinate descent on the codes. */
float tnn__fit_scale_descent(const float *x, int n, int nmax, uint8_t *codes);

/*
 * x[i] ~ scale * codes[i] for x >= 0, 0 <= codes[i] <= nmax. A negative x, which only an importance that is zero for
 * much of a group brings about, gets code 0; the reference lets the code wrap there.
 */
float tnn__fit_scale_positive(const float *x, const float *w, int n, int nmax, uint8_t *codes);

/* Start scales of tnn__fit_scale_min: (nmax + first + step * i) / (max - min) for i = 0 .. n_steps. */
typedef struct tnn__scale_range {
    float first, step;
    int n_steps;
    bool absolute; /* the error is |difference| instead of its square */
} tnn__scale_range;

/* That of every weighted form. */
extern const tnn__scale_range tnn__weighted_scale_range;

/* x[i] ~ scale * codes[i] - *min, 0 <= codes[i] <= nmax <= 31, *min >= 0; n <= 32. */
float tnn__fit_scale_min(const float *x, const float *w, int n, int nmax, const tnn__scale_range *range, uint8_t *codes,
                         float *min);

#endif
