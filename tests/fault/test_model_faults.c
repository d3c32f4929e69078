/*
 * No memory at the Nth request, for every N, once and from then on: loading, sequences, generation and training give
 * E_NOMEM, leak nothing, and work when there is memory again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tinynn/adapter.h>
#include <tinynn/checkpoint.h>
#include <tinynn/dataset.h>
#include <tinynn/export.h>
#include <tinynn/seq.h>
#include <tinynn/train.h>
#include <tinynn/trainer.h>

#include "support/counting_allocator.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

enum { ROWS = 6 };

static temp_dir dir;
static char dense_path[600], hybrid_path[600], adapter_path[600], out_path[600], data_path[600];
static const char *model_path; /* of these two */

static tnn_status open_session(tnn_session **s, counting_allocator *c, tnn_error *err) {
    tnn_allocator a = counting_interface(c);
    tnn_session_options o = tnn_session_options_default();
    o.allocator = &a;
    o.n_threads = 2;
    return tnn_session_new(s, &o, err);
}

/* --- what is tried --- */

typedef tnn_status attempt(tnn_session *s, const tnn_allocator *a, tnn_error *err);

static tnn_status generate(tnn_session *s, const tnn_allocator *a, tnn_error *err) {
    (void)a;
    tnn_model *m = NULL;
    tnn_seq *q = NULL;
    const char *stop = "never comes";
    tnn_generate_options o = tnn_generate_options_default();
    tnn_seq_options qo = tnn_seq_options_default();
    const int32_t prompt[] = {1, 2, 3, 4, 5};
    o.n_predict = 4;
    o.ignore_eos = true;
    o.stops = &stop;
    o.n_stops = 1;
    qo.n_batch = 4;
    qo.taps = "blk.*.resid_post";
    tnn_status status = tnn_model_load(&m, s, model_path, NULL, err);
    if (!status && model_path == dense_path) status = tnn_model_add_adapter(m, adapter_path, 1.0f, err);
    if (!status) status = tnn_seq_new(&q, m, &qo, err);
    if (!status) status = tnn_seq_append(q, prompt, 5, TNN_WANT_LAST, NULL, NULL, err);
    if (!status) status = tnn_seq_generate(q, prompt, 4, &o, NULL, err);
    tnn_seq_free(q);
    tnn_model_free(m);
    return status;
}

/* A sequence with states, in every way it can be kept and gone back. */
static tnn_status keep(tnn_session *s, const tnn_allocator *a, tnn_error *err) {
    (void)a;
    tnn_model *m = NULL;
    tnn_seq *q = NULL, *copy = NULL;
    tnn_seq_options qo = tnn_seq_options_default();
    const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7};
    qo.n_batch = 3;
    qo.taps = "blk.*.gdn_state";
    tnn_status status = tnn_model_load(&m, s, hybrid_path, NULL, err);
    if (!status) status = tnn_seq_new(&q, m, &qo, err);
    if (!status) status = tnn_seq_prompt(q, ids, 7, NULL, NULL, NULL, err);
    if (!status) status = tnn_seq_save(q, out_path, err);
    if (!status) status = tnn_seq_copy(&copy, q, err);
    if (!status) status = tnn_seq_truncate(q, 5, err);
    if (!status) status = tnn_seq_restore(q, out_path, err);
    if (!status) assert_memory_equal(tnn_seq_logits(q), tnn_seq_logits(copy), 40 * sizeof(float));
    tnn_seq_free(copy);
    tnn_seq_free(q);
    tnn_model_free(m);
    return status;
}

/* The sequence stays usable after a failure inside it. */
static counting_allocator *counter_in_use;

static tnn_status append_again(tnn_session *s, const tnn_allocator *a, tnn_error *err) {
    (void)a;
    tnn_model *m = NULL;
    tnn_seq *q = NULL;
    const int32_t prompt[] = {1, 2, 3, 4, 5};
    tnn_status status = tnn_model_load(&m, s, model_path, NULL, err);
    if (!status) status = tnn_seq_new(&q, m, NULL, err);
    if (!status) {
        status = tnn_seq_append(q, prompt, 5, TNN_WANT_LAST, NULL, NULL, err);
        if (status) {
            size_t fail_at = counter_in_use->fail_at;
            assert_null(tnn_seq_logits(q));
            assert_int_equal(tnn_seq_length(q), 0);
            counter_in_use->fail_at = 0;
            assert_int_equal(tnn_seq_append(q, prompt, 5, TNN_WANT_LAST, NULL, NULL, NULL), TNN_OK);
            assert_non_null(tnn_seq_logits(q));
            counter_in_use->fail_at = fail_at;
        }
    }
    tnn_seq_free(q);
    tnn_model_free(m);
    return status;
}

static tnn_status train_steps(tnn_trainer *t, tnn_error *err) {
    static const int32_t ids[ROWS] = {1, 2, 3, 4, 5, 6}, positions[ROWS] = {0, 1, 2, 3, 4, 5}, starts[ROWS] = {0},
                         targets[ROWS] = {2, 3, 4, 5, 6, -1};
    static const float weights[ROWS] = {0.2f, 0.2f, 0.2f, 0.2f, 0.2f, 0.0f};
    const tnn_batch batch = {ids, positions, starts, targets, weights, NULL};
    double loss;
    tnn_status status = tnn_trainer_accumulate(t, &batch, &loss, err);
    if (!status) status = tnn_trainer_update(t, 1e-3f, &loss, err);
    if (!status) status = tnn_trainer_evaluate(t, &batch, &loss, NULL, err);
    return status;
}

static tnn_status train(tnn_session *s, const tnn_allocator *a, tnn_error *err) {
    tnn_gguf *g = NULL;
    tnn_store *st = NULL;
    tnn_llama_arch *arch = NULL;
    tnn_trainer *t = NULL;
    tnn_llama_hparams hp;
    tnn_trainer_options o = tnn_trainer_options_default();
    tnn_gguf_open_options open = tnn_gguf_open_options_default();
    tnn_checkpoint_state state = {.best_loss = 1.0};
    const tnn_export_options export = {.type = TNN_TYPE_F32};
    o.n_rows = ROWS;
    o.recompute = true;
    open.allocator = a;
    tnn_status status = tnn_gguf_open(&g, model_path, &open, err);
    if (!status) status = tnn_llama_hparams_from_gguf(&hp, g, err);
    if (!status) status = tnn_store_new(&st, s, err);
    if (!status) status = tnn_llama_arch_new(&arch, s, &hp, err);
    if (!status) status = tnn_llama_arch_seed_from_gguf(arch, g, err);
    if (!status) status = tnn_llama_arch_load_trainable_from_gguf(arch, st, g, err);
    if (!status) status = tnn_trainer_new(&t, s, arch, st, &o, err);
    if (!status) status = train_steps(t, err);
    if (!status) status = tnn_checkpoint_save(out_path, t, &state, a, err);
    if (!status) status = tnn_checkpoint_load(out_path, t, &state, a, err);
    if (!status) status = tnn_export_gguf(out_path, arch, st, &export, err);
    tnn_trainer_free(t);
    tnn_llama_arch_free(arch);
    tnn_store_free(st);
    tnn_gguf_close(g);
    return status;
}

static tnn_status read_data(tnn_session *s, const tnn_allocator *a, tnn_error *err) {
    (void)s;
    tnn_gguf *g = NULL;
    tnn_tokenizer *t = NULL;
    tnn_chat_template *chat = NULL;
    tnn_dataset *d = NULL;
    tnn_batch_buffer b = {0};
    tnn_dataset_options o = tnn_dataset_options_default();
    tnn_gguf_open_options open = tnn_gguf_open_options_default();
    o.max_length = 64;
    open.allocator = a;
    tnn_status status = tnn_gguf_open(&g, model_path, &open, err);
    if (!status) status = tnn_tokenizer_new(&t, g, a, err);
    if (!status) status = tnn_chat_template_new(&chat, g, "chatml", a, err);
    if (!status) status = tnn_dataset_open_jsonl(&d, data_path, t, chat, &o, a, err);
    if (!status) status = tnn_batch_buffer_init(&b, 128, a, err);
    tnn_batch_buffer_free(&b);
    tnn_dataset_free(d);
    tnn_chat_template_free(chat);
    tnn_tokenizer_free(t);
    tnn_gguf_close(g);
    return status;
}

/* A run of LoRA with all it opens: model, tokenizer, template, rows, pairs, trainer. */
static tnn_status set_up_run(tnn_session *s, const tnn_allocator *a, tnn_error *err) {
    (void)a;
    tnn_run *r = NULL;
    tnn_train_config c = tnn_train_config_default(TNN_RECIPE_LORA);
    c.model = model_path;
    c.data = dir.path;
    c.chat_template = "chatml";
    c.batch_size = 1;
    c.max_seq_length = 64;
    tnn_status status = tnn_run_new(&r, s, &c, err);
    if (status) assert_null(r);
    tnn_run_free(r);
    return status;
}

/* --- every request --- */

static void fail_every_request(attempt *try, bool with_err) {
    for (int from = 0; from <= 1; from++) {
        for (size_t n = 1;; n++) {
            counting_allocator c = {.fail_at = n, .fail_from = from != 0};
            tnn_allocator a = counting_interface(&c);
            tnn_session *s = NULL;
            tnn_error err = {0};
            counter_in_use = &c;
            tnn_status status = open_session(&s, &c, with_err ? &err : NULL);
            if (!status) status = try(s, &a, with_err ? &err : NULL);
            tnn_session_free(s);
            assert_int_equal(c.live_blocks, 0);
            assert_int_equal(c.live_bytes, 0);
            if (c.requests < n) { /* nothing was refused any more */
                if (status) fail_msg("%s", err.text);
                assert_true(n > 20);
                printf("%zu requests\n", n - 1);
                break;
            }
            if (status != TNN_E_NOMEM) fail_msg("request %zu: status %d, %s", n, (int)status, err.text);
            if (with_err) assert_int_equal(err.status, TNN_E_NOMEM);
        }
    }
}

static void test_generation(void **state) {
    (void)state;
    fail_every_request(generate, true);
    fail_every_request(generate, false);
}

static void test_hybrid(void **state) {
    (void)state;
    model_path = hybrid_path;
    fail_every_request(generate, true);
    fail_every_request(append_again, true);
    fail_every_request(keep, true);
    fail_every_request(keep, false);
    fail_every_request(train, true);
    model_path = dense_path;
}

static void test_after_a_failure(void **state) {
    (void)state;
    fail_every_request(append_again, true);
}

static void test_training(void **state) {
    (void)state;
    fail_every_request(train, true);
    fail_every_request(train, false);
}

static void test_run(void **state) {
    (void)state;
    fail_every_request(set_up_run, true);
    fail_every_request(set_up_run, false);
}

static void test_data(void **state) {
    (void)state;
    fail_every_request(read_data, true);
}

static int make_files(void **state) {
    (void)state;
    temp_dir_create(&dir);
    snprintf(dense_path, sizeof dense_path, "%s/model.gguf", dir.path);
    snprintf(hybrid_path, sizeof hybrid_path, "%s/hybrid.gguf", dir.path);
    model_path = dense_path;
    snprintf(adapter_path, sizeof adapter_path, "%s/adapter.gguf", dir.path);
    snprintf(out_path, sizeof out_path, "%s/out", dir.path);
    snprintf(data_path, sizeof data_path, "%s/train.jsonl", dir.path);
    tiny_model m = tiny_model_default();
    m.tokenizer = m.biases = m.rope_freqs = true;
    tiny_model_write(&m, dense_path);
    tiny_model hybrid = tiny_model_hybrid();
    hybrid.n_layers = hybrid.gdn_interval = 2;
    tiny_model_write(&hybrid, hybrid_path);
    tiny_tensors pair = {.n = 0};
    tiny_add(&pair, "blk.0.attn_q.weight.lora_a", TNN_TYPE_F16, 32, 4);
    tiny_add(&pair, "blk.0.attn_q.weight.lora_b", TNN_TYPE_F32, 4, 32);
    tnn_gguf_writer *w;
    if (tnn_gguf_writer_new(&w, NULL, NULL)) return -1;
    tnn_gguf_set_str(w, "general.type", "adapter", 7);
    tnn_gguf_set_str(w, "general.architecture", "llama", 5);
    tnn_gguf_set_str(w, "adapter.type", "lora", 4);
    tiny_model_finish(w, &m, &pair, adapter_path);
    FILE *f = fopen(data_path, "w");
    if (!f) return -1;
    fputs("{\"messages\": [{\"role\": \"user\", \"content\": \"hello\"}, {\"role\": \"assistant\", \"content\": "
          "\"world\"}]}\n",
          f);
    return fclose(f);
}

static int remove_files(void **state) {
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generation), cmocka_unit_test(test_hybrid), cmocka_unit_test(test_after_a_failure),
        cmocka_unit_test(test_training),   cmocka_unit_test(test_data),   cmocka_unit_test(test_run),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
