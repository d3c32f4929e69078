/*
 * Generation on a model that follows a script, so that every id and every byte of text is known beforehand: ends,
 * stop strings, unfinished characters, limits, cancelling, and what must not change the result.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tinynn/seq.h>

#include "support/temp_dir.h"
#include "support/tiny_model.h"

enum { EOS = 267, HE = 256, WORLD = 264, CONTEXT = 48, EURO = 3 };

/* "!" starts it: "abc" + "he" + " world" + "x", a euro sign in three tokens, "z", then the end of turn. */
static const int32_t script[] = {'!', 'a', 'b', 'c', HE, WORLD, 'x', 0xE2, 0x82, 0xAC, 'z', EOS, 'q', 'r', TINY_SPLIT};
#define N_SCRIPT (sizeof script / sizeof *script)
static const char whole[] = "abche worldx\xE2\x82\xACz";
enum { N_BEFORE_EOS = 10 }; /* ids that give text */

static temp_dir dir;
static tnn_session *session;
static tnn_model *model, *mute; /* mute: without a tokenizer */

static tnn_model *load(tnn_session *s, const tiny_model *m, const char *name) {
    tnn_model *loaded;
    tnn_error err;
    tiny_model_write(m, temp_path(&dir, name));
    if (tnn_model_load(&loaded, s, temp_path(&dir, name), NULL, &err)) fail_msg("%s", err.text);
    return loaded;
}

static tiny_model scripted(void) {
    tiny_model m = tiny_model_default();
    m.d_model = 64;
    m.n_heads = 8;
    m.n_layers = 1;
    m.n_ctx = CONTEXT;
    m.tokenizer = m.untied = true;
    m.script = script;
    m.n_script = N_SCRIPT;
    return m;
}

static int open_all(void **state) {
    (void)state;
    tnn_session_options o = tnn_session_options_default();
    o.n_threads = 1;
    temp_dir_create(&dir);
    if (tnn_session_new(&session, &o, NULL)) return -1;
    tiny_model m = scripted(), plain = tiny_model_default();
    model = load(session, &m, "scripted.gguf");
    mute = load(session, &plain, "mute.gguf");
    return 0;
}

static int close_all(void **state) {
    (void)state;
    tnn_model_free(model);
    tnn_model_free(mute);
    tnn_session_free(session);
    temp_dir_remove(&dir);
    return 0;
}

typedef struct heard {
    char text[512];
    size_t n;
    int32_t ids[128];
    int calls, stop_at;
    bool broken; /* a piece that is not UTF-8 by itself */
} heard;

/* Well-formed as far as these texts go: lengths and continuation bytes. */
static bool is_utf8(const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        unsigned c = (unsigned char)s[i];
        size_t length = c < 0x80                ? 1
                        : c >= 0xC2 && c < 0xE0 ? 2
                        : c >= 0xE0 && c < 0xF0 ? 3
                        : c >= 0xF0 && c < 0xF5 ? 4
                                                : 0;
        if (length == 0 || i + length > n) return false;
        for (size_t k = 1; k < length; k++) {
            if (((unsigned char)s[i + k] & 0xC0) != 0x80) return false;
        }
        i += length;
    }
    return true;
}

static bool listen(void *ctx, int32_t id, const char *text, size_t n) {
    heard *h = ctx;
    assert_true(h->calls < 128 && h->n + n < sizeof h->text);
    h->ids[h->calls] = id;
    if (n > 0) memcpy(h->text + h->n, text, n);
    h->n += n;
    h->text[h->n] = 0;
    h->broken |= !is_utf8(text, n);
    return ++h->calls != h->stop_at;
}

static tnn_generate_options greedy(heard *h) {
    tnn_generate_options o = tnn_generate_options_default();
    o.sampler.temperature = 0.0f;
    o.on_token = listen;
    o.ctx = h;
    *h = (heard){.stop_at = 0};
    return o;
}

static tnn_seq *open_seq(tnn_model *m, int64_t n_ctx) {
    tnn_seq *q;
    tnn_error err;
    tnn_seq_options o = tnn_seq_options_default();
    o.n_ctx = n_ctx;
    if (tnn_seq_new(&q, m, &o, &err)) fail_msg("%s", err.text);
    return q;
}

static tnn_generate_result generate(tnn_seq *q, int32_t first, const tnn_generate_options *o) {
    tnn_generate_result r;
    tnn_error err;
    if (tnn_seq_generate(q, &first, 1, o, &r, &err)) fail_msg("%s", err.text);
    return r;
}

static void test_to_the_end_of_turn(void **state) {
    (void)state;
    heard h;
    tnn_generate_options o = greedy(&h);
    tnn_seq *q = open_seq(model, 0);
    tnn_generate_result r = generate(q, '!', &o);
    assert_int_equal(r.finish, TNN_FINISH_STOP);
    assert_int_equal(r.n_generated, N_BEFORE_EOS + 1);
    assert_int_equal(r.n_prompt, 1);
    assert_int_equal(r.n_reused, 0);
    assert_string_equal(h.text, whole);
    assert_false(h.broken);
    assert_int_equal(h.calls, N_BEFORE_EOS);
    /* The end of turn is among the ids and nothing was computed for it. */
    assert_int_equal(tnn_seq_length(q), N_BEFORE_EOS + 1);
    assert_memory_equal(tnn_seq_ids(q), script, (N_BEFORE_EOS + 2) * sizeof *script);
    assert_true(r.prompt_seconds >= 0 && r.decode_seconds >= 0);
    tnn_seq_free(q);
}

static void test_past_the_end(void **state) {
    (void)state;
    heard h;
    tnn_generate_options o = greedy(&h);
    o.ignore_eos = true;
    o.n_predict = 13;
    tnn_seq *q = open_seq(model, 0);
    tnn_generate_result r = generate(q, '!', &o);
    assert_int_equal(r.finish, TNN_FINISH_LENGTH);
    assert_int_equal(r.n_generated, 13);
    assert_memory_equal(tnn_seq_ids(q), script, 14 * sizeof *script);
    assert_string_equal(h.text, "abche worldx\xE2\x82\xACzqr");
    tnn_seq_free(q);
}

static void test_numbers_of_tokens(void **state) {
    (void)state;
    static const int64_t bad[] = {-2, INT64_MIN};
    heard h;
    tnn_error err;
    tnn_generate_result r;
    tnn_generate_options o = greedy(&h);
    tnn_seq *q = open_seq(model, 0);
    for (int i = 0; i < 2; i++) {
        o.n_predict = bad[i];
        assert_int_equal(tnn_seq_generate(q, script, 1, &o, &r, &err), TNN_E_ARG);
        assert_non_null(strstr(err.text, i ? "-9223372036854775808" : "-2 tokens"));
    }
    o.n_predict = 0; /* computes the prompt and says nothing */
    r = generate(q, '!', &o);
    assert_int_equal(r.finish, TNN_FINISH_LENGTH);
    assert_int_equal(r.n_generated, 0);
    assert_int_equal(h.calls, 0);
    assert_int_equal(tnn_seq_length(q), 1);
    o.n_predict = 3;
    r = generate(q, '!', &o);
    assert_int_equal(r.finish, TNN_FINISH_LENGTH);
    assert_string_equal(h.text, "abc");
    assert_int_equal(tnn_seq_length(q), 3);
    assert_memory_equal(tnn_seq_ids(q), script, 4 * sizeof *script);
    o.n_predict = INT64_MAX;
    greedy(&h);
    assert_int_equal(generate(q, '!', &o).finish, TNN_FINISH_STOP);
    tnn_seq_free(q);
}

static void test_stops_that_are_no_strings(void **state) {
    (void)state;
    static const char *const stops[] = {"x", NULL};
    tnn_generate_options o = tnn_generate_options_default();
    tnn_generate_result r;
    tnn_error err;
    tnn_seq *q = open_seq(model, 0);
    o.stops = stops;
    o.n_stops = 2;
    assert_int_equal(tnn_seq_generate(q, (const int32_t[]){1}, 1, &o, &r, &err), TNN_E_ARG);
    assert_non_null(strstr(err.text, "stop string 1"));
    o.n_stops = -1;
    assert_int_equal(tnn_seq_generate(q, (const int32_t[]){1}, 1, &o, &r, &err), TNN_E_ARG);
    o.n_stops = 1;
    o.stops = NULL;
    assert_int_equal(tnn_seq_generate(q, (const int32_t[]){1}, 1, &o, &r, &err), TNN_E_ARG);
    assert_int_equal(tnn_seq_length(q), 0);
    tnn_seq_free(q);
}

static void test_prompts_that_are_refused(void **state) {
    (void)state;
    int32_t ids[CONTEXT + 1] = {0};
    tnn_error err;
    tnn_generate_result r;
    tnn_seq *q = open_seq(model, 0);
    assert_int_equal(tnn_seq_generate(q, NULL, 0, NULL, &r, &err), TNN_E_ARG);
    assert_non_null(strstr(err.text, "empty"));
    assert_int_equal(tnn_seq_generate(q, ids, -1, NULL, &r, &err), TNN_E_ARG);
    ids[1] = TINY_VOCAB;
    assert_int_equal(tnn_seq_generate(q, ids, 2, NULL, &r, &err), TNN_E_RANGE);
    assert_non_null(strstr(err.text, "270"));
    ids[1] = 0;
    assert_int_equal(tnn_seq_generate(q, ids, CONTEXT + 1, NULL, &r, &err), TNN_E_FULL);
    assert_non_null(strstr(err.text, "49 tokens"));
    assert_int_equal(tnn_seq_length(q), 0);
    assert_int_equal(tnn_seq_generate(q, ids, 0, NULL, NULL, NULL), TNN_E_ARG); /* nowhere to write to */
    tnn_seq_free(q);
}

static void test_context_ends_it(void **state) {
    (void)state;
    heard h;
    tnn_generate_options o = greedy(&h);
    tnn_seq *q = open_seq(model, 5);
    tnn_generate_result r = generate(q, '!', &o);
    assert_int_equal(r.finish, TNN_FINISH_CONTEXT);
    assert_string_equal(tnn_finish_name(r.finish), "context");
    assert_int_equal(tnn_seq_length(q), 4);
    assert_int_equal(r.n_generated, 4);
    assert_string_equal(h.text, "abche");
    /* A prompt that fills it: its logits are there, and no room for an answer. */
    assert_int_equal(tnn_seq_generate(q, script, 5, &o, &r, NULL), TNN_OK);
    assert_int_equal(r.finish, TNN_FINISH_CONTEXT);
    assert_int_equal(r.n_generated, 0);
    tnn_seq_free(q);
}

/* --- text --- */

static void text_with_stops(const char *const *stops, int n_stops, const char *want, tnn_finish finish) {
    heard h;
    tnn_generate_options o = greedy(&h);
    o.stops = stops;
    o.n_stops = n_stops;
    tnn_seq *q = open_seq(model, 0);
    tnn_generate_result r = generate(q, '!', &o);
    assert_string_equal(h.text, want);
    assert_int_equal(r.finish, finish);
    assert_false(h.broken);
    tnn_seq_free(q);
}

static void test_stop_strings(void **state) {
    (void)state;
    text_with_stops((const char *const[]){"he world"}, 1, "abc", TNN_FINISH_STOP); /* two whole tokens */
    text_with_stops((const char *const[]){"ch"}, 1, "ab", TNN_FINISH_STOP);      /* the end of one, half of the next */
    text_with_stops((const char *const[]){"e wor"}, 1, "abch", TNN_FINISH_STOP); /* halves of two */
    text_with_stops((const char *const[]){"bche worldx\xE2\x82\xAC"}, 1, "a", TNN_FINISH_STOP); /* seven tokens */
    text_with_stops((const char *const[]){"orl"}, 1, "abche w", TNN_FINISH_STOP);               /* inside one */
    text_with_stops((const char *const[]){"a"}, 1, "", TNN_FINISH_STOP);
    text_with_stops((const char *const[]){"z"}, 1, "abche worldx\xE2\x82\xAC", TNN_FINISH_STOP);
    text_with_stops((const char *const[]){"world", "he"}, 2, "abc", TNN_FINISH_STOP); /* the first to come */
    text_with_stops((const char *const[]){"che", "bche wo"}, 2, "ab", TNN_FINISH_STOP);
    text_with_stops((const char *const[]){"", "nothing of it"}, 2, whole, TNN_FINISH_STOP);
    text_with_stops((const char *const[]){"zz"}, 1, whole, TNN_FINISH_STOP); /* its beginning, then the end of turn */
    text_with_stops((const char *const[]){"cho", "he worlds"}, 2, whole, TNN_FINISH_STOP);
}

static void test_stop_string_at_the_limit(void **state) {
    (void)state;
    heard h;
    tnn_generate_options o = greedy(&h);
    const char *stop = "bcd";
    o.stops = &stop;
    o.n_stops = 1;
    o.n_predict = 3;
    tnn_seq *q = open_seq(model, 0);
    tnn_generate_result r = generate(q, '!', &o);
    assert_string_equal(h.text, "abc"); /* what was held back is handed out */
    assert_int_equal(r.finish, TNN_FINISH_LENGTH);
    assert_int_equal(h.ids[h.calls - 1], -1);
    tnn_seq_free(q);
}

/* A character that the limit cuts through becomes one U+FFFD; text stays valid after every token. */
static void test_unfinished_characters(void **state) {
    (void)state;
    static const char *const want[] = {"abche worldx", "abche worldx\xEF\xBF\xBD", "abche worldx\xEF\xBF\xBD",
                                       "abche worldx\xE2\x82\xAC"};
    for (int n = 0; n <= EURO; n++) {
        heard h;
        tnn_generate_options o = greedy(&h);
        o.n_predict = 6 + n;
        tnn_seq *q = open_seq(model, 0);
        generate(q, '!', &o);
        assert_string_equal(h.text, want[n]);
        assert_false(h.broken);
        tnn_seq_free(q);
    }
}

/* What a token brings behind a stop string is no part of the text: neither bytes nor an unfinished character. */
static void test_nothing_behind_a_stop_string(void **state) {
    (void)state;
    heard h;
    tnn_generate_options o = greedy(&h);
    const char *stop = "l";
    o.stops = &stop;
    o.n_stops = 1;
    tnn_seq *q = open_seq(model, 0);
    tnn_generate_result r = generate(q, 'c', &o); /* "he", " world" */
    assert_string_equal(h.text, "he wor");
    assert_int_equal(r.finish, TNN_FINISH_STOP);
    assert_int_equal(h.ids[h.calls - 1], WORLD);
    o = greedy(&h);
    stop = "rz";
    o.stops = &stop;
    o.n_stops = 1;
    r = generate(q, 'q', &o); /* "r", then "z" with the first byte of a character */
    assert_string_equal(h.text, "");
    assert_int_equal(r.finish, TNN_FINISH_STOP);
    assert_int_equal(h.ids[h.calls - 1], TINY_SPLIT);
    tnn_seq_free(q);
}

static void test_cancelling(void **state) {
    (void)state;
    heard h;
    tnn_generate_options o = greedy(&h);
    const char *stop = "bcx";
    h.stop_at = 2;
    o.stops = &stop;
    o.n_stops = 1;
    tnn_seq *q = open_seq(model, 0);
    tnn_generate_result r = generate(q, '!', &o);
    assert_int_equal(r.finish, TNN_FINISH_CANCELLED);
    assert_int_equal(r.n_generated, 2);
    assert_int_equal(h.calls, 2); /* and not once more for what is held back */
    assert_string_equal(h.text, "a");
    assert_int_equal(tnn_seq_length(q), 2);
    assert_string_equal(tnn_finish_name(r.finish), "cancelled");
    tnn_seq_free(q);
}

/* --- what decides the result --- */

static void test_reuse_gives_the_same(void **state) {
    (void)state;
    heard h;
    tnn_generate_options o = greedy(&h);
    o.n_predict = 4;
    tnn_seq *q = open_seq(model, 0);
    generate(q, '!', &o);
    tnn_generate_result r;
    o = greedy(&h);
    assert_int_equal(tnn_seq_generate(q, script, 4, &o, &r, NULL), TNN_OK);
    assert_int_equal(r.n_reused, 4); /* logits included */
    assert_string_equal(h.text, whole + 3);
    tnn_seq_free(q);
}

enum { N_DRAWN = 40 };

static void draw(tnn_model *m, uint64_t seed, float temperature, int32_t ids[N_DRAWN]) {
    tnn_generate_options o = tnn_generate_options_default();
    o.n_predict = N_DRAWN;
    o.sampler.seed = seed;
    o.sampler.temperature = temperature;
    o.sampler.repeat_penalty = 1.1f;
    tnn_seq *q = open_seq(m, 0);
    tnn_generate_result r = generate(q, 1, &o);
    assert_int_equal(r.n_generated, N_DRAWN);
    memcpy(ids, tnn_seq_ids(q) + 1, N_DRAWN * sizeof *ids);
    tnn_seq_free(q);
}

static void test_threads_and_seeds(void **state) {
    (void)state;
    int32_t first[3][N_DRAWN], again[N_DRAWN];
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        tnn_session *s;
        tnn_session_options so = tnn_session_options_default();
        so.n_threads = n_threads;
        assert_int_equal(tnn_session_new(&s, &so, NULL), TNN_OK);
        tiny_model plain = tiny_model_default();
        tnn_model *m = load(s, &plain, "threads.gguf");
        for (int k = 0; k < 3; k++) {
            draw(m, k == 2 ? 8 : 7, k == 0 ? 0.0f : 0.9f, n_threads == 1 ? first[k] : again);
            if (n_threads > 1) assert_memory_equal(first[k], again, sizeof again);
        }
        tnn_model_free(m);
        tnn_session_free(s);
    }
    assert_memory_not_equal(first[0], first[1], sizeof again); /* greedy and drawn */
    assert_memory_not_equal(first[1], first[2], sizeof again); /* two seeds */
    draw(mute, 7, 0.9f, again);
    assert_memory_equal(first[1], again, sizeof again);
}

static void test_sampler_parameters(void **state) {
    (void)state;
    static const char *const names[] = {"temperature",      "top_p",          "min_p",
                                        "typical_p",        "repeat_penalty", "presence_penalty",
                                        "frequency_penalty"};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    tnn_seq *q = open_seq(model, 0);
    for (int i = 0; i < 7; i++) {
        for (int k = 0; k < 3; k++) {
            tnn_generate_options o = tnn_generate_options_default();
            float *const at[] = {&o.sampler.temperature,      &o.sampler.top_p,          &o.sampler.min_p,
                                 &o.sampler.typical_p,        &o.sampler.repeat_penalty, &o.sampler.presence_penalty,
                                 &o.sampler.frequency_penalty};
            tnn_error err;
            *at[i] = bad[k];
            assert_int_equal(tnn_seq_generate(q, script, 1, &o, NULL, &err), TNN_E_ARG);
            if (!strstr(err.text, names[i])) fail_msg("\"%s\" does not name %s", err.text, names[i]);
        }
    }
    assert_int_equal(tnn_seq_length(q), 0);
    tnn_seq_free(q);
}

static void test_without_a_tokenizer(void **state) {
    (void)state;
    heard h;
    tnn_generate_options o = greedy(&h);
    o.n_predict = 10;
    const char *stop = "a";
    o.stops = &stop;
    o.n_stops = 1;
    tnn_seq *q = open_seq(mute, 0);
    tnn_generate_result r = generate(q, 3, &o);
    assert_int_equal(r.n_generated, 10); /* no text, no end but the limit */
    assert_int_equal(h.calls, 10);
    assert_int_equal(h.n, 0);
    assert_memory_equal(h.ids, tnn_seq_ids(q) + 1, 10 * sizeof *h.ids);
    tnn_seq_free(q);
}

/* Whatever bytes a model without sense puts out, the pieces are valid UTF-8. */
static void test_noise_is_valid_text(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    m.tokenizer = true;
    m.n_ctx = 100;
    tnn_model *noise = load(session, &m, "noise.gguf");
    for (uint64_t seed = 0; seed < 10; seed++) {
        heard h;
        tnn_generate_options o = greedy(&h);
        o.sampler.temperature = 2.0f;
        o.sampler.top_k = 0;
        o.sampler.seed = seed;
        o.ignore_eos = true;
        tnn_seq *q = open_seq(noise, 0);
        tnn_generate_result r = generate(q, 'a', &o);
        assert_int_equal(r.finish, TNN_FINISH_CONTEXT);
        assert_false(h.broken);
        assert_true(h.n > 20);
        tnn_seq_free(q);
    }
    tnn_model_free(noise);
}

/* Weights that are not numbers: an error that says so, not an answer. */
static void test_broken_weights(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    tiny_tensors list = tiny_model_tensors(&m);
    tnn_gguf_writer *w = tiny_model_keys(&m);
    for (int i = 0; i < list.n; i++) {
        tnn_gguf_add_tensor(w, list.at[i].name, list.at[i].type, list.at[i].n_dims, list.at[i].ne);
    }
    tnn_gguf_writer_begin(w, temp_path(&dir, "nan.gguf"));
    for (int i = 0; i < list.n; i++) {
        for (int64_t k = 0; k < list.at[i].ne[0] * list.at[i].ne[1]; k++) {
            tnn_gguf_write_data(w, &(float){NAN}, sizeof(float));
        }
    }
    assert_int_equal(tnn_gguf_writer_finish(w, NULL), TNN_OK);
    tnn_gguf_writer_free(w);
    tnn_model *broken;
    tnn_error err;
    assert_int_equal(tnn_model_load(&broken, session, temp_path(&dir, "nan.gguf"), NULL, &err), TNN_OK);
    tnn_seq *q = open_seq(broken, 0);
    assert_int_equal(tnn_seq_generate(q, (const int32_t[]){1, 2}, 2, NULL, NULL, &err), TNN_E_RANGE);
    assert_non_null(strstr(err.text, "nan"));
    tnn_seq_free(q);
    tnn_model_free(broken);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_the_end_of_turn),
        cmocka_unit_test(test_past_the_end),
        cmocka_unit_test(test_numbers_of_tokens),
        cmocka_unit_test(test_stops_that_are_no_strings),
        cmocka_unit_test(test_prompts_that_are_refused),
        cmocka_unit_test(test_context_ends_it),
        cmocka_unit_test(test_stop_strings),
        cmocka_unit_test(test_stop_string_at_the_limit),
        cmocka_unit_test(test_unfinished_characters),
        cmocka_unit_test(test_nothing_behind_a_stop_string),
        cmocka_unit_test(test_cancelling),
        cmocka_unit_test(test_reuse_gives_the_same),
        cmocka_unit_test(test_threads_and_seeds),
        cmocka_unit_test(test_sampler_parameters),
        cmocka_unit_test(test_without_a_tokenizer),
        cmocka_unit_test(test_noise_is_valid_text),
        cmocka_unit_test(test_broken_weights),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
