/*
 * A pair's places are a chain in the order they came up. Places are not taken out when a neighbour is joined away: one
 * where the pair no longer stands is stale and passed over when its turn comes. A heap entry is stale in the same way:
 * counts that fell are put right when the entry comes up, counts that rose get a new entry.
 */
#include "text/bpe_pairs.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "text/buffer.h"

#define NONE UINT32_MAX

struct tnn__bpe_node {
    int32_t symbol;      /* -1 once joined into the node before it */
    uint32_t prev, next; /* NONE at the ends of a word */
    uint32_t count;      /* of the word */
};

struct tnn__bpe_pair {
    int32_t left, right;
    uint64_t count;
    uint32_t first, last; /* places; NONE without */
    bool grown;
};

struct tnn__bpe_place {
    uint32_t node, next;
};

/* Room for one element more. */
static tnn_status grow(const tnn__bpe_pairs *p, void **data, size_t *capacity, size_t n, size_t size, tnn_error *err) {
    return n < *capacity ? TNN_OK : tnn__buffer_reserve(&p->alloc, data, capacity, n + 1, size, err);
}

void tnn__bpe_pairs_init(tnn__bpe_pairs *p, const tnn_allocator *a) {
    *p = (tnn__bpe_pairs){.alloc = *a, .heap = {.alloc = *a}};
}

void tnn__bpe_pairs_free(tnn__bpe_pairs *p) {
    tnn__buffer_free(&p->alloc, p->nodes, p->node_capacity, sizeof *p->nodes);
    tnn__buffer_free(&p->alloc, p->pairs, p->pair_capacity, sizeof *p->pairs);
    tnn__buffer_free(&p->alloc, p->places, p->place_capacity, sizeof *p->places);
    tnn__buffer_free(&p->alloc, p->grown, p->grown_capacity, sizeof *p->grown);
    tnn__free_array(&p->alloc, p->slots, p->n_slots, sizeof *p->slots);
    tnn__heap_free(&p->heap);
}

tnn_status tnn__bpe_pairs_add(tnn__bpe_pairs *p, int32_t symbol, uint32_t count, bool new_word, tnn_error *err) {
    void *nodes = p->nodes;
    tnn_status status = grow(p, &nodes, &p->node_capacity, p->n_nodes, sizeof *p->nodes, err);
    if (status) return status;
    p->nodes = nodes;
    uint32_t k = (uint32_t)p->n_nodes++;
    p->nodes[k] = (tnn__bpe_node){symbol, new_word ? NONE : k - 1, NONE, count};
    if (!new_word) p->nodes[k - 1].next = k;
    return TNN_OK;
}

/* --- pairs by their symbols --- */

static size_t hash_pair(int32_t left, int32_t right) {
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(h ^ h >> 32);
}

/* The slot of the pair, or the free one where it belongs. */
static uint32_t *find_slot(const tnn__bpe_pairs *p, int32_t left, int32_t right) {
    size_t mask = p->n_slots - 1;
    for (size_t i = hash_pair(left, right) & mask;; i = (i + 1) & mask) {
        uint32_t k = p->slots[i];
        if (k == NONE || (p->pairs[k].left == left && p->pairs[k].right == right)) return &p->slots[i];
    }
}

static tnn_status grow_slots(tnn__bpe_pairs *p, tnn_error *err) {
    size_t n_before = p->n_slots;
    uint32_t *before = p->slots;
    size_t n = n_before ? n_before * 2 : 1024;
    uint32_t *slots = tnn__calloc_array(&p->alloc, n, sizeof *slots);
    if (!slots) return tnn__fail_nomem(err, "the index of pairs", n * sizeof *slots);
    memset(slots, 0xFF, n * sizeof *slots);
    p->slots = slots;
    p->n_slots = n;
    for (size_t k = 0; k < p->n_pairs; k++)
        *find_slot(p, p->pairs[k].left, p->pairs[k].right) = (uint32_t)k;
    tnn__free_array(&p->alloc, before, n_before, sizeof *before);
    return TNN_OK;
}

static tnn_status intern_pair(tnn__bpe_pairs *p, int32_t left, int32_t right, uint32_t *index, tnn_error *err) {
    if (p->n_pairs * 2 >= p->n_slots) {
        tnn_status status = grow_slots(p, err);
        if (status) return status;
    }
    uint32_t *slot = find_slot(p, left, right);
    if (*slot == NONE) {
        void *pairs = p->pairs;
        tnn_status status = grow(p, &pairs, &p->pair_capacity, p->n_pairs, sizeof *p->pairs, err);
        if (status) return status;
        p->pairs = pairs;
        p->pairs[p->n_pairs] = (tnn__bpe_pair){.left = left, .right = right, .first = NONE, .last = NONE};
        *slot = (uint32_t)p->n_pairs++;
    }
    *index = *slot;
    return TNN_OK;
}

/* --- counting --- */

/* The pair of a node and the next one goes. */
static void drop(tnn__bpe_pairs *p, uint32_t node) {
    uint32_t k = *find_slot(p, p->nodes[node].symbol, p->nodes[p->nodes[node].next].symbol);
    p->pairs[k].count -= p->nodes[node].count;
}

/* The pair of a node and the next one comes up. */
static tnn_status enter(tnn__bpe_pairs *p, uint32_t node, tnn_error *err) {
    uint32_t k;
    void *places = p->places, *grown = p->grown;
    tnn_status status = intern_pair(p, p->nodes[node].symbol, p->nodes[p->nodes[node].next].symbol, &k, err);
    if (!status) status = grow(p, &places, &p->place_capacity, p->n_places, sizeof *p->places, err);
    if (status) return status;
    p->places = places;
    status = grow(p, &grown, &p->grown_capacity, p->n_grown, sizeof *p->grown, err);
    if (status) return status;
    p->grown = grown;

    tnn__bpe_pair *pair = &p->pairs[k];
    uint32_t place = (uint32_t)p->n_places++;
    p->places[place] = (tnn__bpe_place){node, NONE};
    if (pair->last == NONE) {
        pair->first = place;
    } else {
        p->places[pair->last].next = place;
    }
    pair->last = place;
    pair->count += p->nodes[node].count;
    if (!pair->grown) p->grown[p->n_grown++] = k;
    pair->grown = true;
    return TNN_OK;
}

/* Counts stay below 2^32, and so do symbols: the heap's order is count falling, then left, then right. */
static tnn_status push(tnn__bpe_pairs *p, uint32_t k, tnn_error *err) {
    const tnn__bpe_pair *pair = &p->pairs[k];
    tnn__heap_item item = {
        .key = (UINT32_MAX - pair->count) << 32 | (uint32_t)pair->left,
        .size = (uint32_t)pair->right,
        .id = (int32_t)k,
    };
    return tnn__heap_push(&p->heap, item, err);
}

static tnn_status push_grown(tnn__bpe_pairs *p, tnn_error *err) {
    tnn_status status = TNN_OK;
    for (size_t i = 0; i < p->n_grown && !status; i++) {
        p->pairs[p->grown[i]].grown = false;
        if (p->pairs[p->grown[i]].count > 0) status = push(p, p->grown[i], err);
    }
    p->n_grown = 0;
    return status;
}

tnn_status tnn__bpe_pairs_start(tnn__bpe_pairs *p, tnn_error *err) {
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        tnn_status status = p->nodes[i].next != NONE ? enter(p, i, err) : TNN_OK;
        if (status) return status;
    }
    return push_grown(p, err);
}

tnn_status tnn__bpe_pairs_take(tnn__bpe_pairs *p, uint64_t min_count, bool *found, int32_t *left, int32_t *right,
                               tnn_error *err) {
    tnn__heap_item item;
    *found = false;
    while (tnn__heap_pop(&p->heap, &item)) {
        const tnn__bpe_pair *pair = &p->pairs[item.id];
        uint64_t count = UINT32_MAX - (item.key >> 32);
        if (count < min_count) break;
        if (pair->count == count) {
            *found = true;
            *left = pair->left;
            *right = pair->right;
            break;
        }
        tnn_status status = pair->count > 0 && pair->count < count ? push(p, (uint32_t)item.id, err) : TNN_OK;
        if (status) return status;
    }
    return TNN_OK;
}

/* --- joining --- */

static bool stands(const tnn__bpe_pairs *p, uint32_t node, int32_t left, int32_t right) {
    const tnn__bpe_node *n = &p->nodes[node];
    return n->symbol == left && n->next != NONE && p->nodes[n->next].symbol == right;
}

/* Joins a node with the next. Pairs that end or begin inside go, those with the new symbol come up. */
static tnn_status join_at(tnn__bpe_pairs *p, uint32_t node, int32_t symbol, tnn_error *err) {
    tnn__bpe_node *a = &p->nodes[node], *b = &p->nodes[a->next];
    drop(p, node);
    if (a->prev != NONE) drop(p, a->prev);
    if (b->next != NONE) drop(p, a->next);
    a->symbol = symbol;
    a->next = b->next;
    b->symbol = -1;
    if (a->next != NONE) p->nodes[a->next].prev = node;
    tnn_status status = a->prev != NONE ? enter(p, a->prev, err) : TNN_OK;
    if (!status && a->next != NONE) status = enter(p, node, err);
    return status;
}

tnn_status tnn__bpe_pairs_join(tnn__bpe_pairs *p, int32_t left, int32_t right, int32_t symbol, tnn_error *err) {
    uint32_t k = *find_slot(p, left, right);
    uint32_t place = p->pairs[k].first;
    p->pairs[k].first = p->pairs[k].last = NONE;
    for (; place != NONE; place = p->places[place].next) {
        uint32_t node = p->places[place].node;
        /* In a run of one symbol, pairs overlap: the run is joined from where it begins. */
        while (left == right && stands(p, node, left, right) && p->nodes[node].prev != NONE &&
               p->nodes[p->nodes[node].prev].symbol == left)
            node = p->nodes[node].prev;
        while (node != NONE && stands(p, node, left, right)) {
            tnn_status status = join_at(p, node, symbol, err);
            if (status) return status;
            node = p->nodes[node].next;
        }
    }
    return push_grown(p, err);
}

uint64_t tnn__bpe_pairs_n_symbols(const tnn__bpe_pairs *p) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < p->n_nodes; i++)
        n += p->nodes[i].symbol >= 0 ? p->nodes[i].count : 0;
    return n;
}
