/* Products with weights, forward and back, and the loss made of them. */
#include "cpu/steps/real.h"

/* y = W x for columns from x on, dx = W^T dy, dW += dy x^T: the parts that W and the number of rows give. */
static gemm_args forward_args(const tnn_tensor *w, const void *data, int64_t n_cols) {
    return (gemm_args){
        .w = data,
        .type = w->type,
        .row_bytes = tnn_row_bytes((int32_t)w->type, w->ne[0]),
        .n_in = w->ne[0],
        .n_out = w->ne[1],
        .n_cols = n_cols,
        .x_stride = w->ne[0],
        .y_stride = w->ne[1],
    };
}

static gemm_dx_args dx_args(const tnn_tensor *w, const void *data, int64_t n_cols) {
    return (gemm_dx_args){
        .w = data,
        .type = w->type,
        .row_bytes = tnn_row_bytes((int32_t)w->type, w->ne[0]),
        .n_in = w->ne[0],
        .n_out = w->ne[1],
        .n_cols = n_cols,
    };
}

static gemm_dw_args dw_args(const tnn_tensor *w, int64_t n_cols) {
    return (gemm_dw_args){.n_in = w->ne[0], .n_out = w->ne[1], .n_cols = n_cols};
}

/* y[t][i0 .. i1) += addend[t][i0 .. i1), right after they were computed; no addend: nothing. n elements a row. */
static void add_to(const tnn__program *p, const real *addend, real *y, int64_t n, int64_t n_rows, int64_t i0,
                   int64_t i1) {
    for (int64_t t = 0; addend && t < n_rows; t++) {
        KERNELS(p)->add(addend + t * n + i0, y + t * n + i0, y + t * n + i0, i1 - i0);
    }
}

/* y[t][row0 .. row1) += W x, by way of the scratch, in which the rows of the task are a matrix of their own. */
static void add_product(const tnn__program *p, const tnn__gemm_kernel *kernel, const gemm_args *product, int64_t row0,
                        int64_t row1, void *scratch) {
    int64_t n = row1 - row0, n_cols = product->n_cols;
    real *sums = scratch, *to = product->y + row0;
    gemm_args a = *product;
    a.w = (const uint8_t *)a.w + (size_t)row0 * a.row_bytes;
    a.n_out = a.y_stride = n;
    a.y = sums;
    for (int64_t t0 = 0; t0 < n_cols; t0 += TNN__ADDED_COLUMNS) {
        a.n_cols = n_cols - t0 < TNN__ADDED_COLUMNS ? n_cols - t0 : TNN__ADDED_COLUMNS;
        call_gemm(p, kernel, &a, 0, n, sums + TNN__ADDED_COLUMNS * n);
        for (int64_t t = 0; t < a.n_cols; t++, to += product->y_stride) {
            KERNELS(p)->add(sums + t * n, to, to, n);
        }
        skip_columns(&a, a.n_cols);
    }
}

/* Rows of W, or its columns on the way back, and columns of x that a task has. */
typedef struct piece {
    int64_t row0, row1, col0, col1;
} piece;

/* Those of the same columns one after the other. */
static piece piece_of(int64_t task, int64_t n_rows, int64_t rows_per_task, int64_t n_cols, int64_t columns_per_task) {
    const int64_t n = tnn__n_tasks(n_rows, rows_per_task);
    piece at;
    tnn__split(task % n, rows_per_task, n_rows, &at.row0, &at.row1);
    tnn__split(task / n, columns_per_task, n_cols, &at.col0, &at.col1);
    return at;
}

/* The same place in a matrix that may be missing. */
static const real *from_column(const real *matrix, int64_t column, int64_t n_rows) {
    return matrix ? matrix + column * n_rows : NULL;
}

static void add_to_linear(const tnn__program *p, const tnn__step *st, const piece *at, void *scratch) {
    const tnn__linear_state *s = st->state;
    const tnn_tensor *b = st->node->src[4];
    int64_t n_out = st->node->ne[0], n_cols = at->col1 - at->col0;
    real *y = (real *)tnn__ptr(p, st->obj[0]) + at->col0 * n_out;
    add_to(p, from_column(tnn__ptr(p, st->obj[4]), at->col0, n_out), y, n_out, n_cols, at->row0, at->row1);
    if (!b) return;
    gemm_args a = forward_args(b, tnn__ptr(p, st->obj[5]), n_cols);
    SET_OPERAND(&a, x, s->bf16, tnn__ptr(p, st->obj[6]), at->col0 * a.n_in);
    a.y = y;
    add_product(p, s->pair, &a, at->row0, at->row1, scratch);
}

/* obj y, w, x or packed, bias, addend, b, low */
static void run_linear(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__linear_state *s = st->state;
    const tnn_tensor *w = st->node->src[0], *x = st->node->src[1];
    const piece at = piece_of(task, w->ne[1], s->rows_per_task, x->ne[1], s->columns_per_task);
    gemm_args a = forward_args(w, tnn__ptr(p, st->obj[1]), at.col1 - at.col0);
    a.bias = tnn__ptr(p, st->obj[3]);
    a.y = (real *)tnn__ptr(p, st->obj[0]) + at.col0 * a.n_out;
#ifndef TNN_REAL_F64
    if (s->kernel->int8_activations) {
        a.act = tnn__packed_views(tnn__ptr(p, st->obj[2]), a.n_in, a.n_cols);
        s->kernel->run(&a, at.row0, at.row1, scratch);
        add_to_linear(p, st, &at, scratch);
        return;
    }
#endif
    SET_OPERAND(&a, x, s->bf16, tnn__ptr(p, st->obj[2]), at.col0 * a.n_in);
    call_gemm(p, s->kernel, &a, at.row0, at.row1, scratch);
    add_to_linear(p, st, &at, scratch);
}

/* obj dx, w, dy, addend */
static void run_linear_dx(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__linear_dx_state *s = st->state;
    const tnn_tensor *w = st->node->src[0];
    const piece at = piece_of(task, w->ne[0], s->k_per_task, st->node->ne[1], s->columns_per_task);
    gemm_dx_args a = dx_args(w, tnn__ptr(p, st->obj[1]), at.col1 - at.col0);
    SET_OPERAND(&a, dy, s->bf16, tnn__ptr(p, st->obj[2]), at.col0 * a.n_out);
    a.dx = (real *)tnn__ptr(p, st->obj[0]) + at.col0 * a.n_in;
    call_gemm_dx(p, s->kernel, &a, at.row0, at.row1, scratch);
    add_to(p, from_column(tnn__ptr(p, st->obj[3]), at.col0, a.n_in), a.dx, a.n_in, a.n_cols, at.row0, at.row1);
}

/* obj dw, dy, x */
static void run_linear_dw(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__linear_dw_state *s = st->state;
    gemm_dw_args a = dw_args(st->node, st->node->src[1]->ne[1]);
    SET_OPERAND(&a, dy, s->bf16, tnn__ptr(p, st->obj[1]), 0);
    SET_OPERAND(&a, x, s->bf16, tnn__ptr(p, st->obj[2]), 0);
    a.dw = tnn__ptr(p, st->obj[0]);
    int64_t row0, row1;
    tnn__split(task, s->rows_per_task, a.n_out, &row0, &row1);
    call_gemm_dw(p, s->kernel, &a, row0, row1, scratch);
}

/* --- linear_xent, one chunk of rows --- */

/* obj logits, w, x */
static void run_xent_logits(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__xent_state *s = st->state;
    gemm_args a = forward_args(s->w, tnn__ptr(p, st->obj[1]), s->row1 - s->row0);
    SET_OPERAND(&a, x, s->bf16, tnn__ptr(p, st->obj[2]), s->row0 * a.n_in);
    a.y = tnn__ptr(p, st->obj[0]);
    int64_t row0, row1;
    tnn__split(task, s->rows_per_task, a.n_out, &row0, &row1);
    call_gemm(p, s->kernel, &a, row0, row1, scratch);
}

/* obj logits (are added to), b, low */
static void run_xent_add(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__xent_state *s = st->state;
    gemm_args a = forward_args(s->w, tnn__ptr(p, st->obj[1]), s->row1 - s->row0);
    SET_OPERAND(&a, x, s->bf16, tnn__ptr(p, st->obj[2]), s->row0 * a.n_in);
    a.y = tnn__ptr(p, st->obj[0]);
    int64_t row0, row1;
    tnn__split(task, s->rows_per_task, a.n_out, &row0, &row1);
    add_product(p, s->kernel, &a, row0, row1, scratch);
}

/* Whether the target has the largest of n logits; of equals, the first counts. */
static bool is_hit(const real *logits, int64_t n, int32_t target) {
    if (target < 0) return false;
    bool hit = logits[target] == logits[target];
    for (int64_t i = 0; i < n; i++)
        hit &= i < target ? logits[i] < logits[target] : logits[i] <= logits[target];
    return hit;
}

/*
 * obj losses, logits (become their gradient), the gradient in BF16 and hits (may be missing), targets, weights; a task
 * is a row
 */
static void run_xent_rows(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn__xent_state *s = st->state;
    int64_t n_vocab = st->node->src[0]->ne[1], t = s->row0 + task;
    real *losses = tnn__ptr(p, st->obj[0]), *logits = tnn__ptr(p, st->obj[1]);
    real *hits = tnn__ptr(p, st->obj[3]);
    const int32_t *targets = tnn__ptr(p, st->obj[4]);
    const real *weights = tnn__ptr(p, st->obj[5]);
    if (hits) hits[t] = is_hit(logits + task * n_vocab, n_vocab, targets[t]) ? 1 : 0;
    losses[t] = KERNELS(p)->xent(logits + task * n_vocab, n_vocab, targets[t], weights[t]);
#ifndef TNN_REAL_F64
    uint16_t *rounded = tnn__ptr(p, st->obj[2]);
    if (rounded) KERNELS(p)->from_f32[TNN_TYPE_BF16](logits + task * n_vocab, rounded + task * n_vocab, n_vocab);
#endif
}

/* obj dx, w, logits */
static void run_xent_dx(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__xent_state *s = st->state;
    gemm_dx_args a = dx_args(s->w, tnn__ptr(p, st->obj[1]), s->row1 - s->row0);
    SET_OPERAND(&a, dy, s->bf16, tnn__ptr(p, st->obj[2]), 0);
    a.dx = (real *)tnn__ptr(p, st->obj[0]) + s->row0 * a.n_in;
    int64_t k0, k1;
    tnn__split(task, s->k_per_task, a.n_in, &k0, &k1);
    call_gemm_dx(p, s->dx_kernel, &a, k0, k1, scratch);
}

/* obj dw, logits, x */
static void run_xent_dw(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__xent_state *s = st->state;
    gemm_dw_args a = dw_args(s->w, s->row1 - s->row0);
    SET_OPERAND(&a, dy, s->bf16, tnn__ptr(p, st->obj[1]), 0);
    SET_OPERAND(&a, x, s->bf16, tnn__ptr(p, st->obj[2]), s->row0 * a.n_in);
    a.dw = tnn__ptr(p, st->obj[0]);
    int64_t row0, row1;
    tnn__split(task, s->dw_rows_per_task, a.n_out, &row0, &row1);
    call_gemm_dw(p, s->dw_kernel, &a, row0, row1, scratch);
}
