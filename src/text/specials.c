#include "text/specials.h"

#include <string.h>

#include "base/alloc.h"
#include "text/buffer.h"

void tnn__specials_init(tnn__specials *s, const tnn_allocator *a) {
    *s = (tnn__specials){.alloc = *tnn__allocator_or_default(a), .n_nodes = 1};
}

void tnn__specials_free(tnn__specials *s) {
    tnn__buffer_free(&s->alloc, s->nodes, s->capacity, sizeof *s->nodes);
}

static uint32_t find_child(const tnn__specials *s, uint32_t parent, uint8_t byte) {
    if (!parent) return s->root[byte];
    uint32_t node = s->nodes[parent].child;
    while (node && s->nodes[node].byte != byte)
        node = s->nodes[node].sibling;
    return node;
}

tnn_status tnn__specials_add(tnn__specials *s, const char *text, size_t size, int32_t token, bool control,
                             tnn_error *err) {
    if (size == 0 || size > TNN__SPECIAL_MAX_BYTES) return TNN_OK;
    uint32_t parent = 0;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)text[i];
        uint32_t node = find_child(s, parent, byte);
        if (!node) {
            void *nodes = s->nodes;
            tnn_status status =
                tnn__buffer_reserve(&s->alloc, &nodes, &s->capacity, s->n_nodes + 1, sizeof *s->nodes, err);
            if (status) return status;
            s->nodes = nodes;
            node = (uint32_t)s->n_nodes++;
            s->nodes[node] = (tnn__trie_node){.token = -1, .byte = byte};
            if (parent) {
                s->nodes[node].sibling = s->nodes[parent].child;
                s->nodes[parent].child = node;
            } else {
                s->root[byte] = node;
            }
        }
        parent = node;
    }
    if (s->nodes[parent].token < 0) {
        s->nodes[parent].token = token;
        s->nodes[parent].control = control;
    }
    return TNN_OK;
}

/* The longest token at text[0] of at most `room` bytes, and at most `control_room` for a control token; size 0: none.
 */
static uint32_t longest(const tnn__specials *s, const char *text, size_t room, size_t control_room, int32_t *token) {
    uint32_t best = 0, node = 0;
    for (uint32_t depth = 1; depth <= room; depth++) {
        node = find_child(s, node, (uint8_t)text[depth - 1]);
        if (!node) break;
        const tnn__trie_node *n = &s->nodes[node];
        if (n->token >= 0 && (!n->control || depth <= control_room)) {
            best = depth;
            *token = n->token;
        }
    }
    return best;
}

typedef struct search {
    const tnn__specials *specials;
    const char *text;
    size_t size;
    const tnn__region *regions;
    size_t n_regions;
    tnn__heap heap; /* key: longest first, then id; size: position */
} search;

/* Bytes from pos to the end of the region that holds it. */
static size_t control_room_at(const search *s, size_t pos) {
    size_t low = 0, high = s->n_regions;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->regions[middle].end <= pos) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < s->n_regions && s->regions[low].begin <= pos ? s->regions[low].end - pos : 0;
}

static tnn_status push_longest(search *s, size_t pos, size_t room, tnn_error *err) {
    int32_t token = -1;
    uint32_t size = longest(s->specials, s->text + pos, room, control_room_at(s, pos), &token);
    if (size == 0) return TNN_OK;
    uint64_t key = (uint64_t)(TNN__SPECIAL_MAX_BYTES - size) << 32 | (uint32_t)token;
    return tnn__heap_push(&s->heap, (tnn__heap_item){key, (uint32_t)pos, token}, err);
}

/*
 * Takes candidates from the longest down. One that overlaps a token taken before is replaced by the longest at the same
 * place that does not: whatever lies between in length would overlap too.
 */
static tnn_status take_longest_first(search *s, int32_t *owner, bool *found, tnn_error *err) {
    tnn__heap_item item;
    while (tnn__heap_pop(&s->heap, &item)) {
        size_t pos = item.size, size = TNN__SPECIAL_MAX_BYTES - (size_t)(item.key >> 32), room = 0;
        while (room < size && owner[pos + room] < 0)
            room++;
        if (room == size) {
            for (size_t i = 0; i < size; i++)
                owner[pos + i] = item.id;
            *found = true;
        } else if (room > 0) {
            tnn_status status = push_longest(s, pos, room, err);
            if (status) return status;
        }
    }
    return TNN_OK;
}

tnn_status tnn__specials_find(const tnn__specials *specials, const char *text, size_t size, const tnn__region *regions,
                              size_t n_regions, int32_t *owner, bool *found, tnn_error *err) {
    search s = {specials, text, size, regions, n_regions, {.alloc = specials->alloc}};
    tnn_status status = TNN_OK;
    *found = false;
    for (size_t pos = 0; pos < size && !status; pos++) {
        if (specials->root[(uint8_t)text[pos]]) status = push_longest(&s, pos, size - pos, err);
    }
    if (!status && s.heap.n) {
        memset(owner, 0xFF, size * sizeof *owner);
        status = take_longest_first(&s, owner, found, err);
    }
    tnn__heap_free(&s.heap);
    return status;
}
