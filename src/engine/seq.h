/* The sequence record, shared by evaluation and generation. */
#ifndef TNN_ENGINE_SEQ_H
#define TNN_ENGINE_SEQ_H

#include <tinynn/seq.h>

#include "base/alloc.h"
#include "core/session.h"

/* A forward of fixed batch size, planned once. */
typedef struct tnn__forward {
    int64_t n_rows;
    tnn_want want;
    tnn_graph *graph; /* NULL: not built */
    tnn_plan *plan;
    tnn_tensor *ids, *positions, *logit_rows, *logits;
} tnn__forward;

/* Decoding (one row), whole batches, and the odd size of the moment. */
enum { TNN__FORWARD_ONE, TNN__FORWARD_BATCH, TNN__FORWARD_TAIL, TNN__N_FORWARDS };

struct tnn_seq {
    tnn_model *model;
    tnn_session *session;
    tnn_seq_options options; /* defaults filled in */
    char *taps;              /* a copy, or NULL */
    size_t taps_bytes;
    tnn_store *store;
    tnn_kv_pair *caches; /* per layer */
    int32_t *ids;        /* [n_ctx] */
    int32_t *positions;  /* [n_batch] scratch */
    int64_t length;
    tnn__forward forwards[TNN__N_FORWARDS];
    const float *logits;      /* of the last id, or NULL */
    const tnn__forward *last; /* forward that ran last, for its taps */
};

#endif
