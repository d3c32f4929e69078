/*
 * linear_xent: cross-entropy of W x against targets, logits never kept. Sources: w [E, V], x [E, T], targets [T],
 * weights [T], and, once differentiated with respect to W, its gradient. Result: row losses [T]; part 0, once
 * differentiated: dx [E, T]. Loss, dx and dW are formed in one sweep, so the way back only hands dx on.
 */
#include "ops/op.h"

tnn_tensor *tnn_linear_xent(tnn_graph *g, tnn_tensor *w, tnn_tensor *x, tnn_tensor *targets, tnn_tensor *weights) {
    if (tnn__graph_skip(g, 4, (const tnn_tensor *const[]){w, x, targets, weights})) return NULL;
    if (w->n_dims != 2 || x->n_dims != 2 || !tnn__is_real(g, x) || w->ne[0] != x->ne[0]) {
        return tnn__shape_error(g, "linear_xent", "w [E, V] and activations x [E, T] must share E", w, x);
    }
    int64_t n_rows = x->ne[1];
    if (!tnn__is_index(targets, n_rows) || !targets->is_input || !tnn__is_real(g, weights) || weights->n_dims != 1 ||
        weights->ne[0] != n_rows) {
        return tnn__shape_error(g, "linear_xent", "targets I32 [T] (an input) and weights [T] are needed", targets,
                                weights);
    }
    if (g->mode == TNN_GRAPH_INFER)
        return tnn__graph_error(g, TNN_E_STATE, "linear_xent: set the graph's mode TRAIN first");
    return tnn__graph_node(g, TNN__OP_LINEAR_XENT, x->type, 1, &n_rows, 5,
                           (tnn_tensor *const[]){w, x, targets, weights, NULL});
}

void tnn__grad_linear_xent(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn_graph *g = tnn__backward_graph(b);
    if (grad) {
        tnn__graph_error(g, TNN_E_UNSUPPORTED, "linear_xent takes its gradient from its weights, not from a seed");
        return;
    }
    tnn_tensor *loss = tnn__backward_value(b, node), *dw = tnn__backward_param(b, node->src[0]);
    loss->src[4] = dw;
    if (dw) tnn__graph_effect(g, loss);
    if (tnn__backward_needs(b, node->src[1])) {
        tnn_tensor *dx = tnn__graph_part(g, loss, 2, node->src[1]->ne);
        tnn__backward_add(b, node->src[1], dx);
    }
}
