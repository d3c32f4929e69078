/* Gradients over one row, the loss of a row of logits, and the update, with AVX2. */
#include <math.h>

#include "cpu/kernels.h"
#include "cpu/x86/float_avx2.h"
#include "cpu/x86/init.h"

static __m256 load_n(const float *p, int64_t left) {
    return left >= 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, tail_mask(left));
}

static void store_n(float *p, __m256 v, int64_t left) {
    if (left >= 8)
        _mm256_storeu_ps(p, v);
    else
        _mm256_maskstore_ps(p, tail_mask(left), v);
}

static void rms_norm_back(const float *x, const float *gamma, const float *dy, float *dx, float *dgamma, int64_t n,
                          float eps) {
    __m256 squares = _mm256_setzero_ps(), products = _mm256_setzero_ps();
    for (int64_t i = 0; i < n; i += 8) {
        __m256 v = load_n(x + i, n - i), g = _mm256_mul_ps(load_n(dy + i, n - i), load_n(gamma + i, n - i));
        squares = _mm256_fmadd_ps(v, v, squares);
        products = _mm256_fmadd_ps(g, v, products);
    }
    float r = 1.0f / sqrtf(sum8(squares) / (float)n + eps), mean = sum8(products) * r / (float)n;
    const __m256 r8 = _mm256_set1_ps(r), mean8 = _mm256_set1_ps(mean);
    for (int64_t i = 0; i < n; i += 8) {
        __m256 normed = _mm256_mul_ps(load_n(x + i, n - i), r8), d = load_n(dy + i, n - i);
        store_n(dgamma + i, _mm256_fmadd_ps(d, normed, load_n(dgamma + i, n - i)), n - i);
        __m256 g = _mm256_mul_ps(d, load_n(gamma + i, n - i));
        store_n(dx + i, _mm256_mul_ps(r8, _mm256_fnmadd_ps(normed, mean8, g)), n - i);
    }
}

static void swiglu_back(const float *gate, const float *up, const float *dy, float *dgate, float *dup, int64_t n) {
    const __m256 one = _mm256_set1_ps(1.0f), zero = _mm256_setzero_ps();
    for (int64_t i = 0; i < n; i += 8) {
        __m256 g = load_n(gate + i, n - i), u = load_n(up + i, n - i), d = load_n(dy + i, n - i);
        __m256 s = _mm256_div_ps(one, _mm256_add_ps(one, exp8(_mm256_sub_ps(zero, g))));
        __m256 ds = _mm256_mul_ps(d, s);
        store_n(dup + i, _mm256_mul_ps(ds, g), n - i);
        __m256 slope = _mm256_fmadd_ps(g, _mm256_sub_ps(one, s), one);
        store_n(dgate + i, _mm256_mul_ps(_mm256_mul_ps(ds, u), slope), n - i);
    }
}

static float xent(float *logits, int64_t n, int32_t target, float weight) {
    if (target < 0) {
        memset(logits, 0, (size_t)n * sizeof *logits);
        return 0.0f;
    }
    __m256 max8s = _mm256_set1_ps(-INFINITY);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        max8s = _mm256_max_ps(_mm256_loadu_ps(logits + i), max8s);
    float max = max8(max8s), at_target = logits[target];
    for (; i < n; i++)
        max = logits[i] > max ? logits[i] : max;
    const __m256 top = _mm256_set1_ps(max);
    __m256 sums = _mm256_setzero_ps();
    for (i = 0; i + 8 <= n; i += 8) {
        __m256 e = exp8(_mm256_sub_ps(_mm256_loadu_ps(logits + i), top));
        _mm256_storeu_ps(logits + i, e);
        sums = _mm256_add_ps(sums, e);
    }
    if (i < n) {
        __m256 e = exp8(_mm256_sub_ps(load_n(logits + i, n - i), top));
        e = _mm256_and_ps(e, _mm256_castsi256_ps(tail_mask(n - i)));
        store_n(logits + i, e, n - i);
        sums = _mm256_add_ps(sums, e);
    }
    float sum = sum8(sums);
    const __m256 factor = _mm256_set1_ps(weight / sum);
    for (i = 0; i < n; i += 8)
        store_n(logits + i, _mm256_mul_ps(load_n(logits + i, n - i), factor), n - i);
    logits[target] -= weight;
    return logf(sum) + max - at_target;
}

/* Same order of operations as the portable one. */
static void adamw(float *p, const float *g, float *m, float *v, int64_t n, const tnn__adamw_hyper *h) {
    const __m256 clip = _mm256_set1_ps(h->clip), beta1 = _mm256_set1_ps(h->beta1), beta2 = _mm256_set1_ps(h->beta2);
    const __m256 rest1 = _mm256_set1_ps(1.0f - h->beta1), rest2 = _mm256_set1_ps(1.0f - h->beta2);
    const __m256 bias1 = _mm256_set1_ps(h->bias1), bias2 = _mm256_set1_ps(h->bias2), eps = _mm256_set1_ps(h->eps);
    const __m256 lr = _mm256_set1_ps(h->lr), decay = _mm256_set1_ps(h->decay);
    for (int64_t i = 0; i < n; i += 8) {
        __m256 grad = _mm256_mul_ps(clip, load_n(g + i, n - i)), value = load_n(p + i, n - i);
        __m256 first = _mm256_add_ps(_mm256_mul_ps(beta1, load_n(m + i, n - i)), _mm256_mul_ps(rest1, grad));
        __m256 second =
            _mm256_add_ps(_mm256_mul_ps(beta2, load_n(v + i, n - i)), _mm256_mul_ps(_mm256_mul_ps(rest2, grad), grad));
        __m256 root = _mm256_add_ps(_mm256_sqrt_ps(_mm256_div_ps(second, bias2)), eps);
        __m256 step = _mm256_add_ps(_mm256_div_ps(_mm256_div_ps(first, bias1), root), _mm256_mul_ps(decay, value));
        store_n(m + i, first, n - i);
        store_n(v + i, second, n - i);
        store_n(p + i, _mm256_sub_ps(value, _mm256_mul_ps(lr, step)), n - i);
    }
}

void tnn__kernels_init_rows_back_avx2(tnn__kernels *k) {
    k->rms_norm_back = rms_norm_back;
    k->swiglu_back = swiglu_back;
    k->xent = xent;
    k->adamw = adamw;
}
