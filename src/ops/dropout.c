/* dropout: x [n, T] with elements left out at random, the others scaled up; linear in x, so its gradient is itself */
#include "ops/op.h"

tnn_tensor *tnn_dropout(tnn_graph *g, tnn_tensor *x, tnn_tensor *samples, tnn_tensor *positions, float p, uint64_t seed,
                        uint64_t stream) {
    if (tnn__graph_skip(g, 3, (const tnn_tensor *const[]){x, samples, positions})) return NULL;
    if (!tnn__is_real(g, x) || x->n_dims != 2 || !tnn__is_index(samples, x->ne[1]) ||
        !tnn__is_index(positions, x->ne[1])) {
        return tnn__shape_error(g, "dropout", "activations [n, T], samples and positions I32 [T] are needed", x,
                                samples);
    }
    if (!(p >= 0.0f && p < 1.0f))
        return tnn__graph_error(g, TNN_E_RANGE, "dropout: a probability of %g is outside 0 <= p < 1", (double)p);
    tnn_tensor *y =
        tnn__graph_node(g, TNN__OP_DROPOUT, x->type, 2, x->ne, 3, (tnn_tensor *const[]){x, samples, positions});
    if (!y) return NULL;
    y->params.dropout.p = p;
    y->params.dropout.seed = seed;
    y->params.dropout.stream = stream;
    return y;
}

void tnn__grad_dropout(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn_tensor *samples = tnn__backward_value(b, node->src[1]), *positions = tnn__backward_value(b, node->src[2]);
    tnn__backward_add(b, node->src[0],
                      tnn_dropout(tnn__backward_graph(b), grad, samples, positions, node->params.dropout.p,
                                  node->params.dropout.seed, node->params.dropout.stream));
}
