/*
 * What an open GGUF file is made of; shared by the parser (header.c), the opener (reader.c), the metadata getters
 * (metadata.c) and the writer, which copies metadata.
 */
#ifndef TNN_GGUF_READER_H
#define TNN_GGUF_READER_H

#include <stddef.h>
#include <stdint.h>

#include <tinynn/gguf.h>

#include "base/arena.h"
#include "base/file.h"
#include "gguf/names.h"

/* A metadata entry, as positions in the private copy of the header. */
typedef struct tnn__gguf_kv {
    size_t key_at;
    size_t key_size;
    int32_t type;
    int32_t element_type; /* of an array; otherwise the type itself */
    uint64_t count;       /* elements; 1 for a scalar */
    size_t value_at;      /* everything after the type id, as a writer needs it */
    size_t value_size;
    size_t elements_at;  /* the first element, behind an array's element type and count */
    size_t first_string; /* of a string array: where it begins in string_at */
} tnn__gguf_kv;

struct tnn_gguf {
    tnn_allocator alloc;
    tnn__arena arena;    /* tensor names, the label */
    const char *label;   /* the path, perhaps shortened, or what stands for it in messages */
    tnn__file_view view; /* of a file; unused over memory */
    const uint8_t *file; /* all bytes of the file, outside our control */
    size_t file_size;
    uint8_t *header; /* private copy of the file's first bytes; the header and some more */
    size_t header_capacity;
    size_t header_copied;
    size_t header_end; /* where the header ends, in both */

    uint32_t version;
    size_t alignment;

    tnn__gguf_kv *kvs;
    size_t n_kv, kv_capacity;
    tnn__names keys;
    size_t *string_at; /* of every element of every string array, the position of its length field */
    size_t n_strings;

    tnn_gguf_tensor *tensors; /* of all shards */
    size_t n_tensors, tensor_capacity;
    tnn__names tensor_names;

    tnn_gguf **more_shards; /* shards 2 and on, each open on its own */
    size_t n_more_shards;
};

/*
 * Copies the header of g->file into private memory, validates it there and fills g from it: version, alignment,
 * metadata with its key table, and tensors in file order without data, file_offset still counted from the data section.
 */
tnn_status tnn__gguf_parse_header(tnn_gguf *g, tnn_error *err);

/* The tensor's bytes will not be read again soon; see tnn__file_view_release. */
void tnn__gguf_release(const tnn_gguf *g, const tnn_gguf_tensor *t);

#endif
