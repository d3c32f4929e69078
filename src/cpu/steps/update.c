/* Updates, over pieces of fixed length, and the sum of squares. F32 only. */
#include <math.h>
#include <string.h>

#include "cpu/steps/steps.h"

#define CHUNK 65536

/* Elements of an update's task: AdamW's four arrays fit L2, for the gradient is cleared next. */
#define PIECE 16384

/*
 * Rows are what a task has, in eighths, so that the clearing of a gradient goes with the update that used it, and
 * parameters one after the other without a barrier.
 */
static tnn__step *lower_pieces(tnn__lowering *l, const tnn_tensor *node, tnn__run_fn *run) {
    return tnn__lower_rowwise(l, node, tnn__n_tasks(tnn_tensor_elements(node), PIECE / TNN__ROW_TILE), run);
}

/* The first sources are written. */
static void lower_update(tnn__lowering *l, const tnn_tensor *node, tnn__run_fn *run, int n_written) {
    tnn__obj src[TNN__MAX_SRC] = {0};
    for (int i = 0; i < node->n_src; i++) {
        src[i] = tnn__lower_obj(l, node->src[i]);
    }
    tnn__step *st = lower_pieces(l, node, run);
    if (!st) return;
    for (int i = 0; i < node->n_src; i++) {
        if (i < n_written) {
            tnn__step_writes(st, src[i]);
        } else {
            tnn__step_reads(st, src[i]);
        }
    }
}

/* obj value, m, v (written), grad, hyper */
static void run_adamw(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t i0, i1;
    tnn__split(task, PIECE, tnn_tensor_elements(st->node), &i0, &i1);
    const float *x = tnn__ptr(p, st->obj[4]), *grad = tnn__ptr(p, st->obj[3]);
    float *value = tnn__ptr(p, st->obj[0]), *m = tnn__ptr(p, st->obj[1]), *v = tnn__ptr(p, st->obj[2]);
    tnn__adamw_hyper h = {x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]};
    tnn__kernels_of(p)->adamw(value + i0, grad + i0, m + i0, v + i0, i1 - i0, &h);
}

void tnn__lower_adamw(tnn__lowering *l, const tnn_tensor *node) {
    tnn__obj value = tnn__lower_obj(l, node->src[0]), grad = tnn__lower_obj(l, node->src[1]);
    tnn__obj m = tnn__lower_obj(l, node->src[2]), v = tnn__lower_obj(l, node->src[3]);
    tnn__obj hyper = tnn__lower_obj(l, node->src[4]);
    tnn__step *st = lower_pieces(l, node, run_adamw);
    if (!st) return;
    tnn__step_writes(st, value);
    tnn__step_writes(st, m);
    tnn__step_writes(st, v);
    tnn__step_reads(st, grad);
    tnn__step_reads(st, hyper);
}

/* obj value, grad, m, hyper */
static void run_sgd(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t i0, i1;
    tnn__split(task, PIECE, tnn_tensor_elements(st->node), &i0, &i1);
    float *value = tnn__ptr(p, st->obj[0]), *m = tnn__ptr(p, st->obj[2]);
    const float *grad = tnn__ptr(p, st->obj[1]), *h = tnn__ptr(p, st->obj[3]);
    for (int64_t i = i0; i < i1; i++) {
        m[i] = h[1] * m[i] + h[3] * grad[i];
        value[i] -= h[0] * (m[i] + h[2] * value[i]);
    }
}

void tnn__lower_sgd(tnn__lowering *l, const tnn_tensor *node) {
    lower_update(l, node, run_sgd, 3);
}

/* --- muon: tasks of rows of the value; u and X are turned where it has more rows than columns --- */

/* Where element (i, row) of a matrix [in, out] is in u and X. */
static int64_t turned_index(const tnn_tensor *value, int64_t i, int64_t row) {
    return value->ne[1] > value->ne[0] ? i * value->ne[1] + row : row * value->ne[0] + i;
}

static tnn__step *lower_matrix_rows(tnn__lowering *l, const tnn_tensor *node, tnn__run_fn *run) {
    tnn__step *st = tnn__lower_step(l, node, run);
    if (st) st->n_tasks = tnn__n_tasks(node->src[0]->ne[1], TNN__ROW_TILE);
    return st;
}

/* obj m, u, grad, hyper */
static void run_muon_momentum(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn_tensor *value = st->node->src[0];
    int64_t n = value->ne[0], row0, row1;
    float *m = tnn__ptr(p, st->obj[0]), *u = tnn__ptr(p, st->obj[1]);
    const float *grad = tnn__ptr(p, st->obj[2]), *h = tnn__ptr(p, st->obj[3]);
    tnn__split(task, TNN__ROW_TILE, value->ne[1], &row0, &row1);
    for (int64_t row = row0; row < row1; row++) {
        for (int64_t i = 0; i < n; i++) {
            float g = (1.0f - h[1]) * h[3] * grad[row * n + i], *to = &m[row * n + i];
            *to = h[1] * *to + g;
            u[turned_index(value, i, row)] = g + h[1] * *to;
        }
    }
}

void tnn__lower_muon_momentum(tnn__lowering *l, const tnn_tensor *node) {
    tnn__obj m = tnn__lower_obj(l, node->src[0]), u = tnn__lower_obj(l, node);
    tnn__obj grad = tnn__lower_obj(l, node->src[1]), hyper = tnn__lower_obj(l, node->src[2]);
    tnn__step *st = lower_matrix_rows(l, node, run_muon_momentum);
    if (!st) return;
    tnn__step_writes(st, m);
    tnn__step_writes(st, u);
    tnn__step_reads(st, grad);
    tnn__step_reads(st, hyper);
}

/* obj y, x, sum of its squares */
static void run_muon_normalize(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t i0, i1;
    tnn__split(task, CHUNK, tnn_tensor_elements(st->node), &i0, &i1);
    float *y = tnn__ptr(p, st->obj[0]);
    const float *x = tnn__ptr(p, st->obj[1]);
    double sum = *(const double *)tnn__ptr(p, st->obj[2]);
    float factor = sum > 0 ? (float)(1.0 / sqrt(sum)) : 0.0f;
    for (int64_t i = i0; i < i1; i++) {
        y[i] = factor * x[i];
    }
}

void tnn__lower_muon_normalize(tnn__lowering *l, const tnn_tensor *node) {
    tnn__obj y = tnn__lower_obj(l, node), x = tnn__lower_obj(l, node->src[0]), sum = tnn__lower_obj(l, node->src[1]);
    tnn__step *st = tnn__lower_step(l, node, run_muon_normalize);
    if (!st) return;
    st->n_tasks = tnn__n_tasks(tnn_tensor_elements(node), CHUNK);
    tnn__step_writes(st, y);
    tnn__step_reads(st, x);
    tnn__step_reads(st, sum);
}

/* obj value, X, hyper */
static void run_muon_step(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn_tensor *node = st->node;
    int64_t n = node->ne[0], row0, row1;
    float *value = tnn__ptr(p, st->obj[0]), scale = node->params.scale.factor;
    const float *x = tnn__ptr(p, st->obj[1]), *h = tnn__ptr(p, st->obj[2]);
    tnn__split(task, TNN__ROW_TILE, node->ne[1], &row0, &row1);
    for (int64_t row = row0; row < row1; row++) {
        for (int64_t i = 0; i < n; i++) {
            float *w = &value[row * n + i];
            *w -= h[0] * (h[2] * *w + scale * x[turned_index(node, i, row)]);
        }
    }
}

void tnn__lower_muon_step(tnn__lowering *l, const tnn_tensor *node) {
    tnn__obj value = tnn__lower_obj(l, node), x = tnn__lower_obj(l, node->src[1]),
             hyper = tnn__lower_obj(l, node->src[2]);
    tnn__step *st = lower_matrix_rows(l, node, run_muon_step);
    if (!st) return;
    tnn__step_writes(st, value);
    tnn__step_reads(st, x);
    tnn__step_reads(st, hyper);
}

static void run_zero(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t i0, i1;
    tnn__split(task, PIECE, tnn_tensor_elements(st->node), &i0, &i1);
    memset((float *)tnn__ptr(p, st->obj[0]) + i0, 0, (size_t)(i1 - i0) * sizeof(float));
}

void tnn__lower_zero(tnn__lowering *l, const tnn_tensor *node) {
    lower_update(l, node, run_zero, 1);
}

/* --- sum_squares: partial sums of chunks, then their sum --- */

/* obj partials, x; eight interleaved sums per chunk */
static void run_square_partials(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t i0, i1;
    tnn__split(task, CHUNK, tnn_tensor_elements(st->node->src[0]), &i0, &i1);
    const float *x = tnn__ptr(p, st->obj[1]);
    double lane[8] = {0};
    int64_t i = i0;
    for (; i + 8 <= i1; i += 8) {
        for (int l = 0; l < 8; l++) {
            lane[l] += (double)x[i + l] * (double)x[i + l];
        }
    }
    for (int l = 0; i < i1; i++, l++) {
        lane[l] += (double)x[i] * (double)x[i];
    }
    ((double *)tnn__ptr(p, st->obj[0]))[task] =
        ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* obj sum, partials */
static void run_square_sum(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)task, (void)scratch;
    const double *partials = tnn__ptr(p, st->obj[1]);
    double sum = 0;
    for (int64_t i = 0; i < tnn__n_tasks(tnn_tensor_elements(st->node->src[0]), CHUNK); i++) {
        sum += partials[i];
    }
    *(double *)tnn__ptr(p, st->obj[0]) = sum;
}

void tnn__lower_sum_squares(tnn__lowering *l, const tnn_tensor *node) {
    int64_t n_chunks = tnn__n_tasks(tnn_tensor_elements(node->src[0]), CHUNK);
    tnn__obj partials = tnn__lower_temp(l, (size_t)n_chunks * sizeof(double));
    tnn__obj x = tnn__lower_obj(l, node->src[0]), sum = tnn__lower_obj(l, node);
    tnn__step *st = tnn__lower_step(l, node, run_square_partials);
    if (!st) return;
    st->n_tasks = n_chunks;
    tnn__step_writes(st, partials);
    tnn__step_reads(st, x);
    st = tnn__lower_step(l, node, run_square_sum);
    if (!st) return;
    tnn__step_writes(st, sum);
    tnn__step_reads(st, partials);
}
