/* linear: w [in, out], x [in, T], bias [out] -> [out, T] */
#include "ops/op.h"

tnn_tensor *tnn_linear(tnn_graph *g, tnn_tensor *w, tnn_tensor *x, tnn_tensor *bias) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){w, x})) return NULL;
    if (w->n_dims != 2 || x->n_dims != 2 || !tnn__is_f32(x) || w->ne[0] != x->ne[0]) {
        return tnn__shape_error(g, "linear", "w [in, out] and F32 x [in, T] must share in", w, x);
    }
    if (bias && (!tnn__is_f32(bias) || bias->n_dims != 1 || bias->ne[0] != w->ne[1])) {
        return tnn__shape_error(g, "linear", "bias must be F32 [out]", w, bias);
    }
    return tnn__graph_node(g, TNN__OP_LINEAR, TNN_TYPE_F32, 2, (const int64_t[]){w->ne[1], x->ne[1]}, 3,
                           (tnn_tensor *const[]){w, x, bias});
}
