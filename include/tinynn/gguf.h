/*
 * GGUF files: reading (v2 and v3, little-endian, single or split) and writing (v3).
 *
 * A reader validates everything before it returns: counts, lengths, names, shapes, types, offsets. The header is
 * copied into private memory first, so a file that changes on disk cannot change what was validated; tensor data is
 * mapped and may raise SIGBUS if the file is truncated while mapped (open with use_mmap = false where that matters).
 * An open reader is immutable: any number of threads may use it. Pointers it lends live until tnn_gguf_close.
 */
#ifndef TINYNN_GGUF_H
#define TINYNN_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/allocator.h>
#include <tinynn/status.h>
#include <tinynn/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TNN_GGUF_MAX_DIMS 4
#define TNN_GGUF_MAX_NAME 63 /* bytes */

typedef enum tnn_gguf_value_type {
    TNN_GGUF_U8 = 0,
    TNN_GGUF_I8 = 1,
    TNN_GGUF_U16 = 2,
    TNN_GGUF_I16 = 3,
    TNN_GGUF_U32 = 4,
    TNN_GGUF_I32 = 5,
    TNN_GGUF_F32 = 6,
    TNN_GGUF_BOOL = 7,
    TNN_GGUF_STRING = 8,
    TNN_GGUF_ARRAY = 9,
    TNN_GGUF_U64 = 10,
    TNN_GGUF_I64 = 11,
    TNN_GGUF_F64 = 12,
    TNN_GGUF_VALUE_TYPE_COUNT = 13
} tnn_gguf_value_type;

/* "u32", "string", ...; "unknown" for what is no value type. Never NULL. Any thread. */
TNN_API const char *tnn_gguf_value_type_name(tnn_gguf_value_type type);

/* Not NUL-terminated; may contain any byte. */
typedef struct tnn_gguf_str {
    const char *data;
    size_t size;
} tnn_gguf_str;

typedef struct tnn_gguf tnn_gguf;

typedef struct tnn_gguf_open_options {
    const tnn_allocator *allocator; /* NULL: the C library's */
    bool use_mmap;                  /* false: tensor data is read into private memory */
} tnn_gguf_open_options;

TNN_API tnn_gguf_open_options tnn_gguf_open_options_default(void); /* C library allocator, mmap */

/*
 * Opens PATH; when it is shard 1 of a split file (split.count > 1) the other shards are opened too and their tensors
 * joined. options may be NULL. On success *out is owned by the caller (tnn_gguf_close); on failure *out is NULL and
 * nothing is left open. Errors: E_IO (path, errno text), E_FORMAT (what is wrong, at which byte, in which key or
 * tensor), E_UNSUPPORTED (v1, big-endian), E_NOMEM.
 */
TNN_API tnn_status tnn_gguf_open(tnn_gguf **out, const char *path, const tnn_gguf_open_options *options,
                                 tnn_error *err);

/*
 * The same over bytes in memory (one unsplit file; a shard is E_UNSUPPORTED). The memory must stay unchanged until
 * tnn_gguf_close; its header is copied, tensor data is borrowed, so align it as the tensors' types need (64 is enough).
 */
TNN_API tnn_status tnn_gguf_open_memory(tnn_gguf **out, const void *data, size_t size,
                                        const tnn_gguf_open_options *options, tnn_error *err);
TNN_API void tnn_gguf_close(tnn_gguf *g); /* NULL is allowed */

TNN_API uint32_t tnn_gguf_version(const tnn_gguf *g);
TNN_API size_t tnn_gguf_alignment(const tnn_gguf *g);
TNN_API int tnn_gguf_shard_count(const tnn_gguf *g);
TNN_API uint64_t tnn_gguf_file_bytes(const tnn_gguf *g); /* all shards */

/* --- metadata --- */

TNN_API int64_t tnn_gguf_n_kv(const tnn_gguf *g);
TNN_API int64_t tnn_gguf_find_key(const tnn_gguf *g, const char *key); /* index or -1; O(1) */
/* i in [0, n_kv); for i out of range: empty string, TNN_GGUF_VALUE_TYPE_COUNT, 0. */
TNN_API tnn_gguf_str tnn_gguf_key(const tnn_gguf *g, int64_t i);
TNN_API tnn_gguf_value_type tnn_gguf_kv_type(const tnn_gguf *g, int64_t i);
TNN_API tnn_gguf_value_type tnn_gguf_array_type(const tnn_gguf *g, int64_t i); /* element type of an array */
TNN_API uint64_t tnn_gguf_array_count(const tnn_gguf *g, int64_t i);           /* 0 unless an array */
/* Element e of a string array, or the string itself for a string key with e = 0; empty if there is none. */
TNN_API tnn_gguf_str tnn_gguf_array_str(const tnn_gguf *g, int64_t i, uint64_t e);
/* Element e of a numeric or bool array (or the scalar with e = 0). False if it is no number or does not fit. */
TNN_API bool tnn_gguf_array_i64(const tnn_gguf *g, int64_t i, uint64_t e, int64_t *out);
TNN_API bool tnn_gguf_array_f64(const tnn_gguf *g, int64_t i, uint64_t e, double *out);

/*
 * Values by key. Integer getters take any integer type whose value fits; float getters take f32, f64 or an integer;
 * a bool getter takes bool or an integer. TNN_E_NOTFOUND if the key is absent (*out untouched, err untouched, so that
 * a default can stand), TNN_E_FORMAT if it is there with a type or value that does not fit (err names key and type).
 */
TNN_API tnn_status tnn_gguf_get_u32(const tnn_gguf *g, const char *key, uint32_t *out, tnn_error *err);
TNN_API tnn_status tnn_gguf_get_i64(const tnn_gguf *g, const char *key, int64_t *out, tnn_error *err);
TNN_API tnn_status tnn_gguf_get_f32(const tnn_gguf *g, const char *key, float *out, tnn_error *err);
TNN_API tnn_status tnn_gguf_get_bool(const tnn_gguf *g, const char *key, bool *out, tnn_error *err);
TNN_API tnn_status tnn_gguf_get_str(const tnn_gguf *g, const char *key, tnn_gguf_str *out, tnn_error *err);

/* --- tensors --- */

typedef struct tnn_gguf_tensor {
    tnn_gguf_str name;             /* at most TNN_GGUF_MAX_NAME bytes; terminated by a NUL that is not counted */
    int32_t type;                  /* a known id, perhaps not a usable one */
    int n_dims;                    /* 0..4 as stored */
    int64_t ne[TNN_GGUF_MAX_DIMS]; /* ne[0] contiguous; 1 beyond n_dims */
    const void *data;              /* first byte, inside the mapping (or the private copy); NULL when n_bytes is 0 */
    size_t n_bytes;
    int shard;
    uint64_t file_offset; /* of data in its shard */
} tnn_gguf_tensor;

TNN_API int64_t tnn_gguf_n_tensors(const tnn_gguf *g);
TNN_API int64_t tnn_gguf_find_tensor(const tnn_gguf *g, const char *name);       /* index or -1; O(1) */
TNN_API const tnn_gguf_tensor *tnn_gguf_tensor_at(const tnn_gguf *g, int64_t i); /* NULL out of range */

/* --- writing --- */

typedef struct tnn_gguf_writer tnn_gguf_writer;

/*
 * A writer collects metadata and tensor declarations, then writes header and data in one pass. Not thread-safe.
 * Setting a key twice replaces its value. Names and strings are copied; tensor data is read when it is written.
 * Failures are latched: every later call returns the first error, and so does tnn_gguf_writer_finish.
 */
TNN_API tnn_status tnn_gguf_writer_new(tnn_gguf_writer **out, const tnn_allocator *allocator, tnn_error *err);
TNN_API void tnn_gguf_writer_free(tnn_gguf_writer *w); /* NULL is allowed; drops an unfinished file */

TNN_API tnn_status tnn_gguf_set_u32(tnn_gguf_writer *w, const char *key, uint32_t value);
TNN_API tnn_status tnn_gguf_set_i32(tnn_gguf_writer *w, const char *key, int32_t value);
TNN_API tnn_status tnn_gguf_set_u64(tnn_gguf_writer *w, const char *key, uint64_t value);
TNN_API tnn_status tnn_gguf_set_f32(tnn_gguf_writer *w, const char *key, float value);
TNN_API tnn_status tnn_gguf_set_bool(tnn_gguf_writer *w, const char *key, bool value);
TNN_API tnn_status tnn_gguf_set_str(tnn_gguf_writer *w, const char *key, const char *value, size_t size);
/* Array of scalars: type is a scalar value type, data holds n packed elements in host order. */
TNN_API tnn_status tnn_gguf_set_array(tnn_gguf_writer *w, const char *key, tnn_gguf_value_type type, const void *data,
                                      uint64_t n);
TNN_API tnn_status tnn_gguf_set_str_array(tnn_gguf_writer *w, const char *key, const tnn_gguf_str *strings, uint64_t n);
/*
 * Copies every key of g, except those whose name starts with one of the n prefixes, and except split.*, which say how g
 * was cut up and not what it holds.
 */
TNN_API tnn_status tnn_gguf_copy_kv(tnn_gguf_writer *w, const tnn_gguf *g, const char *const *skip_prefixes, int n);

/*
 * Declares the next tensor; ne beyond n_dims is ignored, n_dims 0 is written as one dimension of 1. Order of
 * declaration is order in the file.
 */
TNN_API tnn_status tnn_gguf_add_tensor(tnn_gguf_writer *w, const char *name, tnn_type type, int n_dims,
                                       const int64_t *ne);

/*
 * Creates PATH (atomically: a temporary file until finish) and writes the header. After that, each declared tensor's
 * bytes follow in order, whole, by one or more tnn_gguf_write_data calls; padding is added by the writer.
 * general.alignment, if set, is honoured (default 32).
 */
TNN_API tnn_status tnn_gguf_writer_begin(tnn_gguf_writer *w, const char *path);
TNN_API tnn_status tnn_gguf_write_data(tnn_gguf_writer *w, const void *data, size_t n);
/* Syncs and renames. E_STATE if bytes of a declared tensor are missing. The writer must still be freed. */
TNN_API tnn_status tnn_gguf_writer_finish(tnn_gguf_writer *w, tnn_error *err);
/* Total size of the file as declared so far, in bytes. */
TNN_API uint64_t tnn_gguf_writer_bytes(const tnn_gguf_writer *w);

#ifdef __cplusplus
}
#endif
#endif
