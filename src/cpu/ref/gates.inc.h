/* What surrounds the gated delta rule, row by row: gates, the gated norm, the causal convolution. */
#include "cpu/ref/real.h"

static real sigmoid_of(real x) {
    return 1 / (1 + REAL_EXP(-x));
}

static void sigmoid(const real *x, real *y, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        y[i] = sigmoid_of(x[i]);
}

static void sigmoid_gate(const real *x, const real *gate, real *y, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * sigmoid_of(gate[i]);
}

static void sigmoid_gate_back(const real *x, const real *gate, const real *dy, real *dx, real *dgate, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        real s = sigmoid_of(gate[i]), d = dy[i], value = x[i];
        dx[i] = d * s;
        dgate[i] = d * value * s * (1 - s);
    }
}

static void rms_norm_gated(const real *x, const real *gamma, const real *z, real *y, int64_t n, real eps) {
    real r = 1 / REAL_SQRT(dot(x, x, n) / (real)n + eps);
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * r * gamma[i] * (z[i] / (1 + REAL_EXP(-z[i])));
}

/* r = 1/rms(x), n = x r, s = sigmoid(z), d = dy gamma z s: dx = r (d - n mean(d n)), dz = dy n gamma s (1 + z (1 - s))
 */
static void rms_norm_gated_back(const real *x, const real *gamma, const real *z, const real *dy, real *dx, real *dz,
                                real *dgamma, int64_t n, real eps) {
    real r = 1 / REAL_SQRT(dot(x, x, n) / (real)n + eps), mean = 0;
    for (int64_t i = 0; i < n; i++)
        mean += dy[i] * gamma[i] * z[i] * sigmoid_of(z[i]) * x[i];
    mean *= r / (real)n;
    for (int64_t i = 0; i < n; i++) {
        real s = sigmoid_of(z[i]), normed = x[i] * r, d = dy[i];
        dgamma[i] += d * normed * z[i] * s;
        dz[i] = d * normed * gamma[i] * s * (1 + z[i] * (1 - s));
        dx[i] = r * (d * gamma[i] * z[i] * s - normed * mean);
    }
}

static void conv1d_silu(const real *const *x, const real *w, int64_t width, real *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        real c = 0;
        for (int64_t j = 0; j < width; j++)
            c += w[j * n + i] * x[j][i];
        y[i] = c / (1 + REAL_EXP(-c));
    }
}

static void conv1d_silu_back(const real *const *x, const real *w, int64_t width, const real *dy, real *const *dx,
                             real *dw, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        real c = 0;
        for (int64_t j = 0; j < width; j++)
            c += w[j * n + i] * x[j][i];
        real s = sigmoid_of(c), dc = dy[i] * s * (1 + c * (1 - s));
        for (int64_t j = 0; j < width; j++) {
            dw[j * n + i] += dc * x[j][i];
            if (dx[j]) dx[j][i] = (j < width - 1 ? dx[j][i] : 0) + dc * w[j * n + i];
        }
    }
}

#define SET_GDN_KERNELS(k)                                                                                             \
    (k)->sigmoid = sigmoid;                                                                                            \
    (k)->sigmoid_gate = sigmoid_gate;                                                                                  \
    (k)->sigmoid_gate_back = sigmoid_gate_back;                                                                        \
    (k)->rms_norm_gated = rms_norm_gated;                                                                              \
    (k)->rms_norm_gated_back = rms_norm_gated_back;                                                                    \
    (k)->conv1d_silu = conv1d_silu;                                                                                    \
    (k)->conv1d_silu_back = conv1d_silu_back;                                                                          \
    (k)->gdn = gdn_reference
