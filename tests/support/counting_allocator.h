/*
 * An allocator that counts what is taken and given back, and can be told to have no memory at the Nth request.
 */
#ifndef TNN_TEST_COUNTING_ALLOCATOR_H
#define TNN_TEST_COUNTING_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <tinynn/allocator.h>

typedef struct counting_allocator {
    size_t requests;    /* so far */
    size_t fail_at;     /* the request, from 1 on, that gets nothing; 0 for none */
    bool fail_from;     /* every later request gets nothing either */
    size_t live_blocks; /* taken and not given back */
    size_t live_bytes;
    size_t peak_bytes;
} counting_allocator;

static inline void *counting_alloc(void *ctx, size_t size, size_t align) {
    counting_allocator *c = ctx;
    c->requests++;
    if (c->fail_at != 0 && (c->requests == c->fail_at || (c->fail_from && c->requests > c->fail_at))) return NULL;
    void *p = NULL;
    if (size == 0 || posix_memalign(&p, align, size) != 0) return NULL;
    c->live_blocks++;
    c->live_bytes += size;
    if (c->live_bytes > c->peak_bytes) c->peak_bytes = c->live_bytes;
    return p;
}

static inline void counting_free(void *ctx, void *p, size_t size, size_t align) {
    counting_allocator *c = ctx;
    (void)align;
    if (!p) return;
    c->live_blocks--;
    c->live_bytes -= size; /* a wrong size shows as a rest at the end */
    free(p);
}

static inline tnn_allocator counting_interface(counting_allocator *c) {
    return (tnn_allocator){c, counting_alloc, counting_free};
}

#endif
