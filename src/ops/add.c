/* add: a + b, one shape; scale: factor * x; accumulate: gradient += x in place */
#include <math.h>

#include "ops/op.h"

tnn_tensor *tnn_add(tnn_graph *g, tnn_tensor *a, tnn_tensor *b) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){a, b})) return NULL;
    if (!tnn__is_real(g, a) || !tnn__is_real(g, b) || !tnn__same_shape(a, b)) {
        return tnn__shape_error(g, "add", "two activations of one shape are needed", a, b);
    }
    return tnn__graph_node(g, TNN__OP_ADD, a->type, a->n_dims, a->ne, 2, (tnn_tensor *const[]){a, b});
}

void tnn__grad_add(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn__backward_add(b, node->src[0], grad);
    tnn__backward_add(b, node->src[1], grad);
}

tnn_tensor *tnn_scale(tnn_graph *g, tnn_tensor *x, float factor) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){x})) return NULL;
    if (!tnn__is_real(g, x)) return tnn__shape_error(g, "scale", "activations are needed", x, NULL);
    if (!isfinite(factor))
        return tnn__graph_error(g, TNN_E_RANGE, "scale: the factor %g is not finite", (double)factor);
    tnn_tensor *y = tnn__graph_node(g, TNN__OP_SCALE, x->type, x->n_dims, x->ne, 1, (tnn_tensor *const[]){x});
    if (y) y->params.scale.factor = factor;
    return y;
}

void tnn__grad_scale(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn__backward_add(b, node->src[0], tnn_scale(tnn__backward_graph(b), grad, node->params.scale.factor));
}

void tnn__accumulate(tnn_graph *g, tnn_tensor *grad, tnn_tensor *x) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){grad, x})) return;
    tnn__graph_effect(g, tnn__graph_alias(g, TNN__OP_ACCUMULATE, grad->n_dims, grad->ne, 2,
                                          (tnn_tensor *const[]){grad, x}));
}
