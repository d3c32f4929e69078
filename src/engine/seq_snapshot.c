/*
 * Snapshots of recurrent states. A KV cache forgets its end by being told a smaller length; a state is one matrix that
 * every id has changed, so going back means having kept it. Snapshots are taken after whole batches and before the last
 * id of a prompt; when the budget is used up, the one goes whose neighbours lie closest.
 */
#include <string.h>

#include "engine/seq.h"

#define MAX_SNAPSHOTS 256

static size_t bytes_of(const tnn_tensor *t) {
    return t ? tnn_tensor_bytes(t) : 0;
}

tnn_status tnn__seq_init_snapshots(tnn_seq *q, tnn_error *err) {
    int64_t n_layers = tnn_model_hparams(q->model)->n_layers;
    for (int64_t i = 0; i < n_layers; i++) {
        q->state_bytes += bytes_of(q->caches[i].state) + bytes_of(q->caches[i].conv);
    }
    if (q->state_bytes == 0) return TNN_OK;
    size_t fit = (size_t)q->options.snapshot_bytes / q->state_bytes;
    q->max_snapshots = fit < MAX_SNAPSHOTS ? (int)fit : MAX_SNAPSHOTS;
    if (q->max_snapshots == 0) return TNN_OK;
    q->snapshots = tnn__calloc_array(&q->session->alloc, (size_t)q->max_snapshots, sizeof *q->snapshots);
    return q->snapshots ? TNN_OK : tnn__fail_nomem(err, "snapshots", (size_t)q->max_snapshots * sizeof *q->snapshots);
}

static void drop(tnn_seq *q, int i) {
    tnn__free(&q->session->alloc, q->snapshots[i].states, q->state_bytes, TNN__ALIGN);
    q->n_snapshots--;
    memmove(&q->snapshots[i], &q->snapshots[i + 1], (size_t)(q->n_snapshots - i) * sizeof *q->snapshots);
}

void tnn__seq_drop_snapshots(tnn_seq *q, int keep) {
    while (q->n_snapshots > keep) {
        drop(q, q->n_snapshots - 1);
    }
}

void tnn__seq_free_snapshots(tnn_seq *q) {
    tnn__seq_drop_snapshots(q, 0);
    if (q->snapshots) tnn__free_array(&q->session->alloc, q->snapshots, (size_t)q->max_snapshots, sizeof *q->snapshots);
}

/* The snapshot that is missed least: between its neighbours lies the shortest stretch. The newest stays. */
static int least_missed(const tnn_seq *q) {
    int least = 0;
    int64_t shortest = INT64_MAX;
    for (int i = 0; i + 1 < q->n_snapshots; i++) {
        int64_t before = i > 0 ? q->snapshots[i - 1].length : 0, stretch = q->snapshots[i + 1].length - before;
        if (stretch < shortest) {
            shortest = stretch;
            least = i;
        }
    }
    return least;
}

/* Copies all states out of the layers' tensors, or into them. */
static tnn_status move_states(tnn_seq *q, void *states, bool out, tnn_error *err) {
    size_t at = 0;
    tnn_status status = TNN_OK;
    for (int64_t i = 0; i < tnn_model_hparams(q->model)->n_layers; i++) {
        tnn_tensor *const tensors[2] = {q->caches[i].state, q->caches[i].conv};
        for (int k = 0; k < 2 && !status; k++) {
            uint8_t *part = (uint8_t *)states + at;
            size_t n = bytes_of(tensors[k]);
            if (n > 0)
                status =
                    out ? tnn_tensor_read(tensors[k], 0, part, n, err) : tnn_tensor_write(tensors[k], 0, part, n, err);
            at += n;
        }
    }
    return status;
}

tnn_status tnn__seq_snapshot(tnn_seq *q, tnn_error *err) {
    if (q->max_snapshots == 0) return TNN_OK;
    if (q->n_snapshots > 0 && q->snapshots[q->n_snapshots - 1].length == q->length) return TNN_OK;
    if (q->n_snapshots == q->max_snapshots) drop(q, least_missed(q));
    void *states = tnn__alloc(&q->session->alloc, q->state_bytes, TNN__ALIGN);
    if (!states) return tnn__fail_nomem(err, "a snapshot", q->state_bytes);
    q->snapshots[q->n_snapshots++] = (tnn__snapshot){q->length, states};
    return move_states(q, states, true, err);
}

static int nearest(const tnn_seq *q, int64_t n) {
    int i = q->n_snapshots - 1;
    while (i >= 0 && q->snapshots[i].length > n) {
        i--;
    }
    return i;
}

int64_t tnn_seq_kept_prefix(const tnn_seq *q, int64_t n) {
    if (n >= q->length) return q->length;
    if (q->state_bytes == 0) return n > 0 ? n : 0;
    int i = nearest(q, n);
    return i >= 0 ? q->snapshots[i].length : 0;
}

tnn_status tnn__seq_rewind(tnn_seq *q, int64_t n, tnn_error *err) {
    int64_t length = tnn_seq_kept_prefix(q, n);
    if (length == q->length) return TNN_OK;
    if (q->state_bytes > 0) {
        int i = nearest(q, length);
        /* Without one, length is 0: a row at position 0 begins with an empty state. */
        tnn_status status = i >= 0 ? move_states(q, q->snapshots[i].states, false, err) : TNN_OK;
        if (status) return status;
        tnn__seq_drop_snapshots(q, i + 1);
    }
    q->length = length;
    q->logits = NULL;
    return TNN_OK;
}
