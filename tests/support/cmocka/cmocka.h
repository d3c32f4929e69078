/*
 * The part of cmocka's interface that the tests use, for targets whose distribution has no cmocka: AArch64 under QEMU.
 * Everywhere else the real library is used. A failed check leaves its test by longjmp; the group goes on.
 */
#ifndef TNN_TEST_CMOCKA_H
#define TNN_TEST_CMOCKA_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test_func)(void **state);
    int (*setup_func)(void **state);
    int (*teardown_func)(void **state);
    void *initial_state;
};

static jmp_buf mini_leave;
static int mini_skipped;

static inline void mini_fail(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    longjmp(mini_leave, 1);
}

#define mini_check(holds, what) ((holds) ? (void)0 : mini_fail(__FILE__, __LINE__, what))

#define assert_true(c)             mini_check((c), "assert_true(" #c ")")
#define assert_false(c)            mini_check(!(c), "assert_false(" #c ")")
#define assert_null(p)             mini_check((p) == NULL, "assert_null(" #p ")")
#define assert_non_null(p)         mini_check((p) != NULL, "assert_non_null(" #p ")")
#define assert_int_equal(a, b)     mini_check((intmax_t)(a) == (intmax_t)(b), "assert_int_equal(" #a ", " #b ")")
#define assert_int_not_equal(a, b) mini_check((intmax_t)(a) != (intmax_t)(b), "assert_int_not_equal(" #a ", " #b ")")
#define assert_uint_equal(a, b)    mini_check((uintmax_t)(a) == (uintmax_t)(b), "assert_uint_equal(" #a ", " #b ")")
#define assert_ptr_equal(a, b)     mini_check((const void *)(a) == (const void *)(b), "assert_ptr_equal(" #a ", " #b ")")
#define assert_ptr_not_equal(a, b)                                                                                     \
    mini_check((const void *)(a) != (const void *)(b), "assert_ptr_not_equal(" #a ", " #b ")")
#define assert_in_range(v, low, high) mini_check((v) >= (low) && (v) <= (high), "assert_in_range(" #v ")")
#define assert_string_equal(a, b)     mini_check(strcmp((a), (b)) == 0, "assert_string_equal(" #a ", " #b ")")
#define assert_string_not_equal(a, b) mini_check(strcmp((a), (b)) != 0, "assert_string_not_equal(" #a ", " #b ")")
#define assert_memory_equal(a, b, n)  mini_check(memcmp((a), (b), (n)) == 0, "assert_memory_equal(" #a ", " #b ")")
#define assert_memory_not_equal(a, b, n)                                                                               \
    mini_check(memcmp((a), (b), (n)) != 0, "assert_memory_not_equal(" #a ", " #b ")")
#define assert_float_equal(a, b, eps) mini_check(mini_near((a), (b), (eps)), "assert_float_equal(" #a ", " #b ")")
#define assert_return_code(rc, error) mini_check((rc) >= 0, "assert_return_code(" #rc ")")
#define fail()                        mini_fail(__FILE__, __LINE__, "fail()")
#define print_message(...)            printf(__VA_ARGS__)
#define print_error(...)              fprintf(stderr, __VA_ARGS__)
#define fail_msg(...)                 (fprintf(stderr, __VA_ARGS__), mini_fail(__FILE__, __LINE__, "fail_msg"))
#define skip()                        (mini_skipped = 1, longjmp(mini_leave, 1))

static inline int mini_near(double a, double b, double eps) {
    return a == b || (a - b <= eps && b - a <= eps);
}

#define cmocka_unit_test(f)                                                                                            \
    { #f, f, NULL, NULL, NULL }
#define cmocka_unit_test_prestate(f, state)                                                                            \
    { #f, f, NULL, NULL, state }
#define cmocka_unit_test_setup(f, setup)                                                                               \
    { #f, f, setup, NULL, NULL }
#define cmocka_unit_test_teardown(f, teardown)                                                                         \
    { #f, f, NULL, teardown, NULL }
#define cmocka_unit_test_setup_teardown(f, setup, teardown)                                                            \
    { #f, f, setup, teardown, NULL }

static inline int mini_run_group(const struct CMUnitTest *tests, size_t n, int (*group_setup)(void **),
                                 int (*group_teardown)(void **)) {
    static volatile int failed; /* volatile: kept across longjmp */
    static volatile size_t i;
    void *group_state = NULL;
    failed = 0;
    if (group_setup && group_setup(&group_state) != 0) {
        fprintf(stderr, "group setup failed\n");
        return (int)n;
    }
    for (i = 0; i < n; i++) {
        static void *state;
        state = tests[i].initial_state ? tests[i].initial_state : group_state;
        mini_skipped = 0;
        printf("[ RUN      ] %s\n", tests[i].name);
        fflush(stdout);
        if (setjmp(mini_leave) == 0) {
            if (tests[i].setup_func && tests[i].setup_func(&state) != 0) mini_fail(__FILE__, __LINE__, "setup failed");
            tests[i].test_func(&state);
            printf("[       OK ] %s\n", tests[i].name);
        } else {
            printf("[  %s ] %s\n", mini_skipped ? "SKIPPED" : " FAILED", tests[i].name);
            failed += !mini_skipped;
        }
        if (tests[i].teardown_func) tests[i].teardown_func(&state);
    }
    if (group_teardown) group_teardown(&group_state);
    printf("[==========] %zu test(s) run, %d failed.\n", n, failed);
    return failed;
}

#define cmocka_run_group_tests(tests, setup, teardown)                                                                 \
    mini_run_group((tests), sizeof(tests) / sizeof((tests)[0]), (setup), (teardown))
#define cmocka_run_group_tests_name(name, tests, setup, teardown)                                                      \
    (printf("[==========] %s\n", (name)), cmocka_run_group_tests((tests), (setup), (teardown)))

#endif
