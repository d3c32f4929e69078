/*
 * Ids to bytes, and the stream that turns them into whole characters.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "text/tokenizer_impl.h"

/* Characters of the mapped alphabet back to bytes; what is not in it stays as it is. */
static tnn_status append_mapped(const tnn__symbol *s, tnn_text *out, tnn_error *err) {
    tnn_status status = TNN_OK;
    for (size_t pos = 0; pos < s->size && !status;) {
        uint32_t code;
        int length = tnn__utf8_decode(s->text + pos, s->size - pos, &code);
        int byte = length > 0 ? tnn__bpe_byte(code) : -1;
        if (length <= 0) length = 1;
        char mapped = (char)byte;
        status = byte >= 0 ? tnn_text_append(out, &mapped, 1, err)
                           : tnn_text_append(out, s->text + pos, (size_t)length, err);
        pos += (size_t)length;
    }
    return status;
}

/* U+2581 back to spaces. */
static tnn_status append_unescaped(const tnn__symbol *s, tnn_text *out, tnn_error *err) {
    tnn_status status = TNN_OK;
    for (size_t pos = 0; pos < s->size && !status;) {
        bool space = s->size - pos >= 3 && memcmp(s->text + pos, "\xE2\x96\x81", 3) == 0;
        status = tnn_text_append(out, space ? " " : s->text + pos, 1, err);
        pos += space ? 3 : 1;
    }
    return status;
}

/* id is in the vocabulary. */
static tnn_status append_bytes(const tnn_tokenizer *t, int32_t id, bool special, tnn_text *out, tnn_error *err) {
    const tnn__symbol *s = &t->vocab.symbols[id];
    switch ((tnn_token_type)t->types[id]) {
    case TNN_TOKEN_UNKNOWN:
    case TNN_TOKEN_CONTROL:
        return special ? tnn_text_append(out, s->text, s->size, err) : TNN_OK;
    case TNN_TOKEN_USER_DEFINED:
        return tnn_text_append(out, s->text, s->size, err);
    case TNN_TOKEN_BYTE:
        if (t->kind == TNN_TOKENIZER_SPM) {
            char byte = (char)strtol(s->text + 3, NULL, 16); /* "<0xXX>": checked when loaded */
            return tnn_text_append(out, &byte, 1, err);
        }
        return append_mapped(s, out, err);
    case TNN_TOKEN_NORMAL:
        return t->kind == TNN_TOKENIZER_SPM ? append_unescaped(s, out, err) : append_mapped(s, out, err);
    default:
        return TNN_OK; /* undefined, unused */
    }
}

/* Appends the bytes of id; *at_start is cleared by the first that has any. */
static tnn_status append_token(const tnn_tokenizer *t, int32_t id, unsigned flags, bool *at_start, tnn_text *out,
                               tnn_error *err) {
    if (id < 0 || id >= t->vocab.n_tokens) {
        return tnn__fail(err, TNN_E_RANGE, "token id %d is outside the vocabulary: ids are 0 to %d", (int)id,
                         (int)t->vocab.n_tokens - 1);
    }
    size_t n_before = out->n;
    tnn_status status = append_bytes(t, id, (flags & TNN_DECODE_SPECIAL) != 0, out, err);
    if (status || out->n == n_before) return status;
    bool is_text = t->types[id] == TNN_TOKEN_NORMAL;
    if (*at_start && is_text && t->add_space_prefix && (flags & TNN_DECODE_START) && out->data[n_before] == ' ') {
        memmove(out->data + n_before, out->data + n_before + 1, out->n - n_before - 1);
        out->n--;
    }
    *at_start = false;
    return TNN_OK;
}

tnn_status tnn_tokenizer_decode(const tnn_tokenizer *t, const int32_t *ids, size_t n, unsigned flags, tnn_text *out,
                                tnn_error *err) {
    size_t n_before = out->n;
    bool at_start = true;
    for (size_t i = 0; i < n; i++) {
        tnn_status status = append_token(t, ids[i], flags, &at_start, out, err);
        if (status) {
            out->n = n_before;
            return status;
        }
    }
    return TNN_OK;
}

struct tnn_detokenizer {
    tnn_allocator alloc;
    const tnn_tokenizer *t;
    unsigned flags;
    bool at_start;
    char held[4]; /* the beginning of a character */
    size_t n_held;
    tnn_text bytes; /* held and new */
    tnn_text text;  /* what was lent last */
};

tnn_status tnn_detokenizer_new(tnn_detokenizer **out, const tnn_tokenizer *t, unsigned flags,
                               const tnn_allocator *allocator, tnn_error *err) {
    *out = NULL;
    const tnn_allocator *a = tnn__allocator_or_default(allocator);
    tnn_detokenizer *d = tnn__calloc(a, sizeof *d, sizeof(void *));
    if (!d) return tnn__fail_nomem(err, "a detokenizer", sizeof *d);
    d->alloc = *a;
    d->t = t;
    d->flags = flags;
    d->at_start = true;
    d->bytes.allocator = &d->alloc;
    d->text.allocator = &d->alloc;
    *out = d;
    return TNN_OK;
}

void tnn_detokenizer_free(tnn_detokenizer *d) {
    if (!d) return;
    tnn_text_free(&d->bytes);
    tnn_text_free(&d->text);
    tnn_allocator a = d->alloc;
    tnn__free(&a, d, sizeof *d, sizeof(void *));
}

/* Moves the whole characters of bytes to text, what is none as U+FFFD. *rest: where an unfinished one begins. */
static tnn_status take_whole(tnn_detokenizer *d, bool at_end, size_t *rest, tnn_error *err) {
    tnn_status status = TNN_OK;
    size_t pos = 0;
    d->text.n = 0;
    while (pos < d->bytes.n && !status) {
        uint32_t code;
        int length = tnn__utf8_decode(d->bytes.data + pos, d->bytes.n - pos, &code);
        if (length == 0 && !at_end) break;
        status = length > 0 ? tnn_text_append(&d->text, d->bytes.data + pos, (size_t)length, err)
                            : tnn_text_append(&d->text, "\xEF\xBF\xBD", 3, err);
        pos += length > 0 ? (size_t)length : tnn__utf8_ill_formed(d->bytes.data + pos, d->bytes.n - pos);
    }
    *rest = pos;
    return status;
}

tnn_status tnn_detokenizer_push(tnn_detokenizer *d, int32_t id, tnn_gguf_str *text, tnn_error *err) {
    *text = (tnn_gguf_str){"", 0};
    bool at_start = d->at_start;
    size_t rest = 0;
    d->bytes.n = 0;
    tnn_status status = tnn_text_append(&d->bytes, d->held, d->n_held, err);
    if (!status) status = append_token(d->t, id, d->flags, &at_start, &d->bytes, err);
    if (!status) status = take_whole(d, false, &rest, err);
    if (status) return status;
    d->at_start = at_start;
    d->n_held = d->bytes.n - rest;
    if (d->n_held) memcpy(d->held, d->bytes.data + rest, d->n_held);
    if (d->text.n) *text = (tnn_gguf_str){d->text.data, d->text.n};
    return TNN_OK;
}

tnn_status tnn_detokenizer_flush(tnn_detokenizer *d, tnn_gguf_str *text, tnn_error *err) {
    *text = (tnn_gguf_str){"", 0};
    size_t rest;
    d->bytes.n = 0;
    tnn_status status = tnn_text_append(&d->bytes, d->held, d->n_held, err);
    if (!status) status = take_whole(d, true, &rest, err);
    if (status) return status;
    d->n_held = 0;
    d->at_start = true;
    if (d->text.n) *text = (tnn_gguf_str){d->text.data, d->text.n};
    return TNN_OK;
}
