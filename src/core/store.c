/*
 * Stores: persistent tensors with one lifetime, found by name. A tensor has memory of its own or borrows a mapped
 * file's.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/rng.h"
#include "core/session.h"

struct tnn_store {
    tnn_session *session;
    tnn__arena arena;
    tnn_tensor **tensors;
    int64_t n_tensors;
    int64_t capacity; /* of tensors; the name table has twice as many slots */
    int32_t *by_name; /* index + 1; open addressing */
    size_t owned_bytes;
};

tnn_status tnn_store_new(tnn_store **out, tnn_session *s, tnn_error *err) {
    *out = NULL;
    tnn_store *st = tnn__calloc(&s->alloc, sizeof *st, TNN__ALIGN);
    if (!st) return tnn__fail_nomem(err, "a tensor store", sizeof *st);
    st->session = s;
    tnn__arena_init(&st->arena, &s->alloc, 0);
    *out = st;
    return TNN_OK;
}

void tnn_store_free(tnn_store *st) {
    if (!st) return;
    const tnn_allocator *a = &st->session->alloc;
    tnn__backend *b = st->session->backend;
    for (int64_t i = 0; i < st->n_tensors; i++) {
        tnn_tensor *t = st->tensors[i];
        if (!t->borrowed && !t->shares) b->ops->buffer_free(b, t->data, t->bytes);
    }
    tnn__free_array(a, st->tensors, (size_t)st->capacity, sizeof *st->tensors);
    tnn__free_array(a, st->by_name, 2 * (size_t)st->capacity, sizeof *st->by_name);
    tnn__arena_free(&st->arena);
    tnn__free(a, st, sizeof *st, TNN__ALIGN);
}

/* The slot that holds name, or the free one where it would go. Capacity is a power of two and never full. */
static int32_t *name_slot(const tnn_store *st, int32_t *table, int64_t capacity, const char *name) {
    uint64_t mask = 2 * (uint64_t)capacity - 1;
    uint64_t i = tnn__hash_str(name) & mask;
    while (table[i] != 0 && strcmp(st->tensors[table[i] - 1]->name, name) != 0) {
        i = (i + 1) & mask;
    }
    return &table[i];
}

static bool grow(tnn_store *st) {
    const tnn_allocator *a = &st->session->alloc;
    int64_t capacity = st->capacity ? 2 * st->capacity : 64;
    tnn_tensor **tensors = tnn__calloc_array(a, (size_t)capacity, sizeof *tensors);
    int32_t *by_name = tnn__calloc_array(a, 2 * (size_t)capacity, sizeof *by_name);
    if (!tensors || !by_name) {
        tnn__free_array(a, tensors, (size_t)capacity, sizeof *tensors);
        tnn__free_array(a, by_name, 2 * (size_t)capacity, sizeof *by_name);
        return false;
    }
    for (int64_t i = 0; i < st->n_tensors; i++) {
        tensors[i] = st->tensors[i];
        if (tensors[i]->name) *name_slot(st, by_name, capacity, tensors[i]->name) = (int32_t)(i + 1);
    }
    tnn__free_array(a, st->tensors, (size_t)st->capacity, sizeof *st->tensors);
    tnn__free_array(a, st->by_name, 2 * (size_t)st->capacity, sizeof *st->by_name);
    st->tensors = tensors;
    st->by_name = by_name;
    st->capacity = capacity;
    return true;
}

/* For messages. */
static const char *label(const char *name) {
    return name && name[0] ? name : "(unnamed)";
}

/* A record with checked shape, in the table; memory is the caller's business. */
static tnn_tensor *add_record(tnn_store *st, const char *name, tnn_type type, int n_dims, const int64_t *ne,
                              tnn_error *err) {
    tnn_tensor shape = {0};
    if (!tnn__tensor_set_shape(&shape, type, n_dims, ne)) {
        tnn__fail(err, TNN_E_SHAPE,
                  "tensor %s: a %s tensor cannot have this shape (extents > 0, whole blocks in a row)", label(name),
                  tnn_type_get_info((int32_t)type)->name ? tnn_type_get_info((int32_t)type)->name : "?");
        return NULL;
    }
    if (name && name[0] && tnn_store_find(st, name)) {
        tnn__fail(err, TNN_E_ARG, "tensor %s is in the store already", label(name));
        return NULL;
    }
    tnn_tensor *t = NULL;
    if (st->n_tensors < st->capacity || grow(st)) t = tnn__arena_push(&st->arena, sizeof *t);
    if (t) {
        *t = shape;
        t->store = st;
        if (name && name[0]) t->name = tnn__arena_strdup(&st->arena, name);
    }
    if (!t || (name && name[0] && !t->name)) {
        tnn__fail_nomem(err, label(name), sizeof *t);
        return NULL;
    }
    return t;
}

static tnn_tensor *insert(tnn_store *st, tnn_tensor *t) {
    st->tensors[st->n_tensors++] = t;
    if (t->name) *name_slot(st, st->by_name, st->capacity, t->name) = (int32_t)st->n_tensors;
    return t;
}

tnn_tensor *tnn_store_tensor(tnn_store *st, const char *name, tnn_type type, int n_dims, const int64_t *ne,
                             tnn_error *err) {
    tnn_tensor *t = add_record(st, name, type, n_dims, ne, err);
    if (!t) return NULL;
    tnn__backend *b = st->session->backend;
    t->data = b->ops->buffer_alloc(b, t->bytes);
    if (!t->data) {
        tnn__fail_nomem(err, label(name), t->bytes);
        return NULL;
    }
    st->owned_bytes += t->bytes;
    return insert(st, t);
}

tnn_tensor *tnn_store_borrow(tnn_store *st, const char *name, tnn_type type, int n_dims, const int64_t *ne,
                             const void *data, tnn_error *err) {
    if (!data) {
        tnn__fail(err, TNN_E_ARG, "tensor %s: there is no memory to borrow", label(name));
        return NULL;
    }
    tnn_tensor *t = add_record(st, name, type, n_dims, ne, err);
    if (!t) return NULL;
    /* Never written through: tnn_tensor_write refuses borrowed tensors, and no op writes to weights. */
    memcpy(&t->data, &data, sizeof data);
    t->borrowed = true;
    return insert(st, t);
}

tnn_tensor *tnn_store_view(tnn_store *st, const char *name, tnn_tensor *base, size_t offset, tnn_type type, int n_dims,
                           const int64_t *ne, tnn_error *err) {
    if (!base) {
        tnn__fail(err, TNN_E_ARG, "tensor %s: there is no tensor to be a part of", label(name));
        return NULL;
    }
    tnn_tensor *t = add_record(st, name, type, n_dims, ne, err);
    if (!t) return NULL;
    if (base->store != st || base->borrowed || offset % TNN__ALIGN != 0 || offset > base->bytes ||
        t->bytes > base->bytes - offset) {
        tnn__fail(err, TNN_E_RANGE, "tensor %s: %zu bytes at offset %zu do not lie within %s of %zu bytes", label(name),
                  t->bytes, offset, label(tnn_tensor_name(base)), base->bytes);
        return NULL;
    }
    t->data = (uint8_t *)base->data + offset;
    t->shares = true;
    return insert(st, t);
}

tnn_tensor *tnn_store_find(const tnn_store *st, const char *name) {
    if (!st->by_name || !name[0]) return NULL;
    int32_t at = *name_slot(st, st->by_name, st->capacity, name);
    return at ? st->tensors[at - 1] : NULL;
}

int64_t tnn_store_count(const tnn_store *st) {
    return st->n_tensors;
}

tnn_tensor *tnn_store_at(const tnn_store *st, int64_t i) {
    return i >= 0 && i < st->n_tensors ? st->tensors[i] : NULL;
}

size_t tnn_store_bytes(const tnn_store *st) {
    return st->owned_bytes;
}

tnn_session *tnn__session_of(const tnn_tensor *t) {
    return t->store->session;
}

static tnn_status check_range(const tnn_tensor *t, size_t offset, size_t n, tnn_error *err) {
    if (!tnn__is_persistent(t)) {
        return tnn__fail(err, TNN_E_ARG, "tensor %s belongs to a graph; use its plan", tnn_tensor_name(t));
    }
    if (offset > t->bytes || n > t->bytes - offset) {
        return tnn__fail(err, TNN_E_RANGE, "tensor %s has %zu bytes; %zu at offset %zu were asked for",
                         tnn_tensor_name(t), t->bytes, n, offset);
    }
    return TNN_OK;
}

tnn_status tnn_tensor_write(tnn_tensor *t, size_t offset, const void *data, size_t n, tnn_error *err) {
    tnn_status status = check_range(t, offset, n, err);
    if (status) return status;
    if (t->borrowed) return tnn__fail(err, TNN_E_STATE, "tensor %s is borrowed and read-only", tnn_tensor_name(t));
    tnn__backend *b = t->store->session->backend;
    b->ops->upload(b, t->data, offset, data, n);
    return TNN_OK;
}

tnn_status tnn_tensor_read(const tnn_tensor *t, size_t offset, void *data, size_t n, tnn_error *err) {
    tnn_status status = check_range(t, offset, n, err);
    if (status) return status;
    tnn__backend *b = t->store->session->backend;
    b->ops->download(b, t->data, offset, data, n);
    return TNN_OK;
}
