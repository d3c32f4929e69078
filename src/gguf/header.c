/*
 * The parser of a GGUF header. The length of a header is known only when it has been parsed, so bytes are copied into
 * private memory as far as parsing has come, and are read there: what was validated is what is used, whatever happens
 * to the file meanwhile. Positions, not pointers, refer to the copy while it grows. Nothing is allocated by a count the
 * file states; arrays grow with the entries that were there.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "gguf/format.h"
#include "gguf/reader.h"

#define FIRST_COPY_BYTES ((size_t)64 * 1024)
#define NAME_SHOWN_MAX   80

/* The functions below return false once p->status holds a failure. */
typedef struct parser {
    tnn_gguf *g;
    size_t at;         /* next byte to read */
    const char *entry; /* kind of entry being read, for messages; NULL in the fixed part */
    uint64_t index;    /* of the entry */
    size_t name_at;    /* its key or name */
    size_t name_size;  /* 0 until that has been read */
    tnn_status status;
    tnn_error *err;
} parser;

/* --- failures --- */

static bool fail_at(parser *p, tnn_status status, size_t at, const char *fmt, ...) TNN__PRINTF(4, 5);

static bool fail_at(parser *p, tnn_status status, size_t at, const char *fmt, ...) {
    char what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);

    const tnn_gguf *g = p->g;
    if (!p->entry) {
        p->status = tnn__fail(p->err, status, "%s: byte %zu: %s", g->label, at, what);
    } else if (p->name_size == 0) {
        p->status =
            tnn__fail(p->err, status, "%s: %s %" PRIu64 ", byte %zu: %s", g->label, p->entry, p->index, at, what);
    } else {
        int shown = (int)(p->name_size < NAME_SHOWN_MAX ? p->name_size : NAME_SHOWN_MAX);
        p->status = tnn__fail(p->err, status, "%s: %s %" PRIu64 " '%.*s', byte %zu: %s", g->label, p->entry, p->index,
                              shown, (const char *)g->header + p->name_at, at, what);
    }
    return false;
}

static bool fail_nomem(parser *p, const char *what, size_t bytes) {
    p->status = tnn__fail_nomem(p->err, what, bytes);
    return false;
}

static void enter(parser *p, const char *entry, uint64_t index) {
    p->entry = entry;
    p->index = index;
    p->name_size = 0;
}

/* --- bytes --- */

static size_t remaining(const parser *p) {
    return p->g->file_size - p->at;
}

/* Extends the private copy to at least `end` bytes, end <= file_size. What is there already is not read again. */
static bool copy_header_to(parser *p, size_t end) {
    tnn_gguf *g = p->g;
    if (end <= g->header_copied) return true;
    size_t capacity = g->header_capacity <= g->file_size / 2 ? 2 * g->header_capacity : g->file_size;
    if (capacity < FIRST_COPY_BYTES) capacity = FIRST_COPY_BYTES;
    if (capacity < end) capacity = end;
    if (capacity > g->file_size) capacity = g->file_size;

    uint8_t *bytes = tnn__alloc(&g->alloc, capacity, TNN__ALIGN);
    if (!bytes) return fail_nomem(p, "the header of a GGUF file", capacity);
    if (g->header) memcpy(bytes, g->header, g->header_copied);
    memcpy(bytes + g->header_copied, g->file + g->header_copied, capacity - g->header_copied);
    tnn__free(&g->alloc, g->header, g->header_capacity, TNN__ALIGN);
    g->header = bytes;
    g->header_capacity = capacity;
    g->header_copied = capacity;
    return true;
}

/* Moves n bytes on; they are in the private copy afterwards. */
static bool skip(parser *p, uint64_t n) {
    if (n > remaining(p)) {
        return fail_at(p, TNN_E_FORMAT, p->at,
                       "%" PRIu64 " bytes are needed here, the file has %zu more; it was cut short", n, remaining(p));
    }
    if (!copy_header_to(p, p->at + (size_t)n)) return false;
    p->at += (size_t)n;
    return true;
}

static bool read_uint(parser *p, size_t bytes, uint64_t *out) {
    if (!skip(p, bytes)) return false;
    *out = tnn__gguf_load(p->g->header + p->at - bytes, bytes);
    return true;
}

static bool read_i32(parser *p, int32_t *out) {
    uint64_t bits;
    if (!read_uint(p, 4, &bits)) return false;
    *out = (int32_t)(uint32_t)bits;
    return true;
}

/* Length and bytes of a string of at most `max` bytes; *at is where the bytes are. */
static bool read_string(parser *p, uint64_t max, size_t *at, size_t *size) {
    uint64_t n;
    size_t length_at = p->at;
    if (!read_uint(p, 8, &n)) return false;
    if (n > max) {
        return fail_at(p, TNN_E_FORMAT, length_at, "a length of %" PRIu64 " bytes; at most %" PRIu64 " are allowed", n,
                       max);
    }
    *at = p->at;
    *size = (size_t)n;
    return skip(p, n);
}

/* The name of the entry that is being read, which messages show from here on. */
static bool read_name(parser *p, uint64_t max) {
    size_t at = 0, size = 0;
    if (!read_string(p, max, &at, &size)) return false;
    if (size > 0 && memchr(p->g->header + at, 0, size)) return fail_at(p, TNN_E_FORMAT, at, "a name with a NUL byte");
    p->name_at = at;
    p->name_size = size;
    return true;
}

/* --- the fixed part --- */

static bool check_version(parser *p, uint32_t version) {
    const size_t at = 4;
    if (version == 0) return fail_at(p, TNN_E_FORMAT, at, "GGUF version 0 does not exist; the file is damaged");
    if ((version & 0xffff) == 0) {
        return fail_at(p, TNN_E_UNSUPPORTED, at,
                       "version 0x%08" PRIx32 ": a big-endian file; convert it to little-endian (gguf-convert-endian)",
                       version);
    }
    if (version == 1) {
        return fail_at(p, TNN_E_UNSUPPORTED, at, "GGUF version 1 is no longer read; convert the model again");
    }
    if (version > TNN__GGUF_VERSION) {
        return fail_at(p, TNN_E_UNSUPPORTED, at, "GGUF version %" PRIu32 " is newer than this tinynn reads (%d)",
                       version, TNN__GGUF_VERSION);
    }
    p->g->version = version;
    return true;
}

/* A count of entries that take min_bytes or more each and lie in the next `room` bytes. */
static bool check_count(parser *p, const char *what, uint64_t count, size_t at, size_t room, size_t min_bytes) {
    if (count <= room / min_bytes) return true;
    return fail_at(p, TNN_E_FORMAT, at, "%" PRIu64 " %s cannot fit into the %zu bytes that follow", count, what, room);
}

static bool parse_fixed_part(parser *p, uint64_t *n_tensors, uint64_t *n_kv) {
    if (!skip(p, 4)) return false;
    const uint8_t *magic = p->g->header;
    if (memcmp(magic, TNN__GGUF_MAGIC, 4) != 0) {
        return fail_at(p, TNN_E_FORMAT, 0, "not a GGUF file: it begins with %02x %02x %02x %02x, not with \"GGUF\"",
                       magic[0], magic[1], magic[2], magic[3]);
    }
    uint64_t version;
    if (!read_uint(p, 4, &version) || !check_version(p, (uint32_t)version)) return false;
    size_t counts_at = p->at;
    if (!read_uint(p, 8, n_tensors) || !read_uint(p, 8, n_kv)) return false;
    return check_count(p, "tensors", *n_tensors, counts_at, remaining(p), TNN__GGUF_MIN_TENSOR_BYTES) &&
           check_count(p, "metadata entries", *n_kv, counts_at + 8, remaining(p), TNN__GGUF_MIN_KV_BYTES);
}

/* --- metadata --- */

static bool read_value_type(parser *p, int32_t *type) {
    if (!read_i32(p, type)) return false;
    if (*type >= 0 && *type < TNN_GGUF_VALUE_TYPE_COUNT) return true;
    return fail_at(p, TNN_E_FORMAT, p->at - 4, "value type %" PRId32 " does not exist", *type);
}

static bool read_array_head(parser *p, tnn__gguf_kv *kv) {
    if (!read_value_type(p, &kv->element_type)) return false;
    if (kv->element_type == TNN_GGUF_ARRAY) {
        return fail_at(p, TNN_E_FORMAT, p->at - 4, "an array of arrays, which GGUF readers do not take");
    }
    if (!read_uint(p, 8, &kv->count)) return false;
    if (kv->count <= TNN__GGUF_MAX_ARRAY) return true;
    return fail_at(p, TNN_E_FORMAT, p->at - 8, "%" PRIu64 " array elements; at most %" PRIu64 " are allowed", kv->count,
                   TNN__GGUF_MAX_ARRAY);
}

static bool skip_elements(parser *p, int32_t type, uint64_t count) {
    if (type != TNN_GGUF_STRING) return skip(p, count * tnn__gguf_scalar_bytes(type)); /* below 2^30 * 8 */
    if (!check_count(p, "strings", count, p->at, remaining(p), 8)) return false;
    size_t at, size;
    for (uint64_t i = 0; i < count; i++) {
        if (!read_string(p, TNN__GGUF_MAX_STRING, &at, &size)) return false;
    }
    return true;
}

static bool parse_kv(parser *p, uint64_t index) {
    enter(p, "metadata entry", index);
    size_t entry_at = p->at;
    if (!read_name(p, TNN__GGUF_MAX_KEY)) return false;
    if (p->name_size == 0) return fail_at(p, TNN_E_FORMAT, entry_at, "an empty key");

    tnn__gguf_kv kv = {.key_at = p->name_at, .key_size = p->name_size, .count = 1};
    if (!read_value_type(p, &kv.type)) return false;
    kv.element_type = kv.type;
    kv.value_at = p->at;
    if (kv.type == TNN_GGUF_ARRAY && !read_array_head(p, &kv)) return false;
    kv.elements_at = p->at;
    if (!skip_elements(p, kv.element_type, kv.count)) return false;
    kv.value_size = p->at - kv.value_at;

    tnn_gguf *g = p->g;
    tnn__gguf_kv *kvs = tnn__gguf_grow(&g->alloc, g->kvs, &g->kv_capacity, g->n_kv, sizeof kv);
    if (!kvs) return fail_nomem(p, "the metadata of a GGUF file", 2 * g->kv_capacity * sizeof kv);
    g->kvs = kvs;
    g->kvs[g->n_kv++] = kv;
    return true;
}

/* Where each element of each string array is, in one allocation. */
static bool index_strings(parser *p) {
    tnn_gguf *g = p->g;
    for (size_t i = 0; i < g->n_kv; i++) {
        tnn__gguf_kv *kv = &g->kvs[i];
        kv->first_string = g->n_strings;
        if (kv->type == TNN_GGUF_ARRAY && kv->element_type == TNN_GGUF_STRING) g->n_strings += (size_t)kv->count;
    }
    if (g->n_strings == 0) return true;
    g->string_at = tnn__calloc_array(&g->alloc, g->n_strings, sizeof *g->string_at);
    if (!g->string_at) return fail_nomem(p, "the strings of a GGUF file", g->n_strings * sizeof *g->string_at);

    for (size_t i = 0; i < g->n_kv; i++) {
        const tnn__gguf_kv *kv = &g->kvs[i];
        if (kv->type != TNN_GGUF_ARRAY || kv->element_type != TNN_GGUF_STRING) continue;
        size_t at = kv->elements_at;
        for (size_t e = 0; e < kv->count; e++) {
            g->string_at[kv->first_string + e] = at;
            at += 8 + (size_t)tnn__gguf_load(g->header + at, 8);
        }
    }
    return true;
}

static bool index_keys(parser *p) {
    tnn_gguf *g = p->g;
    for (size_t i = 0; i < g->n_kv; i++) {
        const tnn__gguf_kv *kv = &g->kvs[i];
        enter(p, "metadata entry", i);
        p->name_at = kv->key_at;
        p->name_size = kv->key_size;
        tnn_gguf_str key = {(const char *)g->header + kv->key_at, kv->key_size};
        tnn_status status = tnn__names_add(&g->keys, key, i);
        if (status == TNN_E_NOMEM)
            return fail_nomem(p, "the key table of a GGUF file", 2 * g->n_kv * sizeof(tnn__name_slot));
        if (status != TNN_OK) return fail_at(p, TNN_E_FORMAT, kv->key_at, "this key is there twice");
    }
    return true;
}

static bool find_alignment(parser *p) {
    tnn_gguf *g = p->g;
    g->alignment = TNN__GGUF_DEFAULT_ALIGNMENT;
    int64_t i = tnn_gguf_find_key(g, TNN__GGUF_KEY_ALIGNMENT);
    if (i < 0) return true;
    const tnn__gguf_kv *kv = &g->kvs[i];
    enter(p, "metadata entry", (uint64_t)i);
    p->name_at = kv->key_at;
    p->name_size = kv->key_size;
    if (kv->type != TNN_GGUF_U32) {
        return fail_at(p, TNN_E_FORMAT, kv->value_at, "has type %s; it must be u32",
                       tnn_gguf_value_type_name((tnn_gguf_value_type)kv->type));
    }
    uint64_t alignment = tnn__gguf_load(g->header + kv->value_at, 4);
    if (!tnn__gguf_alignment_is_valid(alignment)) {
        return fail_at(p, TNN_E_FORMAT, kv->value_at, "is %" PRIu64 "; it must be a power of two from %d to %d",
                       alignment, TNN__GGUF_MIN_ALIGNMENT, TNN__GGUF_MAX_ALIGNMENT);
    }
    g->alignment = (size_t)alignment;
    return true;
}

/* --- tensors --- */

static bool read_shape(parser *p, tnn_gguf_tensor *t) {
    uint64_t n_dims;
    if (!read_uint(p, 4, &n_dims)) return false;
    if (n_dims > TNN_GGUF_MAX_DIMS) {
        return fail_at(p, TNN_E_FORMAT, p->at - 4, "%" PRIu64 " dimensions; at most %d are allowed", n_dims,
                       TNN_GGUF_MAX_DIMS);
    }
    t->n_dims = (int)n_dims;
    for (int i = 0; i < TNN_GGUF_MAX_DIMS; i++) {
        t->ne[i] = 1;
        if (i >= t->n_dims) continue;
        uint64_t bits;
        if (!read_uint(p, 8, &bits)) return false;
        if (bits > INT64_MAX) return fail_at(p, TNN_E_FORMAT, p->at - 8, "ne[%d] is negative or above 2^63-1", i);
        t->ne[i] = (int64_t)bits;
    }
    return true;
}

static bool parse_tensor(parser *p, uint64_t index) {
    enter(p, "tensor", index);
    tnn_gguf *g = p->g;
    if (!read_name(p, TNN_GGUF_MAX_NAME)) return false;
    tnn_gguf_tensor t = {.name = {NULL, p->name_size}};
    if (!read_shape(p, &t) || !read_i32(p, &t.type)) return false;
    size_t type_at = p->at - 4;
    if (!read_uint(p, 8, &t.file_offset)) return false;
    const char *wrong = tnn__gguf_tensor_bytes(t.type, t.ne, &t.n_bytes);
    if (wrong) {
        return fail_at(p, TNN_E_FORMAT, type_at,
                       "type id %" PRId32 ", shape %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 " %s", t.type, t.ne[0],
                       t.ne[1], t.ne[2], t.ne[3], wrong);
    }

    t.name.data = tnn__arena_strndup(&g->arena, (const char *)g->header + p->name_at, p->name_size);
    if (!t.name.data) return fail_nomem(p, "the tensor names of a GGUF file", p->name_size + 1);
    tnn_gguf_tensor *tensors = tnn__gguf_grow(&g->alloc, g->tensors, &g->tensor_capacity, g->n_tensors, sizeof t);
    if (!tensors) return fail_nomem(p, "the tensor list of a GGUF file", 2 * g->tensor_capacity * sizeof t);
    g->tensors = tensors;
    g->tensors[g->n_tensors++] = t;
    return true;
}

static bool parse_all(parser *p) {
    uint64_t n_tensors = 0, n_kv = 0;
    if (!parse_fixed_part(p, &n_tensors, &n_kv)) return false;
    for (uint64_t i = 0; i < n_kv; i++) {
        if (!parse_kv(p, i)) return false;
    }
    for (uint64_t i = 0; i < n_tensors; i++) {
        if (!parse_tensor(p, i)) return false;
    }
    p->g->header_end = p->at;
    return index_strings(p) && index_keys(p) && find_alignment(p);
}

tnn_status tnn__gguf_parse_header(tnn_gguf *g, tnn_error *err) {
    parser p = {.g = g, .status = TNN_OK, .err = err};
    parse_all(&p);
    return p.status;
}
