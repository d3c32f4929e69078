/* Tokenizers over small vocabularies: encoding, special tokens, decoding, streams, and what a file may lack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "support/tiny_vocab.h"

#define SPACE "\xE2\x96\x81"

static tnn_tokenizer *make(tiny_vocab *v, const char *model, const char *pre) {
    tnn_tokenizer *t;
    tnn_error err = {0};
    if (open_tiny_vocab(&t, v, model, pre, NULL, &err)) fail_msg("%s", err.text);
    return t;
}

static tnn_tokenizer *make_bpe(void) {
    tiny_vocab v = {0};
    add_chatml_vocab(&v);
    return make(&v, "gpt2", "gpt-2");
}

/* <unk> <s> </s>, bytes 3 to 258, then pieces from 259 on. */
static void add_spm_vocab(tiny_vocab *v) {
    static const struct {
        const char *text;
        float score;
    } pieces[] = {
        {SPACE, -9},     {"h", -10},        {"e", -11},       {"l", -12},       {"o", -13},
        {"w", -14},      {"he", -2},        {"ll", -1},       {"llo", -3},      {"hello", -4},
        {SPACE "w", -5}, {SPACE SPACE, -6}, {"\xC3\xA9", -7}, {SPACE "h", -15}, {SPACE "hello", -16},
    };
    add_token(v, "<unk>", TNN_TOKEN_UNKNOWN, 0);
    add_token(v, "<s>", TNN_TOKEN_CONTROL, 0);
    add_token(v, "</s>", TNN_TOKEN_CONTROL, 0);
    add_byte_tokens(v);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        add_token(v, pieces[i].text, TNN_TOKEN_NORMAL, pieces[i].score);
    add_token(v, "<user>", TNN_TOKEN_USER_DEFINED, -20); /* 274 */
}

static void check_ids(const tnn_tokenizer *t, const char *text, size_t size, unsigned flags, const int32_t *expected,
                      size_t n) {
    tnn_ids ids = {0};
    tnn_error err = {0};
    if (tnn_tokenizer_encode(t, text, size, flags, &ids, &err)) fail_msg("%s", err.text);
    if (ids.n != n || (n && memcmp(ids.data, expected, n * sizeof *expected) != 0)) {
        for (size_t i = 0; i < ids.n; i++)
            print_error("%d ", (int)ids.data[i]);
        fail_msg("<- ids of '%s'", text);
    }
    tnn_ids_free(&ids);
}

#define CHECK_IDS(t, text, flags, ...)                                                                                 \
    check_ids(t, text, strlen(text), flags, (const int32_t[]){__VA_ARGS__},                                            \
              sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static void check_text(const tnn_tokenizer *t, const int32_t *ids, size_t n, unsigned flags, const char *expected) {
    tnn_text text = {0};
    assert_int_equal(tnn_tokenizer_decode(t, ids, n, flags, &text, NULL), TNN_OK);
    assert_int_equal(text.n, strlen(expected));
    if (text.n) assert_memory_equal(text.data, expected, text.n);
    tnn_text_free(&text);
}

#define CHECK_TEXT(t, flags, expected, ...)                                                                            \
    check_text(t, (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t), flags,     \
               expected)

static void bpe_merges_by_rank(void **state) {
    (void)state;
    tnn_tokenizer *t = make_bpe();
    CHECK_IDS(t, "hello world", 0, 259, 264);
    CHECK_IDS(t, "hellohe", 0, 259, 256);
    CHECK_IDS(t, "lll", 0, 257, 'l'); /* leftmost first */
    CHECK_IDS(t, "\xC3\xA9", 0, 0xC3, 0xA9);
    check_ids(t, "", 0, 0, NULL, 0);
    tnn_tokenizer_free(t);
}

static void bpe_merge_to_no_token(void **state) {
    (void)state;
    tiny_vocab v = {0};
    add_byte_alphabet(&v);
    add_merge(&v, "a b");  /* "ab" is no token, its bytes are */
    add_merge(&v, "ab c"); /* nor is "abc" */
    add_merge_token(&v, "abc", "d");
    tnn_tokenizer *t = make(&v, "gpt2", "gpt-2");
    CHECK_IDS(t, "abcd", 0, 256);
    CHECK_IDS(t, "abc", 0, 'a', 'b', 'c');
    assert_int_equal(tnn_tokenizer_n_vocab(t), 257);
    assert_int_equal(tnn_tokenizer_find(t, "ab", 2), -1);
    tnn_tokenizer_free(t);
}

static void bpe_strange_merges(void **state) {
    (void)state;
    tiny_vocab v = {0};
    add_byte_alphabet(&v);
    add_merge(&v, "");
    add_merge(&v, " ");
    add_merge(&v, "a");
    add_merge(&v, "a ");
    add_merge(&v, " a");  /* the space is its left side: no pair */
    add_merge(&v, "a a"); /* makes aa, then aaaa, ... : a chain of one merge each */
    add_merge(&v, "aa aa");
    add_merge(&v, "aa a");
    add_merge(&v, "a aa"); /* both orders */
    add_merge(&v, "a a");  /* again: the first rank counts */
    add_merge(&v, "aaaa aaaa");
    tnn_tokenizer *t = make(&v, "gpt2", "gpt-2");
    CHECK_IDS(t, "aaa", 0, 'a', 'a', 'a');
    CHECK_IDS(t, "aaaaaaaa", 0, 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a');
    tnn_tokenizer_free(t);
}

/* A word of 2^17 letters whose merges depend on each other all the way. */
static void bpe_long_word(void **state) {
    (void)state;
    tiny_vocab v = {0};
    add_byte_alphabet(&v);
    char *text = malloc((1 << 17) + 1);
    assert_non_null(text);
    memset(text, 'a', 1 << 17);
    for (int size = 1; size <= 1 << 12; size *= 2) {
        bytes merge = {0};
        put_raw(&merge, text, (size_t)size);
        put_raw(&merge, " ", 1);
        put_raw(&merge, text, (size_t)size);
        put_uint(&v.merges, merge.size, 8);
        put_raw(&v.merges, merge.data, merge.size);
        v.n_merges++;
        add_token_n(&v, text, (size_t)size * 2, TNN_TOKEN_NORMAL, 0);
        free_bytes(&merge);
    }
    tnn_tokenizer *t = make(&v, "gpt2", "gpt-2");
    tnn_ids ids = {0};
    assert_int_equal(tnn_tokenizer_encode(t, text, 1 << 17, 0, &ids, NULL), TNN_OK);
    assert_int_equal(ids.n, 16);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_equal(ids.data[i], 268);
    tnn_ids_free(&ids);
    free(text);
    tnn_tokenizer_free(t);
}

static void bpe_ill_formed_text(void **state) {
    (void)state;
    tnn_tokenizer *t = make_bpe();
    enum { EF = 0xEF, BF = 0xBF, BD = 0xBD };
    CHECK_IDS(t, "\xFF", 0, EF, BF, BD);
    CHECK_IDS(t, "\xE2\x82", 0, EF, BF, BD, EF, BF, BD);                 /* cut short */
    CHECK_IDS(t, "\xC0\xAF", 0, EF, BF, BD, EF, BF, BD);                 /* overlong */
    CHECK_IDS(t, "\xED\xA0\x80", 0, EF, BF, BD, EF, BF, BD, EF, BF, BD); /* surrogate */
    CHECK_IDS(t, "\xF4\x90\x80\x80", 0, EF, BF, BD, EF, BF, BD, EF, BF, BD, EF, BF, BD);
    CHECK_IDS(t, "\xF4\x8F\xBF\xBF", 0, 0xF4, 0x8F, 0xBF, 0xBF);
    check_ids(t, "a\0b", 3, 0, (const int32_t[]){'a', 0, 'b'}, 3);
    tnn_tokenizer_free(t);
}

static void whole_words(void **state) {
    (void)state;
    tiny_vocab v = {0};
    add_byte_alphabet(&v);
    add_token(&v,
              "\xC4\xA0"
              "cat",
              TNN_TOKEN_NORMAL, 0); /* 256: no merges lead to it */
    add_token(&v, "<s>", TNN_TOKEN_CONTROL, 0);
    add_merge(&v, "x y");
    add_key_u32(&v, "tokenizer.ggml.bos_token_id", 257);
    tnn_tokenizer *t = make(&v, "gpt2", "llama-bpe");
    CHECK_IDS(t, " cat", 0, 256);
    CHECK_IDS(t, " cats", 0, ' ', 'c', 'a', 't', 's');
    CHECK_IDS(t, " cat", TNN_ENCODE_ADD_SPECIAL, 257, 256); /* BOS is this pre-tokenizer's default */
    tnn_tokenizer_free(t);
}

static void special_tokens(void **state) {
    (void)state;
    tnn_tokenizer *t = make_bpe();
    CHECK_IDS(t, "<|im_end|>hello", TNN_ENCODE_PARSE_SPECIAL, 267, 259);
    CHECK_IDS(t, "<|im_end|><|im_end|>", TNN_ENCODE_PARSE_SPECIAL, 267, 267);
    CHECK_IDS(t, "<|im_end|>", 0, '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>');
    CHECK_IDS(t, "<tool>", 0, 268); /* user-defined: text, always */
    CHECK_IDS(t, "<|im_end<tool>", TNN_ENCODE_PARSE_SPECIAL, '<', '|', 'i', 'm', '_', 'e', 'n', 'd', 268);
    assert_false(tnn_tokenizer_add_bos(t));
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_BOS), 265);
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_EOS), 267);
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_EOT), 267);
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_PADDING), -1);
    assert_true(tnn_tokenizer_is_eog(t, 265)); /* <|endoftext|>, whatever the file calls it */
    assert_true(tnn_tokenizer_is_eog(t, 267));
    assert_false(tnn_tokenizer_is_eog(t, 266));
    assert_false(tnn_tokenizer_is_eog(t, -1));
    assert_false(tnn_tokenizer_is_eog(t, 100000));
    tnn_tokenizer_free(t);
}

/* Known by their texts, they are no text either, whatever the file calls them; a token of a key keeps its type. */
static void fill_in_the_middle(void **state) {
    (void)state;
    tiny_vocab v = {0};
    add_byte_alphabet(&v);
    add_token(&v, "<fim_suffix>", TNN_TOKEN_USER_DEFINED, 0); /* 256 */
    add_token(&v, "<F>", TNN_TOKEN_USER_DEFINED, 0);          /* 257 */
    add_merge(&v, "x x");
    add_key_u32(&v, "tokenizer.ggml.fim_pre_token_id", 257);
    tnn_tokenizer *t = make(&v, "gpt2", "gpt-2");
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_FIM_SUFFIX), 256);
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_FIM_PREFIX), 257);
    CHECK_IDS(t, "<fim_suffix>a", TNN_ENCODE_PARSE_SPECIAL, 256, 'a');
    CHECK_IDS(t, "<fim_suffix>", 0, '<', 'f', 'i', 'm', '_', 's', 'u', 'f', 'f', 'i', 'x', '>');
    CHECK_IDS(t, "<F>", 0, 257);
    tnn_tokenizer_free(t);
}

/* The longest wins wherever it stands; then the lower id; then the leftmost; shorter ones fill what is left. */
static void special_tokens_overlap(void **state) {
    (void)state;
    tiny_vocab v = {0};
    add_byte_alphabet(&v);
    add_token(&v, "[AB]", TNN_TOKEN_CONTROL, 0);     /* 256 */
    add_token(&v, "AB][CD", TNN_TOKEN_CONTROL, 0);   /* 257 */
    add_token(&v, "[C", TNN_TOKEN_CONTROL, 0);       /* 258 */
    add_token(&v, "[", TNN_TOKEN_CONTROL, 0);        /* 259 */
    add_token(&v, "xyx", TNN_TOKEN_CONTROL, 0);      /* 260 */
    add_token(&v, "yxy", TNN_TOKEN_CONTROL, 0);      /* 261 */
    add_token(&v, "zz", TNN_TOKEN_CONTROL, 0);       /* 262 */
    add_token(&v, "zzz", TNN_TOKEN_USER_DEFINED, 0); /* 263 */
    add_merge(&v, "x x");
    tnn_tokenizer *t = make(&v, "gpt2", "gpt-2");
    unsigned parse = TNN_ENCODE_PARSE_SPECIAL;
    CHECK_IDS(t, "[AB][CD]", parse, 259, 257, ']');
    CHECK_IDS(t, "[AB][C", parse, 256, 258);
    CHECK_IDS(t, "yxyx", parse, 'y', 260); /* 260 before 261 though it starts later */
    CHECK_IDS(t, "xyxyx", parse, 260, 'y', 'x');
    CHECK_IDS(t, "zzzzz", parse, 263, 262);
    CHECK_IDS(t, "zzzzz", 0, 263, 'z', 'z');
    tnn_tokenizer_free(t);
}

static void spm_merges_by_score(void **state) {
    (void)state;
    tiny_vocab v = {0};
    add_spm_vocab(&v);
    tnn_tokenizer *t = make(&v, "llama", NULL);
    CHECK_IDS(t, "hello", 0, 273);
    CHECK_IDS(t, "hello w", 0, 273, 269);
    CHECK_IDS(t, "hello", TNN_ENCODE_ADD_SPECIAL, 1, 273);
    CHECK_IDS(t, "  w", 0, 270, 269); /* two spaces and the prefix */
    CHECK_IDS(t, "\xC3\xA9", 0, 259, 271);
    CHECK_IDS(t, "\xC3", 0, 259, 3 + 0xC3); /* bytes that no token covers */
    CHECK_IDS(t, "\xE4\xB8\xAD", 0, 259, 3 + 0xE4, 3 + 0xB8, 3 + 0xAD);
    CHECK_IDS(t, "</s>hello", TNN_ENCODE_PARSE_SPECIAL, 2, 273); /* the prefix again, behind a special token */
    CHECK_IDS(t, "hello</s>", TNN_ENCODE_PARSE_SPECIAL, 273, 2);
    CHECK_IDS(t, "<user>", 0, 274);
    check_ids(t, "", 0, 0, NULL, 0);
    CHECK_IDS(t, "", TNN_ENCODE_ADD_SPECIAL, 1);
    assert_true(tnn_tokenizer_add_bos(t));
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_EOS), 2);
    tnn_tokenizer_free(t);
}

static void spm_without_prefix(void **state) {
    (void)state;
    tiny_vocab v = {0};
    add_spm_vocab(&v);
    add_key_bool(&v, "tokenizer.ggml.add_space_prefix", false);
    add_key_bool(&v, "tokenizer.ggml.add_bos_token", false);
    add_key_bool(&v, "tokenizer.ggml.add_eos_token", true);
    tnn_tokenizer *t = make(&v, "llama", NULL);
    CHECK_IDS(t, "hello", TNN_ENCODE_ADD_SPECIAL, 268, 2);
    CHECK_TEXT(t, TNN_DECODE_START, " hello", 273);
    tnn_tokenizer_free(t);
}

static void decoding(void **state) {
    (void)state;
    tnn_tokenizer *t = make_bpe();
    CHECK_TEXT(t, 0, "hello world", 259, 264);
    CHECK_TEXT(t, 0, "hello", 266, 259, 267);
    CHECK_TEXT(t, TNN_DECODE_SPECIAL, "<|im_start|>hello<|im_end|>", 266, 259, 267);
    CHECK_TEXT(t, 0, "<tool>", 268);
    CHECK_TEXT(t, TNN_DECODE_START, " ", ' ');
    tnn_error err = {0};
    tnn_text text = {0};
    assert_int_equal(tnn_tokenizer_decode(t, (const int32_t[]){259, 269}, 2, 0, &text, &err), TNN_E_RANGE);
    assert_non_null(strstr(err.text, "269"));
    assert_int_equal(text.n, 0);
    assert_int_equal(tnn_tokenizer_decode(t, (const int32_t[]){-1}, 1, 0, &text, &err), TNN_E_RANGE);
    tnn_text_free(&text);
    tnn_tokenizer_free(t);

    tiny_vocab v = {0};
    add_spm_vocab(&v);
    t = make(&v, "llama", NULL);
    CHECK_TEXT(t, 0, " hello w", 1, 273, 269);
    CHECK_TEXT(t, TNN_DECODE_START, "hello w", 1, 273, 269);
    CHECK_TEXT(t, 0, "\xC3\xA9", 3 + 0xC3, 3 + 0xA9);
    tnn_tokenizer_free(t);
}

static void check_push(tnn_detokenizer *d, int32_t id, const char *expected) {
    tnn_gguf_str text;
    assert_int_equal(tnn_detokenizer_push(d, id, &text, NULL), TNN_OK);
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, text.size);
}

static void check_flush(tnn_detokenizer *d, const char *expected) {
    tnn_gguf_str text;
    assert_int_equal(tnn_detokenizer_flush(d, &text, NULL), TNN_OK);
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, text.size);
}

#define REPLACEMENT "\xEF\xBF\xBD"

static void streaming(void **state) {
    (void)state;
    tnn_tokenizer *t = make_bpe();
    tnn_detokenizer *d;
    tnn_gguf_str text;
    tnn_error err = {0};
    assert_int_equal(tnn_detokenizer_new(&d, t, 0, NULL, NULL), TNN_OK);
    check_push(d, 259, "hello");
    check_push(d, 0xF0, ""); /* an emoji, byte by byte */
    check_push(d, 0x9F, "");
    check_push(d, 0x98, "");
    check_push(d, 0x80, "\xF0\x9F\x98\x80");
    check_push(d, 0xE2, "");
    check_push(d, 0x82, "");
    check_push(d, 259, REPLACEMENT "hello"); /* never finished */
    check_push(d, 0x80, REPLACEMENT);        /* began nowhere */
    check_push(d, 0xC0, REPLACEMENT);
    check_push(d, 0xE0, "");
    check_push(d, 0x80, REPLACEMENT REPLACEMENT); /* overlong */
    check_push(d, 0xC3, "");
    assert_int_equal(tnn_detokenizer_push(d, 5000, &text, &err), TNN_E_RANGE);
    assert_non_null(strstr(err.text, "5000"));
    check_push(d, 0xA9, "\xC3\xA9"); /* the failure changed nothing */
    check_flush(d, "");
    check_push(d, 0xF0, "");
    check_push(d, 0x9F, "");
    check_push(d, 0x98, "");
    check_flush(d, REPLACEMENT);
    check_flush(d, "");
    check_push(d, 0xA9, REPLACEMENT);
    tnn_detokenizer_free(d);
    tnn_tokenizer_free(t);

    tiny_vocab v = {0};
    add_spm_vocab(&v);
    t = make(&v, "llama", NULL);
    assert_int_equal(tnn_detokenizer_new(&d, t, TNN_DECODE_START, NULL, NULL), TNN_OK);
    check_push(d, 1, "");
    check_push(d, 273, "hello");
    check_push(d, 273, " hello");
    check_flush(d, "");
    check_push(d, 273, "hello");
    tnn_detokenizer_free(d);
    tnn_detokenizer_free(NULL);
    tnn_tokenizer_free(t);
}

/* One U+FFFD for each maximal subpart: tables 3-8 to 3-11 of the Unicode standard, version 15.1, section 3.9. */
static void replacement(void **state) {
    (void)state;
    static const struct {
        unsigned char bytes[9];
        const char *expected; /* '?' for U+FFFD */
    } cases[] = {
        {{0xC0, 0xAF, 0xE0, 0x80, 0xBF, 0xF0, 0x81, 0x82, 0x41}, "????????A"},
        {{0xED, 0xA0, 0x80, 0xED, 0xBF, 0xBF, 0xED, 0xAF, 0x41}, "????????A"},
        {{0xF4, 0x91, 0x92, 0x93, 0xFF, 0x41, 0x80, 0xBF, 0x42}, "?????A??B"},
        {{0xE1, 0x80, 0xE2, 0xF0, 0x91, 0x92, 0xF1, 0xBF, 0x41}, "????A"},
    };
    tnn_tokenizer *t = make_bpe();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tnn_detokenizer *d;
        char got[32];
        size_t n = 0;
        assert_int_equal(tnn_detokenizer_new(&d, t, 0, NULL, NULL), TNN_OK);
        for (size_t k = 0; k < 9; k++) {
            tnn_gguf_str text;
            assert_int_equal(tnn_detokenizer_push(d, cases[i].bytes[k], &text, NULL), TNN_OK);
            for (size_t pos = 0; pos < text.size; pos += text.data[pos] & 0x80 ? 3 : 1)
                got[n++] = text.data[pos] & 0x80 ? '?' : text.data[pos];
        }
        got[n] = 0;
        assert_string_equal(got, cases[i].expected);
        check_flush(d, "");
        tnn_detokenizer_free(d);
    }
    tnn_tokenizer_free(t);
}

static void token_facts(void **state) {
    (void)state;
    tiny_vocab v = {0};
    add_spm_vocab(&v);
    tnn_tokenizer *t = make(&v, "llama", NULL);
    assert_int_equal(tnn_tokenizer_get_kind(t), TNN_TOKENIZER_SPM);
    assert_string_equal(tnn_tokenizer_pre(t), "");
    assert_int_equal(tnn_tokenizer_n_vocab(t), 275);
    assert_int_equal(tnn_tokenizer_token_text(t, 268).size, 5);
    assert_memory_equal(tnn_tokenizer_token_text(t, 268).data, "hello", 5);
    assert_int_equal(tnn_tokenizer_token_type(t, 1), TNN_TOKEN_CONTROL);
    assert_int_equal(tnn_tokenizer_token_type(t, 3), TNN_TOKEN_BYTE);
    assert_true(tnn_tokenizer_token_score(t, 268) == -4.0f);
    assert_int_equal(tnn_tokenizer_token_text(t, 275).size, 0);
    assert_int_equal(tnn_tokenizer_token_text(t, -1).size, 0);
    assert_int_equal(tnn_tokenizer_token_type(t, 275), TNN_TOKEN_UNDEFINED);
    assert_true(tnn_tokenizer_token_score(t, INT32_MIN) == 0.0f);
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_COUNT), -1);
    assert_int_equal(tnn_tokenizer_find(t, "hello", 5), 268);
    assert_int_equal(tnn_tokenizer_find(t, "hell", 4), -1);
    assert_int_equal(tnn_tokenizer_find(t, "", 0), -1);
    tnn_tokenizer_free(t);
    tnn_tokenizer_free(NULL);
}

static void appending(void **state) {
    (void)state;
    tnn_tokenizer *t = make_bpe();
    tnn_ids ids = {0};
    assert_int_equal(tnn_tokenizer_encode(t, "hello", 5, 0, &ids, NULL), TNN_OK);
    assert_int_equal(tnn_tokenizer_encode(t, " world", 6, 0, &ids, NULL), TNN_OK);
    assert_int_equal(ids.n, 2);
    assert_int_equal(ids.data[1], 264);
    tnn_error err = {0};
    assert_int_equal(tnn_tokenizer_encode(t, "x", TNN_ENCODE_MAX_BYTES + 1, 0, &ids, &err), TNN_E_RANGE);
    assert_int_equal(ids.n, 2);
    tnn_ids_free(&ids);
    assert_null(ids.data);
    tnn_ids_free(NULL);
    tnn_text_free(NULL);
    tnn_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bpe_merges_by_rank),
        cmocka_unit_test(bpe_merge_to_no_token),
        cmocka_unit_test(bpe_strange_merges),
        cmocka_unit_test(bpe_long_word),
        cmocka_unit_test(bpe_ill_formed_text),
        cmocka_unit_test(whole_words),
        cmocka_unit_test(special_tokens),
        cmocka_unit_test(fill_in_the_middle),
        cmocka_unit_test(special_tokens_overlap),
        cmocka_unit_test(spm_merges_by_score),
        cmocka_unit_test(spm_without_prefix),
        cmocka_unit_test(decoding),
        cmocka_unit_test(streaming),
        cmocka_unit_test(replacement),
        cmocka_unit_test(token_facts),
        cmocka_unit_test(appending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
