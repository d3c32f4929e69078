/* rows: table [n, V], ids [T] -> [n, T]; back: row ids[t] of the table's gradient += row t */
#include "ops/op.h"

tnn_tensor *tnn_rows(tnn_graph *g, tnn_tensor *table, tnn_tensor *ids) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){table, ids})) return NULL;
    if (!tnn__is_weight(g, table)) {
        return tnn__shape_error(g, "rows", "the table must be [n, V] of a type that converts to F32", table, NULL);
    }
    if (!tnn__is_index(ids, ids->ne[0]) || !ids->is_input) {
        return tnn__shape_error(g, "rows", "ids must be an I32 [T] input", ids, NULL);
    }
    return tnn__graph_node(g, TNN__OP_ROWS, tnn__real_type(g), 2, (const int64_t[]){table->ne[0], ids->ne[0]}, 2,
                           (tnn_tensor *const[]){table, ids});
}

void tnn__rows_back(tnn_graph *g, tnn_tensor *grad, tnn_tensor *ids, tnn_tensor *dy) {
    if (tnn__graph_skip(g, 3, (const tnn_tensor *const[]){grad, ids, dy})) return;
    tnn__graph_effect(g, tnn__graph_alias(g, TNN__OP_ROWS_BACK, grad->n_dims, grad->ne, 3,
                                          (tnn_tensor *const[]){grad, ids, dy}));
}

void tnn__grad_rows(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    const tnn_tensor *table = node->src[0];
    tnn_tensor *to = tnn__backward_param(b, table), *ids = tnn__backward_value(b, node->src[1]);
    if (to) {
        tnn__rows_back(tnn__backward_graph(b), to, ids, grad);
    } else if (tnn__backward_needs(b, table)) {
        tnn__graph_error(tnn__backward_graph(b), TNN_E_UNSUPPORTED,
                         "rows has no gradient with respect to a computed table");
    }
}
