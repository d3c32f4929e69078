/* File calls of which the Nth fails with an error of one's choice, for tests of what a failed save leaves behind. */
#ifndef TNN_TEST_FAULTY_FILES_H
#define TNN_TEST_FAULTY_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

typedef struct faults {
    int fail_at, error, n_calls, n_syncs;
    bool was_folder_sync;
} faults;

static bool fails(faults *f) {
    if (++f->n_calls != f->fail_at) return false;
    errno = f->error;
    return true;
}

static int faulty_open(void *ctx, const char *name, int flags, unsigned mode) {
    return fails(ctx) ? -1 : open(name, flags, (mode_t)mode);
}

static int64_t faulty_write(void *ctx, int fd, const void *data, size_t n) {
    return fails(ctx) ? -1 : write(fd, data, n);
}

static int faulty_fsync(void *ctx, int fd) {
    faults *f = ctx;
    f->n_syncs++;
    if (fails(f)) {
        f->was_folder_sync = f->n_syncs == 2;
        return -1;
    }
    return fsync(fd);
}

static int faulty_close(void *ctx, int fd) {
    bool failed = fails(ctx);
    int error = errno, rc = close(fd);
    errno = error;
    return failed ? -1 : rc;
}

static int faulty_rename(void *ctx, const char *from, const char *to) {
    return fails(ctx) ? -1 : rename(from, to);
}

static int faulty_unlink(void *ctx, const char *name) {
    (void)ctx;
    return unlink(name);
}

static tnn__file_ops faulty_ops(faults *f) {
    return (tnn__file_ops){f, faulty_open, faulty_write, faulty_fsync, faulty_close, faulty_rename, faulty_unlink};
}

#endif
