/* The forward over packed rows that training, validation and evaluation of data sets share: inputs, losses, plan. */
#ifndef TNN_ENGINE_BATCH_FORWARD_H
#define TNN_ENGINE_BATCH_FORWARD_H

#include <tinynn/trainer.h>

typedef struct tnn__batch_forward {
    int64_t n_rows;
    tnn_graph *graph; /* NULL: not built */
    tnn_plan *plan;
    tnn_tensor *ids, *positions, *starts, *targets, *weights;
    tnn_tensor *samples; /* NULL: no dropout */
    tnn_tensor *losses;  /* [n_rows] */
    tnn_tensor *hits;    /* [n_rows]: 1 where the target has the largest logit; NULL: not asked for */
    tnn_store *joined;   /* of several pairs beside the output, as one; NULL: they are none or one */
    tnn_tensor *joined_a, *joined_b;
} tnn__batch_forward;

typedef struct tnn__batch_forward_options {
    tnn_type compute_type; /* F32 or BF16 */
    bool recompute, hits;
    bool join_pairs; /* beside the output, where a loss has room for one; they are copied, so nothing learns */
    float lora_dropout;
    uint64_t dropout_seed;
    const char *taps; /* globs, or NULL */
} tnn__batch_forward_options;

/* The graph, to be differentiated, if that is wanted, and planned by the caller. On failure f is empty. */
tnn_status tnn__batch_forward_build(tnn__batch_forward *f, tnn_session *s, const tnn_llama_arch *arch, int64_t n_rows,
                                    const tnn__batch_forward_options *options, tnn_error *err);
/* *loss gets the sum of weights[t] * (row loss), in double. */
tnn_status tnn__batch_forward_run(const tnn__batch_forward *f, const tnn_batch *batch, double *loss, tnn_error *err);
void tnn__batch_forward_free(tnn__batch_forward *f);

#endif
