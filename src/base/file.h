/*
 * Files: a read-only view of a whole file (mapped, or read into memory), and a writer that replaces a file
 * atomically (temporary file in the same folder, fsync, rename, fsync of the folder).
 */
#ifndef TNN_BASE_FILE_H
#define TNN_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/allocator.h>
#include <tinynn/status.h>

typedef struct tnn__file_view {
    const uint8_t *data;
    size_t size;
    bool mapped;
    tnn_allocator alloc; /* of the copy, when not mapped */
} tnn__file_view;

/*
 * mapped = false reads the file into private memory. The path is named in every error; TNN_E_IO for whatever the system
 * refuses and for what is not a regular file. An empty file gives size 0 and a valid pointer.
 */
tnn_status tnn__file_view_open(tnn__file_view *view, const char *path, bool mapped, const tnn_allocator *a,
                               tnn_error *err);
void tnn__file_view_close(tnn__file_view *view); /* safe on a zeroed view */
/*
 * Bytes [begin, end) of a mapped view will not be read again soon: whole pages of them stop counting as this process's
 * memory. They can still be read. Nothing happens to a view that is not mapped.
 */
void tnn__file_view_release(const tnn__file_view *view, size_t begin, size_t end);

/*
 * Whole small file into private memory, terminated by a NUL that is not counted. TNN_E_RANGE for files over max_bytes.
 * Free with tnn__free(a, *data, *size + 1, 1).
 */
tnn_status tnn__file_read(const char *path, size_t max_bytes, const tnn_allocator *a, char **data, size_t *size,
                          tnn_error *err);

/*
 * System calls of a save, replaceable so that tests can make the Nth one fail. NULL means the real ones.
 */
typedef struct tnn__file_ops {
    void *ctx;
    int (*open)(void *ctx, const char *path, int flags, unsigned mode);
    int64_t (*write)(void *ctx, int fd, const void *data, size_t n);
    int (*fsync)(void *ctx, int fd);
    int (*close)(void *ctx, int fd);
    int (*rename)(void *ctx, const char *from, const char *to);
    int (*unlink)(void *ctx, const char *path);
} tnn__file_ops;

typedef struct tnn__atomic_file tnn__atomic_file;

/*
 * Creates PATH.tmp-<pid>-<n> beside PATH. On failure *out is NULL. expected_bytes (0 = not known) is named by an error
 * that says the disk is full.
 */
tnn_status tnn__atomic_open(tnn__atomic_file **out, const char *path, uint64_t expected_bytes, const tnn__file_ops *ops,
                            const tnn_allocator *a, tnn_error *err);
/* Appends; handles short writes and EINTR; buffers small pieces. */
tnn_status tnn__atomic_write(tnn__atomic_file *f, const void *data, size_t n, tnn_error *err);
uint64_t tnn__atomic_tell(const tnn__atomic_file *f);
/*
 * Flushes, syncs, renames over PATH, syncs the folder, frees f. On failure the old file is untouched and the temporary
 * one gone; one failure can come later, when the folder does not sync: then the new file stands, whole, but a power
 * loss may still bring the old one back, and the text says so. A PATH that is a link is replaced, not what it points
 * to.
 */
tnn_status tnn__atomic_commit(tnn__atomic_file *f, tnn_error *err);
/* Drops the temporary file and frees f. NULL is allowed. */
void tnn__atomic_abort(tnn__atomic_file *f);

#endif
