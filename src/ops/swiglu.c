/*
 * swiglu: silu(gate) * up (Shazeer 2020); back: with s = sigmoid(gate): dup = dy gate s, dgate = dy up s (1 + gate (1 -
 * s))
 */
#include "ops/op.h"

tnn_tensor *tnn_swiglu(tnn_graph *g, tnn_tensor *gate, tnn_tensor *up) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){gate, up})) return NULL;
    if (!tnn__is_real(g, gate) || !tnn__is_real(g, up) || !tnn__same_shape(gate, up)) {
        return tnn__shape_error(g, "swiglu", "two activations of one shape are needed", gate, up);
    }
    return tnn__graph_node(g, TNN__OP_SWIGLU, gate->type, gate->n_dims, gate->ne, 2, (tnn_tensor *const[]){gate, up});
}

tnn_tensor *tnn__swiglu_back(tnn_graph *g, tnn_tensor *gate, tnn_tensor *up, tnn_tensor *dy) {
    if (tnn__graph_skip(g, 3, (const tnn_tensor *const[]){gate, up, dy})) return NULL;
    tnn_tensor *dgate = tnn__graph_node(g, TNN__OP_SWIGLU_BACK, gate->type, gate->n_dims, gate->ne, 3,
                                        (tnn_tensor *const[]){gate, up, dy});
    tnn__graph_part(g, dgate, gate->n_dims, gate->ne);
    return dgate;
}

void tnn__grad_swiglu(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn_tensor *gate = tnn__backward_value(b, node->src[0]), *up = tnn__backward_value(b, node->src[1]);
    tnn_tensor *dgate = tnn__swiglu_back(tnn__backward_graph(b), gate, up, grad);
    if (!dgate) return;
    tnn__backward_add(b, node->src[0], dgate);
    tnn__backward_add(b, node->src[1], dgate->parts[0]);
}
