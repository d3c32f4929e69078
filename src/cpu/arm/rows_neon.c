/* Kernels over one row, with NEON. */
#include <arm_neon.h>
#include <math.h>

#include "cpu/arm/init.h"

static void rms_norm(const float *x, const float *gamma, float *y, int64_t n, float eps, float *inv_rms) {
    float32x4_t sums = vdupq_n_f32(0.0f);
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        sums = vfmaq_f32(sums, vld1q_f32(x + i), vld1q_f32(x + i));
    float sum = vaddvq_f32(sums);
    for (; i < n; i++)
        sum += x[i] * x[i];
    float r = 1.0f / sqrtf(sum / (float)n + eps);
    for (i = 0; i + 4 <= n; i += 4)
        vst1q_f32(y + i, vmulq_f32(vmulq_n_f32(vld1q_f32(x + i), r), vld1q_f32(gamma + i)));
    for (; i < n; i++)
        y[i] = x[i] * r * gamma[i];
    if (inv_rms) *inv_rms = r;
}

/* e^x within 2 ulp; range reduction and polynomial from Cephes (Moshier), expf.c. Overflow gives infinity, NaN stays.
 */
static inline float32x4_t exp4(float32x4_t x) {
    x = vminq_f32(vmaxq_f32(x, vdupq_n_f32(-104.0f)), vdupq_n_f32(89.0f));
    float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504f));
    float32x4_t r = vfmsq_n_f32(x, n, 0.693359375f);
    r = vfmsq_n_f32(r, n, -2.12194440e-4f);
    float32x4_t p = vdupq_n_f32(1.9875691500e-4f);
    p = vfmaq_f32(vdupq_n_f32(1.3981999507e-3f), p, r);
    p = vfmaq_f32(vdupq_n_f32(8.3334519073e-3f), p, r);
    p = vfmaq_f32(vdupq_n_f32(4.1665795894e-2f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.6666665459e-1f), p, r);
    p = vfmaq_f32(vdupq_n_f32(5.0000001201e-1f), p, r);
    p = vfmaq_f32(vaddq_f32(r, vdupq_n_f32(1.0f)), p, vmulq_f32(r, r));
    /* 2^n in two factors: n reaches -150 and 128 */
    int32x4_t k = vcvtq_s32_f32(n), half = vshrq_n_s32(k, 1), bias = vdupq_n_s32(127);
    float32x4_t s0 = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
    float32x4_t s1 = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vsubq_s32(k, half), bias), 23));
    return vmulq_f32(vmulq_f32(p, s0), s1);
}

static inline float32x4_t swiglu4(float32x4_t g, float32x4_t u) {
    float32x4_t one = vdupq_n_f32(1.0f);
    return vmulq_f32(vdivq_f32(g, vaddq_f32(one, exp4(vnegq_f32(g)))), u);
}

static void swiglu(const float *gate, const float *up, float *y, int64_t n) {
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(y + i, swiglu4(vld1q_f32(gate + i), vld1q_f32(up + i)));
    if (i == n) return;
    float g[4] = {0}, u[4] = {0}, rest[4];
    for (int64_t k = i; k < n; k++) {
        g[k - i] = gate[k];
        u[k - i] = up[k];
    }
    vst1q_f32(rest, swiglu4(vld1q_f32(g), vld1q_f32(u)));
    for (int64_t k = i; k < n; k++)
        y[k] = rest[k - i];
}

static void add(const float *a, const float *b, float *y, int64_t n) {
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(y + i, vaddq_f32(vld1q_f32(a + i), vld1q_f32(b + i)));
    for (; i < n; i++)
        y[i] = a[i] + b[i];
}

void tnn__kernels_init_rows_neon(tnn__kernels *k) {
    k->rms_norm = rms_norm;
    k->swiglu = swiglu;
    k->add = add;
}
