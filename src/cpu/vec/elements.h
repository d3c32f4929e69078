/* What kernels that go over the elements of rows share, over the vectors that the including file brings: rows of any
 * length, the root of their mean square, exponentials. */
#ifndef TNN_CPU_VEC_ELEMENTS_H
#define TNN_CPU_VEC_ELEMENTS_H

#include <math.h>

/* The first `left` elements at p, of one vector at most, the rest zero; and back. */
TNN__INLINE vf vf_load_n(const float *p, int64_t left) {
    return left >= LANES ? vf_load(p) : vf_load_some(p, vm_first(left));
}

TNN__INLINE void vf_store_n(float *p, vf v, int64_t left) {
    if (left >= LANES)
        vf_store(p, v);
    else
        vf_store_some(p, vm_first(left), v);
}

/* 1 / sqrt(mean(x^2) + eps) */
TNN__INLINE float inverse_rms(const float *x, int64_t n, float eps) {
    vf sum[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        TNN__UNROLL
        for (int l = 0; l < 4; l++) {
            vf v = vf_load(x + i + l * LANES);
            sum[l] = vf_fma(v, v, sum[l]);
        }
    }
    for (; i < n; i += LANES) {
        vf v = vf_load_n(x + i, n - i);
        sum[0] = vf_fma(v, v, sum[0]);
    }
    float squares = vf_sum(vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3])));
    return 1.0f / sqrtf(squares / (float)n + eps);
}

/*
 * e^x within 2 ulp for every x: underflow goes through the subnormals, overflow to infinity, NaN stays. Range
 * reduction and polynomial from Cephes (Moshier), expf.c.
 */
TNN__INLINE vf vf_exp(vf x) {
    x = vf_max(vf_set(-104.0f), vf_min(vf_set(89.0f), x));
    vf n = vf_round(vf_mul(x, vf_set(1.44269504f)));
    vf r = vf_fma(n, vf_set(-0.693359375f), x);
    r = vf_fma(n, vf_set(2.12194440e-4f), r);
    vf p = vf_set(1.9875691500e-4f);
    p = vf_fma(p, r, vf_set(1.3981999507e-3f));
    p = vf_fma(p, r, vf_set(8.3334519073e-3f));
    p = vf_fma(p, r, vf_set(4.1665795894e-2f));
    p = vf_fma(p, r, vf_set(1.6666665459e-1f));
    p = vf_fma(p, r, vf_set(5.0000001201e-1f));
    p = vf_fma(p, vf_mul(r, r), vf_add(r, vf_set(1.0f)));
    return vf_scale_far(p, n);
}

/* 1 / (1 + e^-x) */
TNN__INLINE vf vf_sigmoid(vf x) {
    return vf_div(vf_set(1.0f), vf_add(vf_set(1.0f), vf_exp(vf_sub(vf_zero(), x))));
}

/* x / (1 + e^-x), which is 0 where e^-x overflows */
TNN__INLINE vf vf_silu(vf x) {
    return vf_div(x, vf_add(vf_set(1.0f), vf_exp(vf_sub(vf_zero(), x))));
}

/* The derivative of silu at x, s = sigmoid(x): s (1 + x (1 - s)) */
TNN__INLINE vf vf_silu_slope(vf x, vf s) {
    return vf_mul(s, vf_fma(x, vf_sub(vf_set(1.0f), s), vf_set(1.0f)));
}

#endif
