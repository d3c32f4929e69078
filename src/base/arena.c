/*
 * A list of chunks, the newest first. A push that does not fit into the newest chunk starts another; one that is
 * large beside a chunk gets its own, behind the newest, so that the rest of the newest stays in use.
 */
#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

#define ARENA_ALIGN         16
#define ARENA_CHUNK_DEFAULT ((size_t)32 * 1024)

struct tnn__arena_chunk {
    tnn__arena_chunk *next;
    size_t bytes; /* of the whole chunk, this header included */
    size_t used;
};

#define CHUNK_HEADER ((sizeof(tnn__arena_chunk) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN)

void tnn__arena_init(tnn__arena *arena, const tnn_allocator *a, size_t chunk_bytes) {
    arena->alloc = *tnn__allocator_or_default(a);
    arena->head = NULL;
    arena->chunk_bytes = chunk_bytes ? chunk_bytes : ARENA_CHUNK_DEFAULT;
}

void tnn__arena_free(tnn__arena *arena) {
    while (arena->head) {
        tnn__arena_chunk *chunk = arena->head;
        arena->head = chunk->next;
        tnn__free(&arena->alloc, chunk, chunk->bytes, ARENA_ALIGN);
    }
}

static void *chunk_push(tnn__arena_chunk *chunk, size_t bytes) {
    void *p = (char *)chunk + chunk->used;
    chunk->used += bytes;
    return memset(p, 0, bytes);
}

void *tnn__arena_push(tnn__arena *arena, size_t bytes) {
    if (!tnn__round_up_size(bytes ? bytes : 1, ARENA_ALIGN, &bytes)) return NULL;
    tnn__arena_chunk *head = arena->head;
    if (head && bytes <= head->bytes - head->used) return chunk_push(head, bytes);

    size_t needed;
    if (!tnn__add_size(bytes, CHUNK_HEADER, &needed)) return NULL;
    bool own_chunk = needed > arena->chunk_bytes / 4;
    size_t chunk_bytes = own_chunk ? needed : arena->chunk_bytes;
    tnn__arena_chunk *chunk = tnn__alloc(&arena->alloc, chunk_bytes, ARENA_ALIGN);
    if (!chunk) return NULL;
    chunk->bytes = chunk_bytes;
    chunk->used = CHUNK_HEADER;
    if (own_chunk && head) {
        chunk->next = head->next;
        head->next = chunk;
    } else {
        chunk->next = head;
        arena->head = chunk;
    }
    return chunk_push(chunk, bytes);
}

void *tnn__arena_push_array(tnn__arena *arena, size_t count, size_t size) {
    size_t bytes;
    if (!tnn__mul_size(count, size, &bytes)) return NULL;
    return tnn__arena_push(arena, bytes);
}

char *tnn__arena_strndup(tnn__arena *arena, const char *s, size_t n) {
    size_t bytes;
    if (!tnn__add_size(n, 1, &bytes)) return NULL;
    char *copy = tnn__arena_push(arena, bytes);
    if (copy) memcpy(copy, s, n);
    return copy;
}

char *tnn__arena_strdup(tnn__arena *arena, const char *s) {
    return tnn__arena_strndup(arena, s, strlen(s));
}
