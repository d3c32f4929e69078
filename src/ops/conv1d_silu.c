/*
 * conv1d_silu: causal depthwise convolution over the rows of a sequence, then SiLU. Sources: x [n, T], w [width, n],
 * where (positions with a state, starts without; may be NULL), slots, state. Back: with c the sum, s = sigmoid(c), dc =
 * dy s (1 + c (1 - s)): row t - width + 1 + j of dx collects w_j dc_t, dw_j += sum of dc_t x of that row.
 */
#include "ops/op.h"

enum { MAX_WIDTH = 16 };

bool tnn__carried_rows_fit(tnn_graph *g, const char *op, int64_t n_rows, const tnn_tensor *state,
                           const tnn_tensor *positions, const tnn_tensor *slots, const tnn_tensor *starts) {
    if (state && g->mode != TNN_GRAPH_INFER) {
        tnn__graph_error(g, TNN_E_STATE,
                         "%s: a state is carried in INFER mode only; training starts every sequence anew", op);
        return false;
    }
    if (state && (!tnn__is_persistent(state) || state->borrowed || state->type != TNN_TYPE_F32)) {
        tnn__shape_error(g, op, "the state must be an owned F32 tensor", state, NULL);
        return false;
    }
    if ((state && !positions) || !tnn__is_row_input(state ? positions : starts, n_rows) ||
        (state && !tnn__is_row_input(slots, n_rows))) {
        tnn__shape_error(g, op, "positions (with a state), slots and starts must be I32 [T] inputs", positions, starts);
        return false;
    }
    return true;
}

tnn_tensor *tnn_conv1d_silu(tnn_graph *g, tnn_tensor *x, tnn_tensor *w, const tnn_conv1d_args *args) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){x, w})) return NULL;
    if (!tnn__is_real(g, x) || !tnn__is_real(g, w) || x->n_dims != 2 || w->n_dims != 2 || w->ne[1] != x->ne[0] ||
        w->ne[0] < 2 || w->ne[0] > MAX_WIDTH) {
        return tnn__shape_error(g, "conv1d_silu", "x [n, T] and w [2..16, n] of the activations' type are needed", x,
                                w);
    }
    tnn_tensor *state = args->state;
    if (!tnn__carried_rows_fit(g, "conv1d_silu", x->ne[1], state, args->positions, args->slots, args->starts)) {
        return NULL;
    }
    if (state && (state->n_dims > 3 || state->ne[0] != x->ne[0] || state->ne[1] != w->ne[0] - 1)) {
        return tnn__shape_error(g, "conv1d_silu", "the state must be [n, width - 1, slots]", state, w);
    }
    tnn_tensor *where = state ? args->positions : args->starts;
    tnn_tensor *y = tnn__graph_node(g, TNN__OP_CONV1D_SILU, x->type, 2, x->ne, 5,
                                    (tnn_tensor *const[]){x, w, where, state ? args->slots : NULL, state});
    return state ? tnn__graph_effect(g, y) : y;
}

tnn_tensor *tnn__conv1d_silu_back(tnn_graph *g, tnn_tensor *x, tnn_tensor *w, tnn_tensor *starts, tnn_tensor *dy,
                                  tnn_tensor *dw) {
    if (tnn__graph_skip(g, 3, (const tnn_tensor *const[]){x, w, dy})) return NULL;
    tnn_tensor *dx =
        tnn__graph_node(g, TNN__OP_CONV1D_SILU_BACK, x->type, 2, x->ne, 5, (tnn_tensor *const[]){x, w, starts, dy, dw});
    return dw ? tnn__graph_effect(g, dx) : dx;
}

void tnn__grad_conv1d_silu(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn_tensor *x = tnn__backward_value(b, node->src[0]), *w = tnn__backward_value(b, node->src[1]);
    tnn_tensor *starts = tnn__backward_value(b, node->src[2]), *dw = tnn__backward_param(b, node->src[1]);
    tnn__backward_add(b, node->src[0], tnn__conv1d_silu_back(tnn__backward_graph(b), x, w, starts, grad, dw));
}
