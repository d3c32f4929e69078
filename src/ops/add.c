/* add: a + b, one shape */
#include "ops/op.h"

tnn_tensor *tnn_add(tnn_graph *g, tnn_tensor *a, tnn_tensor *b) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){a, b})) return NULL;
    if (!tnn__is_f32(a) || !tnn__is_f32(b) || !tnn__same_shape(a, b)) {
        return tnn__shape_error(g, "add", "two F32 tensors of one shape are needed", a, b);
    }
    return tnn__graph_node(g, TNN__OP_ADD, TNN_TYPE_F32, a->n_dims, a->ne, 2, (tnn_tensor *const[]){a, b});
}
