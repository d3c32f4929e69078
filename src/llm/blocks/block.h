/*
 * What blocks share: the context of a forward, and the feed-forward that follows a mixer.
 */
#ifndef TNN_LLM_BLOCK_H
#define TNN_LLM_BLOCK_H

#include <tinynn/llama_arch.h>

#include "llm/primitives/primitives.h"

/* What all blocks of one forward share; built once, read-only. */
typedef struct tnn__block_ctx {
    const tnn_llama_hparams *hparams;
    const tnn_forward_args *args;
    tnn_tensor *angles; /* [n_rot, T] */
} tnn__block_ctx;

/* E d_model, F d_ff. */
typedef struct tnn__ffn {
    tnn_tensor *norm; /* [E] */
    tnn__linear gate; /* [E, F] */
    tnn__linear up;
    tnn__linear down; /* [F, E] */
} tnn__ffn;

/* x + down(silu(gate h) * up h), h = RMSNorm(x). x [E, T] -> [E, T]. */
tnn_tensor *tnn__ffn_forward(const tnn__ffn *ffn, const tnn__block_ctx *ctx, tnn_graph *g, int64_t layer,
                             tnn_tensor *x);

#endif
