/*
 * Ids of real vocabularies against recorded ones: 46 texts each, one line of ids per text, made with llama.cpp. The
 * files are not part of the project; without them the test is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/gguf.h>
#include <tinynn/tokenizer.h>

#include "base/alloc.h"
#include "base/file.h"

#define SEPARATOR "\n__ggml_vocab_test__\n"

typedef struct blob {
    char *data;
    size_t size;
} blob;

static blob read_file(const char *name, const char *suffix) {
    char path[1024];
    snprintf(path, sizeof path, "%s/vocab/%s.gguf%s", TNN_TEST_SHARED, name, suffix);
    blob b;
    tnn_error err = {0};
    if (tnn__file_read(path, (size_t)1 << 24, NULL, &b.data, &b.size, &err)) fail_msg("%s", err.text);
    return b;
}

static void free_file(blob b) {
    tnn__free(NULL, b.data, b.size + 1, 1);
}

static tnn_tokenizer *open_tokenizer(const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/vocab/%s.gguf", TNN_TEST_SHARED, name);
    tnn_error err = {0};
    tnn_gguf *g;
    tnn_tokenizer *t;
    if (tnn_gguf_open(&g, path, NULL, &err)) fail_msg("%s", err.text);
    if (tnn_tokenizer_new(&t, g, NULL, &err)) fail_msg("%s: %s", name, err.text);
    tnn_gguf_close(g);
    return t;
}

/* Compares ids with a line of numbers; returns the start of the next line. */
static const char *check_line(const char *line, const tnn_ids *ids, const char *name, int text) {
    size_t n = 0;
    char *end = (char *)line;
    while (*line && *line != '\n') {
        long id = strtol(line, &end, 10);
        if (end == line) {
            line++; /* a space before the end of the line */
            continue;
        }
        if (n >= ids->n || ids->data[n] != id) {
            fail_msg("%s, text %d, token %zu: expected %ld, got %d", name, text, n, id,
                     n < ids->n ? (int)ids->data[n] : -1);
        }
        n++;
        line = end;
    }
    if (n != ids->n) fail_msg("%s, text %d: expected %zu tokens, got %zu", name, text, n, ids->n);
    return *line ? line + 1 : line;
}

static void check_vocabulary(const char *name) {
    tnn_tokenizer *t = open_tokenizer(name);
    blob in = read_file(name, ".inp"), out = read_file(name, ".out");
    const char *text = in.data, *line = out.data;
    tnn_ids ids = {0};
    tnn_text decoded = {0};
    int n_texts = 0;
    while (text < in.data + in.size) {
        const char *next = strstr(text, SEPARATOR);
        size_t size = next ? (size_t)(next - text) : (size_t)(in.data + in.size - text);
        ids.n = decoded.n = 0;
        assert_int_equal(tnn_tokenizer_encode(t, text, size, 0, &ids, NULL), TNN_OK);
        line = check_line(line, &ids, name, n_texts++);
        assert_int_equal(tnn_tokenizer_decode(t, ids.data, ids.n, TNN_DECODE_START, &decoded, NULL), TNN_OK);
        assert_int_equal(decoded.n, size);
        if (size) assert_memory_equal(decoded.data, text, size);
        text = next ? next + strlen(SEPARATOR) : in.data + in.size;
    }
    assert_int_equal(n_texts, 46);
    assert_string_equal(line, "");
    tnn_ids_free(&ids);
    tnn_text_free(&decoded);
    free_file(in);
    free_file(out);
    tnn_tokenizer_free(t);
}

static void deepseek_coder(void **state) {
    (void)state;
    check_vocabulary("deepseek-coder");
}

static void starcoder(void **state) {
    (void)state;
    check_vocabulary("starcoder");
}

static void phi_3(void **state) {
    (void)state;
    check_vocabulary("phi-3");
}

int main(void) {
    FILE *f = fopen(TNN_TEST_SHARED "/vocab/phi-3.gguf", "rb");
    if (!f) {
        fprintf(stderr, "SKIPPED: no vocabularies in " TNN_TEST_SHARED "/vocab\n");
        return 77;
    }
    fclose(f);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deepseek_coder),
        cmocka_unit_test(starcoder),
        cmocka_unit_test(phi_3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
