/*
 * Taps of a sequence: outputs of the forward that ran last.
 */
#include "engine/seq.h"
#include "llm/taps.h"

bool tnn__forward_has_tap(const tnn__forward *f, const char *pattern) {
    for (int64_t i = 0; i < tnn_graph_n_outputs(f->graph); i++) {
        if (tnn__tap_matches(pattern, tnn_tensor_name(tnn_graph_output_at(f->graph, i)))) return true;
    }
    return false;
}

/* The i-th output that a pattern asked for; the logits are an output always. */
static const tnn_tensor *tap_at(const tnn_seq *q, int64_t i) {
    if (!q->last || !q->taps) return NULL;
    for (int64_t k = 0; k < tnn_graph_n_outputs(q->last->graph); k++) {
        const tnn_tensor *t = tnn_graph_output_at(q->last->graph, k);
        if (tnn__tap_matches(q->taps, tnn_tensor_name(t)) && i-- == 0) return t;
    }
    return NULL;
}

int64_t tnn_seq_n_taps(const tnn_seq *q) {
    int64_t n = 0;
    while (tap_at(q, n)) {
        n++;
    }
    return n;
}

const char *tnn_seq_tap_name(const tnn_seq *q, int64_t i) {
    const tnn_tensor *t = tap_at(q, i);
    return t ? tnn_tensor_name(t) : NULL;
}

const float *tnn_seq_tap(const tnn_seq *q, int64_t i, int64_t *n_features, int64_t *n_rows) {
    const tnn_tensor *t = tap_at(q, i);
    if (!t) return NULL;
    *n_features = tnn_tensor_ne(t)[0];
    *n_rows = tnn_tensor_elements(t) / *n_features;
    return tnn_plan_data(q->last->plan, t);
}
