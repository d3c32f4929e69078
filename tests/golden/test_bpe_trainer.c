/*
 * Learning BPE: merges equal to those that Hugging Face `tokenizers` learns (make_bpe_merges.py writes them) and to a
 * plain count of all pairs before each merge; what is written reads back and encodes as it was learned; texts and
 * options that are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/bpe_trainer.h>
#include <tinynn/chat.h>
#include <tinynn/tokenizer.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/rng.h"
#include "support/temp_dir.h"

static temp_dir dir;

static tnn_bpe_trainer *begin(const tnn_bpe_options *options) {
    tnn_bpe_trainer *t;
    tnn_error err;
    if (tnn_bpe_trainer_new(&t, options, NULL, &err)) fail_msg("%s", err.text);
    return t;
}

static void add(tnn_bpe_trainer *t, const char *text, size_t size) {
    tnn_error err;
    if (tnn_bpe_trainer_add(t, text, size, &err)) fail_msg("%s", err.text);
}

/* Trains, saves and opens the result; frees t. */
static tnn_gguf *finish(tnn_bpe_trainer *t, tnn_bpe_stats *stats) {
    tnn_error err;
    tnn_gguf *g;
    const char *path = temp_path(&dir, "bpe.gguf");
    if (tnn_bpe_trainer_run(t, &err) || tnn_bpe_trainer_save(t, path, &err)) fail_msg("%s", err.text);
    if (stats) *stats = tnn_bpe_trainer_get_stats(t);
    tnn_bpe_trainer_free(t);
    tnn_gguf_open_options options = tnn_gguf_open_options_default();
    options.use_mmap = false;
    if (tnn_gguf_open(&g, path, &options, &err)) fail_msg("%s", err.text);
    return g;
}

static tnn_tokenizer *tokenizer_of(tnn_gguf *g) {
    tnn_tokenizer *t;
    tnn_error err;
    if (tnn_tokenizer_new(&t, g, NULL, &err)) fail_msg("%s", err.text);
    return t;
}

static void check_merges(const tnn_gguf *g, const char *expected, size_t size) {
    int64_t key = tnn_gguf_find_key(g, "tokenizer.ggml.merges");
    uint64_t n = tnn_gguf_array_count(g, key), i = 0;
    for (size_t pos = 0; pos < size; i++) {
        size_t length = 0;
        while (pos + length < size && expected[pos + length] != '\n')
            length++;
        assert_true(i < n);
        tnn_gguf_str merge = tnn_gguf_array_str(g, key, i);
        if (merge.size != length || memcmp(merge.data, expected + pos, length) != 0)
            fail_msg("merge %d is '%.*s', not '%.*s'", (int)i, (int)merge.size, merge.data, (int)length,
                     expected + pos);
        pos += length + 1;
    }
    assert_int_equal(i, n);
}

/* The text as it was cut while learning is what the tokenizer gives. */
static void check_ids(const tnn_gguf *g, const char *text, size_t size, uint64_t n_expected) {
    tnn_tokenizer *t = tokenizer_of((tnn_gguf *)g);
    tnn_ids ids = {0};
    tnn_text back = {0};
    assert_int_equal(tnn_tokenizer_encode(t, text, size, 0, &ids, NULL), TNN_OK);
    assert_int_equal(ids.n, n_expected);
    assert_int_equal(tnn_tokenizer_decode(t, ids.data, ids.n, 0, &back, NULL), TNN_OK);
    assert_int_equal(back.n, size);
    assert_memory_equal(back.data, text, size);
    tnn_text_free(&back);
    tnn_ids_free(&ids);
    tnn_tokenizer_free(t);
}

static char *read_file(const char *path, size_t *size) {
    char *text;
    tnn_error err;
    if (tnn__file_read(path, (size_t)1 << 24, NULL, &text, size, &err)) {
        print_message("SKIPPED: %s\n", err.text);
        skip();
    }
    return text;
}

static void check_golden(const char *text_path, const char *merges_name, int32_t vocab_size) {
    char path[1024];
    size_t size, n_expected;
    snprintf(path, sizeof path, "%s/golden/data/%s.merges", TNN_TEST_SOURCE_DIR, merges_name);
    char *text = read_file(text_path, &size), *expected = read_file(path, &n_expected);
    tnn_bpe_options options = tnn_bpe_options_default();
    tnn_bpe_stats stats;
    options.vocab_size = vocab_size;
    tnn_bpe_trainer *t = begin(&options);
    add(t, text, size);
    tnn_gguf *g = finish(t, &stats);
    assert_int_equal(stats.n_bytes, size);
    check_merges(g, expected, n_expected);
    check_ids(g, text, size, stats.n_text_tokens);
    tnn_gguf_close(g);
    tnn__free(NULL, text, size + 1, 1);
    tnn__free(NULL, expected, n_expected + 1, 1);
}

static void small_text(void **state) {
    (void)state;
    check_golden(TNN_TEST_SOURCE_DIR "/golden/data/bpe-small.txt", "bpe-small", 600);
}

static void tinyshakespeare(void **state) {
    (void)state;
    check_golden(TNN_TEST_SHARED "/data/tinyshakespeare.txt", "bpe-tinyshakespeare", 1024);
}

static void wikitext2(void **state) {
    (void)state;
    check_golden(TNN_TEST_SHARED "/data/wikitext2-valid.txt", "bpe-wikitext2-valid", 4096);
}

/* --- against counting everything anew --- */

enum { N_WORDS = 12, MAX_WORD = 40, MAX_SYMBOLS = 300 };

typedef struct plain {
    int32_t words[N_WORDS][MAX_WORD];
    int n[N_WORDS];
    char texts[MAX_SYMBOLS][MAX_WORD + 1];
    int n_symbols;
} plain;

/* The pair that occurs most often, the lowest of several; its count. */
static int most_frequent(const plain *p, int32_t *left, int32_t *right) {
    static int counts[MAX_SYMBOLS][MAX_SYMBOLS];
    int most = 0;
    memset(counts, 0, sizeof counts);
    for (int w = 0; w < N_WORDS; w++)
        for (int i = 0; i + 1 < p->n[w]; i++)
            counts[p->words[w][i]][p->words[w][i + 1]]++;
    for (int32_t l = 0; l < p->n_symbols; l++)
        for (int32_t r = 0; r < p->n_symbols; r++)
            if (counts[l][r] > most) {
                most = counts[l][r];
                *left = l;
                *right = r;
            }
    return most;
}

static void join(plain *p, int32_t left, int32_t right) {
    char text[2 * MAX_WORD + 1];
    snprintf(text, sizeof text, "%s%s", p->texts[left], p->texts[right]);
    int32_t id = 0;
    while (id < p->n_symbols && strcmp(p->texts[id], text) != 0)
        id++;
    if (id == p->n_symbols) snprintf(p->texts[p->n_symbols++], sizeof p->texts[0], "%.*s", MAX_WORD, text);
    for (int w = 0; w < N_WORDS; w++) {
        int k = 0;
        for (int i = 0; i < p->n[w]; i++, k++) {
            bool here = p->words[w][i] == left && i + 1 < p->n[w] && p->words[w][i + 1] == right;
            p->words[w][k] = here ? id : p->words[w][i];
            i += here;
        }
        p->n[w] = k;
    }
}

/* Words of two or three letters, so that runs, overlaps and equal counts are common. */
static void counted_anew(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        plain p = {.n_symbols = 3, .texts = {"a", "b", "c"}};
        tnn_bpe_options options = tnn_bpe_options_default();
        options.vocab_size = 257 + 60;
        tnn_bpe_trainer *t = begin(&options);
        for (int w = 0; w < N_WORDS; w++) {
            char text[MAX_WORD];
            uint32_t r[4];
            tnn__philox(seed, (uint64_t)w, 0, r);
            p.n[w] = 1 + (int)(r[0] % MAX_WORD);
            for (int i = 0; i < p.n[w]; i++) {
                tnn__philox(seed, (uint64_t)w, 1 + (uint64_t)i, r);
                p.words[w][i] = (int32_t)(r[0] % (2 + seed % 2));
                text[i] = (char)('a' + p.words[w][i]);
            }
            add(t, text, (size_t)p.n[w]);
        }
        tnn_gguf *g = finish(t, NULL);
        int64_t key = tnn_gguf_find_key(g, "tokenizer.ggml.merges");
        uint64_t n = tnn_gguf_array_count(g, key);
        for (uint64_t i = 0; i < n; i++) {
            char line[2 * MAX_WORD + 2];
            int32_t left = 0, right = 0;
            assert_true(most_frequent(&p, &left, &right) >= 2);
            int size = snprintf(line, sizeof line, "%s %s", p.texts[left], p.texts[right]);
            tnn_gguf_str merge = tnn_gguf_array_str(g, key, i);
            assert_int_equal(merge.size, size);
            assert_memory_equal(merge.data, line, merge.size);
            join(&p, left, right);
        }
        int32_t left, right;
        if (p.n_symbols < 3 + 60) assert_true(most_frequent(&p, &left, &right) < 2);
        tnn_gguf_close(g);
    }
}

/* --- the file --- */

static void special_tokens(void **state) {
    (void)state;
    static const char text[] = "hello hello hello<|im_end|>";
    tnn_bpe_options options = tnn_bpe_options_default();
    options.vocab_size = 261;
    options.chat = true;
    options.pre = "llama-bpe"; /* whose models put a BOS in front where the file does not say */
    tnn_bpe_stats stats;
    tnn_bpe_trainer *trainer = begin(&options);
    add(trainer, text, strlen(text));
    tnn_gguf *g = finish(trainer, &stats);
    assert_int_equal(stats.n_tokens, 261);
    assert_int_equal(stats.n_merges, 2);
    tnn_tokenizer *t = tokenizer_of(g);
    assert_string_equal(tnn_tokenizer_pre(t), "llama-bpe");
    assert_int_equal(tnn_tokenizer_n_vocab(t), 261);
    assert_int_equal(tnn_tokenizer_find(t, "<|endoftext|>", 13), 0);
    assert_int_equal(tnn_tokenizer_find(t, "!", 1), 3); /* the first of the bytes' characters */
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_BOS), 0);
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_EOS), 0);
    assert_int_equal(tnn_tokenizer_special(t, TNN_SPECIAL_EOT), 2);
    assert_true(tnn_tokenizer_is_eog(t, 0) && tnn_tokenizer_is_eog(t, 2));
    assert_false(tnn_tokenizer_add_bos(t) || tnn_tokenizer_add_eos(t));
    assert_int_equal(tnn_tokenizer_token_type(t, 1), TNN_TOKEN_CONTROL);

    tnn_chat_template *c;
    tnn_ids ids = {0};
    const tnn_chat_message message = {.role = "user", .content = "hello", .content_size = 5};
    assert_int_equal(tnn_chat_template_new(&c, g, NULL, NULL, NULL), TNN_OK);
    assert_string_equal(tnn_chat_template_name(c), "chatml");
    assert_int_equal(tnn_chat_encode(c, t, &message, 1, NULL, &ids, NULL, NULL), TNN_OK);
    assert_int_equal(ids.data[0], 1);
    tnn_ids_free(&ids);
    tnn_chat_template_free(c);
    tnn_tokenizer_free(t);
    tnn_gguf_close(g);
}

/* --- texts that are none --- */

static void no_text(void **state) {
    (void)state;
    tnn_bpe_stats stats;
    tnn_bpe_trainer *t = begin(NULL);
    add(t, "", 0);
    tnn_gguf *g = finish(t, &stats);
    assert_int_equal(stats.n_tokens, 257);
    assert_int_equal(stats.n_text_tokens, 0);
    tnn_tokenizer_free(tokenizer_of(g));
    tnn_gguf_close(g);
}

static void every_byte(void **state) {
    (void)state;
    char text[2048];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 % 256);
    tnn_bpe_stats stats;
    tnn_bpe_trainer *trainer = begin(NULL);
    add(trainer, text, sizeof text);
    tnn_gguf *g = finish(trainer, &stats);
    tnn_tokenizer *t = tokenizer_of(g);
    tnn_ids ids = {0};
    assert_int_equal(tnn_tokenizer_encode(t, text, sizeof text, 0, &ids, NULL), TNN_OK);
    assert_int_equal(ids.n, stats.n_text_tokens);
    tnn_ids_free(&ids);
    tnn_tokenizer_free(t);
    tnn_gguf_close(g);
}

/* One word of 2^17 letters: a run, whose merges double, and one without order. */
static void long_words(void **state) {
    (void)state;
    enum { N = 1 << 17 };
    char *text = malloc(N);
    assert_non_null(text);
    for (int random = 0; random < 2; random++) {
        uint32_t r[4];
        for (size_t i = 0; i < N; i++) {
            if (i % 4 == 0) tnn__philox(1, 0, i, r);
            text[i] = (char)('a' + (random ? r[i % 4] % 26 : 0));
        }
        tnn_bpe_stats stats;
        tnn_bpe_trainer *t = begin(NULL);
        add(t, text, N);
        tnn_gguf *g = finish(t, &stats);
        if (!random) assert_int_equal(stats.n_merges, 16); /* then one pair is left, and it occurs once */
        check_ids(g, text, N, stats.n_text_tokens);
        tnn_gguf_close(g);
    }
    free(text);
}

/* --- options that are none, calls out of turn --- */

static void refused(void **state) {
    (void)state;
    tnn_bpe_trainer *t;
    tnn_error err;
    const int32_t sizes[] = {INT32_MIN, -1, 0, 255, 256, TNN_BPE_MAX_VOCAB + 1, INT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        tnn_bpe_options options = tnn_bpe_options_default();
        options.vocab_size = sizes[i];
        assert_int_equal(tnn_bpe_trainer_new(&t, &options, NULL, &err), TNN_E_ARG);
        assert_non_null(strstr(err.text, "vocab_size"));
        assert_null(t);
    }
    const char *const pres[] = {NULL, "", "no-such"};
    for (size_t i = 0; i < 3; i++) {
        tnn_bpe_options options = tnn_bpe_options_default();
        options.pre = pres[i];
        assert_int_equal(tnn_bpe_trainer_new(&t, &options, NULL, &err), TNN_E_ARG);
    }
    tnn_bpe_options options = tnn_bpe_options_default();
    options.min_frequency = 0;
    assert_int_equal(tnn_bpe_trainer_new(&t, &options, NULL, &err), TNN_E_ARG);
}

static bool stop_at_260(void *ctx, int32_t n_tokens, int32_t vocab_size) {
    (void)ctx;
    (void)vocab_size;
    return n_tokens < 260;
}

static void out_of_turn(void **state) {
    (void)state;
    static const char text[] = "hello hello hello";
    tnn_error err;
    tnn_bpe_options options = tnn_bpe_options_default();
    tnn_bpe_trainer *t = begin(&options);
    assert_int_equal(tnn_bpe_trainer_save(t, temp_path(&dir, "none.gguf"), &err), TNN_E_STATE);
    add(t, text, strlen(text));
    assert_int_equal(tnn_bpe_trainer_add(t, text, TNN_ENCODE_MAX_BYTES + 1, &err), TNN_E_RANGE);
    assert_int_equal(tnn_bpe_trainer_run(t, &err), TNN_OK);
    assert_int_equal(tnn_bpe_trainer_run(t, &err), TNN_E_STATE);
    assert_int_equal(tnn_bpe_trainer_add(t, text, strlen(text), &err), TNN_E_STATE);
    assert_int_equal(tnn_bpe_trainer_save(t, temp_path(&dir, "no-folder/bpe.gguf"), &err), TNN_E_IO);
    assert_int_equal(tnn_bpe_trainer_save(t, temp_path(&dir, "bpe.gguf"), &err), TNN_OK);
    tnn_bpe_trainer_free(t);

    options.on_merge = stop_at_260;
    t = begin(&options);
    add(t, text, strlen(text));
    assert_int_equal(tnn_bpe_trainer_run(t, &err), TNN_E_CANCELLED);
    tnn_bpe_trainer_free(t);
    tnn_bpe_trainer_free(NULL);
}

static int make_dir(void **state) {
    (void)state;
    temp_dir_create(&dir);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_text),   cmocka_unit_test(tinyshakespeare), cmocka_unit_test(wikitext2),
        cmocka_unit_test(counted_anew), cmocka_unit_test(special_tokens),  cmocka_unit_test(no_text),
        cmocka_unit_test(every_byte),   cmocka_unit_test(long_words),      cmocka_unit_test(refused),
        cmocka_unit_test(out_of_turn),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
