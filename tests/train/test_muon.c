/*
 * Muon: steps against float64 (tests/golden/make_muon_reference.py); what a trainer gives to it and what to AdamW; a
 * model that learns with it, the same at any number of threads.
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

#include <tinynn/tnn.h>

#include "support/session.h"

#define DATA TNN_TEST_SOURCE_DIR "/golden/data/"

static tnn_error err;

static void ok(tnn_status status) {
    if (status) fail_msg("%s", err.text);
}

/* --- steps --- */

static const tnn_gguf_tensor *tensor_of(const tnn_gguf *g, const char *name, const char *what, int step) {
    char full[64];
    snprintf(full, sizeof full, step < 0 ? "%s.%s" : "%s.%s.%d", name, what, step);
    const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, tnn_gguf_find_tensor(g, full));
    if (!t) fail_msg("%s is missing", full);
    return t;
}

/* ||value - want|| / ||want - start|| */
static double distance(const tnn_tensor *value, const float *want, const float *start) {
    float x[1024];
    int64_t n = tnn_tensor_elements(value);
    double difference = 0, change = 0;
    assert_true(n <= 1024);
    ok(tnn_tensor_read(value, 0, x, (size_t)n * sizeof *x, &err));
    for (int64_t i = 0; i < n; i++) {
        difference += pow((double)x[i] - (double)want[i], 2);
        change += pow((double)want[i] - (double)start[i], 2);
    }
    return sqrt(difference / change);
}

static void follow(const tnn_gguf *g, const char *name) {
    tnn_session *s = open_session(2);
    tnn_store *st;
    tnn_graph *graph;
    tnn_plan *plan;
    const tnn_gguf_tensor *start = tensor_of(g, name, "start", -1);
    float hyper[4] = {0, 0, 0, 1};
    const int64_t n_hyper = 4;
    ok(tnn_gguf_get_f32(g, "muon.lr", &hyper[0], &err));
    ok(tnn_gguf_get_f32(g, "muon.momentum", &hyper[1], &err));
    ok(tnn_gguf_get_f32(g, "muon.decay", &hyper[2], &err));
    new_graph(s, &st, &graph);
    tnn_tensor *value = tnn_store_tensor(st, "value", TNN_TYPE_F32, 2, start->ne, &err),
               *grad = tnn_store_tensor(st, "grad", TNN_TYPE_F32, 2, start->ne, &err),
               *m = tnn_store_tensor(st, "m", TNN_TYPE_F32, 2, start->ne, &err);
    ok(tnn_tensor_write(value, 0, start->data, start->n_bytes, &err));
    tnn_tensor *input = tnn_input(graph, "hyper", TNN_TYPE_F32, 1, &n_hyper);
    tnn_muon(graph, value, grad, m, input);
    ok(tnn_graph_plan(&plan, graph, &err));
    for (int step = 0; step < 3; step++) {
        const tnn_gguf_tensor *from = tensor_of(g, name, "grad", step);
        ok(tnn_tensor_write(grad, 0, from->data, from->n_bytes, &err));
        ok(tnn_plan_set(plan, input, hyper, sizeof hyper, &err));
        ok(tnn_plan_run(plan, &err));
        double d = distance(value, tensor_of(g, name, "value", step)->data, start->data);
        printf("%s, step %d: %.1e of the change away\n", name, step, d);
        assert_true(d < 3e-5); /* five times a slope of 3.4445 at zero carries F32's 6e-8 up to here */
    }
    tnn_plan_free(plan);
    tnn_graph_free(graph);
    tnn_store_free(st);
    tnn_session_free(s);
}

static void test_steps(void **state) {
    (void)state;
    tnn_gguf *g;
    ok(tnn_gguf_open(&g, DATA "muon.gguf", NULL, &err));
    follow(g, "wide");
    follow(g, "tall");
    follow(g, "square");
    tnn_gguf_close(g);
}

/* A gradient of zeros has no direction: the weights only decay. */
static void test_no_gradient(void **state) {
    (void)state;
    tnn_session *s = open_session(1);
    tnn_store *st;
    tnn_graph *g;
    tnn_plan *plan;
    const int64_t ne[2] = {3, 2}, n_hyper = 4;
    const float hyper[4] = {0.5f, 0.9f, 0.2f, 1.0f}, start[6] = {1, 2, 3, 4, 5, 6};
    float end[6];
    new_graph(s, &st, &g);
    tnn_tensor *t[3];
    for (int i = 0; i < 3; i++) {
        t[i] = tnn_store_tensor(st, "", TNN_TYPE_F32, 2, ne, &err);
    }
    ok(tnn_tensor_write(t[0], 0, start, sizeof start, &err));
    tnn_tensor *input = tnn_input(g, "hyper", TNN_TYPE_F32, 1, &n_hyper);
    tnn_muon(g, t[0], t[1], t[2], input);
    ok(tnn_graph_plan(&plan, g, &err));
    ok(tnn_plan_set(plan, input, hyper, sizeof hyper, &err));
    ok(tnn_plan_run(plan, &err));
    ok(tnn_tensor_read(t[0], 0, end, sizeof end, &err));
    for (int i = 0; i < 6; i++) {
        assert_float_equal(end[i], 0.9f * start[i], 1e-6f);
    }
    tnn_plan_free(plan);
    tnn_graph_free(g);
    tnn_store_free(st);
    tnn_session_free(s);
}

static void test_refusals(void **state) {
    (void)state;
    tnn_session *s = open_session(1);
    tnn_store *st;
    tnn_graph *g;
    const int64_t ne[2] = {3, 2}, other[2] = {2, 3}, n_hyper = 4;
    new_graph(s, &st, &g);
    tnn_tensor *a = tnn_store_tensor(st, "a", TNN_TYPE_F32, 2, ne, &err),
               *b = tnn_store_tensor(st, "b", TNN_TYPE_F32, 2, other, &err);
    tnn_muon(g, a, b, a, tnn_input(g, "hyper", TNN_TYPE_F32, 1, &n_hyper));
    assert_int_equal(tnn_graph_status(g, &err), TNN_E_SHAPE);
    assert_non_null(strstr(err.text, "muon"));
    tnn_graph_free(g);
    tnn_store_free(st);
    tnn_session_free(s);
}

/* --- a trainer --- */

enum { VOCAB = 32, ROWS = 32 };

typedef struct trained {
    tnn_session *session;
    tnn_llama_arch *arch;
    tnn_store *store;
    tnn_trainer *trainer;
} trained;

static trained open_trained(int n_threads) {
    trained r = {.session = open_session(n_threads)};
    tnn_llama_hparams hp = {.arch = "llama",
                            .n_vocab = VOCAB,
                            .n_ctx_train = 64,
                            .d_model = 32,
                            .n_layers = 2,
                            .n_heads = 4,
                            .n_kv_heads = 2,
                            .d_head = 8,
                            .d_ff = 64,
                            .rms_eps = 1e-5f,
                            .attn_scale = 0.35355339f,
                            .rope = tnn_rope_config_default()};
    tnn_trainer_options o = tnn_trainer_options_default();
    hp.rope.n_rot = 8;
    o.n_rows = ROWS;
    o.optimizer = TNN_OPTIMIZER_MUON;
    ok(tnn_llama_arch_new(&r.arch, r.session, &hp, &err));
    ok(tnn_llama_arch_seed_blocks(r.arch, hp.n_layers, &err));
    ok(tnn_store_new(&r.store, r.session, &err));
    ok(tnn_llama_arch_alloc_globals_trainable_f32(r.arch, r.store, 0, true, &err));
    ok(tnn_llama_arch_alloc_blocks_trainable_f32(r.arch, r.store, &err));
    ok(tnn_llama_arch_random_init(r.arch, r.store, 1, &err));
    ok(tnn_trainer_new(&r.trainer, r.session, r.arch, r.store, &o, &err));
    return r;
}

static void close_trained(trained *r) {
    tnn_trainer_free(r->trainer);
    tnn_llama_arch_free(r->arch);
    tnn_store_free(r->store);
    tnn_session_free(r->session);
}

/* Matrices of blocks have a momentum alone; embedding, head and norms have AdamW's two moments. */
static void test_who_gets_what(void **state) {
    (void)state;
    trained r = open_trained(1);
    for (int64_t i = 0; i < tnn_trainer_n_params(r.trainer); i++) {
        const tnn_tensor *t = tnn_trainer_value(r.trainer, i);
        bool matrix = tnn_tensor_ne(t)[1] > 1 && strncmp(tnn_tensor_name(t), "blk.", 4) == 0;
        assert_non_null(tnn_trainer_moment1(r.trainer, i));
        assert_true((tnn_trainer_moment2(r.trainer, i) == NULL) == matrix);
    }
    close_trained(&r);
}

static double one_step(const trained *r, int step) {
    int32_t ids[ROWS], positions[ROWS], starts[ROWS] = {0}, targets[ROWS];
    float weights[ROWS];
    for (int i = 0; i < ROWS; i++) {
        ids[i] = i ? targets[i - 1] : step * 7 % VOCAB;
        targets[i] = (5 * ids[i] + 3) % VOCAB;
        positions[i] = i;
        weights[i] = 1.0f / ROWS;
    }
    const tnn_batch b = {ids, positions, starts, targets, weights, NULL};
    double loss, norm;
    ok(tnn_trainer_accumulate(r->trainer, &b, &loss, &err));
    ok(tnn_trainer_update(r->trainer, 5e-3f, &norm, &err));
    return loss;
}

static void test_learns_the_same_on_any_threads(void **state) {
    (void)state;
    double losses[3];
    for (int n = 1; n <= 3; n++) {
        trained r = open_trained(n);
        double first = one_step(&r, 0), last = 0;
        for (int step = 1; step < 60; step++) {
            last = one_step(&r, step);
        }
        printf("%d threads: loss %.3f -> %.6f\n", n, first, last);
        assert_true(fabs(first - log(VOCAB)) < 0.3 && last < 0.5);
        losses[n - 1] = last;
        close_trained(&r);
    }
    assert_true(losses[0] == losses[1] && losses[1] == losses[2]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_no_gradient),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_who_gets_what),
        cmocka_unit_test(test_learns_the_same_on_any_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
