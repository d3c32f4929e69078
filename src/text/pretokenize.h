/*
 * Pre-tokenizers: how a text is cut into words before BPE merges inside each. Every one is a list of splitters, each
 * of which cuts the pieces the one before it left.
 */
#ifndef TNN_TEXT_PRETOKENIZE_H
#define TNN_TEXT_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>

#include <tinynn/status.h>

#include "text/unicode.h"

/* Length of the match at text[pos], which ends at or before text[end]; 0 if there is none. pos < end. */
typedef size_t (*tnn__splitter)(const tnn__char *text, size_t pos, size_t end);

typedef struct tnn__pretokenizer {
    const char *name;               /* of tokenizer.ggml.pre */
    const tnn__splitter *splitters; /* NULL after the last */
    bool ignore_merges;             /* a word that is a token as a whole is that token */
    bool add_bos;                   /* where the file does not say */
} tnn__pretokenizer;

/* NULL for a name that is not known. */
const tnn__pretokenizer *tnn__pretokenizer_find(const char *name, size_t size);
/* In table order; NULL past the last. */
const tnn__pretokenizer *tnn__pretokenizer_at(size_t i);

/* Receives text[begin, end), never empty. */
typedef tnn_status (*tnn__word_fn)(void *ctx, const tnn__char *text, size_t begin, size_t end);

/* Calls fn for consecutive words that together are text[0, n), in time linear in n. Stops at the first failure. */
tnn_status tnn__pretokenize(const tnn__pretokenizer *p, const tnn__char *text, size_t n, tnn__word_fn fn, void *ctx);

#endif
