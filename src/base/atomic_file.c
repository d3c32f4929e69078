/*
 * The writer that replaces a file or leaves it alone. What is written goes into a temporary file in the same folder;
 * commit syncs it, renames it over the target and syncs the folder, so that after a crash or a power loss the old
 * content or the new one is there. The first failure is kept: later writes and the commit give it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tinynn/output_file.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"

#define BUFFER_BYTES     ((size_t)64 * 1024)
#define WRITE_MAX        ((size_t)1 << 30)
#define TEMP_NAMES_TRIED 100
#define TEMP_SUFFIX_MAX  48 /* ".tmp-<pid>-<n>" */

struct tnn__atomic_file {
    tnn_allocator alloc;
    tnn__file_ops ops;
    char *path, *temp_path, *folder;
    size_t path_bytes, temp_path_bytes, folder_bytes; /* terminators included */
    int fd;                                           /* of the temporary file, -1 once closed */
    int folder_fd; /* opened before anything is replaced: its failure must come while the old file stands */
    uint64_t expected_bytes;
    uint64_t accepted; /* from the caller */
    uint64_t written;  /* to the system; the rest is in the buffer */
    size_t buffered;
    tnn_error failure; /* the first one; status TNN_OK while all is well */
    uint8_t buffer[BUFFER_BYTES];
};

static int real_open(void *ctx, const char *path, int flags, unsigned mode) {
    (void)ctx;
    return open(path, flags, (mode_t)mode);
}

static int64_t real_write(void *ctx, int fd, const void *data, size_t n) {
    (void)ctx;
    return write(fd, data, n);
}

static int real_fsync(void *ctx, int fd) {
    (void)ctx;
    return fsync(fd);
}

static int real_close(void *ctx, int fd) {
    (void)ctx;
    return close(fd);
}

static int real_rename(void *ctx, const char *from, const char *to) {
    (void)ctx;
    return rename(from, to);
}

static int real_unlink(void *ctx, const char *path) {
    (void)ctx;
    return unlink(path);
}

static const tnn__file_ops real_ops = {NULL, real_open, real_write, real_fsync, real_close, real_rename, real_unlink};

uint64_t tnn__atomic_tell(const tnn__atomic_file *f) {
    return f->accepted;
}

/* Keeps the failure in the file and copies it to the caller. */
static tnn_status fail_save(tnn__atomic_file *f, tnn_error *err, const char *action, int code) {
    char reason[TNN__ERRNO_TEXT];
    tnn__errno_text(code, reason);
    if (code == ENOSPC || code == EDQUOT || code == EFBIG) {
        bool known = f->expected_bytes > f->accepted;
        tnn__fail(&f->failure, TNN_E_IO,
                  "cannot %s %s: %s; %s%" PRIu64 " bytes are needed in %s, %" PRIu64 " were written", action, f->path,
                  reason, known ? "" : "at least ", known ? f->expected_bytes : f->accepted, f->folder, f->written);
    } else {
        tnn__fail(&f->failure, TNN_E_IO, "cannot %s %s: %s; check the folder %s", action, f->path, reason, f->folder);
    }
    if (err) *err = f->failure;
    return f->failure.status;
}

static int open_retrying(const tnn__file_ops *ops, const char *path, int flags, unsigned mode) {
    int fd;
    do {
        fd = ops->open(ops->ctx, path, flags, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/*
 * EINTR says the sync did not run to its end and may be asked for again; any other failure may have dropped pages, and
 * a second call that succeeds would prove nothing.
 */
static int fsync_interruptible(const tnn__file_ops *ops, int fd) {
    int rc;
    do {
        rc = ops->fsync(ops->ctx, fd);
    } while (rc != 0 && errno == EINTR);
    return rc;
}

/* An interrupted close has closed the descriptor on Linux, so the call is not repeated. */
static int close_once(const tnn__file_ops *ops, int fd) {
    int rc = ops->close(ops->ctx, fd);
    return rc != 0 && errno == EINTR ? 0 : rc;
}

/* The part of the path before the last slash: "." where there is none, "/" for the root. */
static size_t folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return 0;
    return slash == path ? 1 : (size_t)(slash - path);
}

static bool set_paths(tnn__atomic_file *f, const char *path) {
    size_t n = strlen(path);
    size_t folder = folder_length(path);
    f->path_bytes = n + 1;
    f->temp_path_bytes = n + TEMP_SUFFIX_MAX;
    f->folder_bytes = (folder ? folder : 1) + 1;
    f->path = tnn__alloc(&f->alloc, f->path_bytes, 1);
    f->temp_path = tnn__alloc(&f->alloc, f->temp_path_bytes, 1);
    f->folder = tnn__alloc(&f->alloc, f->folder_bytes, 1);
    if (!f->path || !f->temp_path || !f->folder) return false;
    memcpy(f->path, path, n + 1);
    memcpy(f->folder, folder ? path : ".", f->folder_bytes - 1);
    f->folder[f->folder_bytes - 1] = '\0';
    f->temp_path[0] = '\0';
    return true;
}

static void free_file(tnn__atomic_file *f) {
    tnn_allocator a = f->alloc;
    tnn__free(&a, f->path, f->path_bytes, 1);
    tnn__free(&a, f->temp_path, f->temp_path_bytes, 1);
    tnn__free(&a, f->folder, f->folder_bytes, 1);
    tnn__free(&a, f, sizeof *f, TNN__ALIGN);
}

/* The first free name wins; another thread or a crashed run may hold the lower ones. */
static int open_temp(tnn__atomic_file *f) {
    for (int n = 0; n < TEMP_NAMES_TRIED; n++) {
        snprintf(f->temp_path, f->temp_path_bytes, "%s.tmp-%ld-%d", f->path, (long)getpid(), n);
        int fd = open_retrying(&f->ops, f->temp_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

/* Told before the work that fills the file, not at the rename behind it. */
static tnn_status check_path(const char *path, tnn_error *err) {
    struct stat st;
    size_t n = strlen(path);
    if (n == 0) return tnn__fail(err, TNN_E_IO, "the name of the file to be written is empty");
    if (path[n - 1] == '/' || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
        return tnn__fail(err, TNN_E_IO, "cannot write %s: it is a folder; name a file", path);
    return TNN_OK;
}

tnn_status tnn__atomic_open(tnn__atomic_file **out, const char *path, uint64_t expected_bytes, const tnn__file_ops *ops,
                            const tnn_allocator *a, tnn_error *err) {
    *out = NULL;
    tnn_status status = check_path(path, err);
    if (status != TNN_OK) return status;
    a = tnn__allocator_or_default(a);
    tnn__atomic_file *f = tnn__calloc(a, sizeof *f, TNN__ALIGN);
    if (!f) return tnn__fail_nomem(err, "the buffer of a file to be written", sizeof *f);
    f->alloc = *a;
    f->ops = ops ? *ops : real_ops;
    f->expected_bytes = expected_bytes;
    if (!set_paths(f, path)) {
        status = tnn__fail_nomem(err, "the path of a file to be written", f->path_bytes);
    } else if ((f->folder_fd = open_retrying(&f->ops, f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)) < 0) {
        status = fail_save(f, err, "open the folder of", errno);
    } else if ((f->fd = open_temp(f)) < 0) {
        status = fail_save(f, err, "create a temporary file beside", errno);
        f->ops.close(f->ops.ctx, f->folder_fd);
    }
    if (status != TNN_OK) {
        free_file(f);
        return status;
    }
    *out = f;
    return TNN_OK;
}

static tnn_status write_through(tnn__atomic_file *f, const uint8_t *data, size_t n, tnn_error *err) {
    while (n > 0) {
        int64_t rc = f->ops.write(f->ops.ctx, f->fd, data, n < WRITE_MAX ? n : WRITE_MAX);
        if (rc < 0 && errno == EINTR) continue;
        /* A write that takes nothing and names no error would be asked for forever. */
        if (rc <= 0) return fail_save(f, err, "write", rc < 0 ? errno : EIO);
        data += rc;
        n -= (size_t)rc;
        f->written += (uint64_t)rc;
    }
    return TNN_OK;
}

static tnn_status flush(tnn__atomic_file *f, tnn_error *err) {
    size_t n = f->buffered;
    if (n == 0) return TNN_OK;
    f->buffered = 0;
    return write_through(f, f->buffer, n, err);
}

tnn_status tnn__atomic_write(tnn__atomic_file *f, const void *data, size_t n, tnn_error *err) {
    if (f->failure.status != TNN_OK) {
        if (err) *err = f->failure;
        return f->failure.status;
    }
    f->accepted += n;
    if (n > BUFFER_BYTES - f->buffered) {
        tnn_status status = flush(f, err);
        if (status != TNN_OK) return status;
    }
    if (n >= BUFFER_BYTES) return write_through(f, data, n, err);
    if (n > 0) memcpy(f->buffer + f->buffered, data, n);
    f->buffered += n;
    return TNN_OK;
}

void tnn__atomic_abort(tnn__atomic_file *f) {
    if (!f) return;
    if (f->fd >= 0) f->ops.close(f->ops.ctx, f->fd);
    f->ops.unlink(f->ops.ctx, f->temp_path);
    f->ops.close(f->ops.ctx, f->folder_fd);
    free_file(f);
}

static tnn_status sync_and_close(tnn__atomic_file *f, tnn_error *err) {
    if (fsync_interruptible(&f->ops, f->fd) != 0) return fail_save(f, err, "sync", errno);
    int fd = f->fd;
    f->fd = -1;
    if (close_once(&f->ops, fd) != 0) return fail_save(f, err, "close", errno);
    return TNN_OK;
}

tnn_status tnn__atomic_commit(tnn__atomic_file *f, tnn_error *err) {
    tnn_status status = f->failure.status;
    if (status != TNN_OK && err) *err = f->failure;
    if (status == TNN_OK) status = flush(f, err);
    if (status == TNN_OK) status = sync_and_close(f, err);
    if (status == TNN_OK && f->ops.rename(f->ops.ctx, f->temp_path, f->path) != 0) {
        status = fail_save(f, err, "rename the temporary file to", errno);
    }
    if (status != TNN_OK) {
        tnn__atomic_abort(f);
        return status;
    }
    /* EINVAL: a file system whose folders cannot be synced, and where there is nothing to wait for. */
    if (fsync_interruptible(&f->ops, f->folder_fd) != 0 && errno != EINVAL) {
        status =
            fail_save(f, err, "sync the folder; the new file is in place but may not outlive a power loss:", errno);
    }
    f->ops.close(f->ops.ctx, f->folder_fd);
    free_file(f);
    return status;
}

/* --- the public names --- */

tnn_status tnn_output_file_open(tnn_output_file **out, const char *path, uint64_t n_bytes, tnn_error *err) {
    return tnn__atomic_open(out, path, n_bytes, NULL, NULL, err);
}

tnn_status tnn_output_file_write(tnn_output_file *f, const void *data, size_t n, tnn_error *err) {
    return tnn__atomic_write(f, data, n, err);
}

tnn_status tnn_output_file_finish(tnn_output_file *f, tnn_error *err) {
    return tnn__atomic_commit(f, err);
}

void tnn_output_file_abort(tnn_output_file *f) {
    tnn__atomic_abort(f);
}
