/*
 * muon: three ops of its own around Newton-Schulz iterations made of ordinary products. All of it works on the shape
 * [k, n] with n <= k, so that A = X X^T is the smaller of the two squares: a matrix with more rows than columns is
 * turned by the first op, and back by the last.
 */
#include <math.h>

#include "ops/op.h"

/* Keller Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024): a, b, c of the quintic. */
static const float quintic[3] = {3.4445f, -4.7750f, 2.0315f};
enum { N_ITERATIONS = 5 };

static bool is_owned_matrix(const tnn_tensor *t) {
    return tnn__is_persistent(t) && !t->borrowed && t->type == TNN_TYPE_F32 && t->n_dims == 2;
}

static bool is_turned(const tnn_tensor *value) {
    return value->ne[1] > value->ne[0];
}

/* m is changed -> u [k, n] */
static tnn_tensor *momentum(tnn_graph *g, tnn_tensor *grad, tnn_tensor *m, tnn_tensor *hyper) {
    bool turned = is_turned(m);
    const int64_t ne[2] = {m->ne[turned], m->ne[!turned]};
    return tnn__graph_node(g, TNN__OP_MUON_MOMENTUM, TNN_TYPE_F32, 2, ne, 3, (tnn_tensor *const[]){m, grad, hyper});
}

/* x / ||x||; 0 stays 0 */
static tnn_tensor *normalize(tnn_graph *g, tnn_tensor *x) {
    tnn_tensor *sum = tnn_sum_squares(g, x);
    if (!sum) return NULL;
    return tnn__graph_node(g, TNN__OP_MUON_NORMALIZE, TNN_TYPE_F32, 2, x->ne, 2, (tnn_tensor *const[]){x, sum});
}

/* X = a X + (b A + c A^2) X, A = X X^T. With W = X, linear gives W^T x for each column and linear_dx W dy. */
static tnn_tensor *iterate(tnn_graph *g, tnn_tensor *x) {
    tnn_tensor *a = tnn_linear(g, x, x, NULL); /* [n, n] */
    tnn_tensor *polynomial = tnn_linear_onto(g, tnn_scale(g, a, quintic[1]), a, tnn_scale(g, a, quintic[2]));
    return tnn__linear_dx(g, x, polynomial, tnn_scale(g, x, quintic[0]));
}

void tnn_muon(tnn_graph *g, tnn_tensor *value, tnn_tensor *grad, tnn_tensor *m, tnn_tensor *hyper) {
    if (tnn__graph_skip(g, 4, (const tnn_tensor *const[]){value, grad, m, hyper})) return;
    if (!is_owned_matrix(value) || !is_owned_matrix(grad) || !is_owned_matrix(m) || !tnn__same_shape(value, grad) ||
        !tnn__same_shape(value, m)) {
        tnn__shape_error(g, "muon", "owned F32 matrices of one shape are needed", value, grad);
        return;
    }
    if (hyper->type != TNN_TYPE_F32 || hyper->n_dims != 1 || hyper->ne[0] != 4) {
        tnn__shape_error(g, "muon", "the hyperparameters have another length", hyper, NULL);
        return;
    }
    tnn_tensor *x = normalize(g, momentum(g, grad, m, hyper));
    for (int i = 0; i < N_ITERATIONS; i++) {
        x = iterate(g, x);
    }
    if (!x) return;
    tnn_tensor *step = tnn__graph_alias(g, TNN__OP_MUON_STEP, 2, value->ne, 3, (tnn_tensor *const[]){value, x, hyper});
    if (step)
        step->params.scale.factor = 0.2f * sqrtf((float)(value->ne[0] > value->ne[1] ? value->ne[0] : value->ne[1]));
    tnn__graph_effect(g, step);
}
