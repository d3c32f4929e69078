/*
 * gated_delta_net: the gated delta rule of every value head over the rows of each sequence. Sources: q, k, v (or q, k
 * and v in the rows of one), log decay, update gate, where (positions with a state, starts without; may be NULL),
 * slots, state. Its parts, where they are asked for: norms of the states left, and what the way back needs: what the
 * state read wrongly in every row, from which follow all states within TNN__GDN_BLOCK rows of one that is kept.
 */
#include <math.h>

#include "core/gdn_kept.h"
#include "ops/op.h"

enum { MAX_HEAD = 4096, MAX_HEADS = 65536 };
enum { NORMS, KEPT }; /* parts */

static bool args_are_sane(const tnn_gdn_args *a) {
    return a->d_k > 0 && a->d_k <= MAX_HEAD && a->d_v > 0 && a->d_v <= MAX_HEAD && a->n_k_heads > 0 &&
           a->n_v_heads <= MAX_HEADS && a->n_v_heads >= a->n_k_heads && a->n_v_heads % a->n_k_heads == 0 &&
           a->norm <= TNN_L2_EPS_FLOOR && isfinite(a->norm_eps) && a->norm_eps >= 0.0f;
}

static bool is_heads(const tnn_graph *g, const tnn_tensor *t, int64_t d, int64_t n_heads, int64_t n_rows) {
    return tnn__is_real(g, t) && t->n_dims == 3 && t->ne[0] == d && t->ne[1] == n_heads && t->ne[2] == n_rows;
}

static bool is_gate(const tnn_graph *g, const tnn_tensor *t, int64_t n_heads, int64_t n_rows) {
    return tnn__is_real(g, t) && t->n_dims == 2 && t->ne[0] == n_heads && t->ne[1] == n_rows;
}

/* Latches what does not fit. */
static bool shapes_fit(tnn_graph *g, const tnn_tensor *q, const tnn_tensor *k, const tnn_tensor *v,
                       const tnn_gdn_args *a, int64_t n_rows) {
    if (!k && !v) {
        if (tnn__is_real(g, q) && q->n_dims == 2 && q->ne[0] == 2 * a->d_k * a->n_k_heads + a->d_v * a->n_v_heads) {
            return true;
        }
        tnn__shape_error(g, "gated_delta_net", "q, k and v in rows of 2 d_k n_k_heads + d_v n_v_heads are needed", q,
                         NULL);
        return false;
    }
    if (k && v && is_heads(g, q, a->d_k, a->n_k_heads, n_rows) && is_heads(g, k, a->d_k, a->n_k_heads, n_rows) &&
        is_heads(g, v, a->d_v, a->n_v_heads, n_rows)) {
        return true;
    }
    tnn__shape_error(g, "gated_delta_net", "q, k [d_k, n_k_heads, T] and v [d_v, n_v_heads, T] are needed", q, v);
    return false;
}

tnn_tensor *tnn_gated_delta_net(tnn_graph *g, tnn_tensor *q, tnn_tensor *k, tnn_tensor *v, tnn_tensor *decay,
                                tnn_tensor *beta, const tnn_gdn_args *args) {
    if (tnn__graph_skip(g, 3, (const tnn_tensor *const[]){q, decay, beta})) return NULL;
    if (!args_are_sane(args)) {
        return tnn__graph_error(g, TNN_E_RANGE,
                                "gated_delta_net: heads of 1..%d elements, n_v_heads (at most %d) a multiple of "
                                "n_k_heads, an eps of 0 or more",
                                MAX_HEAD, MAX_HEADS);
    }
    int64_t n_rows = q->ne[q->n_dims - 1];
    if (!shapes_fit(g, q, k, v, args, n_rows)) return NULL;
    if (!is_gate(g, decay, args->n_v_heads, n_rows) || !is_gate(g, beta, args->n_v_heads, n_rows)) {
        return tnn__shape_error(g, "gated_delta_net", "log decay and update gate must be [n_v_heads, T]", decay, beta);
    }
    tnn_tensor *state = args->state;
    if (!tnn__carried_rows_fit(g, "gated_delta_net", n_rows, state, args->positions, args->slots, args->starts)) {
        return NULL;
    }
    if (state && (state->ne[0] != args->d_v || state->ne[1] != args->d_k || state->ne[2] != args->n_v_heads)) {
        return tnn__shape_error(g, "gated_delta_net", "the state must be [d_v, d_k, n_v_heads, slots]", state, q);
    }
    tnn_tensor *where = state ? args->positions : args->starts;
    tnn_tensor *y =
        tnn__graph_node(g, TNN__OP_GATED_DELTA_NET, q->type, 3, (const int64_t[]){args->d_v, args->n_v_heads, n_rows},
                        8, (tnn_tensor *const[]){q, k, v, decay, beta, where, state ? args->slots : NULL, state});
    if (!y) return NULL;
    y->params.gdn.d_k = args->d_k;
    y->params.gdn.d_v = args->d_v;
    y->params.gdn.n_k_heads = args->n_k_heads;
    y->params.gdn.n_v_heads = args->n_v_heads;
    y->params.gdn.norm = args->norm;
    y->params.gdn.norm_eps = args->norm_eps;
    y->params.gdn.tiled = args->tiled;
    y->params.gdn.packed = !k;
    return state ? tnn__graph_effect(g, y) : y;
}

tnn_tensor *tnn_gdn_state_norms(tnn_graph *g, tnn_tensor *y) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){y})) return NULL;
    if (y->op != TNN__OP_GATED_DELTA_NET) {
        return tnn__shape_error(g, "gdn_state_norms", "the result of a gated_delta_net is needed", y, NULL);
    }
    if (y->parts[NORMS]) return y->parts[NORMS];
    const tnn_tensor *state = y->src[7], *starts = y->src[5];
    int64_t n_sequences = state ? state->ne[3] : starts ? y->ne[2] : 1;
    return tnn__graph_part_at(g, y, NORMS, 2, (const int64_t[]){y->ne[1], n_sequences});
}

static tnn_tensor *kept_of(tnn_graph *g, tnn_tensor *y) {
    if (y->parts[KEPT]) return y->parts[KEPT];
    int64_t rows = tnn__gdn_kept_rows(y->ne[2], y->params.gdn.d_k);
    return tnn__graph_part_at(g, y, KEPT, 3, (const int64_t[]){y->ne[0], rows, y->ne[1]});
}

tnn_tensor *tnn__gated_delta_net_back(tnn_graph *g, tnn_tensor *forward, tnn_tensor *dout) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){forward, dout})) return NULL;
    tnn_tensor *const *s = forward->src;
    tnn_tensor *kept = kept_of(g, forward);
    if (!kept) return NULL;
    tnn_tensor *dq = tnn__graph_node(g, TNN__OP_GATED_DELTA_NET_BACK, s[0]->type, s[0]->n_dims, s[0]->ne, 7,
                                     (tnn_tensor *const[]){s[0], s[1], s[3], s[4], s[5], dout, kept});
    if (!dq) return NULL;
    dq->params = forward->params;
    tnn__graph_part(g, dq, 2, s[3]->ne);
    tnn__graph_part(g, dq, 2, s[4]->ne);
    if (!forward->params.gdn.packed) {
        tnn__graph_part(g, dq, 3, s[1]->ne);
        tnn__graph_part(g, dq, 3, s[2]->ne);
    }
    return dq;
}

void tnn__grad_gated_delta_net(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn_tensor *dq = tnn__gated_delta_net_back(tnn__backward_graph(b), tnn__backward_value(b, node), grad);
    if (!dq) return;
    tnn__backward_add(b, node->src[0], dq);
    tnn__backward_add(b, node->src[3], dq->parts[0]);
    tnn__backward_add(b, node->src[4], dq->parts[1]);
    tnn__backward_add(b, node->src[1], dq->parts[2]);
    tnn__backward_add(b, node->src[2], dq->parts[3]);
}
