/*
 * Writing GGUF v3 as llama.cpp wants it: offsets contiguous in the order of declaration, every tensor padded to the
 * alignment, the last one too. Values are encoded when they are set; the header is written when the file begins, and
 * tensor data streams through. The file appears under its name only when it is complete.
 */
#include "gguf/writer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/error.h"
#include "gguf/format.h"
#include "gguf/names.h"
#include "gguf/reader.h"
#include "gguf/str.h"

typedef struct entry {
    tnn_gguf_str key;
    int32_t type;
    const uint8_t *value; /* as in the file, behind the type id */
    size_t value_bytes;
} entry;

typedef struct declaration {
    tnn_gguf_str name;
    int32_t type;
    int n_dims;
    int64_t ne[TNN_GGUF_MAX_DIMS];
    size_t n_bytes;
} declaration;

struct tnn_gguf_writer {
    tnn_allocator alloc;
    tnn__arena arena; /* names and encoded values */
    entry *entries;
    size_t n_entries, entry_capacity;
    tnn__names keys;
    declaration *tensors;
    size_t n_tensors, tensor_capacity;
    tnn__names tensor_names;
    size_t alignment;

    const tnn__file_ops *ops;
    tnn__atomic_file *file; /* NULL before begin and after the end */
    bool begun;
    size_t current;         /* tensor whose bytes come next */
    size_t current_written; /* of its bytes */
    tnn_error error;        /* the first failure; status TNN_OK while all is well */
};

tnn_status tnn_gguf_writer_new(tnn_gguf_writer **out, const tnn_allocator *allocator, tnn_error *err) {
    allocator = tnn__allocator_or_default(allocator);
    *out = tnn__calloc(allocator, sizeof **out, TNN__ALIGN);
    if (!*out) return tnn__fail_nomem(err, "a GGUF writer", sizeof **out);
    tnn_gguf_writer *w = *out;
    w->alloc = *allocator;
    w->alignment = TNN__GGUF_DEFAULT_ALIGNMENT;
    tnn__arena_init(&w->arena, allocator, 0);
    tnn__names_init(&w->keys, allocator);
    tnn__names_init(&w->tensor_names, allocator);
    return TNN_OK;
}

void tnn_gguf_writer_free(tnn_gguf_writer *w) {
    if (!w) return;
    tnn__atomic_abort(w->file);
    tnn_allocator a = w->alloc;
    tnn__names_free(&w->tensor_names);
    tnn__free_array(&a, w->tensors, w->tensor_capacity, sizeof *w->tensors);
    tnn__names_free(&w->keys);
    tnn__free_array(&a, w->entries, w->entry_capacity, sizeof *w->entries);
    tnn__arena_free(&w->arena);
    tnn__free(&a, w, sizeof *w, TNN__ALIGN);
}

void tnn__gguf_writer_set_file_ops(tnn_gguf_writer *w, const tnn__file_ops *ops) {
    w->ops = ops;
}

/* --- failures --- */

static tnn_status latch(tnn_gguf_writer *w, tnn_status status, const char *fmt, ...) TNN__PRINTF(3, 4);

static tnn_status latch(tnn_gguf_writer *w, tnn_status status, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    tnn__vfail(&w->error, status, fmt, args);
    va_end(args);
    return status;
}

static tnn_status latch_nomem(tnn_gguf_writer *w, const char *what, size_t bytes) {
    return tnn__fail_nomem(&w->error, what, bytes);
}

/* The latched failure, or a new one where the header has been written already. */
static tnn_status check_open_for_declarations(tnn_gguf_writer *w, const char *name) {
    if (w->error.status != TNN_OK) return w->error.status;
    if (!w->begun) return TNN_OK;
    return latch(w, TNN_E_STATE, "'%.80s' is declared after the GGUF header was written; declare it before", name);
}

/* --- metadata --- */

static tnn_status check_key(tnn_gguf_writer *w, tnn_gguf_str key) {
    if (key.size == 0) return latch(w, TNN_E_ARG, "a GGUF key must not be empty");
    if (key.size > TNN__GGUF_MAX_KEY) {
        return latch(w, TNN_E_ARG, "GGUF key '%.80s...' has %zu bytes; at most %d are allowed", key.data, key.size,
                     TNN__GGUF_MAX_KEY);
    }
    return TNN_OK;
}

static tnn_status take_alignment(tnn_gguf_writer *w, const entry *e) {
    uint64_t alignment = e->type == TNN_GGUF_U32 ? tnn__gguf_load(e->value, 4) : 0;
    if (!tnn__gguf_alignment_is_valid(alignment)) {
        return latch(w, TNN_E_ARG, "%s must be a u32, and a power of two from %d to %d", TNN__GGUF_KEY_ALIGNMENT,
                     TNN__GGUF_MIN_ALIGNMENT, TNN__GGUF_MAX_ALIGNMENT);
    }
    w->alignment = (size_t)alignment;
    return TNN_OK;
}

/* Adds or replaces an entry whose value lies in the arena already; the key is copied. */
static tnn_status set_entry(tnn_gguf_writer *w, entry e) {
    int64_t i = tnn__names_find(&w->keys, e.key.data, e.key.size);
    if (i >= 0) {
        e.key = w->entries[i].key;
        w->entries[i] = e;
    } else {
        entry *entries = tnn__gguf_grow(&w->alloc, w->entries, &w->entry_capacity, w->n_entries, sizeof e);
        if (!entries) return latch_nomem(w, "the metadata of a GGUF writer", 2 * w->entry_capacity * sizeof e);
        w->entries = entries;
        e.key.data = tnn__arena_strndup(&w->arena, e.key.data, e.key.size);
        if (!e.key.data || tnn__names_add(&w->keys, e.key, w->n_entries) != TNN_OK) {
            return latch_nomem(w, "a GGUF key", e.key.size);
        }
        w->entries[w->n_entries++] = e;
    }
    tnn_gguf_str alignment = {TNN__GGUF_KEY_ALIGNMENT, sizeof TNN__GGUF_KEY_ALIGNMENT - 1};
    bool is_alignment = e.key.size == alignment.size && memcmp(e.key.data, alignment.data, alignment.size) == 0;
    return is_alignment ? take_alignment(w, &e) : TNN_OK;
}

/* Room for an encoded value that set_entry will take. */
static uint8_t *new_value(tnn_gguf_writer *w, entry *e, size_t bytes) {
    uint8_t *value = tnn__arena_push(&w->arena, bytes);
    if (!value) latch_nomem(w, "a GGUF value", bytes);
    e->value = value;
    e->value_bytes = bytes;
    return value;
}

/* Begins a call that sets a key. */
static tnn_status begin_set(tnn_gguf_writer *w, const char *key, int32_t type, entry *e) {
    *e = (entry){.key = {key, strlen(key)}, .type = type};
    tnn_status status = check_open_for_declarations(w, key);
    return status != TNN_OK ? status : check_key(w, e->key);
}

static tnn_status set_scalar(tnn_gguf_writer *w, const char *key, int32_t type, uint64_t bits) {
    entry e;
    tnn_status status = begin_set(w, key, type, &e);
    if (status != TNN_OK) return status;
    size_t bytes = tnn__gguf_scalar_bytes(type);
    uint8_t *value = new_value(w, &e, bytes);
    if (!value) return w->error.status;
    tnn__gguf_store(value, bits, bytes);
    return set_entry(w, e);
}

tnn_status tnn_gguf_set_u32(tnn_gguf_writer *w, const char *key, uint32_t value) {
    return set_scalar(w, key, TNN_GGUF_U32, value);
}

tnn_status tnn_gguf_set_i32(tnn_gguf_writer *w, const char *key, int32_t value) {
    return set_scalar(w, key, TNN_GGUF_I32, (uint32_t)value);
}

tnn_status tnn_gguf_set_u64(tnn_gguf_writer *w, const char *key, uint64_t value) {
    return set_scalar(w, key, TNN_GGUF_U64, value);
}

tnn_status tnn_gguf_set_f32(tnn_gguf_writer *w, const char *key, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return set_scalar(w, key, TNN_GGUF_F32, bits);
}

tnn_status tnn_gguf_set_bool(tnn_gguf_writer *w, const char *key, bool value) {
    return set_scalar(w, key, TNN_GGUF_BOOL, value);
}

static uint8_t *put_str(uint8_t *p, tnn_gguf_str s) {
    tnn__gguf_store(p, s.size, 8);
    if (s.size > 0) memcpy(p + 8, s.data, s.size);
    return p + 8 + s.size;
}

static tnn_status check_string(tnn_gguf_writer *w, const char *key, size_t size) {
    if (size <= TNN__GGUF_MAX_STRING) return TNN_OK;
    return latch(w, TNN_E_ARG, "GGUF key '%.80s': a string of %zu bytes; at most %" PRIu64 " are allowed", key, size,
                 TNN__GGUF_MAX_STRING);
}

tnn_status tnn_gguf_set_str(tnn_gguf_writer *w, const char *key, const char *value, size_t size) {
    entry e;
    tnn_status status = begin_set(w, key, TNN_GGUF_STRING, &e);
    if (status == TNN_OK) status = check_string(w, key, size);
    if (status != TNN_OK) return status;
    uint8_t *p = new_value(w, &e, 8 + size);
    if (!p) return w->error.status;
    put_str(p, (tnn_gguf_str){value, size});
    return set_entry(w, e);
}

#define ARRAY_HEAD_BYTES (4 + 8) /* element type, count */

static uint8_t *put_array_head(uint8_t *p, int32_t element_type, uint64_t n) {
    tnn__gguf_store(p, (uint32_t)element_type, 4);
    tnn__gguf_store(p + 4, n, 8);
    return p + ARRAY_HEAD_BYTES;
}

static tnn_status check_array(tnn_gguf_writer *w, const char *key, uint64_t n) {
    if (n <= TNN__GGUF_MAX_ARRAY) return TNN_OK;
    return latch(w, TNN_E_ARG, "GGUF key '%.80s': %" PRIu64 " array elements; at most %" PRIu64 " are allowed", key, n,
                 TNN__GGUF_MAX_ARRAY);
}

/* An element in host order as a number. */
static uint64_t host_bits(const void *p, size_t bytes) {
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    switch (bytes) {
    case 1:
        memcpy(&u8, p, 1);
        return u8;
    case 2:
        memcpy(&u16, p, 2);
        return u16;
    case 4:
        memcpy(&u32, p, 4);
        return u32;
    default:
        memcpy(&u64, p, 8);
        return u64;
    }
}

tnn_status tnn_gguf_set_array(tnn_gguf_writer *w, const char *key, tnn_gguf_value_type type, const void *data,
                              uint64_t n) {
    entry e;
    tnn_status status = begin_set(w, key, TNN_GGUF_ARRAY, &e);
    if (status == TNN_OK) status = check_array(w, key, n);
    if (status != TNN_OK) return status;
    size_t bytes = tnn__gguf_scalar_bytes((int32_t)type);
    if (bytes == 0) return latch(w, TNN_E_ARG, "GGUF key '%.80s': array elements must have a scalar type", key);

    uint8_t *p = new_value(w, &e, ARRAY_HEAD_BYTES + (size_t)n * bytes);
    if (!p) return w->error.status;
    p = put_array_head(p, (int32_t)type, n);
    for (size_t i = 0; i < n; i++) {
        tnn__gguf_store(p + i * bytes, host_bits((const uint8_t *)data + i * bytes, bytes), bytes);
    }
    return set_entry(w, e);
}

tnn_status tnn_gguf_set_str_array(tnn_gguf_writer *w, const char *key, const tnn_gguf_str *strings, uint64_t n) {
    entry e;
    tnn_status status = begin_set(w, key, TNN_GGUF_ARRAY, &e);
    if (status == TNN_OK) status = check_array(w, key, n);
    size_t bytes = ARRAY_HEAD_BYTES;
    for (size_t i = 0; status == TNN_OK && i < n; i++) {
        status = check_string(w, key, strings[i].size);
        if (status == TNN_OK && !tnn__add_size(bytes, 8 + strings[i].size, &bytes)) {
            status = latch_nomem(w, "a GGUF string array", SIZE_MAX);
        }
    }
    if (status != TNN_OK) return status;

    uint8_t *p = new_value(w, &e, bytes);
    if (!p) return w->error.status;
    p = put_array_head(p, TNN_GGUF_STRING, n);
    for (size_t i = 0; i < n; i++) {
        p = put_str(p, strings[i]);
    }
    return set_entry(w, e);
}

tnn_status tnn_gguf_copy_kv(tnn_gguf_writer *w, const tnn_gguf *g, const char *const *skip_prefixes, int n) {
    tnn_status status = check_open_for_declarations(w, "metadata of another file");
    for (size_t i = 0; status == TNN_OK && i < g->n_kv; i++) {
        const tnn__gguf_kv *kv = &g->kvs[i];
        entry e = {.key = tnn_gguf_key(g, (int64_t)i), .type = kv->type};
        bool skipped = tnn__str_starts(e.key, "split.");
        for (int s = 0; s < n && !skipped; s++) {
            skipped = tnn__str_starts(e.key, skip_prefixes[s]);
        }
        if (skipped) continue;
        uint8_t *value = new_value(w, &e, kv->value_size);
        if (!value) return w->error.status;
        memcpy(value, g->header + kv->value_at, kv->value_size);
        status = set_entry(w, e);
    }
    return status;
}

/* --- tensors and layout --- */

tnn_status tnn_gguf_add_tensor(tnn_gguf_writer *w, const char *name, tnn_type type, int n_dims, const int64_t *ne) {
    tnn_status status = check_open_for_declarations(w, name);
    if (status != TNN_OK) return status;
    declaration t = {.name = {NULL, strlen(name)}, .type = (int32_t)type, .n_dims = n_dims, .ne = {1, 1, 1, 1}};
    if (t.name.size > TNN_GGUF_MAX_NAME) {
        return latch(w, TNN_E_ARG, "tensor name '%.80s' has %zu bytes; at most %d are allowed", name, t.name.size,
                     TNN_GGUF_MAX_NAME);
    }
    if (n_dims < 0 || n_dims > TNN_GGUF_MAX_DIMS) {
        return latch(w, TNN_E_ARG, "tensor '%s' has %d dimensions; 0 to %d are allowed", name, n_dims,
                     TNN_GGUF_MAX_DIMS);
    }
    for (int i = 0; i < n_dims; i++) {
        t.ne[i] = ne[i];
    }
    if (n_dims == 0) t.n_dims = 1; /* gguf-py does not read tensors without dimensions */
    const char *wrong = tnn__gguf_tensor_bytes(t.type, t.ne, &t.n_bytes);
    if (wrong) {
        return latch(w, TNN_E_ARG,
                     "tensor '%s': type id %" PRId32 ", shape %" PRId64 "x%" PRId64 "x%" PRId64 "x%" PRId64 " %s", name,
                     t.type, t.ne[0], t.ne[1], t.ne[2], t.ne[3], wrong);
    }

    t.name.data = tnn__arena_strndup(&w->arena, name, t.name.size);
    declaration *tensors = tnn__gguf_grow(&w->alloc, w->tensors, &w->tensor_capacity, w->n_tensors, sizeof t);
    if (tensors) w->tensors = tensors;
    if (!t.name.data || !tensors)
        return latch_nomem(w, "the tensor list of a GGUF writer", (w->n_tensors + 1) * sizeof t);
    status = tnn__names_add(&w->tensor_names, t.name, w->n_tensors);
    if (status == TNN_E_NOMEM) return latch_nomem(w, "the tensor table of a GGUF writer", sizeof(tnn__name_slot));
    if (status != TNN_OK) return latch(w, TNN_E_ARG, "tensor '%s' is declared twice", name);
    w->tensors[w->n_tensors++] = t;
    return TNN_OK;
}

static uint64_t header_bytes(const tnn_gguf_writer *w) {
    uint64_t bytes = 4 + 4 + 8 + 8;
    for (size_t i = 0; i < w->n_entries; i++) {
        bytes += 8 + w->entries[i].key.size + 4 + w->entries[i].value_bytes;
    }
    for (size_t i = 0; i < w->n_tensors; i++) {
        bytes += 8 + w->tensors[i].name.size + 4 + 8 * (uint64_t)w->tensors[i].n_dims + 4 + 8;
    }
    return bytes;
}

/* Size of the whole file, every part padded. False if it does not fit 64 bits. */
static bool file_bytes(const tnn_gguf_writer *w, uint64_t *out) {
    uint64_t total, padded;
    if (!tnn__gguf_pad(header_bytes(w), w->alignment, &total)) return false;
    for (size_t i = 0; i < w->n_tensors; i++) {
        if (!tnn__gguf_pad(w->tensors[i].n_bytes, w->alignment, &padded) || padded > UINT64_MAX - total) return false;
        total += padded;
    }
    *out = total;
    return true;
}

uint64_t tnn_gguf_writer_bytes(const tnn_gguf_writer *w) {
    uint64_t bytes;
    return file_bytes(w, &bytes) ? bytes : UINT64_MAX;
}

/* --- the file --- */

/* Drops the file of a writer that has failed. */
static tnn_status give_up(tnn_gguf_writer *w) {
    tnn__atomic_abort(w->file);
    w->file = NULL;
    return w->error.status;
}

/* Failures are latched in w->error and show there; that keeps the functions below free of checks. */
static void put(tnn_gguf_writer *w, const void *data, size_t n) {
    if (w->error.status == TNN_OK) tnn__atomic_write(w->file, data, n, &w->error);
}

static void put_uint(tnn_gguf_writer *w, uint64_t value, size_t bytes) {
    uint8_t p[8];
    tnn__gguf_store(p, value, bytes);
    put(w, p, bytes);
}

static void put_name(tnn_gguf_writer *w, tnn_gguf_str name) {
    put_uint(w, name.size, 8);
    put(w, name.data, name.size);
}

static void put_padding(tnn_gguf_writer *w) {
    static const uint8_t zeros[4096];
    uint64_t at = tnn__atomic_tell(w->file);
    uint64_t missing = (w->alignment - at % w->alignment) % w->alignment;
    while (missing > 0) {
        size_t n = missing < sizeof zeros ? (size_t)missing : sizeof zeros;
        put(w, zeros, n);
        missing -= n;
    }
}

/* The sums cannot overflow: the size of the whole file has been computed. */
static void put_header(tnn_gguf_writer *w) {
    put(w, TNN__GGUF_MAGIC, 4);
    put_uint(w, TNN__GGUF_VERSION, 4);
    put_uint(w, w->n_tensors, 8);
    put_uint(w, w->n_entries, 8);
    for (size_t i = 0; i < w->n_entries; i++) {
        const entry *e = &w->entries[i];
        put_name(w, e->key);
        put_uint(w, (uint32_t)e->type, 4);
        put(w, e->value, e->value_bytes);
    }
    uint64_t offset = 0;
    for (size_t i = 0; i < w->n_tensors; i++) {
        const declaration *t = &w->tensors[i];
        put_name(w, t->name);
        put_uint(w, (uint32_t)t->n_dims, 4);
        for (int d = 0; d < t->n_dims; d++) {
            put_uint(w, (uint64_t)t->ne[d], 8);
        }
        put_uint(w, (uint32_t)t->type, 4);
        put_uint(w, offset, 8);
        uint64_t padded = 0;
        tnn__gguf_pad(t->n_bytes, w->alignment, &padded);
        offset += padded;
    }
    put_padding(w);
}

/* Moves on to the next tensor that has bytes. */
static void skip_complete_tensors(tnn_gguf_writer *w) {
    while (w->current < w->n_tensors && w->current_written == w->tensors[w->current].n_bytes) {
        if (w->current_written > 0) put_padding(w);
        w->current++;
        w->current_written = 0;
    }
}

tnn_status tnn_gguf_writer_begin(tnn_gguf_writer *w, const char *path) {
    if (w->error.status != TNN_OK) return w->error.status;
    if (w->begun) return latch(w, TNN_E_STATE, "a GGUF writer writes one file; begin was called twice");
    uint64_t bytes;
    if (!file_bytes(w, &bytes)) return latch(w, TNN_E_RANGE, "%s would have more than 2^64 bytes", path);
    w->begun = true;
    tnn_status status = tnn__atomic_open(&w->file, path, bytes, w->ops, &w->alloc, &w->error);
    if (status != TNN_OK) return status;
    put_header(w);
    skip_complete_tensors(w);
    return w->error.status == TNN_OK ? TNN_OK : give_up(w);
}

tnn_status tnn_gguf_write_data(tnn_gguf_writer *w, const void *data, size_t n) {
    if (w->error.status != TNN_OK) return w->error.status;
    if (!w->file) return latch(w, TNN_E_STATE, "GGUF tensor data is written between begin and finish");
    if (n == 0) return TNN_OK;
    if (w->current == w->n_tensors) {
        latch(w, TNN_E_ARG, "%zu bytes of tensor data beyond the last declared tensor", n);
        return give_up(w);
    }
    const declaration *t = &w->tensors[w->current];
    if (n > t->n_bytes - w->current_written) {
        latch(w, TNN_E_ARG, "tensor '%s' is given %zu bytes, it lacks %zu", t->name.data, n,
              t->n_bytes - w->current_written);
        return give_up(w);
    }
    put(w, data, n);
    w->current_written += n;
    skip_complete_tensors(w);
    return w->error.status == TNN_OK ? TNN_OK : give_up(w);
}

tnn_status tnn_gguf_writer_finish(tnn_gguf_writer *w, tnn_error *err) {
    if (w->error.status == TNN_OK && !w->file) {
        latch(w, TNN_E_STATE, "a GGUF file is finished before it was begun, or twice");
    }
    if (w->error.status == TNN_OK && w->current < w->n_tensors) {
        const declaration *t = &w->tensors[w->current];
        latch(w, TNN_E_STATE, "tensor '%s' still lacks %zu bytes of data", t->name.data,
              t->n_bytes - w->current_written);
    }
    if (w->error.status != TNN_OK) {
        if (err) *err = w->error;
        return give_up(w);
    }
    tnn_status status = tnn__atomic_commit(w->file, &w->error);
    w->file = NULL;
    if (status != TNN_OK && err) *err = w->error;
    return status;
}
