/*
 * SmolLM2-135M-Instruct (Q4_1) on text: the likeliest next token against float32 PyTorch, prompts in batches against
 * token by token, one thread against two, and a continuation everybody knows. Skipped without
 * the model file (support/smollm2.h).
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

#include <tinynn/seq.h>

#include "support/smollm2.h"

enum { T = 64, VOCAB = 49152, T_DECODE = 16 };

static char path[1024];

/* For each position: id, the reference's likeliest next id, by how much its logit leads. */
static int32_t ids[T], top1[T];
static float lead[T];

typedef struct opened {
    tnn_session *session;
    tnn_model *model;
    tnn_seq *seq;
} opened;

static opened open_model(int n_threads, int64_t n_batch) {
    opened o;
    tnn_error err;
    tnn_session_options so = tnn_session_options_default();
    so.n_threads = n_threads;
    tnn_seq_options qo = tnn_seq_options_default();
    qo.n_ctx = T + 32;
    qo.n_batch = n_batch;
    if (tnn_session_new(&o.session, &so, &err) || tnn_model_load(&o.model, o.session, path, NULL, &err) ||
        tnn_seq_new(&o.seq, o.model, &qo, &err)) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(tnn_model_hparams(o.model)->n_vocab, VOCAB);
    return o;
}

static void close_model(opened *o) {
    tnn_seq_free(o->seq);
    tnn_model_free(o->model);
    tnn_session_free(o->session);
}

static bool keep_rows(void *ctx, int64_t pos, int64_t n, const float *logits) {
    memcpy((float *)ctx + pos * VOCAB, logits, (size_t)(n * VOCAB) * sizeof *logits);
    return true;
}

/* [n, VOCAB] logits; the caller frees. */
static float *run(int n_threads, int64_t n_batch, int64_t n) {
    opened o = open_model(n_threads, n_batch);
    float *rows = malloc((size_t)(n * VOCAB) * sizeof *rows);
    tnn_error err;
    assert_non_null(rows);
    if (tnn_seq_append(o.seq, ids, n, TNN_WANT_ALL, keep_rows, rows, &err)) fail_msg("%s", err.text);
    close_model(&o);
    return rows;
}

static double log_sum_exp(const float *row, double most) {
    double sum = 0;
    for (int i = 0; i < VOCAB; i++) {
        sum += exp((double)row[i] - most);
    }
    return most + log(sum);
}

static int argmax(const float *row) {
    int best = 0;
    for (int i = 1; i < VOCAB; i++) {
        if (row[i] > row[best]) best = i;
    }
    return best;
}

static double kl(const float *p, const float *q) {
    double zp = log_sum_exp(p, (double)p[argmax(p)]), zq = log_sum_exp(q, (double)q[argmax(q)]), sum = 0;
    for (int i = 0; i < VOCAB; i++) {
        double lp = (double)p[i] - zp;
        sum += exp(lp) * (lp - ((double)q[i] - zq));
    }
    return sum;
}

/*
 * Activations are rounded to int8 against Q4_1, so that a close race may end otherwise: in 64 positions llama.cpp
 * differs from the reference in 4 to 6, where the lead is 0.38 at most; tinynn in 2 to 7 (by cache type and batch
 * size), 0.22 at most.
 */
static void test_likeliest_token(void **state) {
    (void)state;
    float *rows = run(2, 512, T);
    int agree = 0, clear = 0;
    for (int t = 0; t < T; t++) {
        int best = argmax(rows + (size_t)t * VOCAB);
        agree += best == top1[t];
        clear += lead[t] > 0.4f;
        if (best != top1[t] && lead[t] > 0.4f) {
            fail_msg("position %d: %d is likeliest, not %d, which leads by %g", t, best, (int)top1[t], (double)lead[t]);
        }
    }
    print_message("likeliest token as the reference's at %d of %d positions\n", agree, T);
    assert_true(clear >= 38);
    assert_true(agree >= 55);
    free(rows);
}

/*
 * The mean KL to the reference over these positions is 3.2e-3 to 3.9e-3, in batches as token by token. Two
 * computations as far off, each in its own direction, are 7e-3 apart; batches of any size have the same rounding.
 */
static void test_prefill_and_decode(void **state) {
    (void)state;
    float *batch = run(2, 512, T), *single = run(2, 1, T), *eight = run(2, 8, T);
    double apart = 0, cut = 0;
    for (int t = 0; t < T; t++) {
        apart += kl(batch + (size_t)t * VOCAB, single + (size_t)t * VOCAB) / T;
        cut += kl(batch + (size_t)t * VOCAB, eight + (size_t)t * VOCAB) / T;
    }
    print_message("mean KL: token by token %.2e, in eights %.2e\n", apart, cut);
    assert_true(apart < 7e-3);
    assert_true(cut < 7e-3);
    free(batch);
    free(single);
    free(eight);
}

static void test_threads(void **state) {
    (void)state;
    for (int64_t n_batch = 1; n_batch <= 512; n_batch += 511) {
        int64_t n = n_batch == 1 ? T_DECODE : T;
        float *one = run(1, n_batch, n), *two = run(2, n_batch, n);
        assert_memory_equal(one, two, (size_t)(n * VOCAB) * sizeof *one);
        free(one);
        free(two);
    }
}

static bool add_text(void *ctx, int32_t id, const char *piece, size_t n) {
    (void)id;
    strncat(ctx, piece, n);
    return true;
}

static void test_continuation(void **state) {
    (void)state;
    static const char prompt[] = "One, two, three, four, five,";
    opened o = open_model(2, 512);
    tnn_ids encoded = {0};
    tnn_error err;
    char text[256] = "";
    tnn_generate_options options = tnn_generate_options_default();
    options.sampler.temperature = 0.0f;
    options.n_predict = 5;
    options.on_token = add_text;
    options.ctx = text;
    if (tnn_tokenizer_encode(tnn_model_tokenizer(o.model), prompt, sizeof prompt - 1, 0, &encoded, &err) ||
        tnn_seq_generate(o.seq, encoded.data, (int64_t)encoded.n, &options, NULL, &err)) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(text, " six, seven, eight");
    tnn_ids_free(&encoded);
    close_model(&o);
}

static int read_reference(void **state) {
    (void)state;
    FILE *f = fopen(TNN_TEST_SOURCE_DIR "/golden/data/smollm2_top1.txt", "r");
    if (!f) return -1;
    int n = 0;
    while (n < T && fscanf(f, "%d %d %f", &ids[n], &top1[n], &lead[n]) == 3) {
        n++;
    }
    fclose(f);
    return n == T ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_likeliest_token),
        cmocka_unit_test(test_prefill_and_decode),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_continuation),
    };
    if (!find_smollm2(path, sizeof path)) return 77;
    return cmocka_run_group_tests(tests, read_reference, NULL);
}
