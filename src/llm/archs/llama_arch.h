/* The arch record, shared by construction, loading and forward. */
#ifndef TNN_LLM_LLAMA_ARCH_H
#define TNN_LLM_LLAMA_ARCH_H

#include "base/alloc.h"
#include "base/arena.h"
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
    bool bound;       /* block weights are there: the stack is fixed */
    tnn__arena arena; /* low-rank pairs */
};

/* The linears of an attention block by GGUF name, for loading, training and adapters alike. */
typedef enum tnn__block_linear {
    TNN__BLOCK_Q,
    TNN__BLOCK_K,
    TNN__BLOCK_V,
    TNN__BLOCK_OUTPUT,
    TNN__BLOCK_GATE,
    TNN__BLOCK_UP,
    TNN__BLOCK_DOWN,
    TNN__N_BLOCK_LINEARS
} tnn__block_linear;

const char *tnn__block_linear_name(tnn__block_linear which); /* "attn_q" */
tnn__linear *tnn__block_linear_at(tnn__transformer_block *b, tnn__block_linear which);
void tnn__block_linear_shape(const tnn_llama_hparams *hp, tnn__block_linear which, int64_t *n_in, int64_t *n_out);
bool tnn__block_linear_needs_bias(const tnn_llama_hparams *hp, tnn__block_linear which);

/* "blk.<layer>.<part>.<suffix>" into a buffer for one name. */
typedef struct tnn__name_buffer {
    char text[TNN_GGUF_MAX_NAME + 1];
} tnn__name_buffer;
const char *tnn__block_name(tnn__name_buffer *buf, int64_t layer, const char *part, const char *suffix);

const char *tnn__mixer_name(tnn_mixer_kind kind); /* "attention", "gated_delta_net"; "unknown" otherwise */

#endif
