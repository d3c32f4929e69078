/*
 * Finding special tokens in a text. As in llama.cpp the longest token wins wherever it stands, then the one with the
 * lower id, then the leftmost; here through a trie, so that the number of special tokens does not matter.
 */
#ifndef TNN_TEXT_SPECIALS_H
#define TNN_TEXT_SPECIALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/status.h>

#include "text/heap.h"

#define TNN__SPECIAL_MAX_BYTES 1024 /* longer ones are not looked for; keeps the work per byte of text bounded */

typedef struct tnn__trie_node {
    uint32_t child, sibling; /* 0: none */
    int32_t token;           /* that ends here, or -1 */
    uint8_t byte;
    bool control; /* the token is found in template text only */
} tnn__trie_node;

typedef struct tnn__specials {
    tnn_allocator alloc;
    tnn__trie_node *nodes; /* nodes[0] is unused */
    size_t n_nodes, capacity;
    uint32_t root[256];
} tnn__specials;

void tnn__specials_init(tnn__specials *s, const tnn_allocator *a);
void tnn__specials_free(tnn__specials *s);
tnn_status tnn__specials_add(tnn__specials *s, const char *text, size_t size, int32_t token, bool control,
                             tnn_error *err);

/* Bytes [begin, end) of a text in which control tokens are recognised; in order, apart from each other. */
typedef struct tnn__region {
    size_t begin, end;
} tnn__region;

/*
 * Sets owner[p] to the id of the token found at p, for its first byte, and to another value than -1 for its other
 * bytes; to -1 for the rest. owner holds size entries. Returns in *found whether there is any. size is below 2^31.
 */
tnn_status tnn__specials_find(const tnn__specials *s, const char *text, size_t size, const tnn__region *regions,
                              size_t n_regions, int32_t *owner, bool *found, tnn_error *err);

#endif
