/*
 * linear: w [in, out], x [in, T], bias [out], addend [out, T], b [r, out], low [r, T] -> W x + B low + ..., [out, T];
 * back: dx = W^T dy, dW += dy x^T, the same for B low, dbias += sum of dy, and dy itself for the addend. dx starts from
 * what x has collected, if it has.
 */
#include "ops/op.h"

/* sources: w, x, bias, addend, b, low; those but w and x may be NULL */
static tnn_tensor *linear(tnn_graph *g, tnn_tensor *const sources[6]) {
    const tnn_tensor *w = sources[0], *x = sources[1], *bias = sources[2], *addend = sources[3];
    const tnn_tensor *b = sources[4], *low = sources[5];
    if (!tnn__is_weight(g, w) || x->n_dims != 2 || !tnn__is_real(g, x) || w->ne[0] != x->ne[0]) {
        return tnn__shape_error(g, "linear",
                                "w [in, out] of a type that converts to F32 and activations x [in, T] must share in", w,
                                x);
    }
    const int64_t n_out = w->ne[1], n_rows = x->ne[1];
    if (bias && (!tnn__is_real(g, bias) || bias->n_dims != 1 || bias->ne[0] != n_out)) {
        return tnn__shape_error(g, "linear", "bias must be [out], of the activations' type", w, bias);
    }
    if (addend &&
        (!tnn__is_real(g, addend) || addend->n_dims != 2 || addend->ne[0] != n_out || addend->ne[1] != n_rows)) {
        return tnn__shape_error(g, "linear", "the addend must have the product's shape, [out, T]", addend, w);
    }
    if (b && (!tnn__is_weight(g, b) || low->n_dims != 2 || !tnn__is_real(g, low) || b->ne[0] != low->ne[0] ||
              b->ne[1] != n_out || low->ne[1] != n_rows)) {
        return tnn__shape_error(g, "linear", "b [r, out] and low [r, T] must share r, and out and T with w and x", b,
                                low);
    }
    return tnn__graph_node(g, TNN__OP_LINEAR, tnn__real_type(g), 2, (const int64_t[]){n_out, n_rows}, 6, sources);
}

tnn_tensor *tnn_linear(tnn_graph *g, tnn_tensor *w, tnn_tensor *x, tnn_tensor *bias) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){w, x})) return NULL;
    return linear(g, (tnn_tensor *const[6]){w, x, bias, NULL, NULL, NULL});
}

tnn_tensor *tnn_linear_pair(tnn_graph *g, tnn_tensor *w, tnn_tensor *x, tnn_tensor *bias, tnn_tensor *b,
                            tnn_tensor *low) {
    if (tnn__graph_skip(g, 4, (const tnn_tensor *const[]){w, x, b, low})) return NULL;
    return linear(g, (tnn_tensor *const[6]){w, x, bias, NULL, b, low});
}

tnn_tensor *tnn_linear_onto(tnn_graph *g, tnn_tensor *addend, tnn_tensor *w, tnn_tensor *x) {
    if (tnn__graph_skip(g, 3, (const tnn_tensor *const[]){addend, w, x})) return NULL;
    return linear(g, (tnn_tensor *const[6]){w, x, NULL, addend, NULL, NULL});
}

tnn_tensor *tnn__linear_dx(tnn_graph *g, tnn_tensor *w, tnn_tensor *dy, tnn_tensor *addend) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){w, dy})) return NULL;
    return tnn__graph_node(g, TNN__OP_LINEAR_DX, dy->type, 2, (const int64_t[]){w->ne[0], dy->ne[1]}, 3,
                           (tnn_tensor *const[]){w, dy, addend});
}

void tnn__linear_dw(tnn_graph *g, tnn_tensor *grad, tnn_tensor *dy, tnn_tensor *x) {
    if (tnn__graph_skip(g, 3, (const tnn_tensor *const[]){grad, dy, x})) return;
    tnn__graph_effect(g, tnn__graph_alias(g, TNN__OP_LINEAR_DW, grad->n_dims, grad->ne, 3,
                                          (tnn_tensor *const[]){grad, dy, x}));
}

void tnn__bias_grad(tnn_graph *g, tnn_tensor *grad, tnn_tensor *dy) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){grad, dy})) return;
    tnn__graph_effect(g, tnn__graph_alias(g, TNN__OP_BIAS_GRAD, grad->n_dims, grad->ne, 2,
                                          (tnn_tensor *const[]){grad, dy}));
}

/* Of W x: 0, or of B low: 4, the place of W or B among the sources. */
static void grad_of_product(tnn__backward *b, const tnn_tensor *node, int i, tnn_tensor *grad) {
    tnn_graph *g = tnn__backward_graph(b);
    tnn_tensor *w = tnn__backward_value(b, node->src[i]), *x = tnn__backward_value(b, node->src[i + 1]);
    tnn_tensor *dw = tnn__backward_param(b, node->src[i]);
    if (dw) tnn__linear_dw(g, dw, grad, x);
    if (!tnn__backward_needs(b, node->src[i + 1])) return;
    tnn_tensor *so_far = tnn__backward_take(b, node->src[i + 1]);
    tnn__backward_add(b, node->src[i + 1], tnn__linear_dx(g, w, grad, so_far));
}

void tnn__grad_linear(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn_tensor *dbias = tnn__backward_param(b, node->src[2]);
    if (dbias) tnn__bias_grad(tnn__backward_graph(b), dbias, grad);
    tnn__backward_add(b, node->src[3], grad);
    if (node->src[4]) grad_of_product(b, node, 4, grad);
    grad_of_product(b, node, 0, grad);
}
