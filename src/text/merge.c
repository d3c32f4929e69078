#include "text/merge.h"

#include "base/alloc.h"
#include "text/buffer.h"

void tnn__merge_work_init(tnn__merge_work *w, const tnn_allocator *a) {
    *w = (tnn__merge_work){.heap = {.alloc = *tnn__allocator_or_default(a)}};
    w->text.allocator = a;
}

void tnn__merge_work_free(tnn__merge_work *w) {
    tnn__buffer_free(&w->heap.alloc, w->symbols, w->capacity, sizeof *w->symbols);
    tnn__heap_free(&w->heap);
    tnn_text_free(&w->text);
}

tnn_status tnn__merge_work_add(tnn__merge_work *w, tnn__merge_symbol symbol, tnn_error *err) {
    if (w->n_symbols == w->capacity) {
        void *symbols = w->symbols;
        tnn_status status =
            tnn__buffer_reserve(&w->heap.alloc, &symbols, &w->capacity, w->n_symbols + 1, sizeof *w->symbols, err);
        if (status) return status;
        w->symbols = symbols;
    }
    uint32_t n = (uint32_t)w->n_symbols++;
    symbol.prev = n ? n - 1 : TNN__NO_SYMBOL;
    symbol.next = TNN__NO_SYMBOL;
    if (n) w->symbols[n - 1].next = n;
    w->symbols[n] = symbol;
    return TNN_OK;
}

void tnn__merge_work_join(tnn__merge_work *w, uint32_t left, int32_t id) {
    tnn__merge_symbol *a = &w->symbols[left], *b = &w->symbols[a->next];
    a->id = id;
    a->size += b->size;
    b->size = 0;
    b->id = -1;
    a->next = b->next;
    if (a->next != TNN__NO_SYMBOL) w->symbols[a->next].prev = left;
}
