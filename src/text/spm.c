/*
 * SentencePiece BPE: neighbours merge where together they are a token, the highest score first, leftmost among equals.
 * What no token covers falls back to one token per byte.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "text/merge.h"

#define SPACE       "\xE2\x96\x81" /* U+2581 */
#define SPACE_BYTES 3

static bool is_space(const char *s, size_t n) {
    return n >= SPACE_BYTES && memcmp(s, SPACE, SPACE_BYTES) == 0;
}

static bool is_hex_digit(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

/* "<0xXX>" */
static bool is_byte_text(const tnn__symbol *s) {
    return s->size == 6 && memcmp(s->text, "<0x", 3) == 0 && s->text[5] == '>' && is_hex_digit(s->text[3]) &&
           is_hex_digit(s->text[4]);
}

tnn_status tnn__spm_load(tnn__spm *m, const tnn__vocab *v, const uint8_t *types, const float *scores, tnn_error *err) {
    m->scores = scores;
    for (int32_t i = 0; i < v->n_tokens; i++) {
        const tnn__symbol *s = &v->symbols[i];
        if (types[i] == TNN_TOKEN_BYTE && !is_byte_text(s)) {
            return tnn__fail(err, TNN_E_FORMAT,
                             "token %d is a byte token, but its text is '%.*s', not <0x00> to <0xFF>", (int)i,
                             s->size < 64 ? (int)s->size : 64, s->text);
        }
        for (uint32_t pos = 1; pos + SPACE_BYTES <= s->size; pos++) {
            if (is_space(s->text + pos, s->size - pos)) m->before_space[(unsigned char)s->text[pos - 1]] = true;
        }
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8], raw = (char)byte;
        snprintf(text, sizeof text, "<0x%02X>", byte);
        m->byte_token[byte] = tnn__vocab_find_token(v, text, 6);
        if (m->byte_token[byte] < 0) m->byte_token[byte] = tnn__vocab_find_token(v, &raw, 1);
    }
    return TNN_OK;
}

/* Orders floats: a larger score gives a smaller number. Scores are not NaN. */
static uint32_t descending(float score) {
    uint32_t bits;
    score += 0.0f; /* -0 and 0 are equal scores */
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? bits : 0x7FFFFFFFu - bits;
}

static tnn_status push_pair(const tnn__vocab *v, const float *scores, tnn__merge_work *w, const char *text,
                            uint32_t left, tnn_error *err) {
    if (left == TNN__NO_SYMBOL || w->symbols[left].next == TNN__NO_SYMBOL) return TNN_OK;
    const tnn__merge_symbol *a = &w->symbols[left];
    uint32_t size = a->size + w->symbols[a->next].size;
    int32_t id = tnn__vocab_find(v, text + a->start, size);
    if (id < 0) return TNN_OK;
    tnn__heap_item item = {(uint64_t)descending(scores[id]) << 32 | left, size, id};
    return tnn__heap_push(&w->heap, item, err);
}

static tnn_status merge_all(const tnn__vocab *v, const float *scores, tnn__merge_work *w, const char *text,
                            tnn_error *err) {
    w->heap.n = 0;
    for (uint32_t i = 0; i + 1 < w->n_symbols; i++) {
        tnn_status status = push_pair(v, scores, w, text, i, err);
        if (status) return status;
    }
    tnn__heap_item item;
    while (tnn__heap_pop(&w->heap, &item)) {
        uint32_t left = (uint32_t)item.key;
        const tnn__merge_symbol *s = &w->symbols[left];
        /* a symbol keeps its start and only grows, so the size tells whether both halves are still what they were */
        bool stale = s->size == 0 || s->next == TNN__NO_SYMBOL || s->size + w->symbols[s->next].size != item.size;
        if (stale) continue;
        tnn__merge_work_join(w, left, item.id);
        tnn_status status = push_pair(v, scores, w, text, s->prev, err);
        if (!status) status = push_pair(v, scores, w, text, left, err);
        if (status) return status;
    }
    return TNN_OK;
}

static tnn_status emit_bytes(const int32_t byte_token[256], const char *bytes, uint32_t n, tnn_ids *out,
                             tnn_error *err) {
    for (uint32_t i = 0; i < n; i++) {
        int32_t id = byte_token[(unsigned char)bytes[i]];
        tnn_status status = id >= 0 ? tnn_ids_push(out, id, err) : TNN_OK;
        if (status) return status;
    }
    return TNN_OK;
}

/* A text that no token can reach out of. */
static tnn_status encode_word(const tnn__spm *m, const tnn__vocab *v, tnn__merge_work *w, const char *text, size_t size,
                              tnn_ids *out, tnn_error *err) {
    w->n_symbols = 0;
    for (size_t pos = 0; pos < size;) {
        uint32_t code;
        int length = tnn__utf8_decode(text + pos, size - pos, &code);
        if (length <= 0) length = 1;
        tnn__merge_symbol symbol = {.id = tnn__vocab_find(v, text + pos, (size_t)length),
                                    .start = (uint32_t)pos,
                                    .size = (uint32_t)length};
        tnn_status status = tnn__merge_work_add(w, symbol, err);
        if (status) return status;
        pos += (size_t)length;
    }
    tnn_status status = merge_all(v, m->scores, w, text, err);
    for (uint32_t i = 0; !status && i != TNN__NO_SYMBOL; i = w->symbols[i].next) {
        const tnn__merge_symbol *s = &w->symbols[i];
        status =
            s->id >= 0 ? tnn_ids_push(out, s->id, err) : emit_bytes(m->byte_token, text + s->start, s->size, out, err);
    }
    return status;
}

/*
 * A space can be merged with what stands before it only if some token holds such a pair: elsewhere the text is cut in
 * front of it, which changes no id and keeps the heap as small as a word. (Vocabularies hold runs of spaces, hardly
 * more.)
 */
tnn_status tnn__spm_encode(const tnn__spm *m, const tnn__vocab *v, tnn__merge_work *w, const char *text, size_t size,
                           tnn_ids *out, tnn_error *err) {
    tnn_status status = TNN_OK;
    for (size_t begin = 0, end; begin < size && !status; begin = end) {
        end = begin + 1;
        while (end < size && (m->before_space[(unsigned char)text[end - 1]] || !is_space(text + end, size - end)))
            end++;
        status = encode_word(m, v, w, text + begin, end - begin, out, err);
    }
    return status;
}
