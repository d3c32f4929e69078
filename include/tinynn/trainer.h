/*
 * A trainer: forward, gradients and updates of an architecture's trainable tensors, one batch of rows at a time. It
 * knows nothing of files, data sets or schedules; recipes put those around it.
 *
 * The same seed, batches and options give the same weights bit for bit, whatever the number of threads. Calls on one
 * trainer must not overlap.
 */
#ifndef TINYNN_TRAINER_H
#define TINYNN_TRAINER_H

#include <tinynn/llama_arch.h>

#ifdef __cplusplus
extern "C" {
#endif

/* MUON: Muon for the matrices of the blocks, AdamW for everything else. */
typedef enum tnn_optimizer { TNN_OPTIMIZER_ADAMW, TNN_OPTIMIZER_SGD, TNN_OPTIMIZER_MUON } tnn_optimizer;

typedef struct tnn_trainer_options {
    int64_t n_rows; /* rows (tokens) of a batch, padding included; > 0 */
    tnn_optimizer optimizer;
    float beta1, beta2, eps; /* AdamW: 0.9, 0.999, 1e-8 */
    float momentum;          /* SGD: 0 */
    float muon_momentum;     /* Muon: 0.95 */
    float weight_decay;      /* on matrices only; 0.01 */
    float grad_clip;         /* largest gradient norm; 0: no limit; 1 */
    float lora_dropout;      /* of what goes into low-rank pairs; 0 */
    uint64_t seed;           /* of dropout; 0 */
    bool evaluates;          /* plan for tnn_trainer_evaluate at once */
    tnn_type compute_type;   /* F32, or BF16: operands of products with weights are rounded; everything kept is F32 */
    bool recompute;          /* trade time for memory: compute each layer's inside again on the way back */
    const char *taps;        /* globs of stages to keep; lent for as long as the trainer lives; NULL: none */
} tnn_trainer_options;

TNN_API tnn_trainer_options tnn_trainer_options_default(void);

/*
 * Rows of one batch, each array n_rows long. Sequences are packed one after the other: starts[t] is the first row of
 * t's own, and positions count from there. targets[t] is the id that should follow row t, below 0 for none. weights[t]
 * is d(loss)/d(row loss): 1 / (targets of the whole step) gives the mean. Rows of padding: id 0, target -1, weight 0.
 */
typedef struct tnn_batch {
    const int32_t *ids;
    const int32_t *positions;
    const int32_t *starts;
    const int32_t *targets;
    const float *weights;
    const int32_t *samples; /* a number of t's sequence, for dropout; NULL where there is none */
} tnn_batch;

typedef struct tnn_trainer tnn_trainer;

/*
 * Trains every trainable tensor of st in the forward of arch. Takes and clears gradients and moments at once, takes
 * the workspace with the first batch. arch and st must outlive it. E_ARG for options out of range or a store without
 * trainable tensors.
 */
TNN_API tnn_status tnn_trainer_new(tnn_trainer **out, tnn_session *s, tnn_llama_arch *arch, tnn_store *st,
                                   const tnn_trainer_options *options, tnn_error *err);
TNN_API void tnn_trainer_free(tnn_trainer *t); /* NULL is allowed */

typedef struct tnn_trainer_times {
    double batch, update; /* seconds of accumulating a whole batch, and of an update */
    double evaluation;    /* of a batch without gradients; 0 without options.evaluates */
    double first;         /* that the first step takes longer than others, since its memory is new */
} tnn_trainer_times;

/*
 * Estimates times from runs of the first rows of a batch that take about `budget` seconds together; a pass over one
 * row, which makes the gradients' memory no longer new, two updates of a part of the parameters and an evaluation of as
 * many rows come on top. Gradients and moments are not to be used afterwards.
 */
TNN_API tnn_status tnn_trainer_measure(tnn_trainer *t, const tnn_batch *batch, double budget, tnn_trainer_times *out,
                                       tnn_error *err);

/* Bytes a trainer holds and will hold: gradients, moments, workspace of a batch and, with `evaluates`, of evaluation.
 */
TNN_API size_t tnn_trainer_bytes(const tnn_trainer *t);

/*
 * Adds the gradients of one batch to those collected since the last update. *loss gets the sum of weights[t] * (row
 * loss), in double. A step may have several batches. E_RANGE for ids or targets outside the vocabulary (nothing is
 * added).
 */
TNN_API tnn_status tnn_trainer_accumulate(tnn_trainer *t, const tnn_batch *batch, double *loss, tnn_error *err);

/*
 * One step of the optimizer with the collected gradients, which are then zeroed. *grad_norm gets their L2 norm before
 * clipping. A norm that is not finite leaves the weights as they are, and the gradients are dropped: E_RANGE.
 */
TNN_API tnn_status tnn_trainer_update(tnn_trainer *t, float lr, double *grad_norm, tnn_error *err);

/* Loss of a batch without gradients: as accumulate. row_losses (n_rows floats) may be NULL. */
TNN_API tnn_status tnn_trainer_evaluate(tnn_trainer *t, const tnn_batch *batch, double *loss, float *row_losses,
                                        tnn_error *err);

TNN_API int64_t tnn_trainer_step(const tnn_trainer *t); /* updates done */

/* --- state, for checkpoints: what tnn_trainer_set_step and these tensors hold is all there is --- */

TNN_API void tnn_trainer_set_step(tnn_trainer *t, int64_t step); /* below 0 counts as 0 */
TNN_API int64_t tnn_trainer_n_params(const tnn_trainer *t);
/* The i-th trained tensor, its gradient and moments (NULL where the optimizer has none); lent. */
TNN_API tnn_tensor *tnn_trainer_value(const tnn_trainer *t, int64_t i);
TNN_API tnn_tensor *tnn_trainer_grad(const tnn_trainer *t, int64_t i);
TNN_API tnn_tensor *tnn_trainer_moment1(const tnn_trainer *t, int64_t i);
TNN_API tnn_tensor *tnn_trainer_moment2(const tnn_trainer *t, int64_t i);

/*
 * Taps of the last batch, by index in [0, n): name, features, rows, F32 values; lent until the next call. A row is a
 * token's; of blk.N.gdn_state it is a sequence's, of those up to the batch's last target: the norms of the states that
 * its last token leaves.
 */
TNN_API int64_t tnn_trainer_n_taps(const tnn_trainer *t);
TNN_API const float *tnn_trainer_tap(const tnn_trainer *t, int64_t i, const char **name, int64_t *n_features,
                                     int64_t *n_rows);

#ifdef __cplusplus
}
#endif
#endif
