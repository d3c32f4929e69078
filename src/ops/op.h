/* Helpers shared by op builders and gradient rules. */
#ifndef TNN_OPS_OP_H
#define TNN_OPS_OP_H

#include "core/graph.h"

/* The table of ops, indexed by tnn__op_id. */
const tnn__op_info *tnn__op_info_of(tnn__op_id op);

/* Latches "op: what" with the shapes of up to two tensors (NULL: none) and returns NULL. */
tnn_tensor *tnn__shape_error(tnn_graph *g, const char *op, const char *what, const tnn_tensor *a, const tnn_tensor *b);

/* Activations of this graph's type. */
static inline bool tnn__is_real(const tnn_graph *g, const tnn_tensor *t) {
    return t->type == tnn__real_type(g);
}

/* A matrix of weights: of activations' type, or of one that converts to F32. */
static inline bool tnn__is_weight(const tnn_graph *g, const tnn_tensor *t) {
    return t->n_dims == 2 && (tnn__is_real(g, t) || tnn_type_get_info((int32_t)t->type)->usable);
}

/* I32 [n] */
static inline bool tnn__is_index(const tnn_tensor *t, int64_t n) {
    return t->type == TNN_TYPE_I32 && t->n_dims == 1 && t->ne[0] == n;
}

/* The gradient of a tensor that an in-place op adds to: same shape, activation type, persistent and owned. */
static inline bool tnn__is_gradient_of(const tnn_graph *g, const tnn_tensor *grad, const tnn_tensor *value) {
    return tnn__is_persistent(grad) && !grad->borrowed && tnn__is_real(g, grad) && tnn__same_shape(grad, value);
}

/* An I32 [n] input, or NULL. */
static inline bool tnn__is_row_input(const tnn_tensor *t, int64_t n) {
    return !t || (tnn__is_index(t, n) && t->is_input);
}

/* Whether a norm may add eps to what it divides by. Latches what is wrong. */
bool tnn__eps_fits(tnn_graph *g, const char *op, float eps);
/*
 * Whether an op that carries a state from row to row has what it needs: a state only in INFER mode, and positions with
 * it; starts without one. Latches what is wrong.
 */
bool tnn__carried_rows_fit(tnn_graph *g, const char *op, int64_t n_rows, const tnn_tensor *state,
                           const tnn_tensor *positions, const tnn_tensor *slots, const tnn_tensor *starts);

/* --- gradient rules: what they call --- */

/* The graph that rules append to. */
tnn_graph *tnn__backward_graph(const tnn__backward *b);
/* The live form of a tensor of the forward: itself, or its recomputed copy. NULL for NULL. */
tnn_tensor *tnn__backward_value(const tnn__backward *b, const tnn_tensor *t);
/* Whether anything is to be gained from a gradient of t. */
bool tnn__backward_needs(const tnn__backward *b, const tnn_tensor *t);
/* Where the gradient of a parameter is added, or NULL if t is none. */
tnn_tensor *tnn__backward_param(const tnn__backward *b, const tnn_tensor *t);
/* Adds grad to what t has collected; nothing if it is not needed. */
void tnn__backward_add(tnn__backward *b, const tnn_tensor *t, tnn_tensor *grad);
/* What a node has collected, no longer its own: for a rule that adds to it and hands it back. NULL if nothing yet. */
tnn_tensor *tnn__backward_take(tnn__backward *b, const tnn_tensor *t);

#define TNN__NO_GRAD(why)
#define TNN__GRAD(name)             void tnn__grad_##name(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad);
#define TNN__OP(id, name, gradient) gradient
#include "core/ops.def"
#undef TNN__OP
#undef TNN__GRAD
#undef TNN__NO_GRAD

void tnn__grad_view(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad); /* reshape */

/* --- ops that only gradient rules make --- */

/* w [in, out], dy [out, T], addend [in, T] (may be NULL) -> [in, T] */
tnn_tensor *tnn__linear_dx(tnn_graph *g, tnn_tensor *w, tnn_tensor *dy, tnn_tensor *addend);
/* grad [in, out] += dy [out, T] x^T [in, T] */
void tnn__linear_dw(tnn_graph *g, tnn_tensor *grad, tnn_tensor *dy, tnn_tensor *x);
/* grad [n] += the sum of the rows of dy [n, T] */
void tnn__bias_grad(tnn_graph *g, tnn_tensor *grad, tnn_tensor *dy);
/* grad [n, V] row ids[t] += dy [n, T] row t */
void tnn__rows_back(tnn_graph *g, tnn_tensor *grad, tnn_tensor *ids, tnn_tensor *dy);
/* dx of rms_norm; with dgamma, that gradient is added to it */
tnn_tensor *tnn__rms_norm_back(tnn_graph *g, tnn_tensor *x, tnn_tensor *gamma, tnn_tensor *dy, tnn_tensor *dgamma,
                               float eps);
/* dgate; part 0 is dup */
tnn_tensor *tnn__swiglu_back(tnn_graph *g, tnn_tensor *gate, tnn_tensor *up, tnn_tensor *dy);
/* rotation by the opposite angles */
tnn_tensor *tnn__rope_back(tnn_graph *g, tnn_tensor *dy, tnn_tensor *angles, const tnn_rope_config *config);
/* dq; parts 0 and 1 are dk and dv. forward is the attention node (or its copy) with its log-sum-exp as part 0 */
tnn_tensor *tnn__attention_back(tnn_graph *g, tnn_tensor *forward, tnn_tensor *dout);
/* dx of y = sigmoid(x) */
tnn_tensor *tnn__sigmoid_back(tnn_graph *g, tnn_tensor *y, tnn_tensor *dy);
/* dx; part 0 is dgate */
tnn_tensor *tnn__sigmoid_gate_back(tnn_graph *g, tnn_tensor *x, tnn_tensor *gate, tnn_tensor *dy);
/* dx; part 0 is dz; with dgamma, that gradient is added to it */
tnn_tensor *tnn__rms_norm_gated_back(tnn_graph *g, tnn_tensor *x, tnn_tensor *gamma, tnn_tensor *z, tnn_tensor *dy,
                                     tnn_tensor *dgamma, float eps);
/* dy among zeros: the gradient of a slice of x */
tnn_tensor *tnn__slice_back(tnn_graph *g, const tnn_tensor *x, tnn_tensor *dy, int64_t first);
/* dx; with dw, that gradient is added to it */
tnn_tensor *tnn__conv1d_silu_back(tnn_graph *g, tnn_tensor *x, tnn_tensor *w, tnn_tensor *starts, tnn_tensor *dy,
                                  tnn_tensor *dw);
/* dx; with ddt_bias, da, these gradients are added to them */
tnn_tensor *tnn__gdn_decay_back(tnn_graph *g, tnn_tensor *forward, tnn_tensor *dy, tnn_tensor *ddt_bias,
                                tnn_tensor *da);
/* dq (or dq, dk, dv in rows as q has them); parts: ddecay, dbeta, and, where q, k and v are apart, dk, dv */
tnn_tensor *tnn__gated_delta_net_back(tnn_graph *g, tnn_tensor *forward, tnn_tensor *dout);
/* grad += x, elementwise */
void tnn__accumulate(tnn_graph *g, tnn_tensor *grad, tnn_tensor *x);

#endif
