/*
 * attention: softmax(scale q k^T + mask) v, grouped queries, causal or sliding window, from this batch or from a cache
 * (online softmax over blocks of keys: Milakov & Gimelshein 2018, Dao et al. 2022).
 * Sources: q, k, v, where (positions with a cache, starts without; may be NULL), slots, mask. Part 0, where gradients
 * may be wanted: log-sum-exp of the scores, [H, T].
 */
#include <math.h>

#include "ops/op.h"

static bool shapes_fit(const tnn_graph *g, const tnn_tensor *q, const tnn_tensor *k, const tnn_tensor *v, bool cached) {
    if (!tnn__is_real(g, q) || q->n_dims != 3 || k->ne[0] != q->ne[0]) return false;
    if (cached) {
        return v->n_dims == 4 && k->type == v->type && k->ne[1] == v->ne[1] && k->ne[2] == v->ne[2] &&
               k->ne[3] == v->ne[3] && q->ne[1] % k->ne[2] == 0;
    }
    return tnn__is_real(g, k) && tnn__is_real(g, v) && k->n_dims == 3 && v->n_dims == 3 && k->ne[1] == v->ne[1] &&
           k->ne[2] == q->ne[2] && v->ne[2] == q->ne[2] && q->ne[1] % k->ne[1] == 0;
}

tnn_tensor *tnn_attention(tnn_graph *g, tnn_tensor *q, tnn_tensor *k, tnn_tensor *v, const tnn_attention_args *args) {
    if (tnn__graph_skip(g, 3, (const tnn_tensor *const[]){q, k, v})) return NULL;
    bool cached = k->op == TNN__OP_KV_APPEND;
    if (!shapes_fit(g, q, k, v, cached) || (cached && g->mode != TNN_GRAPH_INFER)) {
        return tnn__shape_error(g, "attention", "q [d, H, T], k, v [d, K, T] or caches, with H a multiple of K", q, k);
    }
    int64_t n_rows = q->ne[2];
    int64_t n_kv = cached ? k->ne[1] : n_rows;
    tnn_tensor *where = cached ? args->positions : args->starts;
    if ((cached && !where) || !tnn__is_row_input(where, n_rows) || !tnn__is_row_input(args->slots, n_rows)) {
        return tnn__shape_error(g, "attention", "positions (with a cache), starts and slots must be I32 [T] inputs", q,
                                where);
    }
    if (args->mask && (!tnn__is_real(g, args->mask) || args->mask->n_dims != 2 || args->mask->ne[0] != n_kv ||
                       args->mask->ne[1] != n_rows)) {
        return tnn__shape_error(g, "attention", "the mask must be [n_kv, T], of the activations' type", args->mask, k);
    }
    if (!isfinite(args->scale) || args->window < 0) {
        return tnn__graph_error(g, TNN_E_RANGE, "attention: scale %g, window %d: finite and not negative",
                                (double)args->scale, args->window);
    }
    tnn_tensor *y = tnn__graph_node(g, TNN__OP_ATTENTION, q->type, 3, (const int64_t[]){v->ne[0], q->ne[1], n_rows}, 6,
                                    (tnn_tensor *const[]){q, k, v, where, args->slots, args->mask});
    if (y) {
        y->params.attention.scale = args->scale;
        y->params.attention.window = args->window;
        y->params.attention.cached = cached;
        if (g->mode != TNN_GRAPH_INFER) tnn__graph_part(g, y, 2, (const int64_t[]){q->ne[1], n_rows});
    }
    return y;
}

tnn_tensor *tnn__attention_back(tnn_graph *g, tnn_tensor *forward, tnn_tensor *dout) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){forward, dout})) return NULL;
    tnn_tensor *const *s = forward->src;
    tnn_tensor *dq =
        tnn__graph_node(g, TNN__OP_ATTENTION_BACK, s[0]->type, 3, s[0]->ne, 8,
                        (tnn_tensor *const[]){s[0], s[1], s[2], s[3], forward, s[5], forward->parts[0], dout});
    if (!dq) return NULL;
    dq->params = forward->params;
    tnn__graph_part(g, dq, 3, s[1]->ne);
    tnn__graph_part(g, dq, 3, s[2]->ne);
    return dq;
}

void tnn__grad_attention(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn_tensor *dq = tnn__attention_back(tnn__backward_graph(b), tnn__backward_value(b, node), grad);
    if (!dq) return;
    tnn__backward_add(b, node->src[0], dq);
    tnn__backward_add(b, node->src[1], dq->parts[0]);
    tnn__backward_add(b, node->src[2], dq->parts[1]);
}
