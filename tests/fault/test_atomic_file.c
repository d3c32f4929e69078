/*
 * Saves that fail. Every system call of a save is made to fail once, in every way it can: the old file must stand with
 * its content, the temporary one must be gone, nothing may be leaked, and the error must say what is needed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "support/counting_allocator.h"

typedef enum call_kind { CALL_OPEN, CALL_WRITE, CALL_FSYNC, CALL_CLOSE, CALL_RENAME, CALL_UNLINK } call_kind;

#define MAX_CALLS 64

/* The real calls, counted; one of them fails. */
typedef struct faults {
    int fail_at; /* from 1 on; 0 for none */
    int error;   /* 0 makes a write short instead */
    int n_calls;
    call_kind kinds[MAX_CALLS];
    int fsyncs_after_failure; /* of a descriptor whose sync has failed */
    int failed_sync_fd;
    int open_descriptors;
} faults;

static int next_fails(faults *f, call_kind kind) {
    if (f->n_calls < MAX_CALLS) f->kinds[f->n_calls] = kind;
    return ++f->n_calls == f->fail_at;
}

static int faulty_open(void *ctx, const char *path, int flags, unsigned mode) {
    faults *f = ctx;
    if (next_fails(f, CALL_OPEN) && f->error) {
        errno = f->error;
        return -1;
    }
    int fd = open(path, flags, (mode_t)mode);
    f->open_descriptors += fd >= 0;
    return fd;
}

static int64_t faulty_write(void *ctx, int fd, const void *data, size_t n) {
    faults *f = ctx;
    if (next_fails(f, CALL_WRITE)) {
        if (f->error == 0) return write(fd, data, n > 1 ? n / 2 : n);
        errno = f->error;
        return -1;
    }
    return write(fd, data, n);
}

static int faulty_fsync(void *ctx, int fd) {
    faults *f = ctx;
    if (fd == f->failed_sync_fd) f->fsyncs_after_failure++;
    if (next_fails(f, CALL_FSYNC) && f->error) {
        if (f->error != EINTR) f->failed_sync_fd = fd;
        errno = f->error;
        return -1;
    }
    return fsync(fd);
}

static int faulty_close(void *ctx, int fd) {
    faults *f = ctx;
    int fails = next_fails(f, CALL_CLOSE);
    f->open_descriptors--;
    int rc = close(fd); /* a close that fails closes all the same */
    if (fails && f->error) {
        errno = f->error;
        return -1;
    }
    return rc;
}

static int faulty_rename(void *ctx, const char *from, const char *to) {
    faults *f = ctx;
    if (next_fails(f, CALL_RENAME) && f->error) {
        errno = f->error;
        return -1;
    }
    return rename(from, to);
}

static int faulty_unlink(void *ctx, const char *path) {
    faults *f = ctx;
    if (next_fails(f, CALL_UNLINK) && f->error) {
        errno = f->error;
        return -1;
    }
    return unlink(path);
}

static tnn__file_ops faulty_ops(faults *f) {
    f->failed_sync_fd = -1;
    return (tnn__file_ops){f, faulty_open, faulty_write, faulty_fsync, faulty_close, faulty_rename, faulty_unlink};
}

static char folder[] = "/tmp/tnn-test-atomic-XXXXXX";
static char path[256];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/checkpoint", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static const char old_content[] = "the last good checkpoint";

static void put_old_file(void) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(old_content, file);
    assert_int_equal(fclose(file), 0);
}

static int files_in_folder(void) {
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        n += entry->d_name[0] != '.';
    }
    closedir(dir);
    return n;
}

#define NEW_BYTES 300000

static uint8_t new_content[NEW_BYTES], read_back[NEW_BYTES + 1];

static size_t read_file(void) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(read_back, 1, sizeof read_back, file);
    fclose(file);
    return n;
}

static void check_content(const void *data, size_t n) {
    assert_int_equal(read_file(), n);
    assert_memory_equal(read_back, data, n);
}

/* Many small pieces and one that goes past the buffer. */
static tnn_status save(const tnn__file_ops *ops, const tnn_allocator *a, uint64_t expected, tnn_error *err) {
    tnn__atomic_file *f;
    tnn_status status = tnn__atomic_open(&f, path, expected, ops, a, err);
    if (status != TNN_OK) {
        assert_null(f);
        return status;
    }
    size_t done = 0;
    for (size_t piece = 1; done < 100000; piece = piece * 3 % 1009) {
        /* not heeded: a failure must come again from the commit */
        if (status == TNN_OK) status = tnn__atomic_write(f, new_content + done, piece, NULL);
        done += piece;
        if (status == TNN_OK) assert_int_equal(tnn__atomic_tell(f), done);
    }
    tnn_status last = tnn__atomic_write(f, new_content + done, NEW_BYTES - done, NULL);
    tnn_status committed = tnn__atomic_commit(f, err);
    if (status != TNN_OK) assert_int_equal(last, status);
    if (last != TNN_OK) assert_int_equal(committed, last);
    return committed;
}

static void fill_new_content(void) {
    for (size_t i = 0; i < NEW_BYTES; i++) {
        new_content[i] = (uint8_t)(i * 2654435761u >> 13);
    }
}

static void test_save(void **state) {
    (void)state;
    counting_allocator counts = {0};
    tnn_allocator a = counting_interface(&counts);
    put_old_file();
    assert_int_equal(save(NULL, &a, NEW_BYTES, NULL), TNN_OK);
    check_content(new_content, NEW_BYTES);
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(counts.live_blocks, 0);
    assert_int_equal(counts.live_bytes, 0);
    /* where there was none */
    unlink(path);
    assert_int_equal(save(NULL, &a, NEW_BYTES, NULL), TNN_OK);
    check_content(new_content, NEW_BYTES);
}

static void test_abort(void **state) {
    (void)state;
    put_old_file();
    tnn__atomic_file *f;
    assert_int_equal(tnn__atomic_open(&f, path, 0, NULL, NULL, NULL), TNN_OK);
    assert_int_equal(tnn__atomic_write(f, new_content, NEW_BYTES, NULL), TNN_OK);
    assert_int_equal(files_in_folder(), 2);
    tnn__atomic_abort(f);
    assert_int_equal(files_in_folder(), 1);
    check_content(old_content, strlen(old_content));
    tnn__atomic_abort(NULL);
}

/* Two savers of one path do not meet in one temporary file; the last commit stands. */
static void test_two_savers(void **state) {
    (void)state;
    tnn__atomic_file *f, *g;
    assert_int_equal(tnn__atomic_open(&f, path, 0, NULL, NULL, NULL), TNN_OK);
    assert_int_equal(tnn__atomic_open(&g, path, 0, NULL, NULL, NULL), TNN_OK);
    assert_int_equal(tnn__atomic_write(f, "first", 5, NULL), TNN_OK);
    assert_int_equal(tnn__atomic_write(g, "second", 6, NULL), TNN_OK);
    assert_int_equal(tnn__atomic_commit(f, NULL), TNN_OK);
    check_content("first", 5);
    assert_int_equal(tnn__atomic_commit(g, NULL), TNN_OK);
    check_content("second", 6);
    assert_int_equal(files_in_folder(), 1);
}

static void test_path_without_folder(void **state) {
    (void)state;
    char previous[4096];
    assert_non_null(getcwd(previous, sizeof previous));
    assert_int_equal(chdir(folder), 0);
    tnn__atomic_file *f;
    assert_int_equal(tnn__atomic_open(&f, "checkpoint", 0, NULL, NULL, NULL), TNN_OK);
    assert_int_equal(tnn__atomic_write(f, "short path", 10, NULL), TNN_OK);
    assert_int_equal(tnn__atomic_commit(f, NULL), TNN_OK);
    assert_int_equal(chdir(previous), 0);
    check_content("short path", 10);
}

static void test_absent_folder(void **state) {
    (void)state;
    tnn__atomic_file *f;
    tnn_error err;
    char name[300];
    snprintf(name, sizeof name, "%s/absent/checkpoint", folder);
    assert_int_equal(tnn__atomic_open(&f, name, 0, NULL, NULL, &err), TNN_E_IO);
    assert_null(f);
    assert_non_null(strstr(err.text, name));
    assert_non_null(strstr(err.text, "No such file or directory"));
}

/* Refused before anything is written: at the rename it would be after all the work. */
static void test_path_that_is_no_file(void **state) {
    (void)state;
    char slash[300];
    snprintf(slash, sizeof slash, "%s/new/", folder);
    const char *const paths[] = {"", folder, slash};
    static const char *const words[] = {"empty", "is a folder", "is a folder"};
    for (int i = 0; i < 3; i++) {
        tnn__atomic_file *f;
        tnn_error err;
        assert_int_equal(tnn__atomic_open(&f, paths[i], 0, NULL, NULL, &err), TNN_E_IO);
        assert_null(f);
        assert_non_null(strstr(err.text, words[i]));
    }
}

/* One save with call `n` failing as told; false once there is no call n. */
static int save_with_fault(int n, int error, uint64_t expected, faults *f, tnn_status *status, tnn_error *err) {
    counting_allocator counts = {0};
    tnn_allocator a = counting_interface(&counts);
    *f = (faults){.fail_at = n, .error = error};
    tnn__file_ops ops = faulty_ops(f);
    put_old_file();
    *err = (tnn_error){0};
    *status = save(&ops, &a, expected, err);
    assert_int_equal(counts.live_blocks, 0);
    assert_int_equal(counts.live_bytes, 0);
    assert_int_equal(f->open_descriptors, 0);
    assert_int_equal(f->fsyncs_after_failure, 0);
    return n <= f->n_calls;
}

/* A folder sync that fails is the one failure that comes when the new file stands already. */
static int is_folder_sync(const faults *f) {
    int n_syncs = 0;
    for (int i = 0; i < f->fail_at; i++) {
        n_syncs += f->kinds[i] == CALL_FSYNC;
    }
    return f->kinds[f->fail_at - 1] == CALL_FSYNC && n_syncs == 2;
}

static void check_every_call(int error) {
    faults f;
    tnn_status status;
    tnn_error err;
    int n_failed = 0;
    for (int n = 1; save_with_fault(n, error, NEW_BYTES, &f, &status, &err); n++) {
        assert_true(n <= MAX_CALLS);
        assert_int_equal(files_in_folder(), 1);
        if (status == TNN_OK) {
            check_content(new_content, NEW_BYTES);
            assert_int_equal(f.kinds[n - 1], CALL_CLOSE); /* of the folder, which nobody has written to */
            continue;
        }
        n_failed++;
        assert_int_equal(status, TNN_E_IO);
        assert_int_equal(err.status, TNN_E_IO);
        assert_non_null(strstr(err.text, path));
        assert_non_null(strstr(err.text, strerror(error)));
        if (error == ENOSPC || error == EDQUOT) assert_non_null(strstr(err.text, "300000 bytes are needed"));
        if (is_folder_sync(&f)) {
            assert_non_null(strstr(err.text, "the new file is in place"));
            check_content(new_content, NEW_BYTES);
        } else {
            check_content(old_content, strlen(old_content));
        }
    }
    /* folder, temporary file, at least three writes, two syncs, a close, the rename */
    assert_true(n_failed >= 9);
}

static void test_no_space_at_every_call(void **state) {
    (void)state;
    check_every_call(ENOSPC);
}

static void test_quota_at_every_call(void **state) {
    (void)state;
    check_every_call(EDQUOT);
}

static void test_io_error_at_every_call(void **state) {
    (void)state;
    check_every_call(EIO);
}

/* Interrupted calls are repeated where that is safe; where it is not, the old file stands. */
static void test_interrupted_at_every_call(void **state) {
    (void)state;
    faults f;
    tnn_status status;
    tnn_error err;
    for (int n = 1; save_with_fault(n, EINTR, NEW_BYTES, &f, &status, &err); n++) {
        assert_int_equal(files_in_folder(), 1);
        if (f.kinds[n - 1] == CALL_RENAME) {
            assert_int_equal(status, TNN_E_IO);
            check_content(old_content, strlen(old_content));
        } else {
            assert_int_equal(status, TNN_OK);
            check_content(new_content, NEW_BYTES);
        }
    }
}

static void test_short_write_at_every_call(void **state) {
    (void)state;
    faults f;
    tnn_status status;
    tnn_error err;
    int n_short = 0;
    for (int n = 1; save_with_fault(n, 0, NEW_BYTES, &f, &status, &err); n++) {
        n_short += f.kinds[n - 1] == CALL_WRITE;
        assert_int_equal(status, TNN_OK);
        check_content(new_content, NEW_BYTES);
        assert_int_equal(files_in_folder(), 1);
    }
    assert_true(n_short >= 3);
}

static void test_no_space_without_expected_size(void **state) {
    (void)state;
    faults f;
    tnn_status status;
    tnn_error err;
    save_with_fault(3, ENOSPC, 0, &f, &status, &err);
    assert_int_equal(f.kinds[2], CALL_WRITE);
    assert_int_equal(status, TNN_E_IO);
    assert_non_null(strstr(err.text, "at least"));
    assert_non_null(strstr(err.text, "bytes are needed"));
    assert_non_null(strstr(err.text, folder));
}

static int64_t write_nothing(void *ctx, int fd, const void *data, size_t n) {
    (void)ctx;
    (void)fd;
    (void)data;
    (void)n;
    return 0;
}

static void test_write_that_takes_nothing(void **state) {
    (void)state;
    faults f = {0};
    tnn__file_ops ops = faulty_ops(&f);
    ops.write = write_nothing;
    put_old_file();
    tnn_error err;
    assert_int_equal(save(&ops, NULL, 0, &err), TNN_E_IO);
    assert_int_equal(files_in_folder(), 1);
    check_content(old_content, strlen(old_content));
}

static void test_no_memory_at_every_request(void **state) {
    (void)state;
    put_old_file();
    size_t fail_at = 1;
    for (;; fail_at++) {
        counting_allocator counts = {.fail_at = fail_at};
        tnn_allocator a = counting_interface(&counts);
        tnn_status status = save(NULL, &a, 0, NULL);
        assert_int_equal(counts.live_blocks, 0);
        assert_int_equal(counts.live_bytes, 0);
        assert_int_equal(files_in_folder(), 1);
        if (status == TNN_OK) break;
        assert_int_equal(status, TNN_E_NOMEM);
        check_content(old_content, strlen(old_content));
    }
    assert_true(fail_at > 1);
    check_content(new_content, NEW_BYTES);
}

int main(void) {
    fill_new_content();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_save),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_two_savers),
        cmocka_unit_test(test_path_without_folder),
        cmocka_unit_test(test_absent_folder),
        cmocka_unit_test(test_path_that_is_no_file),
        cmocka_unit_test(test_no_space_at_every_call),
        cmocka_unit_test(test_quota_at_every_call),
        cmocka_unit_test(test_io_error_at_every_call),
        cmocka_unit_test(test_interrupted_at_every_call),
        cmocka_unit_test(test_short_write_at_every_call),
        cmocka_unit_test(test_no_space_without_expected_size),
        cmocka_unit_test(test_write_that_takes_nothing),
        cmocka_unit_test(test_no_memory_at_every_request),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
