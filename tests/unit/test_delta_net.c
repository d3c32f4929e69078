/*
 * The convolution and the gated delta rule in graphs: sequences packed into a batch, states carried from run to run in
 * slots, head orders, threads, and what is refused. The rule itself is tested in tests/kernels/test_gdn.c, its gradient
 * in tests/grad.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tinynn/ops.h>
#include <tinynn/tensor.h>

#include "base/rng.h"

/* A layer's middle: conv1d_silu over q, k, v of a row, then the rule. 64 rows are a chunk. */
enum { D = 16, N_K = 2, N_V = 4, WIDTH = 4, N = 2 * D * N_K + D * N_V, OUT = D * N_V, MAX_T = 1300 };

typedef struct layer {
    tnn_session *session;
    tnn_store *store;
    tnn_tensor *w, *conv_state, *state;
    bool tiled;
} layer;

static layer layer_new(int n_threads, int64_t n_slots) {
    layer l = {0};
    tnn_error err;
    tnn_session_options o = tnn_session_options_default();
    o.n_threads = n_threads;
    assert_int_equal(tnn_session_new(&l.session, &o, &err), TNN_OK);
    assert_int_equal(tnn_store_new(&l.store, l.session, &err), TNN_OK);
    l.w = tnn_store_tensor(l.store, "w", TNN_TYPE_F32, 2, (const int64_t[]){WIDTH, N}, &err);
    l.conv_state = tnn_store_tensor(l.store, "conv", TNN_TYPE_F32, 3, (const int64_t[]){N, WIDTH - 1, n_slots}, &err);
    l.state = tnn_store_tensor(l.store, "state", TNN_TYPE_F32, 4, (const int64_t[]){D, D, N_V, n_slots}, &err);
    static float w[WIDTH * N];
    tnn__fill_normal(3, 1, w, WIDTH * N, 0.0f, 0.5f);
    assert_int_equal(tnn_tensor_write(l.w, 0, w, sizeof w, &err), TNN_OK);
    return l;
}

static void layer_free(layer *l) {
    tnn_store_free(l->store);
    tnn_session_free(l->session);
}

/* Rows of a long sequence, by number: what enters the convolution, log decays and update gates. */
typedef struct batch {
    float x[MAX_T * N], decay[MAX_T * N_V], beta[MAX_T * N_V];
    int64_t n;
    int32_t starts[MAX_T], positions[MAX_T], slots[MAX_T];
} batch;

static void add_rows(batch *b, uint64_t sequence, int64_t first, int64_t n, int32_t slot) {
    int32_t start = (int32_t)b->n;
    for (int64_t t = first; t < first + n; t++, b->n++) {
        float gates[2 * N_V];
        tnn__fill_normal(5, sequence * 100000 + (uint64_t)t, b->x + b->n * N, N, 0.0f, 1.0f);
        tnn__fill_normal(6, sequence * 100000 + (uint64_t)t, gates, 2 * N_V, 0.0f, 1.5f);
        for (int h = 0; h < N_V; h++) {
            b->decay[b->n * N_V + h] = -log1pf(expf(gates[h] - 2));
            b->beta[b->n * N_V + h] = 1 / (1 + expf(-gates[N_V + h]));
        }
        b->starts[b->n] = start;
        b->positions[b->n] = (int32_t)t;
        b->slots[b->n] = slot;
    }
}

static batch *batch_new(void) {
    batch *b = calloc(1, sizeof *b);
    assert_non_null(b);
    return b;
}

typedef struct graph {
    tnn_graph *g;
    tnn_plan *plan;
    tnn_tensor *x, *decay, *beta, *starts, *positions, *slots, *y;
} graph;

static graph graph_new(const layer *l, tnn_graph_mode mode, int64_t n_rows, bool carried) {
    graph f;
    tnn_error err;
    assert_int_equal(tnn_graph_new(&f.g, l->session, &err), TNN_OK);
    assert_int_equal(tnn_graph_set_mode(f.g, mode, &err), TNN_OK);
    f.x = tnn_input(f.g, "x", TNN_TYPE_F32, 2, (const int64_t[]){N, n_rows});
    f.decay = tnn_input(f.g, "decay", TNN_TYPE_F32, 2, (const int64_t[]){N_V, n_rows});
    f.beta = tnn_input(f.g, "beta", TNN_TYPE_F32, 2, (const int64_t[]){N_V, n_rows});
    f.starts = tnn_input(f.g, "starts", TNN_TYPE_I32, 1, &n_rows);
    f.positions = tnn_input(f.g, "positions", TNN_TYPE_I32, 1, &n_rows);
    f.slots = tnn_input(f.g, "slots", TNN_TYPE_I32, 1, &n_rows);
    tnn_conv1d_args conv = {.starts = f.starts};
    tnn_gdn_args rule = {
        .d_k = D,
        .d_v = D,
        .n_k_heads = N_K,
        .n_v_heads = N_V,
        .norm = TNN_L2_EPS_ADDED,
        .norm_eps = 1e-6f,
        .tiled = l->tiled,
        .starts = f.starts,
    };
    if (carried) {
        conv = (tnn_conv1d_args){.state = l->conv_state, .positions = f.positions, .slots = f.slots};
        rule.state = l->state;
        rule.positions = f.positions;
        rule.slots = f.slots;
        rule.starts = NULL;
    }
    tnn_tensor *qkv = tnn_conv1d_silu(f.g, f.x, l->w, &conv);
    f.y = tnn_output(f.g, tnn_gated_delta_net(f.g, qkv, NULL, NULL, f.decay, f.beta, &rule), "y");
    if (tnn_graph_status(f.g, &err)) fail_msg("%s", err.text);
    return f;
}

static void graph_plan(graph *f) {
    tnn_error err;
    if (tnn_graph_plan(&f->plan, f->g, &err)) fail_msg("%s", err.text);
}

static void graph_free(graph *f) {
    tnn_plan_free(f->plan);
    tnn_graph_free(f->g);
}

static tnn_status graph_run(const graph *f, const batch *b, tnn_error *err) {
    size_t n = (size_t)b->n;
    assert_int_equal(tnn_plan_set(f->plan, f->x, b->x, n * N * sizeof(float), err), TNN_OK);
    assert_int_equal(tnn_plan_set(f->plan, f->decay, b->decay, n * N_V * sizeof(float), err), TNN_OK);
    assert_int_equal(tnn_plan_set(f->plan, f->beta, b->beta, n * N_V * sizeof(float), err), TNN_OK);
    assert_int_equal(tnn_plan_set(f->plan, f->starts, b->starts, n * sizeof(int32_t), err), TNN_OK);
    assert_int_equal(tnn_plan_set(f->plan, f->positions, b->positions, n * sizeof(int32_t), err), TNN_OK);
    assert_int_equal(tnn_plan_set(f->plan, f->slots, b->slots, n * sizeof(int32_t), err), TNN_OK);
    return tnn_plan_run(f->plan, err);
}

/* A copy of an output's floats. */
static float *copy_of(const graph *f, const tnn_tensor *t) {
    float *values = malloc(tnn_tensor_bytes(t));
    assert_non_null(values);
    memcpy(values, tnn_plan_data(f->plan, t), tnn_tensor_bytes(t));
    return values;
}

/* Results of a batch [OUT, n]. */
static float *outputs(const layer *l, const batch *b, bool carried) {
    tnn_error err;
    graph f = graph_new(l, TNN_GRAPH_INFER, b->n, carried);
    graph_plan(&f);
    if (graph_run(&f, b, &err)) fail_msg("%s", err.text);
    float *y = copy_of(&f, f.y);
    graph_free(&f);
    return y;
}

static void assert_near(const float *a, const float *b, int64_t n, float tolerance) {
    for (int64_t i = 0; i < n; i++) {
        if (!(fabsf(a[i] - b[i]) <= tolerance)) fail_msg("%lld: %g and %g", (long long)i, (double)a[i], (double)b[i]);
    }
}

/* --- sequences --- */

/* To the bit: a sequence in a batch of others is cut into chunks as it is alone. */
static void test_packed_is_alone(void **state) {
    (void)state;
    static const int64_t lengths[] = {5, 70, 1, 2, 130, 64};
    layer l = layer_new(2, 1);
    batch *all = batch_new();
    for (uint64_t i = 0; i < 6; i++) {
        add_rows(all, i, 0, lengths[i], 0);
    }
    float *packed = outputs(&l, all, false), *at = packed;
    for (uint64_t i = 0; i < 6; i++) {
        batch *one = batch_new();
        add_rows(one, i, 0, lengths[i], 0);
        float *alone = outputs(&l, one, false);
        assert_memory_equal(at, alone, (size_t)lengths[i] * OUT * sizeof *at);
        at += lengths[i] * OUT;
        free(alone);
        free(one);
    }
    free(packed);
    free(all);
    layer_free(&l);
}

/* A sequence in pieces of every kind, carried in slot 1, while slot 0 holds another one. */
static void test_pieces(void **state) {
    (void)state;
    static const int64_t pieces[] = {1, 2, 1, 65, 1, 1, 3, 64, 100, 1};
    layer l = layer_new(2, 2);
    batch *other = batch_new(), *all = batch_new();
    add_rows(other, 9, 0, 20, 0);
    add_rows(all, 4, 0, 239, 1);
    float *ignored = outputs(&l, other, true), *whole = outputs(&l, all, false);
    int64_t at = 0;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        batch *piece = batch_new();
        add_rows(piece, 4, at, pieces[i], 1);
        float *y = outputs(&l, piece, true);
        assert_near(y, whole + at * OUT, pieces[i] * OUT, 1e-5f);
        at += pieces[i];
        free(y);
        free(piece);
    }
    assert_int_equal(at, 239);

    /* Slot 0 has been left alone: its sequence goes on. */
    batch *both = batch_new(), *rest = batch_new();
    add_rows(both, 9, 0, 25, 0);
    add_rows(rest, 9, 20, 5, 0);
    float *want = outputs(&l, both, false), *got = outputs(&l, rest, true);
    assert_near(got, want + 20 * OUT, 5 * OUT, 1e-5f);

    /* Position 0 begins anew, whatever the slot held. */
    float *again = outputs(&l, other, true);
    assert_memory_equal(again, ignored, 20 * OUT * sizeof *again);
    float *const floats[] = {ignored, whole, want, got, again};
    for (size_t i = 0; i < 5; i++) {
        free(floats[i]);
    }
    free(other), free(all), free(both), free(rest);
    layer_free(&l);
}

/* Rows of several slots in one batch: the same bits as slot by slot. */
static void test_slots_together(void **state) {
    (void)state;
    layer together = layer_new(2, 3), apart = layer_new(2, 3);
    static const int64_t counts[4][3] = {{3, 70, 1}, {1, 1, 1}, {1, 1, 1}, {64, 1, 2}};
    int64_t at[3] = {0};
    for (int step = 0; step < 4; step++) {
        batch *b = batch_new();
        for (int i = 2; i >= 0; i--) {
            add_rows(b, 20 + (uint64_t)i, at[i], counts[step][i], i);
        }
        float *y = outputs(&together, b, true), *next = y;
        for (int i = 2; i >= 0; i--) {
            batch *one = batch_new();
            add_rows(one, 20 + (uint64_t)i, at[i], counts[step][i], i);
            float *alone = outputs(&apart, one, true);
            assert_memory_equal(next, alone, (size_t)counts[step][i] * OUT * sizeof *y);
            next += counts[step][i] * OUT;
            at[i] += counts[step][i];
            free(alone);
            free(one);
        }
        free(y);
        free(b);
    }
    layer_free(&together);
    layer_free(&apart);
}

/* Tiled heads j N_K + i are the grouped heads i N_V/N_K + j. */
static void test_head_orders(void **state) {
    (void)state;
    layer grouped = layer_new(1, 1), tiled = layer_new(1, 1);
    tiled.tiled = true;
    batch *a = batch_new(), *b = batch_new();
    add_rows(a, 1, 0, 80, 0);
    add_rows(b, 1, 0, 80, 0);
    static float w[WIDTH * N], reordered[WIDTH * N];
    tnn_error err;
    assert_int_equal(tnn_tensor_read(grouped.w, 0, w, sizeof w, &err), TNN_OK);
    memcpy(reordered, w, sizeof w);
    const int64_t v = 2 * D * N_K;
    for (int h = 0; h < N_V; h++) {
        int to = h % (N_V / N_K) * N_K + h / (N_V / N_K);
        memcpy(reordered + (v + to * D) * WIDTH, w + (v + h * D) * WIDTH, D * WIDTH * sizeof *w);
        for (int64_t t = 0; t < a->n; t++) {
            memcpy(b->x + t * N + v + to * D, a->x + t * N + v + h * D, D * sizeof *w);
            b->decay[t * N_V + to] = a->decay[t * N_V + h];
            b->beta[t * N_V + to] = a->beta[t * N_V + h];
        }
    }
    assert_int_equal(tnn_tensor_write(tiled.w, 0, reordered, sizeof w, &err), TNN_OK);
    float *y = outputs(&grouped, a, false), *z = outputs(&tiled, b, false);
    for (int64_t t = 0; t < a->n; t++) {
        for (int h = 0; h < N_V; h++) {
            int to = h % (N_V / N_K) * N_K + h / (N_V / N_K);
            assert_memory_equal(y + t * OUT + h * D, z + t * OUT + to * D, D * sizeof *y);
        }
    }
    free(y), free(z), free(a), free(b);
    layer_free(&grouped);
    layer_free(&tiled);
}

/* --- norms of states --- */

/* Norms [N_V, *n] beside the results of a batch, which they leave as they are. */
static float *norms_of(const layer *l, const batch *b, bool carried, int64_t *n) {
    tnn_error err;
    graph f = graph_new(l, TNN_GRAPH_INFER, b->n, carried);
    tnn_tensor *norms = tnn_output(f.g, tnn_gdn_state_norms(f.g, f.y), "norms");
    assert_ptr_equal(tnn_gdn_state_norms(f.g, f.y), norms);
    graph_plan(&f);
    if (graph_run(&f, b, &err)) fail_msg("%s", err.text);
    float *values = copy_of(&f, norms), *y = outputs(l, b, carried);
    *n = tnn_tensor_ne(norms)[1];
    assert_memory_equal(tnn_plan_data(f.plan, f.y), y, (size_t)b->n * OUT * sizeof *y);
    free(y);
    graph_free(&f);
    return values;
}

/* Of what slot `slot` holds, summed here in long double. */
static void assert_norms_of_slot(const layer *l, int64_t slot, const float *norms) {
    float s[D * D];
    for (int64_t h = 0; h < N_V; h++) {
        long double squares = 0;
        assert_int_equal(tnn_tensor_read(l->state, (size_t)(slot * N_V + h) * sizeof s, s, sizeof s, NULL), TNN_OK);
        for (int i = 0; i < D * D; i++) {
            squares += (long double)s[i] * (long double)s[i];
        }
        float want = (float)sqrtl(squares);
        assert_true(want > 0 && fabsf(norms[h] - want) <= 1e-7f * want);
    }
}

static void assert_zero(const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        assert_true(x[i] == 0.0f);
    }
}

/* Of packed sequences the norms are those of the states that each leaves when it is carried. */
static void test_state_norms(void **state) {
    (void)state;
    static const int64_t lengths[] = {5, 70, 1, 130, 64};
    layer l = layer_new(2, 3);
    batch *all = batch_new();
    for (uint64_t i = 0; i < 5; i++) {
        add_rows(all, i, 0, lengths[i], 0);
    }
    int64_t n, n_slots;
    float *packed = norms_of(&l, all, false, &n);
    assert_int_equal(n, all->n);
    for (uint64_t i = 0; i < 5; i++) {
        batch *one = batch_new();
        add_rows(one, i, 0, lengths[i], 2);
        float *carried = norms_of(&l, one, true, &n_slots);
        assert_int_equal(n_slots, 3);
        assert_norms_of_slot(&l, 2, carried);
        assert_memory_equal(packed + i * N_V, carried, N_V * sizeof *carried);
        assert_zero(carried + N_V, (n_slots - 1) * N_V);
        free(carried);
        free(one);
    }
    assert_zero(packed + 5 * N_V, (n - 5) * N_V);
    free(packed);
    free(all);
    layer_free(&l);
}

/* --- gradients of packed batches: by many threads, of long sequences, recomputed --- */

/*
 * Forward and back, the forward perhaps computed again, over a packed batch, whose gradients begin with row `first` of
 * many; dw [WIDTH, N], then y.
 */
static float *train_as(int n_threads, bool recompute, const batch *b, int64_t first) {
    layer l = layer_new(n_threads, 1);
    tnn_error err;
    tnn_tensor *dw = tnn_store_tensor(l.store, "dw", TNN_TYPE_F32, 2, (const int64_t[]){WIDTH, N}, &err);
    graph f = graph_new(&l, TNN_GRAPH_TRAIN, b->n, false);
    if (recompute) {
        tnn_checkpoint(f.g, f.x);
        f.y = tnn_output(f.g, tnn_checkpoint(f.g, tnn_scale(f.g, f.y, 1)), "the same");
    }
    tnn_tensor *seed = tnn_input(f.g, "seed", TNN_TYPE_F32, 3, (const int64_t[]){D, N_V, b->n});
    tnn_seed from = {f.y, seed};
    tnn_param param = {l.w, dw};
    if (tnn_graph_backward(f.g, &from, 1, &param, 1, &err)) fail_msg("%s", err.text);
    graph_plan(&f);
    float *result = malloc(((size_t)(first + b->n) * OUT + WIDTH * N) * sizeof *result);
    assert_non_null(result);
    tnn__fill_normal(8, 1, result, (first + b->n) * OUT, 0.0f, 1.0f);
    assert_int_equal(tnn_plan_set(f.plan, seed, result + first * OUT, (size_t)b->n * OUT * sizeof *result, &err),
                     TNN_OK);
    if (graph_run(&f, b, &err)) fail_msg("%s", err.text);
    assert_int_equal(tnn_tensor_read(dw, 0, result, WIDTH * N * sizeof *result, &err), TNN_OK);
    memcpy(result + WIDTH * N, tnn_plan_data(f.plan, f.y), (size_t)b->n * OUT * sizeof *result);
    graph_free(&f);
    layer_free(&l);
    return result;
}

static float *train(int n_threads, const batch *b, int64_t first) {
    return train_as(n_threads, false, b, first);
}

static void test_threads_agree(void **state) {
    (void)state;
    batch *b = batch_new();
    add_rows(b, 1, 0, 150, 0);
    add_rows(b, 2, 0, 3, 0);
    add_rows(b, 3, 0, 71, 0);
    float *one = train(1, b, 0);
    for (int n_threads = 2; n_threads <= 3; n_threads++) {
        float *many = train(n_threads, b, 0);
        assert_memory_equal(one, many, ((size_t)b->n * OUT + WIDTH * N) * sizeof *one);
        free(many);
    }
    free(one);
    free(b);
}

/* Where the result itself is kept for the way back, what is computed again from there leaves its norms alone. */
static void test_state_norms_at_checkpoint(void **state) {
    (void)state;
    layer l = layer_new(1, 1);
    batch *b = batch_new();
    add_rows(b, 1, 0, 20, 0);
    add_rows(b, 2, 0, 50, 0);
    int64_t n;
    tnn_error err;
    float *want = norms_of(&l, b, false, &n), *zeros = calloc((size_t)b->n * OUT, sizeof *zeros);
    assert_non_null(zeros);
    tnn_param param = {l.w, tnn_store_tensor(l.store, "dw", TNN_TYPE_F32, 2, (const int64_t[]){WIDTH, N}, &err)};
    graph f = graph_new(&l, TNN_GRAPH_TRAIN, b->n, false);
    tnn_tensor *norms = tnn_output(f.g, tnn_gdn_state_norms(f.g, tnn_checkpoint(f.g, f.y)), "norms");
    tnn_seed from = {
        .output = tnn_checkpoint(f.g, tnn_scale(f.g, f.y, 1)),
        .grad = tnn_input(f.g, "dy", TNN_TYPE_F32, 3, (const int64_t[]){D, N_V, b->n}),
    };
    if (tnn_graph_backward(f.g, &from, 1, &param, 1, &err)) fail_msg("%s", err.text);
    graph_plan(&f);
    assert_int_equal(tnn_plan_set(f.plan, from.grad, zeros, (size_t)b->n * OUT * sizeof *zeros, &err), TNN_OK);
    if (graph_run(&f, b, &err)) fail_msg("%s", err.text);
    assert_memory_equal(tnn_plan_data(f.plan, norms), want, (size_t)(n * N_V) * sizeof *want);
    graph_free(&f);
    free(want), free(zeros), free(b);
    layer_free(&l);
}

/* That a gradient is taken changes no result, and how it is taken no gradient; to the bit, of few rows and many. */
static void test_way_back_changes_nothing(void **state) {
    (void)state;
    static const int64_t lengths[] = {5, 70, 1, 130, 513, 64};
    layer l = layer_new(1, 1);
    batch *b = batch_new();
    for (uint64_t i = 0; i < 6; i++) {
        add_rows(b, i, 0, lengths[i], 0);
    }
    float *y = outputs(&l, b, false), *kept = train_as(1, false, b, 0), *again = train_as(1, true, b, 0);
    assert_memory_equal(kept + WIDTH * N, y, (size_t)b->n * OUT * sizeof *y);
    assert_memory_equal(again, kept, ((size_t)b->n * OUT + WIDTH * N) * sizeof *kept);
    free(y), free(kept), free(again), free(b);
    layer_free(&l);
}

/* Sequences of more than one block of what is kept for the way back give together what they give alone. */
static void test_long_sequences(void **state) {
    (void)state;
    enum { A = 601, B = 699 };
    batch *a = batch_new(), *b = batch_new(), *both = batch_new();
    add_rows(a, 1, 0, A, 0);
    add_rows(b, 2, 0, B, 0);
    add_rows(both, 1, 0, A, 0);
    add_rows(both, 2, 0, B, 0);
    float *of_a = train(1, a, 0), *of_b = train(1, b, A), *of_both = train(1, both, 0);
    double difference = 0, size = 0;
    for (int64_t i = 0; i < WIDTH * N; i++) {
        double sum = (double)of_a[i] + (double)of_b[i], d = (double)of_both[i] - sum;
        difference += d * d;
        size += sum * sum;
    }
    if (!(sqrt(difference) <= 1e-5 * sqrt(size))) fail_msg("dw differs by %g of %g", sqrt(difference), sqrt(size));
    assert_memory_equal(of_both + WIDTH * N, of_a + WIDTH * N, A * OUT * sizeof *of_a);
    float *const results[] = {of_a, of_b, of_both};
    batch *const batches[] = {a, b, both};
    for (int i = 0; i < 3; i++) {
        free(results[i]);
        free(batches[i]);
    }
}

/* --- refusals --- */

static void test_bad_rows(void **state) {
    (void)state;
    layer l = layer_new(1, 2);
    batch *b = batch_new();
    tnn_error err;
    graph carried = graph_new(&l, TNN_GRAPH_INFER, 4, true), free_rows = graph_new(&l, TNN_GRAPH_INFER, 4, false);
    graph_plan(&carried);
    graph_plan(&free_rows);
    add_rows(b, 1, 0, 4, 1);
    static const int32_t slots[][4] = {{0, 0, 2, 2}, {-1, -1, -1, -1}, {0, 1, 0, 1}, {INT32_MAX, 0, 0, 0}};
    for (size_t i = 0; i < 4; i++) {
        memcpy(b->slots, slots[i], sizeof slots[i]);
        assert_int_equal(graph_run(&carried, b, &err), TNN_E_RANGE);
        assert_non_null(strstr(err.text, "slot"));
    }
    static const int32_t positions[][4] = {{0, 1, 3, 4},
                                           {0, 1, 0, 1},
                                           {-1, 0, 1, 2},
                                           {3, 2, 1, 0},
                                           {5, INT32_MIN, 0, 0}};
    memset(b->slots, 0, sizeof b->slots);
    for (size_t i = 0; i < 5; i++) {
        memcpy(b->positions, positions[i], sizeof positions[i]);
        assert_int_equal(graph_run(&carried, b, &err), TNN_E_RANGE);
    }
    static const int32_t starts[][4] = {{0, 0, 1, 1}, {1, 1, 1, 1}, {0, 0, 0, 4}, {-1, -1, -1, -1}, {0, 1, 0, 0}};
    for (size_t i = 0; i < 5; i++) {
        memcpy(b->starts, starts[i], sizeof starts[i]);
        assert_int_equal(graph_run(&free_rows, b, &err), TNN_E_RANGE);
    }
    graph_free(&carried);
    graph_free(&free_rows);
    free(b);
    layer_free(&l);
}

/* Every builder on shapes that do not fit: an error with the op's name, no node. */
static void test_bad_shapes(void **state) {
    (void)state;
    layer l = layer_new(1, 1);
    tnn_gdn_args good = {.d_k = D, .d_v = D, .n_k_heads = N_K, .n_v_heads = N_V, .norm = TNN_L2_EPS_ADDED};
    tnn_gdn_args bad[12];
    for (int i = 0; i < 12; i++) {
        bad[i] = good;
    }
    bad[0].d_k = 0;
    bad[1].d_v = -4;
    bad[2].n_k_heads = 0;
    bad[3].n_v_heads = 3;
    bad[4].n_v_heads = INT64_MAX;
    bad[5].d_k = INT64_MAX;
    bad[6].norm = (tnn_l2_rule)7;
    bad[7].norm_eps = NAN;
    bad[8].n_v_heads = 1;
    bad[9].d_k = D + 1;
    bad[10].state = l.conv_state; /* and no positions */
    bad[11].norm_eps = -1.0f;
    for (int i = 0; i < 12; i++) {
        tnn_graph *g;
        tnn_error err;
        assert_int_equal(tnn_graph_new(&g, l.session, &err), TNN_OK);
        tnn_tensor *x = tnn_input(g, "x", TNN_TYPE_F32, 2, (const int64_t[]){N, 3});
        tnn_tensor *gate = tnn_input(g, "gate", TNN_TYPE_F32, 2, (const int64_t[]){N_V, 3});
        assert_null(tnn_gated_delta_net(g, x, NULL, NULL, gate, gate, &bad[i]));
        assert_int_not_equal(tnn_graph_status(g, &err), TNN_OK);
        assert_non_null(strstr(err.text, "gated_delta_net"));
        tnn_graph_free(g);
    }
    tnn_graph *g;
    tnn_error err;
    assert_int_equal(tnn_graph_new(&g, l.session, &err), TNN_OK);
    assert_null(tnn_gdn_state_norms(g, tnn_input(g, "x", TNN_TYPE_F32, 3, (const int64_t[]){D, N_V, 3})));
    assert_int_equal(tnn_graph_status(g, &err), TNN_E_SHAPE);
    assert_non_null(strstr(err.text, "gdn_state_norms"));
    tnn_graph_free(g);
    layer_free(&l);
}

static void test_bad_shapes_around(void **state) {
    (void)state;
    layer l = layer_new(1, 1);
    static const char *const names[] = {"conv1d_silu", "conv1d_silu",    "conv1d_silu", "slice",       "slice",
                                        "gdn_decay",   "rms_norm_gated", "slice",       "sigmoid_gate"};
    for (int i = 0; i < 9; i++) {
        tnn_graph *g;
        tnn_error err;
        assert_int_equal(tnn_graph_new(&g, l.session, &err), TNN_OK);
        tnn_tensor *x = tnn_input(g, "x", TNN_TYPE_F32, 2, (const int64_t[]){N, 3});
        tnn_tensor *gate = tnn_input(g, "gate", TNN_TYPE_F32, 2, (const int64_t[]){N_V, 3});
        tnn_tensor *head = tnn_input(g, "head", TNN_TYPE_F32, 1, (const int64_t[]){N_V});
        tnn_tensor *y = NULL;
        if (i == 0) y = tnn_conv1d_silu(g, gate, l.w, &(tnn_conv1d_args){0});
        if (i == 1) y = tnn_conv1d_silu(g, x, l.w, &(tnn_conv1d_args){.state = l.conv_state});
        if (i == 2) y = tnn_conv1d_silu(g, x, l.state, &(tnn_conv1d_args){0});
        if (i == 3) y = tnn_slice(g, x, -1, 2);
        if (i == 4) y = tnn_slice(g, x, N - 1, 2);
        if (i == 5) y = tnn_gdn_decay(g, x, head, head, TNN_GDN_A_LOG);
        if (i == 6) y = tnn_rms_norm_gated(g, x, head, x, 1e-6f);
        if (i == 7) y = tnn_slice(g, x, INT64_MAX, INT64_MAX);
        if (i == 8) y = tnn_sigmoid_gate(g, x, gate);
        assert_null(y);
        assert_int_not_equal(tnn_graph_status(g, &err), TNN_OK);
        assert_non_null(strstr(err.text, names[i]));
        tnn_graph_free(g);
    }
    layer_free(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packed_is_alone),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_slots_together),
        cmocka_unit_test(test_head_orders),
        cmocka_unit_test(test_state_norms),
        cmocka_unit_test(test_threads_agree),
        cmocka_unit_test(test_long_sequences),
        cmocka_unit_test(test_way_back_changes_nothing),
        cmocka_unit_test(test_state_norms_at_checkpoint),
        cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_bad_shapes),
        cmocka_unit_test(test_bad_shapes_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
