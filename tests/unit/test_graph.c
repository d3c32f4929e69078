/*
 * Graphs, plans and runs: values of small graphs against arithmetic done here in double, errors that latch, memory that
 * is planned, and results that do not depend on threads.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tinynn/ops.h>
#include <tinynn/tensor.h>

#include "base/rng.h"
#include "core/graph.h"
#include "support/session.h"

static tnn_tensor *weight(tnn_store *st, const char *name, int64_t n0, int64_t n1, uint64_t seed) {
    int64_t n = n0 * n1;
    tnn_error err;
    tnn_tensor *t = tnn_store_tensor(st, name, TNN_TYPE_F32, n1 > 1 ? 2 : 1, (const int64_t[]){n0, n1}, &err);
    assert_non_null(t);
    float *data = malloc((size_t)n * sizeof *data);
    tnn__fill_normal(seed, 1, data, n, 0.0f, 0.3f);
    assert_int_equal(tnn_tensor_write(t, 0, data, (size_t)n * sizeof *data, &err), TNN_OK);
    free(data);
    return t;
}

/* A block in miniature: rows, norm, linear with bias, swiglu, linear, residual. */
typedef struct net {
    tnn_store *store;
    tnn_graph *graph;
    tnn_tensor *ids, *out;
} net;

enum { N = 64, F = 96, V = 11 };

static net make_net(tnn_session *s, int64_t n_rows) {
    net n;
    tnn_error err;
    new_graph(s, &n.store, &n.graph);
    tnn_tensor *embed = weight(n.store, "embed", N, V, 1), *gamma = weight(n.store, "gamma", N, 1, 2);
    tnn_tensor *gate_w = weight(n.store, "gate", N, F, 3), *up_w = weight(n.store, "up", N, F, 4);
    tnn_tensor *down_w = weight(n.store, "down", F, N, 5), *bias = weight(n.store, "bias", F, 1, 6);
    tnn_graph *g = n.graph;
    n.ids = tnn_input(g, "ids", TNN_TYPE_I32, 1, &n_rows);
    tnn_tensor *x = tnn_rows(g, embed, n.ids);
    tnn_tensor *h = tnn_rms_norm(g, x, gamma, 1e-5f);
    tnn_tensor *a = tnn_swiglu(g, tnn_linear(g, gate_w, h, bias), tnn_linear(g, up_w, h, NULL));
    n.out = tnn_output(g, tnn_add(g, x, tnn_linear(g, down_w, a, NULL)), "out");
    assert_int_equal(tnn_graph_status(g, &err), TNN_OK);
    return n;
}

static void free_net(net *n) {
    tnn_graph_free(n->graph);
    tnn_store_free(n->store);
}

static void read_weight(const net *n, const char *name, float *to) {
    tnn_tensor *t = tnn_store_find(n->store, name);
    assert_int_equal(tnn_tensor_read(t, 0, to, tnn_tensor_bytes(t), NULL), TNN_OK);
}

static void expected_row(const net *n, int32_t id, double y[N]) {
    static float embed[V * N], gamma[N], gate[F * N], up[F * N], down[N * F], bias[F];
    read_weight(n, "embed", embed);
    read_weight(n, "gamma", gamma);
    read_weight(n, "gate", gate);
    read_weight(n, "up", up);
    read_weight(n, "down", down);
    read_weight(n, "bias", bias);
    const float *x = embed + id * N;
    double square = 0, h[N], a[F];
    for (int i = 0; i < N; i++) {
        square += (double)x[i] * x[i];
    }
    for (int i = 0; i < N; i++) {
        h[i] = x[i] / sqrt(square / N + 1e-5) * gamma[i];
    }
    for (int f = 0; f < F; f++) {
        double z = bias[f], u = 0;
        for (int i = 0; i < N; i++) {
            z += gate[f * N + i] * h[i];
            u += up[f * N + i] * h[i];
        }
        a[f] = z / (1 + exp(-z)) * u;
    }
    for (int i = 0; i < N; i++) {
        y[i] = x[i];
        for (int f = 0; f < F; f++) {
            y[i] += down[i * F + f] * a[f];
        }
    }
}

static void run_net(const net *n, tnn_plan *p, const int32_t *ids, int64_t n_rows) {
    tnn_error err;
    if (tnn_plan_set(p, n->ids, ids, (size_t)n_rows * sizeof *ids, &err) || tnn_plan_run(p, &err))
        fail_msg("%s", err.text);
}

static void test_values(void **state) {
    (void)state;
    static const int64_t row_counts[] = {1, 2, 7, 8, 9, 33, 100, 577};
    tnn_session *s = open_session(2);
    for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
        int64_t n_rows = row_counts[i];
        net n = make_net(s, n_rows);
        tnn_plan *p;
        assert_int_equal(tnn_graph_plan(&p, n.graph, NULL), TNN_OK);
        int32_t ids[577];
        for (int64_t t = 0; t < n_rows; t++) {
            ids[t] = (int32_t)((t * 7 + 3) % V);
        }
        run_net(&n, p, ids, n_rows);
        const float *y = tnn_plan_data(p, n.out);
        for (int64_t t = 0; t < n_rows; t++) {
            double want[N];
            expected_row(&n, ids[t], want);
            for (int j = 0; j < N; j++) {
                assert_true(fabs(y[t * N + j] - want[j]) < 2e-5);
            }
        }
        tnn_plan_free(p);
        free_net(&n);
    }
    tnn_session_free(s);
}

static void test_threads_agree(void **state) {
    (void)state;
    enum { T = 67 };
    int32_t ids[T];
    for (int t = 0; t < T; t++) {
        ids[t] = t % V;
    }
    float *first = NULL;
    for (int threads = 1; threads <= 4; threads++) {
        tnn_session *s = open_session(threads);
        net n = make_net(s, T);
        tnn_plan *p;
        assert_int_equal(tnn_graph_plan(&p, n.graph, NULL), TNN_OK);
        for (int repeat = 0; repeat < 20; repeat++) {
            run_net(&n, p, ids, T);
            const float *y = tnn_plan_data(p, n.out);
            if (!first) {
                first = malloc(sizeof(float) * N * T);
                memcpy(first, y, sizeof(float) * N * T);
            }
            assert_memory_equal(first, y, sizeof(float) * N * T);
        }
        tnn_plan_free(p);
        free_net(&n);
        tnn_session_free(s);
    }
    free(first);
}

static void test_bad_id_is_named(void **state) {
    (void)state;
    tnn_session *s = open_session(1);
    net n = make_net(s, 2);
    tnn_plan *p;
    tnn_error err;
    assert_int_equal(tnn_graph_plan(&p, n.graph, &err), TNN_OK);
    static const int32_t bad[] = {V, -1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < 4; i++) {
        int32_t ids[2] = {0, bad[i]};
        assert_int_equal(tnn_plan_set(p, n.ids, ids, sizeof ids, &err), TNN_OK);
        assert_int_equal(tnn_plan_run(p, &err), TNN_E_RANGE);
        assert_non_null(strstr(err.text, "index 1"));
    }
    int32_t good[2] = {0, V - 1};
    run_net(&n, p, good, 2);
    assert_int_equal(tnn_plan_set(p, n.ids, good, 4, &err), TNN_E_ARG);
    assert_null(tnn_plan_data(p, n.ids));
    tnn_plan_free(p);
    free_net(&n);
    tnn_session_free(s);
}

/* Attention over a cache of its own capacity, which new rows enter at place 0. */
static void attend(tnn_graph *g, tnn_store *st, int64_t capacity, tnn_tensor *x, tnn_tensor *positions) {
    tnn_error err;
    const int64_t ne[] = {8, capacity, 1, 1}, one = 1;
    tnn_tensor *cache = tnn_store_tensor(st, "", TNN_TYPE_F32, 4, ne, &err);
    assert_non_null(cache);
    tnn_tensor *kv =
        tnn_kv_append(g, cache, x, tnn_input(g, capacity == 8 ? "at 8" : "at 4", TNN_TYPE_I32, 1, &one), NULL);
    tnn_attention_args args = {.scale = 1, .positions = positions};
    tnn_output(g, tnn_attention(g, x, kv, kv, &args), capacity == 8 ? "y 8" : "y 4");
}

/* Positions that several caches share are held to the capacity of each. */
static void test_caches_of_two_capacities(void **state) {
    (void)state;
    tnn_session *s = open_session(1);
    tnn_store *st;
    tnn_graph *g;
    tnn_plan *p;
    tnn_error err;
    const int64_t one = 1;
    new_graph(s, &st, &g);
    tnn_tensor *x = tnn_input(g, "x", TNN_TYPE_F32, 3, (const int64_t[]){8, 1, 1});
    tnn_tensor *positions = tnn_input(g, "positions", TNN_TYPE_I32, 1, &one);
    attend(g, st, 8, x, positions);
    attend(g, st, 4, x, positions);
    if (tnn_graph_plan(&p, g, &err)) fail_msg("%s", err.text);
    assert_int_equal(tnn_plan_set(p, positions, &(int32_t){3}, 4, &err), TNN_OK);
    assert_int_equal(tnn_plan_run(p, &err), TNN_OK);
    assert_int_equal(tnn_plan_set(p, positions, &(int32_t){5}, 4, &err), TNN_OK);
    assert_int_equal(tnn_plan_run(p, &err), TNN_E_RANGE);
    assert_non_null(strstr(err.text, "position 5 of row 0 is outside 0..3"));
    tnn_plan_free(p);
    tnn_graph_free(g);
    tnn_store_free(st);
    tnn_session_free(s);
}

/* Slots that attention is given are held to its caches, few rows or many, whatever the rows were written with. */
static void test_slots_of_attention(void **state) {
    (void)state;
    tnn_session *s = open_session(1);
    tnn_error err;
    for (int64_t n_rows = 1; n_rows <= 16; n_rows += 15) {
        tnn_store *st;
        tnn_graph *g;
        tnn_plan *p;
        new_graph(s, &st, &g);
        tnn_tensor *cache = tnn_store_tensor(st, "", TNN_TYPE_F32, 4, (const int64_t[]){8, 16, 1, 2}, &err);
        tnn_tensor *x = tnn_input(g, "x", TNN_TYPE_F32, 3, (const int64_t[]){8, 1, n_rows});
        tnn_tensor *positions = tnn_input(g, "positions", TNN_TYPE_I32, 1, &n_rows);
        tnn_tensor *slots = tnn_input(g, "slots", TNN_TYPE_I32, 1, &n_rows);
        tnn_tensor *kv = tnn_kv_append(g, cache, x, positions, NULL);
        tnn_attention_args args = {.scale = 1, .positions = positions, .slots = slots};
        tnn_output(g, tnn_attention(g, x, kv, kv, &args), "y");
        if (tnn_graph_plan(&p, g, &err)) fail_msg("%s", err.text);
        for (int32_t slot = -1; slot <= 2; slot++) {
            int32_t values[16] = {0};
            values[n_rows - 1] = slot;
            assert_int_equal(tnn_plan_set(p, slots, values, (size_t)n_rows * sizeof *values, &err), TNN_OK);
            assert_int_equal(tnn_plan_run(p, &err), slot == 0 || slot == 1 ? TNN_OK : TNN_E_RANGE);
        }
        assert_non_null(strstr(err.text, "slot 2"));
        tnn_plan_free(p);
        tnn_graph_free(g);
        tnn_store_free(st);
    }
    tnn_session_free(s);
}

/* Ids are checked on the way back too, where nothing needs the rows themselves. */
enum { VIEW_FLOATS = 512 };

/* Attention over what x holds as heads of `d` elements, for each of the n widths. */
static void attend_views(tnn_session *s, const int64_t *d, int n, float results[][VIEW_FLOATS]) {
    tnn_graph *g;
    tnn_plan *p;
    tnn_error err;
    float data[VIEW_FLOATS];
    tnn_tensor *y[2];
    tnn__fill_normal(1, 1, data, VIEW_FLOATS, 0.0f, 1.0f);
    assert_int_equal(tnn_graph_new(&g, s, &err), TNN_OK);
    tnn_tensor *x = tnn_input(g, "x", TNN_TYPE_F32, 1, (const int64_t[]){VIEW_FLOATS});
    for (int i = 0; i < n; i++) {
        tnn_tensor *q = tnn_reshape(g, x, 3, (const int64_t[]){d[i], 1, VIEW_FLOATS / d[i]});
        y[i] = tnn_output(g, tnn_attention(g, q, q, q, &(tnn_attention_args){.scale = 1}), "y");
    }
    if (tnn_graph_plan(&p, g, &err)) fail_msg("%s", err.text);
    assert_int_equal(tnn_plan_set(p, x, data, sizeof data, &err), TNN_OK);
    assert_int_equal(tnn_plan_run(p, &err), TNN_OK);
    for (int i = 0; i < n; i++)
        memcpy(results[i], tnn_plan_data(p, y[i]), sizeof data);
    tnn_plan_free(p);
    tnn_graph_free(g);
}

/* Two views of one tensor have as many rows each as they have: what a row sees is not that of the other view. */
static void test_attention_over_two_views(void **state) {
    (void)state;
    static const int64_t d[] = {32, 8};
    float together[2][VIEW_FLOATS], alone[2][VIEW_FLOATS];
    tnn_session *s = open_session(1);
    attend_views(s, d, 2, together);
    for (int i = 0; i < 2; i++)
        attend_views(s, d + i, 1, alone + i);
    assert_memory_equal(together, alone, sizeof alone);
    tnn_session_free(s);
}

static void test_bad_id_on_the_way_back(void **state) {
    (void)state;
    tnn_session *s = open_session(1);
    tnn_store *st;
    tnn_graph *g;
    tnn_plan *p;
    tnn_error err;
    const int64_t one = 1;
    new_graph(s, &st, &g);
    assert_int_equal(tnn_graph_set_mode(g, TNN_GRAPH_TRAIN, &err), TNN_OK);
    tnn_tensor *table = weight(st, "table", N, V, 1), *grad = weight(st, "grad", N, V, 2);
    tnn_tensor *ids = tnn_input(g, "ids", TNN_TYPE_I32, 1, &one);
    tnn_seed seed = {tnn_rows(g, table, ids), tnn_input(g, "dy", TNN_TYPE_F32, 2, (const int64_t[]){N, 1})};
    assert_int_equal(tnn_graph_backward(g, &seed, 1, &(tnn_param){table, grad}, 1, &err), TNN_OK);
    assert_int_equal(tnn_graph_plan(&p, g, &err), TNN_OK);
    assert_int_equal(tnn_plan_set(p, ids, &(int32_t){V - 1}, 4, &err), TNN_OK);
    assert_int_equal(tnn_plan_run(p, &err), TNN_OK);
    assert_int_equal(tnn_plan_set(p, ids, &(int32_t){V}, 4, &err), TNN_OK);
    assert_int_equal(tnn_plan_run(p, &err), TNN_E_RANGE);
    tnn_plan_free(p);
    tnn_graph_free(g);
    tnn_store_free(st);
    tnn_session_free(s);
}

enum { COLUMNS = 1296, PERIOD = 13, RANK = 4 }; /* the last columns take the kernel's way that all others take */

typedef struct many_columns {
    float y[COLUMNS * F], dx[COLUMNS * N], dw[F * N];
} many_columns;

static tnn_tensor *zeros(tnn_store *st, const char *name, int64_t n0, int64_t n1) {
    tnn_tensor *t = tnn_store_tensor(st, name, TNN_TYPE_F32, 2, (const int64_t[]){n0, n1}, NULL);
    assert_non_null(t);
    return t;
}

/* A pair's product and an addend, forth and back. */
static void run_many_columns(tnn_session *s, tnn_type compute_type, many_columns *out) {
    tnn_store *st;
    tnn_graph *g;
    tnn_plan *p;
    tnn_error err;
    new_graph(s, &st, &g);
    assert_int_equal(tnn_graph_set_mode(g, TNN_GRAPH_TRAIN, &err), TNN_OK);
    assert_int_equal(tnn_graph_set_compute_type(g, compute_type, &err), TNN_OK);
    tnn_tensor *x = weight(st, "x", N, COLUMNS, 1), *w = weight(st, "w", N, F, 2), *a = weight(st, "a", N, RANK, 3);
    tnn_tensor *b = weight(st, "b", RANK, F, 4), *bias = weight(st, "bias", F, 1, 5);
    tnn_tensor *dx = zeros(st, "dx", N, COLUMNS), *dw = zeros(st, "dw", N, F);
    tnn_tensor *dy = tnn_input(g, "dy", TNN_TYPE_F32, 2, (const int64_t[]){F, COLUMNS});
    assert_int_equal(tnn_tensor_read(x, 0, out->dx, sizeof out->dx, &err), TNN_OK);
    for (int i = PERIOD * N; i < COLUMNS * N; i++)
        out->dx[i] = out->dx[i - PERIOD * N];
    assert_int_equal(tnn_tensor_write(x, 0, out->dx, sizeof out->dx, &err), TNN_OK);
    tnn_tensor *low = tnn_linear(g, a, x, NULL);
    tnn_tensor *y = tnn_output(g, tnn_linear_onto(g, tnn_linear_pair(g, w, x, bias, b, low), b, low), "y");
    const tnn_param params[] = {{x, dx}, {w, dw}};
    assert_int_equal(tnn_graph_backward(g, &(tnn_seed){y, dy}, 1, params, 2, &err), TNN_OK);
    if (tnn_graph_plan(&p, g, &err)) fail_msg("%s", err.text);
    for (int i = 0; i < COLUMNS * F; i++)
        out->y[i] = sinf((float)(i % (PERIOD * F)));
    assert_int_equal(tnn_plan_set(p, dy, out->y, sizeof out->y, &err), TNN_OK);
    assert_int_equal(tnn_plan_run(p, &err), TNN_OK);
    memcpy(out->y, tnn_plan_data(p, y), sizeof out->y);
    assert_int_equal(tnn_tensor_read(dx, 0, out->dx, sizeof out->dx, &err), TNN_OK);
    assert_int_equal(tnn_tensor_read(dw, 0, out->dw, sizeof out->dw, &err), TNN_OK);
    tnn_plan_free(p);
    tnn_graph_free(g);
    tnn_store_free(st);
}

/* More columns than a task has: equal ones have equal results, and so have teams, which cut products differently. */
static void test_many_columns(void **state) {
    (void)state;
    static const tnn_type types[] = {TNN_TYPE_F32, TNN_TYPE_BF16};
    static many_columns first, other;
    for (int i = 0; i < 2; i++) {
        for (int n_threads = 1; n_threads <= 5; n_threads++) {
            tnn_session *s = open_session(n_threads);
            run_many_columns(s, types[i], n_threads == 1 ? &first : &other);
            if (n_threads > 1) assert_memory_equal(&first, &other, sizeof first);
            tnn_session_free(s);
        }
        assert_true(first.y[0] != first.y[F] && first.dx[0] != first.dx[N] && first.dx[0] != 0 && first.dw[0] != 0);
        for (int t = PERIOD; t < COLUMNS; t++) {
            assert_memory_equal(first.y + t * F, first.y + t % PERIOD * F, sizeof(float) * F);
            assert_memory_equal(first.dx + t * N, first.dx + t % PERIOD * N, sizeof(float) * N);
        }
    }
}

static void test_errors_latch(void **state) {
    (void)state;
    tnn_session *s = open_session(1);
    tnn_store *st;
    tnn_graph *g;
    tnn_error err;
    new_graph(s, &st, &g);
    tnn_tensor *w = weight(st, "blk.0.ffn_up.weight", 32, 8, 1);
    tnn_tensor *x = tnn_input(g, "x", TNN_TYPE_F32, 2, (const int64_t[]){16, 4});
    tnn_tensor *y = tnn_linear(g, w, x, NULL);
    assert_null(y);
    assert_null(tnn_add(g, y, x));
    assert_null(tnn_output(g, y, "y"));
    assert_int_equal(tnn_graph_status(g, &err), TNN_E_SHAPE);
    assert_non_null(strstr(err.text, "linear"));
    assert_non_null(strstr(err.text, "blk.0.ffn_up.weight"));
    assert_non_null(strstr(err.text, "[32, 8]"));
    assert_non_null(strstr(err.text, "[16, 4]"));
    tnn_graph_fail(g, TNN_E_STATE, "a later one");
    tnn_plan *p;
    assert_int_equal(tnn_graph_plan(&p, g, &err), TNN_E_SHAPE);
    assert_null(p);
    tnn_graph_free(g);
    tnn_store_free(st);
    tnn_session_free(s);
}

static void test_pair_of_another_shape(void **state) {
    (void)state;
    tnn_session *s = open_session(1);
    tnn_store *st;
    tnn_graph *g;
    tnn_error err;
    new_graph(s, &st, &g);
    tnn_tensor *w = weight(st, "w", 32, 8, 1), *b = weight(st, "b", 2, 9, 1);
    tnn_tensor *x = tnn_input(g, "x", TNN_TYPE_F32, 2, (const int64_t[]){32, 4});
    tnn_tensor *low = tnn_input(g, "low", TNN_TYPE_F32, 2, (const int64_t[]){2, 4});
    assert_null(tnn_linear_pair(g, w, x, NULL, b, low));
    assert_int_equal(tnn_graph_status(g, &err), TNN_E_SHAPE);
    assert_non_null(strstr(err.text, "[2, 9]"));
    tnn_graph_free(g);
    tnn_store_free(st);
    tnn_session_free(s);
}

/* The first error of the graph is this; frees it. */
static void latched(tnn_graph *g, tnn_status want, const char *fragment) {
    tnn_error err = {0};
    assert_int_equal(tnn_graph_status(g, &err), want);
    if (!strstr(err.text, fragment)) fail_msg("\"%s\" does not say \"%s\"", err.text, fragment);
    tnn_graph_free(g);
}

/* A tensor of another graph is refused wherever one can be handed in: its number means another one here. */
static void test_tensors_of_another_graph(void **state) {
    (void)state;
    tnn_session *s = open_session(1);
    tnn_store *st;
    tnn_graph *g, *other;
    tnn_plan *p;
    tnn_error err;
    const int64_t small[2] = {2, 4}, large[2] = {32, 64};
    assert_int_equal(tnn_store_new(&st, s, &err), TNN_OK);
    tnn_tensor *w = weight(st, "w", 32, 8, 1), *b = weight(st, "b", 2, 8, 1);
    assert_int_equal(tnn_graph_new(&other, s, &err), TNN_OK);
    tnn_tensor *foreign = tnn_input(other, "foreign", TNN_TYPE_F32, 2, small);
    tnn_tensor *wide = tnn_input(other, "wide", TNN_TYPE_F32, 2, large);
    tnn_tensor *result = tnn_output(other, tnn_scale(other, wide, 2), "result");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tnn_graph_new(&g, s, &err), TNN_OK);
        tnn_tensor *x = tnn_input(g, "x", TNN_TYPE_F32, 2, (const int64_t[]){32, 4});
        if (i == 0) assert_null(tnn_linear_pair(g, w, x, NULL, b, foreign));
        if (i == 1) assert_null(tnn_linear_onto(g, tnn_input(other, "y", TNN_TYPE_F32, 2, (int64_t[]){8, 4}), w, x));
        if (i == 2) assert_null(tnn_output(g, result, "y"));
        latched(g, TNN_E_ARG, "another graph");
    }
    assert_int_equal(tnn_graph_new(&g, s, &err), TNN_OK);
    tnn_tensor *x = tnn_input(g, "x", TNN_TYPE_F32, 2, small);
    tnn_output(g, tnn_scale(g, x, 2), "y");
    assert_int_equal(tnn_graph_plan(&p, g, &err), TNN_OK);
    static const float zeros[32 * 64];
    assert_int_equal(tnn_plan_set(p, foreign, zeros, tnn_tensor_bytes(foreign), &err), TNN_E_ARG);
    assert_int_equal(tnn_plan_set(p, wide, zeros, sizeof zeros, &err), TNN_E_ARG);
    assert_non_null(strstr(err.text, "wide"));
    assert_int_equal(tnn_plan_set(p, x, zeros, tnn_tensor_bytes(x), &err), TNN_OK);
    assert_int_equal(tnn_plan_run(p, &err), TNN_OK);
    assert_null(tnn_plan_data(p, result));
    tnn_plan_free(p);
    tnn_graph_free(g);
    tnn_graph_free(other);
    tnn_store_free(st);
    tnn_session_free(s);
}

static void test_operands_that_no_kernel_takes(void **state) {
    (void)state;
    tnn_session *s = open_session(1);
    tnn_store *st;
    tnn_graph *g;
    tnn_error err;
    const int64_t square[2] = {32, 32}, heads[3] = {3, 2, 4}, turns[2] = {3, 4};
    assert_int_equal(tnn_store_new(&st, s, &err), TNN_OK);
    tnn_tensor *numbers = tnn_store_tensor(st, "numbers", TNN_TYPE_I32, 2, square, &err);
    for (int mode = TNN_GRAPH_INFER; mode <= TNN_GRAPH_CHECK; mode++) {
        tnn_type real = mode == TNN_GRAPH_CHECK ? TNN_TYPE_F64 : TNN_TYPE_F32;
        assert_int_equal(tnn_graph_new(&g, s, &err), TNN_OK);
        assert_int_equal(tnn_graph_set_mode(g, (tnn_graph_mode)mode, &err), TNN_OK);
        assert_null(tnn_linear(g, numbers, tnn_input(g, "x", real, 2, square), NULL));
        latched(g, TNN_E_SHAPE, "numbers I32");
    }
    assert_int_equal(tnn_graph_new(&g, s, &err), TNN_OK);
    tnn_rope_config c = tnn_rope_config_default();
    c.n_rot = 3; /* the third element has no partner */
    tnn_tensor *x = tnn_input(g, "x", TNN_TYPE_F32, 3, heads), *angles = tnn_input(g, "a", TNN_TYPE_F32, 2, turns);
    assert_null(tnn_rope(g, x, angles, &c));
    latched(g, TNN_E_SHAPE, "even");
    tnn_store_free(st);
    tnn_session_free(s);
}

/* What is no number would only show in the results. */
static void test_numbers_of_ops(void **state) {
    (void)state;
    static const float wrong[] = {NAN, INFINITY, -INFINITY, -1.0f}; /* the last one is wrong for some */
    tnn_session *s = open_session(1);
    tnn_store *st;
    tnn_graph *g;
    assert_int_equal(tnn_store_new(&st, s, NULL), TNN_OK);
    tnn_tensor *gamma = weight(st, "gamma", 32, 1, 1);
    static const char *const names[] = {"rms_norm:",    "rms_norm_gated:", "dropout:",     "rope_angles:",
                                        "rope_angles:", "rope_angles:",    "rope_angles:", "rope_angles:",
                                        "rope_angles:", "scale:",          "attention:"};
    enum { N_OPS = sizeof names / sizeof *names, ANY_SIGN = 7 };
    for (int i = 0; i < 4 * N_OPS; i++) {
        float value = wrong[i % 4];
        int op = i / 4;
        if (i % 4 == 3 && op >= ANY_SIGN) continue;
        assert_int_equal(tnn_graph_new(&g, s, NULL), TNN_OK);
        tnn_tensor *x = tnn_input(g, "x", TNN_TYPE_F32, 2, (const int64_t[]){32, 3});
        tnn_tensor *heads = tnn_input(g, "heads", TNN_TYPE_F32, 3, (const int64_t[]){8, 4, 3});
        tnn_tensor *rows = tnn_input(g, "rows", TNN_TYPE_I32, 1, (const int64_t[]){3});
        tnn_rope_config c = tnn_rope_config_default();
        c.n_rot = 8;
        c.ext_factor = 1.0f;
        c.n_ctx_orig = 64;
        float *const fields[] = {&c.freq_base, &c.freq_scale, &c.beta_fast,
                                 &c.beta_slow, &c.ext_factor, &c.attn_factor};
        if (op >= 3 && op < 9) *fields[op - 3] = value;
        if (op == 0) assert_null(tnn_rms_norm(g, x, gamma, value));
        if (op == 1) assert_null(tnn_rms_norm_gated(g, x, gamma, x, value));
        if (op == 2) assert_null(tnn_dropout(g, x, rows, rows, value, 1, 1));
        if (op >= 3 && op < 9) assert_null(tnn_rope_angles(g, rows, NULL, &c));
        if (op == 9) assert_null(tnn_scale(g, x, value));
        if (op == 10) assert_null(tnn_attention(g, heads, heads, heads, &(tnn_attention_args){.scale = value}));
        latched(g, TNN_E_RANGE, names[op]);
    }
    tnn_store_free(st);
    tnn_session_free(s);
}

/* A vector is one row, as a matrix of one column is: what goes vector by vector gives the same of both. */
static void test_vectors(void **state) {
    (void)state;
    enum { LENGTH = 40, PART = 24, N_OPS = 4 };
    tnn_session *s = open_session(2);
    tnn_store *st;
    tnn_error err;
    float data[LENGTH];
    assert_int_equal(tnn_store_new(&st, s, &err), TNN_OK);
    tnn_tensor *gamma = weight(st, "gamma", LENGTH, 1, 2);
    tnn__fill_normal(1, 1, data, LENGTH, 0.0f, 1.0f);
    float results[2][N_OPS][LENGTH] = {0};
    for (int n_dims = 1; n_dims <= 2; n_dims++) {
        tnn_graph *g;
        tnn_plan *p;
        assert_int_equal(tnn_graph_new(&g, s, &err), TNN_OK);
        tnn_tensor *x = tnn_input(g, "x", TNN_TYPE_F32, n_dims, (const int64_t[]){LENGTH, 1});
        tnn_tensor *y[N_OPS] = {tnn_slice(g, x, 8, PART), tnn_rms_norm(g, x, gamma, 1e-5f),
                                tnn_rms_norm_gated(g, x, gamma, x, 1e-5f), tnn_swiglu(g, x, x)};
        for (int i = 0; i < N_OPS; i++)
            tnn_output(g, y[i], "y");
        if (tnn_graph_plan(&p, g, &err)) fail_msg("%s", err.text);
        assert_int_equal(tnn_plan_set(p, x, data, sizeof data, &err), TNN_OK);
        assert_int_equal(tnn_plan_run(p, &err), TNN_OK);
        for (int i = 0; i < N_OPS; i++)
            memcpy(results[n_dims - 1][i], tnn_plan_data(p, y[i]), tnn_tensor_bytes(y[i]));
        tnn_plan_free(p);
        tnn_graph_free(g);
    }
    assert_memory_equal(results[1][0], data + 8, PART * sizeof *data);
    assert_true(results[1][1][0] != 0.0f && results[1][2][0] != 0.0f);
    assert_memory_equal(results[0], results[1], sizeof results[0]);
    tnn_store_free(st);
    tnn_session_free(s);
}

/* Another mode computes in F32 again: an inference graph has no other. */
static void test_mode_after_compute_type(void **state) {
    (void)state;
    tnn_session *s = open_session(1);
    tnn_graph *g;
    tnn_error err;
    assert_int_equal(tnn_graph_new(&g, s, &err), TNN_OK);
    assert_int_equal(tnn_graph_set_mode(g, TNN_GRAPH_TRAIN, &err), TNN_OK);
    assert_int_equal(tnn_graph_set_compute_type(g, TNN_TYPE_BF16, &err), TNN_OK);
    assert_int_equal(tnn_graph_set_mode(g, TNN_GRAPH_INFER, &err), TNN_OK);
    assert_false(g->bf16);
    assert_int_equal(tnn_graph_set_mode(g, (tnn_graph_mode)3, &err), TNN_E_ARG);
    assert_int_equal(g->mode, TNN_GRAPH_INFER);
    tnn_graph_free(g);
    tnn_session_free(s);
}

/* A tensor of a graph may go without a name, as one of a store may. */
static void test_without_names(void **state) {
    (void)state;
    tnn_session *s = open_session(1);
    tnn_graph *g;
    tnn_error err;
    assert_int_equal(tnn_graph_new(&g, s, &err), TNN_OK);
    tnn_tensor *x = tnn_input(g, NULL, TNN_TYPE_F32, 1, (const int64_t[]){4});
    assert_string_equal(tnn_tensor_name(x), "");
    assert_string_equal(tnn_tensor_name(tnn_output(g, x, NULL)), "");
    assert_null(tnn_input(g, NULL, TNN_TYPE_F32, 0, NULL));
    assert_int_equal(tnn_graph_status(g, &err), TNN_E_SHAPE);
    tnn_graph_free(g);
    tnn_session_free(s);
}

static void test_store(void **state) {
    (void)state;
    tnn_session *s = open_session(1);
    tnn_store *st;
    tnn_error err;
    assert_int_equal(tnn_store_new(&st, s, &err), TNN_OK);
    for (int i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "t.%d", i);
        assert_non_null(tnn_store_tensor(st, name, TNN_TYPE_F32, 1, (const int64_t[]){i + 1}, &err));
    }
    assert_int_equal(tnn_tensor_ne(tnn_store_find(st, "t.777"))[0], 778);
    assert_null(tnn_store_find(st, "t.1000"));
    assert_null(tnn_store_tensor(st, "t.5", TNN_TYPE_F32, 1, (const int64_t[]){1}, &err));
    assert_int_equal(err.status, TNN_E_ARG);
    assert_null(tnn_store_tensor(st, "odd", TNN_TYPE_Q4_0, 1, (const int64_t[]){33}, &err));
    assert_int_equal(err.status, TNN_E_SHAPE);
    assert_null(tnn_store_tensor(st, "huge", TNN_TYPE_F32, 3, (const int64_t[]){1LL << 40, 1LL << 40, 4}, &err));
    assert_null(tnn_store_tensor(st, "none", TNN_TYPE_F32, 1, (const int64_t[]){0}, &err));
    static const float values[4] = {1, 2, 3, 4};
    tnn_tensor *b = tnn_store_borrow(st, "borrowed", TNN_TYPE_F32, 1, (const int64_t[]){4}, values, &err);
    float back[2];
    assert_int_equal(tnn_tensor_read(b, 8, back, sizeof back, &err), TNN_OK);
    assert_true(back[0] == 3 && back[1] == 4);
    assert_int_equal(tnn_tensor_write(b, 0, back, sizeof back, &err), TNN_E_STATE);
    assert_int_equal(tnn_tensor_read(b, 12, back, sizeof back, &err), TNN_E_RANGE);
    assert_int_equal(tnn_tensor_read(b, SIZE_MAX, back, sizeof back, &err), TNN_E_RANGE);
    tnn_tensor *owned = tnn_store_find(st, "t.31");
    assert_null(tnn_store_view(st, NULL, owned, 64, TNN_TYPE_F32, 1, (const int64_t[]){32}, &err));
    assert_int_equal(err.status, TNN_E_RANGE);
    assert_non_null(strstr(err.text, "(unnamed)"));
    assert_null(tnn_store_view(st, "part", NULL, 0, TNN_TYPE_F32, 1, (const int64_t[]){32}, &err));
    assert_int_equal(err.status, TNN_E_ARG);
    assert_null(tnn_store_borrow(st, "nothing", TNN_TYPE_F32, 1, (const int64_t[]){4}, NULL, &err));
    assert_int_equal(err.status, TNN_E_ARG);
    tnn_store_free(st);
    tnn_session_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_threads_agree),
        cmocka_unit_test(test_bad_id_is_named),
        cmocka_unit_test(test_caches_of_two_capacities),
        cmocka_unit_test(test_slots_of_attention),
        cmocka_unit_test(test_bad_id_on_the_way_back),
        cmocka_unit_test(test_many_columns),
        cmocka_unit_test(test_errors_latch),
        cmocka_unit_test(test_pair_of_another_shape),
        cmocka_unit_test(test_tensors_of_another_graph),
        cmocka_unit_test(test_operands_that_no_kernel_takes),
        cmocka_unit_test(test_numbers_of_ops),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_attention_over_two_views),
        cmocka_unit_test(test_mode_after_compute_type),
        cmocka_unit_test(test_without_names),
        cmocka_unit_test(test_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
