/* The sampler: each filter alone, the chain, penalties, repeatability, the drawn distribution, and what it refuses. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/sampler.h>

#include "support/counting_allocator.h"

/* Everything off but the draw itself. */
static tnn_sampler_params plain(void) {
    tnn_sampler_params p = tnn_sampler_params_default();
    p.temperature = 1;
    p.top_k = 0;
    p.top_p = 1;
    p.min_p = 0;
    p.repeat_last_n = 0;
    return p;
}

static tnn_sampler *make(tnn_sampler_params p, int32_t n_vocab) {
    tnn_sampler *s;
    tnn_error err = {0};
    if (tnn_sampler_new(&s, &p, n_vocab, NULL, &err)) fail_msg("%s", err.text);
    return s;
}

static int32_t sample(tnn_sampler *s, const float *logits, uint64_t position) {
    int32_t id = -1;
    tnn_error err = {0};
    if (tnn_sampler_sample(s, logits, position, &id, &err)) fail_msg("%s", err.text);
    return id;
}

static void accept(tnn_sampler *s, int32_t id) {
    assert_int_equal(tnn_sampler_accept(s, id, NULL), TNN_OK);
}

/* How often each of n tokens is drawn at positions 0 to draws - 1. */
static void count_draws(tnn_sampler_params p, const float *logits, int32_t n, int draws, int *counts) {
    tnn_sampler *s = make(p, n);
    memset(counts, 0, (size_t)n * sizeof *counts);
    for (int i = 0; i < draws; i++)
        counts[sample(s, logits, (uint64_t)i)]++;
    tnn_sampler_free(s);
}

/* Tokens that are ever drawn, as bits. */
static unsigned support(tnn_sampler_params p, const float *logits, int32_t n) {
    int counts[32];
    unsigned bits = 0;
    count_draws(p, logits, n, 20000, counts);
    for (int32_t i = 0; i < n; i++)
        bits |= counts[i] ? 1u << i : 0;
    return bits;
}

static const float shares[] = {0.1f, 0.4f, 0.05f, 0.3f, 0.15f}; /* ids by share: 1 3 4 0 2 */

static void share_logits(float *logits) {
    for (int i = 0; i < 5; i++)
        logits[i] = logf(shares[i]) + 3.0f;
}

static void defaults(void **state) {
    (void)state;
    tnn_sampler_params p = tnn_sampler_params_default();
    assert_true(p.temperature == 0.8f && p.top_p == 0.95f && p.min_p == 0.05f && p.typical_p == 1.0f);
    assert_true(p.repeat_penalty == 1.0f && p.presence_penalty == 0.0f && p.frequency_penalty == 0.0f);
    assert_int_equal(p.top_k, 40);
    assert_int_equal(p.repeat_last_n, 64);
    tnn_sampler *s;
    assert_int_equal(tnn_sampler_new(&s, NULL, 5, NULL, NULL), TNN_OK);
    float logits[5];
    share_logits(logits);
    assert_in_range(sample(s, logits, 0), 0, 4);
    tnn_sampler_free(s);
    tnn_sampler_free(NULL);
}

static void greedy(void **state) {
    (void)state;
    tnn_sampler_params p = tnn_sampler_params_default();
    p.temperature = 0;
    p.typical_p = 0.2f; /* would leave out the likeliest */
    tnn_sampler *s = make(p, 6);
    const float logits[] = {-5, 2, 7, 7, -INFINITY, 6.9f};
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(sample(s, logits, i), 2); /* the lower id of equals */
    tnn_sampler_free(s);
}

/* Drawn as often as their shares say: chi-squared with 4 degrees of freedom; 23.5 is exceeded once in 10,000. */
static void distribution(void **state) {
    (void)state;
    enum { DRAWS = 200000 };
    float logits[5];
    int counts[5];
    share_logits(logits);
    count_draws(plain(), logits, 5, DRAWS, counts);
    double chi2 = 0;
    for (int i = 0; i < 5; i++) {
        double expected = (double)shares[i] * DRAWS;
        chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    assert_true(chi2 < 23.5);

    tnn_sampler_params hot = plain(); /* at temperature 2 shares go with their square roots */
    hot.temperature = 2;
    double sum = 0;
    for (int i = 0; i < 5; i++)
        sum += sqrt((double)shares[i]);
    count_draws(hot, logits, 5, DRAWS, counts);
    chi2 = 0;
    for (int i = 0; i < 5; i++) {
        double expected = sqrt((double)shares[i]) / sum * DRAWS;
        chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    assert_true(chi2 < 23.5);
}

static void filters(void **state) {
    (void)state;
    float logits[5];
    share_logits(logits);
    tnn_sampler_params p = plain();
    assert_int_equal(support(p, logits, 5), 0x1F);
    p.top_k = 2;
    assert_int_equal(support(p, logits, 5), 1u << 1 | 1u << 3);
    p.top_k = 100;
    assert_int_equal(support(p, logits, 5), 0x1F);

    p = plain();
    p.top_p = 0.69f; /* 0.4 and 0.3 are just enough */
    assert_int_equal(support(p, logits, 5), 1u << 1 | 1u << 3);
    p.top_p = 0.71f;
    assert_int_equal(support(p, logits, 5), 1u << 1 | 1u << 3 | 1u << 4);
    p.top_p = 0;
    assert_int_equal(support(p, logits, 5), 1u << 1);

    p = plain();
    p.min_p = 0.37f; /* 0.15 / 0.4 is above, 0.1 / 0.4 below */
    assert_int_equal(support(p, logits, 5), 1u << 1 | 1u << 3 | 1u << 4);
    p.min_p = 0.38f;
    assert_int_equal(support(p, logits, 5), 1u << 1 | 1u << 3);
    p.min_p = 1;
    assert_int_equal(support(p, logits, 5), 1u << 1);

    /* entropy 1.39 nats; surprises 2.30 0.92 3.00 1.20 1.90: nearest to it come 3, then 1, then 4 */
    p = plain();
    p.typical_p = 0.2f;
    assert_int_equal(support(p, logits, 5), 1u << 3);
    p.typical_p = 0.5f;
    assert_int_equal(support(p, logits, 5), 1u << 1 | 1u << 3);
    p.typical_p = 0.75f;
    assert_int_equal(support(p, logits, 5), 1u << 1 | 1u << 3 | 1u << 4);
}

/* A filter works on what the one before it left: of the top 2, the first has 4/7. */
static void chain_order(void **state) {
    (void)state;
    float logits[5];
    share_logits(logits);
    tnn_sampler_params p = plain();
    p.top_k = 2;
    p.top_p = 0.5f;
    assert_int_equal(support(p, logits, 5), 1u << 1);
    p.top_k = 0;
    assert_int_equal(support(p, logits, 5), 1u << 1 | 1u << 3);
    p.temperature = 100; /* comes last: top-p sees the shares as they are */
    assert_int_equal(support(p, logits, 5), 1u << 1 | 1u << 3);
}

static void ruled_out(void **state) {
    (void)state;
    tnn_sampler_params p = plain();
    const float logits[] = {-INFINITY, 1, -INFINITY, 2, -INFINITY};
    assert_int_equal(support(p, logits, 5), 1u << 1 | 1u << 3);
    p.top_k = 4;
    assert_int_equal(support(p, logits, 5), 1u << 1 | 1u << 3);
}

static void penalties(void **state) {
    (void)state;
    tnn_sampler_params p = plain();
    p.temperature = 0;
    p.repeat_last_n = 3;
    p.repeat_penalty = 2;
    const float logits[] = {4, 3, -1, -1.5f};
    tnn_sampler *s = make(p, 4);
    assert_int_equal(sample(s, logits, 0), 0);
    accept(s, 0); /* 4 / 2 */
    assert_int_equal(sample(s, logits, 1), 1);
    accept(s, 1); /* 3 / 2 */
    assert_int_equal(sample(s, logits, 2), 0);
    const float low[] = {-8, -4, -6, -6};
    assert_int_equal(sample(s, low, 2), 2); /* -4 * 2 */
    accept(s, 3);
    accept(s, 3); /* 0 is out of the window, 1 in it */
    assert_int_equal(sample(s, logits, 3), 0);
    const float near[] = {2.9f, 3, -1, -1};
    assert_int_equal(sample(s, near, 3), 0);
    accept(s, 3); /* 1 out of it too */
    assert_int_equal(sample(s, near, 3), 1);
    tnn_sampler_reset(s);
    assert_int_equal(sample(s, logits, 0), 0);
    tnn_sampler_free(s);

    p = plain();
    p.temperature = 0;
    p.repeat_last_n = -1; /* all of them */
    p.frequency_penalty = 0.5f;
    s = make(p, 4);
    for (int i = 0; i < 100; i++)
        accept(s, 2);
    accept(s, 0);
    accept(s, 0);
    assert_int_equal(sample(s, (const float[]){4, 3.1f, 40, 0}, 0), 1); /* 4 - 1, 40 - 50 */
    tnn_sampler_free(s);

    p.frequency_penalty = 0;
    p.presence_penalty = 0.5f;
    s = make(p, 4);
    for (int i = 0; i < 100; i++)
        accept(s, 0);
    assert_int_equal(sample(s, (const float[]){4, 3.4f, 0, 0}, 0), 0);
    assert_int_equal(sample(s, (const float[]){4, 3.6f, 0, 0}, 0), 1);
    tnn_sampler_free(s);

    p.repeat_last_n = 0; /* penalties look at nothing */
    s = make(p, 4);
    accept(s, 0);
    assert_int_equal(sample(s, (const float[]){4, 3.6f, 0, 0}, 0), 0);
    tnn_sampler_free(s);
}

static void extreme_numbers(void **state) {
    (void)state;
    tnn_sampler_params p = tnn_sampler_params_default();
    p.repeat_penalty = FLT_MAX;
    p.frequency_penalty = -FLT_MAX;
    p.presence_penalty = FLT_MAX;
    p.temperature = FLT_MIN;
    tnn_sampler *s = make(p, 3);
    const float logits[] = {FLT_MAX, -FLT_MAX, 0};
    for (int i = 0; i < 3; i++) {
        accept(s, i);
        accept(s, i);
        assert_in_range(sample(s, logits, (uint64_t)i), 0, 2);
    }
    p.temperature = FLT_MAX;
    p.typical_p = 0.5f;
    p.seed = UINT64_MAX;
    tnn_sampler *hot = make(p, 3);
    assert_in_range(sample(hot, logits, UINT64_MAX), 0, 2);
    tnn_sampler_free(hot);
    tnn_sampler_free(s);
}

/* A draw is a function of seed and position, whatever was drawn before. */
static void repeatable(void **state) {
    (void)state;
    float logits[1000];
    for (int i = 0; i < 1000; i++)
        logits[i] = (float)(i * 37 % 101) / 20.0f;
    tnn_sampler_params p = plain();
    p.seed = 42;
    tnn_sampler *a = make(p, 1000), *b = make(p, 1000);
    p.seed = 43;
    tnn_sampler *c = make(p, 1000);
    int equal = 0;
    for (uint64_t i = 0; i < 200; i++) {
        int32_t id = sample(a, logits, i);
        sample(b, logits, 1000000 + i);
        assert_int_equal(sample(b, logits, i), id);
        equal += sample(c, logits, i) == id;
    }
    assert_true(equal < 20);
    tnn_sampler_free(a);
    tnn_sampler_free(b);
    tnn_sampler_free(c);
}

/* Against sorting: random logits with many equal ones, every k. */
static void top_k_agrees_with_sorting(void **state) {
    (void)state;
    enum { N = 300 };
    float logits[N];
    uint32_t x = 1;
    for (int i = 0; i < N; i++) {
        x = x * 1664525u + 1013904223u;
        logits[i] = (float)(x >> 27);
    }
    for (int k = 1; k <= N; k += 7) {
        tnn_sampler_params p = plain();
        p.top_k = k;
        p.temperature = 1e6f; /* all kept are about as likely */
        tnn_sampler *s = make(p, N);
        for (uint64_t i = 0; i < 50; i++) {
            int32_t id = sample(s, logits, i);
            int better = 0;
            for (int j = 0; j < N; j++)
                better += logits[j] > logits[id] || (logits[j] == logits[id] && j < id);
            assert_true(better < k);
        }
        tnn_sampler_free(s);
    }
}

static void check_refused(tnn_sampler_params p, const char *named) {
    tnn_sampler *s;
    tnn_error err = {0};
    assert_int_equal(tnn_sampler_new(&s, &p, 10, NULL, &err), TNN_E_ARG);
    assert_null(s);
    if (!strstr(err.text, named)) fail_msg("'%s' does not name %s", err.text, named);
}

static void bad_parameters(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t offset;
        float bad[5];
    } fields[] = {
        {"temperature", offsetof(tnn_sampler_params, temperature), {NAN, INFINITY, -INFINITY, -0.1f, -1}},
        {"top_p", offsetof(tnn_sampler_params, top_p), {NAN, INFINITY, -0.1f, 1.1f, -1}},
        {"min_p", offsetof(tnn_sampler_params, min_p), {NAN, INFINITY, -0.1f, 1.1f, -1}},
        {"typical_p", offsetof(tnn_sampler_params, typical_p), {NAN, INFINITY, -0.1f, 1.1f, -1}},
        {"repeat_penalty", offsetof(tnn_sampler_params, repeat_penalty), {NAN, INFINITY, 0, -0.1f, -1}},
        {"presence_penalty", offsetof(tnn_sampler_params, presence_penalty), {NAN, INFINITY, -INFINITY, NAN, NAN}},
        {"frequency_penalty", offsetof(tnn_sampler_params, frequency_penalty), {NAN, INFINITY, -INFINITY, NAN, NAN}},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        for (size_t k = 0; k < 5; k++) {
            tnn_sampler_params p = tnn_sampler_params_default();
            memcpy((char *)&p + fields[i].offset, &fields[i].bad[k], sizeof(float));
            check_refused(p, fields[i].name);
        }
    }
    tnn_sampler_params p = tnn_sampler_params_default();
    p.repeat_last_n = -2;
    check_refused(p, "repeat_last_n");
    tnn_sampler *s;
    tnn_error err = {0};
    assert_int_equal(tnn_sampler_new(&s, NULL, 0, NULL, &err), TNN_E_ARG);
    assert_int_equal(tnn_sampler_new(&s, NULL, -5, NULL, &err), TNN_E_ARG);
    assert_non_null(strstr(err.text, "-5"));
}

static void bad_logits(void **state) {
    (void)state;
    tnn_sampler *s = make(tnn_sampler_params_default(), 4);
    int32_t id = 77;
    tnn_error err = {0};
    assert_int_equal(tnn_sampler_sample(s, (const float[]){0, 1, NAN, 2}, 0, &id, &err), TNN_E_RANGE);
    assert_non_null(strstr(err.text, "token 2"));
    assert_int_equal(tnn_sampler_sample(s, (const float[]){0, INFINITY, 1, 2}, 0, &id, &err), TNN_E_RANGE);
    assert_non_null(strstr(err.text, "token 1"));
    const float none[] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    assert_int_equal(tnn_sampler_sample(s, none, 0, &id, &err), TNN_E_RANGE);
    assert_non_null(strstr(err.text, "-inf"));
    assert_int_equal(id, 77);
    assert_int_equal(tnn_sampler_accept(s, 4, &err), TNN_E_RANGE);
    assert_int_equal(tnn_sampler_accept(s, -1, &err), TNN_E_RANGE);
    assert_non_null(strstr(err.text, "-1"));
    tnn_sampler_free(s);
}

static void memory(void **state) {
    (void)state;
    for (size_t fail_at = 1;; fail_at++) {
        counting_allocator counter = {.fail_at = fail_at};
        tnn_allocator a = counting_interface(&counter);
        tnn_sampler *s;
        int32_t id;
        tnn_status status = tnn_sampler_new(&s, NULL, 4, &a, NULL);
        if (!status) {
            size_t requests = counter.requests;
            accept(s, 1);
            assert_int_equal(tnn_sampler_sample(s, (const float[]){0, 1, 2, 3}, 0, &id, NULL), TNN_OK);
            assert_int_equal(counter.requests, requests); /* allocates nothing */
        }
        tnn_sampler_free(s);
        assert_int_equal(counter.live_blocks, 0);
        assert_int_equal(counter.live_bytes, 0);
        if (counter.requests < fail_at) {
            assert_int_equal(status, TNN_OK);
            return;
        }
        assert_int_equal(status, TNN_E_NOMEM);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),       cmocka_unit_test(greedy),
        cmocka_unit_test(distribution),   cmocka_unit_test(filters),
        cmocka_unit_test(chain_order),    cmocka_unit_test(ruled_out),
        cmocka_unit_test(penalties),      cmocka_unit_test(extreme_numbers),
        cmocka_unit_test(repeatable),     cmocka_unit_test(top_k_agrees_with_sorting),
        cmocka_unit_test(bad_parameters), cmocka_unit_test(bad_logits),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
