/*
 * Runs in a folder: what is left there, and that a run which was stopped, killed or hindered ends as one that was not.
 */
#define _XOPEN_SOURCE 700 /* nftw */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <jansson.h>

#include <tinynn/train.h>

#include "recipes/run.h"
#include "support/checked_file.h"
#include "support/faulty_files.h"
#include "support/session.h"
#include "support/temp_dir.h"

static temp_dir dir;

static int create_dir(void **state) {
    (void)state;
    temp_dir_create(&dir);
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at) {
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_folder(const char *path) {
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static int remove_dir(void **state) {
    (void)state;
    remove_folder(dir.path);
    return 0;
}

/* --- files --- */

typedef struct bytes {
    char *data;
    size_t n;
} bytes;

static bytes read_whole(const char *path) {
    bytes b = {NULL, 0};
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s is missing", path);
    fseek(f, 0, SEEK_END);
    b.n = (size_t)ftell(f);
    rewind(f);
    b.data = calloc(1, b.n + 1);
    assert_non_null(b.data);
    assert_int_equal(fread(b.data, 1, b.n, f), b.n);
    fclose(f);
    return b;
}

static void assert_same_files(const char *a, const char *b) {
    bytes x = read_whole(a), y = read_whole(b);
    assert_int_equal(x.n, y.n);
    assert_memory_equal(x.data, y.data, x.n);
    free(x.data);
    free(y.data);
}

static bool exists(const char *folder, const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void write_text(const char *path) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < 120; i++) {
        fprintf(f, "line %d of a text: %d plus %d is %d.\n", i, i % 7, i % 5, i % 7 + i % 5);
    }
    fclose(f);
}

/* --- a tiny run --- */

enum { STEPS = 24 };

typedef struct folder {
    char path[600];
} folder;

static folder folder_named(const char *name) {
    folder f;
    snprintf(f.path, sizeof f.path, "%s/%s", dir.path, name);
    return f;
}

/* The text's path must live as long as the run. */
static tnn_train_config tiny_config(char text_path[600]) {
    tnn_train_config c = tnn_train_config_default(TNN_RECIPE_SCRATCH);
    snprintf(text_path, 600, "%s/text", dir.path);
    if (access(text_path, F_OK) != 0) write_text(text_path);
    c.text = c.valid_text = text_path;
    c.tokenizer = "bytes";
    c.iters = STEPS;
    c.batch_size = 2;
    c.max_seq_length = 24;
    c.grad_accumulation_steps = 2;
    c.learning_rate = 5e-3;
    c.warmup_steps = 3;
    c.lr_scheduler = TNN_SCHEDULE_COSINE;
    c.d_model = 16;
    c.n_layers = 2;
    c.n_heads = 4;
    c.n_kv_heads = 2;
    c.d_ff = 32;
    c.steps_per_report = 1;
    c.steps_per_eval = 7;
    c.val_batches = 3;
    c.save_every = 5;
    return c;
}

/* Goes on with the run in the folder, or begins it. */
static tnn_status train(const char *out, int n_threads, const tnn_train_hooks *hooks, tnn_error *err) {
    char text[600];
    tnn_session *s = open_session(n_threads);
    tnn_run *r;
    tnn_train_config c = tiny_config(text);
    tnn_status status = exists(out, "config.json") ? tnn_run_open(&r, s, out, err) : tnn_run_new(&r, s, &c, err);
    if (!status) {
        status = tnn_run_train(r, out, hooks, err);
        tnn_run_free(r);
    }
    tnn_session_free(s);
    return status;
}

static void train_whole(const char *out, int n_threads) {
    tnn_error err;
    if (train(out, n_threads, NULL, &err)) fail_msg("%s", err.text);
}

/* The run nothing happened to; the others are compared with it. */
static const char *whole(void) {
    static folder f;
    f = folder_named("whole");
    if (!exists(f.path, "model.gguf")) train_whole(f.path, 1);
    return f.path;
}

/* --- events --- */

/* The lines of the file as an array, without what depends on the clock; fails unless all are objects with a kind. */
static json_t *events_of(const char *out) {
    char path[1024];
    snprintf(path, sizeof path, "%s/events.jsonl", out);
    bytes b = read_whole(path);
    json_t *all = json_array();
    for (char *line = b.data; *line;) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        json_t *event = json_loadb(line, (size_t)(end - line), 0, NULL);
        assert_true(json_is_string(json_object_get(event, "kind")));
        json_object_del(event, "wall_us");
        json_object_del(event, "tokens_per_second");
        json_object_del(event, "path");
        json_array_append_new(all, event);
        line = end + 1;
    }
    free(b.data);
    return all;
}

static const char *kind_at(const json_t *events, size_t i) {
    return json_string_value(json_object_get(json_array_get(events, i), "kind"));
}

static json_t *of_kinds(const json_t *events, const char *a, const char *b) {
    json_t *some = json_array();
    for (size_t i = 0; i < json_array_size(events); i++) {
        if (strcmp(kind_at(events, i), a) == 0 || strcmp(kind_at(events, i), b) == 0)
            json_array_append(some, json_array_get(events, i));
    }
    return some;
}

static void assert_same_run(const char *out) {
    char a[1024], b[1024];
    for (int best = 0; best < 2; best++) {
        snprintf(a, sizeof a, "%s/%s.gguf", whole(), best ? "best" : "model");
        snprintf(b, sizeof b, "%s/%s.gguf", out, best ? "best" : "model");
        assert_same_files(a, b);
    }
    json_t *x = events_of(whole()), *y = events_of(out);
    json_t *curve_x = of_kinds(x, "step", "eval"), *curve_y = of_kinds(y, "step", "eval");
    assert_true(json_equal(curve_x, curve_y));
    assert_string_equal(kind_at(y, 0), "run_start");
    assert_string_equal(kind_at(y, json_array_size(y) - 1), "run_end");
    json_decref(curve_x);
    json_decref(curve_y);
    json_decref(x);
    json_decref(y);
}

static void test_folder(void **state) {
    (void)state;
    json_t *events = events_of(whole());
    json_t *steps = of_kinds(events, "step", "step"), *evals = of_kinds(events, "eval", "eval");
    assert_int_equal(json_array_size(steps), STEPS);
    assert_int_equal(json_array_size(evals), 1 + STEPS / 7 + 1); /* before the first, every seventh, after the last */
    double first = json_number_value(json_object_get(json_array_get(steps, 0), "loss"));
    double last = json_number_value(json_object_get(json_array_get(steps, STEPS - 1), "loss"));
    printf("loss %.3f -> %.3f in %d steps\n", first, last, STEPS);
    assert_true(fabs(first - log(256)) < 0.4);
    assert_true(last < first - 1);
    for (size_t i = 0; i < STEPS; i++) {
        const json_t *e = json_array_get(steps, i);
        assert_int_equal(json_integer_value(json_object_get(e, "step")), i + 1);
        assert_true(json_is_number(json_object_get(e, "lr")) && json_is_number(json_object_get(e, "grad_norm")) &&
                    json_is_integer(json_object_get(e, "tokens")));
    }
    char path[1024];
    snprintf(path, sizeof path, "%s/report.html", whole());
    bytes report = read_whole(path);
    assert_non_null(strstr(report.data, "<svg"));
    assert_non_null(strstr(report.data, "Validation loss"));
    assert_null(strstr(report.data, "http://"));
    free(report.data);
    json_decref(steps);
    json_decref(evals);
    json_decref(events);
}

static void test_threads(void **state) {
    (void)state;
    folder f = folder_named("threads");
    train_whole(f.path, 2);
    assert_same_run(f.path);
}

/* --- stopped --- */

typedef struct stopper {
    int calls_left;
    int n_unsaved; /* messages about saves that failed */
    int n_restored;
} stopper;

static bool stop_later(void *ctx) {
    stopper *s = ctx;
    return s->calls_left-- <= 0;
}

static void count_messages(void *ctx, const char *line) {
    stopper *s = ctx;
    s->n_unsaved += strstr(line, "was not saved") != NULL;
    s->n_restored += strstr(line, "goes on from step") != NULL;
}

static tnn_status train_until(const char *out, int calls, stopper *s) {
    tnn_error err;
    *s = (stopper){.calls_left = calls};
    tnn_train_hooks hooks = {.should_stop = stop_later, .on_message = count_messages, .ctx = s};
    tnn_status status = train(out, 1, &hooks, &err);
    if (status && status != TNN_E_CANCELLED) fail_msg("%s", err.text);
    return status;
}

static void test_stopped_anywhere(void **state) {
    (void)state;
    for (int calls = 0; calls < STEPS; calls += 3) {
        folder f = folder_named("stopped");
        stopper s;
        assert_int_equal(train_until(f.path, calls, &s), TNN_E_CANCELLED);
        assert_int_equal(train_until(f.path, 2, &s), TNN_E_CANCELLED);
        assert_int_equal(s.n_restored, 1);
        assert_int_equal(train_until(f.path, STEPS + 1, &s), TNN_OK);
        assert_same_run(f.path);
        remove_folder(f.path);
    }
}

/* Taking a finished run up again changes nothing. */
static void test_finished(void **state) {
    (void)state;
    folder f = folder_named("finished");
    train_whole(f.path, 1);
    train_whole(f.path, 1);
    assert_same_run(f.path);
}

static void test_another_run_in_the_folder(void **state) {
    (void)state;
    char text[600];
    tnn_error err;
    tnn_session *s = open_session(1);
    tnn_run *r;
    tnn_train_config c = tiny_config(text);
    assert_int_equal(tnn_run_new(&r, s, &c, &err), TNN_OK);
    assert_int_equal(tnn_run_train(r, whole(), NULL, &err), TNN_E_STATE);
    assert_non_null(strstr(err.text, "holds a run already"));
    tnn_run_free(r);
    tnn_session_free(s);
}

/* A trainer whose gradients or weights are no longer those of a beginning begins no run. */
static void test_trains_once(void **state) {
    (void)state;
    char text[600];
    tnn_error err;
    tnn_train_times times;
    folder first = folder_named("once"), second = folder_named("twice");
    tnn_session *s = open_session(1);
    tnn_train_config c = tiny_config(text);
    for (int measured = 0; measured < 2; measured++) {
        tnn_run *r;
        assert_int_equal(tnn_run_new(&r, s, &c, &err), TNN_OK);
        assert_int_equal(measured ? tnn_run_measure(r, &times, &err) : tnn_run_train(r, first.path, NULL, &err),
                         TNN_OK);
        assert_int_equal(tnn_run_train(r, second.path, NULL, &err), TNN_E_STATE);
        assert_false(exists(second.path, "config.json"));
        tnn_run_free(r);
    }
    tnn_session_free(s);
}

/* A run that gains nothing ends by its patience, saved and told; a stop before its first step costs it no patience. */
static void test_patience(void **state) {
    (void)state;
    char text[600];
    tnn_error err;
    folder f = folder_named("patience");
    tnn_session *s = open_session(1);
    tnn_run *r;
    tnn_train_config c = tiny_config(text);
    stopper stop = {0};
    tnn_train_hooks hooks = {.should_stop = stop_later, .ctx = &stop};
    c.learning_rate = 0;
    c.patience = 1;
    c.steps_per_report = STEPS;
    c.save_every = 0;
    assert_int_equal(tnn_run_new(&r, s, &c, &err), TNN_OK);
    assert_int_equal(tnn_run_train(r, f.path, &hooks, &err), TNN_E_CANCELLED);
    tnn_run_free(r);
    assert_int_equal(tnn_run_open(&r, s, f.path, &err), TNN_OK);
    assert_int_equal(tnn_run_train(r, f.path, NULL, &err), TNN_OK);
    tnn_run_free(r);
    json_t *events = events_of(f.path), *steps = of_kinds(events, "step", "step");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(steps, json_array_size(steps) - 1), "step")), 7);
    assert_true(exists(f.path, "checkpoints/step-0000000007.ckpt"));
    json_decref(steps);
    json_decref(events);
    tnn_session_free(s);
}

/* Settings that a program writes into the structure are held to the ranges that flags are held to. */
static void test_settings_out_of_range(void **state) {
    (void)state;
    char text[600];
    tnn_session *s = open_session(1);
    tnn_setting setting;
    for (int i = 0; tnn_setting_get(i, &setting); i++) {
        tnn_train_config c = tiny_config(text);
        tnn_run *r;
        tnn_error err;
        void *at = (char *)&c + setting.offset;
        if (setting.kind == TNN_SETTING_FLAG) continue;
        if (setting.kind == TNN_SETTING_INT) *(int64_t *)at = (int64_t)setting.lo - 1;
        if (setting.kind == TNN_SETTING_FLOAT) *(double *)at = NAN;
        if (setting.kind == TNN_SETTING_CHOICE) *(int64_t *)at = -1;
        if (setting.kind == TNN_SETTING_STRING) *(const char **)at = i % 2 ? "\xff" : NULL;
        assert_int_equal(tnn_run_new(&r, s, &c, &err), TNN_E_ARG);
        if (strncmp(err.text, setting.name, strlen(setting.name)) != 0) fail_msg("%s: %s", setting.name, err.text);
    }
    tnn_train_config none = tiny_config(text);
    tnn_error err;
    none.recipe = 99;
    assert_int_equal(tnn_train_config_set(&none, "iters", "3", &err), TNN_E_ARG);
    assert_non_null(strstr(err.text, "no recipe 99"));
    tnn_session_free(s);
}

/* A folder whose config.json is gone is no new one: its checkpoints are another run's. */
static void test_checkpoints_of_another_run(void **state) {
    (void)state;
    folder f = folder_named("orphan");
    char path[1024];
    tnn_error err;
    train_whole(f.path, 1);
    snprintf(path, sizeof path, "%s/config.json", f.path);
    assert_int_equal(remove(path), 0);
    assert_int_equal(train(f.path, 1, NULL, &err), TNN_E_STATE);
    assert_non_null(strstr(err.text, "holds a run already"));
}

/* Two processes do not train in one folder. */
static void test_locked(void **state) {
    (void)state;
    char path[1024];
    tnn_error err;
    folder f = folder_named("locked");
    train_whole(f.path, 1);
    snprintf(path, sizeof path, "%s/config.json", f.path);
    int to_child[2], to_parent[2];
    assert_int_equal(pipe(to_child) | pipe(to_parent), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(path, O_RDWR);
        char c = fcntl(fd, F_SETLK, &lock) == 0;
        ssize_t n = write(to_parent[1], &c, 1);
        close(to_child[1]);
        n += read(to_child[0], &c, 1); /* until the test is done */
        _exit(n == 1 ? 0 : 1);
    }
    char locked = 0;
    assert_int_equal(read(to_parent[0], &locked, 1), 1);
    assert_true(locked);
    assert_int_equal(train(f.path, 1, NULL, &err), TNN_E_STATE);
    assert_non_null(strstr(err.text, "another process"));
    close(to_child[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(to_child[0]);
    close(to_parent[0]);
    close(to_parent[1]);
    train_whole(f.path, 1);
}

typedef struct inheritance {
    char path[1024];
    int n_open, n_inherited; /* descriptors of the file at path, and those that a child would get */
} inheritance;

static bool count_descriptors(void *ctx) {
    inheritance *h = ctx;
    struct stat wanted, st;
    if (stat(h->path, &wanted) != 0) return false;
    for (int fd = 0; fd < 256; fd++) {
        if (fstat(fd, &st) != 0 || st.st_ino != wanted.st_ino || st.st_dev != wanted.st_dev) continue;
        h->n_open++;
        h->n_inherited += !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
    return false;
}

/* A program that an embedder starts meanwhile keeps no file of the run open. */
static void test_children_inherit_nothing(void **state) {
    (void)state;
    tnn_error err;
    folder f = folder_named("inherited");
    inheritance h = {0};
    snprintf(h.path, sizeof h.path, "%s/events.jsonl", f.path);
    tnn_train_hooks hooks = {.should_stop = count_descriptors, .ctx = &h};
    if (train(f.path, 1, &hooks, &err)) fail_msg("%s", err.text);
    assert_true(h.n_open > 0);
    assert_int_equal(h.n_inherited, 0);
}

/* --- killed --- */

static uint32_t random_state = 12345;

static uint32_t random_below(uint32_t n) {
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(random_state >> 8) * n >> 24);
}

static void sleep_us(uint32_t us) {
    nanosleep(&(struct timespec){us / 1000000, (long)(us % 1000000) * 1000}, NULL);
}

/* Runs a process that trains in the folder and kills it after some time. True if it had ended by itself, well. */
static bool train_and_kill(const char *out, uint32_t us) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) _exit(train(out, 1, NULL, NULL) == TNN_OK ? 0 : 1);
    int status;
    sleep_us(us);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
    return WIFEXITED(status);
}

static void test_killed_anywhere(void **state) {
    (void)state;
    struct timespec begin, end;
    folder f = folder_named("killed");
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_true(!train_and_kill(f.path, 0) || exists(f.path, "model.gguf"));
    remove_folder(f.path);
    train_whole(f.path, 1);
    clock_gettime(CLOCK_MONOTONIC, &end);
    remove_folder(f.path);
    uint32_t whole_us = (uint32_t)((end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000);
    int n_kills = 0;
    while (n_kills < 50) {
        int in_this_run = 0;
        while (in_this_run++ < 5 && n_kills < 50 && !train_and_kill(f.path, random_below(whole_us))) {
            n_kills++;
        }
        train_whole(f.path, 1);
        assert_same_run(f.path);
        remove_folder(f.path);
    }
    printf("killed %d times, within %u us each\n", n_kills, (unsigned)whole_us);
}

/* --- damaged and hindered --- */

static void change_byte(const char *path, long at) {
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 0x40, f);
    fclose(f);
}

static void test_damaged_checkpoint(void **state) {
    (void)state;
    folder f = folder_named("damaged");
    stopper s;
    char path[1024];
    assert_int_equal(train_until(f.path, 17, &s), TNN_E_CANCELLED); /* keeps steps 15 and 17 */
    snprintf(path, sizeof path, "%s/checkpoints/step-%010d.ckpt", f.path, 17);
    change_byte(path, 5000);
    assert_int_equal(train_until(f.path, STEPS, &s), TNN_OK);
    assert_int_equal(s.n_restored, 1);
    assert_same_run(f.path);
}

/* A file whose checksum is right and whose step is not that of its name: the one before it is taken. */
static void test_impossible_checkpoint(void **state) {
    (void)state;
    enum { STEP_AT = 8 };
    const int64_t step = STEPS;
    folder f = folder_named("impossible");
    stopper s;
    char path[1024];
    assert_int_equal(train_until(f.path, 17, &s), TNN_E_CANCELLED);
    snprintf(path, sizeof path, "%s/checkpoints/step-%010d.ckpt", f.path, 17);
    change_checked(path, STEP_AT, &step);
    assert_int_equal(train_until(f.path, STEPS, &s), TNN_OK);
    assert_int_equal(s.n_restored, 1);
    assert_same_run(f.path);
}

static void test_no_checkpoint_left(void **state) {
    (void)state;
    folder f = folder_named("bare");
    stopper s;
    char path[1024];
    assert_int_equal(train_until(f.path, 9, &s), TNN_E_CANCELLED);
    snprintf(path, sizeof path, "%s/checkpoints", f.path);
    remove_folder(path);
    assert_int_equal(train_until(f.path, STEPS + 1, &s), TNN_OK);
    assert_int_equal(s.n_restored, 0);
    assert_same_run(f.path);
}

/* Takes the folder of checkpoints away when the run is under way: every save fails from then on. */
typedef struct hindrance {
    stopper stopper;
    char checkpoints[1024];
    int calls;
} hindrance;

static bool hinder(void *ctx) {
    hindrance *h = ctx;
    if (h->calls++ == 7) {
        remove_folder(h->checkpoints);
        FILE *f = fopen(h->checkpoints, "w");
        assert_non_null(f);
        fclose(f);
    }
    return false;
}

static void test_saves_that_fail(void **state) {
    (void)state;
    folder f = folder_named("hindered");
    tnn_error err;
    hindrance h = {.calls = 0};
    snprintf(h.checkpoints, sizeof h.checkpoints, "%s/checkpoints", f.path);
    tnn_train_hooks hooks = {.should_stop = hinder, .on_message = count_messages, .ctx = &h};
    if (train(f.path, 1, &hooks, &err)) fail_msg("%s", err.text);
    assert_int_equal(h.stopper.n_unsaved, 4); /* of steps 10, 15, 20, 24 */
    assert_same_run(f.path);
}

/* --- the plan --- */

typedef struct memory {
    double planned, peak;
} memory;

/* In a process of its own, whose peak is that of this run. */
static memory memory_of(const tnn_train_config *c, const char *out) {
    int ends[2];
    memory m = {0, 0};
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        tnn_run *r;
        tnn_session *s;
        tnn_session_options o = tnn_session_options_default();
        struct rusage used;
        o.n_threads = 2;
        if (tnn_session_new(&s, &o, NULL) || tnn_run_new(&r, s, c, NULL)) _exit(1);
        m.planned = (double)tnn_run_plan(r).memory_bytes;
        if (tnn_run_train(r, out, NULL, NULL) || getrusage(RUSAGE_SELF, &used)) _exit(2);
        m.peak = (double)used.ru_maxrss * 1024;
        _exit(write(ends[1], &m, sizeof m) == (ssize_t)sizeof m ? 0 : 3);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], &m, sizeof m), sizeof m);
    close(ends[0]);
    close(ends[1]);
    return m;
}

static void check_memory(const char *what, const tnn_train_config *c, const char *out) {
    memory m = memory_of(c, out);
    double off = fabs(m.planned - m.peak);
    printf("%s: planned %.1f MB, taken %.1f MB\n", what, m.planned / 1e6, m.peak / 1e6);
    if (off > 16e6 && off > 0.05 * m.peak) fail_msg("%s: off by %.1f MB", what, off / 1e6);
}

/* Sanitizers keep memory of their own. */
static void test_planned_memory(void **state) {
    (void)state;
#ifdef TNN_TEST_SLOW_BUILD
    skip();
#endif
    char text[600], model[1024];
    folder f = folder_named("memory"), over = folder_named("memory-over");
    tnn_train_config c = tiny_config(text);
    c.iters = 2;
    c.grad_accumulation_steps = 1;
    c.batch_size = 4;
    c.max_seq_length = 256;
    c.d_model = 256;
    c.n_layers = 6;
    c.n_heads = 8;
    c.d_ff = 768;
    check_memory("from scratch", &c, f.path);
    snprintf(model, sizeof model, "%s/model.gguf", f.path);
    for (int checkpointed = 0; checkpointed < 2; checkpointed++) {
        for (int lora = 0; lora < 2; lora++) {
            tnn_train_config d = tnn_train_config_default(lora ? TNN_RECIPE_LORA : TNN_RECIPE_FULL);
            d.model = model;
            d.text = text;
            d.iters = c.iters;
            d.batch_size = c.batch_size;
            d.max_seq_length = c.max_seq_length;
            d.grad_checkpoint = checkpointed != 0;
            check_memory(lora           ? checkpointed ? "lora, recomputing" : "lora"
                         : checkpointed ? "full, recomputing"
                                        : "full",
                         &d, over.path);
            remove_folder(over.path);
        }
    }
    remove_folder(f.path);
}

/* --- every call of a save --- */

/* A short run of which call fail_at of its saves fails; how many calls there were. */
static int train_with_fault(const char *out, int fail_at, int error, stopper *s) {
    char text[600];
    tnn_error err;
    tnn_session *session = open_session(1);
    tnn_run *r;
    tnn_train_config c = tiny_config(text);
    c.iters = 6;
    c.save_every = 2;
    faults f = {.fail_at = fail_at, .error = error};
    const tnn__file_ops ops = faulty_ops(&f);
    *s = (stopper){0};
    tnn_train_hooks hooks = {.on_message = count_messages, .ctx = s};
    if (tnn_run_new(&r, session, &c, &err)) fail_msg("%s", err.text);
    r->file_ops = &ops;
    if (tnn_run_train(r, out, &hooks, &err)) fail_msg("call %d: %s", fail_at, err.text);
    tnn_run_free(r);
    tnn_session_free(session);
    return f.n_calls;
}

/* The newest checkpoint file in the folder is whole; its step. */
static int64_t newest_checkpoint(const char *out) {
    for (int step = 6; step > 0; step -= 2) {
        char name[64], path[1024];
        tnn_checkpoint_state state;
        tnn_error err;
        snprintf(name, sizeof name, "checkpoints/step-%010d.ckpt", step);
        if (!exists(out, name)) continue;
        snprintf(path, sizeof path, "%s/%s", out, name);
        if (tnn_checkpoint_peek(path, &state, NULL, &err)) fail_msg("%s", err.text);
        return state.step;
    }
    return 0;
}

/* The run goes on and ends as ever, and the last checkpoint that was saved loads. */
static void fail_every_call(int error) {
    folder good = folder_named("unhindered"), f = folder_named("faulty");
    stopper s;
    int n_calls = train_with_fault(good.path, 0, error, &s), n_unsaved = 0;
    assert_int_equal(newest_checkpoint(good.path), 6);
    for (int n = 1; n <= n_calls; n++) {
        char a[1024], b[1024];
        train_with_fault(f.path, n, error, &s);
        assert_true(s.n_unsaved <= 1);
        assert_true(newest_checkpoint(f.path) >= 4); /* of 2, 4, 6 one is missing, or none */
        n_unsaved += s.n_unsaved;
        snprintf(a, sizeof a, "%s/model.gguf", good.path);
        snprintf(b, sizeof b, "%s/model.gguf", f.path);
        assert_same_files(a, b);
        remove_folder(f.path);
    }
    printf("%d calls of three saves, %d of them cost a checkpoint\n", n_calls, n_unsaved);
    assert_true(n_unsaved >= 3 * 6);
    remove_folder(good.path);
}

static void test_every_call_of_a_save(void **state) {
    (void)state;
    fail_every_call(ENOSPC);
    fail_every_call(EIO);
}

static void test_config_that_is_none(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "config.json"},
        {"[1]", "no object"},
        {"{}", "recipe is missing"},
        {"{\"recipe\": \"nothing\"}", "scratch"},
        {"{\"recipe\": \"scratch\", \"iters\": \"many\"}", "iters"},
        {"{\"recipe\": \"scratch\", \"iters\": 0}", "iters"},
        {"{\"recipe\": \"scratch\", \"iters\": [1]}", "iters"},
        {"{\"recipe\": \"lora\", \"model\": \"no-such.gguf\"}", "either a folder"},
        {"{\"recipe\": \"lora\", \"model\": \"no-such.gguf\", \"text\": \"x\"}", "no-such.gguf"},
    };
    folder f = folder_named("config");
    char path[1024];
    tnn_session *s = open_session(1);
    mkdir(f.path, 0777);
    snprintf(path, sizeof path, "%s/config.json", f.path);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tnn_run *r;
        tnn_error err;
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fputs(cases[i].text, file);
        fclose(file);
        assert_int_not_equal(tnn_run_open(&r, s, f.path, &err), TNN_OK);
        if (!strstr(err.text, cases[i].says)) fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
        assert_null(r);
    }
    tnn_session_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_stopped_anywhere),
        cmocka_unit_test(test_finished),
        cmocka_unit_test(test_another_run_in_the_folder),
        cmocka_unit_test(test_trains_once),
        cmocka_unit_test(test_patience),
        cmocka_unit_test(test_settings_out_of_range),
        cmocka_unit_test(test_checkpoints_of_another_run),
        cmocka_unit_test(test_locked),
        cmocka_unit_test(test_children_inherit_nothing),
        cmocka_unit_test(test_killed_anywhere),
        cmocka_unit_test(test_damaged_checkpoint),
        cmocka_unit_test(test_impossible_checkpoint),
        cmocka_unit_test(test_no_checkpoint_left),
        cmocka_unit_test(test_saves_that_fail),
        cmocka_unit_test(test_planned_memory),
        cmocka_unit_test(test_every_call_of_a_save),
        cmocka_unit_test(test_config_that_is_none),
    };
    return cmocka_run_group_tests(tests, create_dir, remove_dir);
}
