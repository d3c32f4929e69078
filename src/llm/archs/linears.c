/* The linears of a block by name, and low-rank pairs beside them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llm/archs/llama_arch.h"

static const char *const names[TNN__N_BLOCK_LINEARS] = {
    [TNN__BLOCK_Q] = "attn_q",           [TNN__BLOCK_K] = "attn_k",      [TNN__BLOCK_V] = "attn_v",
    [TNN__BLOCK_OUTPUT] = "attn_output", [TNN__BLOCK_GATE] = "ffn_gate", [TNN__BLOCK_UP] = "ffn_up",
    [TNN__BLOCK_DOWN] = "ffn_down",
};

const char *tnn__block_linear_name(tnn__block_linear which) {
    return names[which];
}

tnn__linear *tnn__block_linear_at(tnn__transformer_block *b, tnn__block_linear which) {
    tnn__linear *const at[TNN__N_BLOCK_LINEARS] = {&b->q, &b->k, &b->v, &b->output, &b->gate, &b->up, &b->down};
    return at[which];
}

void tnn__block_linear_shape(const tnn_llama_hparams *hp, tnn__block_linear which, int64_t *n_in, int64_t *n_out) {
    int64_t e = hp->d_model, q = hp->d_head * hp->n_heads, kv = hp->d_head * hp->n_kv_heads, f = hp->d_ff;
    const int64_t shapes[TNN__N_BLOCK_LINEARS][2] = {{e, q}, {e, kv}, {e, kv}, {q, e}, {e, f}, {e, f}, {f, e}};
    *n_in = shapes[which][0];
    *n_out = shapes[which][1];
}

bool tnn__block_linear_needs_bias(const tnn_llama_hparams *hp, tnn__block_linear which) {
    return hp->qkv_bias && (which == TNN__BLOCK_Q || which == TNN__BLOCK_K || which == TNN__BLOCK_V);
}

const char *tnn__block_name(tnn__name_buffer *buf, int64_t layer, const char *part, const char *suffix) {
    snprintf(buf->text, sizeof buf->text, "blk.%" PRId64 ".%s.%s", layer, part, suffix);
    return buf->text;
}

static tnn__linear *find_linear(const tnn_llama_arch *a, const char *name) {
    if (strncmp(name, "blk.", 4) != 0) return NULL;
    char *rest;
    int64_t layer = strtoll(name + 4, &rest, 10);
    if (rest == name + 4 || layer < 0 || layer >= a->n_layers) return NULL;
    for (int i = 0; i < TNN__N_BLOCK_LINEARS; i++) {
        tnn__name_buffer full;
        if (strcmp(name, tnn__block_name(&full, layer, names[i], "weight")) == 0) {
            return tnn__block_linear_at(&a->blocks[layer], (tnn__block_linear)i);
        }
    }
    return NULL;
}

tnn_tensor *tnn_llama_arch_linear(const tnn_llama_arch *a, const char *name) {
    tnn__linear *l = find_linear(a, name);
    return l ? l->weight : NULL;
}

tnn_status tnn_llama_arch_attach_lora(tnn_llama_arch *a, const char *name, tnn_tensor *lora_a, tnn_tensor *lora_b,
                                      float scale, tnn_error *err) {
    tnn__linear *l = find_linear(a, name);
    if (!l || !l->weight) {
        return tnn__fail(
            err, TNN_E_NOTFOUND,
            "%s is no linear of this model; adapters go beside blk.N.attn_q, attn_k, attn_v, attn_output, ffn_gate, "
            "ffn_up, ffn_down (.weight)",
            name);
    }
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
