/*
 * Quantising files: the types each mix gives, as llama-quantize (commit 3f545be) gave them to models of these shapes,
 * and what is written.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tinynn/quantize.h>

#include "support/model_shape.h"
#include "support/temp_dir.h"

static temp_dir dir;

static int create_dir(void **state) {
    (void)state;
    temp_dir_create(&dir);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

static tnn_gguf *open_shape(const model_shape *m) {
    tnn_gguf *g;
    tnn_error err;
    if (write_model_shape(temp_path(&dir, "in.gguf"), m, &err) != TNN_OK) fail_msg("%s", err.text);
    if (tnn_gguf_open(&g, temp_path(&dir, "in.gguf"), NULL, &err) != TNN_OK) fail_msg("%s", err.text);
    return g;
}

/* --- types --- */

static char letter(int32_t type) {
    static const char *const names[] = {"2:Q2_K", "3:Q3_K", "4:Q4_K", "5:Q5_K",   "6:Q6_K",   "8:Q8_0",
                                        "o:Q4_0", "p:Q5_0", "q:Q5_1", "n:IQ4_NL", "x:IQ4_XS", "h:F16"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i] + 2, tnn_type_get_info(type)->name) == 0) return names[i][0];
    return '?';
}

/* One letter per layer. */
static void expect_types(const tnn_gguf *g, const int32_t *types, const char *tensor, const char *wanted) {
    char got[128] = "", name[64];
    for (size_t i = 0; wanted[i]; i++) {
        snprintf(name, sizeof name, "blk.%zu.%s.weight", i, tensor);
        got[i] = letter(types[tnn_gguf_find_tensor(g, name)]);
        got[i + 1] = 0;
    }
    assert_string_equal(got, wanted);
}

static int32_t type_of(const tnn_gguf *g, const int32_t *types, const char *name) {
    int64_t i = tnn_gguf_find_tensor(g, name);
    assert_true(i >= 0);
    return types[i];
}

typedef struct mix_case {
    tnn_file_type target;
    const char *v, *down;
    char out, rest; /* attn_output; attn_q and the like */
} mix_case;

static void expect_mix(const tnn_gguf *g, const mix_case *c) {
    tnn_error err;
    int64_t n = tnn_gguf_n_tensors(g);
    int32_t *types = calloc((size_t)n, sizeof *types);
    if (tnn_quantize_types(g, c->target, NULL, types, &err) != TNN_OK) fail_msg("%s", err.text);
    expect_types(g, types, "attn_v", c->v);
    expect_types(g, types, "ffn_down", c->down);
    assert_int_equal(letter(type_of(g, types, "blk.0.attn_output.weight")), c->out);
    assert_int_equal(letter(type_of(g, types, "blk.0.attn_q.weight")), c->rest);
    assert_int_equal(letter(type_of(g, types, "blk.0.ffn_up.weight")), c->rest);
    assert_int_equal(type_of(g, types, "output_norm.weight"), TNN_TYPE_F32);
    bool tied = tnn_gguf_find_tensor(g, "output.weight") < 0;
    assert_int_equal(letter(type_of(g, types, "token_embd.weight")), tied ? '6' : c->rest);
    if (!tied) assert_int_equal(letter(type_of(g, types, "output.weight")), '6');
    free(types);
}

/* 24 layers, four query heads to a value head, an output of its own. */
static void test_mixes_shared_v(void **state) {
    (void)state;
    static const mix_case cases[] = {
        {TNN_FILE_TYPE_Q2_K, "444444444444444444444444", "333333333333333333333333", '3', '2'},
        {TNN_FILE_TYPE_Q3_K_S, "333333333333333333333333", "333333333333333333333333", '3', '3'},
        {TNN_FILE_TYPE_Q3_K_M, "554444444444444444444444", "544444444444444444444444", '4', '3'},
        {TNN_FILE_TYPE_Q3_K_L, "555555555555555555555555", "555555555555555555555555", '5', '3'},
        {TNN_FILE_TYPE_Q4_K_S, "555544444444444444444444", "555444444444444444444444", '4', '4'},
        {TNN_FILE_TYPE_Q4_K_M, "666446446446446446446666", "666446446446446446446666", '4', '4'},
        {TNN_FILE_TYPE_Q5_K_M, "666556556556556556556666", "666556556556556556556666", '5', '5'},
        {TNN_FILE_TYPE_IQ4_XS, "555555555555555555555555", "555xxxxxxxxxxxxxxxxxxxxx", 'x', 'x'},
        {TNN_FILE_TYPE_Q4_0, "oooooooooooooooooooooooo", "oooooooooooooooooooooooo", 'o', 'o'},
    };
    tnn_gguf *g = open_shape(&(model_shape){"llama", 24, 8, 2, 0, 256, false});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_mix(g, &cases[i]);
    }
    tnn_gguf_close(g);
}

/* 13 layers, two query heads to a value head, the embedding is the output. */
static void test_mixes_tied(void **state) {
    (void)state;
    static const mix_case cases[] = {
        {TNN_FILE_TYPE_Q2_K, "3333333333333", "3333333333333", '3', '2'},
        {TNN_FILE_TYPE_Q3_K_M, "5544444444444", "4444444444444", '4', '3'},
        {TNN_FILE_TYPE_Q4_K_S, "5555444444444", "5444444444444", '4', '4'},
        {TNN_FILE_TYPE_Q4_K_M, "6446446446466", "6446446446466", '4', '4'},
        {TNN_FILE_TYPE_Q5_K_M, "6556556556566", "6556556556566", '5', '5'},
        {TNN_FILE_TYPE_IQ4_XS, "xxxxxxxxxxxxx", "5xxxxxxxxxxxx", 'x', 'x'},
    };
    tnn_gguf *g = open_shape(&(model_shape){"llama", 13, 4, 2, 0, 256, true});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_mix(g, &cases[i]);
    }
    tnn_gguf_close(g);
}

/* Eight experts, and the shape of a 70B model, of whose 80 layers the first ten are told. */
static void test_mixes_of_large_models(void **state) {
    (void)state;
    tnn_gguf *g = open_shape(&(model_shape){"llama", 9, 8, 2, 8, 256, false});
    expect_mix(g, &(mix_case){TNN_FILE_TYPE_Q4_K_M, "888888888", "644644666", '5', '4'});
    tnn_gguf_close(g);
    g = open_shape(&(model_shape){"llama", 80, 8, 1, 0, 256, false});
    expect_mix(g, &(mix_case){TNN_FILE_TYPE_Q4_K_M, "6666666666556556", "6666666666446446", '4', '4'});
    expect_mix(g, &(mix_case){TNN_FILE_TYPE_Q3_K_S, "5555555555555555", "3333333333333333", '3', '3'});
    tnn_gguf_close(g);
}

static void expect_fallback(int64_t row, tnn_file_type target, char matrix, char output) {
    tnn_error err;
    tnn_gguf *g = open_shape(&(model_shape){"llama", 1, 4, 4, 0, row, false});
    int32_t types[16];
    assert_int_equal(tnn_quantize_types(g, target, NULL, types, &err), TNN_OK);
    assert_int_equal(letter(type_of(g, types, "blk.0.attn_q.weight")), matrix);
    assert_int_equal(letter(type_of(g, types, "output.weight")), output);
    tnn_gguf_close(g);
}

static void test_rows_that_do_not_fit(void **state) {
    (void)state;
    expect_fallback(288, TNN_FILE_TYPE_Q2_K, 'o', '8');
    expect_fallback(288, TNN_FILE_TYPE_Q3_K_M, 'o', '8');
    expect_fallback(288, TNN_FILE_TYPE_Q4_K_M, 'p', '8');
    expect_fallback(288, TNN_FILE_TYPE_Q5_K_S, 'q', '8');
    expect_fallback(288, TNN_FILE_TYPE_Q6_K, '8', '8');
    expect_fallback(288, TNN_FILE_TYPE_IQ4_XS, 'n', '8');
    expect_fallback(288, TNN_FILE_TYPE_Q4_0, 'o', '8'); /* Q6_K was wanted */
    expect_fallback(36, TNN_FILE_TYPE_Q4_K_M, 'h', 'h');
    expect_fallback(36, TNN_FILE_TYPE_Q8_0, 'h', 'h');
}

static void test_options_of_types(void **state) {
    (void)state;
    tnn_error err;
    int32_t types[16];
    tnn_gguf *g = open_shape(&(model_shape){"llama", 1, 4, 1, 0, 256, false});
    tnn_quantize_options o = tnn_quantize_options_default();
    o.pure = true;
    assert_int_equal(tnn_quantize_types(g, TNN_FILE_TYPE_Q4_K_M, &o, types, &err), TNN_OK);
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        bool matrix = tnn_gguf_tensor_at(g, i)->ne[1] > 1;
        assert_int_equal(types[i], matrix ? TNN_TYPE_Q4_K : TNN_TYPE_F32);
    }
    o.output_type = TNN_TYPE_F16;
    o.token_embd_type = TNN_TYPE_Q8_0;
    assert_int_equal(tnn_quantize_types(g, TNN_FILE_TYPE_Q4_0, &o, types, &err), TNN_OK);
    assert_int_equal(type_of(g, types, "output.weight"), TNN_TYPE_F16);
    assert_int_equal(type_of(g, types, "token_embd.weight"), TNN_TYPE_Q8_0);
    assert_int_equal(tnn_quantize_types(g, (tnn_file_type)5, NULL, types, &err), TNN_E_ARG);
    assert_int_equal(tnn_quantize_types(g, (tnn_file_type)1000, NULL, types, &err), TNN_E_ARG);
    o.output_type = 4; /* a type that once was */
    assert_int_equal(tnn_quantize_types(g, TNN_FILE_TYPE_Q4_0, &o, types, &err), TNN_E_ARG);
    assert_non_null(strstr(err.text, "output_type is 4"));
    o.output_type = -1;
    o.token_embd_type = 1000;
    assert_int_equal(tnn_quantize_types(g, TNN_FILE_TYPE_Q4_0, &o, types, &err), TNN_E_ARG);
    assert_non_null(strstr(err.text, "token_embd_type is 1000"));
    tnn_gguf_close(g);
}

static void test_names(void **state) {
    (void)state;
    for (int i = 0; tnn_file_type_at(i) >= 0; i++) {
        assert_int_equal(tnn_file_type_from_name(tnn_file_type_name((uint32_t)tnn_file_type_at(i))),
                         tnn_file_type_at(i));
    }
    assert_int_equal(tnn_file_type_at(-1), -1);
    assert_int_equal(tnn_file_type_from_name("q4_k"), TNN_FILE_TYPE_Q4_K_M);
    assert_int_equal(tnn_file_type_from_name("IQ2_XXS"), -1);
    assert_int_equal(tnn_file_type_from_name(NULL), -1);
    assert_string_equal(tnn_file_type_name(19), "IQ2_XXS");
    assert_null(tnn_file_type_name(5));
    assert_null(tnn_file_type_name(UINT32_MAX));
}

/* --- files --- */

static bool count_steps(void *ctx, const tnn_quantize_step *step) {
    int *steps = ctx;
    assert_true(step->bytes_done <= step->bytes_total);
    return --*steps != 0;
}

static void test_file(void **state) {
    (void)state;
    tnn_error err;
    tnn_gguf *g = open_shape(&(model_shape){"llama", 2, 4, 1, 0, 256, false}), *out;
    tnn_quantize_result r;
    tnn_quantize_options o = tnn_quantize_options_default();
    o.n_threads = 3;
    if (tnn_quantize_file(g, temp_path(&dir, "out.gguf"), TNN_FILE_TYPE_Q8_0, &o, &r, &err) != TNN_OK)
        fail_msg("%s", err.text);
    assert_int_equal(r.n_converted, 16);
    assert_int_equal(r.n_copied, 3);
    assert_int_equal(r.n_fallback + r.n_requantized, 0);
    assert_int_equal(tnn_gguf_open(&out, temp_path(&dir, "out.gguf"), NULL, &err), TNN_OK);
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        const tnn_gguf_tensor *a = tnn_gguf_tensor_at(g, i), *b = tnn_gguf_tensor_at(out, i);
        assert_string_equal(a->name.data, b->name.data);
        for (int64_t row = 0; row < a->ne[1]; row++) {
            float want[256], got[256];
            memcpy(want, (const float *)a->data + 256 * row, sizeof want);
            tnn_dequantize_row((tnn_type)b->type, (const char *)b->data + (size_t)row * tnn_row_bytes(b->type, 256),
                               got, 256);
            for (int k = 0; k < 256; k++) {
                assert_true(fabsf(want[k] - got[k]) < 0.0021f); /* half a step of 0.5 / 127, and the rounding of d */
            }
        }
    }
    tnn_gguf_close(out);
    o.n_threads = 0;
    assert_int_equal(tnn_quantize_file(g, temp_path(&dir, "none.gguf"), TNN_FILE_TYPE_Q8_0, &o, &r, &err), TNN_E_ARG);
    tnn_gguf_close(g);
}

/* Stopped at each step in turn: no file is left, until the one run that goes through. */
static void test_stopped(void **state) {
    (void)state;
    tnn_error err;
    temp_dir_empty(&dir);
    tnn_gguf *g = open_shape(&(model_shape){"llama", 1, 4, 1, 0, 256, true});
    tnn_status status;
    for (int n = 1;; n++) {
        int steps = n;
        tnn_quantize_options o = tnn_quantize_options_default();
        o.on_step = count_steps;
        o.ctx = &steps;
        status = tnn_quantize_file(g, temp_path(&dir, "out.gguf"), TNN_FILE_TYPE_Q4_K_M, &o, NULL, &err);
        if (status == TNN_OK) break;
        assert_int_equal(status, TNN_E_CANCELLED);
        assert_int_equal(temp_dir_count(&dir), 1);
        assert_true(n < 100);
    }
    assert_int_equal(temp_dir_count(&dir), 2);
    tnn_gguf_close(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixes_shared_v),
        cmocka_unit_test(test_mixes_tied),
        cmocka_unit_test(test_mixes_of_large_models),
        cmocka_unit_test(test_rows_that_do_not_fit),
        cmocka_unit_test(test_options_of_types),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_stopped),
    };
    return cmocka_run_group_tests(tests, create_dir, remove_dir);
}
