/*
 * Sequences of hybrid models: memory that does not grow with the context, going back to snapshots within a budget,
 * copies, files and what they refuse, taps of states. What was gone back to must be what a fresh sequence computes.
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

#include "base/checksum.h"
#include "support/temp_dir.h"

#define DATA TNN_TEST_SOURCE_DIR "/golden/data/"

enum { N = 60, VOCAB = 96 };

static tnn_session *session;
static tnn_model *model, *attention, *other; /* a hybrid, one without GDN layers, another hybrid */
static temp_dir dir;
static int32_t ids[N];
static tnn_error err;

static void ok(tnn_status status) {
    if (status) fail_msg("%s", err.text);
}

static tnn_model *load(const char *name) {
    char path[512];
    tnn_model *m;
    snprintf(path, sizeof path, DATA "%s.gguf", name);
    ok(tnn_model_load(&m, session, path, NULL, &err));
    return m;
}

static tnn_seq *open_seq(tnn_model *m, int64_t n_ctx, int64_t n_batch, int64_t snapshot_bytes) {
    tnn_seq_options o = tnn_seq_options_default();
    tnn_seq *q;
    o.n_ctx = n_ctx;
    o.n_batch = n_batch;
    o.kv_type = TNN_TYPE_F32;
    if (snapshot_bytes >= 0) o.snapshot_bytes = snapshot_bytes;
    ok(tnn_seq_new(&q, m, &o, &err));
    return q;
}

static void append(tnn_seq *q, const int32_t *from, int64_t n) {
    ok(tnn_seq_append(q, from, n, TNN_WANT_LAST, NULL, NULL, &err));
}

/* The logits of q are those of a fresh sequence of its ids, computed one by one. */
static void is_fresh(const tnn_seq *q, tnn_model *m) {
    int64_t n = tnn_seq_length(q);
    tnn_seq *fresh = open_seq(m, 64, 1, 0);
    append(fresh, tnn_seq_ids(q), n);
    assert_non_null(tnn_seq_logits(q));
    for (int k = 0; k < VOCAB; k++) {
        assert_true(fabsf(tnn_seq_logits(q)[k] - tnn_seq_logits(fresh)[k]) < 1e-4f);
    }
    tnn_seq_free(fresh);
}

/* Bytes of one layer's states: of `conv` inputs less than the width, and of the heads. */
static size_t state_bytes(const tnn_model *m) {
    const tnn_gdn_hparams *gdn = &tnn_model_hparams(m)->gdn;
    int64_t channels = gdn->d_head * (2 * gdn->n_key_heads + gdn->n_value_heads);
    return sizeof(float) * (size_t)(gdn->d_head * gdn->d_head * gdn->n_value_heads + channels * (gdn->conv_width - 1));
}

static void test_memory(void **state) {
    (void)state;
    const tnn_llama_hparams *hp = tnn_model_hparams(model);
    for (int64_t n_ctx = 16; n_ctx <= 1024; n_ctx *= 8) {
        tnn_seq_options o = {.n_ctx = n_ctx, .n_batch = 16, .kv_type = TNN_TYPE_F32};
        size_t cache, workspace;
        ok(tnn_seq_bytes(model, &o, &cache, &workspace, &err));
        /* Three layers of GDN, one of attention. */
        size_t kv = 2 * sizeof(float) * (size_t)(n_ctx * hp->d_head * hp->n_kv_heads);
        assert_int_equal(cache, kv + 3 * state_bytes(model));
    }
}

static void test_batches(void **state) {
    (void)state;
    static const int64_t batches[] = {1, 3, 8, 31, 64};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        tnn_seq *q = open_seq(model, 64, batches[i], -1);
        append(q, ids, N);
        is_fresh(q, model);
        tnn_seq_free(q);
    }
}

static void test_truncate(void **state) {
    (void)state;
    tnn_seq *q = open_seq(model, 64, 8, -1);
    append(q, ids, N);
    assert_int_equal(tnn_seq_kept_prefix(q, N), N);
    assert_int_equal(tnn_seq_kept_prefix(q, N - 1), 56);
    assert_int_equal(tnn_seq_kept_prefix(q, 48), 48);
    assert_int_equal(tnn_seq_kept_prefix(q, 7), 0);
    for (int64_t n = 50; n >= 0; n -= 10) {
        ok(tnn_seq_truncate(q, n, &err));
        assert_int_equal(tnn_seq_length(q), n);
        assert_memory_equal(tnn_seq_ids(q), ids, (size_t)n * sizeof *ids);
        assert_null(tnn_seq_logits(q));
        append(q, ids + 5, 3);
        is_fresh(q, model);
    }
    tnn_seq_free(q);
}

static void prompt(tnn_seq *q, const int32_t *from, int64_t n, int64_t want) {
    int64_t reused = -1;
    ok(tnn_seq_prompt(q, from, n, &reused, NULL, NULL, &err));
    assert_int_equal(reused, want);
    assert_int_equal(tnn_seq_length(q), n);
    assert_memory_equal(tnn_seq_ids(q), from, (size_t)n * sizeof *from);
    is_fresh(q, model);
}

static void test_prompts(void **state) {
    (void)state;
    int32_t changed[N];
    memcpy(changed, ids, sizeof changed);
    changed[20] = (ids[20] + 1) % VOCAB;
    tnn_seq *q = open_seq(model, 64, 16, -1);
    prompt(q, ids, 30, 0);
    prompt(q, ids, 30, 30); /* nothing has changed */
    append(q, ids + 40, 9); /* an answer, say */
    prompt(q, ids, 30, 29); /* the same prompt again */
    append(q, ids + 30, 9);
    prompt(q, ids, 45, 39); /* goes on after the answer */
    prompt(q, changed, 45, 16);
    prompt(q, ids + 1, 30, 0);
    prompt(q, ids + 1, 1, 0);
    tnn_seq_free(q);
}

static void test_budget(void **state) {
    (void)state;
    int64_t one = (int64_t)(3 * state_bytes(model));
    for (int64_t n_kept = 0; n_kept <= 4; n_kept++) {
        tnn_seq *q = open_seq(model, 64, 4, n_kept * one + one - 1);
        append(q, ids, N);
        int64_t last = N - 1, n = n_kept > 0; /* the newest, at N */
        for (int64_t at; (at = tnn_seq_kept_prefix(q, last)) > 0; last = at - 1) {
            n++;
        }
        assert_int_equal(n, n_kept);
        /* They are spread over the whole of it. */
        if (n_kept == 4) assert_true(tnn_seq_kept_prefix(q, 32) >= 8);
        ok(tnn_seq_truncate(q, 33, &err));
        append(q, ids, 2);
        is_fresh(q, model);
        tnn_seq_free(q);
    }
    tnn_seq_options o = tnn_seq_options_default();
    tnn_seq *q;
    o.snapshot_bytes = -1;
    assert_int_equal(tnn_seq_new(&q, model, &o, &err), TNN_E_RANGE);
}

static void same_future(tnn_seq *a, tnn_seq *b) {
    assert_int_equal(tnn_seq_length(a), tnn_seq_length(b));
    assert_memory_equal(tnn_seq_ids(a), tnn_seq_ids(b), (size_t)tnn_seq_length(a) * sizeof *ids);
    assert_memory_equal(tnn_seq_logits(a), tnn_seq_logits(b), VOCAB * sizeof(float));
    append(a, ids + 3, 5);
    append(b, ids + 3, 5);
    assert_memory_equal(tnn_seq_logits(a), tnn_seq_logits(b), VOCAB * sizeof(float));
}

static void test_copy(void **state) {
    (void)state;
    tnn_model *const models[] = {model, attention};
    for (int i = 0; i < 2; i++) {
        tnn_seq *q = open_seq(models[i], 64, 8, -1), *copy;
        append(q, ids, 21);
        ok(tnn_seq_copy(&copy, q, &err));
        same_future(q, copy);
        append(copy, ids, 9); /* they are apart */
        is_fresh(q, models[i]);
        is_fresh(copy, models[i]);
        ok(tnn_seq_truncate(copy, 4, &err));
        append(copy, ids, 1);
        is_fresh(copy, models[i]);
        tnn_seq_free(copy);
        tnn_seq_free(q);
    }
}

static void test_file(void **state) {
    (void)state;
    tnn_model *const models[] = {model, attention};
    char path[1024];
    snprintf(path, sizeof path, "%s", temp_path(&dir, "seq"));
    for (int i = 0; i < 2; i++) {
        tnn_seq *q = open_seq(models[i], 64, 8, -1), *restored = open_seq(models[i], 100, 8, -1);
        append(q, ids, 21);
        append(restored, ids + 5, 40);
        ok(tnn_seq_save(q, path, &err));
        ok(tnn_seq_restore(restored, path, &err));
        same_future(q, restored);
        ok(tnn_seq_truncate(restored, 10, &err));
        append(restored, ids, 1);
        is_fresh(restored, models[i]);

        ok(tnn_seq_truncate(q, 0, &err)); /* nothing, without logits */
        ok(tnn_seq_save(q, path, &err));
        ok(tnn_seq_restore(restored, path, &err));
        assert_int_equal(tnn_seq_length(restored), 0);
        assert_null(tnn_seq_logits(restored));
        append(restored, ids, 3);
        is_fresh(restored, models[i]);
        tnn_seq_free(restored);
        tnn_seq_free(q);
    }
}

static void refuses(tnn_seq *q, const char *path, tnn_status want, const char *fragment) {
    assert_int_equal(tnn_seq_restore(q, path, &err), want);
    if (!strstr(err.text, fragment)) fail_msg("\"%s\" lacks \"%s\"", err.text, fragment);
}

/* The n bytes of a saved sequence under a right checksum. */
static void forge(const char *path, const uint8_t *bytes, size_t n) {
    tnn__checksum sum = tnn__checksum_begin();
    tnn__checksum_add(&sum, bytes, n - sizeof(uint64_t));
    uint64_t end = tnn__checksum_end(&sum);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n - sizeof end, f), n - sizeof end);
    assert_int_equal(fwrite(&end, 1, sizeof end, f), sizeof end);
    fclose(f);
}

/* After the magic: fingerprint, type, length, whether there are logits; then the ids. */
static void refuses_forged(tnn_seq *q, const char *bad, uint8_t *bytes, size_t n) {
    static const int64_t lengths[] = {-1, 0, 20, 22, 64, 65, INT64_MAX, INT64_MIN};
    static const int32_t wrong_ids[] = {-1, VOCAB, INT32_MAX, INT32_MIN};
    uint8_t *length = bytes + 24, *last_id = bytes + 40 + 20 * sizeof(int32_t), kept[8];
    forge(bad, bytes, n);
    ok(tnn_seq_restore(q, bad, &err));
    memcpy(kept, length, sizeof kept);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        memcpy(length, &lengths[i], sizeof *lengths);
        forge(bad, bytes, n);
        refuses(q, bad, lengths[i] <= 64 ? TNN_E_FORMAT : TNN_E_FULL, "bad");
    }
    memcpy(length, kept, sizeof kept);
    memcpy(kept, last_id, sizeof(int32_t));
    for (size_t i = 0; i < sizeof wrong_ids / sizeof *wrong_ids; i++) {
        memcpy(last_id, &wrong_ids[i], sizeof *wrong_ids);
        forge(bad, bytes, n);
        refuses(q, bad, TNN_E_FORMAT, "vocabulary");
    }
    memcpy(last_id, kept, sizeof(int32_t));
}

static void test_files_that_are_refused(void **state) {
    (void)state;
    char path[1024], bad[1024];
    static uint8_t bytes[1 << 16];
    snprintf(path, sizeof path, "%s", temp_path(&dir, "seq"));
    snprintf(bad, sizeof bad, "%s", temp_path(&dir, "bad"));
    tnn_seq *q = open_seq(model, 64, 8, -1);
    append(q, ids, 21);
    ok(tnn_seq_save(q, path, &err));

    tnn_seq *small = open_seq(model, 20, 8, -1), *of_other = open_seq(other, 64, 8, -1), *of_type;
    tnn_seq_options o = tnn_seq_options_default();
    ok(tnn_seq_new(&of_type, model, &o, &err));
    refuses(small, path, TNN_E_FULL, "21 tokens");
    refuses(of_other, path, TNN_E_ARG, "another model");
    refuses(of_type, path, TNN_E_ARG, "F16");
    refuses(q, temp_path(&dir, "none"), TNN_E_IO, "none");
    tnn_seq_free(small);
    tnn_seq_free(of_other);
    tnn_seq_free(of_type);

    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_true(n > 1000 && n < sizeof bytes);
    for (size_t at = 0; at < n; at += 97) {
        bytes[at] ^= 0x10;
        assert_non_null(f = fopen(bad, "wb"));
        assert_int_equal(fwrite(bytes, 1, n, f), n);
        fclose(f);
        bytes[at] ^= 0x10;
        refuses(q, bad, TNN_E_FORMAT, "bad");
    }
    for (size_t cut = 0; cut < n; cut += 1009) {
        assert_non_null(f = fopen(bad, "wb"));
        assert_int_equal(fwrite(bytes, 1, cut, f), cut);
        fclose(f);
        refuses(q, bad, TNN_E_FORMAT, "bad");
    }
    refuses_forged(q, bad, bytes, n);
    is_fresh(q, model); /* q is as it was */
    tnn_seq_free(q);
}

static const float *tap(const tnn_seq *q, const char *name, int64_t *n_features, int64_t *n_rows) {
    for (int64_t i = 0; i < tnn_seq_n_taps(q); i++) {
        if (strcmp(tnn_seq_tap_name(q, i), name) == 0) return tnn_seq_tap(q, i, n_features, n_rows);
    }
    fail_msg("no tap %s", name);
    return NULL;
}

static void test_taps(void **state) {
    (void)state;
    tnn_seq_options o = {.n_ctx = 64, .n_batch = 16, .kv_type = TNN_TYPE_F32};
    tnn_seq *whole, *single;
    int64_t n, rows, heads = tnn_model_hparams(model)->gdn.n_value_heads;
    o.taps = "blk.*.gdn_state,blk.1.decay,blk.1.beta";
    ok(tnn_seq_new(&whole, model, &o, &err));
    o.n_batch = 1;
    ok(tnn_seq_new(&single, model, &o, &err));
    append(whole, ids, 16);
    append(single, ids, 16);
    assert_int_equal(tnn_seq_n_taps(whole), 3 + 2); /* the fourth layer has no state */
    const float *decay = tap(whole, "blk.1.decay", &n, &rows), *beta = tap(whole, "blk.1.beta", &n, &rows);
    assert_true(n == heads && rows == 16);
    for (int64_t i = 0; i < n * rows; i++) {
        assert_true(decay[i] < 0 && isfinite(decay[i]));
        assert_true(beta[i] > 0 && beta[i] < 1);
    }
    for (int layer = 0; layer < 3; layer++) {
        char name[32];
        snprintf(name, sizeof name, "blk.%d.gdn_state", layer);
        const float *a = tap(whole, name, &n, &rows), *b = tap(single, name, &n, &rows);
        assert_true(n == heads && rows == 1);
        for (int64_t h = 0; h < heads; h++) {
            assert_true(a[h] > 0 && fabsf(a[h] - b[h]) < 1e-4f * a[h]);
        }
    }
    tnn_seq_free(whole);
    tnn_seq_free(single);

    o.taps = "blk.3.gdn_state";
    assert_int_equal(tnn_seq_new(&whole, model, &o, &err), TNN_E_NOTFOUND);
    o.taps = "blk.0.decay";
    assert_int_equal(tnn_seq_new(&whole, attention, &o, &err), TNN_E_NOTFOUND);
}

static int set_up(void **state) {
    (void)state;
    tnn_session_options o = tnn_session_options_default();
    o.n_threads = 2;
    ok(tnn_session_new(&session, &o, &err));
    temp_dir_create(&dir);
    model = load("qwen35");
    attention = load("qwen3");
    other = load("qwen35-mtp");
    for (int i = 0; i < N; i++) {
        ids[i] = (i * i * 7 + i * 13 + 5) % VOCAB;
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    tnn_model_free(model);
    tnn_model_free(attention);
    tnn_model_free(other);
    tnn_session_free(session);
    temp_dir_remove(&dir);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),   cmocka_unit_test(test_batches),
        cmocka_unit_test(test_truncate), cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_budget),   cmocka_unit_test(test_copy),
        cmocka_unit_test(test_file),     cmocka_unit_test(test_files_that_are_refused),
        cmocka_unit_test(test_taps),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
