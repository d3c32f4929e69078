/* swiglu: silu(gate) * up (Shazeer 2020) */
#include "ops/op.h"

tnn_tensor *tnn_swiglu(tnn_graph *g, tnn_tensor *gate, tnn_tensor *up) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){gate, up})) return NULL;
    if (!tnn__is_f32(gate) || !tnn__is_f32(up) || !tnn__same_shape(gate, up)) {
        return tnn__shape_error(g, "swiglu", "two F32 tensors of one shape are needed", gate, up);
    }
    return tnn__graph_node(g, TNN__OP_SWIGLU, TNN_TYPE_F32, gate->n_dims, gate->ne, 2, (tnn_tensor *const[]){gate, up});
}
