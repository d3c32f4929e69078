/*
 * An arena: many small allocations with one lifetime (tensor records, names, graph nodes), freed together.
 */
#ifndef TNN_BASE_ARENA_H
#define TNN_BASE_ARENA_H

#include <stddef.h>

#include <tinynn/allocator.h>

typedef struct tnn__arena_chunk tnn__arena_chunk;

typedef struct tnn__arena {
    tnn_allocator alloc;
    tnn__arena_chunk *head;
    size_t chunk_bytes;
} tnn__arena;

/* chunk_bytes 0 means a sensible default. No memory is taken before the first push. a may be NULL. */
void tnn__arena_init(tnn__arena *arena, const tnn_allocator *a, size_t chunk_bytes);
void tnn__arena_free(tnn__arena *arena);

/* Zeroed, aligned to 16; NULL when there is no memory. */
void *tnn__arena_push(tnn__arena *arena, size_t bytes);
void *tnn__arena_push_array(tnn__arena *arena, size_t count, size_t size); /* NULL on overflow too */
/* A terminated copy of n bytes. */
char *tnn__arena_strndup(tnn__arena *arena, const char *s, size_t n);
char *tnn__arena_strdup(tnn__arena *arena, const char *s);

#endif
