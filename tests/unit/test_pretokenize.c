/*
 * Pre-tokenizers against splits computed by an independent regular expression engine from the published patterns, and
 * the properties every one has: words tile the text, and time is linear in runs of one class.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/pretokenize_cases.h"
#include "text/pretokenize.h"

typedef struct joined {
    char text[512];
    size_t size;
    size_t end; /* of the word before */
} joined;

static tnn_status join(void *ctx, const tnn__char *text, size_t begin, size_t end) {
    joined *j = ctx;
    assert_int_equal(begin, j->end);
    assert_true(end > begin);
    j->end = end;
    if (j->size) j->text[j->size++] = CUT[0];
    for (size_t i = begin; i < end; i++)
        j->size += (size_t)tnn__utf8_encode(tnn__char_code(text[i]), j->text + j->size);
    return TNN_OK;
}

static size_t decode(const char *s, tnn__char *out) {
    size_t n = 0, size = strlen(s);
    for (size_t pos = 0; pos < size;) {
        uint32_t code;
        int length = tnn__utf8_decode(s + pos, size - pos, &code);
        assert_true(length > 0);
        out[n++] = tnn__char_make(code);
        pos += (size_t)length;
    }
    return n;
}

static const tnn__pretokenizer *named(const char *name) {
    const tnn__pretokenizer *p = tnn__pretokenizer_find(name, strlen(name));
    if (!p) fail_msg("no pre-tokenizer %s", name);
    return p;
}

static void check_split(const char *pre, const char *text, const char *expected) {
    tnn__char chars[256];
    size_t n = decode(text, chars);
    joined j = {0};
    assert_int_equal(tnn__pretokenize(named(pre), chars, n, join, &j), TNN_OK);
    assert_int_equal(j.end, n);
    j.text[j.size] = '\0';
    if (strcmp(j.text, expected) != 0) fail_msg("%s: '%s'\nexpected '%s'\n     got '%s'", pre, text, expected, j.text);
}

static void known_splits(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_split(cases[i].pre, cases[i].text, cases[i].words);
}

static void names(void **state) {
    (void)state;
    assert_null(tnn__pretokenizer_find("", 0));
    assert_null(tnn__pretokenizer_find("gpt", 3));
    assert_null(tnn__pretokenizer_find("gpt-2 ", 6));
    assert_true(named("llama-bpe")->ignore_merges && named("llama-bpe")->add_bos);
    assert_true(named("tekken")->ignore_merges && named("tekken")->add_bos);
    assert_false(named("smollm")->ignore_merges || named("smollm")->add_bos);
    assert_false(named("smaug-bpe")->ignore_merges || named("qwen2")->add_bos);
    for (size_t i = 0; tnn__pretokenizer_at(i); i++) /* each name once */
        assert_ptr_equal(named(tnn__pretokenizer_at(i)->name), tnn__pretokenizer_at(i));
}

static tnn_status count_chars(void *ctx, const tnn__char *text, size_t begin, size_t end) {
    (void)text;
    size_t *next = ctx;
    assert_int_equal(begin, *next);
    *next = end;
    return TNN_OK;
}

/* Long runs of what each alternative repeats. A quadratic splitter would take hours for these. */
static void long_runs_are_linear(void **state) {
    (void)state;
    static const char *const units[] = {"a",
                                        "A",
                                        "\xC3\x89",
                                        ("\xC3\x89"
                                         "A"),
                                        "1",
                                        " ",
                                        "\n",
                                        " \n",
                                        "\t",
                                        "'",
                                        ".",
                                        "/",
                                        "\xCC\x81",
                                        "\xE4\xB8\xAD",
                                        "\xE3\x81\x82",
                                        "a\xCC\x81",
                                        "'s",
                                        "$",
                                        "\x01",
                                        " a",
                                        "  1",
                                        "\r\n",
                                        "` ",
                                        "\xF0\x9F\x98\x80"};
    enum { N = 1 << 20 };
    tnn__char *text = malloc(N * sizeof *text);
    assert_non_null(text);
    clock_t start = clock();
    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
        tnn__char unit[4];
        size_t n_unit = decode(units[u], unit);
        for (size_t i = 0; i < N; i++)
            text[i] = unit[i % n_unit];
        for (size_t p = 0; tnn__pretokenizer_at(p); p++) {
            size_t next = 0;
            assert_int_equal(tnn__pretokenize(tnn__pretokenizer_at(p), text, N, count_chars, &next), TNN_OK);
            assert_int_equal(next, N);
        }
    }
    /* 24 units and 46 names over 2^20 characters: about 10^9 characters */
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 120.0);
    free(text);
}

static tnn_status fail_at_third(void *ctx, const tnn__char *text, size_t begin, size_t end) {
    (void)text;
    (void)begin;
    (void)end;
    return ++*(int *)ctx == 3 ? TNN_E_CANCELLED : TNN_OK;
}

static void failure_stops(void **state) {
    (void)state;
    tnn__char text[64];
    size_t n = decode("one two 3 four 55 six", text);
    for (size_t p = 0; tnn__pretokenizer_at(p); p++) {
        int calls = 0;
        assert_int_equal(tnn__pretokenize(tnn__pretokenizer_at(p), text, n, fail_at_third, &calls), TNN_E_CANCELLED);
        assert_int_equal(calls, 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_splits),
        cmocka_unit_test(names),
        cmocka_unit_test(long_runs_are_linear),
        cmocka_unit_test(failure_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
