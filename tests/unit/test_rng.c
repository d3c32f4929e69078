/* Philox against the known answers of Random123, and the distributions made from it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

typedef struct philox_answer {
    uint64_t seed, stream, counter;
    uint32_t out[4];
} philox_answer;

/* kat_vectors of Random123 1.14, "philox4x32 10": counter words 0, 1 are the counter, 2, 3 the stream, the key the seed
 */
static const philox_answer answers[] = {
    {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {UINT64_C(0x299f31d0a4093822),
     UINT64_C(0x0370734413198a2e),
     UINT64_C(0x85a308d3243f6a88),
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static void test_philox(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        uint32_t out[4];
        tnn__philox(answers[i].seed, answers[i].stream, answers[i].counter, out);
        assert_memory_equal(out, answers[i].out, sizeof out);
    }
}

static void test_unit_interval(void **state) {
    (void)state;
    assert_true(tnn__u32_to_unit(0) == 0.0f);
    assert_true(tnn__u32_to_unit(UINT32_MAX) == 1.0f - 0x1p-24f);
    assert_true(tnn__u32_to_unit(UINT32_C(0x80000000)) == 0.5f);
}

#define N 100000

static float values[N];

static void moments(double *mean, double *std) {
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    *mean = sum / N;
    *std = sqrt(squares / N - *mean * *mean);
}

/* The bounds are five standard errors. */
static void test_normal(void **state) {
    (void)state;
    tnn__fill_normal(1, 2, values, N, 3.0f, 2.0f);
    double mean, std;
    moments(&mean, &std);
    assert_true(fabs(mean - 3) < 5 * 2 / sqrt(N));
    assert_true(fabs(std - 2) < 5 * 2 / sqrt(2.0 * N));
    int within_one = 0;
    for (int i = 0; i < N; i++) {
        within_one += fabs((double)values[i] - 3) < 2;
    }
    assert_true(fabs(within_one / (double)N - 0.682689) < 5 * 0.4654 / sqrt(N));
}

static void test_uniform(void **state) {
    (void)state;
    tnn__fill_uniform(1, 2, values, N, -1.0f, 1.0f);
    double mean, std;
    moments(&mean, &std);
    assert_true(fabs(mean) < 5 * 0.57735 / sqrt(N));
    assert_true(fabs(std - 0.57735) < 0.005);
    for (int i = 0; i < N; i++) {
        assert_true(values[i] >= -1 && values[i] <= 1);
    }
}

/* Element i is the same however many are asked for, and nothing is written past the end. */
static void test_elements_stand_alone(void **state) {
    (void)state;
    float all[64], some[65];
    for (int kind = 0; kind < 2; kind++) {
        void (*fill)(uint64_t, uint64_t, float *, int64_t, float, float) = kind ? tnn__fill_normal : tnn__fill_uniform;
        fill(9, 8, all, 64, 0.0f, 1.0f);
        for (int n = 0; n <= 64; n++) {
            some[n] = 1234.5f;
            fill(9, 8, some, n, 0.0f, 1.0f);
            assert_memory_equal(some, all, (size_t)n * sizeof(float));
            assert_true(some[n] == 1234.5f);
        }
        fill(9, 7, some, 64, 0.0f, 1.0f);
        assert_memory_not_equal(some, all, sizeof all);
        fill(10, 8, some, 64, 0.0f, 1.0f);
        assert_memory_not_equal(some, all, sizeof all);
    }
}

/* The published values of FNV-1a, 64 bit. */
static void test_hash(void **state) {
    (void)state;
    assert_true(tnn__hash_str("") == UINT64_C(0xcbf29ce484222325));
    assert_true(tnn__hash_str("a") == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(tnn__hash_str("foobar") == UINT64_C(0x85944171f73967e8));
    assert_true(tnn__hash_bytes("foobar", 6) == tnn__hash_str("foobar"));
    assert_true(tnn__hash_bytes("\xff", 1) == tnn__hash_str("\xff"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox), cmocka_unit_test(test_unit_interval),
        cmocka_unit_test(test_normal), cmocka_unit_test(test_uniform),
        cmocka_unit_test(test_hash),   cmocka_unit_test(test_elements_stand_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
