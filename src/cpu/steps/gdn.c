/*
 * Lowering of Gated DeltaNet's ops. Those that carry something from row to row first need to know which rows belong
 * together: spans, found once a run and shared by all layers.
 */
#include <inttypes.h>

#include "cpu/steps/steps.h"

/* --- spans: obj spans, where (may be missing), slots (may be missing) --- */

typedef struct span_state {
    const tnn_tensor *where, *slots; /* starts, or, where a state is carried, positions and slots */
    bool carried;
    int64_t n_rows;
} span_state;

/* Input values by row; NULL: 0. */
typedef struct row_values {
    const int32_t *where, *slots;
} row_values;

static row_values values_of(const tnn__program *p, const span_state *s) {
    return (row_values){
        .where = s->where ? tnn__ptr(p, p->obj_of_node[s->where->index]) : NULL,
        .slots = s->slots ? tnn__ptr(p, p->obj_of_node[s->slots->index]) : NULL,
    };
}

/* The row after the last of the span that begins at `first`. */
static int64_t span_end(const span_state *s, const row_values *v, int64_t first) {
    if (!s->where) return s->n_rows;
    int64_t t = first + 1;
    for (; t < s->n_rows; t++) {
        bool goes_on = s->carried
                           ? (!v->slots || v->slots[t] == v->slots[first]) && v->where[t] - t == v->where[first] - first
                           : v->where[t] == v->where[first];
        if (!goes_on) break;
    }
    return t;
}

static int64_t count_spans(const tnn__program *p, const span_state *s) {
    row_values v = values_of(p, s);
    int64_t n = 0;
    for (int64_t t = 0; t < s->n_rows; t = span_end(s, &v, t)) {
        n++;
    }
    return n;
}

static void run_spans(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)task, (void)scratch;
    const span_state *s = st->state;
    row_values v = values_of(p, s);
    tnn__spans *spans = tnn__ptr(p, st->obj[0]);
    spans->n = 0;
    for (int64_t t = 0, end; t < s->n_rows; t = end) {
        end = span_end(s, &v, t);
        spans->at[spans->n++] = (tnn__span){
            .first = (int32_t)t,
            .end = (int32_t)end,
            .slot = v.slots ? v.slots[t] : 0,
            .begins = !s->carried || !v.where || v.where[t] == 0,
        };
    }
}

static tnn_status check_starts(const span_state *s, const row_values *v, tnn_error *err) {
    for (int64_t t = 0; t < s->n_rows; t++) {
        if (v->where[t] == t || (t > 0 && v->where[t] == v->where[t - 1])) continue;
        return tnn__fail(err, TNN_E_RANGE,
                         "row %" PRId64 " says its sequence starts at row %" PRId32
                         ": it must be this row, or the start of the row before",
                         t, v->where[t]);
    }
    return TNN_OK;
}

/* One span per slot at most, so that no two tasks write one state. */
static tnn_status check_positions(const span_state *s, const row_values *v, tnn_error *err) {
    for (int64_t t = 0; v->where && t < s->n_rows; t++) {
        if (v->where[t] < 0) return tnn__fail(err, TNN_E_RANGE, "position %" PRId32 " of row %" PRId64, v->where[t], t);
    }
    for (int64_t t = 0, end; t < s->n_rows; t = end) {
        end = span_end(s, v, t);
        for (int64_t other = end; other < s->n_rows; other = span_end(s, v, other)) {
            if (v->slots && v->slots[other] != v->slots[t]) continue;
            return tnn__fail(err, TNN_E_RANGE,
                             "rows %" PRId64 " and %" PRId64 " are of slot %" PRId32
                             ", but do not follow each other: a batch has the rows of a slot together, in order",
                             t, other, v->slots ? v->slots[t] : 0);
        }
    }
    return TNN_OK;
}

static tnn_status check_spans(const tnn__program *p, const tnn__step *st, tnn_error *err) {
    const span_state *s = st->state;
    row_values v = values_of(p, s);
    if (!v.where) return TNN_OK;
    return s->carried ? check_positions(s, &v, err) : check_starts(s, &v, err);
}

/* The object, and in *state what counts them before a run. */
static tnn__obj spans_of(tnn__lowering *l, const tnn_tensor *node, const tnn_tensor *where, const tnn_tensor *slots,
                         bool carried, const span_state **state) {
    span_state *s = tnn__lower_state(l, sizeof *s);
    *state = s;
    if (!s) return TNN__NO_OBJ;
    int64_t n_rows = node->src[0]->ne[node->src[0]->n_dims - 1];
    *s = (span_state){.where = where, .slots = slots, .carried = carried, .n_rows = n_rows};
    size_t bytes = sizeof(tnn__spans) + (where ? (size_t)n_rows : 1) * sizeof(tnn__span);
    bool fresh = true;
    int64_t variant = 2 * (slots ? (int64_t)slots->index + 2 : 1) + carried;
    tnn__obj spans = where ? tnn__lower_derived(l, where, variant, bytes, &fresh) : tnn__lower_temp(l, bytes);
    if (!fresh) return spans;
    tnn__obj from_where = tnn__lower_obj(l, where), from_slots = tnn__lower_obj(l, slots);
    tnn__step *st = tnn__lower_step(l, node, run_spans);
    if (st) {
        st->state = s;
        st->check = check_spans;
        tnn__step_writes(st, spans);
        tnn__step_reads(st, from_where);
        tnn__step_reads(st, from_slots);
    }
    return spans;
}

/* --- conv1d_silu: sources x, w, where, slots, state --- */

static tnn_status check_conv(const tnn__program *p, const tnn__step *st, tnn_error *err) {
    const tnn_tensor *state = st->node->src[4];
    return state ? tnn__check_slots(p, st->node->src[3], state->ne[2], err) : TNN_OK;
}

void tnn__lower_conv1d_silu(tnn__lowering *l, const tnn_tensor *node) {
    const tnn_tensor *w = node->src[1], *state = node->src[4];
    const span_state *rows;
    tnn__obj spans = spans_of(l, node, node->src[2], node->src[3], state != NULL, &rows);
    tnn__obj y = tnn__lower_obj(l, node), kept = tnn__lower_obj(l, state);
    tnn__obj x = tnn__lower_obj(l, node->src[0]), weights = tnn__lower_obj(l, w);
    tnn__step *st = tnn__lower_step(l, node, tnn__steps_for(node)->conv1d_silu);
    if (!st) return;
    st->check = check_conv;
    st->n_tasks = tnn__n_tasks(node->ne[0], TNN__CONV_CHANNELS);
    st->scratch_bytes = (size_t)(w->ne[0] + 1) * TNN__CONV_CHANNELS * tnn__real_bytes(node);
    tnn__step_writes(st, y);
    tnn__step_writes(st, kept);
    tnn__step_reads(st, x);
    tnn__step_reads(st, weights);
    tnn__step_reads(st, spans);
}

/* Sources x, w, starts, dy, dw. */
void tnn__lower_conv1d_silu_back(tnn__lowering *l, const tnn_tensor *node) {
    const tnn_tensor *w = node->src[1];
    const span_state *rows;
    tnn__obj spans = spans_of(l, node, node->src[2], NULL, false, &rows);
    tnn__obj dx = tnn__lower_obj(l, node), x = tnn__lower_obj(l, node->src[0]), weights = tnn__lower_obj(l, w);
    tnn__obj dy = tnn__lower_obj(l, node->src[3]), dw = tnn__lower_obj(l, node->src[4]);
    tnn__step *st = tnn__lower_step(l, node, tnn__steps_for(node)->conv1d_silu_back);
    if (!st) return;
    st->n_tasks = tnn__n_tasks(node->ne[0], TNN__CONV_CHANNELS);
    st->scratch_bytes = (size_t)(2 * w->ne[0] + 1) * TNN__CONV_CHANNELS * tnn__real_bytes(node);
    tnn__step_writes(st, dx);
    tnn__step_writes(st, dw);
    tnn__step_reads(st, x);
    tnn__step_reads(st, weights);
    tnn__step_reads(st, dy);
    tnn__step_reads(st, spans);
}

/* --- gated_delta_net: sources q, k, v, decay, beta, where, slots, state; parts: norms of the states left, kept --- */

typedef struct delta_net_state {
    const span_state *rows;
    int64_t n_heads; /* tasks of a span */
} delta_net_state;

static int64_t count_delta_net(const tnn__program *p, const tnn__step *st) {
    const delta_net_state *s = st->state;
    return s->n_heads * count_spans(p, s->rows);
}

static tnn_status check_delta_net(const tnn__program *p, const tnn__step *st, tnn_error *err) {
    const tnn_tensor *state = st->node->src[7];
    return state ? tnn__check_slots(p, st->node->src[6], state->ne[3], err) : TNN_OK;
}

static tnn__step *lower_delta_net(tnn__lowering *l, const tnn_tensor *node, tnn__run_fn *run, const span_state *rows,
                                  int64_t n_heads) {
    delta_net_state *s = tnn__lower_state(l, sizeof *s);
    tnn__step *st = tnn__lower_step(l, node, run);
    if (!st || !s) return NULL;
    *s = (delta_net_state){.rows = rows, .n_heads = n_heads};
    st->state = s;
    st->count = count_delta_net;
    return st;
}

void tnn__lower_gated_delta_net(tnn__lowering *l, const tnn_tensor *node) {
    const span_state *rows;
    tnn__obj spans = spans_of(l, node, node->src[5], node->src[6], node->src[7] != NULL, &rows);
    tnn__obj out = tnn__lower_obj(l, node), state = tnn__lower_obj(l, node->src[7]), src[5];
    tnn__obj norms = tnn__lower_obj(l, node->parts[0]), kept = tnn__lower_obj(l, node->parts[1]);
    for (int i = 0; i < 5; i++) {
        src[i] = tnn__lower_obj(l, node->src[i]);
    }
    const tnn__step_fns *fns = tnn__steps_for(node);
    tnn__step *st = lower_delta_net(l, node, fns->gdn, rows, node->params.gdn.n_v_heads);
    if (!st) return;
    st->check = check_delta_net;
    st->scratch_bytes = fns->gdn_scratch_bytes(l->p, node);
    tnn__step_writes(st, out);
    tnn__step_writes(st, state);
    tnn__step_writes(st, norms);
    tnn__step_writes(st, kept);
    for (int i = 0; i < 5; i++) {
        tnn__step_reads(st, src[i]);
    }
    tnn__step_reads(st, spans);
}

/* Sources q, k, decay, beta, starts, dout, kept: v is in what was kept. */
void tnn__lower_gated_delta_net_back(tnn__lowering *l, const tnn_tensor *node) {
    const span_state *rows;
    tnn__obj spans = spans_of(l, node, node->src[4], NULL, false, &rows), src[4];
    tnn__obj dq = tnn__lower_obj(l, node), ddecay = tnn__lower_obj(l, node->parts[0]);
    tnn__obj dbeta = tnn__lower_obj(l, node->parts[1]), dk = tnn__lower_obj(l, node->parts[2]);
    tnn__obj dv = tnn__lower_obj(l, node->parts[3]), dout = tnn__lower_obj(l, node->src[5]);
    tnn__obj kept = tnn__lower_obj(l, node->src[6]);
    for (int i = 0; i < 4; i++) {
        src[i] = tnn__lower_obj(l, node->src[i]);
    }
    const tnn__step_fns *fns = tnn__steps_for(node);
    tnn__step *st = lower_delta_net(l, node, fns->gdn_back, rows, node->params.gdn.n_k_heads);
    if (!st) return;
    st->scratch_bytes = fns->gdn_back_scratch_bytes(l->p, node);
    tnn__step_writes(st, dq);
    tnn__step_writes(st, dk);
    tnn__step_writes(st, dv);
    tnn__step_writes(st, ddecay);
    tnn__step_writes(st, dbeta);
    for (int i = 0; i < 4; i++) {
        tnn__step_reads(st, src[i]);
    }
    tnn__step_reads(st, spans);
    tnn__step_reads(st, dout);
    tnn__step_reads(st, kept);
}
