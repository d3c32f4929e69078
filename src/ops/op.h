/* Helpers shared by op builders. */
#ifndef TNN_OPS_OP_H
#define TNN_OPS_OP_H

#include "core/graph.h"

/* The table of ops, indexed by tnn__op_id. */
const tnn__op_info *tnn__op_info_of(tnn__op_id op);

/* Latches "op: what" with the shapes of up to two tensors (NULL: none) and returns NULL. */
tnn_tensor *tnn__shape_error(tnn_graph *g, const char *op, const char *what, const tnn_tensor *a, const tnn_tensor *b);

/* For builders: is t there with this type? */
static inline bool tnn__is_f32(const tnn_tensor *t) {
    return t->type == TNN_TYPE_F32;
}

/* I32 [n] */
static inline bool tnn__is_index(const tnn_tensor *t, int64_t n) {
    return t->type == TNN_TYPE_I32 && t->n_dims == 1 && t->ne[0] == n;
}

#endif
