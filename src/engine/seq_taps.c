/*
 * Taps of a sequence: outputs of the forward that ran last, and norms of recurrent states, which no forward puts out:
 * they are read where the forward left them.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "engine/seq.h"
#include "llm/taps.h"

/* --- states --- */

static size_t n_layers(const tnn_seq *q) {
    return (size_t)tnn_model_hparams(q->model)->n_layers;
}

static size_t head_elements(const tnn_seq *q) {
    int64_t d = tnn_model_hparams(q->model)->gdn.d_head;
    return (size_t)(d * d);
}

static size_t n_heads(const tnn_seq *q) {
    return (size_t)tnn_model_hparams(q->model)->gdn.n_value_heads;
}

tnn_status tnn__seq_init_state_taps(tnn_seq *q, tnn_error *err) {
    if (q->state_bytes == 0) return TNN_OK;
    const tnn_allocator *a = &q->session->alloc;
    q->state_taps = tnn__calloc_array(a, n_layers(q), sizeof *q->state_taps);
    q->state_norms = tnn__calloc_array(a, n_heads(q), sizeof *q->state_norms);
    q->head_state = tnn__calloc_array(a, head_elements(q), sizeof *q->head_state);
    if (!q->state_taps || !q->state_norms || !q->head_state)
        return tnn__fail_nomem(err, "taps of states", n_layers(q) * sizeof *q->state_taps);
    for (size_t i = 0; i < n_layers(q); i++) {
        tnn__state_tap *tap = &q->state_taps[q->n_state_taps];
        tap->layer = (int64_t)i;
        snprintf(tap->name, sizeof tap->name, "blk.%zu.gdn_state", i);
        if (q->caches[i].state && tnn__tap_matches(q->taps, tap->name)) q->n_state_taps++;
    }
    return TNN_OK;
}

void tnn__seq_free_state_taps(tnn_seq *q) {
    const tnn_allocator *a = &q->session->alloc;
    tnn__free_array(a, q->state_taps, n_layers(q), sizeof *q->state_taps);
    tnn__free_array(a, q->state_norms, n_heads(q), sizeof *q->state_norms);
    tnn__free_array(a, q->head_state, head_elements(q), sizeof *q->head_state);
}

/* Frobenius norms of slot 0. */
static const float *state_norms(const tnn_seq *q, int64_t layer) {
    size_t n = head_elements(q), bytes = n * sizeof *q->head_state;
    for (size_t h = 0; h < n_heads(q); h++) {
        double sum = 0;
        if (tnn_tensor_read(q->caches[layer].state, h * bytes, q->head_state, bytes, NULL)) return NULL;
        for (size_t i = 0; i < n; i++) {
            sum += (double)q->head_state[i] * (double)q->head_state[i];
        }
        q->state_norms[h] = (float)sqrt(sum);
    }
    return q->state_norms;
}

/* --- all --- */

bool tnn__seq_has_tap(const tnn_seq *q, const tnn__forward *f, const char *pattern) {
    for (int64_t i = 0; i < tnn_graph_n_outputs(f->graph); i++) {
        if (tnn__tap_matches(pattern, tnn_tensor_name(tnn_graph_output_at(f->graph, i)))) return true;
    }
    for (int64_t i = 0; i < q->n_state_taps; i++) {
        if (tnn__tap_matches(pattern, q->state_taps[i].name)) return true;
    }
    return false;
}

/* The i-th output that a pattern asked for; the logits are an output always. Past the last one, *i is what is left. */
static const tnn_tensor *tap_at(const tnn_seq *q, int64_t *i) {
    if (!q->last || !q->taps) return NULL;
    for (int64_t k = 0; k < tnn_graph_n_outputs(q->last->graph); k++) {
        const tnn_tensor *t = tnn_graph_output_at(q->last->graph, k);
        if (tnn__tap_matches(q->taps, tnn_tensor_name(t)) && (*i)-- == 0) return t;
    }
    return NULL;
}

int64_t tnn_seq_n_taps(const tnn_seq *q) {
    int64_t n = 0;
    while (tnn_seq_tap_name(q, n)) {
        n++;
    }
    return n;
}

const char *tnn_seq_tap_name(const tnn_seq *q, int64_t i) {
    const tnn_tensor *t = tap_at(q, &i);
    if (t) return tnn_tensor_name(t);
    return q->last && i >= 0 && i < q->n_state_taps ? q->state_taps[i].name : NULL;
}

const float *tnn_seq_tap(const tnn_seq *q, int64_t i, int64_t *n_features, int64_t *n_rows) {
    const tnn_tensor *t = tap_at(q, &i);
    if (t) {
        *n_features = tnn_tensor_ne(t)[0];
        *n_rows = tnn_tensor_elements(t) / *n_features;
        return tnn_plan_data(q->last->plan, t);
    }
    if (!q->last || i < 0 || i >= q->n_state_taps) return NULL;
    *n_features = (int64_t)n_heads(q);
    *n_rows = 1;
    return state_norms(q, q->state_taps[i].layer);
}
