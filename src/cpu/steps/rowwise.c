/* Lowering of the ops that go row by row, and of the cache write. */
#include <inttypes.h>
#include <math.h>

#include "cpu/steps/steps.h"

tnn__step *tnn__lower_simple(tnn__lowering *l, const tnn_tensor *node, tnn__run_fn *run, int n) {
    tnn__obj y = tnn__lower_obj(l, node), part = tnn__lower_obj(l, node->parts[0]), src[TNN__MAX_SRC];
    for (int i = 0; i < n; i++) {
        src[i] = tnn__lower_obj(l, node->src[i]);
    }
    tnn__step *st = tnn__lower_rowwise(l, node, tnn__n_rows(node), run);
    if (!st) return NULL;
    tnn__step_writes(st, y);
    if (node->parts[0]) tnn__step_writes(st, part);
    for (int i = 0; i < n; i++) {
        tnn__step_reads(st, src[i]);
    }
    return st;
}

/* Of rows and of its way back: sources table or its gradient, ids. */
static tnn_status check_rows(const tnn__program *p, const tnn__step *st, tnn_error *err) {
    const tnn_tensor *table = st->node->src[0], *from = st->node->src[1];
    const int32_t *ids = tnn__ptr(p, p->obj_of_node[from->index]);
    for (int64_t t = 0; t < from->ne[0]; t++) {
        if (ids[t] < 0 || ids[t] >= table->ne[1]) {
            return tnn__fail(err, TNN_E_RANGE,
                             "id %" PRId32 " at index %" PRId64 " is outside 0..%" PRId64 " (rows of %s)", ids[t], t,
                             table->ne[1] - 1, tnn_tensor_name(table));
        }
    }
    return TNN_OK;
}

void tnn__lower_rows(tnn__lowering *l, const tnn_tensor *node) {
    tnn__step *st = tnn__lower_simple(l, node, tnn__steps_for(node)->rows, 2);
    if (!st) return;
    st->check = check_rows;
    st->gathers = true;
}

void tnn__lower_add(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->add, 2);
}

void tnn__lower_scale(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->scale, 1);
}

void tnn__lower_dropout(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->dropout, 3);
}

void tnn__lower_swiglu(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->swiglu, 2);
}

void tnn__lower_rms_norm(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->rms_norm, 2);
}

void tnn__lower_rope(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->rope, 2);
}

/* Pair index whose wavelength makes `beta` turns in the original context (YaRN, eq. 17-19). */
static double yarn_pair(const tnn_rope_config *c, double beta) {
    const double two_pi = 6.283185307179586;
    return c->n_rot * log(c->n_ctx_orig / (beta * two_pi)) / (2.0 * log((double)c->freq_base));
}

void tnn__lower_rope_angles(tnn__lowering *l, const tnn_tensor *node) {
    const tnn_rope_config *c = &node->params.rope.config;
    tnn__rope_state *s = tnn__lower_state(l, sizeof *s);
    tnn__step *st = tnn__lower_simple(l, node, tnn__steps_for(node)->rope_angles, 2);
    if (!st || !s) return;
    s->magnitude = (double)c->attn_factor;
    if (c->ext_factor != 0.0f) {
        s->low = fmax(0.0, floor(yarn_pair(c, (double)c->beta_fast)));
        s->high = fmin(c->n_rot - 1.0, ceil(yarn_pair(c, (double)c->beta_slow)));
        s->magnitude *= 1.0 + 0.1 * log(1.0 / (double)c->freq_scale);
    }
    st->state = s;
}

/* --- kv_append: obj cache (written), x, positions, slots --- */

tnn_status tnn__check_slots(const tnn__program *p, const tnn_tensor *slots, int64_t n_slots, tnn_error *err) {
    const int32_t *values = slots ? tnn__ptr(p, p->obj_of_node[slots->index]) : NULL;
    for (int64_t t = 0; values && t < slots->ne[0]; t++) {
        if (values[t] < 0 || values[t] >= n_slots) {
            return tnn__fail(err, TNN_E_RANGE,
                             "slot %" PRId32 " of row %" PRId64 " is outside the %" PRId64 " there are", values[t], t,
                             n_slots);
        }
    }
    return TNN_OK;
}

static tnn_status check_kv_append(const tnn__program *p, const tnn__step *st, tnn_error *err) {
    const tnn_tensor *cache = st->node->src[0];
    const int32_t *positions = tnn__ptr(p, st->obj[2]);
    for (int64_t t = 0; t < st->n_rows; t++) {
        if (positions[t] < 0 || positions[t] >= cache->ne[1]) {
            return tnn__fail(err, TNN_E_FULL, "position %" PRId32 " is outside the cache of %" PRId64 " positions",
                             positions[t], cache->ne[1]);
        }
    }
    return tnn__check_slots(p, st->node->src[3], cache->ne[3], err);
}

static void run_kv_append(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn_tensor *cache = st->node->src[0];
    int64_t d = cache->ne[0], n_heads = cache->ne[2], r0, r1;
    size_t row_bytes = tnn_row_bytes((int32_t)cache->type, d);
    uint8_t *to = tnn__ptr(p, st->obj[0]);
    const float *x = tnn__ptr(p, st->obj[1]);
    const int32_t *positions = tnn__ptr(p, st->obj[2]), *slots = tnn__ptr(p, st->obj[3]);
    tnn__task_rows(st, task, &r0, &r1);
    for (int64_t t = r0; t < r1; t++) {
        for (int64_t h = 0; h < n_heads; h++) {
            size_t row = (size_t)(((slots ? slots[t] : 0) * n_heads + h) * cache->ne[1] + positions[t]);
            tnn__kernels_of(p)->from_f32[cache->type](x + (t * n_heads + h) * d, to + row * row_bytes, d);
        }
    }
}

void tnn__lower_kv_append(tnn__lowering *l, const tnn_tensor *node) {
    tnn__obj cache = tnn__lower_obj(l, node), x = tnn__lower_obj(l, node->src[1]);
    tnn__obj positions = tnn__lower_obj(l, node->src[2]), slots = tnn__lower_obj(l, node->src[3]);
    tnn__step *st = tnn__lower_rowwise(l, node, tnn__n_rows(node->src[1]), run_kv_append);
    if (!st) return;
    st->check = check_kv_append;
    tnn__step_writes(st, cache);
    tnn__step_reads(st, x);
    tnn__step_reads(st, positions);
    tnn__step_reads(st, slots);
}

/* --- ways back --- */

void tnn__lower_swiglu_back(tnn__lowering *l, const tnn_tensor *node) {
    tnn__obj dgate = tnn__lower_obj(l, node), dup = tnn__lower_obj(l, node->parts[0]);
    tnn__obj gate = tnn__lower_obj(l, node->src[0]), up = tnn__lower_obj(l, node->src[1]);
    tnn__obj dy = tnn__lower_obj(l, node->src[2]);
    tnn__step *st = tnn__lower_rowwise(l, node, tnn__n_rows(node), tnn__steps_for(node)->swiglu_back);
    if (!st) return;
    tnn__step_writes(st, dgate);
    tnn__step_writes(st, dup);
    tnn__step_reads(st, gate);
    tnn__step_reads(st, up);
    tnn__step_reads(st, dy);
}

/* dgamma: a partial sum per task of rows, then the sum of these in order. */
void tnn__lower_rms_norm_back(tnn__lowering *l, const tnn_tensor *node) {
    size_t n_tasks = (size_t)tnn__n_tasks(tnn__n_rows(node), TNN__ROW_TILE);
    tnn__obj dx = tnn__lower_obj(l, node);
    tnn__obj partials = tnn__lower_temp(l, n_tasks * (size_t)node->ne[0] * tnn__real_bytes(node));
    tnn__obj x = tnn__lower_obj(l, node->src[0]), gamma = tnn__lower_obj(l, node->src[1]);
    tnn__obj dy = tnn__lower_obj(l, node->src[2]), dgamma = tnn__lower_obj(l, node->src[3]);
    tnn__step *st = tnn__lower_rowwise(l, node, tnn__n_rows(node), tnn__steps_for(node)->rms_norm_back);
    if (!st) return;
    tnn__step_writes(st, dx);
    tnn__step_writes(st, partials);
    tnn__step_reads(st, x);
    tnn__step_reads(st, gamma);
    tnn__step_reads(st, dy);
    if (dgamma == TNN__NO_OBJ) return;
    st = tnn__lower_step(l, node, tnn__steps_for(node)->sum_partials);
    if (!st) return;
    tnn__step_writes(st, dgamma);
    tnn__step_reads(st, partials);
}

/* Sums into a gradient: obj[0] is read and written; the sources after it are read. */
static tnn__step *lower_sum(tnn__lowering *l, const tnn_tensor *node, tnn__run_fn *run, int64_t n_tasks) {
    tnn__obj src[TNN__MAX_SRC] = {0};
    for (int i = 0; i < node->n_src; i++) {
        src[i] = tnn__lower_obj(l, node->src[i]);
    }
    tnn__step *st = tnn__lower_step(l, node, run);
    if (!st) return NULL;
    st->n_tasks = n_tasks;
    tnn__step_writes(st, src[0]);
    for (int i = 1; i < node->n_src; i++) {
        tnn__step_reads(st, src[i]);
    }
    return st;
}

void tnn__lower_accumulate(tnn__lowering *l, const tnn_tensor *node) {
    lower_sum(l, node, tnn__steps_for(node)->accumulate,
              tnn__n_tasks(tnn_tensor_elements(node), TNN__ACCUMULATE_CHUNK));
}

void tnn__lower_bias_grad(tnn__lowering *l, const tnn_tensor *node) {
    lower_sum(l, node, tnn__steps_for(node)->bias_grad, tnn__n_tasks(node->ne[0], TNN__COLUMN_CHUNK));
}

void tnn__lower_rows_back(tnn__lowering *l, const tnn_tensor *node) {
    tnn__step *st = lower_sum(l, node, tnn__steps_for(node)->rows_back, tnn__n_tasks(node->ne[0], TNN__COLUMN_CHUNK));
    if (st) st->check = check_rows; /* the forward, whose check would do, may not be in the program */
}
