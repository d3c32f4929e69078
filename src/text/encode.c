/*
 * Text to ids: special tokens are cut out first, what lies between goes to BPE or SPM.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "text/buffer.h"
#include "text/tokenizer_impl.h"

typedef struct encoder {
    const tnn_tokenizer *t;
    tnn__merge_work work;
    tnn__char *chars; /* BPE: the fragment at hand */
    size_t char_capacity;
    tnn_text escaped; /* SPM: the same */
    tnn_ids *out;
    tnn_error *err;
} encoder;

static tnn_status encode_word(void *ctx, const tnn__char *text, size_t begin, size_t end) {
    encoder *e = ctx;
    return tnn__bpe_encode(&e->t->bpe, &e->t->vocab, &e->work, text + begin, end - begin, e->t->pre->ignore_merges,
                           e->out, e->err);
}

static tnn_status encode_bpe(encoder *e, const char *text, size_t size) {
    void *chars = e->chars;
    tnn_status status = tnn__buffer_reserve(&e->t->alloc, &chars, &e->char_capacity, size, sizeof *e->chars, e->err);
    if (status) return status;
    e->chars = chars;
    size_t n = tnn__utf8_read(text, size, e->chars);
    return tnn__pretokenize(e->t->pre, e->chars, n, encode_word, e);
}

static tnn_status encode_spm(encoder *e, const char *text, size_t size, bool space_prefix) {
    static const char space[] = "\xE2\x96\x81"; /* U+2581 */
    e->escaped.n = 0;
    tnn_status status = space_prefix ? tnn_text_append(&e->escaped, space, 3, e->err) : TNN_OK;
    for (size_t pos = 0; pos < size && !status;) {
        const char *next = memchr(text + pos, ' ', size - pos);
        size_t end = next ? (size_t)(next - text) : size;
        status = tnn_text_append(&e->escaped, text + pos, end - pos, e->err);
        if (!status && next) status = tnn_text_append(&e->escaped, space, 3, e->err);
        pos = end + (next ? 1 : 0);
    }
    if (status) return status;
    return tnn__spm_encode(&e->t->spm, &e->t->vocab, &e->work, e->escaped.data, e->escaped.n, e->out, e->err);
}

static tnn_status encode_fragment(encoder *e, const char *text, size_t size, bool *after_special) {
    bool space_prefix = e->t->add_space_prefix && *after_special;
    *after_special = false;
    return e->t->kind == TNN_TOKENIZER_BPE ? encode_bpe(e, text, size) : encode_spm(e, text, size, space_prefix);
}

static tnn_status encode_fragments(encoder *e, const char *text, size_t size, const int32_t *owner,
                                   bool *after_special) {
    tnn_status status = TNN_OK;
    for (size_t pos = 0; pos < size && !status;) {
        size_t end = pos;
        if (owner[pos] >= 0) {
            end += e->t->vocab.symbols[owner[pos]].size;
            status = tnn_ids_push(e->out, owner[pos], e->err);
            *after_special = true;
        } else {
            while (end < size && owner[end] < 0)
                end++;
            status = encode_fragment(e, text + pos, end - pos, after_special);
        }
        pos = end;
    }
    return status;
}

tnn_status tnn__tokenizer_encode_part(const tnn_tokenizer *t, const char *text, size_t size, const tnn__region *regions,
                                      size_t n_regions, bool *after_special, tnn_ids *out, tnn_error *err) {
    if (size > TNN_ENCODE_MAX_BYTES) {
        return tnn__fail(err, TNN_E_RANGE, "a text of %zu bytes is too long to tokenize at once: give at most %zu",
                         size, TNN_ENCODE_MAX_BYTES);
    }
    if (size == 0) return TNN_OK;
    size_t n_before = out->n;
    int32_t *owner = tnn__alloc(&t->alloc, size * sizeof *owner, sizeof(void *));
    if (!owner) return tnn__fail_nomem(err, "special tokens of a text", size * sizeof *owner);
    encoder e = {.t = t, .escaped = {.allocator = &t->alloc}, .out = out, .err = err};
    tnn__merge_work_init(&e.work, &t->alloc);

    bool found;
    tnn_status status = tnn__specials_find(&t->specials, text, size, regions, n_regions, owner, &found, err);
    if (!status) {
        status = found ? encode_fragments(&e, text, size, owner, after_special)
                       : encode_fragment(&e, text, size, after_special);
    }
    if (status) out->n = n_before;
    tnn__free(&t->alloc, owner, size * sizeof *owner, sizeof(void *));
    tnn__merge_work_free(&e.work);
    tnn__buffer_free(&t->alloc, e.chars, e.char_capacity, sizeof *e.chars);
    tnn_text_free(&e.escaped);
    return status;
}

tnn_status tnn_tokenizer_encode(const tnn_tokenizer *t, const char *text, size_t size, unsigned flags, tnn_ids *out,
                                tnn_error *err) {
    size_t n_before = out->n;
    bool add = (flags & TNN_ENCODE_ADD_SPECIAL) != 0, after_special = true;
    int32_t bos = t->special[TNN_SPECIAL_BOS], eos = t->special[TNN_SPECIAL_EOS];
    tnn__region all = {0, size};
    size_t n_regions = flags & TNN_ENCODE_PARSE_SPECIAL ? 1 : 0;

    tnn_status status = TNN_OK;
    if (add && t->add_bos && bos >= 0) status = tnn_ids_push(out, bos, err);
    if (!status) status = tnn__tokenizer_encode_part(t, text, size, &all, n_regions, &after_special, out, err);
    if (!status && add && t->add_eos && eos >= 0) status = tnn_ids_push(out, eos, err);
    if (status) out->n = n_before;
    return status;
}
