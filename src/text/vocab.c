#include "text/vocab.h"

#include <limits.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/rng.h"
#include "text/buffer.h"

void tnn__vocab_init(tnn__vocab *v, const tnn_allocator *a) {
    *v = (tnn__vocab){.alloc = *tnn__allocator_or_default(a), .seed = tnn__hash_seed(v)};
    tnn__arena_init(&v->texts, &v->alloc, 0);
}

void tnn__vocab_free(tnn__vocab *v) {
    tnn__buffer_free(&v->alloc, v->symbols, v->capacity, sizeof *v->symbols);
    tnn__free_array(&v->alloc, v->slots, v->n_slots, sizeof *v->slots);
    tnn__arena_free(&v->texts);
}

static uint32_t hash_text(const tnn__vocab *v, const char *text, size_t size) {
    return (uint32_t)tnn__hash_seeded(v->seed, text, size);
}

/* The slot that holds the text, or the free one where it belongs. */
static size_t find_slot(const tnn__vocab *v, const char *text, size_t size, uint32_t hash) {
    size_t mask = v->n_slots - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        if (v->slots[i] < 0) return i;
        const tnn__symbol *s = &v->symbols[v->slots[i]];
        if (s->hash == hash && s->size == size && memcmp(s->text, text, size) == 0) return i;
    }
}

static tnn_status grow_slots(tnn__vocab *v, tnn_error *err) {
    size_t n = v->n_slots ? v->n_slots * 2 : 1024;
    int32_t *slots = tnn__calloc_array(&v->alloc, n, sizeof *slots);
    if (!slots) return tnn__fail_nomem(err, "the vocabulary's index", n * sizeof *slots);
    memset(slots, 0xFF, n * sizeof *slots);
    for (size_t i = 0; i < v->n_slots; i++) {
        if (v->slots[i] < 0) continue;
        size_t j = v->symbols[v->slots[i]].hash & (n - 1);
        while (slots[j] >= 0)
            j = (j + 1) & (n - 1);
        slots[j] = v->slots[i];
    }
    tnn__free_array(&v->alloc, v->slots, v->n_slots, sizeof *v->slots);
    v->slots = slots;
    v->n_slots = n;
    return TNN_OK;
}

tnn_status tnn__vocab_add(tnn__vocab *v, const char *text, size_t size, tnn_error *err) {
    if (size > INT32_MAX || v->n_symbols >= INT32_MAX) {
        return tnn__fail(err, TNN_E_RANGE,
                         "token %zu has a text of %zu bytes: a vocabulary holds fewer than 2^31 texts of "
                         "fewer than 2^31 bytes",
                         v->n_symbols, size);
    }
    if (v->n_used * 2 >= v->n_slots) {
        tnn_status status = grow_slots(v, err);
        if (status) return status;
    }
    void *symbols = v->symbols;
    tnn_status status =
        tnn__buffer_reserve(&v->alloc, &symbols, &v->capacity, v->n_symbols + 1, sizeof *v->symbols, err);
    if (status) return status;
    v->symbols = symbols;
    const char *copy = tnn__arena_strndup(&v->texts, text, size);
    if (!copy) return tnn__fail_nomem(err, "a token's text", size);

    tnn__symbol *s = &v->symbols[v->n_symbols];
    *s = (tnn__symbol){copy, (uint32_t)size, hash_text(v, text, size)};
    size_t slot = find_slot(v, copy, size, s->hash);
    if (size > 0 && v->slots[slot] < 0) {
        v->slots[slot] = (int32_t)v->n_symbols;
        v->n_used++;
    }
    v->n_symbols++;
    return TNN_OK;
}

tnn_status tnn__vocab_intern(tnn__vocab *v, const char *text, size_t size, int32_t *symbol, tnn_error *err) {
    *symbol = tnn__vocab_find(v, text, size);
    if (*symbol >= 0) return TNN_OK;
    tnn_status status = tnn__vocab_add(v, text, size, err);
    if (!status) *symbol = (int32_t)(v->n_symbols - 1);
    return status;
}

int32_t tnn__vocab_find(const tnn__vocab *v, const char *text, size_t size) {
    if (v->n_slots == 0 || size == 0) return -1;
    return v->slots[find_slot(v, text, size, hash_text(v, text, size))];
}

int32_t tnn__vocab_find_token(const tnn__vocab *v, const char *text, size_t size) {
    int32_t symbol = tnn__vocab_find(v, text, size);
    return symbol < v->n_tokens ? symbol : -1;
}
