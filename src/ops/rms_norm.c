/*
 * rms_norm: x [n, ...], gamma [n] -> x / rms(x) * gamma (Zhang & Sennrich 2019, eq. 4); back: with r = 1/rms(x), x' = x
 * r, d = dy gamma: dx = r (d - x' mean(d x')), dgamma += sum of dy x'
 */
#include <math.h>

#include "ops/op.h"

bool tnn__eps_fits(tnn_graph *g, const char *op, float eps) {
    if (isfinite(eps) && eps >= 0.0f) return true;
    tnn__graph_error(g, TNN_E_RANGE, "%s: an eps of %g: give a number, 0 or more", op, (double)eps);
    return false;
}

tnn_tensor *tnn_rms_norm(tnn_graph *g, tnn_tensor *x, tnn_tensor *gamma, float eps) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){x, gamma})) return NULL;
    if (!tnn__is_real(g, x) || !tnn__is_real(g, gamma) || gamma->n_dims != 1 || gamma->ne[0] != x->ne[0]) {
        return tnn__shape_error(g, "rms_norm", "activations x [n, ...] and gamma [n] are needed", x, gamma);
    }
    if (!tnn__eps_fits(g, "rms_norm", eps)) return NULL;
    tnn_tensor *y = tnn__graph_node(g, TNN__OP_RMS_NORM, x->type, x->n_dims, x->ne, 2, (tnn_tensor *const[]){x, gamma});
    if (y) y->params.rms_norm.eps = eps;
    return y;
}

tnn_tensor *tnn__rms_norm_back(tnn_graph *g, tnn_tensor *x, tnn_tensor *gamma, tnn_tensor *dy, tnn_tensor *dgamma,
                               float eps) {
    if (tnn__graph_skip(g, 3, (const tnn_tensor *const[]){x, gamma, dy})) return NULL;
    tnn_tensor *dx = tnn__graph_node(g, TNN__OP_RMS_NORM_BACK, x->type, x->n_dims, x->ne, 4,
                                     (tnn_tensor *const[]){x, gamma, dy, dgamma});
    if (dx) dx->params.rms_norm.eps = eps;
    return dgamma ? tnn__graph_effect(g, dx) : dx;
}

void tnn__grad_rms_norm(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn_tensor *x = tnn__backward_value(b, node->src[0]), *gamma = tnn__backward_value(b, node->src[1]);
    tnn_tensor *dgamma = tnn__backward_param(b, node->src[1]);
    tnn_tensor *dx = tnn__rms_norm_back(tnn__backward_graph(b), x, gamma, grad, dgamma, node->params.rms_norm.eps);
    tnn__backward_add(b, node->src[0], dx);
}
