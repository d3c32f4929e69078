/*
 * The llama-family architecture: its global handles, its stack of layers and the one forward they share.
 */
#include "llm/archs/llama_arch.h"

#include <inttypes.h>

#include "llm/taps.h"

const char *tnn_mixer_name(tnn_mixer_kind kind) {
    switch (kind) {
    case TNN_MIXER_ATTENTION:
        return "attention";
    case TNN_MIXER_GDN:
        return "gated_delta_net";
    }
    return "unknown";
}

/* --- construction --- */

static void free_stack(tnn_llama_arch *a) {
    const tnn_allocator *alloc = &a->session->alloc;
    tnn__free_array(alloc, a->specs, (size_t)a->n_layers, sizeof *a->specs);
    tnn__free_array(alloc, a->blocks, (size_t)a->n_layers, sizeof *a->blocks);
    tnn__free_array(alloc, a->gdn_blocks, (size_t)a->n_layers, sizeof *a->gdn_blocks);
}

tnn_status tnn_llama_arch_new(tnn_llama_arch **out, tnn_session *s, const tnn_llama_hparams *hparams, tnn_error *err) {
    *out = NULL;
    tnn_llama_arch *a = tnn__calloc(&s->alloc, sizeof *a, TNN__ALIGN);
    if (!a) return tnn__fail_nomem(err, "an architecture", sizeof *a);
    a->session = s;
    a->hparams = *hparams;
    tnn__arena_init(&a->arena, &s->alloc, 0);
    tnn_status status = tnn_llama_arch_seed_blocks(a, 1, err);
    if (status) {
        tnn_llama_arch_free(a);
        return status;
    }
    *out = a;
    return TNN_OK;
}

void tnn_llama_arch_free(tnn_llama_arch *a) {
    if (!a) return;
    free_stack(a);
    tnn__arena_free(&a->arena);
    tnn__free(&a->session->alloc, a, sizeof *a, TNN__ALIGN);
}

const tnn_llama_hparams *tnn_llama_arch_hparams(const tnn_llama_arch *a) {
    return &a->hparams;
}

tnn_status tnn_llama_arch_seed_blocks(tnn_llama_arch *a, int64_t n_layers, tnn_error *err) {
    if (a->bound) return tnn__fail(err, TNN_E_STATE, "layers are seeded before weights are bound");
    if (n_layers < 1 || n_layers > TNN__MAX_LAYERS) {
        return tnn__fail(err, TNN_E_RANGE, "%" PRId64 " layers: give 1 to %d", n_layers, TNN__MAX_LAYERS);
    }
    const tnn_allocator *alloc = &a->session->alloc;
    tnn_layer_spec *specs = tnn__calloc_array(alloc, (size_t)n_layers, sizeof *specs);
    tnn__transformer_block *blocks = tnn__calloc_array(alloc, (size_t)n_layers, sizeof *blocks);
    tnn__gdn_block *gdn_blocks = tnn__calloc_array(alloc, (size_t)n_layers, sizeof *gdn_blocks);
    if (!specs || !blocks || !gdn_blocks) {
        tnn__free_array(alloc, specs, (size_t)n_layers, sizeof *specs);
        tnn__free_array(alloc, blocks, (size_t)n_layers, sizeof *blocks);
        tnn__free_array(alloc, gdn_blocks, (size_t)n_layers, sizeof *gdn_blocks);
        return tnn__fail_nomem(err, "the layers",
                               (size_t)n_layers * (sizeof *specs + sizeof *blocks + sizeof *gdn_blocks));
    }
    free_stack(a);
    a->specs = specs; /* zeroed: attention, swiglu */
    a->blocks = blocks;
    a->gdn_blocks = gdn_blocks;
    a->n_layers = n_layers;
    a->hparams.n_layers = n_layers;
    return TNN_OK;
}

tnn_status tnn_llama_arch_set_gdn_layer(tnn_llama_arch *a, int64_t idx, tnn_error *err) {
    if (a->bound) return tnn__fail(err, TNN_E_STATE, "layer %" PRId64 " is marked before weights are bound", idx);
    if (idx < 0 || idx >= a->n_layers) {
        return tnn__fail(err, TNN_E_RANGE, "layer %" PRId64 " is outside 0..%" PRId64, idx, a->n_layers - 1);
    }
    a->specs[idx].mixer = TNN_MIXER_GDN;
    if (a->hparams.gdn.conv_width == 0) a->specs[idx].ffn = TNN_FFN_NONE;
    return TNN_OK;
}

int64_t tnn_llama_arch_n_layers(const tnn_llama_arch *a) {
    return a->n_layers;
}

tnn_layer_spec tnn_llama_arch_layer_spec(const tnn_llama_arch *a, int64_t idx) {
    return idx >= 0 && idx < a->n_layers ? a->specs[idx] : (tnn_layer_spec){0};
}

tnn_status tnn__check_layer(const tnn_llama_arch *a, int64_t layer, tnn_error *err) {
    tnn_layer_spec spec = a->specs[layer];
    bool known_ffn = spec.ffn == TNN_FFN_SWIGLU || (spec.ffn == TNN_FFN_NONE && spec.mixer == TNN_MIXER_GDN);
    if ((spec.mixer != TNN_MIXER_ATTENTION && spec.mixer != TNN_MIXER_GDN) || !known_ffn) {
        return tnn__fail(err, TNN_E_UNSUPPORTED,
                         "layer %" PRId64 ": kind %s (%d) with feed-forward %s (%d) cannot be run", layer,
                         tnn_mixer_name(spec.mixer), (int)spec.mixer, known_ffn ? "swiglu or none" : "unknown",
                         (int)spec.ffn);
    }
    if (spec.mixer == TNN_MIXER_GDN && a->hparams.gdn.n_key_heads < 1) {
        return tnn__fail(err, TNN_E_ARG,
                         "layer %" PRId64 ": kind %s, and the hyperparameters give such layers no heads", layer,
                         tnn_mixer_name(spec.mixer));
    }
    return TNN_OK;
}

tnn_tensor *tnn_llama_arch_head(const tnn_llama_arch *a) {
    return a->output.weight ? a->output.weight : a->token_embed;
}

/* --- forward --- */

static tnn_tensor *layer_forward(const tnn_llama_arch *a, const tnn__block_ctx *ctx, tnn_graph *g, int64_t layer,
                                 tnn_tensor *x, tnn_tensor *keep_rows) {
    tnn_error err;
    if (tnn__check_layer(a, layer, &err)) {
        tnn_graph_fail(g, err.status, err.text);
        return NULL;
    }
    if (a->specs[layer].mixer == TNN_MIXER_GDN)
        return tnn__gdn_block_forward(&a->gdn_blocks[layer], ctx, g, layer, x, keep_rows);
    return tnn__transformer_block_forward(&a->blocks[layer], ctx, g, layer, x, keep_rows);
}

tnn_llama_arch_forward_out tnn_llama_arch_build_forward(const tnn_llama_arch *a, tnn_graph *g,
                                                        const tnn_forward_args *args) {
    tnn_llama_arch_forward_out out = {0};
    if (!a->bound || !a->token_embed) {
        tnn_graph_fail(g, TNN_E_STATE, "the architecture has no weights yet");
        return out;
    }
    if (args->logits == TNN_LOGITS_ROWS && !args->logit_rows) {
        tnn_graph_fail(g, TNN_E_ARG, "logits of rows are wanted, and logit_rows does not say of which");
        return out;
    }
    const tnn_llama_hparams *hp = &a->hparams;
    tnn__block_ctx ctx = {.hparams = hp, .args = args};
    ctx.angles = tnn_rope_angles(g, args->positions, a->rope_factors, &hp->rope);

    out.x_embed = tnn__tap(g, args->taps, -1, "embed", tnn_rows(g, a->token_embed, args->ids));
    tnn_tensor *x = out.x_embed;
    if (a->w_proj) x = tnn__tap(g, args->taps, -1, "lens", tnn_linear(g, a->w_proj, x, NULL));

    /* Rows nobody wants logits of need not go through the last feed-forward, unless somebody taps it. */
    tnn_tensor *keep = args->logits == TNN_LOGITS_ROWS ? args->logit_rows : NULL;
    for (int64_t i = 0; i < a->n_layers; i++) {
        if (args->recompute) x = tnn_checkpoint(g, x);
        bool drop_here = i == a->n_layers - 1 && !args->taps;
        x = layer_forward(a, &ctx, g, i, x, drop_here ? keep : NULL);
        if (drop_here) keep = NULL;
    }
    if (args->recompute) x = tnn_checkpoint(g, x);
    if (keep) x = tnn_rows(g, x, keep);
    out.x_final = tnn__tap(g, args->taps, -1, "final_norm", tnn_rms_norm(g, x, a->final_norm_gamma, hp->rms_eps));
    if (args->logits != TNN_LOGITS_NONE) {
        tnn__linear head = {tnn_llama_arch_head(a), NULL, a->output.lora};
        out.logits = tnn_output(g, tnn__linear_build(g, args, head, out.x_final), "logits");
    }
    return out;
}

tnn_tensor *tnn_llama_arch_build_loss(const tnn_llama_arch *a, tnn_graph *g, const tnn_forward_args *args,
                                      tnn_tensor *x_final, tnn_tensor *targets, tnn_tensor *weights) {
    tnn_tensor *head = tnn_llama_arch_head(a);
    const tnn__lora *pair = a->output.lora;
    if (!pair) return tnn_linear_xent(g, head, x_final, targets, weights);
    if (pair->next) {
        tnn_graph_fail(g, TNN_E_UNSUPPORTED,
                       "a loss takes one low-rank pair beside output.weight; merge the others into the model first");
        return NULL;
    }
    tnn_tensor *low = tnn__lora_low(g, args, pair, x_final);
    return tnn_linear_xent_pair(g, head, x_final, pair->b, low, targets, weights);
}
