/* Row by row: gates, the gated norm, slices, and their ways back. obj[0] is written. */
#include <math.h>

#include "cpu/steps/real.h"

/* Elements of the task's rows: all of a row-wise step's objects have the node's shape. */
static int64_t task_elements(const tnn__step *st, int64_t task, int64_t *first) {
    int64_t n = tnn__row_elements(st->node), r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    *first = r0 * n;
    return (r1 - r0) * n;
}

/* obj y, x */
static void run_sigmoid(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t at, n = task_elements(st, task, &at);
    const real *x = tnn__ptr(p, st->obj[1]);
    real *y = tnn__ptr(p, st->obj[0]);
    KERNELS(p)->sigmoid(x + at, y + at, n);
}

/* obj dx, y, dy */
static void run_sigmoid_back(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t at, n = task_elements(st, task, &at);
    real *dx = tnn__ptr(p, st->obj[0]);
    const real *y = tnn__ptr(p, st->obj[1]), *dy = tnn__ptr(p, st->obj[2]);
    for (int64_t i = at; i < at + n; i++) {
        dx[i] = dy[i] * y[i] * (1 - y[i]);
    }
}

/* obj y, x, gate */
static void run_sigmoid_gate(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t at, n = task_elements(st, task, &at);
    const real *x = tnn__ptr(p, st->obj[1]), *gate = tnn__ptr(p, st->obj[2]);
    real *y = tnn__ptr(p, st->obj[0]);
    KERNELS(p)->sigmoid_gate(x + at, gate + at, y + at, n);
}

/* obj dx, dgate, x, gate, dy */
static void run_sigmoid_gate_back(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t at, n = task_elements(st, task, &at);
    real *dx = tnn__ptr(p, st->obj[0]), *dgate = tnn__ptr(p, st->obj[1]);
    const real *x = tnn__ptr(p, st->obj[2]), *gate = tnn__ptr(p, st->obj[3]), *dy = tnn__ptr(p, st->obj[4]);
    KERNELS(p)->sigmoid_gate_back(x + at, gate + at, dy + at, dx + at, dgate + at, n);
}

/* obj y, x, gamma, z; a row may hold several vectors (heads) */
static void run_rms_norm_gated(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = st->node->ne[0], at, n_all = task_elements(st, task, &at);
    real *y = tnn__ptr(p, st->obj[0]);
    const real *x = tnn__ptr(p, st->obj[1]), *gamma = tnn__ptr(p, st->obj[2]), *z = tnn__ptr(p, st->obj[3]);
    for (int64_t i = at; i < at + n_all; i += n) {
        KERNELS(p)->rms_norm_gated(x + i, gamma, z + i, y + i, n, st->node->params.rms_norm.eps);
    }
}

/* obj dx, partial sums of dgamma (n per task), dz, x, gamma, z, dy */
static void run_rms_norm_gated_back(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = st->node->ne[0], at, n_all = task_elements(st, task, &at);
    real *dx = tnn__ptr(p, st->obj[0]), *dgamma = (real *)tnn__ptr(p, st->obj[1]) + task * n;
    real *dz = tnn__ptr(p, st->obj[2]);
    const real *x = tnn__ptr(p, st->obj[3]), *gamma = tnn__ptr(p, st->obj[4]), *z = tnn__ptr(p, st->obj[5]);
    const real *dy = tnn__ptr(p, st->obj[6]);
    memset(dgamma, 0, (size_t)n * sizeof *dgamma);
    for (int64_t i = at; i < at + n_all; i += n) {
        KERNELS(p)->rms_norm_gated_back(x + i, gamma, z + i, dy + i, dx + i, dz + i, dgamma, n,
                                        st->node->params.rms_norm.eps);
    }
}

/* obj y, x */
static void run_slice(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = st->node->ne[0], wide = st->node->src[0]->ne[0], at, n_all = task_elements(st, task, &at);
    real *y = tnn__ptr(p, st->obj[0]);
    const real *x = (const real *)tnn__ptr(p, st->obj[1]) + st->node->params.slice.first;
    for (int64_t i = at; i < at + n_all; i += n) {
        memcpy(y + i, x + i / n * wide, (size_t)n * sizeof *y);
    }
}

/* obj dx, dy */
static void run_slice_back(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t wide = st->node->ne[0], n = st->node->src[0]->ne[0], at, n_all = task_elements(st, task, &at);
    real *dx = tnn__ptr(p, st->obj[0]);
    const real *dy = tnn__ptr(p, st->obj[1]);
    memset(dx + at, 0, (size_t)n_all * sizeof *dx);
    for (int64_t i = at; i < at + n_all; i += wide) {
        memcpy(dx + i + st->node->params.slice.first, dy + i / wide * n, (size_t)n * sizeof *dx);
    }
}

/* --- decay; a few numbers a row, and the last to lose digits: in double --- */

static double softplus(double p) {
    return p > 20.0 ? p : log1p(exp(p));
}

static double decay_rate(const tnn_tensor *node, double a) {
    return node->params.gdn_decay.form == TNN_GDN_A_LOG ? -exp(a) : a;
}

/* obj y, x, dt_bias, a */
static void run_gdn_decay(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = st->node->ne[0], r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    real *y = tnn__ptr(p, st->obj[0]);
    const real *x = tnn__ptr(p, st->obj[1]), *dt_bias = tnn__ptr(p, st->obj[2]), *a = tnn__ptr(p, st->obj[3]);
    for (int64_t h = 0; h < n; h++) {
        double rate = decay_rate(st->node, (double)a[h]);
        for (int64_t t = r0; t < r1; t++) {
            y[t * n + h] = (real)(rate * softplus((double)x[t * n + h] + (double)dt_bias[h]));
        }
    }
}

/* obj dx, partial sums of ddt_bias and of da (n per task), x, dt_bias, a, dy */
static void run_gdn_decay_back(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = st->node->ne[0], r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    real *dx = tnn__ptr(p, st->obj[0]), *ddt_bias = (real *)tnn__ptr(p, st->obj[1]) + task * n;
    real *da = (real *)tnn__ptr(p, st->obj[2]) + task * n;
    const real *x = tnn__ptr(p, st->obj[3]), *dt_bias = tnn__ptr(p, st->obj[4]), *a = tnn__ptr(p, st->obj[5]);
    const real *dy = tnn__ptr(p, st->obj[6]);
    for (int64_t h = 0; h < n; h++) {
        double rate = decay_rate(st->node, (double)a[h]), sum_dt = 0, sum_a = 0;
        for (int64_t t = r0; t < r1; t++) {
            double at = (double)x[t * n + h] + (double)dt_bias[h], d = (double)dy[t * n + h];
            double through = rate * d / (1.0 + exp(-at));
            dx[t * n + h] = (real)through;
            sum_dt += through;
            sum_a += softplus(at) * d;
        }
        ddt_bias[h] = (real)sum_dt;
        da[h] = (real)(st->node->params.gdn_decay.form == TNN_GDN_A_LOG ? rate * sum_a : sum_a);
    }
}
