/* Attention over tiles of rows, and its way back. */
#include "cpu/steps/real.h"

/* Where the keys and values of a row's slot lie. */
static attn_args attention_args(const tnn__program *p, const tnn__step *st, int64_t row) {
    const tnn_tensor *q = st->node->src[0], *k = st->node->src[1], *v = st->node->src[2];
    bool cached = st->node->params.attention.cached;
    const tnn__attention_state *s = st->state;
    size_t k_row = tnn_row_bytes((int32_t)k->type, k->ne[0]), v_row = tnn_row_bytes((int32_t)v->type, v->ne[0]);
    const int32_t *lo = tnn__ptr(p, st->obj[TNN__ATTN_RANGES]);
    const int32_t *slots = tnn__ptr(p, st->obj[TNN__ATTN_SLOTS]);
    size_t slot = slots ? (size_t)slots[row] : 0;
    attn_args a = {
        .q = tnn__ptr(p, st->obj[TNN__ATTN_Q]),
        .k = (const uint8_t *)tnn__ptr(p, st->obj[TNN__ATTN_K]) + slot * s->slot_bytes_k,
        .v = (const uint8_t *)tnn__ptr(p, st->obj[TNN__ATTN_V]) + slot * s->slot_bytes_v,
        .kv_type = k->type,
        .d = q->ne[0],
        .d_v = v->ne[0],
        .n_head = q->ne[1],
        .n_kv_head = cached ? k->ne[2] : k->ne[1],
        .n_rows = q->ne[2],
        .scale = st->node->params.attention.scale,
        .lo = lo,
        .hi = lo + q->ne[2],
        .mask = tnn__ptr(p, st->obj[TNN__ATTN_MASK]),
        .mask_stride = cached ? k->ne[1] : q->ne[2],
        .lse = tnn__ptr(p, st->obj[TNN__ATTN_LSE]),
    };
    /* cache [d, capacity, K, slots]; batch [d, K, T] */
    a.k_pos_bytes = cached ? k_row : k_row * (size_t)k->ne[1];
    a.v_pos_bytes = cached ? v_row : v_row * (size_t)v->ne[1];
    a.k_head_bytes = cached ? k_row * (size_t)k->ne[1] : k_row;
    a.v_head_bytes = cached ? v_row * (size_t)v->ne[1] : v_row;
    return a;
}

static void run_attn_tile(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__attention_state *s = st->state;
    int64_t n_tiles = tnn__n_tasks(st->node->ne[2], s->rows_per_task), t0, t1;
    /* The last rows see the most keys: they go first, so that threads finish together. */
    tnn__split(n_tiles - 1 - task % n_tiles, s->rows_per_task, st->node->ne[2], &t0, &t1);
    attn_args a = attention_args(p, st, t0);
    a.out = tnn__ptr(p, st->obj[TNN__ATTN_OUT]);
    KERNELS(p)->attn(&a, task / n_tiles, t0, t1, scratch);
}

/* --- way back --- */

static int64_t share_elements(const tnn_tensor *node) {
    return (node->src[1]->ne[0] + node->src[2]->ne[0]) * node->ne[2];
}

/* A task is a query head. */
static void run_attn_back(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn_tensor *q = st->node->src[0], *k = st->node->src[1], *v = st->node->src[2];
    const int32_t *lo = tnn__ptr(p, st->obj[TNN__BACK_RANGES]);
    attn_back_args a = {
        .f =
            {
                .q = tnn__ptr(p, st->obj[TNN__BACK_Q]),
                .k = tnn__ptr(p, st->obj[TNN__BACK_K]),
                .v = tnn__ptr(p, st->obj[TNN__BACK_V]),
                .kv_type = k->type,
                .k_pos_bytes = sizeof(real) * (size_t)(k->ne[0] * k->ne[1]),
                .k_head_bytes = sizeof(real) * (size_t)k->ne[0],
                .v_pos_bytes = sizeof(real) * (size_t)(v->ne[0] * v->ne[1]),
                .v_head_bytes = sizeof(real) * (size_t)v->ne[0],
                .d = q->ne[0],
                .d_v = v->ne[0],
                .n_head = q->ne[1],
                .n_kv_head = k->ne[1],
                .n_rows = q->ne[2],
                .scale = st->node->params.attention.scale,
                .lo = lo,
                .hi = lo + q->ne[2],
                .mask = tnn__ptr(p, st->obj[TNN__BACK_MASK]),
                .mask_stride = q->ne[2],
                .out = tnn__ptr(p, st->obj[TNN__BACK_OUT]),
                .lse = tnn__ptr(p, st->obj[TNN__BACK_LSE]),
            },
        .dout = tnn__ptr(p, st->obj[TNN__BACK_DOUT]),
        .dq = tnn__ptr(p, st->obj[TNN__BACK_DQ]),
    };
    real *dk_share = (real *)tnn__ptr(p, st->obj[TNN__BACK_SHARES]) + task * share_elements(st->node);
    KERNELS(p)->attn_back(&a, task, dk_share, dk_share + k->ne[0] * q->ne[2], scratch);
}

/* One of dk, dv [n, K, T]: row t of kv head c = the shares of its group's query heads, in order. */
static void sum_shares(const real *shares, int64_t stride, int64_t group, int64_t n, int64_t n_kv_head, int64_t t,
                       real *to) {
    for (int64_t c = 0; c < n_kv_head; c++) {
        for (int64_t i = 0; i < n; i++) {
            real sum = 0;
            for (int64_t h = c * group; h < (c + 1) * group; h++) {
                sum += shares[h * stride + t * n + i];
            }
            to[(t * n_kv_head + c) * n + i] = sum;
        }
    }
}

/* obj dk, dv, shares; row-wise */
static void run_attn_back_sum(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn_tensor *k = st->node->src[1], *v = st->node->src[2];
    int64_t group = st->node->ne[1] / k->ne[1], stride = share_elements(st->node), r0, r1;
    real *dk = tnn__ptr(p, st->obj[0]), *dv = tnn__ptr(p, st->obj[1]);
    const real *shares = tnn__ptr(p, st->obj[2]);
    tnn__task_rows(st, task, &r0, &r1);
    for (int64_t t = r0; t < r1; t++) {
        sum_shares(shares, stride, group, k->ne[0], k->ne[1], t, dk);
        sum_shares(shares + k->ne[0] * k->ne[2], stride, group, v->ne[0], v->ne[1], t, dv);
    }
}
