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

/* The recurrent states of all layers after the first `length` ids. */
typedef struct tnn__snapshot {
    int64_t length;
    void *states;
} tnn__snapshot;

/* Decoding (one row), whole batches, and the odd size of the moment. */
enum { TNN__FORWARD_ONE, TNN__FORWARD_BATCH, TNN__FORWARD_TAIL, TNN__N_FORWARDS };

struct tnn_seq {
    tnn_model *model;
    tnn_session *session;
    tnn_seq_options options; /* defaults filled in */
    char *taps;              /* a copy, or NULL */
    size_t taps_bytes;
    tnn_store *store;
    tnn_layer_cache *caches; /* per layer */
    int32_t *ids;            /* [n_ctx] */
    int32_t *positions;      /* [n_batch] scratch */
    int64_t length;
    size_t state_bytes;       /* of a snapshot; 0: no layer is recurrent */
    tnn__snapshot *snapshots; /* by length */
    int n_snapshots, max_snapshots;
    tnn__forward forwards[TNN__N_FORWARDS];
    const float *logits;      /* of the last id, or NULL */
    float *restored_logits;   /* [n_vocab], when they come from a copy or a file; or NULL */
    const tnn__forward *last; /* forward that ran last, for its taps */
};

/* Counts the states of a new sequence and makes room for their snapshots. */
tnn_status tnn__seq_init_snapshots(tnn_seq *q, tnn_error *err);
void tnn__seq_drop_snapshots(tnn_seq *q, int keep); /* all but the first `keep` */
void tnn__seq_free_snapshots(tnn_seq *q);
/* Keeps the states as they are now, dropping an older snapshot if the budget asks for it. */
tnn_status tnn__seq_snapshot(tnn_seq *q, tnn_error *err);
/* Goes back to tnn_seq_kept_prefix(q, n). */
tnn_status tnn__seq_rewind(tnn_seq *q, int64_t n, tnn_error *err);

/* Whether a pattern matches a stage of the forward. */
bool tnn__forward_has_tap(const tnn__forward *f, const char *pattern);

#endif
