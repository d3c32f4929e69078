/* Builders of the primitives. */
#include "llm/primitives/primitives.h"

#include "base/rng.h"

/* What a pair reads: x, in training perhaps with elements left out, other ones for each pair. */
static tnn_tensor *dropped(tnn_graph *g, const tnn_forward_args *args, const tnn__lora *pair, tnn_tensor *x) {
    if (args->lora_dropout == 0.0f) return x;
    return tnn_dropout(g, x, args->samples, args->positions, args->lora_dropout, args->dropout_seed,
                       tnn__hash_str(tnn_tensor_name(pair->a)));
}

tnn_tensor *tnn__lora_low(tnn_graph *g, const tnn_forward_args *args, const tnn__lora *pair, tnn_tensor *x) {
    return tnn_scale(g, tnn_linear(g, pair->a, dropped(g, args, pair, x), NULL), pair->scale);
}

tnn_tensor *tnn__linear_build(tnn_graph *g, const tnn_forward_args *args, tnn__linear l, tnn_tensor *x) {
    const tnn__lora *pair = l.lora;
    if (!pair) return tnn_linear(g, l.weight, x, l.bias);
    tnn_tensor *low = tnn__lora_low(g, args, pair, x), *y = tnn_linear_pair(g, l.weight, x, l.bias, pair->b, low);
    while ((pair = pair->next)) {
        y = tnn_linear_onto(g, y, pair->b, tnn__lora_low(g, args, pair, x));
    }
    return y;
}

tnn_tensor *tnn__split_heads(tnn_graph *g, tnn_tensor *x, int64_t d) {
    if (!x) return NULL;
    const int64_t *ne = tnn_tensor_ne(x);
    return tnn_reshape(g, x, 3, (const int64_t[]){d, ne[0] / d, ne[1]});
}

tnn_tensor *tnn__join_heads(tnn_graph *g, tnn_tensor *x) {
    if (!x) return NULL;
    const int64_t *ne = tnn_tensor_ne(x);
    return tnn_reshape(g, x, 2, (const int64_t[]){ne[0] * ne[1], ne[2]});
}

tnn_tensor *tnn__swiglu_ffn(tnn_graph *g, const tnn_forward_args *args, tnn__linear gate, tnn__linear up,
                            tnn__linear down, tnn_tensor *x) {
    tnn_tensor *a = tnn__linear_build(g, args, gate, x);
    tnn_tensor *b = tnn__linear_build(g, args, up, x);
    return tnn__linear_build(g, args, down, tnn_swiglu(g, a, b));
}
