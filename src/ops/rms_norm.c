/* rms_norm: x [n, ...], gamma [n] -> x / rms(x) * gamma (Zhang & Sennrich 2019, eq. 4) */
#include "ops/op.h"

tnn_tensor *tnn_rms_norm(tnn_graph *g, tnn_tensor *x, tnn_tensor *gamma, float eps) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){x, gamma})) return NULL;
    if (!tnn__is_f32(x) || !tnn__is_f32(gamma) || gamma->n_dims != 1 || gamma->ne[0] != x->ne[0]) {
        return tnn__shape_error(g, "rms_norm", "F32 x [n, ...] and gamma [n] are needed", x, gamma);
    }
    tnn_tensor *y =
        tnn__graph_node(g, TNN__OP_RMS_NORM, TNN_TYPE_F32, x->n_dims, x->ne, 2, (tnn_tensor *const[]){x, gamma});
    if (y) y->params.rms_norm.eps = eps;
    return y;
}
