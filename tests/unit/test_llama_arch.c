/*
 * The architecture: its stack and the order of calls, kinds that cannot be run, low-rank pairs; and what is written of
 * it read back: exported models and adapters.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tinynn/adapter.h>
#include <tinynn/export.h>
#include <tinynn/seq.h>
#include <tinynn/trainer.h>

#include "llm/archs/llama_arch.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

enum { T = 12, VOCAB = 40 };

static temp_dir dir;
static tnn_session *session;
static tnn_error err;

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

static void ok(tnn_status status) {
    if (status) fail_msg("%s", err.text);
}

static void names(const char *fragment) {
    if (!strstr(err.text, fragment)) fail_msg("\"%s\" does not name \"%s\"", err.text, fragment);
}

/* An arch with the trainable weights of a written model. */
typedef struct loaded {
    tnn_gguf *g;
    tnn_store *store;
    tnn_llama_arch *arch;
} loaded;

static loaded load_trainable(const char *name) {
    loaded l;
    tnn_llama_hparams hp;
    ok(tnn_gguf_open(&l.g, temp_path(&dir, name), NULL, &err));
    ok(tnn_llama_hparams_from_gguf(&hp, l.g, &err));
    ok(tnn_store_new(&l.store, session, &err));
    ok(tnn_llama_arch_new(&l.arch, session, &hp, &err));
    ok(tnn_llama_arch_seed_blocks(l.arch, hp.n_layers, &err));
    ok(tnn_llama_arch_load_trainable_from_gguf(l.arch, l.store, l.g, &err));
    return l;
}

static void unload(loaded *l) {
    tnn_llama_arch_free(l->arch);
    tnn_store_free(l->store);
    tnn_gguf_close(l->g);
}

static tnn_model *load_model(const char *name) {
    tnn_model *m;
    ok(tnn_model_load(&m, session, temp_path(&dir, name), NULL, &err));
    return m;
}

static void fill_ids(int32_t ids[T]) {
    for (int i = 0; i < T; i++) {
        ids[i] = (7 * i + 3) % VOCAB;
    }
}

static bool keep(void *ctx, int64_t pos, int64_t n, const float *logits) {
    memcpy((float *)ctx + pos * VOCAB, logits, (size_t)(n * VOCAB) * sizeof *logits);
    return true;
}

static void logits_of_model(tnn_model *m, float logits[T * VOCAB]) {
    int32_t ids[T];
    tnn_seq_options o = tnn_seq_options_default();
    tnn_seq *q;
    o.kv_type = TNN_TYPE_F32;
    fill_ids(ids);
    ok(tnn_seq_new(&q, m, &o, &err));
    ok(tnn_seq_append(q, ids, T, TNN_WANT_ALL, keep, logits, &err));
    tnn_seq_free(q);
}

/* The same without a cache, from an arch and its store. */
static tnn_status logits_of_arch(const tnn_llama_arch *a, float logits[T * VOCAB]) {
    int32_t ids[T], positions[T];
    const int64_t n = T;
    tnn_graph *g;
    tnn_plan *plan;
    fill_ids(ids);
    for (int i = 0; i < T; i++) {
        positions[i] = i;
    }
    ok(tnn_graph_new(&g, session, &err));
    tnn_forward_args args = {.ids = tnn_input(g, "ids", TNN_TYPE_I32, 1, &n),
                             .positions = tnn_input(g, "positions", TNN_TYPE_I32, 1, &n),
                             .logits = TNN_LOGITS_ALL};
    tnn_llama_arch_forward_out out = tnn_llama_arch_build_forward(a, g, &args);
    tnn_status status = tnn_graph_plan(&plan, g, &err);
    if (!status) {
        ok(tnn_plan_set(plan, args.ids, ids, sizeof ids, &err));
        ok(tnn_plan_set(plan, args.positions, positions, sizeof positions, &err));
        ok(tnn_plan_run(plan, &err));
        memcpy(logits, tnn_plan_data(plan, out.logits), T * VOCAB * sizeof *logits);
        tnn_plan_free(plan);
    }
    tnn_graph_free(g);
    return status;
}

static double greatest_difference(const float *a, const float *b) {
    double most = 0;
    for (int i = 0; i < T * VOCAB; i++) {
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    }
    return most;
}

/* --- the stack --- */

static void test_new_arch(void **state) {
    (void)state;
    tnn_llama_hparams hp = {.arch = "llama", .n_layers = 7};
    tnn_llama_arch *a;
    ok(tnn_llama_arch_new(&a, session, &hp, &err));
    assert_int_equal(tnn_llama_arch_n_layers(a), 1);
    assert_int_equal(tnn_llama_arch_layer_spec(a, 0).mixer, TNN_MIXER_ATTENTION);
    assert_int_equal(tnn_llama_arch_layer_spec(a, 0).ffn, TNN_FFN_SWIGLU);
    assert_true(!a->token_embed && !a->final_norm_gamma && !a->output.weight && !a->w_proj && !a->rope_factors);
    assert_int_equal(a->donor_d_in, 0);
    assert_null(tnn_llama_arch_head(a));
    assert_null(tnn_llama_arch_linear(a, "blk.0.attn_q.weight"));
    float none[T * VOCAB];
    assert_int_equal(logits_of_arch(a, none), TNN_E_STATE);
    names("no weights");
    tnn_llama_arch_free(a);
    tnn_llama_arch_free(NULL);
}

static void test_seeding(void **state) {
    (void)state;
    static const int64_t bad[] = {0, -1, 4097, INT64_MAX, INT64_MIN};
    tnn_llama_hparams hp = {.arch = "llama"};
    tnn_llama_arch *a;
    ok(tnn_llama_arch_new(&a, session, &hp, &err));
    for (int i = 0; i < 5; i++) {
        assert_int_equal(tnn_llama_arch_seed_blocks(a, bad[i], &err), TNN_E_RANGE);
        names("4096");
        assert_int_equal(tnn_llama_arch_n_layers(a), 1);
    }
    ok(tnn_llama_arch_seed_blocks(a, 4096, &err));
    ok(tnn_llama_arch_seed_blocks(a, 3, &err));
    assert_int_equal(tnn_llama_arch_hparams(a)->n_layers, 3);
    assert_int_equal(tnn_llama_arch_set_gdn_layer(a, 3, &err), TNN_E_RANGE);
    names("layer 3 is outside 0..2");
    assert_int_equal(tnn_llama_arch_set_gdn_layer(a, -1, &err), TNN_E_RANGE);
    ok(tnn_llama_arch_set_gdn_layer(a, 1, &err));
    assert_int_equal(tnn_llama_arch_layer_spec(a, 1).mixer, TNN_MIXER_GDN);
    assert_int_equal(tnn_llama_arch_layer_spec(a, 0).mixer, TNN_MIXER_ATTENTION);
    ok(tnn_llama_arch_seed_blocks(a, 2, &err)); /* forgets the mark */
    assert_int_equal(tnn_llama_arch_layer_spec(a, 1).mixer, TNN_MIXER_ATTENTION);
    assert_int_equal(tnn_llama_arch_layer_spec(a, 99).mixer, TNN_MIXER_ATTENTION);
    tnn_llama_arch_free(a);
}

static void test_out_of_turn(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    tiny_model_write(&m, temp_path(&dir, "m.gguf"));
    loaded l = load_trainable("m.gguf");
    assert_int_equal(tnn_llama_arch_seed_blocks(l.arch, 2, &err), TNN_E_STATE);
    assert_int_equal(tnn_llama_arch_set_gdn_layer(l.arch, 0, &err), TNN_E_STATE);
    names("before weights");
    unload(&l);
}

static void test_kinds_that_cannot_be_run(void **state) {
    (void)state;
    float none[T * VOCAB];
    tiny_model m = tiny_model_default();
    tiny_model_write(&m, temp_path(&dir, "m.gguf"));
    loaded l = load_trainable("m.gguf");
    ok(logits_of_arch(l.arch, none));
    l.arch->specs[1].mixer = (tnn_mixer_kind)9;
    assert_int_equal(logits_of_arch(l.arch, none), TNN_E_UNSUPPORTED);
    names("layer 1: kind unknown (9)");
    l.arch->specs[1].mixer = TNN_MIXER_GDN;
    assert_int_equal(logits_of_arch(l.arch, none), TNN_E_ARG);
    names("layer 1: kind gated_delta_net, and the hyperparameters give such layers no heads");
    l.arch->specs[1] = (tnn_layer_spec){.ffn = (tnn_ffn_kind)5};
    assert_int_equal(logits_of_arch(l.arch, none), TNN_E_UNSUPPORTED);
    names("feed-forward unknown (5)");
    unload(&l);

    tnn_llama_hparams hp;
    ok(tnn_gguf_open(&l.g, temp_path(&dir, "m.gguf"), NULL, &err));
    ok(tnn_llama_hparams_from_gguf(&hp, l.g, &err));
    ok(tnn_store_new(&l.store, session, &err));
    ok(tnn_llama_arch_new(&l.arch, session, &hp, &err));
    ok(tnn_llama_arch_seed_blocks(l.arch, 2, &err));
    ok(tnn_llama_arch_set_gdn_layer(l.arch, 1, &err));
    ok(tnn_llama_arch_load_globals_from_gguf_mmap(l.arch, l.store, l.g, &err));
    assert_int_equal(tnn_llama_arch_load_blocks_from_gguf_mmap(l.arch, l.store, l.g, &err), TNN_E_ARG);
    names("layer 1: kind gated_delta_net");
    assert_int_equal(tnn_llama_arch_alloc_blocks_trainable_f32(l.arch, l.store, &err), TNN_E_ARG); /* names taken */
    unload(&l);
}

/* --- low-rank pairs --- */

static tnn_tensor *take(tnn_store *st, const char *name, int64_t n_in, int64_t n_out, float deviation) {
    float values[64 * 64];
    tnn_tensor *t = tnn_store_tensor(st, name, TNN_TYPE_F32, 2, (const int64_t[]){n_in, n_out}, &err);
    assert_non_null(t);
    tiny_random(name, values, n_in * n_out, 0.0f, deviation);
    ok(tnn_tensor_write(t, 0, values, tnn_tensor_bytes(t), &err));
    return t;
}

static void test_attaching_pairs(void **state) {
    (void)state;
    static const char *const no_linear[] = {"blk.2.attn_q.weight",
                                            "blk.0.attn_norm.weight",
                                            "token_embd.weight",
                                            "blk.0.attn_q",
                                            "blk.0.attn_q.weightx",
                                            "blk.00.attn_q.weight",
                                            "blk. 0.attn_q.weight",
                                            "blk.-1.attn_q.weight",
                                            "",
                                            "blk.99999999999999999999.attn_q.weight"};
    tiny_model m = tiny_model_default();
    tiny_model_write(&m, temp_path(&dir, "m.gguf"));
    loaded l = load_trainable("m.gguf");
    tnn_tensor *a = take(l.store, "a", 32, 4, 0.3f), *b = take(l.store, "b", 4, 32, 0.3f);
    tnn_tensor *narrow = take(l.store, "narrow", 31, 4, 0.3f), *other_rank = take(l.store, "rank", 5, 32, 0.3f);
    for (size_t i = 0; i < sizeof no_linear / sizeof *no_linear; i++) {
        assert_int_equal(tnn_llama_arch_attach_lora(l.arch, no_linear[i], a, b, 1.0f, &err), TNN_E_NOTFOUND);
        names("ffn_down");
    }
    assert_int_equal(tnn_llama_arch_attach_lora(l.arch, "blk.0.attn_q.weight", narrow, b, 1.0f, &err), TNN_E_SHAPE);
    names("[31, 4]");
    assert_int_equal(tnn_llama_arch_attach_lora(l.arch, "blk.0.attn_q.weight", a, other_rank, 1.0f, &err), TNN_E_SHAPE);
    assert_int_equal(tnn_llama_arch_attach_lora(l.arch, "blk.0.attn_k.weight", a, b, 1.0f, &err), TNN_E_SHAPE);
    names("W [32, 16]");
    ok(tnn_llama_arch_attach_lora(l.arch, "blk.0.attn_q.weight", a, b, 1.0f, &err));
    assert_int_equal(tnn_llama_arch_attach_lora(l.arch, "output.weight", a, b, 1.0f, &err), TNN_E_UNSUPPORTED);
    names("tied");
    assert_null(tnn_llama_arch_linear(l.arch, "output.weight"));
    unload(&l);
}

/* A loss that is differentiated has room for one pair beside the output. */
static void test_two_pairs_beside_the_output(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    tnn_trainer_options o = tnn_trainer_options_default();
    tnn_trainer *t;
    m.untied = true;
    o.n_rows = T;
    tiny_model_write(&m, temp_path(&dir, "m.gguf"));
    loaded l = load_trainable("m.gguf");
    const int64_t *ne = tnn_tensor_ne(tnn_llama_arch_linear(l.arch, "output.weight"));
    tnn_tensor *a = take(l.store, "a", ne[0], 4, 0.3f), *b = take(l.store, "b", 4, ne[1], 0.3f);
    ok(tnn_llama_arch_attach_lora(l.arch, "output.weight", a, b, 1.0f, &err));
    ok(tnn_trainer_new(&t, session, l.arch, l.store, &o, &err));
    tnn_trainer_free(t);
    ok(tnn_llama_arch_attach_lora(l.arch, "output.weight", a, b, 1.0f, &err));
    assert_int_equal(tnn_trainer_new(&t, session, l.arch, l.store, &o, &err), TNN_E_UNSUPPORTED);
    names("one low-rank pair beside output.weight");
    unload(&l);
}

/* W + scale B A, row by row of W. */
static void merge(tnn_tensor *w, const tnn_tensor *a, const tnn_tensor *b, double scale) {
    static float wv[64 * 64], av[64 * 64], bv[64 * 64];
    int64_t n_in = tnn_tensor_ne(w)[0], n_out = tnn_tensor_ne(w)[1], rank = tnn_tensor_ne(a)[1];
    ok(tnn_tensor_read(w, 0, wv, tnn_tensor_bytes(w), &err));
    ok(tnn_tensor_read(a, 0, av, tnn_tensor_bytes(a), &err));
    ok(tnn_tensor_read(b, 0, bv, tnn_tensor_bytes(b), &err));
    for (int64_t o = 0; o < n_out; o++) {
        for (int64_t i = 0; i < n_in; i++) {
            double sum = (double)wv[o * n_in + i];
            for (int64_t r = 0; r < rank; r++) {
                sum += scale * (double)bv[o * rank + r] * (double)av[r * n_in + i];
            }
            wv[o * n_in + i] = (float)sum;
        }
    }
    ok(tnn_tensor_write(w, 0, wv, tnn_tensor_bytes(w), &err));
}

static void check_adapter(float alpha, float user_scale, double strength) {
    float base[T * VOCAB], adapted[T * VOCAB], merged[T * VOCAB];
    loaded l = load_trainable("m.gguf");
    tnn_tensor *qa = take(l.store, "qa", 32, 4, 0.3f), *qb = take(l.store, "qb", 4, 32, 0.3f);
    tnn_tensor *da = take(l.store, "da", 48, 2, 0.3f), *db = take(l.store, "db", 2, 32, 0.3f);
    const tnn_adapter_pair pairs[] = {{"blk.0.attn_q.weight", qa, qb}, {"blk.1.ffn_down.weight", da, db}};
    ok(tnn_adapter_save(temp_path(&dir, "a.gguf"), "llama", NULL, alpha, pairs, 2, NULL, &err));
    ok(logits_of_arch(l.arch, base));
    merge(tnn_store_find(l.store, pairs[0].name), qa, qb, alpha != 0.0f ? strength / 4 : strength);
    merge(tnn_store_find(l.store, pairs[1].name), da, db, alpha != 0.0f ? strength / 2 : strength);
    ok(logits_of_arch(l.arch, merged));
    tnn_model *model = load_model("m.gguf");
    ok(tnn_model_add_adapter(model, temp_path(&dir, "a.gguf"), user_scale, &err));
    logits_of_model(model, adapted);
    assert_true(greatest_difference(adapted, merged) < 1e-4);
    assert_true(strength == 0 || greatest_difference(adapted, base) > 1e-2);
    tnn_model_free(model);
    unload(&l);
}

static void test_adapter_round_trip(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    tiny_model_write(&m, temp_path(&dir, "m.gguf"));
    check_adapter(8.0f, 1.0f, 8.0);
    check_adapter(8.0f, 0.5f, 4.0);
    check_adapter(8.0f, 0.0f, 0.0);
    check_adapter(0.0f, 0.5f, 0.5); /* no alpha: the scale alone */
}

typedef struct adapter_keys {
    const char *type, *arch, *kind;
    float alpha;
} adapter_keys;

/* An adapter of tensors without sense. */
static void write_adapter(adapter_keys k, const tiny_tensors *list) {
    tnn_gguf_writer *w;
    tiny_model m = tiny_model_default();
    ok(tnn_gguf_writer_new(&w, NULL, &err));
    if (k.type) tnn_gguf_set_str(w, "general.type", k.type, strlen(k.type));
    if (k.arch) tnn_gguf_set_str(w, "general.architecture", k.arch, strlen(k.arch));
    if (k.kind) tnn_gguf_set_str(w, "adapter.type", k.kind, strlen(k.kind));
    tnn_gguf_set_f32(w, "adapter.lora.alpha", k.alpha);
    tiny_model_finish(w, &m, list, temp_path(&dir, "bad.gguf"));
}

static void adapter_refused(tnn_status want, const char *fragment) {
    tnn_model *model = load_model("m.gguf");
    err = (tnn_error){0};
    assert_int_equal(tnn_model_add_adapter(model, temp_path(&dir, "bad.gguf"), 1.0f, &err), want);
    names(fragment);
    tnn_model_free(model);
}

static void test_adapters_that_are_refused(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    tiny_model_write(&m, temp_path(&dir, "m.gguf"));
    tiny_tensors pair = {.n = 0}, half, none = {.n = 0};
    tiny_add(&pair, "blk.0.attn_q.weight.lora_a", TNN_TYPE_F32, 32, 4);
    tiny_add(&pair, "blk.0.attn_q.weight.lora_b", TNN_TYPE_F32, 4, 32);
    const adapter_keys good = {"adapter", "llama", "lora", 4.0f};
    adapter_keys k = good;

    write_adapter(good, &none);
    adapter_refused(TNN_E_FORMAT, "0 tensors");
    for (int i = 0; i < 2; i++) {
        half = pair;
        tiny_drop(&half, pair.at[i].name);
        write_adapter(good, &half);
        adapter_refused(TNN_E_FORMAT, i ? "blk.0.attn_q.weight.lora_b" : "1 tensors");
    }
    half = pair;
    half.at[1].ne[0] = 3;
    write_adapter(good, &half);
    adapter_refused(TNN_E_SHAPE, "[3, 32]");
    half = pair;
    snprintf(half.at[0].name, 64, "blk.7.attn_q.weight.lora_a");
    snprintf(half.at[1].name, 64, "blk.7.attn_q.weight.lora_b");
    write_adapter(good, &half);
    adapter_refused(TNN_E_NOTFOUND, "blk.7.attn_q.weight");
    half = pair;
    tiny_add(&half, "blk.0.attn_k.weight", TNN_TYPE_F32, 32, 16);
    write_adapter(good, &half);
    adapter_refused(TNN_E_FORMAT, "blk.0.attn_k.weight");

    k.arch = "qwen2";
    write_adapter(k, &pair);
    adapter_refused(TNN_E_UNSUPPORTED, "\"qwen2\"");
    k = good, k.type = "model";
    write_adapter(k, &pair);
    adapter_refused(TNN_E_FORMAT, "no adapter");
    k = good, k.kind = "control_vector";
    write_adapter(k, &pair);
    adapter_refused(TNN_E_UNSUPPORTED, "lora");
    k = good, k.kind = NULL;
    write_adapter(k, &pair);
    adapter_refused(TNN_E_FORMAT, "adapter.type");
    static const float alphas[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        k = good, k.alpha = alphas[i];
        write_adapter(k, &pair);
        adapter_refused(TNN_E_FORMAT, "adapter.lora.alpha");
    }
    write_adapter(good, &pair);
    tnn_model *model = load_model("m.gguf");
    assert_int_equal(tnn_model_add_adapter(model, temp_path(&dir, "bad.gguf"), NAN, &err), TNN_E_ARG);
    ok(tnn_model_add_adapter(model, temp_path(&dir, "bad.gguf"), 1.0f, &err));
    ok(tnn_model_add_adapter(model, temp_path(&dir, "bad.gguf"), 1.0f, &err)); /* twice adds up */
    tnn_model_free(model);
}

static void test_copies_go_into_f32(void **state) {
    (void)state;
    static uint16_t before[64 * 64], after[64 * 64];
    tiny_model m = tiny_model_default();
    tiny_model_write(&m, temp_path(&dir, "m.gguf"));
    loaded l = load_trainable("m.gguf");
    const tnn_gguf_tensor *from = tnn_gguf_tensor_at(l.g, tnn_gguf_find_tensor(l.g, "blk.0.attn_q.weight"));
    tnn_tensor *half = tnn_store_tensor(l.store, "half", TNN_TYPE_F16, 2, from->ne, &err);
    assert_int_equal(tnn_tensor_copy_from_gguf(half, from, &err), TNN_E_ARG);
    names("F16");
    ok(tnn_tensor_read(half, 0, after, tnn_tensor_bytes(half), &err));
    assert_memory_equal(before, after, sizeof before); /* nothing was written */
    unload(&l);
}

/* --- warnings --- */

static char warning[TNN_ERROR_TEXT_MAX];

static void keep_warning(void *ctx, tnn_log_level level, const char *text) {
    (void)ctx;
    if (level == TNN_LOG_WARN) snprintf(warning, sizeof warning, "%s", text);
}

/* An output pair and one of a layer over an untied model, whose name a terminal would act on; a norm without elements
 * beside them. */
static void write_named_base(tiny_model *m) {
    static const char name[] = "red\x1b[31m\nmodel";
    *m = tiny_model_default();
    m->untied = true;
    tiny_tensors list = tiny_model_tensors(m);
    tnn_gguf_writer *w = tiny_model_keys(m);
    tnn_gguf_set_str(w, "general.name", name, sizeof name - 1);
    tnn_gguf_add_tensor(w, "empty_norm.weight", TNN_TYPE_F32, 1, (const int64_t[]){0});
    tiny_model_finish(w, m, &list, temp_path(&dir, "m.gguf"));
    loaded l = load_trainable("m.gguf");
    tnn_tensor *qa = take(l.store, "qa", 32, 4, 0.3f), *qb = take(l.store, "qb", 4, 32, 0.3f);
    tnn_tensor *oa = take(l.store, "oa", 32, 2, 0.3f), *ob = take(l.store, "ob", 2, 40, 0.3f);
    const tnn_adapter_pair pairs[] = {{"blk.0.attn_q.weight", qa, qb}, {"output.weight", oa, ob}};
    ok(tnn_adapter_save(temp_path(&dir, "a.gguf"), "llama", l.g, 4.0f, pairs, 2, NULL, &err));
    unload(&l);
}

static void test_warnings_are_lines(void **state) {
    (void)state;
    tnn_session_options o = tnn_session_options_default();
    o.n_threads = 1;
    o.log = keep_warning;
    tnn_session *loud;
    tnn_model *other;
    tiny_model m;
    write_named_base(&m);
    tiny_tensors list = tiny_model_tensors(&m);
    tiny_find(&list, "output_norm.weight")->type = TNN_TYPE_F16; /* a norm that is not counted: another sum */
    tnn_gguf_writer *w = tiny_model_keys(&m);
    tnn_gguf_add_tensor(w, "empty_norm.weight", TNN_TYPE_F32, 1, (const int64_t[]){0});
    tiny_model_finish(w, &m, &list, temp_path(&dir, "other.gguf"));
    ok(tnn_session_new(&loud, &o, &err));
    ok(tnn_model_load(&other, loud, temp_path(&dir, "other.gguf"), NULL, &err));
    ok(tnn_model_add_adapter(other, temp_path(&dir, "a.gguf"), 1.0f, &err));
    if (!strstr(warning, "\"red?[31m?model\"")) fail_msg("\"%s\" does not name the base", warning);
    for (const char *c = warning; *c; c++) {
        if ((unsigned char)*c < ' ') fail_msg("a control character in \"%s\"", warning);
    }
    tnn_model_free(other);
    tnn_session_free(loud);
}

/* --- saved sequences --- */

static tnn_seq *seq_of(float user_scale, tnn_model **model) {
    static const int32_t ids[] = {1, 2, 3};
    tnn_seq *q;
    *model = load_model("m.gguf");
    ok(tnn_model_add_adapter(*model, temp_path(&dir, "a.gguf"), user_scale, &err));
    ok(tnn_seq_new(&q, *model, NULL, &err));
    ok(tnn_seq_append(q, ids, 3, TNN_WANT_LAST, NULL, NULL, &err));
    return q;
}

/* The last logits are in the file, so a pair beside the output counts, too. */
static void test_saved_with_another_strength(void **state) {
    (void)state;
    tnn_model *model, *stronger;
    tiny_model m;
    write_named_base(&m);
    loaded l = load_trainable("m.gguf");
    tnn_tensor *oa = take(l.store, "oa", 32, 2, 0.3f), *ob = take(l.store, "ob", 2, 40, 0.3f);
    const tnn_adapter_pair pair = {"output.weight", oa, ob};
    ok(tnn_adapter_save(temp_path(&dir, "a.gguf"), "llama", NULL, 4.0f, &pair, 1, NULL, &err));
    const tnn_adapter_pair half[] = {pair, {"output.weight", oa, NULL}};
    assert_int_equal(tnn_adapter_save(temp_path(&dir, "b.gguf"), "llama", NULL, 4.0f, half, 2, NULL, &err), TNN_E_ARG);
    names("pair 1");
    unload(&l);
    tnn_seq *q = seq_of(1.0f, &model), *p = seq_of(2.0f, &stronger);
    ok(tnn_seq_save(q, temp_path(&dir, "saved"), &err));
    ok(tnn_seq_restore(q, temp_path(&dir, "saved"), &err));
    assert_int_equal(tnn_seq_restore(p, temp_path(&dir, "saved"), &err), TNN_E_ARG);
    names("adapters");
    tnn_seq_free(q);
    tnn_seq_free(p);
    tnn_model_free(model);
    tnn_model_free(stronger);
}

/* --- export --- */

typedef void key_fn(tnn_gguf_writer *w);

/* Loads, exports from the hyperparameters alone, loads again: the same logits, bit for bit. */
static void check_round_trip(const tiny_model *m, key_fn *set_keys) {
    float before[T * VOCAB], after[T * VOCAB];
    tiny_tensors list = tiny_model_tensors(m);
    tnn_gguf_writer *w = tiny_model_keys(m);
    if (set_keys) set_keys(w);
    tiny_model_finish(w, m, &list, temp_path(&dir, "in.gguf"));
    loaded l = load_trainable("in.gguf");
    const tnn_export_options o = {.name = "exported", .type = TNN_TYPE_F32};
    ok(tnn_export_gguf(temp_path(&dir, "out.gguf"), l.arch, l.store, &o, &err));
    tnn_model *in = load_model("in.gguf"), *out = load_model("out.gguf");
    logits_of_model(in, before);
    logits_of_model(out, after);
    assert_memory_equal(before, after, sizeof before);
    tnn_llama_hparams a = *tnn_model_hparams(in), b = *tnn_model_hparams(out);
    assert_string_equal(a.arch, b.arch);
    assert_true(a.tied == b.tied && a.n_ctx_train == b.n_ctx_train && a.attn_scale == b.attn_scale);
    assert_int_equal(tnn_store_count(tnn_model_weights(in)), tnn_store_count(tnn_model_weights(out)));
    tnn_model_free(in);
    tnn_model_free(out);
    unload(&l);
}

static void set_linear(tnn_gguf_writer *w) {
    tnn_gguf_set_str(w, "llama.rope.scaling.type", "linear", 6);
    tnn_gguf_set_f32(w, "llama.rope.scaling.factor", 3.7f);
    tnn_gguf_set_f32(w, "llama.rope.scaling.attn_factor", 1.3f);
    tnn_gguf_set_f32(w, "llama.attention.scale", 0.21f);
    tnn_gguf_set_u32(w, "llama.rope.dimension_count", 4);
}

static void set_yarn(tnn_gguf_writer *w) {
    tnn_gguf_set_str(w, "llama.rope.scaling.type", "yarn", 4);
    tnn_gguf_set_f32(w, "llama.rope.scaling.factor", 3.3f);
    tnn_gguf_set_u32(w, "llama.rope.scaling.original_context_length", 16);
    tnn_gguf_set_f32(w, "llama.rope.scaling.yarn_beta_fast", 20.0f);
    tnn_gguf_set_f32(w, "llama.rope.scaling.yarn_beta_slow", 1.5f);
    tnn_gguf_set_f32(w, "llama.rope.scaling.yarn_ext_factor", 0.8f);
    tnn_gguf_set_f32(w, "llama.rope.scaling.yarn_log_multiplier", 0.3f);
    tnn_gguf_set_f32(w, "llama.rope.freq_base", 500.0f);
}

static void test_export_round_trip(void **state) {
    (void)state;
    static const char *const archs[] = {"llama", "qwen2", "qwen3", "smollm3"};
    for (int i = 0; i < 4; i++) {
        for (int variant = 0; variant < 2; variant++) {
            tiny_model m = tiny_model_default();
            m.arch = archs[i];
            m.n_layers = 4; /* smollm3's fourth has no RoPE */
            if (variant) m.untied = m.biases = m.rope_freqs = true, m.d_head = 12;
            check_round_trip(&m, NULL);
        }
    }
    tiny_model m = tiny_model_default();
    check_round_trip(&m, set_linear);
    check_round_trip(&m, set_yarn);
}

/* Factors go through two reciprocals and come back. */
static void test_scaling_factor_survives(void **state) {
    (void)state;
    for (int i = 1; i < 200000; i++) {
        float scale = 1.0f / (1.0f + (float)i * 0.00037f), written = 1.0f / scale;
        assert_true(1.0f / written == scale);
    }
}

static void check_lens(int64_t donor, bool untied) {
    float before[T * VOCAB], after[T * VOCAB];
    tnn_llama_hparams hp = {.arch = "llama",
                            .n_vocab = VOCAB,
                            .n_ctx_train = 64,
                            .d_model = 32,
                            .n_heads = 4,
                            .n_kv_heads = 2,
                            .d_head = 8,
                            .d_ff = 48,
                            .rms_eps = 1e-5f,
                            .attn_scale = 1.0f / sqrtf(8.0f),
                            .rope = tnn_rope_config_default()};
    hp.rope.n_rot = 8;
    hp.rope.interleaved = true;
    loaded l = {.g = NULL};
    ok(tnn_store_new(&l.store, session, &err));
    ok(tnn_llama_arch_new(&l.arch, session, &hp, &err));
    ok(tnn_llama_arch_seed_blocks(l.arch, 2, &err));
    ok(tnn_llama_arch_alloc_globals_trainable_f32(l.arch, l.store, donor, untied, &err));
    ok(tnn_llama_arch_alloc_blocks_trainable_f32(l.arch, l.store, &err));
    ok(tnn_llama_arch_random_init(l.arch, l.store, 1, &err));
    float values[64 * 64];
    tnn_tensor *embed = tnn_store_find(l.store, "token_embd.weight"),
               *lens = tnn_store_find(l.store, "lens.proj.weight");
    assert_false(tnn_tensor_trainable(embed));
    assert_true(tnn_tensor_trainable(lens));
    tiny_random("embed", values, donor * VOCAB, 0.0f, 0.5f);
    ok(tnn_tensor_write(embed, 0, values, tnn_tensor_bytes(embed), &err));
    tiny_random("lens", values, donor * 32, 0.0f, 0.3f);
    ok(tnn_tensor_write(lens, 0, values, tnn_tensor_bytes(lens), &err));
    ok(logits_of_arch(l.arch, before));
    const tnn_export_options o = {.type = TNN_TYPE_F32};
    ok(tnn_export_gguf(temp_path(&dir, "lens.gguf"), l.arch, l.store, &o, &err));
    tnn_model *m = load_model("lens.gguf");
    assert_false(tnn_model_hparams(m)->tied);
    logits_of_model(m, after);
    assert_true(greatest_difference(before, after) < 1e-5);
    tnn_model_free(m);
    unload(&l);
}

static void test_lens_is_folded(void **state) {
    (void)state;
    check_lens(40, true);
    check_lens(32, true);
    check_lens(32, false); /* a head that shares the donor's embedding */
}

static void test_export_types(void **state) {
    (void)state;
    float exact[T * VOCAB], half[T * VOCAB];
    tiny_model m = tiny_model_default();
    tiny_model_write(&m, temp_path(&dir, "m.gguf"));
    loaded l = load_trainable("m.gguf");
    tnn_export_options o = {.like = l.g, .type = TNN_TYPE_F16};
    ok(tnn_export_gguf(temp_path(&dir, "half.gguf"), l.arch, l.store, &o, &err));
    tnn_model *a = load_model("m.gguf"), *b = load_model("half.gguf");
    logits_of_model(a, exact);
    logits_of_model(b, half);
    assert_true(greatest_difference(exact, half) < 0.05);
    o.type = TNN_TYPE_Q4_K; /* rows of 32 are no whole blocks of 256 */
    assert_int_equal(tnn_export_gguf(temp_path(&dir, "q.gguf"), l.arch, l.store, &o, &err), TNN_E_ARG);
    names("token_embd.weight");
    names("Q4_K");
    assert_int_equal(tnn_export_gguf(temp_path(&dir, "q.gguf"), tnn_model_arch(b), tnn_model_weights(b), &o, &err),
                     TNN_E_UNSUPPORTED);
    names("F16");
    static const int32_t unusable[] = {TNN_TYPE_Q8_1, TNN_TYPE_I32, 4, 999, -1};
    for (int i = 0; i < 5; i++) {
        o.type = (tnn_type)unusable[i];
        assert_int_equal(tnn_export_gguf(temp_path(&dir, "q.gguf"), l.arch, l.store, &o, &err), TNN_E_ARG);
    }
    tnn_model_free(a);
    tnn_model_free(b);
    unload(&l);
}

/* Counted by hand: linears in the order of their names, the feed-forward, then what mixes rows. */
static void test_products_of_layers(void **state) {
    (void)state;
    tnn_llama_arch *a;
    tnn_llama_hparams hp = {.arch = "qwen35", .d_model = 48, .n_heads = 4, .n_kv_heads = 2, .d_head = 8, .d_ff = 64};
    hp.attn_gate = true;
    hp.gdn = (tnn_gdn_hparams){.n_key_heads = 2, .n_value_heads = 4, .d_head = 16, .conv_width = 4};
    ok(tnn_llama_arch_new(&a, session, &hp, &err));
    ok(tnn_llama_arch_seed_blocks(a, 2, &err));
    ok(tnn_llama_arch_set_gdn_layer(a, 1, &err));
    double attention = 48 * 64 + 2 * 48 * 16 + 32 * 48 + 3 * 48 * 64;
    double gdn = 48 * 128 + 48 * 64 + 2 * 48 * 4 + 64 * 48 + 3 * 48 * 64 + 3 * 64 * 16;
    assert_true(tnn__layer_products(a, 0, 0) == attention);
    assert_true(tnn__layer_products(a, 0, 10) == attention + 2 * 32 * 10);
    assert_true(tnn__layer_products(a, 1, 0) == gdn);
    assert_true(tnn__layer_products(a, 1, 10) == gdn);
    tnn_llama_arch_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_arch),
        cmocka_unit_test(test_products_of_layers),
        cmocka_unit_test(test_seeding),
        cmocka_unit_test(test_out_of_turn),
        cmocka_unit_test(test_kinds_that_cannot_be_run),
        cmocka_unit_test(test_attaching_pairs),
        cmocka_unit_test(test_two_pairs_beside_the_output),
        cmocka_unit_test(test_adapter_round_trip),
        cmocka_unit_test(test_adapters_that_are_refused),
        cmocka_unit_test(test_copies_go_into_f32),
        cmocka_unit_test(test_warnings_are_lines),
        cmocka_unit_test(test_saved_with_another_strength),
        cmocka_unit_test(test_export_round_trip),
        cmocka_unit_test(test_scaling_factor_survives),
        cmocka_unit_test(test_lens_is_folded),
        cmocka_unit_test(test_export_types),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
