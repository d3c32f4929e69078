/* rows: table [n, V], ids [T] -> [n, T] */
#include "ops/op.h"

tnn_tensor *tnn_rows(tnn_graph *g, tnn_tensor *table, tnn_tensor *ids) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){table, ids})) return NULL;
    if (table->n_dims != 2 || !tnn_type_get_info((int32_t)table->type)->usable || table->type == TNN_TYPE_I32) {
        return tnn__shape_error(g, "rows", "the table must be [n, V] of a type that converts to F32", table, NULL);
    }
    if (!tnn__is_index(ids, ids->ne[0]) || !ids->is_input) {
        return tnn__shape_error(g, "rows", "ids must be an I32 [T] input", ids, NULL);
    }
    return tnn__graph_node(g, TNN__OP_ROWS, TNN_TYPE_F32, 2, (const int64_t[]){table->ne[0], ids->ne[0]}, 2,
                           (tnn_tensor *const[]){table, ids});
}
