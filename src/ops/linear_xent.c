/*
 * linear_xent: cross-entropy of W x, or of W x + B low, against targets, logits never kept. Sources: w [E, V], x [E, T]
 * and, once differentiated, the gradient of W; then b [r, V], low [r, T] and the gradient of B, or NULL; targets [T],
 * weights [T]. Result: row losses [T]; once differentiated, part 0 is dx [E, T] and part 1 dlow [r, T]. Loss and
 * gradients are formed in one sweep, so the way back only hands them on. Part 2, where it is asked for, is the hits
 * [T].
 */
#include "ops/op.h"

/* w [k, V] against activations x [k, T]. */
static bool is_product(const tnn_graph *g, const tnn_tensor *w, const tnn_tensor *x) {
    return tnn__is_weight(g, w) && x->n_dims == 2 && tnn__is_real(g, x) && w->ne[0] == x->ne[0];
}

/* sources: w, x, NULL, b, low, NULL, targets, weights */
static tnn_tensor *linear_xent(tnn_graph *g, tnn_tensor *const sources[8]) {
    const tnn_tensor *w = sources[0], *x = sources[1], *targets = sources[6], *weights = sources[7];
    if (!is_product(g, w, x))
        return tnn__shape_error(g, "linear_xent", "w [E, V] and activations x [E, T] must share E", w, x);
    int64_t n_rows = x->ne[1];
    if (!tnn__is_index(targets, n_rows) || !targets->is_input || !tnn__is_real(g, weights) || weights->n_dims != 1 ||
        weights->ne[0] != n_rows) {
        return tnn__shape_error(g, "linear_xent", "targets I32 [T] (an input) and weights [T] are needed", targets,
                                weights);
    }
    if (g->mode == TNN_GRAPH_INFER)
        return tnn__graph_error(g, TNN_E_STATE, "linear_xent: set the graph's mode TRAIN first");
    return tnn__graph_node(g, TNN__OP_LINEAR_XENT, x->type, 1, &n_rows, 8, sources);
}

tnn_tensor *tnn_linear_xent(tnn_graph *g, tnn_tensor *w, tnn_tensor *x, tnn_tensor *targets, tnn_tensor *weights) {
    if (tnn__graph_skip(g, 4, (const tnn_tensor *const[]){w, x, targets, weights})) return NULL;
    return linear_xent(g, (tnn_tensor *const[8]){w, x, NULL, NULL, NULL, NULL, targets, weights});
}

tnn_tensor *tnn_linear_xent_pair(tnn_graph *g, tnn_tensor *w, tnn_tensor *x, tnn_tensor *b, tnn_tensor *low,
                                 tnn_tensor *targets, tnn_tensor *weights) {
    if (tnn__graph_skip(g, 6, (const tnn_tensor *const[]){w, x, b, low, targets, weights})) return NULL;
    if (!is_product(g, b, low) || b->ne[1] != w->ne[1] || low->ne[1] != x->ne[1])
        return tnn__shape_error(g, "linear_xent", "b [r, V] and low [r, T] must share r, and V and T with w and x", b,
                                low);
    return linear_xent(g, (tnn_tensor *const[8]){w, x, NULL, b, low, NULL, targets, weights});
}

tnn_tensor *tnn_xent_hits(tnn_graph *g, tnn_tensor *losses) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){losses})) return NULL;
    if (losses->op != TNN__OP_LINEAR_XENT)
        return tnn__shape_error(g, "xent_hits", "the result of a linear_xent is needed", losses, NULL);
    return losses->parts[2] ? losses->parts[2] : tnn__graph_part_at(g, losses, 2, 1, losses->ne);
}

/* Of product i, W x or B low. */
static void hand_on(tnn__backward *b, const tnn_tensor *node, tnn_tensor *loss, int i) {
    const tnn_tensor *w = node->src[3 * i], *x = node->src[3 * i + 1];
    tnn_graph *g = tnn__backward_graph(b);
    tnn_tensor *dw = tnn__backward_param(b, w);
    loss->src[3 * i + 2] = dw;
    if (dw) tnn__graph_effect(g, loss);
    if (tnn__backward_needs(b, x)) tnn__backward_add(b, x, tnn__graph_part_at(g, loss, i, 2, x->ne));
}

void tnn__grad_linear_xent(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    if (grad) {
        tnn__graph_error(tnn__backward_graph(b), TNN_E_UNSUPPORTED,
                         "linear_xent takes its gradient from its weights, not from a seed");
        return;
    }
    tnn_tensor *loss = tnn__backward_value(b, node);
    hand_on(b, node, loss, 0);
    hand_on(b, node, loss, 1);
}
