/* Forward of the feed-forward. */
#include "llm/blocks/block.h"
#include "llm/taps.h"

tnn_tensor *tnn__ffn_forward(const tnn__ffn *ffn, const tnn__block_ctx *ctx, tnn_graph *g, int64_t layer,
                             tnn_tensor *x) {
    tnn_tensor *h = tnn_rms_norm(g, x, ffn->norm, ctx->hparams->rms_eps);
    tnn_tensor *y = tnn__swiglu_ffn(g, ctx->args, ffn->gate, ffn->up, ffn->down, h);
    return tnn_add(g, x, tnn__tap(g, ctx->args->taps, layer, "ffn_out", y));
}
