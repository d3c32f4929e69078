/*
 * Tiny models put together in code: metadata and tensors of any architecture of the family, to be changed by a test
 * before they are written. Weights are random, or follow a script: a chain of ids each of which makes the next the
 * likeliest, by a wide margin.
 */
#ifndef TNN_TEST_TINY_MODEL_H
#define TNN_TEST_TINY_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tinynn/gguf.h>

#include "base/rng.h"
#include "support/tiny_vocab.h"

typedef struct tiny_model {
    const char *arch;
    int64_t n_vocab; /* without a tokenizer */
    int64_t d_model, n_layers, n_heads, n_kv_heads, d_head, d_ff, n_ctx;
    tnn_type type;         /* of matrices */
    bool untied, biases;   /* optional tensors */
    bool rope_freqs;       /* the same */
    bool tokenizer;        /* of add_chatml_vocab and TINY_SPLIT: then n_vocab is TINY_VOCAB */
    int64_t gdn_key_heads; /* of qwen35 and llama-gdn; 0: neither */
    int64_t gdn_value_heads, gdn_d_head, gdn_conv, gdn_interval;
    int64_t n_extra;       /* layers after the stack, of n_layers */
    const char *drop_key;  /* is left out */
    const int32_t *script; /* needs untied and n_heads * d_head == d_model */
    int n_script;
} tiny_model;

enum {
    TINY_SPLIT = 269,
    TINY_VOCAB = 270,
    TINY_MAX_TENSORS = 160
}; /* TINY_SPLIT: "z" and the first byte of a character */

static inline tiny_model tiny_model_default(void) {
    return (tiny_model){
        .arch = "llama",
        .n_vocab = 40,
        .d_model = 32,
        .n_layers = 2,
        .n_heads = 4,
        .n_kv_heads = 2,
        .d_head = 8,
        .d_ff = 48,
        .n_ctx = 64,
        .type = TNN_TYPE_F32,
    };
}

/* Four layers, three of them Gated DeltaNet, whose value heads are tiled. */
static inline tiny_model tiny_model_hybrid(void) {
    tiny_model m = tiny_model_default();
    m.arch = "qwen35";
    m.n_layers = 4;
    m.gdn_key_heads = 2;
    m.gdn_value_heads = 4;
    m.gdn_d_head = 8;
    m.gdn_conv = 4;
    m.gdn_interval = 4;
    return m;
}

static inline bool tiny_is_gdn(const tiny_model *m, int64_t layer) {
    return m->gdn_key_heads > 0 && layer < m->n_layers - m->n_extra && (layer + 1) % m->gdn_interval != 0;
}

static inline int64_t tiny_n_vocab(const tiny_model *m) {
    return m->tokenizer ? TINY_VOCAB : m->n_vocab;
}

/* --- tensors --- */

typedef struct tiny_tensor {
    char name[64];
    int n_dims;
    int64_t ne[4];
    tnn_type type;
} tiny_tensor;

typedef struct tiny_tensors {
    tiny_tensor at[TINY_MAX_TENSORS];
    int n;
} tiny_tensors;

static inline void tiny_add(tiny_tensors *list, const char *name, tnn_type type, int64_t n_in, int64_t n_out) {
    assert_true(list->n < TINY_MAX_TENSORS);
    tiny_tensor *t = &list->at[list->n++];
    *t = (tiny_tensor){.n_dims = n_out ? 2 : 1, .ne = {n_in, n_out ? n_out : 1, 1, 1}, .type = type};
    snprintf(t->name, sizeof t->name, "%s", name);
}

static inline void tiny_add_part(tiny_tensors *list, int64_t layer, const char *part, tnn_type type, int64_t n_in,
                                 int64_t n_out) {
    char name[64];
    snprintf(name, sizeof name, "blk.%d.%s", (int)layer, part);
    tiny_add(list, name, type, n_in, n_out);
}

static inline void tiny_add_linear(tiny_tensors *list, const tiny_model *m, int64_t layer, const char *part,
                                   int64_t n_in, int64_t n_out, bool bias) {
    char name[48];
    snprintf(name, sizeof name, "%s.weight", part);
    tiny_add_part(list, layer, name, m->type, n_in, n_out);
    snprintf(name, sizeof name, "%s.bias", part);
    if (bias) tiny_add_part(list, layer, name, TNN_TYPE_F32, n_out, 0);
}

static inline void tiny_add_attention(tiny_tensors *list, const tiny_model *m, int64_t layer) {
    int64_t e = m->d_model, q = m->d_head * m->n_heads, kv = m->d_head * m->n_kv_heads;
    bool qwen2 = strcmp(m->arch, "qwen2") == 0, qwen35 = strcmp(m->arch, "qwen35") == 0;
    bool qk_norm = qwen35 || strcmp(m->arch, "qwen3") == 0;
    if (qk_norm) tiny_add_part(list, layer, "attn_q_norm.weight", TNN_TYPE_F32, m->d_head, 0);
    if (qk_norm) tiny_add_part(list, layer, "attn_k_norm.weight", TNN_TYPE_F32, m->d_head, 0);
    tiny_add_linear(list, m, layer, "attn_q", e, qwen35 ? 2 * q : q, qwen2 || m->biases);
    tiny_add_linear(list, m, layer, "attn_k", e, kv, qwen2 || m->biases);
    tiny_add_linear(list, m, layer, "attn_v", e, kv, qwen2 || m->biases);
    tiny_add_linear(list, m, layer, "attn_output", q, e, m->biases);
}

static inline void tiny_add_gdn(tiny_tensors *list, const tiny_model *m, int64_t layer) {
    int64_t e = m->d_model, key = m->gdn_d_head * m->gdn_key_heads, heads = m->gdn_value_heads;
    int64_t value = m->gdn_d_head * heads, channels = 2 * key + value;
    tiny_add_linear(list, m, layer, "attn_qkv", e, channels, false);
    tiny_add_linear(list, m, layer, "attn_gate", e, value, false);
    tiny_add_linear(list, m, layer, "ssm_alpha", e, heads, false);
    tiny_add_linear(list, m, layer, "ssm_beta", e, heads, false);
    if (m->gdn_conv > 0) tiny_add_part(list, layer, "ssm_conv1d.weight", TNN_TYPE_F32, m->gdn_conv, channels);
    tiny_add_part(list, layer, "ssm_a", TNN_TYPE_F32, heads, 0);
    tiny_add_part(list, layer, "ssm_dt.bias", TNN_TYPE_F32, heads, 0);
    tiny_add_part(list, layer, "ssm_norm.weight", TNN_TYPE_F32, m->gdn_conv > 0 ? m->gdn_d_head : value, 0);
    tiny_add_linear(list, m, layer, "ssm_out", value, e, false);
}

static inline void tiny_add_block(tiny_tensors *list, const tiny_model *m, int64_t layer) {
    int64_t e = m->d_model;
    bool gdn = tiny_is_gdn(m, layer), qwen35 = strcmp(m->arch, "qwen35") == 0;
    tiny_add_part(list, layer, "attn_norm.weight", TNN_TYPE_F32, e, 0);
    if (gdn) {
        tiny_add_gdn(list, m, layer);
    } else {
        tiny_add_attention(list, m, layer);
    }
    if (layer >= m->n_layers - m->n_extra) tiny_add_part(list, layer, "nextn.eh_proj.weight", m->type, 2 * e, e);
    if (gdn && m->gdn_conv == 0) return;
    tiny_add_part(list, layer, qwen35 ? "post_attention_norm.weight" : "ffn_norm.weight", TNN_TYPE_F32, e, 0);
    tiny_add_linear(list, m, layer, "ffn_gate", e, m->d_ff, m->biases);
    tiny_add_linear(list, m, layer, "ffn_up", e, m->d_ff, m->biases);
    tiny_add_linear(list, m, layer, "ffn_down", m->d_ff, e, m->biases);
}

static inline tiny_tensors tiny_model_tensors(const tiny_model *m) {
    tiny_tensors list = {.n = 0};
    tiny_add(&list, "token_embd.weight", m->type, m->d_model, tiny_n_vocab(m));
    tiny_add(&list, "output_norm.weight", TNN_TYPE_F32, m->d_model, 0);
    if (m->untied) tiny_add(&list, "output.weight", m->type, m->d_model, tiny_n_vocab(m));
    if (m->rope_freqs) tiny_add(&list, "rope_freqs.weight", TNN_TYPE_F32, m->d_head / 2, 0);
    for (int64_t i = 0; i < m->n_layers; i++) {
        tiny_add_block(&list, m, i);
    }
    return list;
}

static inline tiny_tensor *tiny_find(tiny_tensors *list, const char *name) {
    for (int i = 0; i < list->n; i++) {
        if (strcmp(list->at[i].name, name) == 0) return &list->at[i];
    }
    fail_msg("no tensor %s", name);
    return NULL;
}

static inline void tiny_drop(tiny_tensors *list, const char *name) {
    tiny_tensor *t = tiny_find(list, name), *end = list->at + list->n--;
    memmove(t, t + 1, (size_t)(end - t - 1) * sizeof *t);
}

/* --- metadata --- */

static inline void tiny_u32(tnn_gguf_writer *w, const tiny_model *m, const char *name, int64_t value) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", m->arch, name);
    if (!m->drop_key || strcmp(key, m->drop_key) != 0) tnn_gguf_set_u32(w, key, (uint32_t)value);
}

static inline void tiny_set_tokenizer(tnn_gguf_writer *w) {
    tiny_vocab v = {0};
    bytes b = {0};
    tnn_gguf *g;
    tnn_error err;
    add_chatml_vocab(&v);
    add_token(&v, "z\xC3\xA2", TNN_TOKEN_NORMAL, 0); /* the byte 0xE2 */
    assert_int_equal(v.n_tokens, TINY_VOCAB);
    put_vocab(&b, &v, "gpt2", "gpt-2");
    if (tnn_gguf_open_memory(&g, b.data, b.size, NULL, &err)) fail_msg("%s", err.text);
    tnn_gguf_copy_kv(w, g, NULL, 0);
    tnn_gguf_close(g);
    free_bytes(&b);
}

static inline void tiny_set_gdn(tnn_gguf_writer *w, const tiny_model *m) {
    tiny_u32(w, m, "ssm.group_count", m->gdn_key_heads);
    tiny_u32(w, m, "ssm.time_step_rank", m->gdn_value_heads);
    tiny_u32(w, m, "ssm.state_size", m->gdn_d_head);
    tiny_u32(w, m, "ssm.inner_size", m->gdn_d_head * m->gdn_value_heads);
    if (m->gdn_conv > 0) tiny_u32(w, m, "ssm.conv_kernel", m->gdn_conv);
    tiny_u32(w, m, "full_attention_interval", m->gdn_interval);
    if (m->n_extra > 0) tiny_u32(w, m, "nextn_predict_layers", m->n_extra);
}

/* A writer that holds every key; setting one again replaces it. */
static inline tnn_gguf_writer *tiny_model_keys(const tiny_model *m) {
    tnn_gguf_writer *w;
    tnn_error err;
    if (tnn_gguf_writer_new(&w, NULL, &err)) fail_msg("%s", err.text);
    if (!m->drop_key || strcmp(m->drop_key, "general.architecture") != 0)
        tnn_gguf_set_str(w, "general.architecture", m->arch, strlen(m->arch));
    tiny_u32(w, m, "context_length", m->n_ctx);
    tiny_u32(w, m, "embedding_length", m->d_model);
    tiny_u32(w, m, "block_count", m->n_layers);
    tiny_u32(w, m, "feed_forward_length", m->d_ff);
    tiny_u32(w, m, "attention.head_count", m->n_heads);
    tiny_u32(w, m, "attention.head_count_kv", m->n_kv_heads);
    if (m->d_head * m->n_heads != m->d_model) tiny_u32(w, m, "attention.key_length", m->d_head);
    if (m->gdn_key_heads > 0) tiny_set_gdn(w, m);
    char key[96];
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", m->arch);
    if (!m->drop_key || strcmp(key, m->drop_key) != 0) tnn_gguf_set_f32(w, key, 1e-5f);
    if (m->tokenizer) {
        tiny_set_tokenizer(w);
    } else {
        tiny_u32(w, m, "vocab_size", m->n_vocab);
        tnn_gguf_set_str(w, "tokenizer.ggml.model", "none", 4);
    }
    return w;
}

/* --- values --- */

static inline bool tiny_ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static inline void tiny_random(const char *name, float *values, int64_t n, float mean, float deviation) {
    tnn__fill_normal(11, tnn__hash_str(name), values, n, mean, deviation);
}

/* Row of the head for each id: the embedding of the id before it in the script, scaled up. */
static inline void tiny_script_head(const tiny_model *m, float *values) {
    int64_t e = m->d_model, n = e * tiny_n_vocab(m);
    float *embed = malloc((size_t)n * sizeof *embed);
    assert_non_null(embed);
    tiny_random("token_embd.weight", embed, n, 0.0f, 0.3f);
    memset(values, 0, (size_t)n * sizeof *values);
    for (int i = 0; i + 1 < m->n_script; i++) {
        for (int64_t k = 0; k < e; k++) {
            values[m->script[i + 1] * e + k] = 4.0f * embed[m->script[i] * e + k];
        }
    }
    free(embed);
}

static inline void tiny_values(const tiny_model *m, const tiny_tensor *t, float *values, int64_t n) {
    if (strcmp(t->name, "rope_freqs.weight") == 0) {
        for (int64_t i = 0; i < n; i++) {
            values[i] = 1.0f + (float)i;
        }
    } else if (tiny_ends_with(t->name, ".ssm_a")) {
        tiny_random(t->name, values, n, -1.0f, 0.2f);
    } else if (t->n_dims == 1) {
        bool bias = tiny_ends_with(t->name, ".bias");
        tiny_random(t->name, values, n, bias || m->script ? 0.0f : 1.0f, m->script ? 0.0f : 0.1f);
        for (int64_t i = 0; i < n && m->script && !bias; i++) {
            values[i] = 1.0f;
        }
    } else if (m->script && strcmp(t->name, "output.weight") == 0) {
        tiny_script_head(m, values);
    } else if (m->script && t->name[0] == 'b') {
        memset(values, 0, (size_t)n * sizeof *values); /* blocks that add nothing */
    } else {
        tiny_random(t->name, values, n, 0.0f, 0.3f);
    }
}

static inline void tiny_write_tensor(tnn_gguf_writer *w, const tiny_model *m, const tiny_tensor *t) {
    int64_t n = t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    size_t row = tnn_row_bytes((int32_t)t->type, t->ne[0]), n_bytes = row * (size_t)(n / t->ne[0]);
    float *values = malloc((size_t)n * sizeof *values);
    char *packed = calloc(1, n_bytes);
    if (!values || !packed) abort();
    tiny_values(m, t, values, n);
    if (tnn_type_get_info((int32_t)t->type)->usable) {
        for (int64_t r = 0; r < n / t->ne[0]; r++) {
            assert_int_equal(tnn_quantize_row(t->type, values + r * t->ne[0], packed + (size_t)r * row, t->ne[0], NULL),
                             TNN_OK);
        }
    }
    tnn_gguf_write_data(w, packed, n_bytes);
    free(values);
    free(packed);
}

/* Writes the file and frees the writer. */
static inline void tiny_model_finish(tnn_gguf_writer *w, const tiny_model *m, const tiny_tensors *list,
                                     const char *path) {
    tnn_error err;
    for (int i = 0; list && i < list->n; i++) {
        tnn_gguf_add_tensor(w, list->at[i].name, list->at[i].type, list->at[i].n_dims, list->at[i].ne);
    }
    tnn_gguf_writer_begin(w, path);
    for (int i = 0; list && i < list->n; i++) {
        tiny_write_tensor(w, m, &list->at[i]);
    }
    if (tnn_gguf_writer_finish(w, &err)) fail_msg("%s", err.text);
    tnn_gguf_writer_free(w);
}

static inline void tiny_model_write(const tiny_model *m, const char *path) {
    tiny_tensors list = tiny_model_tensors(m);
    tiny_model_finish(tiny_model_keys(m), m, &list, path);
}

#endif
