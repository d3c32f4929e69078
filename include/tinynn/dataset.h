/*
 * Training data: token sequences with a mark on each token that has a loss, and the batches made of them. The order of
 * sequences is a function of (seed, epoch); a cursor of two numbers says where a run is, so that it can be taken up
 * again.
 */
#ifndef TINYNN_DATASET_H
#define TINYNN_DATASET_H

#include <tinynn/chat.h>
#include <tinynn/tokenizer.h>
#include <tinynn/trainer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tnn_dataset tnn_dataset; /* immutable once open: any thread may read */

typedef struct tnn_dataset_options {
    int64_t
        max_length; /* tokens of one sequence; text is cut into pieces of this many, a longer row is cut and counted */
    bool train_prompt;  /* loss on every token; default false: on the answers of messages and completions alone */
    uint64_t seed;      /* of the order */
    const char *system; /* default system message: NULL: the template's own; "": none */
} tnn_dataset_options;

TNN_API tnn_dataset_options tnn_dataset_options_default(void); /* 2048 tokens, answers alone, seed 0 */

/*
 * Rows of a JSONL file, whose kind the first row decides: {"messages": [{"role", "content"}]}, {"conversations":
 * [{"from", "value"}]}, {"prompt", "completion"}, {"instruction", "input"?, "output"}, {"text"}. chat may be NULL for
 * rows of text alone. A byte order mark and CRLF are accepted; empty lines are skipped. On failure *out is NULL; errors
 * name file and line: E_FORMAT for what is no JSON, a missing field or a wrong type; E_RANGE for a line over 64 MiB
 * or a file over 2 GiB; E_NOTFOUND if no row is left.
 */
TNN_API tnn_status tnn_dataset_open_jsonl(tnn_dataset **out, const char *path, const tnn_tokenizer *tokenizer,
                                          const tnn_chat_template *chat, const tnn_dataset_options *options,
                                          const tnn_allocator *allocator, tnn_error *err);
/* A text file of at most 1 GiB (E_RANGE) as one long document, cut into pieces of max_length. */
TNN_API tnn_status tnn_dataset_open_text(tnn_dataset **out, const char *path, const tnn_tokenizer *tokenizer,
                                         const tnn_dataset_options *options, const tnn_allocator *allocator,
                                         tnn_error *err);
TNN_API void tnn_dataset_free(tnn_dataset *d); /* NULL is allowed */

typedef struct tnn_dataset_stats {
    int64_t n_rows;      /* of the file */
    int64_t n_sequences; /* that can be trained on */
    int64_t n_tokens;
    int64_t longest;   /* tokens of the longest sequence */
    int64_t n_trained; /* tokens under loss; the first of a sequence never is, whatever its mark */
    int64_t n_cut;     /* rows longer than max_length, whose end was left out */
    int64_t n_skipped; /* rows with nothing to learn from */
    int64_t n_tools;   /* rows with tools or tool_calls, which no chat format here writes: both are left out */
} tnn_dataset_stats;

TNN_API tnn_dataset_stats tnn_dataset_get_stats(const tnn_dataset *d);
/* Sequence i in [0, n_sequences) in file order: its ids, and a byte per id that is 1 where the id is under loss. Lent.
 */
TNN_API const int32_t *tnn_dataset_sequence(const tnn_dataset *d, int64_t i, const char **trained, int64_t *n);

/* --- batches --- */

/* Where the next sequence comes from: epoch, and its index in that epoch's order. */
typedef struct tnn_cursor {
    int64_t epoch;
    int64_t index;
} tnn_cursor;

/* Rows for tnn_trainer_accumulate, owned. */
typedef struct tnn_batch_buffer {
    int64_t n_rows;
    int32_t *ids, *positions, *starts, *targets, *samples;
    float *weights;
    int64_t n_targets; /* rows with a target */
    int64_t n_tokens;  /* rows that are not padding */
    int64_t n_sequences;
    tnn_allocator allocator;
} tnn_batch_buffer;

/* On failure b is empty: E_ARG unless 1 <= n_rows < 2^31, E_NOMEM. */
TNN_API tnn_status tnn_batch_buffer_init(tnn_batch_buffer *b, int64_t n_rows, const tnn_allocator *allocator,
                                         tnn_error *err);
TNN_API void tnn_batch_buffer_free(tnn_batch_buffer *b); /* safe on a zeroed one */
TNN_API tnn_batch tnn_batch_buffer_view(const tnn_batch_buffer *b);

/*
 * Fills b with sequences from cursor on, in order, until the next does not fit, and moves the cursor. Sequences stay
 * apart: each sees only its own rows, and its positions start at 0. shuffled = false takes them in file order. At least
 * one sequence is taken; b must have max_length rows or more. Weights of rows with a target are 1: tnn_batch_scale
 * makes a mean of a whole step.
 */
TNN_API void tnn_batch_fill(tnn_batch_buffer *b, const tnn_dataset *d, tnn_cursor *cursor, bool shuffled);
/* Batches of n_rows that tnn_batch_fill, shuffling, makes of one epoch. n_rows as there. */
TNN_API int64_t tnn_dataset_n_batches(const tnn_dataset *d, int64_t n_rows, int64_t epoch);
/* Weights 1 / n_targets for the rows with a target. */
TNN_API void tnn_batch_scale(tnn_batch_buffer *b, int64_t n_targets);

#ifdef __cplusplus
}
#endif
#endif
