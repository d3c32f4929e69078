/* Reading: views of whole files, and small files taken into memory. Writing is in atomic_file.c. */
#define _DEFAULT_SOURCE /* madvise, which POSIX 2008 does not name */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"

/* Numbers of models, checkpoints and saved sequences are used as they lie in the file. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tinynn's files are little-endian and are used in place: build it for a little-endian processor"
#endif

#define READ_MAX ((size_t)1 << 30) /* Linux moves at most 2^31 - 4096 bytes in one read */

static const char *advice_for(int code) {
    switch (code) {
    case ENOENT:
    case ENOTDIR:
        return "check the path";
    case EACCES:
    case EPERM:
        return "check the permissions";
    case EMFILE:
    case ENFILE:
        return "close other files";
    default:
        return "check the disk it is on";
    }
}

static tnn_status fail_errno(tnn_error *err, const char *action, const char *path, int code) {
    char reason[TNN__ERRNO_TEXT];
    return tnn__fail(err, TNN_E_IO, "cannot %s %s: %s; %s", action, path, tnn__errno_text(code, reason),
                     advice_for(code));
}

/* Opens for reading; O_NONBLOCK so that a pipe nobody writes to is met by the check on its kind, not by a hang. */
static tnn_status open_regular(const char *path, int *out_fd, size_t *out_size, tnn_error *err) {
    int fd;
    do {
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) return fail_errno(err, "open", path, errno);

    struct stat st;
    tnn_status status = TNN_OK;
    if (fstat(fd, &st) != 0) {
        status = fail_errno(err, "inspect", path, errno);
    } else if (!S_ISREG(st.st_mode)) {
        status = tnn__fail(err, TNN_E_IO, "cannot read %s: it is %s; name a regular file", path,
                           S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
    } else if (st.st_size < 0 || (uintmax_t)st.st_size > SIZE_MAX - 1) {
        status = tnn__fail(err, TNN_E_RANGE, "cannot read %s: its %jd bytes do not fit the address space", path,
                           (intmax_t)st.st_size);
    }
    if (status != TNN_OK) {
        close(fd);
        return status;
    }
    *out_fd = fd;
    *out_size = (size_t)st.st_size;
    return TNN_OK;
}

static tnn_status read_exactly(int fd, const char *path, void *data, size_t size, tnn_error *err) {
    for (size_t done = 0; done < size;) {
        size_t ask = size - done < READ_MAX ? size - done : READ_MAX;
        ssize_t n = read(fd, (char *)data + done, ask);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(err, "read", path, errno);
        if (n == 0) {
            return tnn__fail(err, TNN_E_IO, "cannot read %s: it ended at byte %zu of %zu; it was cut while being read",
                             path, done, size);
        }
        done += (size_t)n;
    }
    return TNN_OK;
}

static const uint8_t empty_file[1] = {0};

static tnn_status map_view(tnn__file_view *view, int fd, const char *path, tnn_error *err) {
    void *p = mmap(NULL, view->size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        char reason[TNN__ERRNO_TEXT];
        return tnn__fail(err, TNN_E_IO, "cannot map %s (%zu bytes): %s; load it without mmap", path, view->size,
                         tnn__errno_text(errno, reason));
    }
    view->data = p;
    view->mapped = true;
    return TNN_OK;
}

static tnn_status read_view(tnn__file_view *view, int fd, const char *path, tnn_error *err) {
    uint8_t *copy = tnn__alloc(&view->alloc, view->size, TNN__ALIGN);
    if (!copy) return tnn__fail_nomem(err, path, view->size);
    tnn_status status = read_exactly(fd, path, copy, view->size, err);
    if (status != TNN_OK) {
        tnn__free(&view->alloc, copy, view->size, TNN__ALIGN);
        return status;
    }
    view->data = copy;
    return TNN_OK;
}

tnn_status tnn__file_view_open(tnn__file_view *view, const char *path, bool mapped, const tnn_allocator *a,
                               tnn_error *err) {
    *view = (tnn__file_view){.alloc = *tnn__allocator_or_default(a)};
    int fd;
    tnn_status status = open_regular(path, &fd, &view->size, err);
    if (status != TNN_OK) return status;
    if (view->size == 0) {
        view->data = empty_file; /* a mapping of no bytes does not exist */
    } else {
        status = mapped ? map_view(view, fd, path, err) : read_view(view, fd, path, err);
    }
    close(fd);
    if (status != TNN_OK) *view = (tnn__file_view){0};
    return status;
}

void tnn__file_view_release(const tnn__file_view *view, size_t begin, size_t end) {
    long page = sysconf(_SC_PAGESIZE);
    if (!view->mapped || page <= 0) return;
    size_t first = (begin + (size_t)page - 1) / (size_t)page * (size_t)page, last = end / (size_t)page * (size_t)page;
    if (last > first) madvise((void *)(uintptr_t)(view->data + first), last - first, MADV_DONTNEED);
}

void tnn__file_view_close(tnn__file_view *view) {
    if (view->mapped) {
        munmap((void *)(uintptr_t)view->data, view->size);
    } else if (view->size > 0) {
        tnn__free(&view->alloc, (void *)(uintptr_t)view->data, view->size, TNN__ALIGN);
    }
    *view = (tnn__file_view){0};
}

tnn_status tnn__file_read(const char *path, size_t max_bytes, const tnn_allocator *a, char **data, size_t *size,
                          tnn_error *err) {
    *data = NULL;
    *size = 0;
    int fd;
    size_t n;
    tnn_status status = open_regular(path, &fd, &n, err);
    if (status != TNN_OK) return status;
    char *text = NULL;
    if (n > max_bytes) {
        status = tnn__fail(err, TNN_E_RANGE, "cannot read %s: it has %zu bytes; at most %zu are taken here", path, n,
                           max_bytes);
    } else if (!(text = tnn__alloc(a, n + 1, 1))) {
        status = tnn__fail_nomem(err, path, n + 1);
    } else {
        status = read_exactly(fd, path, text, n, err);
    }
    close(fd);
    if (status != TNN_OK) {
        tnn__free(a, text, n + 1, 1);
        return status;
    }
    text[n] = '\0';
    *data = text;
    *size = n;
    return TNN_OK;
}
