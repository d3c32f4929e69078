/*
 * The attention block: x += Attn(RMSNorm(x)); x += FFN(RMSNorm(x)).
 */
#ifndef TNN_LLM_TRANSFORMER_BLOCK_H
#define TNN_LLM_TRANSFORMER_BLOCK_H

#include <tinynn/llama_arch.h>

#include "llm/primitives/primitives.h"

/* Handles of one block's tensors, owned by a store. E d_model, D d_head, H heads, K key heads, F d_ff. */
typedef struct tnn__transformer_block {
    tnn_tensor *attn_norm; /* [E] */
    tnn__linear q;         /* [E, D*H] */
    tnn__linear k;         /* [E, D*K] */
    tnn__linear v;         /* [E, D*K] */
    tnn__linear output;    /* [D*H, E] */
    tnn_tensor *q_norm;    /* [D] or NULL */
    tnn_tensor *k_norm;
    tnn_tensor *ffn_norm; /* [E] */
    tnn__linear gate;     /* [E, F] */
    tnn__linear up;
    tnn__linear down; /* [F, E] */
} tnn__transformer_block;

/* What all blocks of one forward share; built once, read-only. */
typedef struct tnn__block_ctx {
    const tnn_llama_hparams *hparams;
    const tnn_forward_args *args;
    tnn_tensor *angles; /* [n_rot, T] */
} tnn__block_ctx;

/*
 * x [E, T] -> [E, T]. With keep_rows (I32 [n]), only those rows are carried past the attention: [E, n].
 */
tnn_tensor *tnn__transformer_block_forward(const tnn__transformer_block *b, const tnn__block_ctx *ctx, tnn_graph *g,
                                           int64_t layer, tnn_tensor *x, tnn_tensor *keep_rows);

#endif
