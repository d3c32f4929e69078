/*
 * Hyperparameters from metadata: what is missing, of a wrong type, out of range or beyond what tinynn runs is refused
 * with the key's name; what may be absent has its default.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tinynn/llama_arch.h>

#include "support/temp_dir.h"
#include "support/tiny_model.h"

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

/* Reads what the writer holds, which is freed. */
static tnn_status read_keys(tnn_gguf_writer *w, tnn_llama_hparams *hp, tnn_error *err) {
    tnn_gguf *g;
    tiny_model_finish(w, NULL, NULL, temp_path(&dir, "keys.gguf"));
    *err = (tnn_error){0};
    if (tnn_gguf_open(&g, temp_path(&dir, "keys.gguf"), NULL, err)) fail_msg("%s", err->text);
    tnn_status status = tnn_llama_hparams_from_gguf(hp, g, err);
    tnn_gguf_close(g);
    return status;
}

static tnn_llama_hparams accepted(tnn_gguf_writer *w) {
    tnn_llama_hparams hp;
    tnn_error err;
    if (read_keys(w, &hp, &err)) fail_msg("%s", err.text);
    return hp;
}

/* The text must hold each of the fragments. */
static void refused(tnn_gguf_writer *w, tnn_status want, const char *fragment, const char *also) {
    tnn_llama_hparams hp;
    tnn_error err;
    assert_int_equal(read_keys(w, &hp, &err), want);
    assert_int_equal(err.status, want);
    if (!strstr(err.text, fragment) || (also && !strstr(err.text, also)))
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", err.text, fragment, also ? also : "");
}

static tnn_gguf_writer *keys(void) {
    tiny_model m = tiny_model_default();
    return tiny_model_keys(&m);
}

static tnn_gguf_writer *with_u32(const char *key, uint32_t value) {
    tnn_gguf_writer *w = keys();
    tnn_gguf_set_u32(w, key, value);
    return w;
}

static tnn_gguf_writer *with_f32(const char *key, float value) {
    tnn_gguf_writer *w = keys();
    tnn_gguf_set_f32(w, key, value);
    return w;
}

static tnn_gguf_writer *with_str(const char *key, const char *value) {
    tnn_gguf_writer *w = keys();
    tnn_gguf_set_str(w, key, value, strlen(value));
    return w;
}

static tnn_gguf_writer *with_array(const char *key, const int32_t *values, uint64_t n) {
    tnn_gguf_writer *w = keys();
    tnn_gguf_set_array(w, key, TNN_GGUF_I32, values, n);
    return w;
}

static void test_defaults(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    m.drop_key = "llama.attention.head_count_kv";
    tnn_llama_hparams hp = accepted(tiny_model_keys(&m));
    assert_string_equal(hp.arch, "llama");
    assert_int_equal(hp.n_vocab, 40);
    assert_int_equal(hp.n_ctx_train, 64);
    assert_int_equal(hp.d_model, 32);
    assert_int_equal(hp.n_layers, 2);
    assert_int_equal(hp.n_heads, 4);
    assert_int_equal(hp.n_kv_heads, 4); /* as many as heads */
    assert_int_equal(hp.d_head, 8);
    assert_int_equal(hp.d_ff, 48);
    assert_true(hp.rms_eps == 1e-5f && hp.attn_scale == 1.0f / sqrtf(8.0f));
    assert_false(hp.qkv_bias || hp.qk_norm || hp.nope_interval);
    assert_true(hp.tied && hp.rope.interleaved);
    assert_int_equal(hp.rope.n_rot, 8);
    assert_true(hp.rope.freq_base == 10000.0f && hp.rope.freq_scale == 1.0f && hp.rope.ext_factor == 0.0f);
}

static void test_families(void **state) {
    (void)state;
    static const struct {
        const char *arch;
        bool interleaved, qkv_bias, qk_norm;
        int nope;
    } want[] = {{"llama", true, false, false, 0},
                {"qwen2", false, true, false, 0},
                {"qwen3", false, false, true, 0},
                {"smollm3", true, false, false, 4}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        tiny_model m = tiny_model_default();
        m.arch = want[i].arch;
        m.d_head = 16; /* n_heads * d_head != d_model: key_length is written */
        tnn_llama_hparams hp = accepted(tiny_model_keys(&m));
        assert_string_equal(hp.arch, want[i].arch);
        assert_int_equal(hp.rope.interleaved, want[i].interleaved);
        assert_int_equal(hp.qkv_bias, want[i].qkv_bias);
        assert_int_equal(hp.qk_norm, want[i].qk_norm);
        assert_int_equal(hp.nope_interval, want[i].nope);
        assert_int_equal(hp.d_head, 16);
        assert_int_equal(hp.rope.n_rot, 16);
    }
}

static tnn_gguf_writer *hybrid_keys(void) {
    tiny_model m = tiny_model_hybrid();
    return tiny_model_keys(&m);
}

static tnn_gguf_writer *hybrid_with(const char *key, uint32_t value) {
    tnn_gguf_writer *w = hybrid_keys();
    tnn_gguf_set_u32(w, key, value);
    return w;
}

static void test_hybrid(void **state) {
    (void)state;
    tnn_llama_hparams hp = accepted(hybrid_keys());
    assert_true(hp.qk_norm && hp.attn_gate && hp.post_norm && !hp.qkv_bias && !hp.rope.interleaved);
    assert_int_equal(hp.n_layers, 4);
    assert_int_equal(hp.n_extra_layers, 0);
    assert_int_equal(hp.gdn.n_key_heads, 2);
    assert_int_equal(hp.gdn.n_value_heads, 4);
    assert_int_equal(hp.gdn.d_head, 8);
    assert_int_equal(hp.gdn.conv_width, 4);
    hp = accepted(hybrid_with("qwen35.nextn_predict_layers", 1));
    assert_int_equal(hp.n_layers, 3);
    assert_int_equal(hp.n_extra_layers, 1);
    tiny_model simplified = tiny_model_hybrid();
    simplified.arch = "llama-gdn";
    hp = accepted(tiny_model_keys(&simplified));
    assert_true(hp.rope.interleaved && !hp.qk_norm && !hp.attn_gate && !hp.post_norm);
    assert_int_equal(hp.gdn.conv_width, 0);

    static const char *const needed[] = {"qwen35.ssm.group_count", "qwen35.ssm.time_step_rank", "qwen35.ssm.state_size",
                                         "qwen35.ssm.inner_size", "qwen35.ssm.conv_kernel"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        tiny_model m = tiny_model_hybrid();
        m.drop_key = needed[i];
        refused(tiny_model_keys(&m), TNN_E_FORMAT, needed[i], "missing");
        refused(hybrid_with(needed[i], 0), TNN_E_FORMAT, needed[i], "outside");
        refused(hybrid_with(needed[i], UINT32_MAX), TNN_E_FORMAT, needed[i], "4294967295 is outside");
    }
    refused(hybrid_with("qwen35.ssm.group_count", 3), TNN_E_FORMAT, "time_step_rank", "multiple");
    refused(hybrid_with("qwen35.ssm.inner_size", 64), TNN_E_UNSUPPORTED, "inner_size", "32");
    refused(hybrid_with("qwen35.nextn_predict_layers", 4), TNN_E_FORMAT, "nextn_predict_layers", NULL);
    refused(hybrid_with("qwen35.expert_count", 8), TNN_E_UNSUPPORTED, "experts", NULL);
}

static void test_refused_relatives(void **state) {
    (void)state;
    refused(with_str("general.architecture", "qwen3next"), TNN_E_UNSUPPORTED, "\"qwen3next\"", "grouped");
    refused(with_str("general.architecture", "qwen35moe"), TNN_E_UNSUPPORTED, "\"qwen35moe\"", "experts");
    refused(with_str("general.architecture", "qwen3moe"), TNN_E_UNSUPPORTED, "\"qwen3moe\"", "experts");
}

static void test_unknown_arch(void **state) {
    (void)state;
    static const char *const known[] = {"llama", "qwen2", "qwen3", "smollm3"};
    for (int i = 0; i < 4; i++) {
        refused(with_str("general.architecture", "mamba"), TNN_E_UNSUPPORTED, "\"mamba\"", known[i]);
    }
    refused(with_str("general.architecture", ""), TNN_E_UNSUPPORTED, "\"\"", "llama");
    refused(with_str("general.architecture", "lla\x1bma\n"), TNN_E_UNSUPPORTED, "\"lla?ma?\"", NULL);
    char longer[300];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    refused(with_str("general.architecture", longer), TNN_E_UNSUPPORTED, "xxxx", "smollm3");
    refused(with_u32("general.architecture", 3), TNN_E_FORMAT, "general.architecture", NULL);
    tiny_model m = tiny_model_default();
    m.drop_key = "general.architecture";
    refused(tiny_model_keys(&m), TNN_E_FORMAT, "general.architecture", "missing");
}

static const char *const required[] = {"context_length",
                                       "embedding_length",
                                       "block_count",
                                       "feed_forward_length",
                                       "attention.head_count",
                                       "attention.layer_norm_rms_epsilon",
                                       "vocab_size"};
#define N_REQUIRED (sizeof required / sizeof *required)

static void test_required_keys(void **state) {
    (void)state;
    char key[96];
    for (size_t i = 0; i < N_REQUIRED; i++) {
        snprintf(key, sizeof key, "llama.%s", required[i]);
        tiny_model m = tiny_model_default();
        m.drop_key = key;
        refused(tiny_model_keys(&m), TNN_E_FORMAT, key, "missing");
        refused(with_str(key, "32"), TNN_E_FORMAT, key, NULL);
    }
}

static void test_integers_of_a_wrong_kind(void **state) {
    (void)state;
    static const char *const integers[] = {"llama.context_length",
                                           "llama.embedding_length",
                                           "llama.block_count",
                                           "llama.feed_forward_length",
                                           "llama.attention.head_count",
                                           "llama.attention.head_count_kv",
                                           "llama.attention.key_length",
                                           "llama.attention.value_length",
                                           "llama.rope.dimension_count",
                                           "llama.expert_count",
                                           "llama.rope.scaling.original_context_length"};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        refused(with_f32(integers[i], 8.0f), TNN_E_FORMAT, integers[i], NULL);
        tnn_gguf_writer *w = keys();
        tnn_gguf_set_u64(w, integers[i], UINT64_MAX);
        refused(w, TNN_E_FORMAT, integers[i], NULL);
        w = keys();
        tnn_gguf_set_i32(w, integers[i], -1);
        refused(w, TNN_E_FORMAT, integers[i], "-1");
    }
}

static void test_ranges(void **state) {
    (void)state;
    static const struct {
        const char *key;
        uint32_t value;
    } bad[] = {{"llama.block_count", 0},
               {"llama.block_count", 4097},
               {"llama.block_count", 0x80000000u},
               {"llama.context_length", 0},
               {"llama.context_length", 0x80000000u},
               {"llama.embedding_length", 0},
               {"llama.embedding_length", 0x80000000u},
               {"llama.feed_forward_length", 0},
               {"llama.feed_forward_length", 0x80000000u},
               {"llama.attention.head_count", 0},
               {"llama.attention.head_count", 0x80000000u},
               {"llama.attention.head_count_kv", 0},
               {"llama.attention.key_length", 0},
               {"llama.attention.key_length", 0x80000000u},
               {"llama.attention.value_length", 0},
               {"llama.rope.dimension_count", 0},
               {"llama.rope.dimension_count", 10}, /* more than a head has */
               {"llama.rope.scaling.original_context_length", 0},
               {"llama.vocab_size", 0},
               {"llama.vocab_size", 0x80000000u}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char number[48];
        snprintf(number, sizeof number, "%llu is outside", (unsigned long long)bad[i].value);
        refused(with_u32(bad[i].key, bad[i].value), TNN_E_FORMAT, bad[i].key, number);
    }
    assert_int_equal(accepted(with_u32("llama.block_count", 4096)).n_layers, 4096);
    assert_int_equal(accepted(with_u32("llama.block_count", 513)).n_layers, 513);
}

static void test_heads(void **state) {
    (void)state;
    refused(with_u32("llama.attention.head_count_kv", 3), TNN_E_FORMAT, "head_count = 4", "head_count_kv = 3");
    refused(with_u32("llama.attention.head_count_kv", 8), TNN_E_FORMAT, "head_count = 4", "head_count_kv = 8");
    tnn_gguf_writer *w = with_u32("llama.attention.head_count", 6);
    refused(w, TNN_E_FORMAT, "embedding_length = 32", "head_count = 6");
    w = with_u32("llama.attention.head_count", 6); /* with a length of its own, it need not divide */
    tnn_gguf_set_u32(w, "llama.attention.key_length", 8);
    assert_int_equal(accepted(w).d_head, 8);
    refused(with_u32("llama.attention.value_length", 4), TNN_E_UNSUPPORTED, "value_length = 4", "key_length = 8");
    refused(with_u32("llama.attention.key_length", 15), TNN_E_FORMAT, "llama.attention.key_length", "odd");
    w = with_u32("llama.attention.key_length", 15); /* odd heads are fine where an even part is rotated */
    tnn_gguf_set_u32(w, "llama.rope.dimension_count", 8);
    assert_int_equal(accepted(w).rope.n_rot, 8);
    refused(with_u32("llama.rope.dimension_count", 7), TNN_E_FORMAT, "llama.rope.dimension_count = 7", "odd");
    assert_int_equal(accepted(with_u32("llama.rope.dimension_count", 4)).rope.n_rot, 4);
}

static void test_floats(void **state) {
    (void)state;
    static const struct {
        const char *key;
        float value;
    } bad[] = {{"llama.attention.layer_norm_rms_epsilon", NAN},
               {"llama.attention.layer_norm_rms_epsilon", INFINITY},
               {"llama.attention.layer_norm_rms_epsilon", -1e-5f},
               {"llama.attention.layer_norm_rms_epsilon", 2.0f},
               {"llama.attention.scale", NAN},
               {"llama.attention.scale", -1.0f},
               {"llama.rope.freq_base", 0.0f},
               {"llama.rope.freq_base", 1.0f},
               {"llama.rope.freq_base", NAN},
               {"llama.rope.freq_base", -10000.0f},
               {"llama.rope.freq_base", INFINITY},
               {"llama.rope.scaling.factor", NAN},
               {"llama.rope.scaling.factor", -2.0f},
               {"llama.rope.scaling.attn_factor", INFINITY}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        refused(with_f32(bad[i].key, bad[i].value), TNN_E_FORMAT, bad[i].key, NULL);
        refused(with_str(bad[i].key, "x"), TNN_E_FORMAT, bad[i].key, NULL);
    }
    assert_true(accepted(with_f32("llama.attention.scale", 0.25f)).attn_scale == 0.25f);
    assert_true(accepted(with_u32("llama.rope.freq_base", 500000)).rope.freq_base == 500000.0f);
}

static void test_per_layer_arrays(void **state) {
    (void)state;
    static const char *const per_layer[] = {"llama.feed_forward_length", "llama.attention.head_count",
                                            "llama.attention.head_count_kv"};
    static const int32_t equal[] = {4, 4}, unequal[] = {4, 8}, three[] = {4, 4, 4};
    for (int i = 0; i < 3; i++) {
        accepted(with_array(per_layer[i], equal, 2));
        refused(with_array(per_layer[i], unequal, 2), TNN_E_UNSUPPORTED, per_layer[i], "layer");
        refused(with_array(per_layer[i], equal, 1), TNN_E_FORMAT, per_layer[i], "2 layers");
        refused(with_array(per_layer[i], three, 3), TNN_E_FORMAT, per_layer[i], "2 layers");
        refused(with_array(per_layer[i], equal, 0), TNN_E_FORMAT, per_layer[i], NULL);
        tnn_gguf_writer *w = keys();
        tnn_gguf_set_array(w, per_layer[i], TNN_GGUF_F32, (const float[]){4, 4}, 2);
        refused(w, TNN_E_FORMAT, per_layer[i], NULL);
    }
    assert_int_equal(accepted(with_array("llama.attention.head_count_kv", equal, 2)).n_kv_heads, 4);
    refused(with_array("llama.block_count", equal, 2), TNN_E_FORMAT, "llama.block_count", NULL);
}

static void test_experts(void **state) {
    (void)state;
    refused(with_u32("llama.expert_count", 8), TNN_E_UNSUPPORTED, "8 experts", "dense");
    accepted(with_u32("llama.expert_count", 0));
}

static void test_rope_scaling(void **state) {
    (void)state;
    refused(with_str("llama.rope.scaling.type", "longrope"), TNN_E_UNSUPPORTED, "\"longrope\"", "yarn");
    refused(with_u32("llama.rope.scaling.type", 1), TNN_E_FORMAT, "llama.rope.scaling.type", NULL);

    tnn_llama_hparams hp = accepted(with_f32("llama.rope.scaling.factor", 4.0f)); /* no type: linear */
    assert_true(hp.rope.freq_scale == 0.25f && hp.rope.ext_factor == 0.0f);
    hp = accepted(with_f32("llama.rope.scale_linear", 2.0f));
    assert_true(hp.rope.freq_scale == 0.5f);
    hp = accepted(with_f32("llama.rope.scaling.factor", 0.0f)); /* 0 stands for none */
    assert_true(hp.rope.freq_scale == 1.0f);
    tnn_gguf_writer *w = with_f32("llama.rope.scaling.factor", 4.0f);
    tnn_gguf_set_str(w, "llama.rope.scaling.type", "none", 4);
    assert_true(accepted(w).rope.freq_scale == 1.0f);

    w = with_str("llama.rope.scaling.type", "yarn");
    tnn_gguf_set_f32(w, "llama.rope.scaling.factor", 4.0f);
    hp = accepted(w);
    assert_true(hp.rope.freq_scale == 0.25f && hp.rope.ext_factor == 1.0f && hp.rope.attn_factor == 1.0f);
    assert_int_equal(hp.rope.n_ctx_orig, 64); /* the training context where nothing else is said */

    w = with_str("llama.rope.scaling.type", "yarn");
    tnn_gguf_set_f32(w, "llama.rope.scaling.factor", 4.0f);
    tnn_gguf_set_u32(w, "llama.rope.scaling.original_context_length", 16);
    tnn_gguf_set_f32(w, "llama.rope.scaling.yarn_log_multiplier", 0.1f);
    tnn_gguf_set_f32(w, "llama.rope.scaling.yarn_beta_fast", 16.0f);
    tnn_gguf_set_f32(w, "llama.rope.scaling.yarn_beta_slow", 2.0f);
    hp = accepted(w);
    assert_int_equal(hp.rope.n_ctx_orig, 16);
    assert_true(hp.rope.beta_fast == 16.0f && hp.rope.beta_slow == 2.0f);
    assert_true(fabs((double)hp.rope.attn_factor - 1.0 / (1.0 + 0.01 * log(4.0))) < 1e-6);
    w = with_str("llama.rope.scaling.type", "yarn");
    tnn_gguf_set_f32(w, "llama.rope.scaling.yarn_beta_fast", NAN);
    refused(w, TNN_E_FORMAT, "llama.rope.scaling.yarn_beta_fast", NULL);
}

static void test_without_error_record(void **state) {
    (void)state;
    tnn_gguf *g;
    tnn_llama_hparams hp;
    tiny_model_finish(with_u32("llama.block_count", 0), NULL, NULL, temp_path(&dir, "keys.gguf"));
    assert_int_equal(tnn_gguf_open(&g, temp_path(&dir, "keys.gguf"), NULL, NULL), TNN_OK);
    assert_int_equal(tnn_llama_hparams_from_gguf(&hp, g, NULL), TNN_E_FORMAT);
    tnn_gguf_close(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_hybrid),
        cmocka_unit_test(test_refused_relatives),
        cmocka_unit_test(test_unknown_arch),
        cmocka_unit_test(test_required_keys),
        cmocka_unit_test(test_integers_of_a_wrong_kind),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_per_layer_arrays),
        cmocka_unit_test(test_experts),
        cmocka_unit_test(test_rope_scaling),
        cmocka_unit_test(test_without_error_record),
    };
    return cmocka_run_group_tests(tests, create_dir, remove_dir);
}
