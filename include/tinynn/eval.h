/*
 * How well a model predicts: a text in windows, or the answers of a data set.
 *
 * Perplexity of a text, as llama-perplexity measures it: windows of n_ctx ids that do not overlap, each computed from
 * an empty cache, and the second half of each scored, so that every scored id has at least n_ctx / 2 before it.
 */
#ifndef TINYNN_EVAL_H
#define TINYNN_EVAL_H

#include <tinynn/dataset.h>
#include <tinynn/seq.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tnn_perplexity_result {
    int64_t n_windows;  /* done */
    int64_t of_windows; /* to do */
    int64_t n_scored;   /* ids */
    double nll;         /* mean over scored ids of -ln p(id | those before it in the window), in nats */
    double ppl;         /* e^nll */
    double ppl_error;   /* standard error of ppl, the scored ids taken for independent */
} tnn_perplexity_result;

typedef struct tnn_perplexity_options {
    int64_t n_ctx;     /* ids of a window; default 512; 4 or more, and no more than the capacity of the sequence */
    int64_t n_windows; /* at most; 0 (default): all that fit into the text */
    int32_t bos;       /* stands in place of the first id of each window; -1 (default): nothing does */
    int n_threads;     /* for the softmax over the vocabulary; default 1 */
    /* After each window, with the figures so far; false stops (TNN_E_CANCELLED). NULL: none. */
    bool (*on_window)(void *ctx, const tnn_perplexity_result *so_far);
    /* After each computed batch of n ids at window position pos, while its taps can be read from q. NULL: none. */
    bool (*on_batch)(void *ctx, tnn_seq *q, int64_t pos, int64_t n);
    void *ctx;
} tnn_perplexity_options;

TNN_API tnn_perplexity_options tnn_perplexity_options_default(void);

/*
 * Scores n ids with q, whose cache is emptied. Ids beyond the last whole window are left out. options may be NULL. The
 * result is the same for any number of threads.
 * Errors: TNN_E_RANGE for n_ctx out of range, fewer ids than one window, an id outside the vocabulary, or logits that
 * are not finite; TNN_E_CANCELLED (*out then holds the figures so far); TNN_E_NOMEM.
 */
TNN_API tnn_status tnn_perplexity(tnn_perplexity_result *out, tnn_seq *q, const int32_t *ids, int64_t n,
                                  const tnn_perplexity_options *options, tnn_error *err);

/* Of the tokens of a data set that are under loss (the answers, unless it was opened with train_prompt). */
typedef struct tnn_evaluation {
    int64_t n_sequences;  /* done */
    int64_t of_sequences; /* to do */
    int64_t n_scored;     /* tokens under loss */
    int64_t n_hits;       /* of these, those that the model holds most likely */
    double loss;          /* mean over scored tokens of -ln p, in nats */
    double ppl;           /* e^loss */
    double accuracy;      /* n_hits / n_scored */
} tnn_evaluation;

typedef struct tnn_evaluate_options {
    int64_t n_rows;   /* tokens computed at once; 0 (default): 1024; never fewer than the longest sequence has */
    const char *taps; /* globs of stages for on_tap, comma-separated; NULL (default): none */
    /* After each batch, with the figures so far; false stops (TNN_E_CANCELLED). NULL: none. */
    bool (*on_batch)(void *ctx, const tnn_evaluation *so_far);
    /*
     * Each tap of each batch: n_rows rows, one for each token or, of blk.N.gdn_state, sequence; valid during the call.
     * false stops. NULL: none.
     */
    bool (*on_tap)(void *ctx, const char *name, const float *rows, int64_t n_features, int64_t n_rows);
    void *ctx;
} tnn_evaluate_options;

TNN_API tnn_evaluate_options tnn_evaluate_options_default(void);

/*
 * Scores all sequences of d, packed into batches, in the forward that training validates with: weights as they are
 * stored, everything else in F32, no KV cache. The loss is the one that a run over the same rows tells. options may be
 * NULL. The result is the same for any number of threads.
 * Errors: TNN_E_ARG for n_rows out of range or taps that match no stage (logits are never kept, so they are none);
 * TNN_E_RANGE for a loss that is not finite; TNN_E_CANCELLED (*out then holds the figures so far); TNN_E_UNSUPPORTED
 * for several low-rank pairs beside the output; TNN_E_NOMEM.
 */
TNN_API tnn_status tnn_evaluate(tnn_evaluation *out, tnn_model *m, const tnn_dataset *d,
                                const tnn_evaluate_options *options, tnn_error *err);

#ifdef __cplusplus
}
#endif
#endif
