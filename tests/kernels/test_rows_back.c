/*
 * Gradients of rows, the loss and AdamW at every level: against formulas in double precision, for every tail, in
 * buffers that end where memory does.
 */
#include "support/kernels.h"

enum { MAX_N = 70 };

typedef struct rows {
    buffer of[5];
} rows;

static rows rows_new(int64_t n) {
    rows r;
    for (int i = 0; i < 5; i++) {
        r.of[i] = buffer_new((size_t)n * sizeof(float));
        random_floats(r.of[i].data, n);
    }
    return r;
}

static void rows_free(rows *r) {
    for (int i = 0; i < 5; i++)
        buffer_free(&r->of[i]);
}

/* Sums of n products in any order: (n + 8) roundings of the sum of magnitudes; 16 for what is done with them. */
static void check_norm(const tnn__kernels *k, int64_t n) {
    rows r = rows_new(n);
    float *x = r.of[0].data, *gamma = r.of[1].data, *dy = r.of[2].data, *dx = r.of[3].data, *dgamma = r.of[4].data;
    float before[MAX_N];
    memcpy(before, dgamma, (size_t)n * sizeof *before);
    double squares = 0, products = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        double product = (double)dy[i] * (double)gamma[i] * (double)x[i];
        squares += (double)x[i] * (double)x[i];
        products += product;
        size += fabs(product);
    }
    k->rms_norm_back(x, gamma, dy, dx, dgamma, n, 1e-5f);
    double f = 1 / sqrt(squares / (double)n + (double)1e-5f), u = ((double)n + 24) * U32;
    for (int64_t i = 0; i < n; i++) {
        double normed = (double)x[i] * f, d = (double)dy[i] * (double)gamma[i], mean = products * f / (double)n;
        double magnitude = fabs(d) + fabs(normed) * size * f / (double)n;
        check_near(dx[i], f * (d - normed * mean), u * f * magnitude, "rms_norm_back of %d, dx[%d]", (int)n, (int)i);
        check_near(dgamma[i], (double)before[i] + (double)dy[i] * normed,
                   u * (fabs((double)before[i]) + fabs((double)dy[i] * normed)), "rms_norm_back of %d, dgamma[%d]",
                   (int)n, (int)i);
    }
    rows_free(&r);
}

/* Gates far out, too: the exponential under- and overflows. */
static void check_swiglu(const tnn__kernels *k, int64_t n) {
    rows r = rows_new(n);
    float *gate = r.of[0].data, *up = r.of[1].data, *dy = r.of[2].data, *dgate = r.of[3].data, *dup = r.of[4].data;
    for (int64_t i = 0; i < n; i++)
        gate[i] *= i % 5 == 4 ? 100.0f : 6.0f;
    k->swiglu_back(gate, up, dy, dgate, dup, n);
    for (int64_t i = 0; i < n; i++) {
        double g = (double)gate[i], s = 1 / (1 + exp(-g)), d = (double)dy[i], u = (double)up[i];
        /* s within 6 u, twice in the slope, whose terms may cancel; numbers below the smallest normal ones may be zero
         */
        double tolerance = 24 * U32 * fabs(d * u) * s * (1 + fabs(g)) + 0x1p-120;
        check_near(dup[i], d * g * s, 12 * U32 * fabs(d * g * s) + 0x1p-120, "swiglu_back of %d, dup[%d]", (int)n,
                   (int)i);
        check_near(dgate[i], d * u * s * (1 + g * (1 - s)), tolerance, "swiglu_back of %d, dgate[%d]", (int)n, (int)i);
    }
    rows_free(&r);
}

/* An exponent of up to 16 is off by 16 u, an exponential by 4 u more, their sum by n. */
static void check_xent(const tnn__kernels *k, int64_t n) {
    rows r = rows_new(n);
    float *logits = r.of[0].data;
    double value[MAX_N], max = -1e9, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        logits[i] *= 8;
        value[i] = (double)logits[i];
        max = value[i] > max ? value[i] : max;
    }
    for (int64_t i = 0; i < n; i++)
        sum += exp(value[i] - max);
    int32_t target = (int32_t)random_below(n);
    double u = ((double)n + 32) * U32, loss = log(sum) + max - value[target];
    check_near(k->xent(logits, n, target, 0.25f), loss, u * (fabs(max) + 8), "xent of %d", (int)n);
    for (int64_t i = 0; i < n; i++) {
        double p = exp(value[i] - max) / sum, want = 0.25 * (p - (i == target));
        check_near(logits[i], want, u * (p + (i == target)), "xent of %d, gradient[%d]", (int)n, (int)i);
    }
    assert_true(k->xent(logits, n, -1, 1.0f) == 0.0f);
    for (int64_t i = 0; i < n; i++)
        assert_true(logits[i] == 0.0f);
    rows_free(&r);
}

/* What one step does to one parameter: every operation rounds once. */
static void check_adamw(const tnn__kernels *k, int64_t n) {
    rows r = rows_new(n);
    float *p = r.of[0].data, *g = r.of[1].data, *m = r.of[2].data, *v = r.of[3].data;
    float p0[MAX_N], m0[MAX_N], v0[MAX_N];
    const tnn__adamw_hyper h = {1e-3f, 0.9f, 0.999f, 1e-8f, 0.1f, 0.19f, 0.001999f, 0.5f};
    for (int64_t i = 0; i < n; i++)
        v[i] = fabsf(v[i]);
    memcpy(p0, p, (size_t)n * sizeof *p0);
    memcpy(m0, m, (size_t)n * sizeof *m0);
    memcpy(v0, v, (size_t)n * sizeof *v0);
    k->adamw(p, g, m, v, n, &h);
    for (int64_t i = 0; i < n; i++) {
        double grad = (double)h.clip * (double)g[i];
        double first = (double)h.beta1 * (double)m0[i], second = (double)h.beta2 * (double)v0[i];
        double to_first = (1 - (double)h.beta1) * grad, to_second = (1 - (double)h.beta2) * grad * grad;
        double step =
            (first + to_first) / (double)h.bias1 / (sqrt((second + to_second) / (double)h.bias2) + (double)h.eps);
        double want = (double)p0[i] - (double)h.lr * (step + (double)h.decay * (double)p0[i]);
        /* 1 - beta in F32 is off by 2^-25, a good part of 1 - 0.999 */
        double u = 16 * U32, rest = 0x1p-25 * grad * grad;
        double off =
            u * (fabs(first) + fabs(to_first)) / (double)h.bias1 / sqrt((second + to_second) / (double)h.bias2);
        check_near(m[i], first + to_first, u * (fabs(first) + fabs(to_first)), "adamw of %d, m[%d]", (int)n, (int)i);
        check_near(v[i], second + to_second, u * (second + to_second) + rest, "adamw of %d, v[%d]", (int)n, (int)i);
        check_near(p[i], want,
                   u * fabs((double)p0[i]) + (double)h.lr * (off + (u + rest / (second + to_second)) * fabs(step)),
                   "adamw of %d, p[%d]", (int)n, (int)i);
    }
    rows_free(&r);
}

static void check_rows(const tnn__kernels *k) {
    for (int64_t n = 1; n <= MAX_N; n++) {
        check_norm(k, n);
        check_swiglu(k, n);
        check_xent(k, n);
        check_adamw(k, n);
    }
}

static bool same(const tnn__kernels *a, const tnn__kernels *b) {
    return a->rms_norm_back == b->rms_norm_back && a->swiglu_back == b->swiglu_back && a->xent == b->xent &&
           a->adamw == b->adamw;
}

static void test_rows(void **state) {
    (void)state;
    at_levels_unlike(check_rows, same);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
