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

/* The first parts have the most rows that see their keys: they go first, so that threads finish together. */
static void run_attn_back(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__attention_back_state *s = st->state;
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
        .dk = tnn__ptr(p, st->obj[TNN__BACK_DK]),
        .dv = tnn__ptr(p, st->obj[TNN__BACK_DV]),
    };
    int64_t part = task / k->ne[1];
    real *dq = (real *)tnn__ptr(p, st->obj[TNN__BACK_DQ]) + part * tnn_tensor_elements(q);
    KERNELS(p)->attn_back(&a, task % k->ne[1], part, s->n_parts, dq, scratch);
}

/* obj dq, its parts; row-wise */
static void run_attn_back_sum(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn__attention_back_state *s = st->state;
    int64_t n = tnn__row_elements(st->node), all = tnn_tensor_elements(st->node), r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    real *dq = (real *)tnn__ptr(p, st->obj[0]) + r0 * n;
    const real *parts = (const real *)tnn__ptr(p, st->obj[1]) + r0 * n;
    KERNELS(p)->add(parts, parts + all, dq, (r1 - r0) * n);
    for (int64_t i = 2; i < s->n_parts; i++)
        KERNELS(p)->add(dq, parts + i * all, dq, (r1 - r0) * n);
}
