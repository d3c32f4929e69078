/*
 * Checkpoints of a trainer: everything a run needs to go on as if it had never stopped. One file: a header of numbers,
 * each trained tensor with its moments, and a checksum over all of it. It is written beside its place, synced, verified
 * and renamed, so that at any moment the old one or the new one is there, whole.
 */
#ifndef TINYNN_CHECKPOINT_H
#define TINYNN_CHECKPOINT_H

#include <tinynn/dataset.h>
#include <tinynn/trainer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What stands beside the tensors. */
typedef struct tnn_checkpoint_state {
    int64_t step;       /* updates done; the trainer's */
    tnn_cursor cursor;  /* where the next batch begins */
    uint64_t base_hash; /* of the model the run started from; 0: none */
    int64_t n_tokens;   /* seen so far */
    double best_loss;   /* of validation; infinity before the first */
    int64_t best_step;
    int64_t evals_without_gain; /* for patience */
} tnn_checkpoint_state;

/* The state's step is set from the trainer. Errors: E_IO with the path, the system's text and, when the disk is full,
 * the bytes needed. */
TNN_API tnn_status tnn_checkpoint_save(const char *path, const tnn_trainer *t, const tnn_checkpoint_state *state,
                                       const tnn_allocator *allocator, tnn_error *err);

/*
 * Reads a checkpoint into a trainer made with the same tensors. Everything is verified before anything is changed:
 * E_FORMAT for a damaged or foreign file, E_SHAPE if its tensors are not the trainer's.
 */
TNN_API tnn_status tnn_checkpoint_load(const char *path, tnn_trainer *t, tnn_checkpoint_state *state,
                                       const tnn_allocator *allocator, tnn_error *err);

/* The numbers alone, the whole file verified. */
TNN_API tnn_status tnn_checkpoint_peek(const char *path, tnn_checkpoint_state *state, const tnn_allocator *allocator,
                                       tnn_error *err);

/* A hash of a file's bytes, for base_hash; never 0. */
TNN_API tnn_status tnn_file_hash(const char *path, uint64_t *hash, tnn_error *err);

#ifdef __cplusplus
}
#endif
#endif
