/* slice: [m, ...] -> elements first .. first + n - 1 along ne[0]; back: the gradient in its place among zeros */
#include <inttypes.h>

#include "ops/op.h"

tnn_tensor *tnn_slice(tnn_graph *g, tnn_tensor *x, int64_t first, int64_t n) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){x})) return NULL;
    if (!tnn__is_real(g, x)) return tnn__shape_error(g, "slice", "activations are needed", x, NULL);
    if (first < 0 || n < 1 || first > x->ne[0] || n > x->ne[0] - first) {
        return tnn__graph_error(g, TNN_E_RANGE, "slice: %" PRId64 " elements from %" PRId64 " on of a row of %" PRId64,
                                n, first, x->ne[0]);
    }
    tnn_tensor *y = tnn__graph_node(g, TNN__OP_SLICE, x->type, x->n_dims,
                                    (const int64_t[]){n, x->ne[1], x->ne[2], x->ne[3]}, 1, (tnn_tensor *const[]){x});
    if (y) y->params.slice.first = first;
    return y;
}

tnn_tensor *tnn__slice_back(tnn_graph *g, const tnn_tensor *x, tnn_tensor *dy, int64_t first) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){dy})) return NULL;
    tnn_tensor *dx = tnn__graph_node(g, TNN__OP_SLICE_BACK, dy->type, x->n_dims, x->ne, 1, (tnn_tensor *const[]){dy});
    if (dx) dx->params.slice.first = first;
    return dx;
}

void tnn__grad_slice(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    const tnn_tensor *x = node->src[0];
    tnn__backward_add(b, x, tnn__slice_back(tnn__backward_graph(b), x, grad, node->params.slice.first));
}
