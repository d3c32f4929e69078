/*
 * gdn_decay: y = A softplus(x + dt_bias), A = a or -e^a; back: with p = x + dt_bias: dx = A sigmoid(p) dy, ddt_bias +=
 * sum of dx, da += sum of softplus(p) dy for A = a, of y dy for A = -e^a
 */
#include "ops/op.h"

static bool is_per_head(const tnn_graph *g, const tnn_tensor *t, int64_t n_heads) {
    return tnn__is_real(g, t) && t->n_dims == 1 && t->ne[0] == n_heads;
}

tnn_tensor *tnn_gdn_decay(tnn_graph *g, tnn_tensor *x, tnn_tensor *dt_bias, tnn_tensor *a, tnn_gdn_decay_form form) {
    if (tnn__graph_skip(g, 3, (const tnn_tensor *const[]){x, dt_bias, a})) return NULL;
    if (!tnn__is_real(g, x) || x->n_dims != 2 || !is_per_head(g, dt_bias, x->ne[0]) || !is_per_head(g, a, x->ne[0])) {
        return tnn__shape_error(g, "gdn_decay", "x [heads, T], dt_bias and a [heads] are needed", x, a);
    }
    tnn_tensor *y = tnn__graph_node(g, TNN__OP_GDN_DECAY, x->type, 2, x->ne, 3, (tnn_tensor *const[]){x, dt_bias, a});
    if (y) y->params.gdn_decay.form = form;
    return y;
}

tnn_tensor *tnn__gdn_decay_back(tnn_graph *g, tnn_tensor *forward, tnn_tensor *dy, tnn_tensor *ddt_bias,
                                tnn_tensor *da) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){forward, dy})) return NULL;
    tnn_tensor *const *s = forward->src;
    tnn_tensor *dx = tnn__graph_node(g, TNN__OP_GDN_DECAY_BACK, dy->type, 2, dy->ne, 6,
                                     (tnn_tensor *const[]){s[0], s[1], s[2], dy, ddt_bias, da});
    if (dx) dx->params = forward->params;
    return ddt_bias || da ? tnn__graph_effect(g, dx) : dx;
}

void tnn__grad_gdn_decay(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn_tensor *ddt_bias = tnn__backward_param(b, node->src[1]), *da = tnn__backward_param(b, node->src[2]);
    tnn_tensor *y = tnn__backward_value(b, node);
    tnn__backward_add(b, node->src[0], tnn__gdn_decay_back(tnn__backward_graph(b), y, grad, ddt_bias, da));
}
