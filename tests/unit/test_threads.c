/*
 * The thread team: everybody runs, barriers order memory, every task is taken once, and it stays so for many runs, for
 * more threads than cores, and across pauses long enough that the workers sleep. The test to run under ThreadSanitizer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/threads.h"
#include "support/counting_allocator.h"

#define MAX_TEAM 7

static const int team_sizes[] = {1, 2, 3, MAX_TEAM};
#define N_TEAM_SIZES (sizeof team_sizes / sizeof team_sizes[0])

static tnn__team *make_team(int n) {
    tnn__team *team = NULL;
    assert_int_equal(tnn__team_new(&team, n, NULL, NULL), TNN_OK);
    assert_int_equal(tnn__team_size(team), n);
    return team;
}

/* Plain memory, one element a worker: only the barriers make it safe to read a neighbour's. */
typedef struct shared {
    tnn__team *team;
    int n_rounds;
    int n_tasks;
    int64_t value[MAX_TEAM];
    int seen_wrong[MAX_TEAM];
    int taken[4096];
    int n_runs[MAX_TEAM];
} shared;

static void count_run(void *ctx, int worker) {
    shared *s = ctx;
    s->n_runs[worker]++;
}

static void test_every_worker_runs_once(void **state) {
    (void)state;
    for (size_t t = 0; t < N_TEAM_SIZES; t++) {
        shared s = {.team = make_team(team_sizes[t])};
        for (int run = 1; run <= 500; run++) {
            tnn__team_run(s.team, count_run, &s);
            for (int w = 0; w < MAX_TEAM; w++) {
                assert_int_equal(s.n_runs[w], w < team_sizes[t] ? run : 0);
            }
        }
        tnn__team_free(s.team);
    }
}

static void test_workers_wake_from_sleep(void **state) {
    (void)state;
    shared s = {.team = make_team(3)};
    for (int run = 1; run <= 20; run++) {
        struct timespec pause = {0, 2000000};
        nanosleep(&pause, NULL);
        tnn__team_run(s.team, count_run, &s);
        assert_int_equal(s.n_runs[0], run);
        assert_int_equal(s.n_runs[2], run);
    }
    tnn__team_free(s.team);
}

/* In each round a worker writes its element, then checks all others: two barriers a round. */
static void write_and_check(void *ctx, int worker) {
    shared *s = ctx;
    int n = tnn__team_size(s->team);
    for (int round = 0; round < s->n_rounds; round++) {
        s->value[worker] = (int64_t)round * n + worker;
        tnn__team_barrier(s->team);
        for (int w = 0; w < n; w++) {
            if (s->value[w] != (int64_t)round * n + w) s->seen_wrong[worker]++;
        }
        tnn__team_barrier(s->team);
    }
}

static void test_barrier_orders_memory(void **state) {
    (void)state;
    for (size_t t = 0; t < N_TEAM_SIZES; t++) {
        shared s = {.team = make_team(team_sizes[t]), .n_rounds = team_sizes[t] > 2 ? 500 : 5000};
        tnn__team_run(s.team, write_and_check, &s);
        for (int w = 0; w < MAX_TEAM; w++) {
            assert_int_equal(s.seen_wrong[w], 0);
        }
        tnn__team_free(s.team);
    }
}

/* Stages of one run: the barrier between them brings the task counter back to the start. */
static void drain_stages(void *ctx, int worker) {
    shared *s = ctx;
    (void)worker;
    for (int round = 0; round < s->n_rounds; round++) {
        int64_t n = s->n_tasks - round; /* of another size each time */
        for (int64_t task; (task = tnn__team_next_task(s->team, n)) >= 0;) {
            s->taken[task]++;
        }
        tnn__team_barrier(s->team);
    }
}

static void test_stages_take_every_task_once(void **state) {
    (void)state;
    for (size_t t = 0; t < N_TEAM_SIZES; t++) {
        shared s = {.team = make_team(team_sizes[t]), .n_rounds = 50, .n_tasks = 200};
        for (int run = 1; run <= 3; run++) {
            tnn__team_run(s.team, drain_stages, &s);
            for (int task = 0; task < 200; task++) {
                int n_stages = task < 150 ? 50 : 200 - task;
                assert_int_equal(s.taken[task], run * n_stages);
            }
        }
        tnn__team_free(s.team);
    }
}

static void take_task(void *ctx, int64_t task, int worker) {
    shared *s = ctx;
    s->taken[task]++;
    s->seen_wrong[worker] |= worker >= tnn__team_size(s->team);
}

static void test_for_takes_every_task_once(void **state) {
    (void)state;
    for (size_t t = 0; t < N_TEAM_SIZES; t++) {
        shared s = {.team = make_team(team_sizes[t])};
        static const int64_t sizes[] = {0, 1, 2, 4096};
        int expected[4096] = {0};
        for (size_t i = 0; i < 40; i++) {
            int64_t n = sizes[i % 4];
            tnn__team_for(s.team, n, take_task, &s);
            for (int64_t task = 0; task < n; task++) {
                expected[task]++;
            }
        }
        assert_memory_equal(s.taken, expected, sizeof expected);
        for (int w = 0; w < MAX_TEAM; w++) {
            assert_int_equal(s.seen_wrong[w], 0);
        }
        tnn__team_free(s.team);
    }
}

/* A run that leaves tasks behind: the next one starts from the first again. */
static void take_one_and_leave(void *ctx, int worker) {
    shared *s = ctx;
    s->value[worker] = tnn__team_next_task(s->team, 100);
}

static void test_run_starts_with_a_fresh_counter(void **state) {
    (void)state;
    for (size_t t = 0; t < N_TEAM_SIZES; t++) {
        int n = team_sizes[t];
        shared s = {.team = make_team(n)};
        for (int run = 0; run < 50; run++) {
            tnn__team_run(s.team, take_one_and_leave, &s);
            int64_t sum = 0;
            for (int w = 0; w < n; w++) {
                sum += s.value[w];
            }
            assert_int_equal(sum, n * (n - 1) / 2);
        }
        tnn__team_free(s.team);
    }
}

static void test_two_teams_side_by_side(void **state) {
    (void)state;
    shared a = {.team = make_team(2)}, b = {.team = make_team(3)};
    for (int run = 1; run <= 200; run++) {
        tnn__team_run(a.team, count_run, &a);
        tnn__team_run(b.team, count_run, &b);
        assert_int_equal(a.n_runs[1], run);
        assert_int_equal(b.n_runs[2], run);
    }
    tnn__team_free(a.team);
    tnn__team_free(b.team);
}

static void test_new_refuses_and_leaks_nothing(void **state) {
    (void)state;
    tnn__team *team = NULL;
    tnn_error err;
    assert_int_equal(tnn__team_new(&team, 0, NULL, &err), TNN_E_RANGE);
    assert_null(team);
    assert_int_equal(tnn__team_new(&team, -1, NULL, &err), TNN_E_RANGE);
    assert_int_equal(tnn__team_new(&team, 1000000, NULL, &err), TNN_E_RANGE);
    assert_non_null(strstr(err.text, "1000000 threads"));
    for (size_t fail_at = 1; fail_at <= 3; fail_at++) {
        counting_allocator counts = {.fail_at = fail_at};
        tnn_allocator a = counting_interface(&counts);
        tnn_status status = tnn__team_new(&team, 3, &a, &err);
        assert_int_equal(status, fail_at <= 2 ? TNN_E_NOMEM : TNN_OK);
        tnn__team_free(team);
        assert_int_equal(counts.live_blocks, 0);
        assert_int_equal(counts.live_bytes, 0);
    }
    tnn__team_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_worker_runs_once),    cmocka_unit_test(test_workers_wake_from_sleep),
        cmocka_unit_test(test_barrier_orders_memory),     cmocka_unit_test(test_stages_take_every_task_once),
        cmocka_unit_test(test_for_takes_every_task_once), cmocka_unit_test(test_run_starts_with_a_fresh_counter),
        cmocka_unit_test(test_two_teams_side_by_side),    cmocka_unit_test(test_new_refuses_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
