/*
 * Perplexity without memory, and with a caller that stops it: errors, no leak, and the sequence goes on afterwards. A
 * data set scored without memory, with two adapters beside the output.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tinynn/adapter.h>
#include <tinynn/eval.h>

#include "support/counting_allocator.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#define MODEL  TNN_TEST_SOURCE_DIR "/golden/data/llama-gqa.gguf"
#define N_IDS  100
#define WINDOW 24

typedef struct fixture {
    counting_allocator counter;
    tnn_allocator allocator;
    tnn_session *session;
    tnn_model *model;
    tnn_seq *seq;
    int32_t ids[N_IDS];
} fixture;

static void open_fixture(fixture *f, int64_t n_batch) {
    tnn_error err;
    f->counter = (counting_allocator){0};
    f->allocator = counting_interface(&f->counter);
    tnn_session_options session = tnn_session_options_default();
    session.allocator = &f->allocator;
    session.n_threads = 1;
    tnn_seq_options seq = tnn_seq_options_default();
    seq.n_ctx = WINDOW;
    seq.n_batch = n_batch;
    if (tnn_session_new(&f->session, &session, &err) != TNN_OK) fail_msg("%s", err.text);
    if (tnn_model_load(&f->model, f->session, MODEL, NULL, &err) != TNN_OK) fail_msg("%s", err.text);
    if (tnn_seq_new(&f->seq, f->model, &seq, &err) != TNN_OK) fail_msg("%s", err.text);
    int64_t n_vocab = tnn_model_hparams(f->model)->n_vocab;
    for (int i = 0; i < N_IDS; i++) {
        f->ids[i] = (int32_t)((i * 31 + 7) % n_vocab);
    }
}

static void close_fixture(fixture *f) {
    tnn_seq_free(f->seq);
    tnn_model_free(f->model);
    tnn_session_free(f->session);
    assert_int_equal(f->counter.live_blocks, 0);
    assert_int_equal(f->counter.live_bytes, 0);
}

static tnn_perplexity_options options_of(int64_t n_windows) {
    tnn_perplexity_options o = tnn_perplexity_options_default();
    o.n_ctx = WINDOW;
    o.n_windows = n_windows;
    o.n_threads = 2;
    return o;
}

static void test_every_allocation_fails(void **state) {
    (void)state;
    tnn_perplexity_options o = options_of(2);
    for (size_t n = 1;; n++) {
        fixture f;
        tnn_error err;
        tnn_perplexity_result r;
        open_fixture(&f, WINDOW);
        size_t before = f.counter.requests;
        f.counter.fail_at = before + n;
        tnn_status status = tnn_perplexity(&r, f.seq, f.ids, N_IDS, &o, &err);
        bool refused = f.counter.requests >= before + n;
        f.counter.fail_at = 0;
        if (refused) {
            assert_int_equal(status, TNN_E_NOMEM);
            assert_int_equal(tnn_perplexity(&r, f.seq, f.ids, N_IDS, &o, &err), TNN_OK);
        }
        assert_int_equal(r.n_windows, 2);
        assert_true(isfinite(r.ppl) && r.ppl > 1);
        close_fixture(&f);
        if (!refused) {
            assert_int_equal(status, TNN_OK);
            assert_true(n > 3);
            break;
        }
    }
}

/* --- a data set --- */

static temp_dir dir;

static void write_file(const char *name, const char *text) {
    FILE *f = fopen(temp_path(&dir, name), "wb");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* A model with an output of its own, and an adapter beside that. */
static void write_untied(void) {
    tnn_session *s;
    tnn_store *st;
    tnn_error err;
    float values[TINY_VOCAB * 2];
    tiny_model m = tiny_model_default();
    m.tokenizer = m.untied = true;
    tiny_model_write(&m, temp_path(&dir, "model.gguf"));
    assert_int_equal(tnn_session_new(&s, NULL, &err), TNN_OK);
    assert_int_equal(tnn_store_new(&st, s, &err), TNN_OK);
    tnn_tensor *a = tnn_store_tensor(st, "a", TNN_TYPE_F32, 2, (const int64_t[]){m.d_model, 2}, &err);
    tnn_tensor *b = tnn_store_tensor(st, "b", TNN_TYPE_F32, 2, (const int64_t[]){2, TINY_VOCAB}, &err);
    tiny_random("pair", values, TINY_VOCAB * 2, 0.0f, 0.5f);
    assert_int_equal(tnn_tensor_write(a, 0, values, tnn_tensor_bytes(a), &err), TNN_OK);
    assert_int_equal(tnn_tensor_write(b, 0, values, tnn_tensor_bytes(b), &err), TNN_OK);
    const tnn_adapter_pair pair = {"output.weight", a, b};
    if (tnn_adapter_save(temp_path(&dir, "adapter.gguf"), "llama", NULL, 4.0f, &pair, 1, NULL, &err))
        fail_msg("%s", err.text);
    tnn_store_free(st);
    tnn_session_free(s);
}

/* Scores with the n-th allocation refused; false if there are fewer. *loss gets what comes of it with all. */
static bool evaluate_refusing(size_t n, double *loss) {
    counting_allocator counter = {0};
    tnn_allocator allocator = counting_interface(&counter);
    tnn_session_options so = tnn_session_options_default();
    tnn_dataset_options d = tnn_dataset_options_default();
    tnn_session *s;
    tnn_model *m;
    tnn_dataset *data;
    tnn_evaluation r;
    tnn_error err;
    so.allocator = &allocator;
    so.n_threads = 1;
    assert_int_equal(tnn_session_new(&s, &so, &err), TNN_OK);
    assert_int_equal(tnn_model_load(&m, s, temp_path(&dir, "model.gguf"), NULL, &err), TNN_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(tnn_model_add_adapter(m, temp_path(&dir, "adapter.gguf"), 1.0f, &err), TNN_OK);
    assert_int_equal(tnn_dataset_open_jsonl(&data, temp_path(&dir, "rows.jsonl"), tnn_model_tokenizer(m), NULL, &d,
                                            NULL, &err),
                     TNN_OK);
    size_t before = counter.requests;
    counter.fail_at = before + n;
    tnn_status status = tnn_evaluate(&r, m, data, NULL, &err);
    bool refused = counter.requests >= before + n;
    counter.fail_at = 0;
    assert_int_equal(status, refused ? TNN_E_NOMEM : TNN_OK);
    assert_int_equal(tnn_evaluate(&r, m, data, NULL, &err), TNN_OK);
    *loss = r.loss;
    tnn_dataset_free(data);
    tnn_model_free(m);
    tnn_session_free(s);
    assert_int_equal(counter.live_blocks, 0);
    return refused;
}

static void test_data_without_memory(void **state) {
    (void)state;
    double first, loss;
    size_t n = 1;
    temp_dir_create(&dir);
    write_untied();
    write_file("rows.jsonl", "{\"text\": \"the hero\"}\n{\"text\": \"he said\"}\n");
    for (evaluate_refusing(n++, &first); evaluate_refusing(n, &loss); n++) {
        assert_true(loss == first);
    }
    assert_true(loss == first && n > 5);
    temp_dir_remove(&dir);
}

static bool stop_later(void *ctx, const tnn_perplexity_result *so_far) {
    return so_far->n_windows < *(int64_t *)ctx;
}

static bool stop_at_batch(void *ctx, tnn_seq *q, int64_t pos, int64_t n) {
    (void)q;
    (void)pos;
    (void)n;
    return --*(int64_t *)ctx >= 0;
}

static void test_stopped(void **state) {
    (void)state;
    fixture f;
    tnn_error err;
    tnn_perplexity_result all, r;
    open_fixture(&f, 5);
    tnn_perplexity_options o = options_of(0);
    assert_int_equal(tnn_perplexity(&all, f.seq, f.ids, N_IDS, &o, &err), TNN_OK);
    assert_int_equal(all.n_windows, N_IDS / WINDOW);
    assert_int_equal(all.n_scored, N_IDS / WINDOW * (WINDOW - 1 - WINDOW / 2));

    int64_t left = 2;
    o.ctx = &left;
    o.on_window = stop_later;
    assert_int_equal(tnn_perplexity(&r, f.seq, f.ids, N_IDS, &o, &err), TNN_E_CANCELLED);
    assert_int_equal(r.n_windows, 2);
    o.on_window = NULL;
    o.on_batch = stop_at_batch;
    assert_int_equal(tnn_perplexity(&r, f.seq, f.ids, N_IDS, &o, &err), TNN_E_CANCELLED);
    assert_int_equal(r.n_windows, 0);

    o = options_of(0);
    o.n_threads = 1;
    assert_int_equal(tnn_perplexity(&r, f.seq, f.ids, N_IDS, &o, &err), TNN_OK);
    assert_true(r.ppl == all.ppl && r.ppl_error == all.ppl_error);
    close_fixture(&f);
}

static void test_refused(void **state) {
    (void)state;
    fixture f;
    tnn_error err;
    tnn_perplexity_result r;
    open_fixture(&f, 5);
    tnn_perplexity_options o = options_of(0);
    const int64_t windows[] = {-1, 0, 3, WINDOW + 1, INT64_MAX};
    for (int i = 0; i < 5; i++) {
        o.n_ctx = windows[i];
        assert_int_equal(tnn_perplexity(&r, f.seq, f.ids, N_IDS, &o, &err), TNN_E_RANGE);
    }
    o = options_of(0);
    assert_int_equal(tnn_perplexity(&r, f.seq, f.ids, WINDOW - 1, &o, &err), TNN_E_RANGE);
    o.bos = 1000000;
    assert_int_equal(tnn_perplexity(&r, f.seq, f.ids, N_IDS, &o, &err), TNN_E_RANGE);
    o = options_of(0);
    f.ids[N_IDS - 1] = -1;
    assert_int_equal(tnn_perplexity(&r, f.seq, f.ids, N_IDS, &o, &err), TNN_E_RANGE);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_fails),
        cmocka_unit_test(test_data_without_memory),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
