/*
 * Gradients over one row, the loss of a row of logits, and the update, written once over the vectors that the including
 * file brings.
 */
#ifndef TNN_CPU_VEC_ROWS_BACK_H
#define TNN_CPU_VEC_ROWS_BACK_H

#include <math.h>

#include "cpu/kernels.h"
#include "cpu/vec/elements.h"

static void rms_norm_back(const float *x, const float *gamma, const float *dy, float *dx, float *dgamma, int64_t n,
                          float eps) {
    vf squares = vf_zero(), products = vf_zero();
    for (int64_t i = 0; i < n; i += LANES) {
        vf v = vf_load_n(x + i, n - i), g = vf_mul(vf_load_n(dy + i, n - i), vf_load_n(gamma + i, n - i));
        squares = vf_fma(v, v, squares);
        products = vf_fma(g, v, products);
    }
    float r = 1.0f / sqrtf(vf_sum(squares) / (float)n + eps), mean = vf_sum(products) * r / (float)n;
    for (int64_t i = 0; i < n; i += LANES) {
        vf normed = vf_mul(vf_load_n(x + i, n - i), vf_set(r)), d = vf_load_n(dy + i, n - i);
        vf_store_n(dgamma + i, vf_fma(d, normed, vf_load_n(dgamma + i, n - i)), n - i);
        vf g = vf_mul(d, vf_load_n(gamma + i, n - i));
        vf_store_n(dx + i, vf_mul(vf_set(r), vf_fma(normed, vf_set(-mean), g)), n - i);
    }
}

static void swiglu_back(const float *gate, const float *up, const float *dy, float *dgate, float *dup, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        vf g = vf_load_n(gate + i, n - i), u = vf_load_n(up + i, n - i), d = vf_load_n(dy + i, n - i);
        vf s = vf_sigmoid(g);
        vf_store_n(dup + i, vf_mul(vf_mul(d, s), g), n - i);
        vf_store_n(dgate + i, vf_mul(vf_mul(d, u), vf_silu_slope(g, s)), n - i);
    }
}

static float greatest(const float *x, int64_t n) {
    vf most = vf_set(-INFINITY);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        most = vf_max(vf_load(x + i), most);
    float max = vf_greatest(most);
    for (; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

static float xent(float *logits, int64_t n, int32_t target, float weight) {
    if (target < 0) {
        memset(logits, 0, (size_t)n * sizeof *logits);
        return 0.0f;
    }
    float max = greatest(logits, n), at_target = logits[target];
    vf sums = vf_zero();
    for (int64_t i = 0; i < n; i += LANES) {
        vf e = vf_exp(vf_sub(vf_load_n(logits + i, n - i), vf_set(max)));
        if (n - i < LANES) e = vf_select(vm_first(n - i), e, vf_zero());
        vf_store_n(logits + i, e, n - i);
        sums = vf_add(sums, e);
    }
    float sum = vf_sum(sums);
    for (int64_t i = 0; i < n; i += LANES)
        vf_store_n(logits + i, vf_mul(vf_load_n(logits + i, n - i), vf_set(weight / sum)), n - i);
    logits[target] -= weight;
    return logf(sum) + max - at_target;
}

/* Same order of operations as the portable one. */
static void adamw(float *p, const float *g, float *m, float *v, int64_t n, const tnn__adamw_hyper *h) {
    const vf clip = vf_set(h->clip), beta1 = vf_set(h->beta1), beta2 = vf_set(h->beta2);
    const vf rest1 = vf_set(1.0f - h->beta1), rest2 = vf_set(1.0f - h->beta2);
    const vf bias1 = vf_set(h->bias1), bias2 = vf_set(h->bias2), eps = vf_set(h->eps);
    const vf lr = vf_set(h->lr), decay = vf_set(h->decay);
    for (int64_t i = 0; i < n; i += LANES) {
        vf grad = vf_mul(clip, vf_load_n(g + i, n - i)), value = vf_load_n(p + i, n - i);
        vf first = vf_add(vf_mul(beta1, vf_load_n(m + i, n - i)), vf_mul(rest1, grad));
        vf second = vf_add(vf_mul(beta2, vf_load_n(v + i, n - i)), vf_mul(vf_mul(rest2, grad), grad));
        vf root = vf_add(vf_sqrt(vf_div(second, bias2)), eps);
        vf step = vf_add(vf_div(vf_div(first, bias1), root), vf_mul(decay, value));
        vf_store_n(m + i, first, n - i);
        vf_store_n(v + i, second, n - i);
        vf_store_n(p + i, vf_sub(value, vf_mul(lr, step)), n - i);
    }
}

static void set_rows_back(tnn__kernels *k) {
    k->rms_norm_back = rms_norm_back;
    k->swiglu_back = swiglu_back;
    k->xent = xent;
    k->adamw = adamw;
}

#endif
