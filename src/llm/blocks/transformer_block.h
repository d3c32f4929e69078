/*
 * The attention block: x += Attn(RMSNorm(x)); x += FFN(RMSNorm(x)).
 */
#ifndef TNN_LLM_TRANSFORMER_BLOCK_H
#define TNN_LLM_TRANSFORMER_BLOCK_H

#include "llm/blocks/block.h"

/* Handles of one block's tensors, owned by a store. E d_model, D d_head, H heads, K key heads, F d_ff. */
typedef struct tnn__transformer_block {
    tnn_tensor *attn_norm; /* [E] */
    tnn__linear q;         /* [E, D*H]; with a gate [E, 2*D*H]: query and gate of each head side by side */
    tnn__linear k;         /* [E, D*K] */
    tnn__linear v;         /* [E, D*K] */
    tnn__linear output;    /* [D*H, E] */
    tnn_tensor *q_norm;    /* [D] or NULL */
    tnn_tensor *k_norm;
    tnn__ffn ffn;
} tnn__transformer_block;

/*
 * x [E, T] -> [E, T]. With keep_rows (I32 [n]), only those rows are carried past the attention: [E, n].
 */
tnn_tensor *tnn__transformer_block_forward(const tnn__transformer_block *b, const tnn__block_ctx *ctx, tnn_graph *g,
                                           int64_t layer, tnn_tensor *x, tnn_tensor *keep_rows);

#endif
