/* The arch record, shared by construction, loading and forward. */
#ifndef TNN_LLM_LLAMA_ARCH_H
#define TNN_LLM_LLAMA_ARCH_H

#include "base/alloc.h"
#include "base/arena.h"
#include "core/session.h"
#include "llm/blocks/gdn_block.h"
#include "llm/blocks/transformer_block.h"

#define TNN__MAX_LAYERS 4096

struct tnn_llama_arch {
    tnn_session *session;
    tnn_llama_hparams hparams;
    /* globals, owned by a store; NULL until bound */
    tnn_tensor *token_embed;      /* [E, V]; [donor, V] behind a lens */
    tnn_tensor *final_norm_gamma; /* [E] */
    tnn__linear output;           /* [E, V]; its weight is NULL when tied */
    tnn_tensor *w_proj;           /* [donor, E]: the lens, or NULL */
    tnn_tensor *rope_factors;     /* [n_rot/2] or NULL */
    int64_t donor_d_in;           /* 0: no lens */
    /* the stack */
    int64_t n_layers;
    tnn_layer_spec *specs;
    tnn__transformer_block *blocks; /* of attention layers; the others stay empty */
    tnn__gdn_block *gdn_blocks;     /* of Gated DeltaNet layers */
    bool bound;                     /* block weights are there: the stack is fixed */
    tnn__arena arena;               /* low-rank pairs */
};

/* The linears of layers by GGUF name, for loading, training and adapters alike. */
typedef enum tnn__layer_linear {
    TNN__LINEAR_Q,
    TNN__LINEAR_K,
    TNN__LINEAR_V,
    TNN__LINEAR_ATTN_OUTPUT,
    TNN__LINEAR_QKV,
    TNN__LINEAR_Z,
    TNN__LINEAR_ALPHA,
    TNN__LINEAR_BETA,
    TNN__LINEAR_GDN_OUTPUT,
    TNN__LINEAR_GATE,
    TNN__LINEAR_UP,
    TNN__LINEAR_DOWN,
    TNN__N_LAYER_LINEARS
} tnn__layer_linear;

const char *tnn__layer_linear_name(tnn__layer_linear which); /* "attn_q" */
/* NULL if a layer of this kind has none such. */
tnn__linear *tnn__layer_linear_at(const tnn_llama_arch *a, int64_t layer, tnn__layer_linear which);
void tnn__layer_linear_shape(const tnn_llama_hparams *hp, tnn__layer_linear which, int64_t *n_in, int64_t *n_out);
/* A linear by the name of its weight: of a layer, or the untied output. NULL if the model has none such. */
tnn__linear *tnn__find_linear(tnn_llama_arch *a, const char *name);
/* Products of one row in a layer: of its linears, and of what mixes it with the `seen` rows that attention sees. */
double tnn__layer_products(const tnn_llama_arch *a, int64_t layer, int64_t seen);
bool tnn__layer_linear_needs_bias(const tnn_llama_hparams *hp, tnn__layer_linear which);

/* What layers hold beside linears: norms, and what only Gated DeltaNet has. */
typedef enum tnn__layer_tensor {
    TNN__TENSOR_ATTN_NORM,
    TNN__TENSOR_Q_NORM,
    TNN__TENSOR_K_NORM,
    TNN__TENSOR_CONV,
    TNN__TENSOR_DECAY,
    TNN__TENSOR_DT_BIAS,
    TNN__TENSOR_GDN_NORM,
    TNN__TENSOR_FFN_NORM,
    TNN__N_LAYER_TENSORS
} tnn__layer_tensor;

tnn_tensor **tnn__layer_tensor_at(const tnn_llama_arch *a, int64_t layer, tnn__layer_tensor which); /* or NULL */
/* Dimensions, and their number. */
int tnn__layer_tensor_shape(const tnn_llama_hparams *hp, tnn__layer_tensor which, int64_t ne[2]);

/* "blk.<layer>.<part>.<suffix>" in a buffer for one name. */
typedef struct tnn__name_buffer {
    char text[TNN_GGUF_MAX_NAME + 1];
} tnn__name_buffer;
const char *tnn__linear_full_name(tnn__name_buffer *buf, int64_t layer, tnn__layer_linear which, const char *suffix);
/* Files hold ssm_a = -e^A_log; trained is A_log, under a name of its own. */
#define TNN__LOG_SUFFIX "_log"
const char *tnn__tensor_full_name(tnn__name_buffer *buf, const tnn_llama_hparams *hp, int64_t layer,
                                  tnn__layer_tensor which, bool trained);

/* E_UNSUPPORTED for a kind that is not known, E_ARG for one whose shape the hyperparameters do not give. */
tnn_status tnn__check_layer(const tnn_llama_arch *a, int64_t layer, tnn_error *err);

#endif
