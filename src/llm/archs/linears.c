/* The linears of a layer by name, and low-rank pairs beside them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llm/archs/llama_arch.h"

static const char *const names[TNN__N_LAYER_LINEARS] = {
    [TNN__LINEAR_Q] = "attn_q",           [TNN__LINEAR_K] = "attn_k",
    [TNN__LINEAR_V] = "attn_v",           [TNN__LINEAR_ATTN_OUTPUT] = "attn_output",
    [TNN__LINEAR_QKV] = "attn_qkv",       [TNN__LINEAR_Z] = "attn_gate",
    [TNN__LINEAR_ALPHA] = "ssm_alpha",    [TNN__LINEAR_BETA] = "ssm_beta",
    [TNN__LINEAR_GDN_OUTPUT] = "ssm_out", [TNN__LINEAR_GATE] = "ffn_gate",
    [TNN__LINEAR_UP] = "ffn_up",          [TNN__LINEAR_DOWN] = "ffn_down",
};

const char *tnn__layer_linear_name(tnn__layer_linear which) {
    return names[which];
}

static tnn__linear *attention_linear(tnn__transformer_block *b, tnn__layer_linear which) {
    tnn__linear *const at[TNN__N_LAYER_LINEARS] = {
        [TNN__LINEAR_Q] = &b->q,
        [TNN__LINEAR_K] = &b->k,
        [TNN__LINEAR_V] = &b->v,
        [TNN__LINEAR_ATTN_OUTPUT] = &b->output,
    };
    return at[which];
}

static tnn__linear *gdn_linear(tnn__gdn_block *b, tnn__layer_linear which) {
    tnn__linear *const at[TNN__N_LAYER_LINEARS] = {
        [TNN__LINEAR_QKV] = &b->qkv,           [TNN__LINEAR_Z] = &b->z,
        [TNN__LINEAR_ALPHA] = &b->alpha,       [TNN__LINEAR_BETA] = &b->beta,
        [TNN__LINEAR_GDN_OUTPUT] = &b->output,
    };
    return at[which];
}

static tnn__linear *ffn_linear(tnn__ffn *ffn, tnn__layer_linear which) {
    tnn__linear *const at[TNN__N_LAYER_LINEARS] = {
        [TNN__LINEAR_GATE] = &ffn->gate,
        [TNN__LINEAR_UP] = &ffn->up,
        [TNN__LINEAR_DOWN] = &ffn->down,
    };
    return at[which];
}

tnn__linear *tnn__layer_linear_at(const tnn_llama_arch *a, int64_t layer, tnn__layer_linear which) {
    bool gdn = a->specs[layer].mixer == TNN_MIXER_GDN;
    tnn__linear *mixer = gdn ? gdn_linear(&a->gdn_blocks[layer], which) : attention_linear(&a->blocks[layer], which);
    if (mixer || a->specs[layer].ffn == TNN_FFN_NONE) return mixer;
    return ffn_linear(gdn ? &a->gdn_blocks[layer].ffn : &a->blocks[layer].ffn, which);
}

void tnn__layer_linear_shape(const tnn_llama_hparams *hp, tnn__layer_linear which, int64_t *n_in, int64_t *n_out) {
    const tnn_gdn_hparams *gdn = &hp->gdn;
    int64_t e = hp->d_model, f = hp->d_ff, q = hp->d_head * hp->n_heads, kv = hp->d_head * hp->n_kv_heads;
    int64_t key = gdn->d_head * gdn->n_key_heads, value = gdn->d_head * gdn->n_value_heads;
    const int64_t shapes[TNN__N_LAYER_LINEARS][2] = {
        [TNN__LINEAR_Q] = {e, hp->attn_gate ? 2 * q : q},
        [TNN__LINEAR_K] = {e, kv},
        [TNN__LINEAR_V] = {e, kv},
        [TNN__LINEAR_ATTN_OUTPUT] = {q, e},
        [TNN__LINEAR_QKV] = {e, 2 * key + value},
        [TNN__LINEAR_Z] = {e, value},
        [TNN__LINEAR_ALPHA] = {e, gdn->n_value_heads},
        [TNN__LINEAR_BETA] = {e, gdn->n_value_heads},
        [TNN__LINEAR_GDN_OUTPUT] = {value, e},
        [TNN__LINEAR_GATE] = {e, f},
        [TNN__LINEAR_UP] = {e, f},
        [TNN__LINEAR_DOWN] = {f, e},
    };
    *n_in = shapes[which][0];
    *n_out = shapes[which][1];
}

double tnn__layer_products(const tnn_llama_arch *a, int64_t layer, int64_t seen) {
    const tnn_llama_hparams *hp = &a->hparams;
    double products = 0;
    for (int i = 0; i < TNN__N_LAYER_LINEARS; i++) {
        int64_t n_in, n_out;
        tnn__layer_linear_shape(hp, (tnn__layer_linear)i, &n_in, &n_out);
        if (tnn__layer_linear_at(a, layer, (tnn__layer_linear)i)) products += (double)n_in * (double)n_out;
    }
    /* A state of each value head is decayed, read and written; a key of each query head is compared, its value added.
     */
    if (a->specs[layer].mixer == TNN_MIXER_GDN)
        return products + 3.0 * (double)(hp->gdn.n_value_heads * hp->gdn.d_head * hp->gdn.d_head);
    return products + 2.0 * (double)(hp->n_heads * hp->d_head) * (double)seen;
}

bool tnn__layer_linear_needs_bias(const tnn_llama_hparams *hp, tnn__layer_linear which) {
    return hp->qkv_bias && (which == TNN__LINEAR_Q || which == TNN__LINEAR_K || which == TNN__LINEAR_V);
}

const char *tnn__linear_full_name(tnn__name_buffer *buf, int64_t layer, tnn__layer_linear which, const char *suffix) {
    snprintf(buf->text, sizeof buf->text, "blk.%" PRId64 ".%s.%s", layer, names[which], suffix);
    return buf->text;
}

static const char output_name[] = "output.weight";

static tnn__linear *layer_linear(const tnn_llama_arch *a, const char *name) {
    if (strncmp(name, "blk.", 4) != 0) return NULL;
    char *rest;
    int64_t layer = strtoll(name + 4, &rest, 10);
    if (rest == name + 4 || layer < 0 || layer >= a->n_layers) return NULL;
    for (int i = 0; i < TNN__N_LAYER_LINEARS; i++) {
        tnn__name_buffer full;
        if (strcmp(name, tnn__linear_full_name(&full, layer, (tnn__layer_linear)i, "weight")) == 0) {
            return tnn__layer_linear_at(a, layer, (tnn__layer_linear)i);
        }
    }
    return NULL;
}

tnn__linear *tnn__find_linear(tnn_llama_arch *a, const char *name) {
    if (strcmp(name, output_name) == 0) return a->output.weight ? &a->output : NULL;
    return layer_linear(a, name);
}

tnn_tensor *tnn_llama_arch_linear(const tnn_llama_arch *a, const char *name) {
    if (strcmp(name, output_name) == 0) return a->output.weight;
    const tnn__linear *l = layer_linear(a, name);
    return l ? l->weight : NULL;
}

static tnn_status no_linear(const tnn_llama_arch *a, const char *name, tnn_error *err) {
    if (a->token_embed && strcmp(name, output_name) == 0)
        return tnn__fail(err, TNN_E_UNSUPPORTED,
                         "output.weight: the output of this model is its token embedding (they are tied), which takes "
                         "no adapter; train it with the recipe full");
    return tnn__fail(
        err, TNN_E_NOTFOUND,
        "%s is no linear of this model; adapters go beside blk.N.attn_q, attn_k, attn_v, attn_output, ffn_gate, "
        "ffn_up, ffn_down, in Gated DeltaNet layers attn_qkv, attn_gate, ssm_alpha, ssm_beta, ssm_out, and beside "
        "output (.weight)",
        name);
}

tnn_status tnn_llama_arch_attach_lora(tnn_llama_arch *a, const char *name, tnn_tensor *lora_a, tnn_tensor *lora_b,
                                      float scale, tnn_error *err) {
    tnn__linear *l = tnn__find_linear(a, name);
    tnn_status status = l && l->weight ? TNN_OK : no_linear(a, name, err);
    if (status) return status;
    const int64_t *w = tnn_tensor_ne(l->weight), *ne_a = tnn_tensor_ne(lora_a), *ne_b = tnn_tensor_ne(lora_b);
    if (tnn_tensor_type(lora_a) != TNN_TYPE_F32 || tnn_tensor_type(lora_b) != TNN_TYPE_F32 || ne_a[0] != w[0] ||
        ne_b[1] != w[1] || ne_a[1] != ne_b[0]) {
        return tnn__fail(err, TNN_E_SHAPE,
                         "adapter of %s: A [%" PRId64 ", %" PRId64 "] and B [%" PRId64 ", %" PRId64
                         "] do not fit W [%" PRId64 ", %" PRId64 "]",
                         name, ne_a[0], ne_a[1], ne_b[0], ne_b[1], w[0], w[1]);
    }
    tnn__lora *pair = tnn__arena_push(&a->arena, sizeof *pair);
    if (!pair) return tnn__fail_nomem(err, "an adapter", sizeof *pair);
    pair->a = lora_a;
    pair->b = lora_b;
    pair->scale = scale;
    tnn__lora **end = &l->lora;
    while (*end) {
        end = &(*end)->next;
    }
    *end = pair;
    return TNN_OK;
}
