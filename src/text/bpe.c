/*
 * Byte-level BPE. Each byte of a word stands for one character of a printable alphabet (GPT-2's), and pairs merge in
 * the order of their rank, leftmost first among equals.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/rng.h"
#include "text/merge.h"

#define FREE_SLOT UINT32_MAX

/* Bytes that stand for themselves; the others follow U+0100 in their order. */
static bool is_printable_byte(uint32_t byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

uint32_t tnn__bpe_code(uint32_t byte) {
    if (is_printable_byte(byte)) return byte;
    if (byte <= 0x20) return 0x100 + byte;
    return byte == 0xAD ? 0x143 : 0x121 + (byte - 0x7F);
}

int tnn__bpe_byte(uint32_t code) {
    if (code < 0x100) return is_printable_byte(code) ? (int)code : -1;
    if (code <= 0x120) return (int)(code - 0x100);
    if (code <= 0x142) return (int)(code - 0x121 + 0x7F);
    return code == 0x143 ? 0xAD : -1;
}

static size_t hash_pair(const tnn__bpe *b, int32_t left, int32_t right) {
    return (size_t)tnn__hash_mix(b->seed ^ ((uint64_t)(uint32_t)left << 32 | (uint32_t)right));
}

/* The slot of the pair, or the free one where it belongs. */
static uint32_t *pair_slot(const tnn__bpe *b, int32_t left, int32_t right) {
    size_t mask = b->n_slots - 1;
    for (size_t i = hash_pair(b, left, right) & mask;; i = (i + 1) & mask) {
        uint32_t rank = b->slots[i];
        if (rank == FREE_SLOT) return &b->slots[i];
        if (b->merges[rank].left == left && b->merges[rank].right == right) return &b->slots[i];
    }
}

static tnn_status load_merge(tnn__bpe *b, tnn__vocab *v, tnn_gguf_str text, uint32_t rank, tnn_error *err) {
    tnn__merge *m = &b->merges[rank];
    *m = (tnn__merge){-1, -1, -1};
    const char *space = text.size > 1 ? memchr(text.data + 1, ' ', text.size - 1) : NULL;
    if (!space || space + 1 == text.data + text.size) return TNN_OK;
    size_t left = (size_t)(space - text.data), right = text.size - left - 1;

    tnn_status status = tnn__vocab_intern(v, text.data, left, &m->left, err);
    if (!status) status = tnn__vocab_intern(v, space + 1, right, &m->right, err);
    if (status) return status;
    char *merged = tnn__alloc(&b->alloc, left + right, 1);
    if (!merged) return tnn__fail_nomem(err, "a merge", left + right);
    memcpy(merged, text.data, left);
    memcpy(merged + left, space + 1, right);
    status = tnn__vocab_intern(v, merged, left + right, &m->merged, err);
    tnn__free(&b->alloc, merged, left + right, 1);
    if (status) return status;
    uint32_t *slot = pair_slot(b, m->left, m->right);
    if (*slot == FREE_SLOT) *slot = rank;
    return TNN_OK;
}

tnn_status tnn__bpe_load(tnn__bpe *b, tnn__vocab *v, const tnn_gguf *g, tnn_error *err) {
    *b = (tnn__bpe){.alloc = v->alloc};
    for (uint32_t byte = 0; byte < 256; byte++) {
        char text[4];
        int size = tnn__utf8_encode(tnn__bpe_code(byte), text);
        tnn_status status = tnn__vocab_intern(v, text, (size_t)size, &b->byte_symbol[byte], err);
        if (status) return status;
    }
    int64_t key = tnn_gguf_find_key(g, "tokenizer.ggml.merges");
    if (key < 0) return tnn__fail(err, TNN_E_FORMAT, "tokenizer.ggml.merges is missing: a gpt2 tokenizer needs it");
    if (tnn_gguf_array_type(g, key) != TNN_GGUF_STRING || tnn_gguf_kv_type(g, key) != TNN_GGUF_ARRAY) {
        return tnn__fail(err, TNN_E_FORMAT, "tokenizer.ggml.merges is not an array of strings");
    }
    uint64_t n = tnn_gguf_array_count(g, key);
    if (n > INT32_MAX / 4) {
        return tnn__fail(err, TNN_E_FORMAT, "tokenizer.ggml.merges has %" PRIu64 " entries: at most 2^29 can be used",
                         n);
    }
    b->n_merges = (size_t)n;
    b->n_slots = 16;
    while (b->n_slots < b->n_merges * 2)
        b->n_slots *= 2;
    b->merges = tnn__calloc_array(&b->alloc, b->n_merges, sizeof *b->merges);
    b->slots = tnn__calloc_array(&b->alloc, b->n_slots, sizeof *b->slots);
    if (!b->merges || !b->slots) return tnn__fail_nomem(err, "the merges", b->n_slots * sizeof *b->slots);
    memset(b->slots, 0xFF, b->n_slots * sizeof *b->slots);
    b->seed = tnn__hash_seed(b->slots);
    for (size_t rank = 0; rank < b->n_merges; rank++) {
        tnn_status status = load_merge(b, v, tnn_gguf_array_str(g, key, rank), (uint32_t)rank, err);
        if (status) return status;
    }
    return TNN_OK;
}

void tnn__bpe_free(tnn__bpe *b) {
    tnn__free_array(&b->alloc, b->merges, b->n_merges, sizeof *b->merges);
    tnn__free_array(&b->alloc, b->slots, b->n_slots, sizeof *b->slots);
}

/* The id of the whole word as one token, or -1. */
static tnn_status find_whole(const tnn__vocab *v, tnn__merge_work *w, const tnn__char *word, size_t n, int32_t *id,
                             tnn_error *err) {
    w->text.n = 0;
    for (size_t i = 0; i < n; i++) {
        char bytes[4], mapped[16];
        int n_bytes = tnn__utf8_encode(tnn__char_code(word[i]), bytes), size = 0;
        for (int k = 0; k < n_bytes; k++)
            size += tnn__utf8_encode(tnn__bpe_code((unsigned char)bytes[k]), mapped + size);
        tnn_status status = tnn_text_append(&w->text, mapped, (size_t)size, err);
        if (status) return status;
    }
    *id = tnn__vocab_find_token(v, w->text.data, w->text.n);
    return TNN_OK;
}

static tnn_status push_pair(const tnn__bpe *b, tnn__merge_work *w, uint32_t left, tnn_error *err) {
    if (left == TNN__NO_SYMBOL || w->symbols[left].next == TNN__NO_SYMBOL) return TNN_OK;
    uint32_t rank = *pair_slot(b, w->symbols[left].id, w->symbols[w->symbols[left].next].id);
    if (rank == FREE_SLOT) return TNN_OK;
    return tnn__heap_push(&w->heap, (tnn__heap_item){.key = (uint64_t)rank << 32 | left}, err);
}

static tnn_status merge_all(const tnn__bpe *b, tnn__merge_work *w, tnn_error *err) {
    w->heap.n = 0;
    for (uint32_t i = 0; i + 1 < w->n_symbols; i++) {
        tnn_status status = push_pair(b, w, i, err);
        if (status) return status;
    }
    tnn__heap_item item;
    while (tnn__heap_pop(&w->heap, &item)) {
        uint32_t left = (uint32_t)item.key;
        const tnn__merge *m = &b->merges[item.key >> 32];
        const tnn__merge_symbol *s = &w->symbols[left];
        bool stale = s->id != m->left || s->next == TNN__NO_SYMBOL || w->symbols[s->next].id != m->right;
        if (stale) continue;
        tnn__merge_work_join(w, left, m->merged);
        tnn_status status = push_pair(b, w, s->prev, err);
        if (!status) status = push_pair(b, w, left, err);
        if (status) return status;
    }
    return TNN_OK;
}

/* A symbol that is a token, or those of its bytes that are. */
static tnn_status emit(const tnn__vocab *v, int32_t symbol, tnn_ids *out, tnn_error *err) {
    if (symbol < v->n_tokens) return tnn_ids_push(out, symbol, err);
    for (uint32_t i = 0; i < v->symbols[symbol].size; i++) {
        int32_t id = tnn__vocab_find_token(v, v->symbols[symbol].text + i, 1);
        tnn_status status = id >= 0 ? tnn_ids_push(out, id, err) : TNN_OK;
        if (status) return status;
    }
    return TNN_OK;
}

tnn_status tnn__bpe_encode(const tnn__bpe *b, const tnn__vocab *v, tnn__merge_work *w, const tnn__char *word, size_t n,
                           bool whole_words, tnn_ids *out, tnn_error *err) {
    tnn_status status;
    if (whole_words) {
        int32_t id;
        status = find_whole(v, w, word, n, &id, err);
        if (status) return status;
        if (id >= 0) return tnn_ids_push(out, id, err);
    }
    w->n_symbols = 0;
    for (size_t i = 0; i < n; i++) {
        char bytes[4];
        int n_bytes = tnn__utf8_encode(tnn__char_code(word[i]), bytes);
        for (int k = 0; k < n_bytes; k++) {
            tnn__merge_symbol symbol = {.id = b->byte_symbol[(unsigned char)bytes[k]]};
            status = tnn__merge_work_add(w, symbol, err);
            if (status) return status;
        }
    }
    status = merge_all(b, w, err);
    for (uint32_t i = 0; !status && i != TNN__NO_SYMBOL; i = w->symbols[i].next)
        status = emit(v, w->symbols[i].id, out, err);
    return status;
}
