/*
 * Making a tokenizer: a byte-level BPE vocabulary from text (Sennrich, Haddow, Birch 2016, over bytes as GPT-2 does),
 * written as a GGUF without tensors. tnn_tokenizer_new, `tnn train scratch --tokenizer` and llama.cpp read it.
 *
 * Texts are cut into words by a pre-tokenizer; each word begins as its bytes. Then the pair of neighbours that occurs
 * most often becomes a token, again and again. Of pairs that occur equally often, the one whose left token has the
 * lower id is taken, then the one whose right token has: the rule of Hugging Face `tokenizers`, whose merges these are.
 * The result depends on the texts and the options alone.
 */
#ifndef TINYNN_BPE_TRAINER_H
#define TINYNN_BPE_TRAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/allocator.h>
#include <tinynn/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits: tokens of a vocabulary; bytes of all texts together, and of all words that differ. */
#define TNN_BPE_MAX_VOCAB      ((int32_t)1 << 24)
#define TNN_BPE_MAX_TEXT_BYTES UINT32_MAX
#define TNN_BPE_MAX_WORD_BYTES ((size_t)1 << 29)

typedef struct tnn_bpe_options {
    /* Tokens in all: <|endoftext|>, those of chat, the 256 bytes, and merges while there are pairs left; 4096. */
    int32_t vocab_size;
    int64_t min_frequency; /* pairs that occur less often are not merged; 2, at least 1 */
    const char *pre; /* pre-tokenizer, a name that tnn_tokenizer_new knows; "smollm": GPT-2's, digits one by one */
    bool chat;       /* <|im_start|>, <|im_end|> and the ChatML template as well; false */
    bool (*on_merge)(void *ctx, int32_t n_tokens, int32_t vocab_size); /* false: stop with E_CANCELLED; NULL: none */
    void *ctx;
} tnn_bpe_options;

TNN_API tnn_bpe_options tnn_bpe_options_default(void);

typedef struct tnn_bpe_stats {
    uint64_t n_bytes;       /* of the texts */
    uint64_t n_words;       /* in them */
    uint64_t n_kinds;       /* words that differ */
    uint64_t n_text_tokens; /* the texts as tokens of the vocabulary so far */
    int32_t n_tokens, n_merges;
} tnn_bpe_stats;

/* One thread at a time. */
typedef struct tnn_bpe_trainer tnn_bpe_trainer;

/*
 * options NULL means the defaults; they are copied, with `pre`. allocator may be NULL. On success *out is the caller's
 * (tnn_bpe_trainer_free), on failure NULL. Errors: TNN_E_ARG for a vocab_size that has no room for the bytes and the
 * special tokens or is over TNN_BPE_MAX_VOCAB, a min_frequency below 1, an unknown pre; TNN_E_NOMEM.
 */
TNN_API tnn_status tnn_bpe_trainer_new(tnn_bpe_trainer **out, const tnn_bpe_options *options,
                                       const tnn_allocator *allocator, tnn_error *err);
TNN_API void tnn_bpe_trainer_free(tnn_bpe_trainer *t); /* NULL is allowed */

/*
 * Counts the words of one text, which need not be kept. What looks like a special token in it is text. Ill-formed
 * UTF-8 is read as U+FFFD, one per byte, as tnn_tokenizer_encode does. Errors: TNN_E_RANGE past a limit above or
 * TNN_ENCODE_MAX_BYTES, TNN_E_STATE after tnn_bpe_trainer_run, TNN_E_NOMEM; the trainer is then only to be freed.
 */
TNN_API tnn_status tnn_bpe_trainer_add(tnn_bpe_trainer *t, const char *text, size_t size, tnn_error *err);

/*
 * Merges, once, after the texts. Ends with fewer tokens than vocab_size when no pair is left. Errors: TNN_E_STATE if
 * it ran already, TNN_E_CANCELLED, TNN_E_NOMEM; the trainer is then only to be freed.
 */
TNN_API tnn_status tnn_bpe_trainer_run(tnn_bpe_trainer *t, tnn_error *err);
TNN_API tnn_bpe_stats tnn_bpe_trainer_get_stats(const tnn_bpe_trainer *t);

/*
 * Writes the vocabulary, atomically: special tokens first (bos and eos are <|endoftext|>, added to no text by
 * themselves), then the bytes in the order of their characters, then the merges' tokens. Errors: TNN_E_STATE before
 * tnn_bpe_trainer_run, TNN_E_IO (path and reason), TNN_E_NOMEM.
 */
TNN_API tnn_status tnn_bpe_trainer_save(const tnn_bpe_trainer *t, const char *path, tnn_error *err);

#ifdef __cplusplus
}
#endif
#endif
