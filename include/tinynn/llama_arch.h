/*
 * The llama-family architecture in sequence mode: rows(token_embed, ids) -> [lens] -> blocks -> RMSNorm -> logits.
 * The arch owns its global handles (token embedding, final norm, output, lens) and a stack of blocks with a kind per
 * layer; tensors themselves live in a store. One forward serves training, evaluation, prefill and decoding.
 */
#ifndef TINYNN_LLAMA_ARCH_H
#define TINYNN_LLAMA_ARCH_H

#include <tinynn/gguf.h>
#include <tinynn/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What mixes tokens and what follows it, per layer. */
typedef enum tnn_mixer_kind { TNN_MIXER_ATTENTION = 0, TNN_MIXER_GDN = 1 } tnn_mixer_kind;
typedef enum tnn_ffn_kind { TNN_FFN_SWIGLU = 0, TNN_FFN_NONE = 1 } tnn_ffn_kind;

typedef struct tnn_layer_spec {
    tnn_mixer_kind mixer;
    tnn_ffn_kind ffn;
} tnn_layer_spec;

TNN_API const char *tnn_mixer_name(tnn_mixer_kind kind); /* "attention", "gated_delta_net"; "unknown" otherwise */

/*
 * Shape of the Gated DeltaNet layers of a stack (Yang et al. 2024). Value heads are tiled: value head n reads key head
 * n % n_key_heads.
 */
typedef struct tnn_gdn_hparams {
    int64_t n_key_heads;   /* 0: the stack has no such layers */
    int64_t n_value_heads; /* a multiple of n_key_heads */
    int64_t d_head;        /* of keys and values alike: a head's state is [d_head, d_head] */
    int64_t conv_width;    /* taps of the short convolution; 0: the simplified block, without it and without an FFN */
} tnn_gdn_hparams;

/* Hyperparameters, from GGUF metadata or from flags. */
typedef struct tnn_llama_hparams {
    char arch[32]; /* "llama", "qwen2", "qwen3", "smollm3", "qwen35", "llama-gdn" */
    int64_t n_vocab;
    int64_t n_ctx_train;
    int64_t d_model; /* E */
    int64_t n_layers;
    int64_t n_heads;    /* H */
    int64_t n_kv_heads; /* K */
    int64_t d_head;     /* D; n_heads * d_head need not equal d_model */
    int64_t d_ff;       /* F */
    float rms_eps;
    float attn_scale;      /* 1/sqrt(D) unless the file says otherwise */
    bool qkv_bias;         /* biases are required (qwen2); otherwise used where present */
    bool qk_norm;          /* RMSNorm over each head of q and k before RoPE (qwen3) */
    bool attn_gate;        /* attn_q holds a query and a gate for each head (qwen35) */
    bool post_norm;        /* the norm before the FFN is named post_attention_norm (qwen35) */
    int32_t nope_interval; /* n > 0: every nth layer has no RoPE (smollm3: 4) */
    bool tied;             /* no output.weight: logits use token_embd.weight */
    tnn_rope_config rope;
    tnn_gdn_hparams gdn;
    int64_t n_extra_layers; /* stored after the stack and not run: they predict further tokens (qwen35) */
} tnn_llama_hparams;

/*
 * Reads and checks hyperparameters: every required key present, every value in range, head counts that divide, an
 * architecture that is known (E_UNSUPPORTED names it and those that are).
 */
TNN_API tnn_status tnn_llama_hparams_from_gguf(tnn_llama_hparams *out, const tnn_gguf *g, tnn_error *err);

typedef struct tnn_llama_arch tnn_llama_arch;

/* A new arch holds null handles, one attention layer, no lens. Freed with tnn_llama_arch_free (the tensors are the
 * store's). */
TNN_API tnn_status tnn_llama_arch_new(tnn_llama_arch **out, tnn_session *s, const tnn_llama_hparams *hparams,
                                      tnn_error *err);
TNN_API void tnn_llama_arch_free(tnn_llama_arch *a); /* NULL is allowed */
TNN_API const tnn_llama_hparams *tnn_llama_arch_hparams(const tnn_llama_arch *a);

/* Resets the stack to n_layers attention layers without weights. E_RANGE unless 1 <= n_layers <= 4096; E_STATE after
 * weights. */
TNN_API tnn_status tnn_llama_arch_seed_blocks(tnn_llama_arch *a, int64_t n_layers, tnn_error *err);
/* Marks one layer as Gated DeltaNet. After seeding, before weights are bound (E_STATE); idx in range (E_RANGE). */
TNN_API tnn_status tnn_llama_arch_set_gdn_layer(tnn_llama_arch *a, int64_t idx, tnn_error *err);
TNN_API int64_t tnn_llama_arch_n_layers(const tnn_llama_arch *a);
TNN_API tnn_layer_spec tnn_llama_arch_layer_spec(const tnn_llama_arch *a, int64_t idx);
/* Seeds the stack of the file that the hyperparameters were read from: as many layers, marked as its metadata tells. */
TNN_API tnn_status tnn_llama_arch_seed_from_gguf(tnn_llama_arch *a, const tnn_gguf *g, tnn_error *err);

/*
 * Binds token_embd, output_norm and, when present, output (and rope_freqs) from a GGUF: borrowed at their stored type,
 * zero bytes copied; every shape checked against the hyperparameters. g must outlive the store.
 */
TNN_API tnn_status tnn_llama_arch_load_globals_from_gguf_mmap(tnn_llama_arch *a, tnn_store *st, const tnn_gguf *g,
                                                              tnn_error *err);
/*
 * The same for the tensors of every block of the stack. E_UNSUPPORTED for a tensor of a block that no part of the
 * forward reads (blocks beyond the stack included): left out, it would change the results.
 */
TNN_API tnn_status tnn_llama_arch_load_blocks_from_gguf_mmap(tnn_llama_arch *a, tnn_store *st, const tnn_gguf *g,
                                                             tnn_error *err);

/*
 * Trainable weights instead: F32 tensors of their own in st, zeroed, recorded by GGUF name and marked trainable.
 * donor_d_in > 0 puts a projection lens in front: token_embd.weight gets the donor's width and stays frozen, and
 * lens.proj.weight [donor_d_in, E] is trained; that needs an untied head unless the widths are equal (E_ARG). untied
 * says whether output.weight is there.
 */
TNN_API tnn_status tnn_llama_arch_alloc_globals_trainable_f32(tnn_llama_arch *a, tnn_store *st, int64_t donor_d_in,
                                                              bool untied, tnn_error *err);
TNN_API tnn_status tnn_llama_arch_alloc_blocks_trainable_f32(tnn_llama_arch *a, tnn_store *st, tnn_error *err);

/*
 * Random weights for every trainable tensor of st, each a function of (seed, name): matrices normal with deviation
 * 0.02, those that write into the residual stream divided by sqrt(2 n_layers) (Radford et al. 2019), norms 1, biases 0;
 * decays and convolutions of Gated DeltaNet as flash-linear-attention and PyTorch begin them.
 */
TNN_API tnn_status tnn_llama_arch_random_init(const tnn_llama_arch *a, tnn_store *st, uint64_t seed, tnn_error *err);

/*
 * Globals and blocks of a GGUF as trainable weights: F32 copies, dequantised, with whatever biases the file has;
 * rope_freqs is copied too and stays frozen; ssm_a = -e^A_log is trained as A_log, under the name ssm_a_log. Shapes are
 * checked as in the mmap forms. g may be closed afterwards.
 */
TNN_API tnn_status tnn_llama_arch_load_trainable_from_gguf(tnn_llama_arch *a, tnn_store *st, const tnn_gguf *g,
                                                           tnn_error *err);

/*
 * Fills an owned F32 tensor of a store from a stored one of the same shape, dequantised row by row. Errors: E_ARG for
 * another type, E_SHAPE (names both shapes), E_STATE for a borrowed tensor, E_UNSUPPORTED for a type that does not
 * convert; `to` is then as it was.
 */
TNN_API tnn_status tnn_tensor_copy_from_gguf(tnn_tensor *to, const tnn_gguf_tensor *from, tnn_error *err);

/*
 * A low-rank pair beside a linear (Hu et al. 2021): y += scale * B(A x), A F32 [in, r], B F32 [r, out]. name is the
 * linear's GGUF name ("blk.3.attn_q.weight", or "output.weight" of an untied model). Several pairs add up. The tensors
 * must outlive the arch. E_NOTFOUND for a name that is no linear (the error lists the kinds), E_UNSUPPORTED for the
 * output of a tied model, which has none of its own; E_SHAPE.
 */
TNN_API tnn_status tnn_llama_arch_attach_lora(tnn_llama_arch *a, const char *name, tnn_tensor *lora_a,
                                              tnn_tensor *lora_b, float scale, tnn_error *err);

/* What makes logits of x_final: output.weight, or the tied embedding. NULL before weights are bound. */
TNN_API tnn_tensor *tnn_llama_arch_head(const tnn_llama_arch *a);
/* The weight of a linear by GGUF name: of a block, or the untied output; NULL if there is none. */
TNN_API tnn_tensor *tnn_llama_arch_linear(const tnn_llama_arch *a, const char *name);

/*
 * One forward. ids I32 [T]; positions I32 [T]. The past comes from caches when caches is set (one per layer), otherwise
 * from this batch, rows seeing back to starts[t]. Which logit rows are wanted: none, all, or the rows
 * listed in logit_rows.
 */
typedef enum tnn_logits_mode { TNN_LOGITS_NONE, TNN_LOGITS_ALL, TNN_LOGITS_ROWS } tnn_logits_mode;

/* What a layer keeps of the past: attention its keys and values, Gated DeltaNet a state of constant size. */
typedef struct tnn_layer_cache {
    tnn_tensor *k; /* [D, capacity, K, slots] */
    tnn_tensor *v;
    tnn_tensor *state; /* F32 [d, d, V, slots] */
    tnn_tensor *conv;  /* F32 [channels, width - 1, slots]: the last inputs of the convolution, or NULL */
} tnn_layer_cache;

typedef struct tnn_forward_args {
    tnn_tensor *ids;
    tnn_tensor *positions;
    tnn_tensor *slots;             /* NULL: slot 0 */
    tnn_tensor *starts;            /* NULL: 0; without caches */
    tnn_tensor *mask;              /* NULL: causal alone */
    const tnn_layer_cache *caches; /* n_layers of them, or NULL */
    tnn_logits_mode logits;
    tnn_tensor *logit_rows; /* I32 [n]; TNN_LOGITS_ROWS only */
    bool recompute;         /* in training: keep what enters each layer, compute the rest again on the way back */
    /* Of what goes into low-rank pairs, in training; 0: none. samples I32 [T]: number of the sequence a row is of. */
    float lora_dropout;
    uint64_t dropout_seed;
    tnn_tensor *samples;
    const char *taps; /* comma-separated globs over tap names (blk.*.resid_post); matched tensors become outputs */
} tnn_forward_args;

typedef struct tnn_llama_arch_forward_out {
    tnn_tensor *x_embed; /* [E, T] (donor width before a lens) */
    tnn_tensor *x_final; /* [E, T] or [E, n rows]: after the final norm */
    tnn_tensor *logits;  /* [V, T], [V, n rows] or NULL */
} tnn_llama_arch_forward_out;

/* Errors latch in g (unknown layer kind: names kind and layer). */
TNN_API tnn_llama_arch_forward_out tnn_llama_arch_build_forward(const tnn_llama_arch *a, tnn_graph *g,
                                                                const tnn_forward_args *args);
/*
 * The losses of rows [T] from x_final of a forward with the same args: tnn_linear_xent of the head and, where one is
 * attached, its low-rank pair. E_UNSUPPORTED latches if there are several.
 */
TNN_API tnn_tensor *tnn_llama_arch_build_loss(const tnn_llama_arch *a, tnn_graph *g, const tnn_forward_args *args,
                                              tnn_tensor *x_final, tnn_tensor *targets, tnn_tensor *weights);

#ifdef __cplusplus
}
#endif
#endif
