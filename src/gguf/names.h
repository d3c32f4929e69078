/*
 * A hash table from names to indices, for keys and tensors. It keeps pointers to the names, which must outlive it.
 */
#ifndef TNN_GGUF_NAMES_H
#define TNN_GGUF_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include <tinynn/allocator.h>
#include <tinynn/gguf.h>

typedef struct tnn__name_slot {
    tnn_gguf_str name; /* data is NULL in a free slot */
    size_t index;
} tnn__name_slot;

typedef struct tnn__names {
    tnn_allocator alloc;
    tnn__name_slot *slots;
    size_t n_slots; /* 0, or a power of two at least twice the number of names */
    size_t n_names;
    uint64_t seed;
} tnn__names;

void tnn__names_init(tnn__names *names, const tnn_allocator *a); /* takes no memory */
void tnn__names_free(tnn__names *names);                         /* safe on a zeroed table */

/* Index of a name, -1 if there is none. */
int64_t tnn__names_find(const tnn__names *names, const char *name, size_t size);

/*
 * Adds a name whose data is not NULL. TNN_E_STATE if it is there already, TNN_E_NOMEM; the table is unchanged then.
 */
tnn_status tnn__names_add(tnn__names *names, tnn_gguf_str name, size_t index);

#endif
