/*
 * `tnn bench --train`: steps of full fine-tuning or of low-rank pairs on a model's shape, without data, files or
 * schedules. Nothing is kept.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <tinynn/dataset.h>
#include <tinynn/trainer.h>

#include "bench.h"
#include "json.h"
#include "ui.h"

typedef struct training {
    engine e;       /* the session alone */
    tnn_gguf *file; /* LoRA alone, once the weights are there */
    uint64_t file_bytes;
    tnn_llama_arch *arch;
    tnn_store *weights, *pairs; /* pairs: LoRA alone */
    tnn_trainer *trainer;
    tnn_batch_buffer batch;
} training;

typedef struct timing {
    bench_rate rate;
    double batch_seconds, update_seconds; /* medians: forward and gradients; optimizer */
} timing;

/* --- setting up --- */

static const char *const modules[] = {"attn_q",    "attn_k",   "attn_v",  "attn_output", "attn_qkv", "attn_gate",
                                      "ssm_alpha", "ssm_beta", "ssm_out", "ffn_gate",    "ffn_up",   "ffn_down"};
#define N_MODULES ((int)(sizeof modules / sizeof *modules))

/* Small numbers of both signs, so that every gradient of the pair is one of real training. */
static tnn_status fill(tnn_tensor *t, tnn_error *err) {
    size_t n = (size_t)tnn_tensor_elements(t);
    float *values = malloc(n * sizeof *values);
    if (!values) {
        *err = (tnn_error){.status = TNN_E_NOMEM, .text = "out of memory"};
        return TNN_E_NOMEM;
    }
    for (size_t i = 0; i < n; i++)
        values[i] = 0.001f * (float)((int)(i * 7919 % 17) - 8);
    tnn_status status = tnn_tensor_write(t, 0, values, n * sizeof *values, err);
    free(values);
    return status;
}

static tnn_status add_half(training *t, int64_t n_in, int64_t n_out, tnn_tensor **out, tnn_error *err) {
    *out = tnn_store_tensor(t->pairs, "", TNN_TYPE_F32, 2, (const int64_t[]){n_in, n_out}, err);
    if (!*out) return err->status;
    tnn_tensor_set_trainable(*out, true);
    return fill(*out, err);
}

static tnn_status add_pairs(training *t, int64_t rank, tnn_error *err) {
    tnn_status status = tnn_store_new(&t->pairs, t->e.session, err);
    for (int64_t i = 0; i < tnn_llama_arch_n_layers(t->arch); i++)
        for (int k = 0; k < N_MODULES && status == TNN_OK; k++) {
            char name[64];
            tnn_tensor *a, *b;
            snprintf(name, sizeof name, "blk.%" PRId64 ".%s.weight", i, modules[k]);
            const tnn_tensor *w = tnn_llama_arch_linear(t->arch, name);
            if (!w) continue; /* layers of other kinds have other linears */
            status = add_half(t, tnn_tensor_ne(w)[0], rank, &a, err);
            if (status == TNN_OK) status = add_half(t, rank, tnn_tensor_ne(w)[1], &b, err);
            if (status == TNN_OK) status = tnn_llama_arch_attach_lora(t->arch, name, a, b, 2.0f, err);
        }
    return status;
}

static tnn_status load(training *t, const bench_args *args, bool lora, tnn_error *err) {
    tnn_llama_hparams hp;
    tnn_status status = tnn_llama_hparams_from_gguf(&hp, t->file, err);
    if (status == TNN_OK) status = tnn_llama_arch_new(&t->arch, t->e.session, &hp, err);
    if (status == TNN_OK) status = tnn_llama_arch_seed_from_gguf(t->arch, t->file, err);
    if (status == TNN_OK) status = tnn_store_new(&t->weights, t->e.session, err);
    if (status != TNN_OK) return status;
    if (!lora) return tnn_llama_arch_load_trainable_from_gguf(t->arch, t->weights, t->file, err);
    status = tnn_llama_arch_load_globals_from_gguf_mmap(t->arch, t->weights, t->file, err);
    if (status == TNN_OK) status = tnn_llama_arch_load_blocks_from_gguf_mmap(t->arch, t->weights, t->file, err);
    return status == TNN_OK ? add_pairs(t, args->lora_rank, err) : status;
}

static tnn_status make_trainer(training *t, const bench_args *args, tnn_error *err) {
    tnn_trainer_options options = tnn_trainer_options_default();
    options.n_rows = args->n_prompt;
    options.recompute = args->grad_checkpoint;
    options.compute_type = (tnn_type)tnn_type_from_name(args->dtype);
    tnn_status status =
        tnn_trainer_new(&t->trainer, t->e.session, t->arch, t->pairs ? t->pairs : t->weights, &options, err);
    if (status == TNN_OK) status = tnn_batch_buffer_init(&t->batch, args->n_prompt, NULL, err);
    if (status != TNN_OK) return status;
    tnn_batch_buffer *b = &t->batch;
    int64_t n_vocab = tnn_llama_arch_hparams(t->arch)->n_vocab;
    bench_fill_ids(b->ids, args->n_prompt, n_vocab);
    for (int64_t i = 0; i < args->n_prompt; i++) {
        b->positions[i] = (int32_t)i;
        b->starts[i] = 0;
        b->targets[i] = (int32_t)((b->ids[i] + 7919) % n_vocab);
        b->weights[i] = 1.0f / (float)args->n_prompt;
    }
    return TNN_OK;
}

static int open_training(training *t, const bench_args *args, bool lora) {
    char *path;
    int code = open_find(&args->file, &path);
    if (code == UI_OK) code = open_session(&t->e, &args->compute);
    if (code == UI_OK) code = open_gguf(&t->file, path, &args->file);
    free(path);
    if (code != UI_OK) return code;
    tnn_error err;
    for (int64_t i = 0; i < tnn_gguf_n_tensors(t->file); i++)
        t->file_bytes += tnn_gguf_tensor_at(t->file, i)->n_bytes;
    tnn_status status = load(t, args, lora, &err);
    if (!lora) { /* weights were copied: the file's pages are not needed any more */
        tnn_gguf_close(t->file);
        t->file = NULL;
    }
    if (status == TNN_OK) status = make_trainer(t, args, &err);
    return status == TNN_OK ? UI_OK : ui_fail(&err);
}

static void close_training(training *t) {
    tnn_trainer_free(t->trainer);
    tnn_batch_buffer_free(&t->batch);
    tnn_llama_arch_free(t->arch);
    tnn_store_free(t->pairs);
    tnn_store_free(t->weights);
    tnn_gguf_close(t->file);
    close_engine(&t->e);
}

/* --- measuring --- */

static tnn_status step(training *t, double *batch_seconds, double *update_seconds, tnn_error *err) {
    tnn_batch batch = tnn_batch_buffer_view(&t->batch);
    double loss, start = ui_seconds();
    tnn_status status = tnn_trainer_accumulate(t->trainer, &batch, &loss, err);
    *batch_seconds = ui_seconds() - start;
    if (status == TNN_OK) status = tnn_trainer_update(t->trainer, 1e-6f, NULL, err);
    *update_seconds = ui_seconds() - start - *batch_seconds;
    return status;
}

/* The first step warms up and does not count. */
static int measure(training *t, const bench_args *args, timing *out) {
    double rates[BENCH_MAX_REPEATS], batches[BENCH_MAX_REPEATS], updates[BENCH_MAX_REPEATS];
    ui_progress progress = ui_progress_begin("train");
    tnn_error err;
    for (int64_t i = -1; i < args->n_repeats; i++) {
        double batch, update;
        if (step(t, &batch, &update, &err) != TNN_OK) return ui_fail(&err);
        if (ui_interrupted()) return ui_error(UI_FAILURE, "interrupted");
        if (i >= 0) {
            rates[i] = (double)args->n_prompt / (batch + update);
            batches[i] = batch;
            updates[i] = update;
        }
        ui_progress_update(&progress, i + 1, args->n_repeats, NULL);
    }
    ui_progress_end(&progress);
    *out = (timing){bench_rate_of(rates, args->n_repeats), bench_rate_of(batches, args->n_repeats).median,
                    bench_rate_of(updates, args->n_repeats).median};
    return UI_OK;
}

/*
 * Products and sums of a token's forward in a mixer, its matrices apart: causal attention over half the sequence, or
 * the delta rule, which reads a state of d_head x d_head a head twice and writes it once.
 */
static double mixer_ops(const tnn_llama_arch *a, int64_t layer, int64_t n_tokens) {
    const tnn_llama_hparams *hp = tnn_llama_arch_hparams(a);
    if (tnn_llama_arch_layer_spec(a, layer).mixer == TNN_MIXER_GDN)
        return 6.0 * (double)(hp->gdn.n_value_heads * hp->gdn.d_head * hp->gdn.d_head);
    return 2.0 * (double)(hp->n_heads * hp->d_head) * (double)n_tokens;
}

/*
 * Products and sums that one token of a step needs: two for each weight of a matrix in the forward, two for the
 * gradient of its input, two for its own where it is trained; and three times those of the mixers. What is computed
 * again to save memory is not counted.
 */
static double ops_per_token(const training *t, int64_t n_tokens) {
    double ops = 0;
    for (int64_t i = 0; i < tnn_llama_arch_n_layers(t->arch); i++)
        ops += 3.0 * mixer_ops(t->arch, i, n_tokens);
    const tnn_store *stores[] = {t->weights, t->pairs};
    for (int s = 0; s < 2 && stores[s]; s++)
        for (int64_t i = 0; i < tnn_store_count(stores[s]); i++) {
            const tnn_tensor *w = tnn_store_at(stores[s], i);
            bool is_head = w == tnn_llama_arch_head(t->arch);
            bool is_embedding = strcmp(tnn_tensor_name(w), "token_embd.weight") == 0 && !is_head;
            if (tnn_tensor_ne(w)[1] > 1 && !is_embedding)
                ops += (tnn_tensor_trainable(w) ? 6.0 : 4.0) * (double)tnn_tensor_elements(w);
        }
    return ops;
}

static int tell_speed(const training *t, const bench_args *args, const timing *timed, const tnn_probe probes[2]) {
    double peak = 1e9 * bench_better(probes[0].f32_gflops, probes[1].f32_gflops);
    double share = ops_per_token(t, args->n_prompt) * timed->rate.median / peak;
    if (!args->json) {
        printf("train %s %6" PRId64 " tokens  %9.2f tok/s  (%.2f to %.2f)  %.0f%% of the arithmetic peak\n",
               args->train, args->n_prompt, timed->rate.median, timed->rate.min, timed->rate.max, 100 * share);
        printf("forward and gradients %.3f s, update %.3f s\n", timed->batch_seconds, timed->update_seconds);
        bench_print_probe("before", &probes[0]);
        bench_print_probe("after", &probes[1]);
        return UI_OK;
    }
    json_t *object = json_object();
    json_object_set_new(object, "recipe", json_string(args->train));
    json_object_set_new(object, "dtype", json_string(args->dtype));
    json_object_set_new(object, "grad_checkpoint", json_boolean(args->grad_checkpoint));
    json_object_set_new(object, "threads", json_integer(tnn_session_threads(t->e.session)));
    json_object_set_new(object, "isa", json_string(tnn_isa_name(tnn_session_isa(t->e.session))));
    json_object_set_new(object, "repetitions", json_integer((json_int_t)args->n_repeats));
    json_object_set_new(object, "train", bench_rate_json(args->n_prompt, &timed->rate, "share_of_peak", share));
    json_object_set_new(object, "batch_seconds", json_real(timed->batch_seconds));
    json_object_set_new(object, "update_seconds", json_real(timed->update_seconds));
    json_object_set_new(object, "probe_before", bench_probe_json(&probes[0]));
    json_object_set_new(object, "probe_after", bench_probe_json(&probes[1]));
    return json_print(object);
}

static int speed(training *t, const bench_args *args) {
    timing timed = {0};
    tnn_probe probes[2];
    int code = bench_probe(t->e.session, &probes[0]);
    if (code == UI_OK) code = measure(t, args, &timed);
    if (code == UI_OK) code = bench_probe(t->e.session, &probes[1]);
    return code == UI_OK ? tell_speed(t, args, &timed, probes) : code;
}

/* Two steps: the second touches what the first has not (moments). */
static int memory(training *t, const bench_args *args) {
    double batch, update;
    tnn_error err;
    for (int i = 0; i < 2; i++)
        if (step(t, &batch, &update, &err) != TNN_OK) return ui_fail(&err);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    size_t owned = tnn_store_bytes(t->weights) + (t->pairs ? tnn_store_bytes(t->pairs) : 0);
    uint64_t planned = owned + tnn_trainer_bytes(t->trainer), mapped = t->file_bytes;
    uint64_t peak = (uint64_t)usage.ru_maxrss * 1024; /* getrusage(2): KiB */
    if (args->json)
        return json_print(json_pack("{s:s, s:b, s:I, s:I, s:I, s:I}", "recipe", args->train, "grad_checkpoint",
                                    (int)args->grad_checkpoint, "tokens", (json_int_t)args->n_prompt, "peak_bytes",
                                    (json_int_t)peak, "planned_bytes", (json_int_t)planned, "file_bytes",
                                    (json_int_t)mapped));
    char text[3][UI_NUMBER];
    printf("train %s %6" PRId64
           " tokens  peak %s: %s of weights, gradients, moments and workspace; tensors of the file %s\n",
           args->train, args->n_prompt, ui_bytes(text[0], peak), ui_bytes(text[1], planned), ui_bytes(text[2], mapped));
    return UI_OK;
}

int bench_train(const bench_args *args) {
    bool lora = strcmp(args->train, "lora") == 0;
    if (!lora && strcmp(args->train, "full") != 0)
        return ui_error(UI_USAGE, "--train: '%s' is neither full nor lora", args->train);
    if (args->n_prompt == 0) return ui_error(UI_USAGE, "--train: -p 0 leaves nothing to measure");
    if (tnn_type_from_name(args->dtype) != TNN_TYPE_F32 && tnn_type_from_name(args->dtype) != TNN_TYPE_BF16)
        return ui_error(UI_USAGE, "--dtype: '%s' is neither f32 nor bf16", args->dtype);
    training t = {0};
    int code = open_training(&t, args, lora);
    if (code == UI_OK) code = args->memory ? memory(&t, args) : speed(&t, args);
    close_training(&t);
    return code;
}
