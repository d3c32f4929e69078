/*
 * Low-rank pairs over a model of every type: the loss falls, the model stays as it is bit for bit, every pair takes
 * part, and what is written gives the losses that training had.
 */
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <tinynn/merge.h>
#include <tinynn/train.h>

#include "base/rng.h"
#include "recipes/run.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

static temp_dir dir;
static char text_path[600], model_path[600];

static int create_files(void **state) {
    (void)state;
    temp_dir_create(&dir);
    snprintf(text_path, sizeof text_path, "%s/text", dir.path);
    snprintf(model_path, sizeof model_path, "%s/model.gguf", dir.path);
    FILE *f = fopen(text_path, "w");
    assert_non_null(f);
    for (int i = 0; i < 60; i++) {
        fprintf(f, "a text of %d lines, this is line %d.\n", 60, i);
    }
    fclose(f);
    return 0;
}

static void remove_run(const char *out) {
    static const char *const files[] = {"config.json",  "events.jsonl", "report.html",
                                        "adapter.gguf", "model.gguf",   "checkpoints/step-0000000012.ckpt"};
    char path[1024];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", out, files[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/checkpoints", out);
    rmdir(path);
    rmdir(out);
}

static int remove_files(void **state) {
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

static tnn_session *open_session(void) {
    tnn_session *s;
    tnn_error err;
    tnn_session_options o = tnn_session_options_default();
    o.n_threads = 2;
    if (tnn_session_new(&s, &o, &err)) fail_msg("%s", err.text);
    return s;
}

/* Rows of 256: whole blocks of every type. */
static void write_model(tnn_type type) {
    tiny_model m = tiny_model_default();
    m.d_model = m.d_ff = 256;
    m.n_heads = 8;
    m.n_kv_heads = 8;
    m.d_head = 32;
    m.tokenizer = true;
    m.untied = true;
    m.type = type;
    tiny_model_write(&m, model_path);
}

enum { STEPS = 12, LENGTH = 32 };

static tnn_train_config lora_config(void) {
    tnn_train_config c = tnn_train_config_default(TNN_RECIPE_LORA);
    c.model = model_path;
    c.text = text_path;
    c.iters = STEPS;
    c.batch_size = 2;
    c.max_seq_length = LENGTH;
    c.learning_rate = 1e-2;
    c.lora_rank = 4;
    c.lora_alpha = 8;
    return c;
}

static tnn_run *new_run(tnn_session *s, const tnn_train_config *c) {
    tnn_run *r;
    tnn_error err;
    if (tnn_run_new(&r, s, c, &err)) fail_msg("%s", err.text);
    return r;
}

typedef struct curve {
    double first, last;
} curve;

static void on_progress(void *ctx, const tnn_train_progress *p) {
    curve *c = ctx;
    if (p->step == 1) c->first = p->loss;
    c->last = p->loss;
}

static curve train(tnn_run *r, const char *out) {
    curve c = {0, 0};
    tnn_error err;
    tnn_train_hooks hooks = {.on_progress = on_progress, .ctx = &c};
    remove_run(out); /* what a failed test may have left */
    if (tnn_run_train(r, out, &hooks, &err)) fail_msg("%s", err.text);
    return c;
}

/* Mean loss of the first sequence, as the trainer sees it. */
static double trained_loss(tnn_run *r) {
    tnn_batch_buffer b;
    tnn_cursor cursor = {0, 0};
    tnn_error err;
    double loss;
    assert_int_equal(tnn_batch_buffer_init(&b, 2 * LENGTH, NULL, &err), TNN_OK);
    tnn_batch_fill(&b, tnn_run_data(r), &cursor, false);
    for (int64_t i = LENGTH; i < b.n_rows; i++) {
        b.targets[i] = -1;
    }
    tnn_batch_scale(&b, LENGTH - 1);
    tnn_batch view = tnn_batch_buffer_view(&b);
    assert_int_equal(tnn_trainer_evaluate(r->trainer, &view, &loss, NULL, &err), TNN_OK);
    tnn_batch_buffer_free(&b);
    return loss;
}

/* Logits of the first sequence, a row of n_vocab per position, and its mean loss. */
typedef struct scored {
    const int32_t *ids;
    int64_t n, n_vocab;
    float *logits;
    double sum, loss;
} scored;

static bool score(void *ctx, int64_t pos, int64_t n, const float *logits) {
    scored *s = ctx;
    memcpy(s->logits + pos * s->n_vocab, logits, (size_t)(n * s->n_vocab) * sizeof *logits);
    for (int64_t i = 0; i < n && pos + i + 1 < s->n; i++) {
        const float *row = logits + i * s->n_vocab;
        double sum = 0;
        for (int64_t k = 0; k < s->n_vocab; k++) {
            sum += exp((double)row[k]);
        }
        s->sum += log(sum) - (double)row[s->ids[pos + i + 1]];
    }
    return true;
}

/* Of a model file, with or without an adapter; logits are to be freed. */
static scored score_file(tnn_session *s, const char *model, const char *adapter, const tnn_dataset *d) {
    tnn_model *m = NULL;
    tnn_seq *q = NULL;
    tnn_error err;
    tnn_seq_options o = tnn_seq_options_default();
    const char *trained;
    scored found = {.sum = 0};
    o.kv_type = TNN_TYPE_F32;
    o.n_ctx = LENGTH;
    found.ids = tnn_dataset_sequence(d, 0, &trained, &found.n);
    assert_int_equal(found.n, LENGTH);
    if (tnn_model_load(&m, s, model, NULL, &err) || (adapter && tnn_model_add_adapter(m, adapter, 1.0f, &err)) ||
        tnn_seq_new(&q, m, &o, &err))
        fail_msg("%s", err.text);
    found.n_vocab = tnn_model_hparams(m)->n_vocab;
    found.logits = calloc((size_t)(found.n * found.n_vocab), sizeof *found.logits);
    assert_non_null(found.logits);
    assert_int_equal(tnn_seq_append(q, found.ids, found.n, TNN_WANT_ALL, score, &found, &err), TNN_OK);
    tnn_seq_free(q);
    tnn_model_free(m);
    found.loss = found.sum / (double)(found.n - 1);
    return found;
}

static double file_loss(tnn_session *s, const char *model, const char *adapter, const tnn_dataset *d) {
    scored found = score_file(s, model, adapter, d);
    free(found.logits);
    return found.loss;
}

/* ||a - b|| / ||a|| over all rows, each less its mean: what softmax sees. */
static double distance(const scored *a, const scored *b) {
    double difference = 0, size = 0, n = (double)a->n_vocab;
    for (int64_t row = 0; row < a->n; row++) {
        const float *x = a->logits + row * a->n_vocab, *y = b->logits + row * b->n_vocab;
        double mean_x = 0, mean_y = 0;
        for (int64_t i = 0; i < a->n_vocab; i++) {
            mean_x += (double)x[i] / n;
            mean_y += (double)y[i] / n;
        }
        for (int64_t i = 0; i < a->n_vocab; i++) {
            double dx = (double)x[i] - mean_x, dy = (double)y[i] - mean_y;
            difference += (dx - dy) * (dx - dy);
            size += dx * dx;
        }
    }
    return sqrt(difference / size);
}

/* --- every type --- */

static uint64_t hash_of(const char *path) {
    uint64_t hash;
    tnn_error err;
    if (tnn_file_hash(path, &hash, &err)) fail_msg("%s", err.text);
    return hash;
}

/* The model's values in F32, at path. */
static void dequantise(const char *path) {
    tnn_error err;
    tnn_gguf *g;
    if (tnn_gguf_open(&g, model_path, NULL, &err) || tnn_quantize_file(g, path, TNN_FILE_TYPE_F32, NULL, NULL, &err))
        fail_msg("%s", err.text);
    tnn_gguf_close(g);
}

/* The same run over them. */
static curve train_dequantised(tnn_session *s, const char *path) {
    char out[700];
    snprintf(out, sizeof out, "%s/f32", dir.path);
    dequantise(path);
    tnn_train_config c = lora_config();
    c.model = path;
    tnn_run *r = new_run(s, &c);
    curve found = train(r, out);
    tnn_run_free(r);
    remove_run(out);
    return found;
}

/*
 * What rounding activations to 8 bits, in groups of 32, adds to a product, against its size. A group's step is its
 * largest magnitude / 127 and the error of a value uniform over a step, so its mean square is step^2 / 12. Measured on
 * normal values.
 */
static double rounding_noise(void) {
    enum { N = 32 * 4096, GROUP = 32 };
    float *x = malloc(N * sizeof *x);
    double error = 0, size = 0;
    assert_non_null(x);
    tnn__fill_normal(7, 7, x, N, 0.0f, 1.0f);
    for (int at = 0; at < N; at += GROUP) {
        float largest = 0;
        for (int i = 0; i < GROUP; i++) {
            largest = fmaxf(largest, fabsf(x[at + i]));
        }
        for (int i = 0; i < GROUP; i++) {
            float step = largest / 127, rounded = step * roundf(x[at + i] / step);
            error += pow((double)(rounded - x[at + i]), 2);
            size += pow((double)x[at + i], 2);
        }
    }
    free(x);
    return sqrt(error / size);
}

/*
 * The F32 model at `path`, its linears changed at random by `noise` of their own size, into `to`. A product whose
 * activations are off by some share, each on its own, is off by as much as one whose weights are: so this is what
 * rounding activations costs, found without rounding any.
 */
static void disturb(const char *path, const char *to, double noise, uint64_t seed) {
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    size_t size = (size_t)ftell(f);
    char *file = malloc(size);
    assert_non_null(file);
    rewind(f);
    assert_int_equal(fread(file, 1, size, f), size);
    fclose(f);
    tnn_gguf *g;
    tnn_error err;
    assert_int_equal(tnn_gguf_open_memory(&g, file, size, NULL, &err), TNN_OK);
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, i);
        if (t->n_dims != 2 || strcmp(t->name.data, "token_embd.weight") == 0) continue;
        float *w = (float *)(void *)(file + ((const char *)t->data - file)); /* borrowed from it */
        int64_t n = t->ne[0] * t->ne[1];
        float *factor = malloc((size_t)n * sizeof *factor);
        assert_non_null(factor);
        tnn__fill_normal(seed, (uint64_t)i, factor, n, 1.0f, (float)noise);
        for (int64_t k = 0; k < n; k++) {
            w[k] *= factor[k];
        }
        free(factor);
    }
    tnn_gguf_close(g);
    f = fopen(to, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(file, 1, size, f), size);
    fclose(f);
    free(file);
}

/*
 * Training multiplies the dequantised values, so it finds what it finds over the F32 model, and so does inference over
 * that. Inference over the quantised model rounds activations; its logits may be as far away as rounding makes them:
 * twice what is expected, for a few peaked rows weigh most in either sample.
 */
enum { N_SAMPLES = 4 };

static void train_over(tnn_type type) {
    tnn_session *s = open_session();
    char out[700], adapter[800], f32[700], noisy[700];
    snprintf(out, sizeof out, "%s/run", dir.path);
    snprintf(adapter, sizeof adapter, "%s/adapter.gguf", out);
    snprintf(f32, sizeof f32, "%s/f32.gguf", dir.path);
    write_model(type);
    uint64_t before = hash_of(model_path);
    tnn_train_config config = lora_config();
    tnn_run *r = new_run(s, &config);
    assert_int_equal(r->n_pairs, 14);
    curve c = train(r, out), exact = train_dequantised(s, f32);
    double trained = trained_loss(r), bare = file_loss(s, f32, NULL, tnn_run_data(r));
    snprintf(noisy, sizeof noisy, "%s/noisy.gguf", dir.path);
    scored over_f32 = score_file(s, f32, adapter, tnn_run_data(r)),
           over_model = score_file(s, model_path, adapter, tnn_run_data(r));
    double noise = distance(&over_f32, &over_model), squares = 0;
    for (uint64_t i = 0; i < N_SAMPLES; i++) {
        disturb(f32, noisy, rounding_noise(), i);
        scored disturbed = score_file(s, noisy, adapter, tnn_run_data(r));
        squares += pow(distance(&over_f32, &disturbed), 2) / N_SAMPLES;
        free(disturbed.logits);
    }
    double expected = sqrt(squares);
    printf("%-8s loss %.4f -> %.4f (dequantised: %.4f -> %.4f), with the adapter %.5f, loaded over F32 %.5f, over the "
           "model %.5f: logits differ by %.4f, expected %.4f\n",
           tnn_type_get_info((int32_t)type)->name, c.first, c.last, exact.first, exact.last, trained, over_f32.loss,
           over_model.loss, noise, expected);
    assert_true(c.last < c.first - 0.5);
    assert_true(bare > trained + 0.3);
    assert_true(fabs(c.first - exact.first) < 1e-4 * exact.first);
    assert_true(fabs(c.last - exact.last) < 1e-4 * exact.last);
    assert_true(fabs(over_f32.loss - trained) < 1e-4 * trained);
    assert_true(noise <
                (type == TNN_TYPE_F32 || type == TNN_TYPE_F16 ? 1e-4 : 2 * expected)); /* BF16 may round, by less */
    assert_true(hash_of(model_path) == before);
    free(over_f32.logits);
    free(over_model.logits);
    tnn_run_free(r);
    remove_run(out);
    tnn_session_free(s);
}

static void test_every_type(void **state) {
    (void)state;
    int n_types = 0;
    for (int32_t type = 0; type < TNN_TYPE_COUNT; type++) {
        const tnn_type_info *info = tnn_type_get_info(type);
        bool real = type == TNN_TYPE_F32 || type == TNN_TYPE_F16 || type == TNN_TYPE_BF16;
        if (!info || !info->usable || !(info->quantized || real)) continue;
        train_over((tnn_type)type);
        n_types++;
    }
    assert_true(n_types >= 15);
}

/* --- every pair --- */

static double norm_of(const tnn_tensor *t) {
    int64_t n = tnn_tensor_elements(t);
    float *x = malloc((size_t)n * sizeof *x);
    assert_non_null(x);
    assert_int_equal(tnn_tensor_read(t, 0, x, (size_t)n * sizeof *x, NULL), TNN_OK);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
    }
    free(x);
    return sqrt(sum);
}

static void fill_b(const tnn_run *r) {
    for (int64_t i = 0; i < r->n_pairs; i++) {
        const tnn_tensor *b = r->pair_list[i].b;
        int64_t n = tnn_tensor_elements(b);
        float *x = malloc((size_t)n * sizeof *x);
        assert_non_null(x);
        tnn__fill_normal(3, (uint64_t)i, x, n, 0.0f, 0.05f);
        assert_int_equal(tnn_tensor_write(tnn_store_find(r->pairs, tnn_tensor_name(b)), 0, x, (size_t)n * sizeof *x,
                                          NULL),
                         TNN_OK);
        free(x);
    }
}

/* B = 0 would make the gradient of every A zero. */
static void test_every_pair_learns(void **state) {
    (void)state;
    tnn_session *s = open_session();
    write_model(TNN_TYPE_Q4_K);
    tnn_train_config config = lora_config();
    config.lora_modules = "attn_q,attn_k,attn_v,attn_output,ffn_gate,ffn_up,ffn_down,output";
    tnn_run *r = new_run(s, &config);
    tnn_batch_buffer b;
    tnn_cursor cursor = {0, 0};
    tnn_error err;
    double loss;
    fill_b(r);
    assert_int_equal(tnn_batch_buffer_init(&b, 2 * LENGTH, NULL, &err), TNN_OK);
    tnn_batch_fill(&b, tnn_run_data(r), &cursor, false);
    tnn_batch_scale(&b, b.n_targets);
    tnn_batch view = tnn_batch_buffer_view(&b);
    assert_int_equal(tnn_trainer_accumulate(r->trainer, &view, &loss, &err), TNN_OK);
    assert_int_equal(tnn_trainer_n_params(r->trainer), 2 * 15);
    for (int64_t i = 0; i < tnn_trainer_n_params(r->trainer); i++) {
        double norm = norm_of(tnn_trainer_grad(r->trainer, i));
        if (!(norm > 1e-6)) fail_msg("%s: %g", tnn_tensor_name(tnn_trainer_value(r->trainer, i)), norm);
    }
    tnn_batch_buffer_free(&b);
    tnn_run_free(r);
    tnn_session_free(s);
}

static void test_chosen_pairs(void **state) {
    (void)state;
    tnn_session *s = open_session();
    write_model(TNN_TYPE_F32);
    tnn_train_config config = lora_config();
    config.num_layers = 1;
    config.lora_modules = "attn_q,ffn_down";
    tnn_run *r = new_run(s, &config);
    assert_int_equal(r->n_pairs, 2);
    assert_string_equal(r->pair_list[0].name, "blk.1.attn_q.weight");
    assert_string_equal(r->pair_list[1].name, "blk.1.ffn_down.weight");
    tnn_run_free(r);
    config.lora_modules = "all-linear,output";
    r = new_run(s, &config);
    assert_int_equal(r->n_pairs, 8);
    assert_string_equal(r->pair_list[7].name, "output.weight");
    tnn_run_free(r);
    tnn_session_free(s);
}

/* A pair beside the output alone: what is trained is what is written, and what merging gives. */
static void train_output(tnn_type type, const char *modules, int64_t n_pairs, const char *compute) {
    tnn_session *s = open_session();
    char out[700], adapter[800], merged[800], f32[700];
    snprintf(out, sizeof out, "%s/run", dir.path);
    snprintf(adapter, sizeof adapter, "%s/adapter.gguf", out);
    snprintf(merged, sizeof merged, "%s/merged.gguf", dir.path);
    snprintf(f32, sizeof f32, "%s/f32.gguf", dir.path);
    write_model(type);
    tnn_train_config config = lora_config();
    config.lora_modules = modules;
    config.dtype = compute;
    config.learning_rate = 3e-2;
    tnn_run *r = new_run(s, &config);
    assert_int_equal(r->n_pairs, n_pairs);
    curve c = train(r, out);
    dequantise(f32);
    double trained = trained_loss(r), loaded = file_loss(s, f32, adapter, tnn_run_data(r));
    tnn_model *m;
    tnn_error err;
    tnn_quantize_result result;
    assert_int_equal(tnn_model_load(&m, s, f32, NULL, &err), TNN_OK);
    assert_int_equal(tnn_model_add_adapter(m, adapter, 1.0f, &err), TNN_OK);
    if (tnn_merge_file(m, merged, -1, NULL, &result, &err)) fail_msg("%s", err.text);
    assert_int_equal(result.n_converted, n_pairs);
    tnn_model_free(m);
    double of_merged = file_loss(s, merged, NULL, tnn_run_data(r));
    printf("%s, %s: loss %.4f -> %.4f, with the adapter %.5f, loaded %.5f, merged %.5f\n", modules, compute, c.first,
           c.last, trained, loaded, of_merged);
    double tolerance = strcmp(compute, "f32") == 0 ? 1e-4 : 2e-2; /* BF16 rounds operands to 8 bits */
    assert_true(c.last < c.first - 0.3);
    assert_true(fabs(loaded - trained) < tolerance * trained);
    assert_true(fabs(of_merged - loaded) < 1e-4 * loaded);
    tnn_run_free(r);
    remove_run(out);
    tnn_session_free(s);
}

static void test_output(void **state) {
    (void)state;
    train_output(TNN_TYPE_F32, "output", 1, "f32");
    train_output(TNN_TYPE_Q4_K, "all-linear,output", 15, "f32");
    train_output(TNN_TYPE_Q8_0, "output", 1, "bf16");
}

static void test_tied_output(void **state) {
    (void)state;
    tnn_session *s = open_session();
    tiny_model m = tiny_model_default();
    m.tokenizer = true;
    tiny_model_write(&m, model_path);
    tnn_train_config config = lora_config();
    config.lora_modules = "attn_q,output";
    tnn_run *r;
    tnn_error err;
    assert_int_equal(tnn_run_new(&r, s, &config, &err), TNN_E_ARG);
    if (!strstr(err.text, "tied to the token embedding")) fail_msg("%s", err.text);
    tnn_session_free(s);
}

/* --- what is written --- */

static void test_rslora(void **state) {
    (void)state;
    tnn_session *s = open_session();
    char out[700], adapter[800];
    snprintf(out, sizeof out, "%s/run", dir.path);
    snprintf(adapter, sizeof adapter, "%s/adapter.gguf", out);
    write_model(TNN_TYPE_F32);
    tnn_train_config config = lora_config();
    config.rslora = true;
    tnn_run *r = new_run(s, &config);
    train(r, out);
    tnn_gguf *g;
    tnn_error err;
    float alpha = 0;
    assert_int_equal(tnn_gguf_open(&g, adapter, NULL, &err), TNN_OK);
    assert_int_equal(tnn_gguf_get_f32(g, "adapter.lora.alpha", &alpha, &err), TNN_OK);
    assert_float_equal(alpha, 8.0f * 2.0f, 1e-5f); /* alpha sqrt(rank) */
    tnn_gguf_close(g);
    double trained = trained_loss(r);
    assert_true(fabs(file_loss(s, model_path, adapter, tnn_run_data(r)) - trained) < 1e-4 * trained);
    tnn_run_free(r);
    remove_run(out);
    tnn_session_free(s);
}

/* The A of a pair of rank 1 has one row, and is a matrix still: it decays, by half a step here. */
static void test_rank_1_decays(void **state) {
    (void)state;
    tnn_session *s = open_session();
    char out[700];
    snprintf(out, sizeof out, "%s/run", dir.path);
    write_model(TNN_TYPE_F32);
    tnn_train_config config = lora_config();
    config.lora_rank = 1;
    config.weight_decay = 50;
    for (config.optimizer = TNN_OPTIMIZER_ADAMW; config.optimizer <= TNN_OPTIMIZER_MUON; config.optimizer++) {
        tnn_run *r = new_run(s, &config);
        train(r, out);
        for (int64_t i = 0; i < tnn_trainer_n_params(r->trainer); i++) {
            float values[8];
            assert_int_equal(tnn_tensor_read(tnn_trainer_value(r->trainer, i), 0, values, sizeof values, NULL), TNN_OK);
            for (int k = 0; k < 8; k++)
                assert_true(fabsf(values[k]) < 0.03f); /* A begins within 1/16 */
        }
        tnn_run_free(r);
        remove_run(out);
    }
    tnn_session_free(s);
}

/* Merged, the F32 model gives what model and adapter give. */
static void test_merged(void **state) {
    (void)state;
    tnn_session *s = open_session();
    char out[700], adapter[800], merged[800];
    snprintf(out, sizeof out, "%s/run", dir.path);
    snprintf(adapter, sizeof adapter, "%s/adapter.gguf", out);
    snprintf(merged, sizeof merged, "%s/merged.gguf", dir.path);
    write_model(TNN_TYPE_F32);
    tnn_train_config config = lora_config();
    tnn_run *r = new_run(s, &config);
    train(r, out);
    tnn_model *m;
    tnn_error err;
    tnn_quantize_result result;
    assert_int_equal(tnn_model_load(&m, s, model_path, NULL, &err), TNN_OK);
    assert_int_equal(tnn_merge_file(m, merged, -1, NULL, NULL, &err), TNN_E_STATE);
    assert_int_equal(tnn_model_add_adapter(m, adapter, 1.0f, &err), TNN_OK);
    if (tnn_merge_file(m, merged, -1, NULL, &result, &err)) fail_msg("%s", err.text);
    assert_int_equal(result.n_converted, 14);
    tnn_model_free(m);
    double trained = trained_loss(r);
    assert_true(fabs(file_loss(s, merged, NULL, tnn_run_data(r)) - trained) < 1e-4 * trained);
    tnn_run_free(r);
    remove_run(out);
    tnn_session_free(s);
}

static void test_full_export(void **state) {
    (void)state;
    tnn_session *s = open_session();
    char out[700], model[800];
    snprintf(out, sizeof out, "%s/run", dir.path);
    snprintf(model, sizeof model, "%s/model.gguf", out);
    write_model(TNN_TYPE_Q8_0);
    tnn_train_config config = tnn_train_config_default(TNN_RECIPE_FULL), like = lora_config();
    config.model = like.model;
    config.text = like.text;
    config.iters = STEPS;
    config.batch_size = like.batch_size;
    config.max_seq_length = like.max_seq_length;
    config.learning_rate = 1e-3;
    tnn_run *r = new_run(s, &config);
    curve c = train(r, out);
    assert_true(c.last < c.first - 0.5);
    double trained = trained_loss(r);
    assert_true(fabs(file_loss(s, model, NULL, tnn_run_data(r)) - trained) < 1e-4 * trained);
    tnn_run_free(r);
    remove_run(out);
    tnn_session_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),    cmocka_unit_test(test_every_pair_learns),
        cmocka_unit_test(test_chosen_pairs),  cmocka_unit_test(test_rslora),
        cmocka_unit_test(test_rank_1_decays), cmocka_unit_test(test_merged),
        cmocka_unit_test(test_full_export),   cmocka_unit_test(test_output),
        cmocka_unit_test(test_tied_output),
    };
    return cmocka_run_group_tests(tests, create_files, remove_files);
}
