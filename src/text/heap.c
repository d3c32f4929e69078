#include "text/heap.h"

#include "text/buffer.h"

static bool before(const tnn__heap_item *a, const tnn__heap_item *b) {
    return a->key != b->key ? a->key < b->key : a->size < b->size;
}

tnn_status tnn__heap_push(tnn__heap *h, tnn__heap_item item, tnn_error *err) {
    if (h->n == h->capacity) {
        void *items = h->items;
        tnn_status status = tnn__buffer_reserve(&h->alloc, &items, &h->capacity, h->n + 1, sizeof *h->items, err);
        if (status) return status;
        h->items = items;
    }
    size_t i = h->n++;
    while (i > 0 && before(&item, &h->items[(i - 1) / 2])) {
        h->items[i] = h->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->items[i] = item;
    return TNN_OK;
}

bool tnn__heap_pop(tnn__heap *h, tnn__heap_item *item) {
    if (h->n == 0) return false;
    *item = h->items[0];
    tnn__heap_item last = h->items[--h->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n) break;
        if (child + 1 < h->n && before(&h->items[child + 1], &h->items[child])) child++;
        if (!before(&h->items[child], &last)) break;
        h->items[i] = h->items[child];
        i = child;
    }
    h->items[i] = last;
    return true;
}

void tnn__heap_free(tnn__heap *h) {
    tnn__buffer_free(&h->alloc, h->items, h->capacity, sizeof *h->items);
    h->items = NULL;
    h->n = h->capacity = 0;
}
