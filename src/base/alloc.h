/* Heap access of the library: always through a tnn_allocator, always with the size at hand. */
#ifndef TNN_BASE_ALLOC_H
#define TNN_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/allocator.h>

/* The C library's allocator; the one meant where a caller passes NULL. */
extern const tnn_allocator tnn__libc_allocator;

static inline const tnn_allocator *tnn__allocator_or_default(const tnn_allocator *a) {
    return a ? a : &tnn__libc_allocator;
}

/* Cache-line alignment, enough for every vector type. */
#define TNN__ALIGN 64

void *tnn__alloc(const tnn_allocator *a, size_t size, size_t align); /* NULL on failure; size 0 gives a valid pointer */
void *tnn__calloc(const tnn_allocator *a, size_t size, size_t align); /* zeroed */
void tnn__free(const tnn_allocator *a, void *p, size_t size, size_t align);
/* count * size, zeroed, default alignment; NULL also when the product overflows. Free with tnn__free_array. */
void *tnn__calloc_array(const tnn_allocator *a, size_t count, size_t size);
void tnn__free_array(const tnn_allocator *a, void *p, size_t count, size_t size);

/* Checked arithmetic: false (and *out untouched) on overflow. */
static inline bool tnn__mul_size(size_t a, size_t b, size_t *out) {
    if (b != 0 && a > SIZE_MAX / b) return false;
    *out = a * b;
    return true;
}
static inline bool tnn__add_size(size_t a, size_t b, size_t *out) {
    if (a > SIZE_MAX - b) return false;
    *out = a + b;
    return true;
}
/* Rounds up to a power-of-two alignment. */
static inline bool tnn__round_up_size(size_t a, size_t align, size_t *out) {
    if (a > SIZE_MAX - (align - 1)) return false;
    *out = (a + (align - 1)) & ~(align - 1);
    return true;
}

#endif
