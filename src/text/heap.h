/* A binary min-heap of candidates, ordered by key and then by size; what the fields mean is the user's affair. */
#ifndef TNN_TEXT_HEAP_H
#define TNN_TEXT_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/allocator.h>
#include <tinynn/status.h>

typedef struct tnn__heap_item {
    uint64_t key;
    uint32_t size;
    int32_t id;
} tnn__heap_item;

typedef struct tnn__heap {
    tnn__heap_item *items;
    size_t n, capacity;
    tnn_allocator alloc;
} tnn__heap;

tnn_status tnn__heap_push(tnn__heap *h, tnn__heap_item item, tnn_error *err);
bool tnn__heap_pop(tnn__heap *h, tnn__heap_item *item); /* false when empty */
void tnn__heap_free(tnn__heap *h);

#endif
