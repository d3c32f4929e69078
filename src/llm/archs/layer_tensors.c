/* What a layer holds beside its linears, by name. */
#include <inttypes.h>
#include <stdio.h>

#include "llm/archs/llama_arch.h"

static const char *const names[TNN__N_LAYER_TENSORS] = {
    [TNN__TENSOR_ATTN_NORM] = "attn_norm.weight",
    [TNN__TENSOR_Q_NORM] = "attn_q_norm.weight",
    [TNN__TENSOR_K_NORM] = "attn_k_norm.weight",
    [TNN__TENSOR_CONV] = "ssm_conv1d.weight",
    [TNN__TENSOR_DECAY] = "ssm_a",
    [TNN__TENSOR_DT_BIAS] = "ssm_dt.bias",
    [TNN__TENSOR_GDN_NORM] = "ssm_norm.weight",
    [TNN__TENSOR_FFN_NORM] = "ffn_norm.weight",
};

const char *tnn__tensor_full_name(tnn__name_buffer *buf, const tnn_llama_hparams *hp, int64_t layer,
                                  tnn__layer_tensor which, bool trained) {
    const char *name = names[which];
    if (which == TNN__TENSOR_FFN_NORM && hp->post_norm) name = "post_attention_norm.weight";
    if (which == TNN__TENSOR_DECAY && trained) name = "ssm_a" TNN__LOG_SUFFIX;
    snprintf(buf->text, sizeof buf->text, "blk.%" PRId64 ".%s", layer, name);
    return buf->text;
}

static tnn_tensor **attention_tensor(const tnn_llama_hparams *hp, tnn__transformer_block *b, tnn__layer_tensor which) {
    tnn_tensor **const at[TNN__N_LAYER_TENSORS] = {
        [TNN__TENSOR_ATTN_NORM] = &b->attn_norm,
        [TNN__TENSOR_Q_NORM] = hp->qk_norm ? &b->q_norm : NULL,
        [TNN__TENSOR_K_NORM] = hp->qk_norm ? &b->k_norm : NULL,
        [TNN__TENSOR_FFN_NORM] = &b->ffn.norm,
    };
    return at[which];
}

static tnn_tensor **gdn_tensor(const tnn_llama_hparams *hp, tnn__gdn_block *b, tnn__layer_tensor which) {
    tnn_tensor **const at[TNN__N_LAYER_TENSORS] = {
        [TNN__TENSOR_ATTN_NORM] = &b->attn_norm, [TNN__TENSOR_CONV] = hp->gdn.conv_width > 0 ? &b->conv : NULL,
        [TNN__TENSOR_DECAY] = &b->decay,         [TNN__TENSOR_DT_BIAS] = &b->dt_bias,
        [TNN__TENSOR_GDN_NORM] = &b->norm,       [TNN__TENSOR_FFN_NORM] = &b->ffn.norm,
    };
    return at[which];
}

tnn_tensor **tnn__layer_tensor_at(const tnn_llama_arch *a, int64_t layer, tnn__layer_tensor which) {
    if (which == TNN__TENSOR_FFN_NORM && a->specs[layer].ffn == TNN_FFN_NONE) return NULL;
    if (a->specs[layer].mixer == TNN_MIXER_GDN) return gdn_tensor(&a->hparams, &a->gdn_blocks[layer], which);
    return attention_tensor(&a->hparams, &a->blocks[layer], which);
}

int tnn__layer_tensor_shape(const tnn_llama_hparams *hp, tnn__layer_tensor which, int64_t ne[2]) {
    const tnn_gdn_hparams *gdn = &hp->gdn;
    int64_t value = gdn->d_head * gdn->n_value_heads, channels = 2 * gdn->d_head * gdn->n_key_heads + value;
    const int64_t shapes[TNN__N_LAYER_TENSORS][2] = {
        [TNN__TENSOR_ATTN_NORM] = {hp->d_model},
        [TNN__TENSOR_Q_NORM] = {hp->d_head},
        [TNN__TENSOR_K_NORM] = {hp->d_head},
        [TNN__TENSOR_CONV] = {gdn->conv_width, channels},
        [TNN__TENSOR_DECAY] = {gdn->n_value_heads},
        [TNN__TENSOR_DT_BIAS] = {gdn->n_value_heads},
        [TNN__TENSOR_GDN_NORM] = {gdn->conv_width > 0 ? gdn->d_head : value},
        [TNN__TENSOR_FFN_NORM] = {hp->d_model},
    };
    ne[0] = shapes[which][0];
    ne[1] = shapes[which][1];
    return ne[1] > 0 ? 2 : 1;
}
