/* Tokenizer files that lie or lack something, huge tokens and texts, and memory that runs out at every point. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/counting_allocator.h"
#include "support/tiny_vocab.h"

static void check_refused(tiny_vocab *v, const char *model, const char *pre, tnn_status status, const char *named) {
    tnn_tokenizer *t;
    tnn_error err = {0};
    assert_int_equal(open_tiny_vocab(&t, v, model, pre, NULL, &err), status);
    assert_null(t);
    if (!strstr(err.text, named)) fail_msg("'%s' does not name '%s'", err.text, named);
}

static tnn_tokenizer *check_taken(tiny_vocab *v, const char *model, const char *pre) {
    tnn_tokenizer *t;
    tnn_error err = {0};
    if (open_tiny_vocab(&t, v, model, pre, NULL, &err)) fail_msg("%s", err.text);
    return t;
}

static void no_tokenizer(void **state) {
    (void)state;
    tiny_vocab v = {0};
    check_refused(&v, NULL, NULL, TNN_E_NOTFOUND, "--prompt-ids");
    check_refused(&v, "none", NULL, TNN_E_NOTFOUND, "--prompt-ids");
    check_refused(&v, "no_vocab", NULL, TNN_E_NOTFOUND, "--prompt-ids");
    check_refused(&v, "bert", NULL, TNN_E_UNSUPPORTED, "'bert'");
    check_refused(&v, "", NULL, TNN_E_UNSUPPORTED, "gpt2");
    check_refused(&v, "gpt2", "gpt-2", TNN_E_FORMAT, "tokenizer.ggml.tokens");
    check_refused(&v, "gpt2", "qwen9", TNN_E_UNSUPPORTED, "'qwen9'");
    check_refused(&v, "gpt2", "qwen9", TNN_E_UNSUPPORTED, "llama-bpe");
    put_key(&v.extra, "tokenizer.ggml.model", TNN_GGUF_U8);
    put_uint(&v.extra, 1, 1);
    v.n_extra++;
    check_refused(&v, NULL, NULL, TNN_E_FORMAT, "tokenizer.ggml.model");
}

static void default_pre(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        tiny_vocab v = {0};
        add_chatml_vocab(&v);
        tnn_tokenizer *t = check_taken(&v, "gpt2", i ? "" : NULL);
        assert_string_equal(tnn_tokenizer_pre(t), "default");
        tnn_tokenizer_free(t);
    }
}

/* A vocabulary of one token and no ids of specials: none of the usual ones may be taken for granted. */
static void one_token(void **state) {
    (void)state;
    tiny_vocab v = {0};
    add_token(&v, "a", TNN_TOKEN_NORMAL, 0);
    add_merge(&v, "a a");
    tnn_tokenizer *t = check_taken(&v, "gpt2", "gpt-2");
    tnn_ids ids = {0};
    assert_int_equal(tnn_tokenizer_encode(t, "aab", 3, TNN_ENCODE_ADD_SPECIAL, &ids, NULL), TNN_OK);
    assert_int_equal(ids.n, 2);
    for (int i = 0; i < TNN_SPECIAL_COUNT; i++)
        assert_int_equal(tnn_tokenizer_special(t, (tnn_special_token)i), -1);
    tnn_tokenizer_free(t);

    add_token(&v, "a", TNN_TOKEN_NORMAL, 0);
    t = check_taken(&v, "llama", NULL);
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_BOS), -1);
    ids.n = 0;
    assert_int_equal(tnn_tokenizer_encode(t, "a b", 3, TNN_ENCODE_ADD_SPECIAL, &ids, NULL), TNN_OK);
    assert_int_equal(ids.n, 1);
    tnn_ids_free(&ids);
    tnn_tokenizer_free(t);
}

static void ids_out_of_range(void **state) {
    (void)state;
    tiny_vocab v = {0};
    add_byte_alphabet(&v);
    add_merge(&v, "a a");
    add_key_u32(&v, "tokenizer.ggml.bos_token_id", 256);
    add_key_u32(&v, "tokenizer.ggml.eos_token_id", UINT32_MAX);
    add_key_u32(&v, "tokenizer.ggml.padding_token_id", 255);
    add_key_bool(&v, "tokenizer.ggml.add_bos_token", true);
    tnn_tokenizer *t = check_taken(&v, "gpt2", "gpt-2");
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_BOS), -1);
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_EOS), -1);
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_PADDING), 255);
    tnn_ids ids = {0};
    assert_int_equal(tnn_tokenizer_encode(t, "a", 1, TNN_ENCODE_ADD_SPECIAL, &ids, NULL), TNN_OK);
    assert_int_equal(ids.n, 1);
    tnn_ids_free(&ids);
    tnn_tokenizer_free(t);

    add_byte_alphabet(&v);
    add_merge(&v, "a a");
    add_key_str(&v, "tokenizer.ggml.eos_token_id", "2");
    check_refused(&v, "gpt2", "gpt-2", TNN_E_FORMAT, "tokenizer.ggml.eos_token_id");
}

static void arrays_that_do_not_fit(void **state) {
    (void)state;
    tiny_vocab v = {0};
    add_byte_alphabet(&v);
    check_refused(&v, "gpt2", "gpt-2", TNN_E_FORMAT, "tokenizer.ggml.merges");

    add_byte_alphabet(&v); /* one type short */
    add_merge(&v, "a a");
    v.types.size -= 4;
    v.n_types--;
    check_refused(&v, "gpt2", "gpt-2", TNN_E_FORMAT, "255 elements");

    add_byte_alphabet(&v);
    v.scores.size = v.n_scores = 0;
    check_refused(&v, "llama", NULL, TNN_E_FORMAT, "tokenizer.ggml.scores");

    add_byte_alphabet(&v); /* scores as bytes: not read as floats */
    v.scores.size = v.n_scores = 0;
    put_array(&v.extra, "tokenizer.ggml.scores", TNN_GGUF_I8, 256);
    put_zeros(&v.extra, 256);
    v.n_extra++;
    check_refused(&v, "llama", NULL, TNN_E_FORMAT, "tokenizer.ggml.scores");

    add_token(&v, "a", TNN_TOKEN_NORMAL, NAN);
    check_refused(&v, "llama", NULL, TNN_E_FORMAT, "tokenizer.ggml.scores[0]");

    put_array(&v.extra, "tokenizer.ggml.tokens", TNN_GGUF_U32, 2);
    put_zeros(&v.extra, 8);
    v.n_extra++;
    check_refused(&v, "gpt2", "gpt-2", TNN_E_FORMAT, "tokenizer.ggml.tokens");

    add_byte_alphabet(&v);
    add_key_str(&v, "tokenizer.ggml.merges", "a a");
    check_refused(&v, "gpt2", "gpt-2", TNN_E_FORMAT, "tokenizer.ggml.merges");

    static const char *const malformed[] = {"<0x-1>", "<0xZZ>", "<0x1>", "<0x100>", "x", "", "<0x+1>", "<0x 1>"};
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        add_token(&v, "a", TNN_TOKEN_NORMAL, 0);
        add_token(&v, malformed[i], TNN_TOKEN_BYTE, 0);
        check_refused(&v, "llama", NULL, TNN_E_FORMAT, "token 1");
    }
}

static void strange_tokens(void **state) {
    (void)state;
    tiny_vocab v = {0};
    add_byte_alphabet(&v);
    add_token(&v, "", TNN_TOKEN_CONTROL, 0);
    add_token(&v, "", TNN_TOKEN_USER_DEFINED, 0);
    add_token(&v, "twice", TNN_TOKEN_USER_DEFINED, 0); /* 258 */
    add_token(&v, "twice", TNN_TOKEN_USER_DEFINED, 0);
    add_token(&v, "\xFF\xC3", TNN_TOKEN_NORMAL, 0);     /* 260: not UTF-8 */
    add_token(&v, "kind", 77, 0);                       /* 261: a type there is not */
    add_token(&v, "\xE4\xB8\xAD", TNN_TOKEN_NORMAL, 0); /* 262: outside of the alphabet */
    add_merge(&v, "a a");
    tnn_tokenizer *t = check_taken(&v, "gpt2", "gpt-2");
    tnn_ids ids = {0};
    assert_int_equal(tnn_tokenizer_encode(t, "twice", 5, TNN_ENCODE_PARSE_SPECIAL, &ids, NULL), TNN_OK);
    assert_int_equal(ids.n, 1);
    assert_int_equal(ids.data[0], 258);
    tnn_text text = {0};
    const int32_t all[] = {256, 257, 260, 261, 262};
    assert_int_equal(tnn_tokenizer_decode(t, all, 5, TNN_DECODE_SPECIAL, &text, NULL), TNN_OK);
    assert_int_equal(text.n, 5);
    assert_memory_equal(text.data, "\xFF\xC3\xE4\xB8\xAD", 5);
    assert_int_equal(tnn_tokenizer_token_type(t, 261), TNN_TOKEN_UNDEFINED);
    tnn_ids_free(&ids);
    tnn_text_free(&text);
    tnn_tokenizer_free(t);
}

/* A token of 1 MB in every role. */
static void huge_token(void **state) {
    (void)state;
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    assert_non_null(text);
    memset(text, 'a', SIZE);
    for (int32_t type = TNN_TOKEN_UNDEFINED; type < TNN_TOKEN_BYTE; type++) {
        for (int spm = 0; spm < 2; spm++) {
            tiny_vocab v = {0};
            add_byte_alphabet(&v);
            add_token_n(&v, text, SIZE, type, 0);
            add_merge(&v, "a a");
            tnn_tokenizer *t = check_taken(&v, spm ? "llama" : "gpt2", spm ? NULL : "gpt-2");
            tnn_ids ids = {0};
            tnn_text decoded = {0};
            assert_int_equal(tnn_tokenizer_encode(t, text, SIZE, TNN_ENCODE_PARSE_SPECIAL, &ids, NULL), TNN_OK);
            assert_int_equal(ids.n, SIZE);
            const int32_t id = 256;
            assert_int_equal(tnn_tokenizer_decode(t, &id, 1, TNN_DECODE_SPECIAL, &decoded, NULL), TNN_OK);
            assert_int_equal(decoded.n, type == TNN_TOKEN_UNDEFINED || type == TNN_TOKEN_UNUSED ? 0 : SIZE);
            tnn_ids_free(&ids);
            tnn_text_free(&decoded);
            tnn_tokenizer_free(t);
        }
    }
    free(text);
}

/* 1,000 special tokens that are the beginnings of each other, over a text that matches them everywhere. */
/*
 * Merges whose pairs all fall into one place of a table that hashes them by a product, which is what anybody would try:
 * no such choice may make loading quadratic.
 */
static void merges_made_to_collide(void **state) {
    (void)state;
    enum { N_TOKENS = 16384, N_MERGES = 60000, MASK = (1 << 17) - 1 };
    tiny_vocab v = {0};
    char text[32];
    int n = 0;
    for (int i = 0; i < N_TOKENS; i++) {
        snprintf(text, sizeof text, "t%04x", i);
        add_token(&v, text, TNN_TOKEN_NORMAL, 0);
    }
    for (uint64_t left = 0; left < N_TOKENS && n < N_MERGES; left++) {
        for (uint64_t right = 0; right < N_TOKENS && n < N_MERGES; right++) {
            uint64_t h = (left << 32 | right) * UINT64_C(0x9E3779B97F4A7C15);
            if (((h ^ h >> 32) & MASK) >= 32) continue;
            snprintf(text, sizeof text, "t%04x t%04x", (unsigned)left, (unsigned)right);
            add_merge(&v, text);
            n++;
        }
    }
    assert_int_equal(n, N_MERGES);
    clock_t start = clock();
    tnn_tokenizer_free(check_taken(&v, "gpt2", "gpt-2"));
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (seconds > 1) fail_msg("loading took %.1f s", seconds);
}

static void nested_special_tokens(void **state) {
    (void)state;
    enum { SIZE = 1 << 18 };
    char *text = malloc(SIZE);
    assert_non_null(text);
    memset(text, 'a', SIZE);
    tiny_vocab v = {0};
    add_byte_alphabet(&v);
    add_merge(&v, "a a");
    for (size_t n = 2; n <= 1000; n++)
        add_token_n(&v, text, n, TNN_TOKEN_CONTROL, 0);
    tnn_tokenizer *t = check_taken(&v, "gpt2", "gpt-2");
    clock_t start = clock();
    tnn_ids ids = {0};
    assert_int_equal(tnn_tokenizer_encode(t, text, SIZE, TNN_ENCODE_PARSE_SPECIAL, &ids, NULL), TNN_OK);
    assert_int_equal(ids.n, SIZE / 1000 + 1);
    assert_int_equal(ids.data[0], 256 + 998);
    assert_int_equal(ids.data[ids.n - 1], 256 + SIZE % 1000 - 2);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 60.0);
    tnn_ids_free(&ids);
    tnn_tokenizer_free(t);
    free(text);
}

/* Every allocation of making, encoding and decoding fails once, and from then on. */
static void check_memory(const char *model, const char *pre, bool fail_from) {
    for (size_t fail_at = 1;; fail_at++) {
        counting_allocator counter = {.fail_at = fail_at, .fail_from = fail_from};
        tnn_allocator a = counting_interface(&counter);
        tiny_vocab v = {0};
        add_chatml_vocab(&v);
        tnn_tokenizer *t;
        tnn_detokenizer *d = NULL;
        tnn_ids ids = {.allocator = &a};
        tnn_text text = {.allocator = &a};
        tnn_gguf_str piece;
        tnn_error err = {0};
        tnn_status status = open_tiny_vocab(&t, &v, model, pre, &a, &err);
        if (!status) {
            status = tnn_tokenizer_encode(t, "hello<tool> world <|im_end|>", 28, 3, &ids, &err);
            assert_true(status == TNN_OK || ids.n == 0);
        }
        if (!status) status = tnn_tokenizer_decode(t, ids.data, ids.n, 0, &text, &err);
        if (!status) status = tnn_detokenizer_new(&d, t, 0, &a, &err);
        if (!status) status = tnn_detokenizer_push(d, 264, &piece, &err);
        if (!status) status = tnn_detokenizer_flush(d, &piece, &err);
        tnn_detokenizer_free(d);
        tnn_text_free(&text);
        tnn_ids_free(&ids);
        tnn_tokenizer_free(t);
        assert_int_equal(counter.live_blocks, 0);
        assert_int_equal(counter.live_bytes, 0);
        if (counter.requests < fail_at) {
            assert_int_equal(status, TNN_OK);
            return;
        }
        assert_int_equal(status, TNN_E_NOMEM);
        assert_true(err.text[0] != '\0');
    }
}

static void memory_runs_out(void **state) {
    (void)state;
    check_memory("gpt2", "llama-bpe", false);
    check_memory("gpt2", "smollm", true);
    check_memory("llama", NULL, false);
    check_memory("llama", NULL, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_tokenizer),
        cmocka_unit_test(default_pre),
        cmocka_unit_test(one_token),
        cmocka_unit_test(ids_out_of_range),
        cmocka_unit_test(arrays_that_do_not_fit),
        cmocka_unit_test(strange_tokens),
        cmocka_unit_test(huge_token),
        cmocka_unit_test(merges_made_to_collide),
        cmocka_unit_test(nested_special_tokens),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
