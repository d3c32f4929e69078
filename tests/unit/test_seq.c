/*
 * Sequences: options and ids out of range are refused with the numbers, the context is told and not overrun, a prompt
 * reuses what it shares with the last one, and taps hold the stages they are named after.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tinynn/seq.h>

#include "support/temp_dir.h"
#include "support/tiny_model.h"

enum { VOCAB = 40, WIDTH = 32, CONTEXT = 64 };

static temp_dir dir;
static tnn_session *session;
static tnn_model *model; /* of tiny_model_default */
static int n_warnings;

static void count_warnings(void *ctx, tnn_log_level level, const char *text) {
    (void)ctx;
    (void)text;
    n_warnings += level == TNN_LOG_WARN;
}

static int open_all(void **state) {
    (void)state;
    tnn_session_options o = tnn_session_options_default();
    o.n_threads = 2;
    o.log = count_warnings;
    temp_dir_create(&dir);
    tiny_model m = tiny_model_default();
    tiny_model_write(&m, temp_path(&dir, "model.gguf"));
    if (tnn_session_new(&session, &o, NULL)) return -1;
    return tnn_model_load(&model, session, temp_path(&dir, "model.gguf"), NULL, NULL);
}

static int close_all(void **state) {
    (void)state;
    tnn_model_free(model);
    tnn_session_free(session);
    temp_dir_remove(&dir);
    return 0;
}

static tnn_seq *open_seq(tnn_seq_options o) {
    tnn_seq *q;
    tnn_error err;
    if (tnn_seq_new(&q, model, &o, &err)) fail_msg("%s", err.text);
    return q;
}

static tnn_seq *default_seq(void) {
    return open_seq(tnn_seq_options_default());
}

static void options_refused(tnn_seq_options o, tnn_status want, const char *a, const char *b) {
    tnn_seq *q = (tnn_seq *)(void *)&dir;
    tnn_error err;
    assert_int_equal(tnn_seq_new(&q, model, &o, &err), want);
    assert_null(q);
    if (!strstr(err.text, a) || !strstr(err.text, b)) fail_msg("\"%s\" lacks \"%s\" or \"%s\"", err.text, a, b);
    size_t cache, workspace;
    assert_int_equal(tnn_seq_bytes(model, &o, &cache, &workspace, &err), want);
    assert_int_equal(tnn_seq_new(&q, model, &o, NULL), want);
}

static int32_t id_at(int64_t i) {
    return (int32_t)((7 * i + 3) % VOCAB);
}

static void fill_ids(int32_t *ids, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        ids[i] = id_at(i);
    }
}

static void append(tnn_seq *q, const int32_t *ids, int64_t n, tnn_want want) {
    tnn_error err;
    if (tnn_seq_append(q, ids, n, want, NULL, NULL, &err)) fail_msg("%s", err.text);
}

/* --- options --- */

static void test_context_and_batch(void **state) {
    (void)state;
    static const int64_t contexts[] = {-1, INT64_MIN, (int64_t)1 << 40, INT64_MAX};
    static const int64_t batches[] = {0, -1, 65537, (int64_t)1 << 40};
    tnn_seq_options o = tnn_seq_options_default();
    for (int i = 0; i < 4; i++) {
        char number[32];
        o.n_ctx = contexts[i];
        snprintf(number, sizeof number, "%lld", (long long)contexts[i]);
        options_refused(o, TNN_E_RANGE, number, "1073741824");
        o.n_ctx = 0;
        o.n_batch = batches[i];
        snprintf(number, sizeof number, "%lld", (long long)batches[i]);
        options_refused(o, TNN_E_RANGE, number, "65536");
        o.n_batch = 512;
    }
    tnn_seq *q = open_seq(o);
    assert_int_equal(tnn_seq_capacity(q), CONTEXT); /* 0: what the model was trained for */
    assert_int_equal(tnn_seq_length(q), 0);
    assert_null(tnn_seq_logits(q));
    tnn_seq_free(q);
    o.n_ctx = 1;
    q = open_seq(o);
    append(q, &(int32_t){3}, 1, TNN_WANT_LAST);
    tnn_seq_free(q);
    n_warnings = 0;
    o.n_ctx = CONTEXT + 1; /* longer than trained for is allowed, and told */
    q = open_seq(o);
    assert_int_equal(tnn_seq_capacity(q), CONTEXT + 1);
    assert_int_equal(n_warnings, 1);
    tnn_seq_free(q);
    assert_int_equal(tnn_seq_new(&q, model, NULL, NULL), TNN_OK);
    tnn_seq_free(q);
    tnn_seq_free(NULL);
}

static void test_cache_types(void **state) {
    (void)state;
    static const tnn_type good[] = {TNN_TYPE_F32, TNN_TYPE_F16, TNN_TYPE_BF16};
    static const tnn_type bad[] = {TNN_TYPE_Q4_0, TNN_TYPE_I32, TNN_TYPE_COUNT, (tnn_type)-1};
    int32_t ids[8];
    fill_ids(ids, 8);
    tnn_seq_options o = tnn_seq_options_default();
    float exact[VOCAB];
    for (int i = 0; i < 3; i++) {
        o.kv_type = good[i];
        tnn_seq *q = open_seq(o);
        append(q, ids, 8, TNN_WANT_LAST);
        for (int k = 0; k < VOCAB; k++) {
            if (i == 0) exact[k] = tnn_seq_logits(q)[k];
            assert_true(fabsf(exact[k] - tnn_seq_logits(q)[k]) < 0.05f);
        }
        tnn_seq_free(q);
    }
    for (int i = 0; i < 4; i++) {
        o.kv_type = bad[i];
        options_refused(o, TNN_E_ARG, "KV cache", "Q8_0");
    }
    o.kv_type = TNN_TYPE_Q8_0;
    options_refused(o, TNN_E_ARG, "Q8_0", "8 elements"); /* heads of 8 are no whole block of 32 */
}

static void test_q8_cache(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    m.d_head = 32;
    tnn_model *wide;
    tnn_seq *q[2];
    int32_t ids[24];
    tnn_error err;
    fill_ids(ids, 24);
    tiny_model_write(&m, temp_path(&dir, "wide.gguf"));
    assert_int_equal(tnn_model_load(&wide, session, temp_path(&dir, "wide.gguf"), NULL, &err), TNN_OK);
    for (int i = 0; i < 2; i++) {
        tnn_seq_options o = tnn_seq_options_default();
        o.kv_type = i ? TNN_TYPE_Q8_0 : TNN_TYPE_F32;
        if (tnn_seq_new(&q[i], wide, &o, &err)) fail_msg("%s", err.text);
        append(q[i], ids, 24, TNN_WANT_LAST);
    }
    for (int k = 0; k < VOCAB; k++) {
        assert_true(fabsf(tnn_seq_logits(q[0])[k] - tnn_seq_logits(q[1])[k]) < 0.25f);
    }
    tnn_seq_free(q[0]);
    tnn_seq_free(q[1]);
    tnn_model_free(wide);
}

static void test_bytes_are_told_before(void **state) {
    (void)state;
    tnn_seq_options o = tnn_seq_options_default();
    size_t cache, workspace, larger;
    assert_int_equal(tnn_seq_bytes(model, &o, &cache, &workspace, NULL), TNN_OK);
    assert_int_equal(cache, 2 * 2 * CONTEXT * 2 * 8 * 2); /* layers, k and v, positions, heads, elements, bytes */
    assert_true(workspace > 0);
    o.n_ctx = 2 * CONTEXT;
    assert_int_equal(tnn_seq_bytes(model, &o, &larger, &workspace, NULL), TNN_OK);
    assert_int_equal(larger, 2 * cache);
}

/* --- appending --- */

static void test_context_is_not_overrun(void **state) {
    (void)state;
    int32_t ids[CONTEXT + 1];
    tnn_error err;
    fill_ids(ids, CONTEXT + 1);
    tnn_seq *q = default_seq();
    assert_int_equal(tnn_seq_append(q, ids, CONTEXT + 1, TNN_WANT_LAST, NULL, NULL, &err), TNN_E_FULL);
    assert_non_null(strstr(err.text, "65 tokens"));
    assert_non_null(strstr(err.text, "holds 64"));
    assert_int_equal(tnn_seq_length(q), 0);
    append(q, ids, CONTEXT - 1, TNN_WANT_NONE);
    assert_int_equal(tnn_seq_append(q, ids, 2, TNN_WANT_LAST, NULL, NULL, &err), TNN_E_FULL);
    assert_non_null(strstr(err.text, "63 are taken"));
    append(q, ids, 1, TNN_WANT_LAST);
    assert_int_equal(tnn_seq_append(q, ids, 1, TNN_WANT_LAST, NULL, NULL, &err), TNN_E_FULL);
    assert_int_equal(tnn_seq_append(q, ids, INT64_MAX, TNN_WANT_LAST, NULL, NULL, &err), TNN_E_FULL);
    assert_int_equal(tnn_seq_length(q), CONTEXT);
    assert_int_equal(tnn_seq_prompt(q, ids, CONTEXT + 1, NULL, NULL, NULL, &err), TNN_E_FULL);
    assert_int_equal(tnn_seq_length(q), CONTEXT);
    tnn_seq_free(q);
}

static void test_ids_out_of_range(void **state) {
    (void)state;
    static const int32_t bad[] = {-1, VOCAB, INT32_MAX, INT32_MIN};
    tnn_error err;
    tnn_seq *q = default_seq();
    append(q, &(int32_t){1}, 1, TNN_WANT_NONE);
    for (int i = 0; i < 4; i++) {
        int32_t ids[3] = {1, 2, bad[i]};
        char number[32];
        snprintf(number, sizeof number, "id %d at index 2", (int)bad[i]);
        assert_int_equal(tnn_seq_append(q, ids, 3, TNN_WANT_LAST, NULL, NULL, &err), TNN_E_RANGE);
        assert_non_null(strstr(err.text, number));
        assert_non_null(strstr(err.text, "0..39"));
        assert_int_equal(tnn_seq_prompt(q, ids, 3, NULL, NULL, NULL, &err), TNN_E_RANGE);
        assert_non_null(strstr(err.text, number)); /* where the caller has it, not where it would be appended */
        assert_int_equal(tnn_seq_length(q), 1);
        assert_int_equal(tnn_seq_ids(q)[0], 1);
    }
    assert_int_equal(tnn_seq_append(q, NULL, -1, TNN_WANT_LAST, NULL, NULL, &err), TNN_E_ARG);
    assert_non_null(strstr(err.text, "-1"));
    assert_int_equal(tnn_seq_append(q, NULL, 0, TNN_WANT_LAST, NULL, NULL, &err), TNN_OK);
    assert_int_equal(tnn_seq_length(q), 1);
    assert_int_equal(tnn_seq_prompt(q, NULL, 0, NULL, NULL, NULL, &err), TNN_E_ARG);
    assert_int_equal(tnn_seq_append(q, &(int32_t){1}, 1, TNN_WANT_ALL, NULL, NULL, &err), TNN_E_ARG);
    tnn_seq_free(q);
}

typedef struct heard {
    int64_t pos[8], n[8];
    int calls, stop_at;
    bool had_logits;
} heard;

static bool listen(void *ctx, int64_t pos, int64_t n, const float *logits) {
    heard *h = ctx;
    h->pos[h->calls] = pos;
    h->n[h->calls] = n;
    h->had_logits |= logits != NULL;
    return ++h->calls != h->stop_at;
}

static void test_batches_and_cancellation(void **state) {
    (void)state;
    int32_t ids[20];
    tnn_error err;
    fill_ids(ids, 20);
    tnn_seq_options o = tnn_seq_options_default();
    o.n_batch = 8;
    tnn_seq *q = open_seq(o);
    heard h = {.stop_at = 0};
    assert_int_equal(tnn_seq_append(q, ids, 20, TNN_WANT_LAST, listen, &h, &err), TNN_OK);
    assert_int_equal(h.calls, 3);
    assert_false(h.had_logits);
    assert_true(h.pos[0] == 0 && h.pos[1] == 8 && h.pos[2] == 16);
    assert_true(h.n[0] == 8 && h.n[1] == 8 && h.n[2] == 4);
    assert_non_null(tnn_seq_logits(q));

    assert_int_equal(tnn_seq_truncate(q, 0, &err), TNN_OK);
    h = (heard){.stop_at = 2};
    assert_int_equal(tnn_seq_append(q, ids, 20, TNN_WANT_LAST, listen, &h, &err), TNN_E_CANCELLED);
    assert_non_null(strstr(err.text, "16 of 20"));
    assert_int_equal(tnn_seq_length(q), 16); /* what was computed stays */
    assert_memory_equal(tnn_seq_ids(q), ids, 16 * sizeof *ids);
    assert_null(tnn_seq_logits(q));
    int64_t reused;
    assert_int_equal(tnn_seq_prompt(q, ids, 20, &reused, NULL, NULL, &err), TNN_OK);
    assert_int_equal(reused, 16);
    tnn_seq_free(q);
}

static void test_truncate(void **state) {
    (void)state;
    int32_t ids[10];
    float before[VOCAB];
    tnn_error err;
    fill_ids(ids, 10);
    tnn_seq *q = default_seq();
    append(q, ids, 10, TNN_WANT_LAST);
    memcpy(before, tnn_seq_logits(q), sizeof before);
    assert_int_equal(tnn_seq_truncate(q, -1, &err), TNN_E_RANGE);
    assert_int_equal(tnn_seq_truncate(q, 11, &err), TNN_E_RANGE);
    assert_non_null(strstr(err.text, "11 of 10"));
    assert_int_equal(tnn_seq_truncate(q, 10, &err), TNN_OK);
    assert_non_null(tnn_seq_logits(q));
    assert_int_equal(tnn_seq_truncate(q, 9, &err), TNN_OK);
    assert_null(tnn_seq_logits(q));
    append(q, ids + 9, 1, TNN_WANT_LAST); /* as if nothing had been */
    for (int k = 0; k < VOCAB; k++) {
        assert_true(fabsf(before[k] - tnn_seq_logits(q)[k]) < 1e-4f);
    }
    tnn_seq_free(q);
}

/* --- prefix reuse --- */

static void prompt_reuses(tnn_seq *q, const int32_t *ids, int64_t n, int64_t want) {
    int64_t reused = -1;
    tnn_error err;
    if (tnn_seq_prompt(q, ids, n, &reused, NULL, NULL, &err)) fail_msg("%s", err.text);
    assert_int_equal(reused, want);
    assert_int_equal(tnn_seq_length(q), n);
    assert_memory_equal(tnn_seq_ids(q), ids, (size_t)n * sizeof *ids);
    tnn_seq *fresh = default_seq();
    append(fresh, ids, n, TNN_WANT_LAST);
    for (int k = 0; k < VOCAB; k++) {
        assert_true(fabsf(tnn_seq_logits(q)[k] - tnn_seq_logits(fresh)[k]) < 1e-4f);
    }
    tnn_seq_free(fresh);
}

static void test_prefix_reuse(void **state) {
    (void)state;
    int32_t ids[20], other[20];
    fill_ids(ids, 20);
    memcpy(other, ids, sizeof other);
    other[5] = (ids[5] + 1) % VOCAB;
    tnn_seq *q = default_seq();
    prompt_reuses(q, ids, 12, 0);
    prompt_reuses(q, ids, 20, 12); /* longer */
    prompt_reuses(q, ids, 20, 20); /* the same: its logits are still there */
    append(q, ids, 1, TNN_WANT_NONE);
    prompt_reuses(q, ids, 20, 19); /* they are not: the last is computed again */
    prompt_reuses(q, ids, 7, 6);   /* shorter */
    prompt_reuses(q, ids, 1, 0);
    prompt_reuses(q, ids, 20, 1);
    prompt_reuses(q, other, 20, 5); /* differs from the sixth on */
    prompt_reuses(q, ids, 20, 5);
    /* Handing in the sequence's own ids. */
    int64_t reused;
    assert_int_equal(tnn_seq_prompt(q, tnn_seq_ids(q), 15, &reused, NULL, NULL, NULL), TNN_OK);
    assert_int_equal(reused, 14);
    tnn_seq_free(q);
}

static void test_sequences_are_apart(void **state) {
    (void)state;
    int32_t ids[12];
    float alone[VOCAB];
    fill_ids(ids, 12);
    tnn_seq *a = default_seq(), *b = default_seq();
    append(a, ids, 12, TNN_WANT_LAST);
    memcpy(alone, tnn_seq_logits(a), sizeof alone);
    append(b, ids + 4, 6, TNN_WANT_LAST);
    assert_memory_equal(alone, tnn_seq_logits(a), sizeof alone);
    tnn_seq_truncate(a, 0, NULL);
    append(a, ids, 12, TNN_WANT_LAST);
    assert_memory_equal(alone, tnn_seq_logits(a), sizeof alone);
    tnn_seq_free(a);
    tnn_seq_free(b);
}

/* --- taps --- */

static void test_tap_patterns(void **state) {
    (void)state;
    static const char *const nothing[] = {"blk.2.resid_post", "resid_post", "lens",  "embed,blk.7.*",
                                          "embed,",           ",embed",     "EMBED", "blk.*.resid_post.x"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        tnn_seq_options o = tnn_seq_options_default();
        o.taps = nothing[i];
        tnn_seq *q;
        tnn_error err;
        tnn_status status = tnn_seq_new(&q, model, &o, &err);
        bool only_a_comma = i == 4; /* nothing follows it */
        assert_int_equal(status, only_a_comma ? TNN_OK : TNN_E_NOTFOUND);
        if (status) assert_non_null(strstr(err.text, "matches nothing"));
        tnn_seq_free(q);
    }
    tnn_seq_options o = tnn_seq_options_default();
    char longer[600];
    memset(longer, '*', sizeof longer - 1);
    memcpy(longer + 300, "x", 1);
    longer[sizeof longer - 1] = 0;
    o.taps = longer;
    options_refused(o, TNN_E_NOTFOUND, "***", "matches nothing");
    o.taps = "";
    tnn_seq *q = open_seq(o);
    assert_int_equal(tnn_seq_n_taps(q), 0);
    assert_null(tnn_seq_tap_name(q, 0));
    tnn_seq_free(q);
}

static const float *tap_named(const tnn_seq *q, const char *name, int64_t n_features, int64_t n_rows) {
    for (int64_t i = 0; i < tnn_seq_n_taps(q); i++) {
        int64_t features = 0, rows = 0;
        if (strcmp(tnn_seq_tap_name(q, i), name) != 0) continue;
        const float *values = tnn_seq_tap(q, i, &features, &rows);
        assert_int_equal(features, n_features);
        assert_int_equal(rows, n_rows);
        return values;
    }
    fail_msg("no tap %s", name);
    return NULL;
}

static void read_weight(const char *name, float *to, size_t n) {
    tnn_tensor *t = tnn_store_find(tnn_model_weights(model), name);
    assert_non_null(t);
    assert_int_equal(tnn_tensor_read(t, 0, to, n * sizeof *to, NULL), TNN_OK);
}

static void rms_norm(const float *x, const float *gamma, double *y) {
    double sum = 0;
    for (int i = 0; i < WIDTH; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    for (int i = 0; i < WIDTH; i++) {
        y[i] = (double)x[i] / sqrt(sum / WIDTH + 1e-5) * (double)gamma[i];
    }
}

/* The stages fit together: what one tap holds follows from another by hand. */
static void test_tap_values(void **state) {
    (void)state;
    enum { T = 5 };
    static float embedding[VOCAB * WIDTH];
    float final_gamma[WIDTH], attn_gamma[WIDTH];
    int32_t ids[T];
    fill_ids(ids, T);
    read_weight("token_embd.weight", embedding, VOCAB * WIDTH);
    read_weight("output_norm.weight", final_gamma, WIDTH);
    read_weight("blk.0.attn_norm.weight", attn_gamma, WIDTH);
    tnn_seq_options o = tnn_seq_options_default();
    o.taps = "embed,blk.*,final_norm,logits";
    tnn_seq *q = open_seq(o);
    append(q, ids, T, TNN_WANT_LAST);
    assert_int_equal(tnn_seq_n_taps(q), 1 + 2 * 4 + 2);

    const float *embed = tap_named(q, "embed", WIDTH, T), *norm = tap_named(q, "blk.0.attn_norm", WIDTH, T);
    const float *attn = tap_named(q, "blk.0.attn_out", WIDTH, T), *ffn = tap_named(q, "blk.0.ffn_out", WIDTH, T);
    const float *resid = tap_named(q, "blk.0.resid_post", WIDTH, T), *last = tap_named(q, "blk.1.resid_post", WIDTH, T);
    for (int t = 0; t < T; t++) {
        double normed[WIDTH];
        assert_memory_equal(embed + t * WIDTH, embedding + ids[t] * WIDTH, WIDTH * sizeof(float));
        rms_norm(embed + t * WIDTH, attn_gamma, normed);
        for (int i = t * WIDTH; i < (t + 1) * WIDTH; i++) {
            assert_true(fabs((double)norm[i] - normed[i - t * WIDTH]) < 1e-5);
            assert_true(fabsf(resid[i] - (embed[i] + attn[i] + ffn[i])) < 1e-4f);
        }
    }
    const float *final = tap_named(q, "final_norm", WIDTH, 1), *logits = tap_named(q, "logits", VOCAB, 1);
    assert_memory_equal(logits, tnn_seq_logits(q), VOCAB * sizeof(float));
    double normed[WIDTH];
    rms_norm(last + (T - 1) * WIDTH, final_gamma, normed);
    for (int v = 0; v < VOCAB; v++) {
        double dot = 0;
        for (int i = 0; i < WIDTH; i++) {
            if (v == 0) assert_true(fabs((double) final[i] - normed[i]) < 1e-5);
            dot += normed[i] * (double)embedding[v * WIDTH + i];
        }
        assert_true(fabs(dot - (double)logits[v]) < 1e-4);
    }
    tnn_seq_free(q);
}

/* Looking does not change what is seen. */
static void test_taps_change_nothing(void **state) {
    (void)state;
    int32_t ids[9];
    fill_ids(ids, 9);
    tnn_seq_options o = tnn_seq_options_default();
    tnn_seq *without = open_seq(o);
    o.taps = "*";
    tnn_seq *with = open_seq(o);
    append(without, ids, 9, TNN_WANT_LAST);
    append(with, ids, 9, TNN_WANT_LAST);
    for (int k = 0; k < VOCAB; k++) {
        assert_true(fabsf(tnn_seq_logits(with)[k] - tnn_seq_logits(without)[k]) < 1e-4f);
    }
    tnn_seq_free(with);
    tnn_seq_free(without);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context_and_batch),
        cmocka_unit_test(test_cache_types),
        cmocka_unit_test(test_q8_cache),
        cmocka_unit_test(test_bytes_are_told_before),
        cmocka_unit_test(test_context_is_not_overrun),
        cmocka_unit_test(test_ids_out_of_range),
        cmocka_unit_test(test_batches_and_cancellation),
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_prefix_reuse),
        cmocka_unit_test(test_sequences_are_apart),
        cmocka_unit_test(test_tap_patterns),
        cmocka_unit_test(test_tap_values),
        cmocka_unit_test(test_taps_change_nothing),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
