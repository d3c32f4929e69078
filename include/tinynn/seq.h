/*
 * A sequence: one conversation's timeline over a shared model: its KV cache and recurrent states, and the ids that are
 * in them. Hand in the full token prefix and it reuses what it has, extends it, or rebuilds from where they differ.
 *
 * A KV cache goes back to any earlier length. The state of a Gated DeltaNet layer does not: a sequence of a model that
 * has such layers keeps snapshots of all states as it grows, and goes back to the nearest one, computing from there.
 */
#ifndef TINYNN_SEQ_H
#define TINYNN_SEQ_H

#include <tinynn/model.h>
#include <tinynn/sampler.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tnn_seq tnn_seq;

typedef struct tnn_seq_options {
    int64_t n_ctx;          /* capacity in tokens; 0: the model's training context, at most 4096 unless asked for */
    int64_t n_batch;        /* tokens computed at once in prefill; default 512 */
    tnn_type kv_type;       /* F16 (default), F32, BF16 or Q8_0 */
    const char *taps;       /* globs of taps to keep, comma-separated; NULL: none */
    int64_t snapshot_bytes; /* of memory for snapshots of recurrent states; default 256 MiB; 0: none are kept */
} tnn_seq_options;

TNN_API tnn_seq_options tnn_seq_options_default(void);

/* options may be NULL. On failure *out is NULL. E_RANGE for a context or batch out of range (names the limit). */
TNN_API tnn_status tnn_seq_new(tnn_seq **out, tnn_model *m, const tnn_seq_options *options, tnn_error *err);
TNN_API void tnn_seq_free(tnn_seq *q); /* NULL is allowed */

/* Bytes of cache and workspace a sequence with these options takes, snapshots aside. The cache is taken for the moment,
 * the workspace is not: E_NOMEM where the cache does not fit. */
TNN_API tnn_status tnn_seq_bytes(tnn_model *m, const tnn_seq_options *options, size_t *cache, size_t *workspace,
                                 tnn_error *err);

TNN_API int64_t tnn_seq_capacity(const tnn_seq *q);
TNN_API int64_t tnn_seq_length(const tnn_seq *q);     /* tokens in the cache */
TNN_API const int32_t *tnn_seq_ids(const tnn_seq *q); /* tnn_seq_length of them; valid until the next call */

typedef enum tnn_want { TNN_WANT_NONE, TNN_WANT_LAST, TNN_WANT_ALL } tnn_want;

/*
 * Called after each computed batch of a longer call: rows of logits of the n tokens at positions [pos, pos + n) when
 * TNN_WANT_ALL, else NULL. Logits are [n_vocab] per row, valid during the call. Return false to stop (E_CANCELLED; the
 * batches done so far stay in the cache).
 */
typedef bool tnn_batch_fn(void *ctx, int64_t pos, int64_t n, const float *logits);

/*
 * Appends n ids. With TNN_WANT_LAST, tnn_seq_logits gives the row after the last id. An id outside the vocabulary:
 * E_RANGE, nothing appended. More than fits: E_FULL with the numbers, nothing appended. on_batch may be NULL (required
 * for TNN_WANT_ALL).
 */
TNN_API tnn_status tnn_seq_append(tnn_seq *q, const int32_t *ids, int64_t n, tnn_want want, tnn_batch_fn *on_batch,
                                  void *ctx, tnn_error *err);

/*
 * Makes the sequence hold exactly these n ids: keeps the longest common prefix, or as much of it as a snapshot has,
 * drops the rest, computes what is missing (at least the last id, so that its logits are there, unless they still are).
 * *reused (may be NULL) gets the number of ids kept.
 */
TNN_API tnn_status tnn_seq_prompt(tnn_seq *q, const int32_t *ids, int64_t n, int64_t *reused, tnn_batch_fn *on_batch,
                                  void *ctx, tnn_error *err);

/*
 * Forgets everything from position n on. E_RANGE unless 0 <= n <= length. Recurrent states are those of the nearest
 * snapshot, and ids between it and n are computed again.
 */
TNN_API tnn_status tnn_seq_truncate(tnn_seq *q, int64_t n, tnn_error *err);
/* The longest prefix of at most n ids that can be gone back to without computing: n itself for a model without
 * recurrent layers, else the length of a snapshot, or 0. */
TNN_API int64_t tnn_seq_kept_prefix(const tnn_seq *q, int64_t n);

/* A second sequence in the same state, with the same options; snapshots are not copied. On failure *out is NULL. */
TNN_API tnn_status tnn_seq_copy(tnn_seq **out, const tnn_seq *q, tnn_error *err);

/* Writes ids, caches, states and the last logits to a file, atomically and with a checksum. */
TNN_API tnn_status tnn_seq_save(const tnn_seq *q, const char *path, tnn_error *err);
/*
 * Takes over what was saved, whatever q held. Everything is verified first: E_FORMAT for a damaged or foreign file,
 * E_ARG if it is another model's (weights, adapters and their strength included) or another type of cache, E_FULL if q
 * is too small; q is then as it was.
 */
TNN_API tnn_status tnn_seq_restore(tnn_seq *q, const char *path, tnn_error *err);

/* [n_vocab] logits after the last id; NULL if the last call did not ask for them. Valid until the next call on q. */
TNN_API const float *tnn_seq_logits(const tnn_seq *q);

/*
 * A tap of the last batch by index: F32 rows, valid until the next call on q; NULL past the last one. blk.N.gdn_state
 * is one row, the norms of the states of a layer's value heads after the batch.
 */
TNN_API int64_t tnn_seq_n_taps(const tnn_seq *q);
TNN_API const char *tnn_seq_tap_name(const tnn_seq *q, int64_t i);
TNN_API const float *tnn_seq_tap(const tnn_seq *q, int64_t i, int64_t *n_features, int64_t *n_rows);

/* --- generation --- */

typedef enum tnn_finish { TNN_FINISH_STOP, TNN_FINISH_LENGTH, TNN_FINISH_CONTEXT, TNN_FINISH_CANCELLED } tnn_finish;

TNN_API const char *tnn_finish_name(tnn_finish f); /* "stop", "length", "context", "cancelled" */

/*
 * id and the text that became complete with it (whole UTF-8 characters, perhaps none). Text that was held back (the
 * beginning of a stop string, an unfinished character as U+FFFD) comes at the end with id -1. Return false to stop
 * (cancelled).
 */
typedef bool tnn_token_fn(void *ctx, int32_t id, const char *text, size_t n);

typedef struct tnn_generate_options {
    int64_t n_predict; /* at most this many new tokens; -1: until the end or the context is full */
    tnn_sampler_params sampler;
    bool ignore_eos;          /* go on past end-of-generation tokens */
    const char *const *stops; /* n_stops strings that end generation; not part of the text */
    int n_stops;
    tnn_batch_fn *on_batch; /* after each batch of the prompt, as of tnn_seq_append; NULL: none */
    tnn_token_fn *on_token; /* NULL: none */
    void *ctx;              /* of both */
} tnn_generate_options;

TNN_API tnn_generate_options tnn_generate_options_default(void);

typedef struct tnn_generate_result {
    int64_t n_prompt;    /* ids in the prompt */
    int64_t n_reused;    /* of these, found in the cache */
    int64_t n_generated; /* new ids, an end-of-generation id included */
    tnn_finish finish;
    double prompt_seconds; /* computing the prompt */
    double decode_seconds; /* everything after */
} tnn_generate_result;

/*
 * Prompt, then sample until an end. New ids are in tnn_seq_ids after n_prompt: all n_generated of them, the last one
 * too, although it is not in the cache (nobody asked for what follows it; a prompt that goes on from here computes it)
 * and tnn_seq_length does not count it. E_CANCELLED when on_batch stopped the prompt. E_ARG for parameters that are not
 * numbers or out of range (named), and for a stop that is NULL; an empty prompt is E_ARG.
 */
TNN_API tnn_status tnn_seq_generate(tnn_seq *q, const int32_t *prompt, int64_t n_prompt,
                                    const tnn_generate_options *options, tnn_generate_result *result, tnn_error *err);

#ifdef __cplusplus
}
#endif
#endif
