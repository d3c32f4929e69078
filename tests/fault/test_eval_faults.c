/* Perplexity without memory, and with a caller that stops it: errors, no leak, and the sequence goes on afterwards. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <tinynn/eval.h>

#include "support/counting_allocator.h"

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
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
