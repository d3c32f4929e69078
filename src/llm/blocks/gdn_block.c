/* Forward of the Gated DeltaNet block. */
#include "llm/blocks/gdn_block.h"

#include "llm/taps.h"

/* Added to |q|^2 and |k|^2 before they are normalised, as the models were trained; the simplified block takes its own.
 */
#define QWEN_L2_EPS 1e-6f

/* The delta rule over this batch or the carried state. h [E, T] -> [d*V, T]. */
static tnn_tensor *mix(const tnn__gdn_block *b, const tnn__block_ctx *ctx, tnn_graph *g, int64_t layer, tnn_tensor *h) {
    const tnn_llama_hparams *hp = ctx->hparams;
    const tnn_forward_args *args = ctx->args;
    const tnn_layer_cache *cache = args->caches ? &args->caches[layer] : NULL;
    /* The projections before anything else: they read the same rows and can run side by side. */
    tnn_tensor *qkv = tnn__linear_build(g, args, b->qkv, h), *z = tnn__linear_build(g, args, b->z, h);
    tnn_tensor *alpha = tnn__linear_build(g, args, b->alpha, h), *beta = tnn__linear_build(g, args, b->beta, h);
    if (b->conv) {
        tnn_conv1d_args conv = {cache ? cache->conv : NULL, args->positions, args->slots, args->starts};
        qkv = tnn_conv1d_silu(g, qkv, b->conv, &conv);
    }
    tnn_tensor *decay = tnn_gdn_decay(g, alpha, b->dt_bias, b->decay, b->decay_form);
    decay = tnn__tap(g, args->taps, layer, "decay", decay);
    beta = tnn__tap(g, args->taps, layer, "beta", tnn_sigmoid(g, beta));
    tnn_gdn_args rule = {
        .d_k = hp->gdn.d_head,
        .d_v = hp->gdn.d_head,
        .n_k_heads = hp->gdn.n_key_heads,
        .n_v_heads = hp->gdn.n_value_heads,
        .norm = TNN_L2_EPS_ADDED,
        .norm_eps = b->conv ? QWEN_L2_EPS : hp->rms_eps,
        .tiled = true,
        .state = cache ? cache->state : NULL,
        .positions = args->positions,
        .slots = args->slots,
        .starts = args->starts,
    };
    tnn_tensor *o = tnn_gated_delta_net(g, qkv, NULL, NULL, decay, beta, &rule);
    tnn__tap_states(g, args->taps, layer, o);
    if (!b->conv) return tnn_rms_norm_gated(g, tnn__join_heads(g, o), b->norm, z, hp->rms_eps);
    z = tnn__split_heads(g, z, hp->gdn.d_head);
    return tnn__join_heads(g, tnn_rms_norm_gated(g, o, b->norm, z, hp->rms_eps));
}

tnn_tensor *tnn__gdn_block_forward(const tnn__gdn_block *b, const tnn__block_ctx *ctx, tnn_graph *g, int64_t layer,
                                   tnn_tensor *x, tnn_tensor *keep_rows) {
    const char *taps = ctx->args->taps;
    tnn_tensor *h = tnn__tap(g, taps, layer, "attn_norm", tnn_rms_norm(g, x, b->attn_norm, ctx->hparams->rms_eps));
    tnn_tensor *mixed = mix(b, ctx, g, layer, h);
    if (keep_rows) {
        mixed = tnn_rows(g, mixed, keep_rows);
        x = tnn_rows(g, x, keep_rows);
    }
    tnn_tensor *out = tnn__tap(g, taps, layer, "attn_out", tnn__linear_build(g, ctx->args, b->output, mixed));
    x = tnn_add(g, x, out);
    if (b->ffn.norm) x = tnn__ffn_forward(&b->ffn, ctx, g, layer, x);
    return tnn__tap(g, taps, layer, "resid_post", x);
}
