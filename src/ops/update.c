/* adamw, sgd, zero: persistent tensors changed in place; sum_squares: what a gradient's norm is made of */
#include "ops/op.h"

static bool is_owned_f32(const tnn_tensor *t) {
    return tnn__is_persistent(t) && !t->borrowed && t->type == TNN_TYPE_F32;
}

static void update(tnn_graph *g, tnn__op_id op, const char *name, int n_same, int n_src, tnn_tensor *const *src,
                   int64_t n_hyper) {
    for (int i = 0; i < n_same; i++) {
        if (!is_owned_f32(src[i]) || !tnn__same_shape(src[0], src[i])) {
            tnn__shape_error(g, name, "owned F32 tensors of one shape are needed", src[0], src[i]);
            return;
        }
    }
    const tnn_tensor *hyper = src[n_src - 1];
    if (n_hyper && (hyper->type != TNN_TYPE_F32 || hyper->n_dims != 1 || hyper->ne[0] != n_hyper)) {
        tnn__shape_error(g, name, "the hyperparameters have another length", hyper, NULL);
        return;
    }
    tnn__graph_effect(g, tnn__graph_alias(g, op, src[0]->n_dims, src[0]->ne, n_src, src));
}

void tnn_adamw(tnn_graph *g, tnn_tensor *value, tnn_tensor *grad, tnn_tensor *m, tnn_tensor *v, tnn_tensor *hyper) {
    if (tnn__graph_skip(g, 5, (const tnn_tensor *const[]){value, grad, m, v, hyper})) return;
    update(g, TNN__OP_ADAMW, "adamw", 4, 5, (tnn_tensor *const[]){value, grad, m, v, hyper}, 8);
}

void tnn_sgd(tnn_graph *g, tnn_tensor *value, tnn_tensor *grad, tnn_tensor *m, tnn_tensor *hyper) {
    if (tnn__graph_skip(g, 4, (const tnn_tensor *const[]){value, grad, m, hyper})) return;
    update(g, TNN__OP_SGD, "sgd", 3, 4, (tnn_tensor *const[]){value, grad, m, hyper}, 4);
}

void tnn_zero(tnn_graph *g, tnn_tensor *t) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){t})) return;
    update(g, TNN__OP_ZERO, "zero", 1, 1, &t, 0);
}

tnn_tensor *tnn_sum_squares(tnn_graph *g, tnn_tensor *x) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){x})) return NULL;
    if (x->type != TNN_TYPE_F32) return tnn__shape_error(g, "sum_squares", "an F32 tensor is needed", x, NULL);
    return tnn__graph_node(g, TNN__OP_SUM_SQUARES, TNN_TYPE_F64, 1, (const int64_t[]){1}, 1, &x);
}
