/*
 * Tiny random models of every architecture, RoPE kind and form of hybrid against float64 logits computed from the
 * published formulas (make_tiny_models.py): max |dlogit| <= 1e-4, mean KL <= 1e-10. And what must not change them: how
 * the prompt is cut into batches (mean KL <= 1e-8), the number of threads (bit for bit), a prefix that is reused (bit
 * for bit).
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

#define DATA TNN_TEST_SOURCE_DIR "/golden/data/"

enum { T = 24, MAX_VOCAB = 128 };

static int32_t prompt[T];

typedef struct opened {
    tnn_session *session;
    tnn_model *model;
    tnn_seq *seq;
} opened;

static opened open_case(const char *name, int n_threads, int64_t n_batch, tnn_isa isa) {
    opened o;
    tnn_error err;
    char path[512];
    snprintf(path, sizeof path, DATA "%s.gguf", name);
    tnn_session_options so = tnn_session_options_default();
    so.n_threads = n_threads;
    so.isa = isa;
    tnn_seq_options qo = tnn_seq_options_default();
    qo.kv_type = TNN_TYPE_F32;
    qo.n_batch = n_batch;
    if (tnn_session_new(&o.session, &so, &err) || tnn_model_load(&o.model, o.session, path, NULL, &err) ||
        tnn_seq_new(&o.seq, o.model, &qo, &err)) {
        fail_msg("%s: %s", name, err.text);
    }
    return o;
}

static void close_case(opened *o) {
    tnn_seq_free(o->seq);
    tnn_model_free(o->model);
    tnn_session_free(o->session);
}

typedef struct rows {
    float logits[T * MAX_VOCAB];
    int64_t n_vocab;
} rows;

static bool keep_rows(void *ctx, int64_t pos, int64_t n, const float *logits) {
    rows *r = ctx;
    memcpy(r->logits + pos * r->n_vocab, logits, (size_t)(n * r->n_vocab) * sizeof *logits);
    return true;
}

static rows *run_case(const char *name, int n_threads, int64_t n_batch, tnn_isa isa) {
    opened o = open_case(name, n_threads, n_batch, isa);
    rows *r = calloc(1, sizeof *r);
    tnn_error err;
    r->n_vocab = tnn_model_hparams(o.model)->n_vocab;
    assert_true(r->n_vocab <= MAX_VOCAB);
    if (tnn_seq_append(o.seq, prompt, T, TNN_WANT_ALL, keep_rows, r, &err)) fail_msg("%s: %s", name, err.text);
    close_case(&o);
    return r;
}

/* Mean over rows of KL(p || q) of the softmax of two sets of logits. */
static double mean_kl(const double *p, const float *q, int64_t n_vocab) {
    double total = 0;
    for (int t = 0; t < T; t++) {
        double zp = 0, zq = 0, mp = -INFINITY, mq = -INFINITY;
        for (int64_t i = 0; i < n_vocab; i++) {
            mp = fmax(mp, p[t * n_vocab + i]);
            mq = fmax(mq, (double)q[t * n_vocab + i]);
        }
        for (int64_t i = 0; i < n_vocab; i++) {
            zp += exp(p[t * n_vocab + i] - mp);
            zq += exp((double)q[t * n_vocab + i] - mq);
        }
        for (int64_t i = 0; i < n_vocab; i++) {
            double lp = p[t * n_vocab + i] - mp - log(zp), lq = (double)q[t * n_vocab + i] - mq - log(zq);
            total += exp(lp) * (lp - lq);
        }
    }
    return total / T;
}

static void for_each_case(void (*check)(const char *name, int64_t n_vocab)) {
    FILE *f = fopen(DATA "cases.txt", "r");
    assert_non_null(f);
    char name[64];
    int n_vocab, n_cases = 0;
    while (fscanf(f, "%63s %d", name, &n_vocab) == 2) {
        check(name, n_vocab);
        n_cases++;
    }
    fclose(f);
    assert_true(n_cases >= 10);
}

static double *read_reference(const char *name, int64_t n_vocab) {
    char path[512];
    snprintf(path, sizeof path, DATA "%s.logits.f64", name);
    FILE *f = fopen(path, "rb");
    double *p = malloc(sizeof *p * (size_t)(T * n_vocab));
    assert_non_null(f);
    assert_int_equal(fread(p, sizeof *p, (size_t)(T * n_vocab), f), T * n_vocab);
    fclose(f);
    return p;
}

static void check_reference(const char *name, int64_t n_vocab) {
    double *want = read_reference(name, n_vocab);
    for (int isa = 0; isa < TNN_ISA_COUNT; isa++) {
        if (!tnn_isa_available((tnn_isa)isa)) continue;
        rows *got = run_case(name, 2, 512, (tnn_isa)isa);
        assert_int_equal(got->n_vocab, n_vocab);
        double worst = 0;
        for (int64_t i = 0; i < T * n_vocab; i++) {
            worst = fmax(worst, fabs(want[i] - (double)got->logits[i]));
        }
        double kl = mean_kl(want, got->logits, n_vocab);
        printf("%-20s %-10s max |dlogit| %.2e, mean KL %.2e\n", name, tnn_isa_name((tnn_isa)isa), worst, kl);
        assert_true(worst <= 1e-4);
        assert_true(kl <= 1e-10);
        free(got);
    }
    free(want);
}

static void check_batches(const char *name, int64_t n_vocab) {
    static const int64_t batches[] = {1, 7, 8, 13};
    rows *whole = run_case(name, 2, 512, TNN_ISA_COUNT - 1);
    double *p = malloc(sizeof *p * (size_t)(T * n_vocab));
    for (int64_t i = 0; i < T * n_vocab; i++) {
        p[i] = (double)whole->logits[i];
    }
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        rows *cut = run_case(name, 2, batches[i], TNN_ISA_COUNT - 1);
        double kl = mean_kl(p, cut->logits, n_vocab);
        assert_true(kl <= 1e-8);
        free(cut);
    }
    free(p);
    free(whole);
}

static void check_threads(const char *name, int64_t n_vocab) {
    static const int64_t batches[] = {1, 512};
    for (size_t i = 0; i < 2; i++) {
        rows *one = run_case(name, 1, batches[i], TNN_ISA_COUNT - 1);
        for (int n_threads = 2; n_threads <= 3; n_threads++) {
            rows *more = run_case(name, n_threads, batches[i], TNN_ISA_COUNT - 1);
            assert_memory_equal(one->logits, more->logits, (size_t)(T * n_vocab) * sizeof(float));
            free(more);
        }
        free(one);
    }
}

static void check_reuse(const char *name, int64_t n_vocab) {
    opened fresh = open_case(name, 2, 512, TNN_ISA_COUNT - 1), used = open_case(name, 2, 512, TNN_ISA_COUNT - 1);
    if (tnn_model_hparams(fresh.model)->gdn.n_key_heads > 0) { /* goes back to snapshots alone: test_seq_hybrid */
        close_case(&fresh);
        close_case(&used);
        return;
    }
    tnn_error err;
    int64_t reused = -1;
    int32_t other[T];
    memcpy(other, prompt, sizeof other);
    other[10] = (prompt[10] + 1) % (int32_t)n_vocab;
    /* What is computed after the common prefix starts from a batch border in both. */
    assert_int_equal(tnn_seq_append(fresh.seq, prompt, 10, TNN_WANT_NONE, NULL, NULL, &err), TNN_OK);
    assert_int_equal(tnn_seq_append(fresh.seq, prompt + 10, T - 10, TNN_WANT_LAST, NULL, NULL, &err), TNN_OK);
    assert_int_equal(tnn_seq_append(used.seq, other, 10, TNN_WANT_NONE, NULL, NULL, &err), TNN_OK);
    assert_int_equal(tnn_seq_append(used.seq, other + 10, T - 10, TNN_WANT_LAST, NULL, NULL, &err), TNN_OK);
    assert_int_equal(tnn_seq_prompt(used.seq, prompt, T, &reused, NULL, NULL, &err), TNN_OK);
    assert_int_equal(reused, 10);
    assert_memory_equal(tnn_seq_logits(fresh.seq), tnn_seq_logits(used.seq), (size_t)n_vocab * sizeof(float));
    assert_int_equal(tnn_seq_prompt(used.seq, prompt, T, &reused, NULL, NULL, &err), TNN_OK);
    assert_int_equal(reused, T);
    close_case(&fresh);
    close_case(&used);
}

static void test_float64_reference(void **state) {
    (void)state;
    for_each_case(check_reference);
}

static void test_batches(void **state) {
    (void)state;
    for_each_case(check_batches);
}

static void test_threads(void **state) {
    (void)state;
    for_each_case(check_threads);
}

static void test_reuse(void **state) {
    (void)state;
    for_each_case(check_reuse);
}

static int read_prompt(void **state) {
    (void)state;
    FILE *f = fopen(DATA "prompt.ids", "r");
    if (!f) return -1;
    int n = 0;
    while (n < T && fscanf(f, "%d", &prompt[n]) == 1) {
        n++;
    }
    fclose(f);
    return n == T ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float64_reference),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_reuse),
    };
    return cmocka_run_group_tests(tests, read_prompt, NULL);
}
