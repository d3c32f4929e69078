/* Steps that go row by row: embedding rows, sums, norms, SwiGLU, rotation, cache writes. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "cpu/program.h"

/* Elements of one row: everything but the last dimension. */
static int64_t row_elements(const tnn_tensor *t) {
    return tnn_tensor_elements(t) / t->ne[t->n_dims - 1];
}

static int64_t n_rows_of(const tnn_tensor *t) {
    return t->ne[t->n_dims - 1];
}

/* --- rows: obj y, table, ids --- */

static tnn_status check_rows(const tnn__program *p, const tnn__step *st, tnn_error *err) {
    const tnn_tensor *table = st->node->src[0];
    const int32_t *ids = tnn__ptr(p, st->obj[2]);
    for (int64_t t = 0; t < st->n_rows; t++) {
        if (ids[t] < 0 || ids[t] >= table->ne[1]) {
            return tnn__fail(err, TNN_E_RANGE,
                             "id %" PRId32 " at index %" PRId64 " is outside 0..%" PRId64 " (rows of %s)", ids[t], t,
                             table->ne[1] - 1, tnn_tensor_name(table));
        }
    }
    return TNN_OK;
}

static void run_rows(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn_tensor *table = st->node->src[0];
    size_t row_bytes = tnn_row_bytes((int32_t)table->type, table->ne[0]);
    float *y = tnn__ptr(p, st->obj[0]);
    const uint8_t *w = tnn__ptr(p, st->obj[1]);
    const int32_t *ids = tnn__ptr(p, st->obj[2]);
    int64_t r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    for (int64_t t = r0; t < r1; t++) {
        tnn__kernels_of(p)->to_f32[table->type](w + (size_t)ids[t] * row_bytes, y + t * table->ne[0], table->ne[0]);
    }
}

void tnn__lower_rows(tnn__lowering *l, const tnn_tensor *node) {
    tnn__obj y = tnn__lower_obj(l, node), table = tnn__lower_obj(l, node->src[0]),
             ids = tnn__lower_obj(l, node->src[1]);
    tnn__step *st = tnn__lower_rowwise(l, node, n_rows_of(node), run_rows);
    if (!st) return;
    st->check = check_rows;
    st->gathers = true;
    tnn__step_writes(st, y);
    tnn__step_reads(st, table);
    tnn__step_reads(st, ids);
}

/* --- add, swiglu: obj y, a, b --- */

static void run_add(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = row_elements(st->node), r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    const float *a = tnn__ptr(p, st->obj[1]), *b = tnn__ptr(p, st->obj[2]);
    float *y = tnn__ptr(p, st->obj[0]);
    tnn__kernels_of(p)->add(a + r0 * n, b + r0 * n, y + r0 * n, (r1 - r0) * n);
}

static void run_swiglu(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = row_elements(st->node), r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    const float *gate = tnn__ptr(p, st->obj[1]), *up = tnn__ptr(p, st->obj[2]);
    float *y = tnn__ptr(p, st->obj[0]);
    tnn__kernels_of(p)->swiglu(gate + r0 * n, up + r0 * n, y + r0 * n, (r1 - r0) * n);
}

static void lower_binary(tnn__lowering *l, const tnn_tensor *node,
                         void (*run)(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch)) {
    tnn__obj y = tnn__lower_obj(l, node), a = tnn__lower_obj(l, node->src[0]), b = tnn__lower_obj(l, node->src[1]);
    tnn__step *st = tnn__lower_rowwise(l, node, n_rows_of(node), run);
    if (!st) return;
    tnn__step_writes(st, y);
    tnn__step_reads(st, a);
    tnn__step_reads(st, b);
}

void tnn__lower_add(tnn__lowering *l, const tnn_tensor *node) {
    lower_binary(l, node, run_add);
}

void tnn__lower_swiglu(tnn__lowering *l, const tnn_tensor *node) {
    lower_binary(l, node, run_swiglu);
}

/* --- rms_norm: obj y, x, gamma; a row may hold several vectors (heads) --- */

static void run_rms_norm(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = st->node->ne[0], per_row = row_elements(st->node) / n, r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    float *y = tnn__ptr(p, st->obj[0]);
    const float *x = tnn__ptr(p, st->obj[1]), *gamma = tnn__ptr(p, st->obj[2]);
    for (int64_t i = r0 * per_row; i < r1 * per_row; i++) {
        tnn__kernels_of(p)->rms_norm(x + i * n, gamma, y + i * n, n, st->node->params.rms_norm.eps, NULL);
    }
}

void tnn__lower_rms_norm(tnn__lowering *l, const tnn_tensor *node) {
    lower_binary(l, node, run_rms_norm);
}

/* --- rope_angles: obj y, positions, factors --- */

typedef struct rope_state {
    double low, high; /* YaRN ramp, in pairs */
    double magnitude;
} rope_state;

/* Pair index whose wavelength makes `beta` turns in the original context (YaRN, eq. 17-19). */
static double yarn_pair(const tnn_rope_config *c, double beta) {
    const double two_pi = 6.283185307179586;
    return c->n_rot * log(c->n_ctx_orig / (beta * two_pi)) / (2.0 * log((double)c->freq_base));
}

static double ramp(const rope_state *s, int64_t pair) {
    double width = s->high - s->low > 0.001 ? s->high - s->low : 0.001;
    double x = ((double)pair - s->low) / width;
    return 1.0 - (x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x);
}

/* Angles in double: cheap, once a forward, and exact enough that positions of a long context keep their phase. */
static void run_rope_angles(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn_rope_config *c = &st->node->params.rope;
    const rope_state *s = st->state;
    float *y = tnn__ptr(p, st->obj[0]);
    const int32_t *positions = tnn__ptr(p, st->obj[1]);
    const float *factors = tnn__ptr(p, st->obj[2]);
    int64_t r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    for (int64_t i = 0; i < c->n_rot / 2; i++) {
        double frequency = pow((double)c->freq_base, -2.0 * (double)i / c->n_rot);
        if (factors) frequency /= (double)factors[i];
        double scaled = frequency * (double)c->freq_scale;
        if (c->ext_factor != 0.0f) {
            double mix = ramp(s, i) * (double)c->ext_factor;
            scaled = scaled * (1.0 - mix) + frequency * mix;
        }
        for (int64_t t = r0; t < r1; t++) {
            double angle = scaled * (double)positions[t];
            y[t * c->n_rot + 2 * i] = (float)(cos(angle) * s->magnitude);
            y[t * c->n_rot + 2 * i + 1] = (float)(sin(angle) * s->magnitude);
        }
    }
}

void tnn__lower_rope_angles(tnn__lowering *l, const tnn_tensor *node) {
    const tnn_rope_config *c = &node->params.rope;
    rope_state *s = tnn__lower_state(l, sizeof *s);
    tnn__obj y = tnn__lower_obj(l, node), positions = tnn__lower_obj(l, node->src[0]);
    tnn__obj factors = tnn__lower_obj(l, node->src[1]);
    tnn__step *st = tnn__lower_rowwise(l, node, n_rows_of(node), run_rope_angles);
    if (!st || !s) return;
    s->magnitude = (double)c->attn_factor;
    if (c->ext_factor != 0.0f) {
        s->low = fmax(0.0, floor(yarn_pair(c, (double)c->beta_fast)));
        s->high = fmin(c->n_rot - 1.0, ceil(yarn_pair(c, (double)c->beta_slow)));
        s->magnitude *= 1.0 + 0.1 * log(1.0 / (double)c->freq_scale);
    }
    st->state = s;
    tnn__step_writes(st, y);
    tnn__step_reads(st, positions);
    tnn__step_reads(st, factors);
}

/* --- rope: obj y, x, angles --- */

static void run_rope(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn_rope_config *c = &st->node->params.rope;
    int64_t d = st->node->ne[0], n_heads = st->node->ne[1], r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    float *y = tnn__ptr(p, st->obj[0]);
    const float *x = tnn__ptr(p, st->obj[1]), *angles = tnn__ptr(p, st->obj[2]);
    for (int64_t t = r0; t < r1; t++) {
        for (int64_t h = 0; h < n_heads; h++) {
            int64_t at = (t * n_heads + h) * d;
            tnn__kernels_of(p)->rope(x + at, angles + t * c->n_rot, y + at, d, c->n_rot, c->interleaved, false);
        }
    }
}

void tnn__lower_rope(tnn__lowering *l, const tnn_tensor *node) {
    lower_binary(l, node, run_rope);
}

/* --- kv_append: obj cache (written), x, positions, slots --- */

static tnn_status check_kv_append(const tnn__program *p, const tnn__step *st, tnn_error *err) {
    const tnn_tensor *cache = st->node->src[0];
    const int32_t *positions = tnn__ptr(p, st->obj[2]), *slots = tnn__ptr(p, st->obj[3]);
    for (int64_t t = 0; t < st->n_rows; t++) {
        if (positions[t] < 0 || positions[t] >= cache->ne[1]) {
            return tnn__fail(err, TNN_E_FULL, "position %" PRId32 " is outside the cache of %" PRId64 " positions",
                             positions[t], cache->ne[1]);
        }
        if (slots && (slots[t] < 0 || slots[t] >= cache->ne[3])) {
            return tnn__fail(err, TNN_E_RANGE, "slot %" PRId32 " is outside the cache of %" PRId64 " slots", slots[t],
                             cache->ne[3]);
        }
    }
    return TNN_OK;
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
    tnn__step *st = tnn__lower_rowwise(l, node, n_rows_of(node->src[1]), run_kv_append);
    if (!st) return;
    st->check = check_kv_append;
    tnn__step_writes(st, cache);
    tnn__step_reads(st, x);
    tnn__step_reads(st, positions);
    tnn__step_reads(st, slots);
}
