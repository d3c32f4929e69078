/*
 * Dropout: how much is dropped, what decides it and what does not; low-rank pairs trained with it, packed, recomputed
 * and on any number of threads alike.
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

/* --- the op --- */

enum { N = 1000, T = 40 };

/* Of ones; y has N * T. */
static void drop(const int32_t *samples, const int32_t *positions, float p, uint64_t seed, uint64_t stream, float *y) {
    tnn_session *s = open_session(2);
    tnn_graph *g;
    tnn_plan *plan;
    const int64_t ne[2] = {N, T}, n_rows = T;
    float *ones = malloc(N * T * sizeof *ones);
    assert_non_null(ones);
    for (int i = 0; i < N * T; i++) {
        ones[i] = 1.0f;
    }
    ok(tnn_graph_new(&g, s, &err));
    tnn_tensor *x = tnn_input(g, "x", TNN_TYPE_F32, 2, ne), *in_samples = tnn_input(g, "s", TNN_TYPE_I32, 1, &n_rows),
               *in_positions = tnn_input(g, "p", TNN_TYPE_I32, 1, &n_rows);
    tnn_tensor *out = tnn_output(g, tnn_dropout(g, x, in_samples, in_positions, p, seed, stream), "y");
    ok(tnn_graph_plan(&plan, g, &err));
    ok(tnn_plan_set(plan, x, ones, N * T * sizeof *ones, &err));
    ok(tnn_plan_set(plan, in_samples, samples, T * sizeof *samples, &err));
    ok(tnn_plan_set(plan, in_positions, positions, T * sizeof *positions, &err));
    ok(tnn_plan_run(plan, &err));
    memcpy(y, tnn_plan_data(plan, out), N * T * sizeof *y);
    free(ones);
    tnn_plan_free(plan);
    tnn_graph_free(g);
    tnn_session_free(s);
}

static void fill_rows(int32_t *samples, int32_t *positions) {
    for (int t = 0; t < T; t++) {
        samples[t] = t / 8;
        positions[t] = t % 8;
    }
}

static float out_a[N * T], out_b[N * T];

static void test_share(void **state) {
    (void)state;
    int32_t samples[T], positions[T];
    fill_rows(samples, positions);
    static const float shares[] = {0.0f, 0.05f, 0.5f, 0.99f};
    for (size_t k = 0; k < sizeof shares / sizeof *shares; k++) {
        double p = (double)shares[k], n = N * T;
        int n_dropped = 0;
        drop(samples, positions, shares[k], 1, 2, out_a);
        for (int i = 0; i < N * T; i++) {
            if (out_a[i] == 0.0f) {
                n_dropped++;
            } else {
                assert_true(fabs((double)out_a[i] * (1 - p) - 1) < 1e-3); /* p in steps of 2^-16 */
            }
        }
        printf("p %.2f: %d of %d dropped\n", p, n_dropped, N * T);
        assert_true(fabs(n_dropped - n * p) <= 5 * sqrt(n * p * (1 - p))); /* five deviations of a binomial */
    }
}

static int n_different(const float *a, const float *b) {
    int n = 0;
    for (int i = 0; i < N * T; i++) {
        n += a[i] != b[i];
    }
    return n;
}

static void test_what_decides(void **state) {
    (void)state;
    int32_t samples[T], positions[T];
    fill_rows(samples, positions);
    drop(samples, positions, 0.5f, 1, 2, out_a);
    drop(samples, positions, 0.5f, 1, 2, out_b);
    assert_int_equal(n_different(out_a, out_b), 0);
    drop(samples, positions, 0.5f, 2, 2, out_b);
    assert_in_range(n_different(out_a, out_b), N * T * 2 / 5, N * T * 3 / 5);
    drop(samples, positions, 0.5f, 1, 3, out_b);
    assert_in_range(n_different(out_a, out_b), N * T * 2 / 5, N * T * 3 / 5);
    for (int t = 0; t < T; t++) {
        samples[t] += 100;
    }
    drop(samples, positions, 0.5f, 1, 2, out_b);
    assert_in_range(n_different(out_a, out_b), N * T * 2 / 5, N * T * 3 / 5);
}

/* The rows in another order. */
static void test_place_does_not_matter(void **state) {
    (void)state;
    int32_t samples[T], positions[T];
    fill_rows(samples, positions);
    drop(samples, positions, 0.3f, 1, 2, out_a);
    for (int t = 0; t < T; t++) {
        samples[t] = (T - 1 - t) / 8;
        positions[t] = (T - 1 - t) % 8;
    }
    drop(samples, positions, 0.3f, 1, 2, out_b);
    for (int t = 0; t < T; t++) {
        assert_memory_equal(out_a + t * N, out_b + (T - 1 - t) * N, N * sizeof *out_a);
    }
}

/* --- pairs trained with it --- */

enum { LENGTH = 12, RANK = 3, N_STEPS = 4 };

typedef struct trained {
    tnn_session *session;
    tnn_gguf *model;
    tnn_llama_arch *arch;
    tnn_store *weights, *pairs;
    tnn_trainer *trainer;
} trained;

static tnn_tensor *half(const trained *r, const char *name, int64_t n_in, int64_t n_out) {
    const int64_t ne[2] = {n_in, n_out};
    tnn_tensor *t = tnn_store_tensor(r->pairs, name, TNN_TYPE_F32, 2, ne, &err);
    float *values = malloc((size_t)(n_in * n_out) * sizeof *values);
    assert_true(t && values);
    for (int64_t i = 0; i < n_in * n_out; i++) {
        values[i] = 0.05f * (float)sin((double)i + (double)n_in);
    }
    ok(tnn_tensor_write(t, 0, values, tnn_tensor_bytes(t), &err));
    free(values);
    tnn_tensor_set_trainable(t, true);
    return t;
}

static trained open_trained(int n_threads, int64_t n_rows, float dropout, bool recompute) {
    static const char *const names[] = {"blk.0.attn_q.weight", "blk.0.ffn_down.weight", "blk.1.attn_output.weight"};
    trained r = {.session = open_session(n_threads)};
    tnn_llama_hparams hp;
    tnn_trainer_options o = tnn_trainer_options_default();
    ok(tnn_gguf_open(&r.model, DATA "llama-gqa.gguf", NULL, &err));
    ok(tnn_llama_hparams_from_gguf(&hp, r.model, &err));
    ok(tnn_llama_arch_new(&r.arch, r.session, &hp, &err));
    ok(tnn_llama_arch_seed_blocks(r.arch, hp.n_layers, &err));
    ok(tnn_store_new(&r.weights, r.session, &err));
    ok(tnn_store_new(&r.pairs, r.session, &err));
    ok(tnn_llama_arch_load_globals_from_gguf_mmap(r.arch, r.weights, r.model, &err));
    ok(tnn_llama_arch_load_blocks_from_gguf_mmap(r.arch, r.weights, r.model, &err));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char a[64], b[64];
        const int64_t *ne = tnn_tensor_ne(tnn_llama_arch_linear(r.arch, names[i]));
        snprintf(a, sizeof a, "%s.lora_a", names[i]);
        snprintf(b, sizeof b, "%s.lora_b", names[i]);
        ok(tnn_llama_arch_attach_lora(r.arch, names[i], half(&r, a, ne[0], RANK), half(&r, b, RANK, ne[1]), 2.0f,
                                      &err));
    }
    o.n_rows = n_rows;
    o.lora_dropout = dropout;
    o.seed = 9;
    o.recompute = recompute;
    ok(tnn_trainer_new(&r.trainer, r.session, r.arch, r.pairs, &o, &err));
    return r;
}

static void close_trained(trained *r) {
    tnn_trainer_free(r->trainer);
    tnn_llama_arch_free(r->arch);
    tnn_store_free(r->pairs);
    tnn_store_free(r->weights);
    tnn_gguf_close(r->model);
    tnn_session_free(r->session);
}

/* Sequences first .. first + n - 1, one after the other. */
static tnn_batch_buffer sequences(int first, int n) {
    tnn_batch_buffer b;
    ok(tnn_batch_buffer_init(&b, (int64_t)n * LENGTH, NULL, &err));
    for (int i = 0; i < n * LENGTH; i++) {
        int sample = first + i / LENGTH, at = i % LENGTH;
        b.ids[i] = (sample * 31 + at * 7) % 90;
        b.targets[i] = at + 1 < LENGTH ? (sample * 31 + at * 7 + 7) % 90 : -1;
        b.positions[i] = at;
        b.starts[i] = i - at;
        b.samples[i] = sample;
        b.weights[i] = at + 1 < LENGTH ? 0.05f : 0.0f;
    }
    return b;
}

static double accumulate(const trained *r, int first, int n) {
    tnn_batch_buffer b = sequences(first, n);
    tnn_batch view = tnn_batch_buffer_view(&b);
    double loss;
    ok(tnn_trainer_accumulate(r->trainer, &view, &loss, &err));
    tnn_batch_buffer_free(&b);
    return loss;
}

typedef struct weights {
    float values[4096];
    size_t n;
} weights;

static weights weights_after(int n_threads, float dropout, bool recompute) {
    trained r = open_trained(n_threads, 2 * LENGTH, dropout, recompute);
    weights w = {.n = 0};
    for (int step = 0; step < N_STEPS; step++) {
        accumulate(&r, 2 * step, 2);
        ok(tnn_trainer_update(r.trainer, 1e-2f, NULL, &err));
    }
    for (int64_t i = 0; i < tnn_trainer_n_params(r.trainer); i++) {
        const tnn_tensor *t = tnn_trainer_value(r.trainer, i);
        assert_true(w.n + (size_t)tnn_tensor_elements(t) <= 4096);
        ok(tnn_tensor_read(t, 0, w.values + w.n, tnn_tensor_bytes(t), &err));
        w.n += (size_t)tnn_tensor_elements(t);
    }
    close_trained(&r);
    return w;
}

static void test_threads_and_recompute(void **state) {
    (void)state;
    weights one = weights_after(1, 0.2f, false), none = weights_after(1, 0.0f, false);
    assert_memory_not_equal(one.values, none.values, one.n * sizeof *one.values);
    weights others[] = {weights_after(2, 0.2f, false), weights_after(3, 0.2f, false), weights_after(2, 0.2f, true)};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_memory_equal(one.values, others[i].values, one.n * sizeof *one.values);
    }
}

/* Packed, sequences lose what each loses alone; evaluation loses nothing. */
static void test_packed_and_evaluated(void **state) {
    (void)state;
    trained packed = open_trained(1, 2 * LENGTH, 0.3f, false), single = open_trained(1, LENGTH, 0.3f, false),
            bare = open_trained(1, 2 * LENGTH, 0.0f, false);
    double both = accumulate(&packed, 4, 2), apart = accumulate(&single, 4, 1) + accumulate(&single, 5, 1);
    assert_true(fabs(both - apart) < 1e-5);
    double undropped = accumulate(&bare, 4, 2), evaluated;
    assert_true(fabs(both - undropped) > 1e-3);
    tnn_batch_buffer b = sequences(4, 2);
    tnn_batch view = tnn_batch_buffer_view(&b);
    ok(tnn_trainer_evaluate(packed.trainer, &view, &evaluated, NULL, &err));
    assert_true(fabs(evaluated - undropped) < 1e-5);
    view.samples = NULL;
    assert_int_equal(tnn_trainer_accumulate(packed.trainer, &view, &evaluated, &err), TNN_E_ARG);
    assert_non_null(strstr(err.text, "samples"));
    tnn_batch_buffer_free(&b);
    close_trained(&packed);
    close_trained(&single);
    close_trained(&bare);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_what_decides),
        cmocka_unit_test(test_place_does_not_matter),
        cmocka_unit_test(test_threads_and_recompute),
        cmocka_unit_test(test_packed_and_evaluated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
