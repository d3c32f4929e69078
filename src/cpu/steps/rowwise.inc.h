/* Row by row: embedding rows, sums, norms, SwiGLU, rotation, and their ways back. obj[0] is written. */
#include <math.h>

#include "base/rng.h"
#include "cpu/steps/real.h"

/* obj y, table, ids */
static void run_rows(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn_tensor *table = st->node->src[0];
    int64_t n = table->ne[0], r0, r1;
    size_t row_bytes = tnn_row_bytes((int32_t)table->type, n);
    real *y = tnn__ptr(p, st->obj[0]);
    const uint8_t *w = tnn__ptr(p, st->obj[1]);
    const int32_t *ids = tnn__ptr(p, st->obj[2]);
    tnn__task_rows(st, task, &r0, &r1);
    for (int64_t t = r0; t < r1; t++) {
        const uint8_t *from = w + (size_t)ids[t] * row_bytes;
        if (table->type == st->node->type) {
            memcpy(y + t * n, from, row_bytes);
            continue;
        }
#ifdef TNN_REAL_F64
        enum { CHUNK = 256 };
        float chunk[CHUNK];
        for (int64_t i = 0; i < n; i += CHUNK) {
            int64_t m = n - i < CHUNK ? n - i : CHUNK;
            tnn__kernels_of(p)->to_f32[table->type](from + tnn_row_bytes((int32_t)table->type, i), chunk, m);
            for (int64_t k = 0; k < m; k++) {
                y[t * n + i + k] = (real)chunk[k];
            }
        }
#else
        KERNELS(p)->to_f32[table->type](from, y + t * n, n);
#endif
    }
}

/* obj y, a, b */
static void run_add(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = tnn__row_elements(st->node), r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    const real *a = tnn__ptr(p, st->obj[1]), *b = tnn__ptr(p, st->obj[2]);
    real *y = tnn__ptr(p, st->obj[0]);
    KERNELS(p)->add(a + r0 * n, b + r0 * n, y + r0 * n, (r1 - r0) * n);
}

/* obj y, x */
static void run_scale(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = tnn__row_elements(st->node), r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    const real *x = tnn__ptr(p, st->obj[1]);
    real *y = tnn__ptr(p, st->obj[0]), factor = (real)st->node->params.scale.factor;
    for (int64_t i = r0 * n; i < r1 * n; i++) {
        y[i] = factor * x[i];
    }
}

/* Eight elements of a row: which of them stay. 16 bits decide each, so p counts in steps of 2^-16. */
static void drop_eight(uint64_t seed, uint64_t stream, int64_t block, uint32_t limit, real scale, real keep[8]) {
    uint32_t words[4];
    tnn__philox(seed, stream, (uint64_t)block, words);
    for (int i = 0; i < 4; i++) {
        keep[2 * i] = (words[i] & 0xFFFFu) < limit ? (real)0 : scale;
        keep[2 * i + 1] = words[i] >> 16 < limit ? (real)0 : scale;
    }
}

/* obj y, x, samples, positions. A row's (sample, position) picks a generator of its own. */
static void run_dropout(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn_tensor *node = st->node;
    int64_t n = tnn__row_elements(node), r0, r1;
    real *y = tnn__ptr(p, st->obj[0]);
    const real *x = tnn__ptr(p, st->obj[1]);
    const int32_t *samples = tnn__ptr(p, st->obj[2]), *positions = tnn__ptr(p, st->obj[3]);
    uint32_t limit = (uint32_t)lrintf(node->params.dropout.p * 65536.0f);
    real scale = (real)(65536.0 / (65536.0 - (double)limit));
    tnn__task_rows(st, task, &r0, &r1);
    for (int64_t t = r0; t < r1; t++) {
        uint32_t key[4];
        real keep[8];
        tnn__philox(node->params.dropout.seed, node->params.dropout.stream,
                    (uint64_t)(uint32_t)samples[t] << 32 | (uint32_t)positions[t], key);
        uint64_t seed = (uint64_t)key[0] << 32 | key[1], stream = (uint64_t)key[2] << 32 | key[3];
        for (int64_t i = 0; i < n; i++) {
            if (i % 8 == 0) drop_eight(seed, stream, i / 8, limit, scale, keep);
            y[t * n + i] = keep[i % 8] * x[t * n + i];
        }
    }
}

/* obj y, gate, up */
static void run_swiglu(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = tnn__row_elements(st->node), r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    const real *gate = tnn__ptr(p, st->obj[1]), *up = tnn__ptr(p, st->obj[2]);
    real *y = tnn__ptr(p, st->obj[0]);
    KERNELS(p)->swiglu(gate + r0 * n, up + r0 * n, y + r0 * n, (r1 - r0) * n);
}

/* obj dgate, dup, gate, up, dy */
static void run_swiglu_back(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = tnn__row_elements(st->node), r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    int64_t at = r0 * n;
    real *dgate = tnn__ptr(p, st->obj[0]), *dup = tnn__ptr(p, st->obj[1]);
    const real *gate = tnn__ptr(p, st->obj[2]), *up = tnn__ptr(p, st->obj[3]), *dy = tnn__ptr(p, st->obj[4]);
    KERNELS(p)->swiglu_back(gate + at, up + at, dy + at, dgate + at, dup + at, (r1 - r0) * n);
}

/* obj y, x, gamma; a row may hold several vectors (heads) */
static void run_rms_norm(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = st->node->ne[0], per_row = tnn__row_elements(st->node) / n, r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    real *y = tnn__ptr(p, st->obj[0]);
    const real *x = tnn__ptr(p, st->obj[1]), *gamma = tnn__ptr(p, st->obj[2]);
    for (int64_t i = r0 * per_row; i < r1 * per_row; i++) {
        KERNELS(p)->rms_norm(x + i * n, gamma, y + i * n, n, st->node->params.rms_norm.eps);
    }
}

/* obj dx, partial sums of dgamma (n per task), x, gamma, dy */
static void run_rms_norm_back(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = st->node->ne[0], per_row = tnn__row_elements(st->node) / n, r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    real *dx = tnn__ptr(p, st->obj[0]), *dgamma = (real *)tnn__ptr(p, st->obj[1]) + task * n;
    const real *x = tnn__ptr(p, st->obj[2]), *gamma = tnn__ptr(p, st->obj[3]), *dy = tnn__ptr(p, st->obj[4]);
    memset(dgamma, 0, (size_t)n * sizeof *dgamma);
    for (int64_t i = r0 * per_row; i < r1 * per_row; i++) {
        KERNELS(p)->rms_norm_back(x + i * n, gamma, dy + i * n, dx + i * n, dgamma, n, st->node->params.rms_norm.eps);
    }
}

/* obj grad, partials: grad [n] += the partials in order, one per task of a row-wise step over the node */
static void run_sum_partials(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch, (void)task;
    int64_t n = st->node->ne[0], n_partials = tnn__n_tasks(tnn__n_rows(st->node), TNN__ROW_TILE);
    real *grad = tnn__ptr(p, st->obj[0]);
    const real *partials = tnn__ptr(p, st->obj[1]);
    for (int64_t k = 0; k < n_partials; k++) {
        for (int64_t i = 0; i < n; i++) {
            grad[i] += partials[k * n + i];
        }
    }
}

/* --- rotation --- */

static double yarn_ramp(const tnn__rope_state *s, int64_t pair) {
    double width = s->high - s->low > 0.001 ? s->high - s->low : 0.001;
    double x = ((double)pair - s->low) / width;
    return 1.0 - (x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x);
}

/* obj y, positions, factors. In double always: once a forward, and exact enough for the phase of far positions. */
static void run_rope_angles(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn_rope_config *c = &st->node->params.rope.config;
    const tnn__rope_state *s = st->state;
    real *y = tnn__ptr(p, st->obj[0]);
    const int32_t *positions = tnn__ptr(p, st->obj[1]);
    const float *factors = tnn__ptr(p, st->obj[2]);
    int64_t r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    for (int64_t i = 0; i < c->n_rot / 2; i++) {
        double frequency = pow((double)c->freq_base, -2.0 * (double)i / c->n_rot);
        if (factors) frequency /= (double)factors[i];
        double scaled = frequency * (double)c->freq_scale;
        if (c->ext_factor != 0.0f) {
            double mix = yarn_ramp(s, i) * (double)c->ext_factor;
            scaled = scaled * (1.0 - mix) + frequency * mix;
        }
        for (int64_t t = r0; t < r1; t++) {
            double angle = scaled * (double)positions[t];
            y[t * c->n_rot + 2 * i] = (real)(cos(angle) * s->magnitude);
            y[t * c->n_rot + 2 * i + 1] = (real)(sin(angle) * s->magnitude);
        }
    }
}

/* obj y, x, angles */
static void run_rope(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    const tnn_rope_config *c = &st->node->params.rope.config;
    int64_t d = st->node->ne[0], n_heads = st->node->ne[1], r0, r1;
    tnn__task_rows(st, task, &r0, &r1);
    real *y = tnn__ptr(p, st->obj[0]);
    const real *x = tnn__ptr(p, st->obj[1]), *angles = tnn__ptr(p, st->obj[2]);
    for (int64_t i = r0 * n_heads; i < r1 * n_heads; i++) {
        KERNELS(p)->rope(x + i * d, angles + i / n_heads * c->n_rot, y + i * d, d, c->n_rot, c->interleaved,
                         st->node->params.rope.inverse);
    }
}

/* --- sums into persistent gradients; obj[0] is the gradient --- */

/* obj grad, x */
static void run_accumulate(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t i0, i1;
    tnn__split(task, TNN__ACCUMULATE_CHUNK, tnn_tensor_elements(st->node), &i0, &i1);
    real *grad = tnn__ptr(p, st->obj[0]);
    const real *x = tnn__ptr(p, st->obj[1]);
    KERNELS(p)->add(grad + i0, x + i0, grad + i0, i1 - i0);
}

/* obj grad [n], dy [n, T] */
static void run_bias_grad(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = st->node->ne[0], n_rows = st->node->src[1]->ne[1], i0, i1;
    tnn__split(task, TNN__COLUMN_CHUNK, n, &i0, &i1);
    real *grad = tnn__ptr(p, st->obj[0]);
    const real *dy = tnn__ptr(p, st->obj[1]);
    for (int64_t t = 0; t < n_rows; t++) {
        KERNELS(p)->add(grad + i0, dy + t * n + i0, grad + i0, i1 - i0);
    }
}

/* obj grad [n, V], ids, dy [n, T]: tasks are ranges of columns, so that an id met twice is summed in order */
static void run_rows_back(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = st->node->ne[0], n_rows = st->node->src[1]->ne[0], i0, i1;
    tnn__split(task, TNN__COLUMN_CHUNK, n, &i0, &i1);
    real *grad = tnn__ptr(p, st->obj[0]);
    const int32_t *ids = tnn__ptr(p, st->obj[1]);
    const real *dy = tnn__ptr(p, st->obj[2]);
    for (int64_t t = 0; t < n_rows; t++) {
        real *row = grad + ids[t] * n;
        KERNELS(p)->add(row + i0, dy + t * n + i0, row + i0, i1 - i0);
    }
}
