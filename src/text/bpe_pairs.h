/*
 * Words as chains of symbols, and how often each two neighbours occur in them, kept up to date while pairs are joined.
 * Finding the most frequent pair and joining it cost by the places where it stands, not by the size of the text.
 */
#ifndef TNN_TEXT_BPE_PAIRS_H
#define TNN_TEXT_BPE_PAIRS_H

#include <tinynn/allocator.h>
#include <tinynn/status.h>

#include "text/heap.h"

typedef struct tnn__bpe_place tnn__bpe_place;
typedef struct tnn__bpe_pair tnn__bpe_pair;
typedef struct tnn__bpe_node tnn__bpe_node;

typedef struct tnn__bpe_pairs {
    tnn_allocator alloc;
    tnn__bpe_node *nodes; /* symbols of the words, one word behind the other */
    size_t n_nodes, node_capacity;
    tnn__bpe_pair *pairs;
    size_t n_pairs, pair_capacity;
    uint32_t *slots; /* open addressing over pairs; UINT32_MAX is free */
    size_t n_slots;
    tnn__bpe_place *places; /* where pairs stand, a chain for each; stale ones are passed over */
    size_t n_places, place_capacity;
    uint32_t *grown; /* pairs that the last join made more frequent */
    size_t n_grown, grown_capacity;
    tnn__heap heap; /* every pair with its count, or with a higher one from before */
} tnn__bpe_pairs;

void tnn__bpe_pairs_init(tnn__bpe_pairs *p, const tnn_allocator *a);
void tnn__bpe_pairs_free(tnn__bpe_pairs *p);
/* Appends a symbol to the last word, or the first one to a new word, which occurs `count` times, every one below 2^32.
 */
tnn_status tnn__bpe_pairs_add(tnn__bpe_pairs *p, int32_t symbol, uint32_t count, bool new_word, tnn_error *err);
/* After the last word: makes the pairs ready to be taken. */
tnn_status tnn__bpe_pairs_start(tnn__bpe_pairs *p, tnn_error *err);
/*
 * The pair that occurs most often, at least min_count times; of several the one with the lowest left symbol, then the
 * lowest right one. *found is false when there is none.
 */
tnn_status tnn__bpe_pairs_take(tnn__bpe_pairs *p, uint64_t min_count, bool *found, int32_t *left, int32_t *right,
                               tnn_error *err);
/* Joins the pair wherever it stands, from left to right, into `symbol`. */
tnn_status tnn__bpe_pairs_join(tnn__bpe_pairs *p, int32_t left, int32_t right, int32_t symbol, tnn_error *err);
/* Symbols of all texts: each word's as often as it occurs. */
uint64_t tnn__bpe_pairs_n_symbols(const tnn__bpe_pairs *p);

#endif
