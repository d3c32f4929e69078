/*
 * Checkpoints: what was saved comes back bit for bit and training goes on as if it had not stopped; every changed byte
 * and every cut is seen, and changes nothing; a save that fails at any system call leaves the last good one.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/checkpoint.h"
#include "support/checked_file.h"
#include "support/faulty_files.h"
#include "support/temp_dir.h"

enum { ROWS = 6, VOCAB = 8 };

static temp_dir dir;
static char path[600];
static tnn_session *session;
static tnn_error err;

static int open_all(void **state) {
    (void)state;
    tnn_session_options o = tnn_session_options_default();
    o.n_threads = 1;
    temp_dir_create(&dir);
    snprintf(path, sizeof path, "%s/checkpoint", dir.path);
    return tnn_session_new(&session, &o, NULL);
}

static int close_all(void **state) {
    (void)state;
    tnn_session_free(session);
    temp_dir_remove(&dir);
    return 0;
}

static void ok(tnn_status status) {
    if (status) fail_msg("%s", err.text);
}

typedef struct run {
    tnn_store *store;
    tnn_llama_arch *arch;
    tnn_trainer *trainer;
} run;

typedef struct run_options {
    uint64_t seed;
    tnn_optimizer optimizer;
    int64_t d_ff; /* 0: 8 */
    int64_t n_layers;
} run_options;

static run open_run(run_options ro) {
    run r;
    tnn_llama_hparams hp = {.arch = "llama",
                            .n_vocab = VOCAB,
                            .n_ctx_train = 16,
                            .d_model = 4,
                            .n_heads = 2,
                            .n_kv_heads = 1,
                            .d_head = 2,
                            .d_ff = ro.d_ff ? ro.d_ff : 8,
                            .rms_eps = 1e-5f,
                            .attn_scale = 0.70710678f,
                            .rope = tnn_rope_config_default()};
    hp.rope.n_rot = 2;
    tnn_trainer_options o = tnn_trainer_options_default();
    o.n_rows = ROWS;
    o.optimizer = ro.optimizer;
    ok(tnn_store_new(&r.store, session, &err));
    ok(tnn_llama_arch_new(&r.arch, session, &hp, &err));
    ok(tnn_llama_arch_seed_blocks(r.arch, ro.n_layers ? ro.n_layers : 1, &err));
    ok(tnn_llama_arch_alloc_globals_trainable_f32(r.arch, r.store, 0, false, &err));
    ok(tnn_llama_arch_alloc_blocks_trainable_f32(r.arch, r.store, &err));
    ok(tnn_llama_arch_random_init(r.arch, r.store, ro.seed, &err));
    ok(tnn_trainer_new(&r.trainer, session, r.arch, r.store, &o, &err));
    return r;
}

static void close_run(run *r) {
    tnn_trainer_free(r->trainer);
    tnn_llama_arch_free(r->arch);
    tnn_store_free(r->store);
}

static void train(const run *r, int n_steps) {
    static const int32_t ids[ROWS] = {1, 2, 3, 4, 5, 6}, positions[ROWS] = {0, 1, 2, 3, 4, 5}, starts[ROWS] = {0},
                         targets[ROWS] = {2, 3, 4, 5, 6, -1};
    static const float weights[ROWS] = {0.2f, 0.2f, 0.2f, 0.2f, 0.2f, 0.0f};
    const tnn_batch batch = {ids, positions, starts, targets, weights, NULL};
    for (int i = 0; i < n_steps; i++) {
        double loss;
        ok(tnn_trainer_accumulate(r->trainer, &batch, &loss, &err));
        ok(tnn_trainer_update(r->trainer, 0.01f, &loss, &err));
    }
}

typedef struct snapshot {
    char bytes[1 << 15];
    size_t n;
} snapshot;

static snapshot take_snapshot(const run *r) {
    snapshot s = {.n = 0};
    for (int64_t i = 0; i < tnn_trainer_n_params(r->trainer); i++) {
        const tnn_tensor *all[] = {tnn_trainer_value(r->trainer, i), tnn_trainer_moment1(r->trainer, i),
                                   tnn_trainer_moment2(r->trainer, i)};
        for (int k = 0; k < 3; k++) {
            if (!all[k]) continue;
            size_t n = tnn_tensor_bytes(all[k]);
            assert_true(s.n + n <= sizeof s.bytes);
            ok(tnn_tensor_read(all[k], 0, s.bytes + s.n, n, &err));
            s.n += n;
        }
    }
    return s;
}

static void assert_same(const run *r, const snapshot *want) {
    snapshot s = take_snapshot(r);
    assert_int_equal(s.n, want->n);
    assert_memory_equal(s.bytes, want->bytes, s.n);
}

static const tnn_checkpoint_state numbers = {.cursor = {3, 17},
                                             .base_hash = 0xFEDCBA9876543210u,
                                             .n_tokens = (int64_t)1 << 40,
                                             .best_loss = 1.25,
                                             .best_step = 2,
                                             .evals_without_gain = 4};

static void assert_numbers(const tnn_checkpoint_state *s, int64_t step) {
    assert_int_equal(s->step, step);
    assert_true(s->cursor.epoch == 3 && s->cursor.index == 17 && s->base_hash == numbers.base_hash);
    assert_true(s->n_tokens == numbers.n_tokens && s->best_loss == 1.25);
    assert_true(s->best_step == 2 && s->evals_without_gain == 4);
}

static void test_round_trip(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        run_options o = {.seed = 1, .optimizer = k ? TNN_OPTIMIZER_SGD : TNN_OPTIMIZER_ADAMW}, other = o;
        other.seed = 2;
        run a = open_run(o), b = open_run(other);
        tnn_checkpoint_state read;
        train(&a, 3);
        ok(tnn_checkpoint_save(path, a.trainer, &numbers, NULL, &err));
        ok(tnn_checkpoint_peek(path, &read, NULL, &err));
        assert_numbers(&read, 3);
        train(&b, 1);
        ok(tnn_checkpoint_load(path, b.trainer, &read, NULL, &err));
        assert_numbers(&read, 3);
        assert_int_equal(tnn_trainer_step(b.trainer), 3);
        snapshot saved = take_snapshot(&a);
        assert_same(&b, &saved);
        train(&a, 3);
        train(&b, 3);
        snapshot later = take_snapshot(&a);
        assert_same(&b, &later);
        close_run(&a);
        close_run(&b);
    }
}

static void put_byte(int fd, off_t at, unsigned char value) {
    assert_int_equal(pwrite(fd, &value, 1, at), 1);
}

/* Every byte, every bit of it and all at once: seen, and nothing is taken over. */
static void test_every_flipped_byte(void **state) {
    (void)state;
    run a = open_run((run_options){.seed = 1}), b = open_run((run_options){.seed = 2});
    tnn_checkpoint_state read;
    train(&a, 2);
    ok(tnn_checkpoint_save(path, a.trainer, &numbers, NULL, &err));
    snapshot before = take_snapshot(&b);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    off_t size = lseek(fd, 0, SEEK_END);
    assert_in_range(size, 1000, 10000);
    for (off_t at = 0; at < size; at++) {
        unsigned char byte;
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        for (unsigned k = 0; k < 9; k++) {
            put_byte(fd, at, byte ^ (unsigned char)(k < 8 ? 1u << k : 0xFFu));
            if (tnn_checkpoint_load(path, b.trainer, &read, NULL, &err) != TNN_E_FORMAT)
                fail_msg("byte %d, change %u is not seen", (int)at, k);
        }
        put_byte(fd, at, byte);
    }
    assert_same(&b, &before);
    assert_int_equal(tnn_trainer_step(b.trainer), 0);
    ok(tnn_checkpoint_load(path, b.trainer, &read, NULL, &err));
    for (off_t n = size; n-- > 0;) { /* cut anywhere */
        assert_int_equal(ftruncate(fd, n), 0);
        assert_int_equal(tnn_checkpoint_peek(path, &read, NULL, &err), TNN_E_FORMAT);
        assert_non_null(strstr(err.text, path));
    }
    close(fd);
    close_run(&a);
    close_run(&b);
}

static void test_of_another_run(void **state) {
    (void)state;
    static const run_options others[] = {{.d_ff = 12}, {.n_layers = 2}, {.optimizer = TNN_OPTIMIZER_SGD}};
    run a = open_run((run_options){.seed = 1});
    ok(tnn_checkpoint_save(path, a.trainer, &numbers, NULL, &err));
    for (int i = 0; i < 3; i++) {
        run b = open_run(others[i]);
        snapshot before = take_snapshot(&b);
        tnn_checkpoint_state read;
        assert_int_equal(tnn_checkpoint_load(path, b.trainer, &read, NULL, &err), TNN_E_SHAPE);
        assert_non_null(strstr(err.text, "another run"));
        assert_same(&b, &before);
        close_run(&b);
    }
    tnn_checkpoint_state read;
    assert_int_equal(tnn_checkpoint_load(temp_path(&dir, "absent"), a.trainer, &read, NULL, &err), TNN_E_IO);
    assert_int_equal(tnn_checkpoint_load(temp_path(&dir, "absent"), a.trainer, &read, NULL, NULL), TNN_E_IO);
    close_run(&a);
}

/* Counters no run comes to, under a checksum that is right: the first addition to them would overflow. */
static void test_impossible_numbers(void **state) {
    (void)state;
    const int64_t least = INT64_MIN, below = -1, most = INT64_MAX;
    const double no_number = NAN;
    const struct {
        size_t at;
        const void *word;
        const char *name;
    } changes[] = {{8, &most, "step"},        {8, &below, "step"},
                   {16, &most, "epoch"},      {24, &below, "index"},
                   {24, &most, "index"},      {40, &most, "tokens"},
                   {40, &least, "tokens"},    {48, &no_number, "loss"},
                   {56, &below, "best step"}, {64, &most, "validations without gain"}};
    run a = open_run((run_options){.seed = 1}), b = open_run((run_options){.seed = 2});
    snapshot before = take_snapshot(&b);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        tnn_checkpoint_state read;
        ok(tnn_checkpoint_save(path, a.trainer, &numbers, NULL, &err));
        change_checked(path, changes[i].at, changes[i].word);
        assert_int_equal(tnn_checkpoint_load(path, b.trainer, &read, NULL, &err), TNN_E_FORMAT);
        if (!strstr(err.text, changes[i].name) || !strstr(err.text, path))
            fail_msg("\"%s\" does not say \"%s\"", err.text, changes[i].name);
        assert_int_equal(tnn_checkpoint_peek(path, &read, NULL, &err), TNN_E_FORMAT);
    }
    assert_same(&b, &before);
    assert_int_equal(tnn_trainer_step(b.trainer), 0);
    close_run(&a);
    close_run(&b);
}

/* --- system calls that fail --- */

static void check_failing_saves(int error) {
    run a = open_run((run_options){.seed = 1}), b = open_run((run_options){.seed = 2});
    train(&a, 1);
    ok(tnn_checkpoint_save(path, a.trainer, &numbers, NULL, &err));
    snapshot good = take_snapshot(&a);
    train(&a, 1);
    int n_failed = 0;
    for (int n = 1;; n++) {
        faults f = {.fail_at = n, .error = error};
        const tnn__file_ops ops = faulty_ops(&f);
        tnn_status status = tnn__checkpoint_save(path, a.trainer, &numbers, &ops, NULL, &err);
        assert_int_equal(temp_dir_count(&dir), 1);
        if (f.n_calls < n) {
            assert_int_equal(status, TNN_OK);
            break;
        }
        tnn_checkpoint_state read;
        ok(tnn_checkpoint_load(path, b.trainer, &read, NULL, &err)); /* the old one or the new one, whole */
        if (status == TNN_OK || f.was_folder_sync) {
            assert_int_equal(read.step, 2);
            run old = open_run((run_options){.seed = 1}); /* the old one back, for the next round */
            train(&old, 1);
            ok(tnn_checkpoint_save(path, old.trainer, &numbers, NULL, &err));
            close_run(&old);
            n_failed += status != TNN_OK;
            continue;
        }
        n_failed++;
        assert_int_equal(status, TNN_E_IO);
        assert_int_equal(read.step, 1);
        assert_same(&b, &good);
    }
    assert_true(n_failed >= 6); /* folder, file, write, two syncs, close, rename; nobody wrote to the folder */
    train(&a, 1);               /* training goes on */
    close_run(&a);
    close_run(&b);
}

static void test_no_space(void **state) {
    (void)state;
    check_failing_saves(ENOSPC);
}

static void test_io_error(void **state) {
    (void)state;
    check_failing_saves(EIO);
}

static void test_no_space_says_how_much(void **state) {
    (void)state;
    run a = open_run((run_options){.seed = 1});
    faults f = {.fail_at = 3, .error = ENOSPC};
    const tnn__file_ops ops = {&f, faulty_open, faulty_write, faulty_fsync, faulty_close, faulty_rename, faulty_unlink};
    ok(tnn_checkpoint_save(path, a.trainer, &numbers, NULL, &err));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    char needed[64];
    snprintf(needed, sizeof needed, "%ld bytes", ftell(file));
    fclose(file);
    assert_int_equal(tnn__checkpoint_save(path, a.trainer, &numbers, &ops, NULL, &err), TNN_E_IO);
    if (!strstr(err.text, needed)) fail_msg("\"%s\" does not say %s", err.text, needed);
    close_run(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_flipped_byte),
        cmocka_unit_test(test_of_another_run),
        cmocka_unit_test(test_impossible_numbers),
        cmocka_unit_test(test_no_space),
        cmocka_unit_test(test_io_error),
        cmocka_unit_test(test_no_space_says_how_much),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
