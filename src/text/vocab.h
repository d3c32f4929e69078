/*
 * The texts a tokenizer knows, found by number and by content. The first n_tokens are the file's tokens, numbered by
 * their ids; behind them come texts that only merges name. All are called symbols.
 */
#ifndef TNN_TEXT_VOCAB_H
#define TNN_TEXT_VOCAB_H

#include <stdint.h>

#include <tinynn/allocator.h>
#include <tinynn/gguf.h>
#include <tinynn/status.h>

#include "base/arena.h"

typedef struct tnn__symbol {
    const char *text; /* in the arena; terminated by a NUL that is not counted */
    uint32_t size;
    uint32_t hash;
} tnn__symbol;

typedef struct tnn__vocab {
    tnn_allocator alloc;
    tnn__arena texts;
    tnn__symbol *symbols;
    size_t n_symbols, capacity;
    int32_t n_tokens;
    int32_t *slots; /* open addressing; -1 is free */
    size_t n_slots; /* a power of two, at least twice the symbols in it */
    size_t n_used;
    uint64_t seed; /* of the hashes */
} tnn__vocab;

void tnn__vocab_init(tnn__vocab *v, const tnn_allocator *a);
void tnn__vocab_free(tnn__vocab *v);

/*
 * Adds a symbol with the next number. An empty text, or one that is there already, is not found under that number.
 * Errors: TNN_E_RANGE for a text of 2 GiB or more, or too many symbols; TNN_E_NOMEM.
 */
tnn_status tnn__vocab_add(tnn__vocab *v, const char *text, size_t size, tnn_error *err);
/* The number of the text, which is added where it is not there. */
tnn_status tnn__vocab_intern(tnn__vocab *v, const char *text, size_t size, int32_t *symbol, tnn_error *err);
/* The symbol with this text, or -1. */
int32_t tnn__vocab_find(const tnn__vocab *v, const char *text, size_t size);
/* The token with this text, or -1. */
int32_t tnn__vocab_find_token(const tnn__vocab *v, const char *text, size_t size);

#endif
