/*
 * Small tokenizers put together token by token and opened through a GGUF in memory.
 */
#ifndef TNN_TEST_TINY_VOCAB_H
#define TNN_TEST_TINY_VOCAB_H

#include <stdbool.h>

#include <tinynn/tokenizer.h>

#include "support/gguf_bytes.h"

typedef struct tiny_vocab {
    bytes tokens, types, scores, merges, extra; /* elements of the arrays; further keys with their values */
    uint64_t n_tokens, n_types, n_scores, n_merges, n_extra;
} tiny_vocab;

static inline void add_token_n(tiny_vocab *v, const char *text, size_t size, int32_t type, float score) {
    put_uint(&v->tokens, size, 8);
    put_raw(&v->tokens, text, size);
    put_uint(&v->types, (uint64_t)type, 4);
    put_f32(&v->scores, score);
    v->n_tokens++;
    v->n_types++;
    v->n_scores++;
}

static inline void add_token(tiny_vocab *v, const char *text, int32_t type, float score) {
    add_token_n(v, text, strlen(text), type, score);
}

static inline void add_merge(tiny_vocab *v, const char *pair) {
    put_str(&v->merges, pair);
    v->n_merges++;
}

/* A merge and the token it makes. */
static inline void add_merge_token(tiny_vocab *v, const char *left, const char *right) {
    char text[256];
    snprintf(text, sizeof text, "%s %s", left, right);
    add_merge(v, text);
    snprintf(text, sizeof text, "%s%s", left, right);
    add_token(v, text, TNN_TOKEN_NORMAL, 0);
}

/* The 256 characters that stand for bytes, as tokens 0 to 255 in the order of the bytes. */
static inline void add_byte_alphabet(tiny_vocab *v) {
    for (unsigned byte = 0, next = 0x100; byte < 256; byte++) {
        bool itself = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
        unsigned code = itself ? byte : next++;
        char text[2] = {(char)(0xC0 | code >> 6), (char)(0x80 | (code & 0x3F))};
        if (code < 128) text[0] = (char)code;
        add_token_n(v, text, code < 128 ? 1 : 2, TNN_TOKEN_NORMAL, 0);
    }
}

/* "<0x00>" to "<0xFF>", as SPM has them. */
static inline void add_byte_tokens(tiny_vocab *v) {
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", byte);
        add_token(v, text, TNN_TOKEN_BYTE, 0);
    }
}

static inline void add_key_u32(tiny_vocab *v, const char *key, uint32_t value) {
    put_kv_u32(&v->extra, key, value);
    v->n_extra++;
}

static inline void add_key_bool(tiny_vocab *v, const char *key, bool value) {
    put_key(&v->extra, key, TNN_GGUF_BOOL);
    put_uint(&v->extra, value, 1);
    v->n_extra++;
}

static inline void add_key_str(tiny_vocab *v, const char *key, const char *value) {
    put_kv_str(&v->extra, key, value);
    v->n_extra++;
}

/* The file; NULL for model or pre leaves the key out, as does an array without elements. Frees v. */
static inline void put_vocab(bytes *b, tiny_vocab *v, const char *model, const char *pre) {
    uint64_t n_arrays = (v->n_tokens > 0) + (v->n_types > 0) + (v->n_scores > 0) + (v->n_merges > 0);
    put_fixed_part(b, 3, 0, v->n_extra + n_arrays + (model != NULL) + (pre != NULL));
    if (model) put_kv_str(b, "tokenizer.ggml.model", model);
    if (pre) put_kv_str(b, "tokenizer.ggml.pre", pre);
    if (v->n_tokens) put_array(b, "tokenizer.ggml.tokens", TNN_GGUF_STRING, v->n_tokens);
    put_raw(b, v->tokens.data, v->tokens.size);
    if (v->n_types) put_array(b, "tokenizer.ggml.token_type", TNN_GGUF_I32, v->n_types);
    put_raw(b, v->types.data, v->types.size);
    if (v->n_scores) put_array(b, "tokenizer.ggml.scores", TNN_GGUF_F32, v->n_scores);
    put_raw(b, v->scores.data, v->scores.size);
    if (v->n_merges) put_array(b, "tokenizer.ggml.merges", TNN_GGUF_STRING, v->n_merges);
    put_raw(b, v->merges.data, v->merges.size);
    put_raw(b, v->extra.data, v->extra.size);
    free_bytes(&v->tokens);
    free_bytes(&v->types);
    free_bytes(&v->scores);
    free_bytes(&v->merges);
    free_bytes(&v->extra);
    *v = (tiny_vocab){0};
}

/* Opens the file of v, which is freed, and makes its tokenizer; the GGUF is closed again. */
static inline tnn_status open_tiny_vocab(tnn_tokenizer **t, tiny_vocab *v, const char *model, const char *pre,
                                         const tnn_allocator *allocator, tnn_error *err) {
    bytes b = {0};
    put_vocab(&b, v, model, pre);
    tnn_gguf *g;
    *t = NULL;
    tnn_status status = tnn_gguf_open_memory(&g, b.data, b.size, NULL, err);
    if (!status) status = tnn_tokenizer_new(t, g, allocator, err);
    tnn_gguf_close(g);
    free_bytes(&b);
    return status;
}

/* hello world in merges, ChatML's control tokens, a user-defined one. */
static inline void add_chatml_vocab(tiny_vocab *v) {
    add_byte_alphabet(v);
    add_merge_token(v, "h", "e");
    add_merge_token(v, "l", "l");
    add_merge_token(v, "ll", "o");
    add_merge_token(v, "he", "llo");
    add_merge_token(v, "\xC4\xA0", "w"); /* 260: " w" */
    add_merge_token(v, "o", "r");
    add_merge_token(v, "or", "l");
    add_merge_token(v, "orl", "d");
    add_merge_token(v, "\xC4\xA0w", "orld"); /* 264 */
    add_token(v, "<|endoftext|>", TNN_TOKEN_CONTROL, 0);
    add_token(v, "<|im_start|>", TNN_TOKEN_CONTROL, 0);
    add_token(v, "<|im_end|>", TNN_TOKEN_CONTROL, 0); /* 267 */
    add_token(v, "<tool>", TNN_TOKEN_USER_DEFINED, 0);
    add_key_u32(v, "tokenizer.ggml.bos_token_id", 265);
    add_key_u32(v, "tokenizer.ggml.eos_token_id", 267);
}

#endif
