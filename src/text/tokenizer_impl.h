/* What a tokenizer holds, for the files that build it and use it. */
#ifndef TNN_TEXT_TOKENIZER_IMPL_H
#define TNN_TEXT_TOKENIZER_IMPL_H

#include <tinynn/tokenizer.h>

#include "text/merge.h"
#include "text/pretokenize.h"
#include "text/specials.h"
#include "text/vocab.h"

struct tnn_tokenizer {
    tnn_allocator alloc;
    tnn_tokenizer_kind kind;
    const tnn__pretokenizer *pre; /* BPE */
    bool add_bos, add_eos;
    bool add_space_prefix; /* SPM */
    int32_t special[TNN_SPECIAL_COUNT];
    tnn__vocab vocab;
    uint8_t *types; /* tnn_token_type of each token */
    bool *eog;      /* of each token */
    float *scores;  /* of each token; SPM */
    tnn__bpe bpe;
    tnn__spm spm;
    tnn__specials specials;
};

/* special ids, from the keys of the file and, where it has none, from texts; the set that ends generation; types. */
tnn_status tnn__tokenizer_load_special(tnn_tokenizer *t, const tnn_gguf *g, tnn_error *err);

/*
 * Encodes a text that may be given in several parts, one call each: what comes in front of a part (nothing, text, a
 * special token) decides about SPM's space prefix. Control tokens are recognised within regions only. after_special is
 * true before the first part and is kept between the calls.
 */
tnn_status tnn__tokenizer_encode_part(const tnn_tokenizer *t, const char *text, size_t size, const tnn__region *regions,
                                      size_t n_regions, bool *after_special, tnn_ids *out, tnn_error *err);

#endif
