/*
 * The default allocator and the calls that reach whichever one is in force. Large blocks come straight from the system,
 * zeroed and without a page touched, so that a big cache costs what is used of it.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, which POSIX 2008 does not name */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MAP_THRESHOLD ((size_t)1 << 20)
#define PAGE_ALIGN    4096 /* the least any supported system promises */

static bool from_system(size_t size, size_t align) {
    return size >= MAP_THRESHOLD && align <= PAGE_ALIGN;
}

static void *libc_alloc(void *ctx, size_t size, size_t align) {
    (void)ctx;
    if (from_system(size, align)) {
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return p == MAP_FAILED ? NULL : p;
    }
    void *p = NULL;
    return posix_memalign(&p, align, size) == 0 ? p : NULL;
}

static void libc_free(void *ctx, void *p, size_t size, size_t align) {
    (void)ctx;
    if (from_system(size, align)) {
        munmap(p, size);
    } else {
        free(p);
    }
}

const tnn_allocator tnn__libc_allocator = {NULL, libc_alloc, libc_free};

/* What a tnn_allocator is promised: a size above 0, an alignment of at least a pointer's. */
static size_t promised_size(size_t size) {
    return size ? size : 1;
}

static size_t promised_align(size_t align) {
    return align > sizeof(void *) ? align : sizeof(void *);
}

void *tnn__alloc(const tnn_allocator *a, size_t size, size_t align) {
    a = tnn__allocator_or_default(a);
    return a->alloc(a->ctx, promised_size(size), promised_align(align));
}

void *tnn__calloc(const tnn_allocator *a, size_t size, size_t align) {
    a = tnn__allocator_or_default(a);
    void *p = tnn__alloc(a, size, align);
    bool zeroed = a->alloc == libc_alloc && from_system(promised_size(size), promised_align(align));
    if (p && !zeroed) memset(p, 0, size);
    return p;
}

void tnn__free(const tnn_allocator *a, void *p, size_t size, size_t align) {
    if (!p) return;
    a = tnn__allocator_or_default(a);
    a->free(a->ctx, p, promised_size(size), promised_align(align));
}

void *tnn__calloc_array(const tnn_allocator *a, size_t count, size_t size) {
    size_t bytes;
    if (!tnn__mul_size(count, size, &bytes)) return NULL;
    return tnn__calloc(a, bytes, TNN__ALIGN);
}

void tnn__free_array(const tnn_allocator *a, void *p, size_t count, size_t size) {
    tnn__free(a, p, count * size, TNN__ALIGN);
}
