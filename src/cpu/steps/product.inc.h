/* Products with weights, forward and back, and the loss made of them. */
#include "cpu/steps/real.h"

/* obj y, w, x or packed, bias */
static void run_linear(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__linear_state *s = st->state;
    const tnn_tensor *w = st->node->src[0], *x = st->node->src[1];
    gemm_args a = {
        .w = tnn__ptr(p, st->obj[1]),
        .row_bytes = tnn_row_bytes((int32_t)w->type, w->ne[0]),
        .n_in = w->ne[0],
        .n_out = w->ne[1],
        .n_cols = x->ne[1],
        .x_stride = w->ne[0],
        .bias = tnn__ptr(p, st->obj[3]),
        .y = tnn__ptr(p, st->obj[0]),
        .y_stride = w->ne[1],
    };
    int64_t row0, row1;
    tnn__split(task, s->rows_per_task, a.n_out, &row0, &row1);
#ifndef TNN_REAL_F64
    if (s->kernel->int8_activations) {
        a.act = tnn__packed_views(tnn__ptr(p, st->obj[2]), a.n_in, a.n_cols);
        s->kernel->run(&a, row0, row1, scratch);
        return;
    }
#endif
    a.x = tnn__ptr(p, st->obj[2]);
    call_gemm(p, s->kernel, w->type, &a, row0, row1, scratch);
}

/* obj dx, w, dy */
static void run_linear_dx(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__linear_dx_state *s = st->state;
    const tnn_tensor *w = st->node->src[0];
    gemm_dx_args a = {
        .w = tnn__ptr(p, st->obj[1]),
        .row_bytes = tnn_row_bytes((int32_t)w->type, w->ne[0]),
        .n_in = w->ne[0],
        .n_out = w->ne[1],
        .n_cols = st->node->ne[1],
        .dy = tnn__ptr(p, st->obj[2]),
        .dx = tnn__ptr(p, st->obj[0]),
    };
    int64_t k0, k1;
    tnn__split(task, s->k_per_task, a.n_in, &k0, &k1);
    call_gemm_dx(p, s->kernel, w->type, &a, k0, k1, scratch);
}

/* obj dw, dy, x */
static void run_linear_dw(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__linear_dw_state *s = st->state;
    gemm_dw_args a = {
        .n_in = st->node->ne[0],
        .n_out = st->node->ne[1],
        .n_cols = st->node->src[1]->ne[1],
        .dy = tnn__ptr(p, st->obj[1]),
        .x = tnn__ptr(p, st->obj[2]),
        .dw = tnn__ptr(p, st->obj[0]),
    };
    int64_t row0, row1;
    tnn__split(task, s->rows_per_task, a.n_out, &row0, &row1);
    call_gemm_dw(p, &a, row0, row1, scratch);
}

/* --- linear_xent, one chunk of rows --- */

/* obj logits, w, x */
static void run_xent_logits(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__xent_state *s = st->state;
    const tnn_tensor *w = st->node->src[0];
    gemm_args a = {
        .w = tnn__ptr(p, st->obj[1]),
        .row_bytes = tnn_row_bytes((int32_t)w->type, w->ne[0]),
        .n_in = w->ne[0],
        .n_out = w->ne[1],
        .n_cols = s->row1 - s->row0,
        .x = (const real *)tnn__ptr(p, st->obj[2]) + s->row0 * w->ne[0],
        .x_stride = w->ne[0],
        .y = tnn__ptr(p, st->obj[0]),
        .y_stride = w->ne[1],
    };
    int64_t row0, row1;
    tnn__split(task, s->rows_per_task, a.n_out, &row0, &row1);
    call_gemm(p, s->kernel, w->type, &a, row0, row1, scratch);
}

/* obj losses, logits (become their gradient), targets, weights; a task is a row */
static void run_xent_rows(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn__xent_state *s = st->state;
    int64_t n_vocab = st->node->src[0]->ne[1], t = s->row0 + task;
    real *losses = tnn__ptr(p, st->obj[0]), *logits = tnn__ptr(p, st->obj[1]);
    const int32_t *targets = tnn__ptr(p, st->obj[2]);
    const real *weights = tnn__ptr(p, st->obj[3]);
    losses[t] = KERNELS(p)->xent(logits + task * n_vocab, n_vocab, targets[t], weights[t]);
}

/* obj dx, w, logits */
static void run_xent_dx(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__xent_state *s = st->state;
    const tnn_tensor *w = st->node->src[0];
    gemm_dx_args a = {
        .w = tnn__ptr(p, st->obj[1]),
        .row_bytes = tnn_row_bytes((int32_t)w->type, w->ne[0]),
        .n_in = w->ne[0],
        .n_out = w->ne[1],
        .n_cols = s->row1 - s->row0,
        .dy = tnn__ptr(p, st->obj[2]),
        .dx = (real *)tnn__ptr(p, st->obj[0]) + s->row0 * w->ne[0],
    };
    int64_t k0, k1;
    tnn__split(task, s->k_per_task, a.n_in, &k0, &k1);
    call_gemm_dx(p, s->dx_kernel, w->type, &a, k0, k1, scratch);
}

/* obj dw, logits, x */
static void run_xent_dw(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__xent_state *s = st->state;
    const tnn_tensor *w = st->node->src[0];
    gemm_dw_args a = {
        .n_in = w->ne[0],
        .n_out = w->ne[1],
        .n_cols = s->row1 - s->row0,
        .dy = tnn__ptr(p, st->obj[1]),
        .x = (const real *)tnn__ptr(p, st->obj[2]) + s->row0 * w->ne[0],
        .dw = tnn__ptr(p, st->obj[0]),
    };
    int64_t row0, row1;
    tnn__split(task, s->rows_per_task, a.n_out, &row0, &row1);
    call_gemm_dw(p, &a, row0, row1, scratch);
}
