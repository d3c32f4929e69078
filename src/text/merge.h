/*
 * The two ways of merging symbols into tokens: by rank of a pair (byte-level BPE), by score of the result (SPM). Both
 * keep the symbols of a word in a linked list and the pairs that can merge in a heap: n log n in the length of the
 * word, however its merges depend on each other.
 */
#ifndef TNN_TEXT_MERGE_H
#define TNN_TEXT_MERGE_H

#include <stdbool.h>

#include <tinynn/gguf.h>
#include <tinynn/tokenizer.h>

#include "text/heap.h"
#include "text/unicode.h"
#include "text/vocab.h"

typedef struct tnn__merge_symbol {
    int32_t id;          /* of the vocabulary's symbols; SPM: -1 where the vocabulary has no such text */
    uint32_t start;      /* SPM: bytes of the text */
    uint32_t size;       /* SPM; 0 once merged into the symbol before it */
    uint32_t prev, next; /* TNN__NO_SYMBOL at the ends */
} tnn__merge_symbol;

#define TNN__NO_SYMBOL UINT32_MAX

/* Working memory of one encode call. */
typedef struct tnn__merge_work {
    tnn__merge_symbol *symbols;
    size_t n_symbols, capacity;
    tnn__heap heap;
    tnn_text text;
} tnn__merge_work;

void tnn__merge_work_init(tnn__merge_work *w, const tnn_allocator *a);
void tnn__merge_work_free(tnn__merge_work *w);
/* Appends a symbol behind the last. */
tnn_status tnn__merge_work_add(tnn__merge_work *w, tnn__merge_symbol symbol, tnn_error *err);
/* Joins the symbol that follows symbols[left] into it, under a new id. */
void tnn__merge_work_join(tnn__merge_work *w, uint32_t left, int32_t id);

typedef struct tnn__merge {
    int32_t left, right, merged; /* symbols of the vocabulary */
} tnn__merge;

typedef struct tnn__bpe {
    tnn_allocator alloc;
    tnn__merge *merges; /* by rank */
    size_t n_merges;
    uint32_t *slots; /* open addressing: ranks; UINT32_MAX is free */
    size_t n_slots;
    uint64_t seed;            /* of their hashes */
    int32_t byte_symbol[256]; /* the symbol of each byte's character */
} tnn__bpe;

/* Reads tokenizer.ggml.merges; adds to v the texts that only merges name. A merge that names no pair is passed over. */
tnn_status tnn__bpe_load(tnn__bpe *b, tnn__vocab *v, const tnn_gguf *g, tnn_error *err);
void tnn__bpe_free(tnn__bpe *b);
/* Appends the ids of word[0, n). whole_words: a word that is a token as a whole is that token. */
tnn_status tnn__bpe_encode(const tnn__bpe *b, const tnn__vocab *v, tnn__merge_work *w, const tnn__char *word, size_t n,
                           bool whole_words, tnn_ids *out, tnn_error *err);
/* The character that stands for a byte in the mapped alphabet, and the byte one stands for, or -1. */
uint32_t tnn__bpe_code(uint32_t byte);
int tnn__bpe_byte(uint32_t code);

typedef struct tnn__spm {
    const float *scores;     /* of each token, not NaN; lent by the tokenizer */
    int32_t byte_token[256]; /* id, or -1 */
    bool before_space[256];  /* last bytes of the characters that some token has in front of a U+2581 */
} tnn__spm;

/* Fills in byte_token and before_space. TNN_E_FORMAT for a token of type byte whose text is not that of a byte. */
tnn_status tnn__spm_load(tnn__spm *m, const tnn__vocab *v, const uint8_t *types, const float *scores, tnn_error *err);
/* Appends the ids of text, in which spaces are already U+2581. */
tnn_status tnn__spm_encode(const tnn__spm *m, const tnn__vocab *v, tnn__merge_work *w, const char *text, size_t size,
                           tnn_ids *out, tnn_error *err);

#endif
