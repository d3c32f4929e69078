/*
 * Training data: every kind of row and what of it is under loss, rows that are refused with file and line, the order
 * of an epoch, and batches whose sequences do not see each other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tinynn/dataset.h>

#include "support/counting_allocator.h"
#include "support/temp_dir.h"
#include "support/tiny_vocab.h"

enum { EOS = 267 };

static temp_dir dir;
static tnn_tokenizer *tokenizer;
static tnn_chat_template *chat;
static tnn_error err;

static int open_all(void **state) {
    (void)state;
    tiny_vocab v = {0};
    bytes b = {0};
    tnn_gguf *g;
    temp_dir_create(&dir);
    add_chatml_vocab(&v);
    put_vocab(&b, &v, "gpt2", "gpt-2");
    if (tnn_gguf_open_memory(&g, b.data, b.size, NULL, NULL) || tnn_tokenizer_new(&tokenizer, g, NULL, NULL) ||
        tnn_chat_template_new(&chat, g, "chatml", NULL, NULL)) {
        return -1;
    }
    tnn_gguf_close(g);
    free_bytes(&b);
    return 0;
}

static int close_all(void **state) {
    (void)state;
    tnn_chat_template_free(chat);
    tnn_tokenizer_free(tokenizer);
    temp_dir_remove(&dir);
    return 0;
}

static void write_file(const char *text, size_t n) {
    FILE *f = fopen(temp_path(&dir, "rows.jsonl"), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static tnn_dataset_options options(void) {
    tnn_dataset_options o = tnn_dataset_options_default();
    o.system = "";
    return o;
}

static tnn_status open_rows(tnn_dataset **d, const char *text, size_t n, const tnn_dataset_options *o) {
    write_file(text, n);
    err = (tnn_error){0};
    return tnn_dataset_open_jsonl(d, temp_path(&dir, "rows.jsonl"), tokenizer, chat, o, NULL, &err);
}

static tnn_dataset *accept(const char *text, const tnn_dataset_options *o) {
    tnn_dataset *d;
    if (open_rows(&d, text, strlen(text), o)) fail_msg("%s", err.text);
    return d;
}

static void refuse_n(const char *text, size_t n, tnn_status want, const char *where, const char *what) {
    tnn_dataset *d = (tnn_dataset *)(void *)&dir;
    tnn_dataset_options o = options();
    assert_int_equal(open_rows(&d, text, n, &o), want);
    assert_null(d);
    if (!strstr(err.text, where) || !strstr(err.text, what))
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", err.text, where, what);
}

static void refuse(const char *text, const char *where, const char *what) {
    refuse_n(text, strlen(text), TNN_E_FORMAT, where, what);
}

/* The text of sequence i, and of it what is under loss. */
static void texts_of(const tnn_dataset *d, int64_t i, char whole[512], char trained[512]) {
    const char *mark;
    int64_t n;
    const int32_t *ids = tnn_dataset_sequence(d, i, &mark, &n);
    tnn_text all = {0}, under = {0};
    for (int64_t k = 0; k < n; k++) {
        assert_int_equal(tnn_tokenizer_decode(tokenizer, ids + k, 1, TNN_DECODE_SPECIAL, &all, NULL), TNN_OK);
        if (mark[k])
            assert_int_equal(tnn_tokenizer_decode(tokenizer, ids + k, 1, TNN_DECODE_SPECIAL, &under, NULL), TNN_OK);
    }
    snprintf(whole, 512, "%.*s", (int)all.n, all.data ? all.data : "");
    snprintf(trained, 512, "%.*s", (int)under.n, under.data ? under.data : "");
    tnn_text_free(&all);
    tnn_text_free(&under);
}

/* --- rows --- */

#define USER_HI  "<|im_start|>user\nhi<|im_end|>\n"
#define SAY_YO   "<|im_start|>assistant\nyo<|im_end|>\n"
#define CHAT_ROW "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"yo\"}]}\n"

static void test_kinds_of_rows(void **state) {
    (void)state;
    static const struct {
        const char *row, *whole, *trained;
    } kinds[] = {
        {CHAT_ROW, USER_HI SAY_YO, "yo<|im_end|>"},
        {"{\"conversations\":[{\"from\":\"human\",\"value\":\"hi\"},{\"from\":\"gpt\",\"value\":\"yo\"}]}\n",
         USER_HI SAY_YO, "yo<|im_end|>"},
        {"{\"prompt\":\"hi\",\"completion\":\"yo\"}\n", USER_HI SAY_YO, "yo<|im_end|>"},
        {"{\"instruction\":\"hi\",\"output\":\"yo\"}\n", USER_HI SAY_YO, "yo<|im_end|>"},
        {"{\"instruction\":\"hi\",\"input\":null,\"output\":\"yo\"}\n", USER_HI SAY_YO, "yo<|im_end|>"},
        {"{\"instruction\":\"hi\",\"input\":\"you\",\"output\":\"yo\"}\n",
         "<|im_start|>user\nhi\n\nyou<|im_end|>\n" SAY_YO, "yo<|im_end|>"},
        {"{\"text\":\"hello\"}\n", "hello<|im_end|>", "hello<|im_end|>"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"yo\"},{\"role\":"
         "\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"yo\"}]}\n",
         USER_HI SAY_YO USER_HI SAY_YO, "yo<|im_end|>yo<|im_end|>"},
    };
    tnn_dataset_options o = options();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char whole[512], trained[512];
        o.train_prompt = false;
        tnn_dataset *d = accept(kinds[i].row, &o);
        tnn_dataset_stats s = tnn_dataset_get_stats(d);
        assert_true(s.n_rows == 1 && s.n_sequences == 1 && s.n_cut == 0 && s.n_skipped == 0);
        texts_of(d, 0, whole, trained);
        if (strncmp(whole, kinds[i].whole, strlen(kinds[i].whole) - 1) != 0) fail_msg("%s", whole);
        if (strncmp(trained, kinds[i].trained, strlen(kinds[i].trained)) != 0) fail_msg("%s", trained);
        assert_true(strlen(trained) <= strlen(kinds[i].trained) + 2); /* at most the line's end */
        tnn_dataset_free(d);
        o.train_prompt = true;
        d = accept(kinds[i].row, &o);
        texts_of(d, 0, whole, trained);
        assert_string_equal(whole, trained);
        tnn_dataset_free(d);
    }
}

static void test_forms_of_lines(void **state) {
    (void)state;
    static const char *const forms[] = {
        "\xEF\xBB\xBF{\"text\":\"ab\"}\n{\"text\":\"cd\"}\n",            /* byte order mark */
        "{\"text\":\"ab\"}\r\n{\"text\":\"cd\"}\r\n",                    /* CRLF */
        "{\"text\":\"ab\"}\n{\"text\":\"cd\"}",                          /* no newline at the end */
        "\n\n  \t\n{\"text\":\"ab\"}\n\r\n{\"text\":\"cd\"}\n\n",        /* empty lines */
        "{\"other\":[1,{}],\"text\":\"ab\"}\n  {\"text\" : \"cd\"}  \n", /* unknown fields, spaces */
    };
    tnn_dataset_options o = options();
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char whole[512], trained[512];
        tnn_dataset *d = accept(forms[i], &o);
        assert_int_equal(tnn_dataset_get_stats(d).n_rows, 2);
        texts_of(d, 1, whole, trained);
        assert_string_equal(whole, "cd<|im_end|>");
        tnn_dataset_free(d);
    }
}

static void test_rows_that_are_refused(void **state) {
    (void)state;
    refuse("{\"text\":\"ab\"}\n{\"text\":\"c", "rows.jsonl:2:", ""); /* cut short */
    refuse(CHAT_ROW "{\"messages\":[{\"role\":\"user\"", "rows.jsonl:2:", "");
    refuse("not json\n", "rows.jsonl:1:", "");
    refuse("{\"text\":\"ab\"} trailing\n", "rows.jsonl:1:", "");
    refuse("[]\n", "rows.jsonl:1:", "object");
    refuse("{}\n", "rows.jsonl:1:", "\"messages\"");
    refuse("{\"prompt\":\"hi\"}\n", "rows.jsonl:1:", "\"completion\"");
    refuse("\n\n{\"completion\":\"hi\"}\n", "rows.jsonl:3:", "\"prompt\" is missing");
    refuse("{\"prompt\":1,\"completion\":\"hi\"}\n", "rows.jsonl:1:", "\"prompt\" is not a string");
    refuse("{\"prompt\":\"hi\",\"completion\":null}\n", "rows.jsonl:1:", "\"completion\" is not a string");
    refuse("{\"instruction\":\"hi\"}\n", "rows.jsonl:1:", "\"output\" is missing");
    refuse("{\"instruction\":\"hi\",\"input\":3,\"output\":\"yo\"}\n", "rows.jsonl:1:", "\"input\" is not a string");
    refuse("{\"text\":\"ab\"}\r\n{\"text\":[\"cd\"]}\r\n", "rows.jsonl:2:", "\"text\" is not a string");
    refuse("{\"text\":\"ab\"}\n" CHAT_ROW, "rows.jsonl:2:", "\"text\" is missing"); /* the first row decides */
    refuse("{\"messages\":[]}\n", "rows.jsonl:1:", "messages");
    refuse("{\"messages\":{}}\n", "rows.jsonl:1:", "messages");
    refuse("{\"messages\":null}\n", "rows.jsonl:1:", "messages");
    refuse("{\"messages\":[3]}\n", "rows.jsonl:1:", "\"role\" is missing");
    refuse("{\"messages\":[{\"role\":\"user\"}]}\n", "rows.jsonl:1:", "\"content\" is missing");
    refuse("{\"messages\":[{\"role\":\"user\",\"content\":[]}]}\n", "rows.jsonl:1:", "no parts");
    refuse("{\"conversations\":[{\"from\":\"human\"}]}\n", "rows.jsonl:1:", "\"value\" is missing");
    refuse("{\"text\":\"\xff\xfe\"}\n", "rows.jsonl:1:", ""); /* ill-formed UTF-8 */
    refuse("{\"text\":\"\\ud800\"}\n", "rows.jsonl:1:", "");
    static const char nul[] = "{\"text\":\"ab\"}\n{\"text\":\"c\0d\"}\n";
    refuse_n(nul, sizeof nul - 1, TNN_E_FORMAT, "rows.jsonl:2:", "");
    static const char between[] = "{\"text\":\"ab\"}\n\0\n";
    refuse_n(between, sizeof between - 1, TNN_E_FORMAT, "rows.jsonl:2:", "");
}

static void test_nothing_to_train_on(void **state) {
    (void)state;
    refuse_n("", 0, TNN_E_NOTFOUND, "rows.jsonl", "nothing to learn or to score");
    refuse_n("\n\r\n", 3, TNN_E_NOTFOUND, "rows.jsonl", "nothing to learn or to score");
    refuse_n("\xEF\xBB\xBF", 3, TNN_E_NOTFOUND, "rows.jsonl", "nothing to learn or to score");
    static const char question[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n";
    refuse_n(question, sizeof question - 1, TNN_E_NOTFOUND, "rows.jsonl", "nothing to learn or to score in 1 rows");
    tnn_dataset *d;
    tnn_dataset_options o = options();
    assert_int_equal(tnn_dataset_open_jsonl(&d, temp_path(&dir, "absent.jsonl"), tokenizer, chat, &o, NULL, &err),
                     TNN_E_IO);
    assert_non_null(strstr(err.text, "absent.jsonl"));
    static const int64_t lengths[] = {1, 0, -1, (int64_t)1 << 21};
    for (int i = 0; i < 4; i++) {
        o.max_length = lengths[i];
        assert_int_equal(open_rows(&d, CHAT_ROW, strlen(CHAT_ROW), &o), TNN_E_ARG);
    }
    o = options();
    write_file(CHAT_ROW, strlen(CHAT_ROW));
    assert_int_equal(tnn_dataset_open_jsonl(&d, temp_path(&dir, "rows.jsonl"), tokenizer, NULL, &o, NULL, &err),
                     TNN_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "rows.jsonl:1:"));
}

static void test_deep_rows(void **state) {
    (void)state;
    enum { DEEP = 100000 };
    char *text = malloc(DEEP);
    assert_non_null(text);
    memset(text, '[', DEEP);
    refuse_n(text, DEEP, TNN_E_FORMAT, "rows.jsonl:1:", "");
    free(text);
}

static void test_rows_that_are_too_long(void **state) {
    (void)state;
    tnn_dataset_options o = options();
    o.max_length = 4;
    tnn_dataset *d = accept("{\"text\":\"abcdefgh\"}\n{\"text\":\"ab\"}\n", &o);
    tnn_dataset_stats s = tnn_dataset_get_stats(d);
    assert_true(s.n_rows == 2 && s.n_sequences == 2 && s.n_cut == 1 && s.n_skipped == 0);
    assert_true(s.n_tokens == 4 + 3 && s.n_trained == 3 + 2); /* the first id of each is never a target */
    tnn_dataset_free(d);
    /* The answer lies behind the cut: nothing is left to learn, and that is counted too. */
    o.max_length = 20;
    d = accept(CHAT_ROW "{\"messages\":[{\"role\":\"assistant\",\"content\":\"y\"}]}\n", &o);
    s = tnn_dataset_get_stats(d);
    assert_true(s.n_rows == 2 && s.n_cut == 1 && s.n_skipped == 1 && s.n_sequences == 1);
    tnn_dataset_free(d);
}

/* A good row, then one of 100 MB: refused before it is parsed, in the memory of the file and little more. */
static void test_line_of_100_mb(void **state) {
    (void)state;
    enum { MB = 1000 * 1000 };
    static const char before[] = "{\"text\": \"he\"}\n{\"text\": \"", after[] = "\"}\n";
    const char *path = temp_path(&dir, "long.jsonl");
    FILE *f = fopen(path, "wb");
    char *piece = malloc(MB);
    assert_true(f && piece);
    memset(piece, 'a', MB);
    assert_true(fputs(before, f) >= 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(fwrite(piece, 1, MB, f), MB);
    }
    assert_true(fputs(after, f) >= 0);
    assert_int_equal(fclose(f), 0);
    free(piece);

    counting_allocator counts = {0};
    tnn_allocator a = counting_interface(&counts);
    tnn_dataset_options o = options();
    tnn_dataset *d;
    assert_int_equal(tnn_dataset_open_jsonl(&d, path, tokenizer, chat, &o, &a, &err), TNN_E_RANGE);
    assert_null(d);
    assert_non_null(strstr(err.text, "long.jsonl:2: the line is longer than 64 MiB; make it several rows"));
    assert_in_range(counts.peak_bytes, 100 * MB, 101 * MB);
    assert_int_equal(counts.live_bytes, 0);
    assert_int_equal(counts.live_blocks, 0);
    assert_int_equal(remove(path), 0);
}

/* No chat format here writes tools: what is left out is counted. */
static void test_rows_with_tools(void **state) {
    (void)state;
    tnn_dataset_options o = options();
    tnn_dataset *d = accept(CHAT_ROW "{\"messages\":[{\"role\":\"assistant\",\"content\":\"y\"}],\"tools\":[]}\n"
                                     "{\"messages\":[{\"role\":\"assistant\",\"content\":\"y\"}],\"tools\":[{}]}\n"
                                     "{\"messages\":[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{}]}]}\n",
                            &o);
    tnn_dataset_stats s = tnn_dataset_get_stats(d);
    assert_true(s.n_rows == 4 && s.n_tools == 2 && s.n_skipped == 1);
    tnn_dataset_free(d);
}

/* An answer that is nothing but calls is no answer to learn: with them, it goes as a whole. */
static void test_messages_of_calls_alone(void **state) {
    (void)state;
    static const char *const forms[] = {
        "\"content\":null,\"tool_calls\":[{}]",
        "\"content\":\"\",\"tool_calls\":[{}]",
        "\"tool_calls\":[{}]",
        "\"content\":null,\"function_call\":{\"name\":\"f\"}",
    };
    tnn_dataset_options o = options();
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char row[512], whole[512], trained[512];
        snprintf(row, sizeof row,
                 "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",%s},"
                 "{\"role\":\"assistant\",\"content\":\"yo\"}]}\n",
                 forms[i]);
        tnn_dataset *d = accept(row, &o);
        assert_int_equal(tnn_dataset_get_stats(d).n_tools, 1);
        texts_of(d, 0, whole, trained);
        assert_string_equal(whole, USER_HI SAY_YO);
        assert_string_equal(trained, "yo<|im_end|>");
        tnn_dataset_free(d);
    }
    refuse("{\"messages\":[{\"role\":\"assistant\",\"content\":null}]}\n",
           "rows.jsonl:1:", "\"content\" is not a string");
    refuse("{\"messages\":[{\"role\":\"assistant\",\"content\":3,\"tool_calls\":[{}]}]}\n",
           "rows.jsonl:1:", "\"content\" is not a string");
}

/* Texts of a list are one text; what is no text is refused. */
static void test_content_in_parts(void **state) {
    (void)state;
    tnn_dataset_options o = options();
    char whole[512], trained[512];
    tnn_dataset *d = accept("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"h\"},"
                            "{\"text\":\"i\"}]},{\"role\":\"assistant\",\"content\":[],\"tool_calls\":[{}]},"
                            "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"yo\"}]}]}\n",
                            &o);
    texts_of(d, 0, whole, trained);
    assert_string_equal(whole, USER_HI SAY_YO);
    assert_string_equal(trained, "yo<|im_end|>");
    tnn_dataset_free(d);
    static const char *const refused[] = {"{\"type\":\"image_url\",\"image_url\":{}}", "{\"type\":\"text\"}", "\"hi\"",
                                          "{\"type\":\"text\",\"text\":3}",
                                          "{\"type\":\"input_audio\",\"text\":\"hi\"}"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char row[256];
        snprintf(row, sizeof row, "{\"messages\":[{\"role\":\"user\",\"content\":[%s]}]}\n", refused[i]);
        refuse(row, "rows.jsonl:1:", "not text");
    }
}

/* OpenAI's weight: an answer of weight 0 is context. */
static void test_weights_of_answers(void **state) {
    (void)state;
    tnn_dataset_options o = options();
    char whole[512], trained[512];
    tnn_dataset *d =
        accept("{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"yo\","
               "\"weight\":0},"
               "{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"yo\",\"weight\":1}]}\n"
               "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"yo\","
               "\"weight\":0}]}\n",
               &o);
    texts_of(d, 0, whole, trained);
    assert_string_equal(whole, USER_HI SAY_YO USER_HI SAY_YO);
    assert_string_equal(trained, "yo<|im_end|>");
    tnn_dataset_stats s = tnn_dataset_get_stats(d);
    assert_true(s.n_rows == 2 && s.n_skipped == 1 && s.n_sequences == 1);
    tnn_dataset_free(d);
    static const char *const refused[] = {"0.5", "2", "-1", "\"0\"", "true"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        char row[256];
        snprintf(row, sizeof row, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"yo\",\"weight\":%s}]}\n",
                 refused[i]);
        refuse(row, "rows.jsonl:1:", "neither 0 nor 1");
    }
}

static void test_plain_text(void **state) {
    (void)state;
    tnn_dataset *d;
    tnn_dataset_options o = options();
    o.max_length = 4;
    write_file("abcdefghij", 10);
    assert_int_equal(tnn_dataset_open_text(&d, temp_path(&dir, "rows.jsonl"), tokenizer, &o, NULL, &err), TNN_OK);
    tnn_dataset_stats s = tnn_dataset_get_stats(d);
    char whole[512], trained[512];
    assert_int_equal(s.n_sequences, 3);
    texts_of(d, 1, whole, trained);
    assert_string_equal(whole, "efgh");
    const char *mark;
    int64_t n;
    assert_null(tnn_dataset_sequence(d, 3, &mark, &n));
    assert_null(tnn_dataset_sequence(d, -1, &mark, &n));
    tnn_dataset_free(d);
    tnn_dataset_free(NULL);
    write_file("", 0);
    assert_int_equal(tnn_dataset_open_text(&d, temp_path(&dir, "rows.jsonl"), tokenizer, &o, NULL, &err),
                     TNN_E_NOTFOUND);
    assert_null(d);
}

/* --- order --- */

/* Rows of two characters that tell which they are; a backslash would need another in JSON. */
static tnn_dataset *numbered(int n, uint64_t seed) {
    char *text = malloc((size_t)n * 32 + 1), *at = text;
    for (int i = 0; i < n; i++) {
        at += sprintf(at, "{\"text\":\"%c%c\"}\n", '0' + i / 64, '0' + i % 64 + (i % 64 == '\\' - '0' ? 20 : 0));
    }
    tnn_dataset_options o = options();
    o.seed = seed;
    tnn_dataset *d = accept(text, &o);
    free(text);
    assert_int_equal(tnn_dataset_get_stats(d).n_sequences, n);
    return d;
}

/* The order of an epoch as batches give it: index of each sequence in the file. */
static void order_of(const tnn_dataset *d, int64_t epoch, bool shuffled, int n, int *order) {
    tnn_batch_buffer b;
    tnn_cursor cursor = {epoch, 0};
    assert_int_equal(tnn_batch_buffer_init(&b, 3, NULL, &err), TNN_OK);
    for (int i = 0; i < n; i++) {
        tnn_batch_fill(&b, d, &cursor, shuffled);
        assert_int_equal(b.n_sequences, 1);
        order[i] = -1;
        for (int k = 0; k < n; k++) {
            const char *mark;
            int64_t length;
            const int32_t *ids = tnn_dataset_sequence(d, k, &mark, &length);
            if (length == b.n_tokens && memcmp(ids, b.ids, (size_t)length * sizeof *ids) == 0) order[i] = k;
        }
    }
    assert_int_equal(cursor.epoch, epoch);
    assert_int_equal(cursor.index, n);
    tnn_batch_buffer_free(&b);
}

static void assert_permutation(const int *order, int n) {
    bool seen[200] = {false};
    for (int i = 0; i < n; i++) {
        assert_in_range(order[i], 0, n - 1);
        assert_false(seen[order[i]]);
        seen[order[i]] = true;
    }
}

static void test_order_is_a_permutation(void **state) {
    (void)state;
    int order[200], other[200];
    for (int n = 1; n <= 200; n++) {
        tnn_dataset *d = numbered(n, 5), *e = numbered(n, 6);
        order_of(d, 0, true, n, order);
        assert_permutation(order, n);
        order_of(d, 0, true, n, other);
        assert_memory_equal(order, other, (size_t)n * sizeof *order);
        if (n >= 20) {
            order_of(d, 1, true, n, other);
            assert_permutation(other, n);
            assert_memory_not_equal(order, other, (size_t)n * sizeof *order);
            order_of(e, 0, true, n, other);
            assert_memory_not_equal(order, other, (size_t)n * sizeof *order);
        }
        order_of(d, 0, false, n, other);
        for (int i = 0; i < n; i++) {
            assert_int_equal(other[i], i);
        }
        tnn_dataset_free(d);
        tnn_dataset_free(e);
    }
}

/* --- batches --- */

static void test_packing(void **state) {
    (void)state;
    tnn_dataset_options o = options();
    tnn_dataset *d = accept("{\"text\":\"abc\"}\n{\"text\":\"de\"}\n{\"text\":\"fghijk\"}\n", &o);
    tnn_batch_buffer b;
    tnn_cursor cursor = {0, 0};
    assert_int_equal(tnn_batch_buffer_init(&b, 10, NULL, &err), TNN_OK);
    tnn_batch_fill(&b, d, &cursor, false);
    static const int32_t ids[] = {'a', 'b', 'c', EOS, 'd', 'e', EOS, 0, 0, 0};
    static const int32_t positions[] = {0, 1, 2, 3, 0, 1, 2, 0, 0, 0}, starts[] = {0, 0, 0, 0, 4, 4, 4, 7, 8, 9};
    static const int32_t targets[] = {'b', 'c', EOS, -1, 'e', EOS, -1, -1, -1, -1};
    assert_memory_equal(b.ids, ids, sizeof ids);
    assert_memory_equal(b.positions, positions, sizeof positions);
    assert_memory_equal(b.starts, starts, sizeof starts);
    assert_memory_equal(b.targets, targets, sizeof targets);
    assert_true(b.n_sequences == 2 && b.n_tokens == 7 && b.n_targets == 5);
    tnn_batch_scale(&b, 10);
    for (int i = 0; i < 10; i++) {
        assert_true(b.weights[i] == (targets[i] >= 0 ? 0.1f : 0.0f));
    }
    tnn_batch_fill(&b, d, &cursor, false); /* the third alone: a batch does not reach into the next epoch */
    assert_true(b.n_sequences == 1 && b.n_tokens == 7 && cursor.epoch == 0 && cursor.index == 3);
    tnn_batch_fill(&b, d, &cursor, false);
    assert_true(b.n_sequences == 2 && cursor.epoch == 1 && cursor.index == 2);
    tnn_batch view = tnn_batch_buffer_view(&b);
    assert_true(view.ids == b.ids && view.weights == b.weights);
    tnn_batch_buffer_free(&b);
    tnn_batch_buffer_free(&b);
    tnn_dataset_free(d);
}

/* Loss lies on the answer: the row before its first token predicts it, the prompt's rows predict nothing. */
static void test_targets_of_answers(void **state) {
    (void)state;
    tnn_dataset_options o = options();
    tnn_dataset *d = accept(CHAT_ROW, &o);
    tnn_batch_buffer b;
    tnn_cursor cursor = {0, 0};
    assert_int_equal(tnn_batch_buffer_init(&b, 100, NULL, &err), TNN_OK);
    tnn_batch_fill(&b, d, &cursor, false);
    int first = -1;
    for (int i = 0; i < b.n_tokens && first < 0; i++) {
        if (b.targets[i] >= 0) first = i;
    }
    assert_true(first > 10);
    assert_int_equal(b.targets[first], 'y');
    assert_int_equal(b.targets[first + 1], 'o');
    assert_int_equal(b.targets[first + 2], EOS);
    assert_in_range(b.n_targets, 3, 4);
    tnn_batch_buffer_free(&b);
    tnn_dataset_free(d);
}

static void test_batches_of_no_rows(void **state) {
    (void)state;
    static const int64_t sizes[] = {0, -1, -3, INT64_MIN, (int64_t)INT32_MAX + 1, INT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        tnn_batch_buffer b;
        assert_int_equal(tnn_batch_buffer_init(&b, sizes[i], NULL, &err), TNN_E_ARG);
        assert_null(b.ids);
        assert_int_equal(b.n_rows, 0);
        tnn_batch_buffer_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_of_rows),
        cmocka_unit_test(test_forms_of_lines),
        cmocka_unit_test(test_rows_that_are_refused),
        cmocka_unit_test(test_nothing_to_train_on),
        cmocka_unit_test(test_deep_rows),
        cmocka_unit_test(test_rows_that_are_too_long),
        cmocka_unit_test(test_line_of_100_mb),
        cmocka_unit_test(test_rows_with_tools),
        cmocka_unit_test(test_messages_of_calls_alone),
        cmocka_unit_test(test_content_in_parts),
        cmocka_unit_test(test_weights_of_answers),
        cmocka_unit_test(test_plain_text),
        cmocka_unit_test(test_order_is_a_permutation),
        cmocka_unit_test(test_packing),
        cmocka_unit_test(test_batches_of_no_rows),
        cmocka_unit_test(test_targets_of_answers),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
