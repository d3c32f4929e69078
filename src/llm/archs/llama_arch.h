/* The arch record, shared by construction, loading and forward. */
#ifndef TNN_LLM_LLAMA_ARCH_H
#define TNN_LLM_LLAMA_ARCH_H

#include "base/alloc.h"
#include "core/session.h"
#include "llm/blocks/transformer_block.h"

#define TNN__MAX_LAYERS 4096

struct tnn_llama_arch {
    tnn_session *session;
    tnn_llama_hparams hparams;
    /* globals, owned by a store; NULL until bound */
    tnn_tensor *token_embed;      /* [E, V]; [donor, V] behind a lens */
    tnn_tensor *final_norm_gamma; /* [E] */
    tnn_tensor *output;           /* [E, V]; NULL when tied */
    tnn_tensor *w_proj;           /* [donor, E]: the lens, or NULL */
    tnn_tensor *rope_factors;     /* [n_rot/2] or NULL */
    int64_t donor_d_in;           /* 0: no lens */
    /* the stack */
    int64_t n_layers;
    tnn_layer_spec *specs;
    tnn__transformer_block *blocks;
    bool bound; /* block weights are there: the stack is fixed */
};

const char *tnn__mixer_name(tnn_mixer_kind kind); /* "attention", "gated_delta_net"; "unknown" otherwise */

#endif
