/* reshape: a view; no work, no memory */
#include "ops/op.h"

tnn_tensor *tnn_reshape(tnn_graph *g, tnn_tensor *x, int n_dims, const int64_t *ne) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){x})) return NULL;
    return tnn__graph_alias(g, TNN__OP_VIEW, n_dims, ne, 1, (tnn_tensor *const[]){x});
}
