/* Gradient kernels in single precision: that half of the portable table. */
#include "cpu/ref/gemm.inc.h"

#include "cpu/ref/back.inc.h"
#include "cpu/ref/init.h"

static size_t no_attn_scratch(const tnn__attn_back_args *a) {
    (void)a;
    return 0;
}

static void adamw(float *p, const float *g, float *m, float *v, int64_t n, const tnn__adamw_hyper *h) {
    for (int64_t i = 0; i < n; i++) {
        float grad = h->clip * g[i];
        m[i] = h->beta1 * m[i] + (1.0f - h->beta1) * grad;
        v[i] = h->beta2 * v[i] + (1.0f - h->beta2) * grad * grad;
        p[i] -= h->lr * (m[i] / h->bias1 / (sqrtf(v[i] / h->bias2) + h->eps) + h->decay * p[i]);
    }
}

void tnn__kernels_init_back_portable(tnn__kernels *k) {
#define X(type)                                                                                                        \
    k->gemm_float[TNN_TYPE_##type] = (tnn__gemm_kernel){gemm, false, 1, tnn__row_scratch};                             \
    k->gemm_dx[TNN_TYPE_##type] = (tnn__gemm_dx_kernel){gemm_dx, 1, tnn__row_scratch};
    TNN__WEIGHT_TYPES(X)
#undef X
    k->gemm_dw = (tnn__gemm_dw_kernel){gemm_dw, 1, tnn__no_scratch};
    k->attn_back = attn_back;
    k->attn_back_scratch_bytes = no_attn_scratch;
    k->rms_norm_back = rms_norm_back;
    k->swiglu_back = swiglu_back;
    k->xent = xent;
    k->adamw = adamw;
}
