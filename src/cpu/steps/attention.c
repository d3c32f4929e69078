/*
 * Lowering of attention: first the range of keys each row sees, shared by all layers; then either whole rows of keys
 * for tiles of queries (many rows), or, for the few rows of decoding, parts of the keys whose results are joined in
 * order.
 */
#include "cpu/steps/steps.h"

/* Up to this many rows of a cache, keys are cut into parts; above it, the rows are work enough. */
#define FEW_ROWS  7
#define PART_KEYS (2 * TNN__ATTN_BLOCK)

/* --- ranges: obj lo and hi as one temporary, where (may be missing) --- */

static void run_ranges(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)task, (void)scratch;
    const tnn_tensor *q = st->node->src[0];
    int64_t n_rows = q->ne[2], window = st->node->params.attention.window;
    bool cached = st->node->params.attention.cached;
    int32_t *lo = tnn__ptr(p, st->obj[0]), *hi = lo + n_rows;
    const int32_t *where = tnn__ptr(p, st->obj[1]);
    for (int64_t t = 0; t < n_rows; t++) {
        int64_t last = cached ? where[t] : t;
        int64_t first = cached || !where ? 0 : where[t];
        if (window > 0 && last - window + 1 > first) first = last - window + 1;
        lo[t] = (int32_t)first;
        hi[t] = (int32_t)(last + 1);
    }
}

static tnn_status check_ranges(const tnn__program *p, const tnn__step *st, tnn_error *err) {
    const int32_t *where = tnn__ptr(p, st->obj[1]);
    bool cached = st->node->params.attention.cached;
    for (int64_t t = 0; where && t < st->node->ne[2]; t++) {
        int64_t limit = cached ? st->node->src[1]->ne[1] - 1 : t;
        if (where[t] < 0 || where[t] > limit) {
            return tnn__fail(err, TNN_E_RANGE, "attention: %s %d of row %lld is outside 0..%lld",
                             cached ? "position" : "first row", where[t], (long long)t, (long long)limit);
        }
    }
    return TNN_OK;
}

static tnn__obj key_ranges(tnn__lowering *l, const tnn_tensor *node) {
    const tnn_tensor *where = node->src[3];
    bool fresh;
    /* One set of ranges per source of positions (without any, q stands for it, of which views may have other numbers
     * of rows), window and length: that of the cache, or rows. */
    const tnn_tensor *key = where ? where : node->src[0];
    int64_t kind = 2 * (int64_t)node->params.attention.window + node->params.attention.cached;
    int64_t length = node->params.attention.cached ? node->src[1]->ne[1] : node->ne[2];
    int64_t variant = -1 - kind * ((int64_t)INT32_MAX + 1) - (length < INT32_MAX ? length : INT32_MAX);
    tnn__obj ranges = tnn__lower_derived(l, key, variant, 2 * sizeof(int32_t) * (size_t)node->ne[2], &fresh);
    if (!fresh) return ranges;
    tnn__obj from = tnn__lower_obj(l, where);
    tnn__step *st = tnn__lower_step(l, node, run_ranges);
    if (st) {
        st->check = check_ranges;
        tnn__step_writes(st, ranges);
        tnn__step_reads(st, from);
    }
    return ranges;
}

/* --- parts: few rows against a cache --- */

static tnn__attn_args cache_args(const tnn__program *p, const tnn__step *st, int64_t row) {
    const tnn_tensor *q = st->node->src[0], *k = st->node->src[1], *v = st->node->src[2];
    const tnn__attention_state *s = st->state;
    size_t k_row = tnn_row_bytes((int32_t)k->type, k->ne[0]), v_row = tnn_row_bytes((int32_t)v->type, v->ne[0]);
    const int32_t *lo = tnn__ptr(p, st->obj[TNN__ATTN_RANGES]), *slots = tnn__ptr(p, st->obj[TNN__ATTN_SLOTS]);
    size_t slot = slots ? (size_t)slots[row] : 0;
    return (tnn__attn_args){
        .q = tnn__ptr(p, st->obj[TNN__ATTN_Q]),
        .k = (const uint8_t *)tnn__ptr(p, st->obj[TNN__ATTN_K]) + slot * s->slot_bytes_k,
        .v = (const uint8_t *)tnn__ptr(p, st->obj[TNN__ATTN_V]) + slot * s->slot_bytes_v,
        .kv_type = k->type,
        .k_pos_bytes = k_row,
        .v_pos_bytes = v_row,
        .k_head_bytes = k_row * (size_t)k->ne[1],
        .v_head_bytes = v_row * (size_t)v->ne[1],
        .d = q->ne[0],
        .d_v = v->ne[0],
        .n_head = q->ne[1],
        .n_kv_head = k->ne[2],
        .n_rows = q->ne[2],
        .scale = st->node->params.attention.scale,
        .lo = lo,
        .hi = lo + q->ne[2],
        .mask = tnn__ptr(p, st->obj[TNN__ATTN_MASK]),
        .mask_stride = k->ne[1],
    };
}

/* Parts that the rows of this run really have, from the positions given. */
static int64_t parts_in_use(const tnn__program *p, const tnn__step *st) {
    const tnn__attention_state *s = st->state;
    const int32_t *where = tnn__ptr(p, p->obj_of_node[st->node->src[3]->index]);
    int32_t last = 0;
    for (int64_t t = 0; t < st->node->ne[2]; t++) {
        if (where[t] > last) last = where[t];
    }
    int64_t parts = last / PART_KEYS + 1;
    return parts < s->max_parts ? parts : s->max_parts;
}

static int64_t count_parts(const tnn__program *p, const tnn__step *st) {
    return st->node->src[0]->ne[2] * st->node->src[1]->ne[2] * parts_in_use(p, st);
}

static float *part_at(const tnn__step *st, float *parts, int64_t t, int64_t c, int64_t part) {
    const tnn__attention_state *s = st->state;
    int64_t n_kv_head = st->node->src[1]->ne[2];
    return parts + ((t * n_kv_head + c) * s->max_parts + part) * s->part_floats;
}

static void run_part(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    int64_t n_parts = parts_in_use(p, st), n_kv_head = st->node->src[1]->ne[2];
    int64_t part = task % n_parts, c = task / n_parts % n_kv_head, t = task / n_parts / n_kv_head;
    tnn__attn_args a = cache_args(p, st, t);
    float *to = part_at(st, tnn__ptr(p, st->obj[TNN__ATTN_OUT]), t, c, part);
    tnn__kernels_of(p)->attn_part(&a, c, t, part * PART_KEYS, (part + 1) * PART_KEYS, to, scratch);
}

static void run_join(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn__attention_state *s = st->state;
    int64_t n_parts = parts_in_use(p, st), n_kv_head = st->node->src[1]->ne[2], r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    for (int64_t t = r0; t < r1; t++) {
        tnn__attn_args a = cache_args(p, st, t);
        a.out = tnn__ptr(p, st->obj[TNN__ATTN_OUT]);
        for (int64_t c = 0; c < n_kv_head; c++) {
            const float *parts = part_at(st, tnn__ptr(p, st->obj[TNN__ATTN_PARTS]), t, c, 0);
            tnn__kernels_of(p)->attn_join(&a, c, t, parts, n_parts, s->part_floats);
        }
    }
}

/* --- lowering --- */

static void read_sources(tnn__lowering *l, tnn__step *st, const tnn_tensor *node, tnn__obj ranges) {
    tnn__step_reads(st, ranges);
    tnn__step_reads(st, tnn__lower_obj(l, node->src[0]));
    tnn__step_reads(st, tnn__lower_obj(l, node->src[1]));
    tnn__step_reads(st, tnn__lower_obj(l, node->src[2]));
    tnn__step_reads(st, tnn__lower_obj(l, node->src[4]));
    tnn__step_reads(st, tnn__lower_obj(l, node->src[5]));
}

static tnn__attn_args shape_of(const tnn_tensor *node) {
    const tnn_tensor *q = node->src[0], *k = node->src[1], *v = node->src[2];
    return (tnn__attn_args){
        .d = q->ne[0],
        .d_v = v->ne[0],
        .n_head = q->ne[1],
        .n_kv_head = node->params.attention.cached ? k->ne[2] : k->ne[1],
        .n_rows = q->ne[2],
        .kv_type = k->type,
    };
}

static size_t attention_scratch(tnn__lowering *l, const tnn_tensor *node, int64_t rows) {
    tnn__attn_args shape = shape_of(node);
    if (node->type != TNN_TYPE_F64) return l->kernels->attn_scratch_bytes(&shape, rows);
    tnn__attn_args_f64 shape64 = {.d = shape.d,
                                  .d_v = shape.d_v,
                                  .n_head = shape.n_head,
                                  .n_kv_head = shape.n_kv_head,
                                  .n_rows = shape.n_rows};
    return l->p->backend->kernels_f64.attn_scratch_bytes(&shape64);
}

static tnn_status check_slots(const tnn__program *p, const tnn__step *st, tnn_error *err) {
    return tnn__check_slots(p, st->node->src[4], st->node->src[1]->ne[3], err);
}

static void lower_parts(tnn__lowering *l, const tnn_tensor *node, tnn__attention_state *s, tnn__obj ranges) {
    const tnn_tensor *q = node->src[0], *k = node->src[1], *v = node->src[2];
    int64_t group = q->ne[1] / k->ne[2];
    s->max_parts = tnn__n_tasks(k->ne[1], PART_KEYS);
    s->part_floats = (group * (v->ne[0] + 2) + 15) / 16 * 16;
    tnn__obj parts = tnn__lower_temp(l, sizeof(float) * (size_t)(q->ne[2] * k->ne[2] * s->max_parts * s->part_floats));
    tnn__step *st = tnn__lower_step(l, node, run_part);
    if (!st) return;
    st->state = s;
    st->check = check_slots;
    st->count = count_parts;
    st->scratch_bytes = attention_scratch(l, node, 1);
    tnn__step_writes(st, parts);
    tnn__step_writes(st, TNN__NO_OBJ);
    read_sources(l, st, node, ranges);

    tnn__obj out = tnn__lower_obj(l, node);
    tnn__step *join = tnn__lower_rowwise(l, node, q->ne[2], run_join);
    if (!join) return;
    join->state = s;
    tnn__step_writes(join, out);
    tnn__step_writes(join, TNN__NO_OBJ);
    read_sources(l, join, node, ranges);
    tnn__step_reads(join, parts);
}

static void lower_tiles(tnn__lowering *l, const tnn_tensor *node, tnn__attention_state *s, tnn__obj ranges) {
    s->rows_per_task = node->src[4] ? 1 : l->kernels->attn_rows; /* rows of different slots have different keys */
    tnn__obj out = tnn__lower_obj(l, node), lse = tnn__lower_obj(l, node->parts[0]);
    tnn__step *st = tnn__lower_step(l, node, tnn__steps_for(node)->attn_tile);
    if (!st) return;
    st->state = s;
    st->check = check_slots;
    st->n_tasks = shape_of(node).n_kv_head * tnn__n_tasks(node->ne[2], s->rows_per_task);
    st->scratch_bytes = attention_scratch(l, node, s->rows_per_task);
    tnn__step_writes(st, out);
    tnn__step_writes(st, lse);
    read_sources(l, st, node, ranges);
}

void tnn__lower_attention(tnn__lowering *l, const tnn_tensor *node) {
    const tnn_tensor *k = node->src[1], *v = node->src[2];
    tnn__obj ranges = key_ranges(l, node);
    tnn__attention_state *s = tnn__lower_state(l, sizeof *s);
    if (!s) return;
    s->slot_bytes_k = k->bytes / (size_t)k->ne[3];
    s->slot_bytes_v = v->bytes / (size_t)v->ne[3];
    if (node->params.attention.cached && node->ne[2] <= FEW_ROWS) {
        lower_parts(l, node, s, ranges);
    } else {
        lower_tiles(l, node, s, ranges);
    }
}

/* --- way back --- */

/*
 * Parts of the keys: some sixteen tasks of a kv head and a part, so that a handful of threads finish together, of which
 * each has a whole block; a copy of dq each.
 */
static int64_t back_parts(int64_t n_kv_head, int64_t n_rows) {
    int64_t blocks = tnn__n_tasks(n_rows, TNN__ATTN_BLOCK), parts = tnn__n_tasks(16, n_kv_head);
    if (parts > 8) parts = 8;
    return parts < blocks ? parts : blocks;
}

void tnn__lower_attention_back(tnn__lowering *l, const tnn_tensor *node) {
    const tnn_tensor *k = node->src[1];
    tnn__obj ranges = key_ranges(l, node);
    tnn__attention_back_state *s = tnn__lower_state(l, sizeof *s);
    if (!s) return;
    s->n_parts = back_parts(k->ne[1], node->ne[2]);
    tnn__obj dq = tnn__lower_obj(l, node), parts = dq;
    if (s->n_parts > 1) {
        size_t dq_bytes = (size_t)tnn_tensor_elements(node) * tnn__real_bytes(node);
        parts = tnn__lower_temp(l, dq_bytes * (size_t)s->n_parts);
    }
    tnn__obj dk = tnn__lower_obj(l, node->parts[0]), dv = tnn__lower_obj(l, node->parts[1]);
    tnn__obj src[TNN__MAX_SRC] = {0};
    for (int i = 0; i < node->n_src; i++) {
        src[i] = tnn__lower_obj(l, node->src[i]);
    }
    tnn__step *st = tnn__lower_step(l, node, tnn__steps_for(node)->attn_back);
    if (!st) return;
    st->state = s;
    st->n_tasks = k->ne[1] * s->n_parts;
    if (node->type != TNN_TYPE_F64) {
        tnn__attn_back_args shape = {.f = shape_of(node)};
        st->scratch_bytes = l->kernels->attn_back_scratch_bytes(&shape);
    }
    tnn__step_writes(st, dk);
    tnn__step_writes(st, dv);
    tnn__step_writes(st, parts);
    tnn__step_reads(st, ranges);
    tnn__step_reads(st, src[0]);
    tnn__step_reads(st, src[1]);
    tnn__step_reads(st, src[2]);
    tnn__step_reads(st, src[4]);
    tnn__step_reads(st, src[5]);
    tnn__step_reads(st, src[6]);
    tnn__step_reads(st, src[7]);
    if (s->n_parts == 1) return;

    st = tnn__lower_rowwise(l, node, node->ne[2], tnn__steps_for(node)->attn_back_sum);
    if (!st) return;
    st->state = s;
    tnn__step_writes(st, dq);
    tnn__step_reads(st, parts);
}
