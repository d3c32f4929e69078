/*
 * Gates of the reference, by name, that no other test here bears the name of: heads wider together than the model,
 * llama3's RoPE factors, and the round trip through GGUF: what is trained gives, written, loaded and run, the loss it
 * had in training. (From-scratch curve, projection lens, QKV bias and B > 1 are in test_trainer.c; a quantised base
 * that stays as it is in test_lora.c.)
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

#include "support/temp_dir.h"

#define DATA TNN_TEST_SOURCE_DIR "/golden/data/"

enum { LENGTH = 40, N_STEPS = 12 };

static temp_dir dir;
static tnn_error err;

static int create_dir(void **state) {
    (void)state;
    temp_dir_create(&dir);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

static void ok(tnn_status status) {
    if (status) fail_msg("%s", err.text);
}

typedef struct trained {
    tnn_session *session;
    tnn_gguf *model;
    tnn_llama_arch *arch;
    tnn_store *store;
    tnn_trainer *trainer;
} trained;

static trained open_trained(const char *path) {
    trained r;
    tnn_llama_hparams hp;
    tnn_trainer_options o = tnn_trainer_options_default();
    o.n_rows = LENGTH;
    ok(tnn_session_new(&r.session, NULL, &err));
    ok(tnn_gguf_open(&r.model, path, NULL, &err));
    ok(tnn_llama_hparams_from_gguf(&hp, r.model, &err));
    ok(tnn_llama_arch_new(&r.arch, r.session, &hp, &err));
    ok(tnn_llama_arch_seed_from_gguf(r.arch, r.model, &err));
    ok(tnn_store_new(&r.store, r.session, &err));
    ok(tnn_llama_arch_load_trainable_from_gguf(r.arch, r.store, r.model, &err));
    ok(tnn_trainer_new(&r.trainer, r.session, r.arch, r.store, &o, &err));
    return r;
}

static void close_trained(trained *r) {
    tnn_trainer_free(r->trainer);
    tnn_llama_arch_free(r->arch);
    tnn_store_free(r->store);
    tnn_gguf_close(r->model);
    tnn_session_free(r->session);
}

static int32_t id_at(int i) {
    return (i * i + 3 * i + 1) % 90;
}

static tnn_batch_buffer one_sequence(void) {
    tnn_batch_buffer b;
    ok(tnn_batch_buffer_init(&b, LENGTH, NULL, &err));
    for (int i = 0; i < LENGTH; i++) {
        b.ids[i] = id_at(i);
        b.targets[i] = i + 1 < LENGTH ? id_at(i + 1) : -1;
        b.positions[i] = i;
    }
    tnn_batch_scale(&b, LENGTH - 1);
    return b;
}

/* The loss before the first step; what the weights give in the end is in *after. */
static double train(const trained *r, double *after) {
    tnn_batch_buffer b = one_sequence();
    tnn_batch view = tnn_batch_buffer_view(&b);
    double first = 0, loss;
    for (int step = 0; step < N_STEPS; step++) {
        ok(tnn_trainer_accumulate(r->trainer, &view, &loss, &err));
        ok(tnn_trainer_update(r->trainer, 3e-3f, NULL, &err));
        if (step == 0) first = loss;
    }
    ok(tnn_trainer_evaluate(r->trainer, &view, after, NULL, &err));
    tnn_batch_buffer_free(&b);
    return first;
}

typedef struct scoring {
    int64_t n_vocab;
    double sum;
} scoring;

static bool score(void *ctx, int64_t pos, int64_t n, const float *logits) {
    scoring *s = ctx;
    for (int64_t i = 0; i < n && pos + i + 1 < LENGTH; i++) {
        const float *row = logits + i * s->n_vocab;
        double sum = 0;
        for (int64_t k = 0; k < s->n_vocab; k++) {
            sum += exp((double)row[k]);
        }
        s->sum += log(sum) - (double)row[id_at((int)(pos + i + 1))];
    }
    return true;
}

/* The same loss of a file, through its logits. */
static double loss_of_file(tnn_session *s, const char *path) {
    tnn_model *m;
    tnn_seq *q;
    tnn_seq_options o = tnn_seq_options_default();
    int32_t ids[LENGTH];
    scoring sum = {.sum = 0};
    o.kv_type = TNN_TYPE_F32;
    o.n_ctx = LENGTH;
    for (int i = 0; i < LENGTH; i++) {
        ids[i] = id_at(i);
    }
    ok(tnn_model_load(&m, s, path, NULL, &err));
    ok(tnn_seq_new(&q, m, &o, &err));
    sum.n_vocab = tnn_model_hparams(m)->n_vocab;
    ok(tnn_seq_append(q, ids, LENGTH, TNN_WANT_ALL, score, &sum, &err));
    tnn_seq_free(q);
    tnn_model_free(m);
    return sum.sum / (LENGTH - 1);
}

static const char *train_and_write(const trained *r) {
    const char *out = temp_path(&dir, "out.gguf");
    double after, first = train(r, &after);
    tnn_export_options o = {.like = r->model, .type = TNN_TYPE_F32};
    ok(tnn_export_gguf(out, r->arch, r->store, &o, &err));
    double loaded = loss_of_file(r->session, out);
    printf("loss %.4f -> %.6f, loaded %.6f\n", first, after, loaded);
    assert_true(after < first - 0.5);
    assert_true(fabs(loaded - after) < 1e-4 * after);
    return out;
}

static void test_gguf_round_trip(void **state) {
    (void)state;
    static const char *const files[] = {"llama-mha-untied.gguf", "qwen2.gguf", "qwen3.gguf", "smollm3.gguf"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[512];
        snprintf(path, sizeof path, DATA "%s", files[i]);
        trained r = open_trained(path);
        train_and_write(&r);
        close_trained(&r);
    }
}

static void test_gqa_with_heads_wider_than_the_model(void **state) {
    (void)state;
    trained r = open_trained(DATA "llama-gqa.gguf");
    const tnn_llama_hparams *hp = tnn_llama_arch_hparams(r.arch);
    assert_true(hp->n_kv_heads < hp->n_heads);
    assert_true(hp->n_heads * hp->d_head != hp->d_model);
    train_and_write(&r);
    close_trained(&r);
}

static void test_llama3_rope(void **state) {
    (void)state;
    trained r = open_trained(DATA "llama-rope-freqs.gguf");
    const tnn_tensor *factors = tnn_store_find(r.store, "rope_freqs.weight");
    assert_non_null(factors);
    assert_false(tnn_tensor_trainable(factors));
    tnn_gguf *written;
    ok(tnn_gguf_open(&written, train_and_write(&r), NULL, &err));
    const tnn_gguf_tensor *before = tnn_gguf_tensor_at(r.model, tnn_gguf_find_tensor(r.model, "rope_freqs.weight")),
                          *after = tnn_gguf_tensor_at(written, tnn_gguf_find_tensor(written, "rope_freqs.weight"));
    assert_true(before && after && before->n_bytes == after->n_bytes);
    assert_memory_equal(before->data, after->data, before->n_bytes);
    tnn_gguf_close(written);
    close_trained(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gguf_round_trip),
        cmocka_unit_test(test_gqa_with_heads_wider_than_the_model),
        cmocka_unit_test(test_llama3_rope),
    };
    return cmocka_run_group_tests(tests, create_dir, remove_dir);
}
