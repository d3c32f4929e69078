/*
 * Text to token ids and back, as the tokenizer stored in a GGUF file says: byte-level BPE ("gpt2") with every
 * pre-tokenizer of the llama.cpp family that tinynn knows, and SentencePiece BPE with byte fallback ("llama").
 *
 * A tokenizer copies what it needs from the file and never changes afterwards: any number of threads may use one.
 */
#ifndef TINYNN_TOKENIZER_H
#define TINYNN_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/allocator.h>
#include <tinynn/gguf.h>
#include <tinynn/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Growable results. A zeroed one is empty and valid; set `allocator` before the first use, or leave NULL for the C
 * library's. Functions that fill one append; to start over, set n to 0. When a call fails, n is what it was before.
 * One thread at a time.
 */
typedef struct tnn_ids {
    int32_t *data;
    size_t n, capacity;
    const tnn_allocator *allocator; /* must outlive the ids */
} tnn_ids;

typedef struct tnn_text {
    char *data; /* not terminated; may hold any byte */
    size_t n, capacity;
    const tnn_allocator *allocator;
} tnn_text;

TNN_API tnn_status tnn_ids_push(tnn_ids *ids, int32_t id, tnn_error *err);                         /* E_NOMEM */
TNN_API tnn_status tnn_text_append(tnn_text *text, const char *data, size_t size, tnn_error *err); /* E_NOMEM */
TNN_API void tnn_ids_free(tnn_ids *ids);    /* leaves it empty and usable; NULL is allowed */
TNN_API void tnn_text_free(tnn_text *text); /* the same */

typedef struct tnn_tokenizer tnn_tokenizer;

typedef enum tnn_tokenizer_kind {
    TNN_TOKENIZER_BPE, /* "gpt2": byte-level, ranked merges */
    TNN_TOKENIZER_SPM, /* "llama": scored pieces, byte fallback */
} tnn_tokenizer_kind;

typedef enum tnn_token_type { /* the numbers of tokenizer.ggml.token_type */
                              TNN_TOKEN_UNDEFINED = 0,
                              TNN_TOKEN_NORMAL = 1,
                              TNN_TOKEN_UNKNOWN = 2,
                              TNN_TOKEN_CONTROL = 3,
                              TNN_TOKEN_USER_DEFINED = 4,
                              TNN_TOKEN_UNUSED = 5,
                              TNN_TOKEN_BYTE = 6,
} tnn_token_type;

typedef enum tnn_special_token {
    TNN_SPECIAL_BOS,
    TNN_SPECIAL_EOS,
    TNN_SPECIAL_EOT, /* end of turn; found by its text where the file names none */
    TNN_SPECIAL_EOM,
    TNN_SPECIAL_UNKNOWN,
    TNN_SPECIAL_PADDING,
    TNN_SPECIAL_SEPARATOR,
    TNN_SPECIAL_MASK,
    TNN_SPECIAL_FIM_PREFIX,
    TNN_SPECIAL_FIM_SUFFIX,
    TNN_SPECIAL_FIM_MIDDLE,
    TNN_SPECIAL_FIM_PAD,
    TNN_SPECIAL_FIM_REPO,
    TNN_SPECIAL_FIM_SEPARATOR,
    TNN_SPECIAL_COUNT
} tnn_special_token;

/*
 * Reads the tokenizer of g, which may be closed afterwards. allocator may be NULL. On success *out is the caller's
 * (tnn_tokenizer_free); on failure it is NULL. Errors: TNN_E_NOTFOUND if the file has none (tokenizer.ggml.model is
 * absent, "none" or "no_vocab": the model then takes ids only), TNN_E_UNSUPPORTED for a model or pre-tokenizer tinynn
 * does not know (named, with those it does), TNN_E_FORMAT for lists that are missing, too short or of a wrong type,
 * TNN_E_NOMEM.
 */
TNN_API tnn_status tnn_tokenizer_new(tnn_tokenizer **out, const tnn_gguf *g, const tnn_allocator *allocator,
                                     tnn_error *err);
TNN_API void tnn_tokenizer_free(tnn_tokenizer *t); /* NULL is allowed */

/* --- facts; any thread --- */

TNN_API tnn_tokenizer_kind tnn_tokenizer_get_kind(const tnn_tokenizer *t);
TNN_API const char *tnn_tokenizer_pre(const tnn_tokenizer *t); /* name of the pre-tokenizer; "" for SPM */
TNN_API int32_t tnn_tokenizer_n_vocab(const tnn_tokenizer *t);
TNN_API bool tnn_tokenizer_add_bos(const tnn_tokenizer *t);
TNN_API bool tnn_tokenizer_add_eos(const tnn_tokenizer *t);
TNN_API int32_t tnn_tokenizer_special(const tnn_tokenizer *t, tnn_special_token which); /* id, or -1 */
/* Whether id ends generation: eos, eot, eom and every token known by its text to close a turn or a document. */
TNN_API bool tnn_tokenizer_is_eog(const tnn_tokenizer *t, int32_t id);

/* For an id outside the vocabulary: an empty text, TNN_TOKEN_UNDEFINED, 0. The text is as stored, lent until free. */
TNN_API tnn_gguf_str tnn_tokenizer_token_text(const tnn_tokenizer *t, int32_t id);
TNN_API tnn_token_type tnn_tokenizer_token_type(const tnn_tokenizer *t, int32_t id);
TNN_API float tnn_tokenizer_token_score(const tnn_tokenizer *t, int32_t id);
/* The token whose stored text is exactly this, or -1. */
TNN_API int32_t tnn_tokenizer_find(const tnn_tokenizer *t, const char *text, size_t size);

/* --- encoding; any thread --- */

enum {
    TNN_ENCODE_ADD_SPECIAL = 1,   /* BOS in front and EOS behind, where the file asks for them */
    TNN_ENCODE_PARSE_SPECIAL = 2, /* "<|im_end|>" in the text is the control token; without it, plain text */
};

#define TNN_ENCODE_MAX_BYTES ((size_t)1 << 30) /* of one call */

/*
 * Appends the ids of text to out. flags is a sum of TNN_ENCODE_*. Ill-formed UTF-8 is read as U+FFFD, one per byte
 * (BPE), or kept as byte tokens (SPM). A byte that no token can express is dropped, as in other implementations.
 * Special tokens longer than 1024 bytes are not looked for. Errors: TNN_E_RANGE for more than TNN_ENCODE_MAX_BYTES,
 * TNN_E_NOMEM.
 */
TNN_API tnn_status tnn_tokenizer_encode(const tnn_tokenizer *t, const char *text, size_t size, unsigned flags,
                                        tnn_ids *out, tnn_error *err);

/* --- decoding --- */

enum {
    TNN_DECODE_SPECIAL = 1, /* control and unknown tokens give their text; without it, nothing */
    TNN_DECODE_START = 2,   /* ids begin a text: drop the space that SPM encoding puts in front */
};

/*
 * Appends the bytes of n ids. The result is what the tokens say, so it may end inside a character.
 * Errors: TNN_E_RANGE for an id outside the vocabulary (named), TNN_E_NOMEM. Any thread.
 */
TNN_API tnn_status tnn_tokenizer_decode(const tnn_tokenizer *t, const int32_t *ids, size_t n, unsigned flags,
                                        tnn_text *out, tnn_error *err);

/*
 * The same, id by id, for printing while generating: each push lends text that is valid UTF-8 by itself. A character
 * that a token leaves unfinished is held back until it is whole; what can no longer become one turns into U+FFFD, one
 * for each maximal subpart (Unicode 15.1, section 3.9). The tokenizer must outlive it. One thread at a time.
 */
typedef struct tnn_detokenizer tnn_detokenizer;

TNN_API tnn_status tnn_detokenizer_new(tnn_detokenizer **out, const tnn_tokenizer *t, unsigned flags,
                                       const tnn_allocator *allocator, tnn_error *err);
TNN_API void tnn_detokenizer_free(tnn_detokenizer *d); /* NULL is allowed */
/* *text is lent until the next call on d, and may be empty. After a failure d is as before the call. */
TNN_API tnn_status tnn_detokenizer_push(tnn_detokenizer *d, int32_t id, tnn_gguf_str *text, tnn_error *err);
/* The end: what was held back, as U+FFFD. d then begins anew. */
TNN_API tnn_status tnn_detokenizer_flush(tnn_detokenizer *d, tnn_gguf_str *text, tnn_error *err);

#ifdef __cplusplus
}
#endif
#endif
