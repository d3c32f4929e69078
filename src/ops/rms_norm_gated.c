/*
 * rms_norm_gated: n w silu(z) with n = x / rms(x); back: with s = sigmoid(z): dz = dy n w s (1 + z (1 - s)), and as
 * rms_norm with dy silu(z) for dx and dw
 */
#include "ops/op.h"

tnn_tensor *tnn_rms_norm_gated(tnn_graph *g, tnn_tensor *x, tnn_tensor *gamma, tnn_tensor *z, float eps) {
    if (tnn__graph_skip(g, 3, (const tnn_tensor *const[]){x, gamma, z})) return NULL;
    if (!tnn__is_real(g, x) || !tnn__is_real(g, z) || !tnn__same_shape(x, z)) {
        return tnn__shape_error(g, "rms_norm_gated", "two activations x, z of one shape are needed", x, z);
    }
    if (!tnn__is_real(g, gamma) || gamma->n_dims != 1 || gamma->ne[0] != x->ne[0]) {
        return tnn__shape_error(g, "rms_norm_gated", "activations x [n, ...] and gamma [n] are needed", x, gamma);
    }
    if (!tnn__eps_fits(g, "rms_norm_gated", eps)) return NULL;
    tnn_tensor *y =
        tnn__graph_node(g, TNN__OP_RMS_NORM_GATED, x->type, x->n_dims, x->ne, 3, (tnn_tensor *const[]){x, gamma, z});
    if (y) y->params.rms_norm.eps = eps;
    return y;
}

tnn_tensor *tnn__rms_norm_gated_back(tnn_graph *g, tnn_tensor *x, tnn_tensor *gamma, tnn_tensor *z, tnn_tensor *dy,
                                     tnn_tensor *dgamma, float eps) {
    if (tnn__graph_skip(g, 4, (const tnn_tensor *const[]){x, gamma, z, dy})) return NULL;
    tnn_tensor *dx = tnn__graph_node(g, TNN__OP_RMS_NORM_GATED_BACK, x->type, x->n_dims, x->ne, 5,
                                     (tnn_tensor *const[]){x, gamma, z, dy, dgamma});
    if (dx) dx->params.rms_norm.eps = eps;
    tnn__graph_part(g, dx, x->n_dims, x->ne);
    return dgamma ? tnn__graph_effect(g, dx) : dx;
}

void tnn__grad_rms_norm_gated(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn_tensor *x = tnn__backward_value(b, node->src[0]), *gamma = tnn__backward_value(b, node->src[1]);
    tnn_tensor *z = tnn__backward_value(b, node->src[2]), *dgamma = tnn__backward_param(b, node->src[1]);
    tnn_tensor *dx =
        tnn__rms_norm_gated_back(tnn__backward_graph(b), x, gamma, z, grad, dgamma, node->params.rms_norm.eps);
    if (!dx) return;
    tnn__backward_add(b, node->src[0], dx);
    tnn__backward_add(b, node->src[2], dx->parts[0]);
}
