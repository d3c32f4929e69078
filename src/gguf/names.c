/* Open addressing with linear probing, at most half full. */
#include "gguf/names.h"

#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"

void tnn__names_init(tnn__names *names, const tnn_allocator *a) {
    *names = (tnn__names){.alloc = *tnn__allocator_or_default(a)};
}

void tnn__names_free(tnn__names *names) {
    if (names->slots) tnn__free_array(&names->alloc, names->slots, names->n_slots, sizeof *names->slots);
    *names = (tnn__names){.alloc = names->alloc};
}

/* The slot that holds the name, or the free one where it belongs. There always is a free one. */
static tnn__name_slot *probe(const tnn__names *names, const char *name, size_t size) {
    size_t mask = names->n_slots - 1;
    size_t i = (size_t)tnn__hash_seeded(names->seed, name, size) & mask;
    for (;; i = (i + 1) & mask) {
        tnn__name_slot *slot = &names->slots[i];
        if (!slot->name.data) return slot;
        if (slot->name.size == size && memcmp(slot->name.data, name, size) == 0) return slot;
    }
}

int64_t tnn__names_find(const tnn__names *names, const char *name, size_t size) {
    if (names->n_slots == 0) return -1;
    const tnn__name_slot *slot = probe(names, name, size);
    return slot->name.data ? (int64_t)slot->index : -1;
}

static bool grow(tnn__names *names) {
    tnn__names bigger = {.alloc = names->alloc, .n_slots = names->n_slots ? 2 * names->n_slots : 64};
    bigger.slots = tnn__calloc_array(&bigger.alloc, bigger.n_slots, sizeof *bigger.slots);
    if (!bigger.slots) return false;
    bigger.seed = tnn__hash_seed(bigger.slots);
    for (size_t i = 0; i < names->n_slots; i++) {
        const tnn__name_slot *slot = &names->slots[i];
        if (slot->name.data) *probe(&bigger, slot->name.data, slot->name.size) = *slot;
    }
    bigger.n_names = names->n_names;
    tnn__names_free(names);
    *names = bigger;
    return true;
}

tnn_status tnn__names_add(tnn__names *names, tnn_gguf_str name, size_t index) {
    if (names->n_names >= names->n_slots / 2 && !grow(names)) return TNN_E_NOMEM;
    tnn__name_slot *slot = probe(names, name.data, name.size);
    if (slot->name.data) return TNN_E_STATE;
    *slot = (tnn__name_slot){name, index};
    names->n_names++;
    return TNN_OK;
}
