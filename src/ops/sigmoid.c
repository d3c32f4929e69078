/*
 * sigmoid: y = 1 / (1 + e^-x); back: dx = dy y (1 - y). sigmoid_gate: y = x s, s = sigmoid(gate); back: dx = dy s,
 * dgate = dy x s (1 - s).
 */
#include "ops/op.h"

tnn_tensor *tnn_sigmoid(tnn_graph *g, tnn_tensor *x) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){x})) return NULL;
    if (!tnn__is_real(g, x)) return tnn__shape_error(g, "sigmoid", "activations are needed", x, NULL);
    return tnn__graph_node(g, TNN__OP_SIGMOID, x->type, x->n_dims, x->ne, 1, (tnn_tensor *const[]){x});
}

tnn_tensor *tnn__sigmoid_back(tnn_graph *g, tnn_tensor *y, tnn_tensor *dy) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){y, dy})) return NULL;
    return tnn__graph_node(g, TNN__OP_SIGMOID_BACK, y->type, y->n_dims, y->ne, 2, (tnn_tensor *const[]){y, dy});
}

void tnn__grad_sigmoid(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn_tensor *y = tnn__backward_value(b, node);
    tnn__backward_add(b, node->src[0], tnn__sigmoid_back(tnn__backward_graph(b), y, grad));
}

tnn_tensor *tnn_sigmoid_gate(tnn_graph *g, tnn_tensor *x, tnn_tensor *gate) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){x, gate})) return NULL;
    if (!tnn__is_real(g, x) || !tnn__is_real(g, gate) || !tnn__same_shape(x, gate)) {
        return tnn__shape_error(g, "sigmoid_gate", "two activations of one shape are needed", x, gate);
    }
    return tnn__graph_node(g, TNN__OP_SIGMOID_GATE, x->type, x->n_dims, x->ne, 2, (tnn_tensor *const[]){x, gate});
}

tnn_tensor *tnn__sigmoid_gate_back(tnn_graph *g, tnn_tensor *x, tnn_tensor *gate, tnn_tensor *dy) {
    if (tnn__graph_skip(g, 3, (const tnn_tensor *const[]){x, gate, dy})) return NULL;
    tnn_tensor *dx =
        tnn__graph_node(g, TNN__OP_SIGMOID_GATE_BACK, x->type, x->n_dims, x->ne, 3, (tnn_tensor *const[]){x, gate, dy});
    tnn__graph_part(g, dx, x->n_dims, x->ne);
    return dx;
}

void tnn__grad_sigmoid_gate(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn_tensor *x = tnn__backward_value(b, node->src[0]), *gate = tnn__backward_value(b, node->src[1]);
    tnn_tensor *dx = tnn__sigmoid_gate_back(tnn__backward_graph(b), x, gate, grad);
    if (!dx) return;
    tnn__backward_add(b, node->src[0], dx);
    tnn__backward_add(b, node->src[1], dx->parts[0]);
}
