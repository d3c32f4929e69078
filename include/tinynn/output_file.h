/*
 * A file that is written whole or not at all: what is written goes into a temporary file beside it, which takes its
 * place when it is complete and on disk.
 */
#ifndef TINYNN_OUTPUT_FILE_H
#define TINYNN_OUTPUT_FILE_H

#include <stddef.h>
#include <stdint.h>

#include <tinynn/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tnn__atomic_file tnn_output_file;

/*
 * On success *out is the caller's until tnn_output_file_finish or _abort; on failure NULL (E_IO, which names the path).
 * n_bytes, 0 if it is not known, is named by an error that says the disk is full.
 */
TNN_API tnn_status tnn_output_file_open(tnn_output_file **out, const char *path, uint64_t n_bytes, tnn_error *err);
/* Appends. The first failure is kept: later calls give it again. */
TNN_API tnn_status tnn_output_file_write(tnn_output_file *f, const void *data, size_t n, tnn_error *err);
/* Puts the file in its place and frees f, whatever comes of it. On failure the old file, if there was one, stands. */
TNN_API tnn_status tnn_output_file_finish(tnn_output_file *f, tnn_error *err);
TNN_API void tnn_output_file_abort(tnn_output_file *f); /* leaves nothing, frees f; NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
