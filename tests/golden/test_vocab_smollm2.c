/*
 * SmolLM2's ids of whole texts, by the hash of those that Hugging Face `tokenizers` gives (make_smollm2_ids.py writes
 * them). Skipped without the model file (support/smollm2.h) or the texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/chat.h>
#include <tinynn/tokenizer.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/rng.h"
#include "support/smollm2.h"

static tnn_gguf *model;
static tnn_tokenizer *tokenizer;

static bool exists(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f) fclose(f);
    return f != NULL;
}

static void check_text(const char *name, size_t n_ids, uint64_t hash) {
    char path[1024], *text;
    size_t size;
    snprintf(path, sizeof path, "%s/data/%s.txt", TNN_TEST_SHARED, name);
    if (!exists(path)) {
        print_message("SKIPPED: no %s\n", path);
        skip();
    }
    assert_int_equal(tnn__file_read(path, (size_t)1 << 24, NULL, &text, &size, NULL), TNN_OK);
    tnn_ids ids = {0};
    assert_int_equal(tnn_tokenizer_encode(tokenizer, text, size, TNN_ENCODE_PARSE_SPECIAL, &ids, NULL), TNN_OK);
    assert_int_equal(ids.n, n_ids);
    for (size_t i = 0; i < ids.n; i++) { /* the hash is over 4 bytes an id, the lowest first */
        uint32_t id = (uint32_t)ids.data[i];
        unsigned char bytes[4] = {(unsigned char)id, (unsigned char)(id >> 8), (unsigned char)(id >> 16),
                                  (unsigned char)(id >> 24)};
        memcpy(&ids.data[i], bytes, 4);
    }
    assert_true(tnn__hash_bytes(ids.data, ids.n * 4) == hash);
    tnn_ids_free(&ids);
    tnn__free(NULL, text, size + 1, 1);
}

static void tinyshakespeare(void **state) {
    (void)state;
    check_text("tinyshakespeare", 341094, UINT64_C(0x0b93315d46b1726e));
}

static void wikitext2_test(void **state) {
    (void)state;
    check_text("wikitext2-test", 312144, UINT64_C(0x90781a3639f7d41e));
}

static void wikitext2_valid(void **state) {
    (void)state;
    check_text("wikitext2-valid", 273868, UINT64_C(0xa933574ad3c6ac13));
}

/* A published vector: the default system message, one user message, and the header of the answer. */
static void chat(void **state) {
    (void)state;
    static const int32_t expected[] = {1,    9690,  198,   2683, 359, 253, 5356,  5646, 11173, 3365, 3511,
                                       308,  34519, 28,    7018, 411, 407, 19712, 8182, 2,     198,  1,
                                       4093, 198,   19556, 2,    198, 1,   520,   9531, 198};
    tnn_chat_template *c;
    tnn_ids ids = {0};
    const tnn_chat_message hello = {.role = "user", .content = "Hello", .content_size = 5};
    assert_int_equal(tnn_chat_template_new(&c, model, NULL, NULL, NULL), TNN_OK);
    assert_string_equal(tnn_chat_template_name(c), "chatml");
    assert_int_equal(tnn_chat_encode(c, tokenizer, &hello, 1, NULL, &ids, NULL, NULL), TNN_OK);
    assert_int_equal(ids.n, sizeof expected / sizeof expected[0]);
    assert_memory_equal(ids.data, expected, sizeof expected);
    tnn_ids_free(&ids);
    tnn_chat_template_free(c);
}

static void special_tokens(void **state) {
    (void)state;
    assert_string_equal(tnn_tokenizer_pre(tokenizer), "smollm");
    assert_int_equal(tnn_tokenizer_n_vocab(tokenizer), 49152);
    assert_int_equal(tnn_tokenizer_special(tokenizer, TNN_SPECIAL_EOS), 2);
    assert_false(tnn_tokenizer_add_bos(tokenizer));
    assert_true(tnn_tokenizer_is_eog(tokenizer, 0));
    assert_false(tnn_tokenizer_is_eog(tokenizer, 1));
    assert_true(tnn_tokenizer_is_eog(tokenizer, 2));
}

int main(void) {
    char path[1024];
    if (!find_smollm2(path, sizeof path)) return 77;
    tnn_error err = {0};
    if (tnn_gguf_open(&model, path, NULL, &err) || tnn_tokenizer_new(&tokenizer, model, NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tinyshakespeare), cmocka_unit_test(wikitext2_test),
        cmocka_unit_test(wikitext2_valid), cmocka_unit_test(chat),
        cmocka_unit_test(special_tokens),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tnn_tokenizer_free(tokenizer);
    tnn_gguf_close(model);
    return failed;
}
