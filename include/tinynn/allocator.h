/*
 * The allocator a caller may hand in. Everything the library keeps on the heap goes through one of these;
 * NULL where an allocator is asked for means the C library's.
 */
#ifndef TINYNN_ALLOCATOR_H
#define TINYNN_ALLOCATOR_H

#include <stddef.h>

#include <tinynn/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * alloc: `size` > 0 bytes aligned to `align` (a power of two, at least sizeof(void *)), contents undefined; NULL
 * when there is no memory. free: `p` from alloc with the same size and alignment, or NULL. Both may be called
 * from any thread that calls into the object which holds the allocator; `ctx` is passed through. The structure is
 * copied, what `ctx` points to must outlive every object made with it.
 */
typedef struct tnn_allocator {
    void *ctx;
    void *(*alloc)(void *ctx, size_t size, size_t align);
    void (*free)(void *ctx, void *p, size_t size, size_t align);
} tnn_allocator;

#ifdef __cplusplus
}
#endif
#endif
