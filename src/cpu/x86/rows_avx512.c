/* Kernels over one row with 512 bits; rope and the conversions gain nothing over AVX2 and stay there. */
#define TNN__WIDE 1
#include <math.h>

#include "cpu/kernels.h"
#include "cpu/x86/init.h"
#include "cpu/x86/vec_f32.h"

static float sum_of_squares(const float *x, int64_t n) {
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
        vf v = vf_load_some(x + i, vm_first(n - i));
        sum[0] = vf_fma(v, v, sum[0]);
    }
    return vf_sum(vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3])));
}

static void rms_norm(const float *x, const float *gamma, float *y, int64_t n, float eps, float *inv_rms) {
    float inv = 1.0f / sqrtf(sum_of_squares(x, n) / (float)n + eps);
    for (int64_t i = 0; i < n; i += LANES) {
        vm m = vm_first(n - i);
        vf v = vf_mul(vf_load_some(x + i, m), vf_set(inv));
        vf_store_some(y + i, m, vf_mul(v, vf_load_some(gamma + i, m)));
    }
    if (inv_rms) *inv_rms = inv;
}

/* e^x, as exp8 in float_avx2.h; the scaling takes care of the ends of the range. */
TNN__INLINE vf exp_vf(vf x) {
    x = vf_max(vf_set(-150.0f), vf_min(vf_set(100.0f), x));
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
    return vf_scale(p, n);
}

static void swiglu(const float *gate, const float *up, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        vm m = vm_first(n - i);
        vf z = vf_load_some(gate + i, m);
        vf silu = vf_div(z, vf_add(vf_set(1.0f), exp_vf(vf_sub(vf_zero(), z))));
        vf_store_some(y + i, m, vf_mul(silu, vf_load_some(up + i, m)));
    }
}

static void add(const float *a, const float *b, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        vm m = vm_first(n - i);
        vf_store_some(y + i, m, vf_add(vf_load_some(a + i, m), vf_load_some(b + i, m)));
    }
}

void tnn__kernels_init_rows_avx512(tnn__kernels *k) {
    k->rms_norm = rms_norm;
    k->swiglu = swiglu;
    k->add = add;
}
