/*
 * The parts blocks are made of, each a few ops: projections of a GQA layer, rotation, the gated feed-forward.
 */
#ifndef TNN_LLM_PRIMITIVES_H
#define TNN_LLM_PRIMITIVES_H

#include <tinynn/llama_arch.h>

/* A low-rank pair beside a linear: y += scale * B(A x). */
typedef struct tnn__lora {
    tnn_tensor *a; /* [in, r] */
    tnn_tensor *b; /* [r, out] */
    float scale;
    struct tnn__lora *next;
} tnn__lora;

/* A linear layer's weights; bias and pairs may be NULL. */
typedef struct tnn__linear {
    tnn_tensor *weight; /* [in, out] */
    tnn_tensor *bias;   /* [out] */
    tnn__lora *lora;
} tnn__linear;

/* scale * (A x) of a pair. */
tnn_tensor *tnn__lora_low(tnn_graph *g, const tnn_forward_args *args, const tnn__lora *pair, tnn_tensor *x);
tnn_tensor *tnn__linear_build(tnn_graph *g, const tnn_forward_args *args, tnn__linear l, tnn_tensor *x);

/* [d * n_heads, T] -> [d, n_heads, T] and back. */
tnn_tensor *tnn__split_heads(tnn_graph *g, tnn_tensor *x, int64_t d);
tnn_tensor *tnn__join_heads(tnn_graph *g, tnn_tensor *x);

/* down(silu(gate x) * up x) */
tnn_tensor *tnn__swiglu_ffn(tnn_graph *g, const tnn_forward_args *args, tnn__linear gate, tnn__linear up,
                            tnn__linear down, tnn_tensor *x);

#endif
