/*
 * Loading models: every tensor held to the shape its metadata gives, what is missing or cannot be run named, and what
 * may differ from file to file accepted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tinynn/model.h>

#include "support/temp_dir.h"
#include "support/tiny_model.h"

static temp_dir dir;
static tnn_session *session;

static int open_all(void **state) {
    (void)state;
    tnn_session_options o = tnn_session_options_default();
    o.n_threads = 1;
    temp_dir_create(&dir);
    return tnn_session_new(&session, &o, NULL);
}

static int close_all(void **state) {
    (void)state;
    tnn_session_free(session);
    temp_dir_remove(&dir);
    return 0;
}

static const char *path(void) {
    return temp_path(&dir, "model.gguf");
}

static tnn_model *load(const tiny_model *m, const tiny_tensors *list) {
    tnn_model *model;
    tnn_error err;
    tiny_model_finish(tiny_model_keys(m), m, list, path());
    if (tnn_model_load(&model, session, path(), NULL, &err)) fail_msg("%s", err.text);
    return model;
}

/* The file at path() is refused, and the text holds the fragments (NULL: none). */
static void file_refused(tnn_status want, const char *a, const char *b, const char *c) {
    tnn_model *model = (tnn_model *)(void *)&dir;
    tnn_error err = {0};
    assert_int_equal(tnn_model_load(&model, session, path(), NULL, &err), want);
    assert_null(model);
    assert_int_equal(err.status, want);
    const char *fragments[] = {a, b, c};
    for (int i = 0; i < 3; i++) {
        if (fragments[i] && !strstr(err.text, fragments[i]))
            fail_msg("\"%s\" does not name \"%s\"", err.text, fragments[i]);
    }
}

static void refused(const tiny_model *m, const tiny_tensors *list, tnn_status want, const char *a, const char *b,
                    const char *c) {
    tiny_model_finish(tiny_model_keys(m), m, list, path());
    file_refused(want, a, b, c);
}

/* One layer is enough to have every tensor. */
static tiny_model one_layer(const char *arch, bool biases) {
    tiny_model m = tiny_model_default();
    m.arch = arch;
    m.n_layers = 1;
    m.d_head = 12; /* no other extent is 48 or 24 */
    m.d_ff = 40;
    m.n_vocab = 20;
    m.untied = m.biases = biases;
    m.rope_freqs = biases;
    return m;
}

/* One layer of Gated DeltaNet, one of attention. */
static tiny_model two_kinds(void) {
    tiny_model m = tiny_model_hybrid();
    m.n_layers = m.gdn_interval = 2;
    return m;
}

static void describe(char *text, size_t n, const tiny_tensor *t) {
    if (t->n_dims == 1) {
        snprintf(text, n, "[%d]", (int)t->ne[0]);
    } else {
        snprintf(text, n, "[%d, %d]", (int)t->ne[0], (int)t->ne[1]);
    }
}

static void check_every_extent(const tiny_model *m) {
    tiny_tensors right = tiny_model_tensors(m);
    tnn_model_free(load(m, &right));
    for (int i = 0; i < right.n; i++) {
        char want[64], have[64];
        describe(want, sizeof want, &right.at[i]);
        for (int d = 0; d < 2; d++) {
            for (int delta = -1; delta <= 1; delta += 2) {
                tiny_tensors wrong = right;
                tiny_tensor *t = &wrong.at[i];
                t->ne[d] += delta;
                if (t->ne[d] == 0) continue;
                if (d == 1) t->n_dims = 2;
                snprintf(have, sizeof have, "[%d, %d, 1, 1]", (int)t->ne[0], (int)t->ne[1]);
                refused(m, &wrong, TNN_E_SHAPE, t->name, have, want);
            }
        }
        tiny_tensors deep = right;
        deep.at[i].n_dims = 3;
        deep.at[i].ne[2] = 2;
        refused(m, &deep, TNN_E_SHAPE, deep.at[i].name, want, NULL);
    }
}

static void test_every_extent(void **state) {
    (void)state;
    tiny_model all = one_layer("llama", true), qwen3 = one_layer("qwen3", false);
    check_every_extent(&all);
    check_every_extent(&qwen3);
    tiny_model hybrid = two_kinds(), simplified = two_kinds();
    simplified.arch = "llama-gdn";
    simplified.gdn_conv = 0;
    check_every_extent(&hybrid);
    check_every_extent(&simplified);
}

static void check_every_tensor_missing(const tiny_model *m) {
    tiny_tensors all = tiny_model_tensors(m);
    for (int i = 0; i < all.n; i++) {
        tiny_tensors fewer = all;
        tiny_drop(&fewer, all.at[i].name);
        refused(m, &fewer, TNN_E_FORMAT, all.at[i].name, "missing", NULL);
    }
}

static void test_missing_tensors(void **state) {
    (void)state;
    static const char *const archs[] = {"llama", "qwen2", "qwen3", "smollm3"};
    for (int i = 0; i < 4; i++) {
        tiny_model m = one_layer(archs[i], false); /* what is then there is required */
        check_every_tensor_missing(&m);
    }
    tiny_model hybrid = two_kinds();
    check_every_tensor_missing(&hybrid);
}

static tnn_mixer_kind kind_of(const tnn_model *m, int64_t layer) {
    return tnn_llama_arch_layer_spec(tnn_model_arch(m), layer).mixer;
}

/* An interval, a list, or neither: then every fourth is attention. Layers beyond the stack are left alone. */
static void test_layer_kinds(void **state) {
    (void)state;
    tiny_model m = tiny_model_hybrid();
    m.n_layers = 5;
    m.n_extra = 1;
    tiny_tensors list = tiny_model_tensors(&m);
    for (int has_key = 0; has_key < 2; has_key++) {
        m.drop_key = has_key ? NULL : "qwen35.full_attention_interval";
        tnn_model *model = load(&m, &list);
        assert_int_equal(tnn_model_hparams(model)->n_layers, 4);
        for (int64_t i = 0; i < 4; i++) {
            assert_int_equal(kind_of(model, i), i == 3 ? TNN_MIXER_ATTENTION : TNN_MIXER_GDN);
        }
        tnn_model_free(model);
    }
    m.gdn_interval = 3; /* of the tensors: GDN, GDN, attention, GDN, and the extra one */
    list = tiny_model_tensors(&m);
    for (int n = 4; n <= 6; n++) {
        const uint8_t recurrent[6] = {1, 1, 0, 1, 0, 0};
        tnn_gguf_writer *w = tiny_model_keys(&m);
        tnn_gguf_set_u32(w, "qwen35.full_attention_interval", 2); /* the list counts */
        tnn_gguf_set_array(w, "qwen35.attention.recurrent_layers", TNN_GGUF_BOOL, recurrent, (uint64_t)n);
        tiny_model_finish(w, &m, &list, path());
        if (n != 5) {
            file_refused(TNN_E_FORMAT, "recurrent_layers", "5 layers", NULL);
            continue;
        }
        tnn_model *model;
        tnn_error err;
        if (tnn_model_load(&model, session, path(), NULL, &err)) fail_msg("%s", err.text);
        for (int64_t i = 0; i < 4; i++) {
            assert_int_equal(kind_of(model, i), recurrent[i]);
        }
        tnn_model_free(model);
    }
}

static void test_layers_the_file_does_not_have(void **state) {
    (void)state;
    tiny_model m = one_layer("llama", false);
    tiny_tensors list = tiny_model_tensors(&m);
    m.n_layers = 513;
    refused(&m, &list, TNN_E_FORMAT, "blk.1.attn_norm.weight", "missing", NULL);
    m.n_layers = 4096;
    refused(&m, &list, TNN_E_FORMAT, "blk.1.attn_norm.weight", "missing", NULL);
}

static void test_types_that_cannot_be_run(void **state) {
    (void)state;
    static const tnn_type types[] = {TNN_TYPE_IQ2_XXS, TNN_TYPE_IQ2_S, TNN_TYPE_IQ3_XXS, TNN_TYPE_IQ1_S,
                                     TNN_TYPE_TQ2_0,   TNN_TYPE_I8,    TNN_TYPE_I32,     TNN_TYPE_F64};
    tiny_model m = one_layer("llama", false);
    m.d_model = 256;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        tiny_tensors list = tiny_model_tensors(&m);
        tiny_find(&list, "blk.0.attn_q.weight")->type = types[i];
        refused(&m, &list, TNN_E_UNSUPPORTED, "blk.0.attn_q.weight", tnn_type_get_info((int32_t)types[i])->name, NULL);
    }
    tiny_tensors list = tiny_model_tensors(&m);
    tiny_find(&list, "output_norm.weight")->type = TNN_TYPE_IQ2_XXS;
    refused(&m, &list, TNN_E_UNSUPPORTED, "output_norm.weight", "IQ2_XXS", NULL);
}

/* Vectors are F32 in the kernels; stored otherwise, they are converted. */
static void test_vectors_of_other_types(void **state) {
    (void)state;
    static const tnn_type types[] = {TNN_TYPE_F16, TNN_TYPE_BF16, TNN_TYPE_Q8_0};
    tiny_model m = one_layer("llama", false);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        tiny_tensors list = tiny_model_tensors(&m);
        tiny_find(&list, "blk.0.attn_norm.weight")->type = types[i];
        tiny_find(&list, "output_norm.weight")->type = types[i];
        tnn_model *model = load(&m, &list);
        float have[32], want[32], stored[32];
        tnn_tensor *t = tnn_store_find(tnn_model_weights(model), "blk.0.attn_norm.weight");
        assert_int_equal(tnn_tensor_type(t), TNN_TYPE_F32);
        assert_int_equal(tnn_tensor_read(t, 0, have, sizeof have, NULL), TNN_OK);
        tiny_values(&m, tiny_find(&list, "blk.0.attn_norm.weight"), want, 32);
        assert_int_equal(tnn_quantize_row(types[i], want, stored, 32, NULL), TNN_OK);
        assert_int_equal(tnn_dequantize_row(types[i], stored, want, 32), TNN_OK);
        assert_memory_equal(have, want, sizeof have);
        tnn_model_free(model);
    }
}

static void test_matrices_are_not_copied(void **state) {
    (void)state;
    tiny_model m = one_layer("llama", true);
    tiny_tensors list = tiny_model_tensors(&m);
    tnn_model *model = load(&m, &list);
    const tnn_store *weights = tnn_model_weights(model);
    assert_int_equal(tnn_store_bytes(weights), 0);
    assert_int_equal(tnn_store_count(weights), list.n);
    assert_int_equal(tnn_model_n_params(model), 2 * 32 * 20 + 32 + 6 +               /* globals */
                                                    2 * 32 + 4 * 32 * 36 +           /* norms; q, k + v, output */
                                                    3 * 32 * 40 + 48 + 2 * 24 + 32 + /* ffn; biases */
                                                    2 * 40 + 32);
    tnn_model_free(model);
}

static void test_fused_projections(void **state) {
    (void)state;
    tiny_model m = one_layer("llama", false);
    tiny_tensors list = tiny_model_tensors(&m);
    tiny_drop(&list, "blk.0.attn_q.weight");
    tiny_drop(&list, "blk.0.attn_k.weight");
    tiny_drop(&list, "blk.0.attn_v.weight");
    tiny_add(&list, "blk.0.attn_qkv.weight", TNN_TYPE_F32, 32, 96);
    refused(&m, &list, TNN_E_UNSUPPORTED, "blk.0.attn_qkv.weight", "attn_q, attn_k and attn_v", NULL);
}

/* A part of a block that nothing reads would make the answers wrong without a word. */
static void test_parts_that_nothing_reads(void **state) {
    (void)state;
    static const char *const parts[] = {"blk.0.attn_q_norm.weight", "blk.0.attn_sub_norm.weight",
                                        "blk.0.ffn_gate_inp.weight", "blk.0.post_attention_norm.weight"};
    for (int i = 0; i < 4; i++) {
        tiny_model m = one_layer("llama", false);
        tiny_tensors list = tiny_model_tensors(&m);
        tiny_add(&list, parts[i], TNN_TYPE_F32, 12, 0);
        refused(&m, &list, TNN_E_UNSUPPORTED, parts[i], "llama", NULL);
    }
    tiny_model m = one_layer("llama", false);
    tiny_tensors list = tiny_model_tensors(&m);
    tiny_add(&list, "blk.1.attn_norm.weight", TNN_TYPE_F32, 32, 0); /* block_count says one layer */
    refused(&m, &list, TNN_E_UNSUPPORTED, "blk.1.attn_norm.weight", "llama", NULL);
}

static void test_vocabulary_and_embedding_differ(void **state) {
    (void)state;
    tiny_model m = one_layer("llama", false);
    m.tokenizer = true;
    tiny_tensors list = tiny_model_tensors(&m);
    tiny_find(&list, "token_embd.weight")->ne[1] = TINY_VOCAB + 3;
    refused(&m, &list, TNN_E_SHAPE, "token_embd.weight", "[32, 273, 1, 1]", "[32, 270]");
}

static void test_special_ids_outside_the_vocabulary(void **state) {
    (void)state;
    static const char *const ids[] = {"bos", "eos", "eot", "unknown", "padding", "fim_pre"};
    tiny_model m = one_layer("llama", false);
    m.tokenizer = true;
    tiny_tensors list = tiny_model_tensors(&m);
    for (int i = 0; i < 6; i++) {
        char key[64];
        snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", ids[i]);
        const uint32_t outside[] = {TINY_VOCAB, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu};
        for (int k = 0; k < 4; k++) {
            tnn_model *model;
            tnn_gguf_writer *w = tiny_model_keys(&m);
            tnn_gguf_set_u32(w, key, outside[k]);
            tiny_model_finish(w, &m, &list, path());
            tnn_error err;
            if (tnn_model_load(&model, session, path(), NULL, &err)) {
                assert_non_null(strstr(err.text, key)); /* refused by name, or as if it were not there */
                continue;
            }
            const tnn_tokenizer *t = tnn_model_tokenizer(model);
            for (int s = 0; s < TNN_SPECIAL_COUNT; s++) {
                assert_in_range(tnn_tokenizer_special(t, (tnn_special_token)s) + 1, 0, TINY_VOCAB);
            }
            tnn_model_free(model);
        }
    }
}

static void test_one_token_and_no_eos(void **state) {
    (void)state;
    tiny_model m = one_layer("llama", false);
    m.n_vocab = 1;
    tiny_tensors list = tiny_model_tensors(&m);
    static const char *const kinds[] = {"gpt2", "llama"};
    for (int i = 0; i < 2; i++) {
        tnn_gguf_writer *w = tiny_model_keys(&m);
        tnn_gguf_set_str(w, "tokenizer.ggml.model", kinds[i], strlen(kinds[i]));
        tnn_gguf_set_str(w, "tokenizer.ggml.pre", "gpt-2", 5);
        tnn_gguf_set_str_array(w, "tokenizer.ggml.tokens", &(tnn_gguf_str){"a", 1}, 1);
        tnn_gguf_set_array(w, "tokenizer.ggml.scores", TNN_GGUF_F32, (const float[]){0}, 1);
        tnn_gguf_set_array(w, "tokenizer.ggml.token_type", TNN_GGUF_I32, (const int32_t[]){1}, 1);
        tnn_gguf_set_str_array(w, "tokenizer.ggml.merges", NULL, 0);
        tiny_model_finish(w, &m, &list, path());
        tnn_model *model;
        tnn_error err;
        if (tnn_model_load(&model, session, path(), NULL, &err)) fail_msg("%s: %s", kinds[i], err.text);
        const tnn_tokenizer *t = tnn_model_tokenizer(model);
        assert_int_equal(tnn_tokenizer_n_vocab(t), 1);
        assert_in_range(tnn_tokenizer_special(t, TNN_SPECIAL_EOS) + 1, 0, 1);
        tnn_model_free(model);
    }
}

static void test_tokenizer_that_cannot_be_read(void **state) {
    (void)state;
    tiny_model m = one_layer("llama", false);
    m.tokenizer = true;
    tiny_tensors list = tiny_model_tensors(&m);
    tnn_gguf_writer *w = tiny_model_keys(&m);
    tnn_gguf_set_str(w, "tokenizer.ggml.model", "wordpiece", 9);
    tiny_model_finish(w, &m, &list, path());
    file_refused(TNN_E_UNSUPPORTED, "wordpiece", NULL, NULL);
}

static void test_files_that_are_no_models(void **state) {
    (void)state;
    tnn_model *model;
    tnn_error err;
    assert_int_equal(tnn_model_load(&model, session, temp_path(&dir, "absent.gguf"), NULL, &err), TNN_E_IO);
    assert_non_null(strstr(err.text, "absent.gguf"));
    assert_null(model);
    FILE *f = fopen(path(), "wb");
    assert_non_null(f);
    fclose(f);
    file_refused(TNN_E_FORMAT, NULL, NULL, NULL);
    assert_int_equal(tnn_model_load(&model, session, path(), NULL, NULL), TNN_E_FORMAT); /* nowhere to write to */
    tnn_model_free(NULL);
}

/* Both ways of opening give the same weights. */
static void test_without_mmap(void **state) {
    (void)state;
    tiny_model m = one_layer("llama", false);
    tiny_model_write(&m, path());
    tnn_model_options o = tnn_model_options_default();
    o.use_mmap = false;
    tnn_model *mapped, *copied;
    assert_int_equal(tnn_model_load(&mapped, session, path(), NULL, NULL), TNN_OK);
    assert_int_equal(tnn_model_load(&copied, session, path(), &o, NULL), TNN_OK);
    float a[32], b[32];
    tnn_tensor_read(tnn_store_find(tnn_model_weights(mapped), "blk.0.attn_q.weight"), 0, a, sizeof a, NULL);
    tnn_tensor_read(tnn_store_find(tnn_model_weights(copied), "blk.0.attn_q.weight"), 0, b, sizeof b, NULL);
    assert_memory_equal(a, b, sizeof a);
    tnn_model_free(mapped);
    tnn_model_free(copied);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_extent),
        cmocka_unit_test(test_missing_tensors),
        cmocka_unit_test(test_layer_kinds),
        cmocka_unit_test(test_layers_the_file_does_not_have),
        cmocka_unit_test(test_types_that_cannot_be_run),
        cmocka_unit_test(test_vectors_of_other_types),
        cmocka_unit_test(test_matrices_are_not_copied),
        cmocka_unit_test(test_fused_projections),
        cmocka_unit_test(test_parts_that_nothing_reads),
        cmocka_unit_test(test_vocabulary_and_embedding_differ),
        cmocka_unit_test(test_special_ids_outside_the_vocabulary),
        cmocka_unit_test(test_one_token_and_no_eos),
        cmocka_unit_test(test_tokenizer_that_cannot_be_read),
        cmocka_unit_test(test_files_that_are_no_models),
        cmocka_unit_test(test_without_mmap),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
