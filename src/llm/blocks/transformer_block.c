/* Forward of the attention block. */
#include "llm/blocks/transformer_block.h"

#include "llm/taps.h"

static bool has_rope(const tnn_llama_hparams *hp, int64_t layer) {
    return hp->nope_interval == 0 || (layer + 1) % hp->nope_interval != 0;
}

/* Grouped-query attention (Ainslie et al. 2023) over this batch or the cache. h [E, T] -> [D*H, T]. */
static tnn_tensor *gqa(const tnn__transformer_block *b, const tnn__block_ctx *ctx, tnn_graph *g, int64_t layer,
                       tnn_tensor *h) {
    const tnn_llama_hparams *hp = ctx->hparams;
    const tnn_forward_args *args = ctx->args;
    /* The three projections before anything else: they read the same rows and can run side by side. */
    tnn_tensor *q =
        tnn__split_heads(g, tnn__linear_build(g, args, b->q, h), hp->attn_gate ? 2 * hp->d_head : hp->d_head);
    tnn_tensor *k = tnn__split_heads(g, tnn__linear_build(g, args, b->k, h), hp->d_head);
    tnn_tensor *v = tnn__split_heads(g, tnn__linear_build(g, args, b->v, h), hp->d_head);
    tnn_tensor *gate = hp->attn_gate ? tnn_slice(g, q, hp->d_head, hp->d_head) : NULL;
    if (hp->attn_gate) q = tnn_slice(g, q, 0, hp->d_head);
    if (b->q_norm) q = tnn_rms_norm(g, q, b->q_norm, hp->rms_eps);
    if (b->k_norm) k = tnn_rms_norm(g, k, b->k_norm, hp->rms_eps);
    if (has_rope(hp, layer)) {
        q = tnn_rope(g, q, ctx->angles, &hp->rope);
        k = tnn_rope(g, k, ctx->angles, &hp->rope);
    }
    tnn_attention_args attention = {.scale = hp->attn_scale, .starts = args->starts, .mask = args->mask};
    if (args->caches) {
        k = tnn_kv_append(g, args->caches[layer].k, k, args->positions, args->slots);
        v = tnn_kv_append(g, args->caches[layer].v, v, args->positions, args->slots);
        attention.positions = args->positions;
        attention.slots = args->slots;
    }
    tnn_tensor *mixed = tnn_attention(g, q, k, v, &attention);
    if (hp->attn_gate) mixed = tnn_sigmoid_gate(g, mixed, gate);
    return tnn__join_heads(g, mixed);
}

tnn_tensor *tnn__transformer_block_forward(const tnn__transformer_block *b, const tnn__block_ctx *ctx, tnn_graph *g,
                                           int64_t layer, tnn_tensor *x, tnn_tensor *keep_rows) {
    const char *taps = ctx->args->taps;
    tnn_tensor *h = tnn__tap(g, taps, layer, "attn_norm", tnn_rms_norm(g, x, b->attn_norm, ctx->hparams->rms_eps));
    tnn_tensor *mixed = gqa(b, ctx, g, layer, h);
    if (keep_rows) {
        mixed = tnn_rows(g, mixed, keep_rows);
        x = tnn_rows(g, x, keep_rows);
    }
    tnn_tensor *attn_out = tnn__tap(g, taps, layer, "attn_out", tnn__linear_build(g, ctx->args, b->output, mixed));
    x = tnn__ffn_forward(&b->ffn, ctx, g, layer, tnn_add(g, x, attn_out));
    return tnn__tap(g, taps, layer, "resid_post", x);
}
