/* Kernels over one row. */
#include "cpu/ref/real.h"

static void rms_norm(const real *x, const real *gamma, real *y, int64_t n, real eps) {
    real inv = 1 / REAL_SQRT(dot(x, x, n) / (real)n + eps);
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * inv * gamma[i];
}

static void swiglu(const real *gate, const real *up, real *y, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        y[i] = gate[i] / (1 + REAL_EXP(-gate[i])) * up[i];
}

static void add(const real *a, const real *b, real *y, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void rope(const real *x, const real *cs, real *y, int64_t d, int64_t n_rot, bool interleaved, bool inverse) {
    int64_t half = n_rot / 2;
    for (int64_t i = 0; i < half; i++) {
        int64_t i0 = interleaved ? 2 * i : i;
        int64_t i1 = interleaved ? 2 * i + 1 : i + half;
        real cos = cs[2 * i], sin = inverse ? -cs[2 * i + 1] : cs[2 * i + 1];
        real x0 = x[i0], x1 = x[i1];
        y[i0] = x0 * cos - x1 * sin;
        y[i1] = x0 * sin + x1 * cos;
    }
    for (int64_t i = 2 * half; i < d; i++)
        y[i] = x[i];
}
