/*
 * Any bytes through small tokenizers of both kinds: what comes back is the text, with U+FFFD where it was no UTF-8
 * (BPE) or byte for byte (SPM); the stream gives the same and is valid by itself. The first byte chooses tokenizer and
 * flags.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "support/tiny_vocab.h"
#include "text/unicode.h"

static const char *const pres[] = {"gpt-2", "default", "llama-bpe", "tekken", "deepseek-coder", "kimi-k2"};
#define N_BPE (sizeof pres / sizeof pres[0])

static void require(bool condition) {
    if (!condition) abort();
}

static tnn_tokenizer *make_bpe(const char *pre) {
    tiny_vocab v = {0};
    tnn_tokenizer *t;
    add_chatml_vocab(&v);
    add_merge_token(&v, "a", "a");
    add_merge_token(&v, "aa", "aa");
    add_merge_token(&v, "aa", "a");
    add_merge_token(&v, "\xC3\xA3", "\xC3\xA3");
    add_token(&v, "aaaa<|im_end|>", TNN_TOKEN_CONTROL, 0);
    add_token(&v, "a<|", TNN_TOKEN_USER_DEFINED, 0);
    require(open_tiny_vocab(&t, &v, "gpt2", pre, NULL, NULL) == TNN_OK);
    return t;
}

static tnn_tokenizer *make_spm(bool space_prefix) {
    static const char *const pieces[] =
        {"\xE2\x96\x81",  "a",        "b",  "aa", "ab", "\xE2\x96\x81\x61", "aaaa", "ba", "\xE2\x96\x81\xE2\x96\x81",
         "b\xE2\x96\x81", "\xC3\xA9", "aab"};
    tiny_vocab v = {0};
    tnn_tokenizer *t;
    add_token(&v, "<unk>", TNN_TOKEN_UNKNOWN, 0);
    add_token(&v, "<s>", TNN_TOKEN_CONTROL, 0);
    add_token(&v, "</s>", TNN_TOKEN_CONTROL, 0);
    add_byte_tokens(&v);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        add_token(&v, pieces[i], TNN_TOKEN_NORMAL, -(float)(i * 7 % 5));
    add_key_bool(&v, "tokenizer.ggml.add_space_prefix", space_prefix);
    require(open_tiny_vocab(&t, &v, "llama", NULL, NULL, NULL) == TNN_OK);
    return t;
}

/* What decoding gives back: ill-formed bytes each as U+FFFD (BPE), U+2581 as a space (SPM's own mark). */
static void expect(const char *text, size_t size, bool bpe, tnn_text *out) {
    for (size_t pos = 0; pos < size;) {
        uint32_t code;
        int length = tnn__utf8_decode(text + pos, size - pos, &code);
        if (!bpe && size - pos >= 3 && memcmp(text + pos, "\xE2\x96\x81", 3) == 0) {
            tnn_text_append(out, " ", 1, NULL);
        } else if (bpe && length <= 0) {
            tnn_text_append(out, "\xEF\xBF\xBD", 3, NULL);
        } else {
            tnn_text_append(out, text + pos, length > 0 ? (size_t)length : 1, NULL);
        }
        pos += length > 0 ? (size_t)length : 1;
    }
}

/* What the stream gives: the bytes, with U+FFFD where they are no UTF-8. */
static void sanitise(const tnn_text *in, tnn_text *out) {
    for (size_t pos = 0; pos < in->n;) {
        uint32_t code;
        int length = tnn__utf8_decode(in->data + pos, in->n - pos, &code);
        tnn_text_append(out, length > 0 ? in->data + pos : "\xEF\xBF\xBD", length > 0 ? (size_t)length : 3, NULL);
        pos += length > 0 ? (size_t)length : tnn__utf8_ill_formed(in->data + pos, in->n - pos);
    }
}

static void require_equal(const tnn_text *a, const tnn_text *b) {
    require(a->n == b->n && (a->n == 0 || memcmp(a->data, b->data, a->n) == 0));
}

static void stream(const tnn_tokenizer *t, const tnn_ids *ids, unsigned flags, tnn_text *out) {
    tnn_detokenizer *d;
    tnn_gguf_str piece;
    require(tnn_detokenizer_new(&d, t, flags, NULL, NULL) == TNN_OK);
    for (size_t i = 0; i <= ids->n; i++) {
        require((i < ids->n ? tnn_detokenizer_push(d, ids->data[i], &piece, NULL)
                            : tnn_detokenizer_flush(d, &piece, NULL)) == TNN_OK);
        for (size_t pos = 0; pos < piece.size;) {
            uint32_t code;
            int length = tnn__utf8_decode(piece.data + pos, piece.size - pos, &code);
            require(length > 0);
            pos += (size_t)length;
        }
        tnn_text_append(out, piece.data, piece.size, NULL);
    }
    tnn_detokenizer_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static tnn_tokenizer *tokenizers[N_BPE + 2];
    if (!tokenizers[0]) {
        for (size_t i = 0; i < N_BPE; i++)
            tokenizers[i] = make_bpe(pres[i]);
        tokenizers[N_BPE] = make_spm(false);
        tokenizers[N_BPE + 1] = make_spm(true);
    }
    if (size == 0) return 0;
    size_t which = data[0] % (N_BPE + 2);
    const tnn_tokenizer *t = tokenizers[which];
    bool bpe = which < N_BPE;
    /* with a space prefix, control tokens in the text would add spaces */
    unsigned flags = data[0] & 128 && which != N_BPE + 1 ? TNN_ENCODE_PARSE_SPECIAL : 0;
    const char *text = (const char *)data + 1;
    size--;

    tnn_ids ids = {0};
    tnn_text decoded = {0}, expected = {0}, streamed = {0}, sanitised = {0};
    require(tnn_tokenizer_encode(t, text, size, flags, &ids, NULL) == TNN_OK);
    for (size_t i = 0; i < ids.n; i++)
        require(ids.data[i] >= 0 && ids.data[i] < tnn_tokenizer_n_vocab(t));
    unsigned decode_flags = TNN_DECODE_SPECIAL | TNN_DECODE_START;
    require(tnn_tokenizer_decode(t, ids.data, ids.n, decode_flags, &decoded, NULL) == TNN_OK);
    expect(text, size, bpe, &expected);
    require_equal(&decoded, &expected);
    stream(t, &ids, decode_flags, &streamed);
    sanitise(&decoded, &sanitised);
    require_equal(&streamed, &sanitised);
    tnn_ids_free(&ids);
    tnn_text_free(&decoded);
    tnn_text_free(&expected);
    tnn_text_free(&streamed);
    tnn_text_free(&sanitised);
    return 0;
}
