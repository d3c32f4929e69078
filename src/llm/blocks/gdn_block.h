/*
 * The Gated DeltaNet block (Yang et al. 2024), in two configurations. As Qwen3.5 has it: a short convolution over
 * queries, keys and values, a norm of its own for each head, and a feed-forward after it. Simplified: no convolution,
 * one norm over all heads, no feed-forward.
 */
#ifndef TNN_LLM_GDN_BLOCK_H
#define TNN_LLM_GDN_BLOCK_H

#include "llm/blocks/block.h"

/* Handles of one block's tensors, owned by a store. E d_model, d the head, K key heads, V value heads. */
typedef struct tnn__gdn_block {
    tnn_tensor *attn_norm; /* [E] */
    tnn__linear qkv;       /* [E, d*(2K + V)]: all of q, all of k, all of v */
    tnn__linear z;         /* [E, d*V]: the gate of the output */
    tnn__linear alpha;     /* [E, V]: the decay of each token */
    tnn__linear beta;      /* [E, V]: the strength of each update */
    tnn_tensor *conv;      /* [width, d*(2K + V)], the last tap meets the current token; NULL: simplified */
    tnn_tensor *decay;     /* [V]: ssm_a as stored, or its logarithm where it is trained */
    tnn_gdn_decay_form decay_form;
    tnn_tensor *dt_bias; /* [V] */
    tnn_tensor *norm;    /* [d]; simplified: [d*V] */
    tnn__linear output;  /* [d*V, E] */
    tnn__ffn ffn;        /* simplified: none */
} tnn__gdn_block;

/* As tnn__transformer_block_forward. */
tnn_tensor *tnn__gdn_block_forward(const tnn__gdn_block *b, const tnn__block_ctx *ctx, tnn_graph *g, int64_t layer,
                                   tnn_tensor *x, tnn_tensor *keep_rows);

#endif
