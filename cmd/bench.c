/* `tnn bench`: how fast a model runs here. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "json.h"
#include "ui.h"
#include "verbs.h"

static const arg_option verb_options[] = {
    {"-p, --n-prompt", ARG_INT, offsetof(bench_args, n_prompt), "N", 0, 1 << 20, NULL,
     "tokens of the prompt that prefill computes, or of a training step; 0: no prefill"},
    {"-n, --n-gen", ARG_INT, offsetof(bench_args, n_gen), "N", 0, 1 << 20, "128",
     "tokens that are decoded one by one; 0: no decoding"},
    {"-d, --n-depth", ARG_INT, offsetof(bench_args, n_depth), "N", 0, 1 << 24, "0",
     "tokens that the sequence holds before either begins"},
    {"-r, --repetitions", ARG_INT, offsetof(bench_args, n_repeats), "N", 1, BENCH_MAX_REPEATS, NULL,
     "times each is measured"},
    {"-b, --batch-size", ARG_INT, offsetof(bench_args, context.n_batch), "N", 1, 65536, "512",
     "tokens of a prompt computed at once"},
    {"--kv-type, --cache-type", ARG_TEXT, offsetof(bench_args, context.kv_type), "TYPE", 0, 0, "F16",
     "type of the KV cache: f32, f16, bf16 or q8_0"},
    {"--train", ARG_TEXT, offsetof(bench_args, train), "RECIPE", 0, 0, NULL,
     "steps of training instead: full, or lora with pairs beside every linear of the blocks"},
    {"--lora-rank", ARG_INT, offsetof(bench_args, lora_rank), "R", 1, 4096, "8", "training: rank of the pairs"},
    {"--dtype", ARG_TEXT, offsetof(bench_args, dtype), "TYPE", 0, 0, "f32",
     "training: type that products with weights are computed in: f32 or bf16"},
    {"--grad-checkpoint", ARG_FLAG, offsetof(bench_args, grad_checkpoint), NULL, 0, 0, NULL,
     "training: compute layers again on the way back, to save memory"},
    {"--memory", ARG_FLAG, offsetof(bench_args, memory), NULL, 0, 0, NULL,
     "training: no speeds, but the most memory that a step takes"},
    {"--json", ARG_FLAG, offsetof(bench_args, json), NULL, 0, 0, NULL, "one JSON object"},
    {0},
};

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bench_rate bench_rate_of(double *values, int64_t n) {
    qsort(values, (size_t)n, sizeof *values, by_value);
    return (bench_rate){(values[(n - 1) / 2] + values[n / 2]) / 2, values[0], values[n - 1]};
}

void bench_fill_ids(int32_t *ids, int64_t n, int64_t n_vocab) {
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)((i * 7919 + 1) % n_vocab);
}

/* Seconds of one prefill (step = n) or of decoding (step = 1), behind the first `depth` tokens of the sequence. */
static tnn_status measure_once(tnn_seq *q, int64_t depth, const int32_t *ids, int64_t n, int64_t step, double *seconds,
                               tnn_error *err) {
    tnn_status status = tnn_seq_truncate(q, depth, err);
    double start = ui_seconds();
    for (int64_t i = 0; i < n && status == TNN_OK; i += step)
        status = tnn_seq_append(q, ids + i, step, TNN_WANT_LAST, NULL, NULL, err);
    *seconds = ui_seconds() - start;
    return status;
}

/* The first round warms up and does not count. */
static int measure(tnn_seq *q, int64_t depth, const int32_t *ids, int64_t n, int64_t step, int64_t n_repeats,
                   bench_rate *out) {
    double values[BENCH_MAX_REPEATS];
    ui_progress progress = ui_progress_begin(step == 1 ? "decode" : "prefill");
    tnn_error err;
    for (int64_t i = -1; i < n_repeats; i++) {
        double seconds;
        if (measure_once(q, depth, ids, n, step, &seconds, &err) != TNN_OK) return ui_fail(&err);
        if (ui_interrupted()) return ui_error(UI_FAILURE, "interrupted");
        if (i >= 0) values[i] = (double)n / seconds;
        ui_progress_update(&progress, i + 1, n_repeats, NULL);
    }
    ui_progress_end(&progress);
    *out = bench_rate_of(values, n_repeats);
    return UI_OK;
}

typedef struct report {
    bench_rate prefill, decode;
    tnn_probe before, after;
    /* A token through all layers: bytes of weights it reads, products and sums with quantised and with plain matrices.
     */
    double weight_bytes, quantized_ops, plain_ops;
    double head_bytes; /* the output, which prefill computes for the last token alone */
} report;

/* Of the embedding a token reads one row, unless it is the output too. */
static void count_work(const tnn_model *m, report *r) {
    const tnn_gguf *g = tnn_model_gguf(m);
    int64_t embedding = tnn_gguf_find_tensor(g, "token_embd.weight");
    int64_t head = tnn_model_hparams(m)->tied ? embedding : tnn_gguf_find_tensor(g, "output.weight");
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, i);
        if (i == head) {
            r->head_bytes = (double)t->n_bytes;
        } else if (i != embedding && t->n_dims > 1) {
            double ops = 2.0 * (double)t->ne[0] * (double)t->ne[1];
            r->weight_bytes += (double)t->n_bytes;
            *(tnn_type_get_info(t->type)->quantized ? &r->quantized_ops : &r->plain_ops) += ops;
        }
    }
}

double bench_better(double a, double b) {
    return a > b ? a : b;
}

/* Of the time a token takes, the part that its products would take at the measured peaks; attention is not counted. */
static double share_of_peak(const report *r) {
    double int8 = 1e9 * bench_better(r->before.int8_gops, r->after.int8_gops);
    double f32 = 1e9 * bench_better(r->before.f32_gflops, r->after.f32_gflops);
    return (r->quantized_ops / int8 + r->plain_ops / f32) * r->prefill.median;
}

/* The same of reading the weights; the cache is not counted. */
static double share_of_bandwidth(const report *r) {
    double bandwidth = 1e9 * bench_better(r->before.read_gbps, r->after.read_gbps);
    return (r->weight_bytes + r->head_bytes) * r->decode.median / bandwidth;
}

/* --- telling --- */

json_t *bench_rate_json(int64_t n, const bench_rate *r, const char *share_name, double share) {
    if (n == 0) return json_null();
    return json_pack("{s:I, s:{s:f, s:f, s:f}, s:f}", "tokens", (json_int_t)n, "tokens_per_second", "median", r->median,
                     "min", r->min, "max", r->max, share_name, share);
}

json_t *bench_probe_json(const tnn_probe *p) {
    return json_pack("{s:f, s:f, s:f}", "f32_gflops", p->f32_gflops, "int8_gops", p->int8_gops, "read_gbps",
                     p->read_gbps);
}

static int print_json(const bench_args *args, const engine *e, const report *r) {
    json_t *object = json_object();
    json_object_set_new(object, "architecture", json_string(tnn_model_hparams(e->model)->arch));
    json_object_set_new(object, "parameters", json_integer((json_int_t)tnn_model_n_params(e->model)));
    json_object_set_new(object, "weight_bytes_per_token", json_integer((json_int_t)(r->weight_bytes + r->head_bytes)));
    json_object_set_new(object, "threads", json_integer(tnn_session_threads(e->session)));
    json_object_set_new(object, "isa", json_string(tnn_isa_name(tnn_session_isa(e->session))));
    json_object_set_new(object, "repetitions", json_integer((json_int_t)args->n_repeats));
    json_object_set_new(object, "depth", json_integer((json_int_t)args->n_depth));
    json_object_set_new(object, "prefill",
                        bench_rate_json(args->n_prompt, &r->prefill, "share_of_peak", share_of_peak(r)));
    json_object_set_new(object, "decode",
                        bench_rate_json(args->n_gen, &r->decode, "share_of_bandwidth", share_of_bandwidth(r)));
    json_object_set_new(object, "probe_before", bench_probe_json(&r->before));
    json_object_set_new(object, "probe_after", bench_probe_json(&r->after));
    return json_print(object);
}

static void print_rate(const char *what, int64_t n, const bench_rate *r, double share, const char *of) {
    if (n == 0) return;
    printf("%-8s %6" PRId64 " tokens  %9.2f tok/s  (%.2f to %.2f)  %.0f%% of %s\n", what, n, r->median, r->min, r->max,
           100 * share, of);
}

void bench_print_probe(const char *when, const tnn_probe *p) {
    printf("machine %s: %.1f F32 GFLOP/s, %.1f int8 Gop/s, %.1f GB/s\n", when, p->f32_gflops, p->int8_gops,
           p->read_gbps);
}

static int print_report(const bench_args *args, const engine *e, const report *r) {
    char params[UI_NUMBER], bytes[UI_NUMBER];
    printf("%s, %s parameters, %s of weights a token, %d threads, %s\n", tnn_model_hparams(e->model)->arch,
           ui_count(params, (uint64_t)tnn_model_n_params(e->model)),
           ui_bytes(bytes, (uint64_t)(r->weight_bytes + r->head_bytes)), tnn_session_threads(e->session),
           tnn_isa_name(tnn_session_isa(e->session)));
    print_rate("prefill", args->n_prompt, &r->prefill, share_of_peak(r), "the arithmetic peak");
    print_rate("decode", args->n_gen, &r->decode, share_of_bandwidth(r), "the bandwidth");
    bench_print_probe("before", &r->before);
    bench_print_probe("after", &r->after);
    return UI_OK;
}

int bench_probe(tnn_session *s, tnn_probe *out) {
    tnn_error err;
    if (tnn_probe_machine(out, tnn_session_threads(s), tnn_session_isa(s), &err) == TNN_OK) return UI_OK;
    return ui_fail(&err);
}

typedef struct filling {
    ui_progress progress;
    int64_t depth;
} filling;

static bool on_fill_batch(void *ctx, int64_t pos, int64_t n, const float *logits) {
    filling *f = ctx;
    (void)logits;
    ui_progress_update(&f->progress, pos + n, f->depth, NULL);
    return !ui_interrupted();
}

static int fill(tnn_seq *q, const int32_t *ids, int64_t depth) {
    if (depth == 0) return UI_OK;
    filling f = {ui_progress_begin("depth"), depth};
    tnn_error err;
    if (tnn_seq_append(q, ids, depth, TNN_WANT_NONE, on_fill_batch, &f, &err) != TNN_OK) return ui_fail(&err);
    ui_progress_end(&f.progress);
    return UI_OK;
}

/* Prefill and decoding. */
static int measure_both(const bench_args *args, engine *e, const int32_t *ids, report *r) {
    int64_t depth = args->n_depth, n = args->n_prompt;
    int code = fill(e->seq, ids, depth);
    ids += depth;
    if (code == UI_OK && n) code = measure(e->seq, depth, ids, n, n, args->n_repeats, &r->prefill);
    if (code == UI_OK && args->n_gen) code = measure(e->seq, depth, ids, args->n_gen, 1, args->n_repeats, &r->decode);
    return code;
}

static int bench(const bench_args *args, engine *e, int64_t n_ids) {
    report r = {0};
    int32_t *ids = malloc((size_t)n_ids * sizeof *ids);
    if (!ids) return ui_error(UI_FAILURE, "out of memory");
    bench_fill_ids(ids, n_ids, tnn_model_hparams(e->model)->n_vocab);
    count_work(e->model, &r);
    int code = bench_probe(e->session, &r.before);
    if (code == UI_OK) code = measure_both(args, e, ids, &r);
    if (code == UI_OK) code = bench_probe(e->session, &r.after);
    free(ids);
    if (code != UI_OK) return code;
    return args->json ? print_json(args, e, &r) : print_report(args, e, &r);
}

static void init(void *p) {
    bench_args *args = p;
    args->n_prompt = 512;
    args->n_gen = args->n_depth = -1; /* not given: what training has no use for must not be */
    args->n_repeats = 5;
}

static int begin_training(bench_args *args) {
    const char *given = args->n_gen >= 0        ? "-n"
                        : args->n_depth >= 0    ? "-d"
                        : args->context.n_batch ? "-b"
                        : args->context.kv_type ? "--kv-type"
                                                : NULL;
    if (given)
        return ui_error(UI_USAGE, "%s does not go with --train: a step of training is -p tokens, no more", given);
    if (!args->lora_rank) args->lora_rank = 8;
    if (!args->dtype) args->dtype = "f32";
    return bench_train(args);
}

static void fill_defaults(bench_args *args) {
    context_args standard;
    context_args_init(&standard);
    if (args->n_gen < 0) args->n_gen = 128;
    if (args->n_depth < 0) args->n_depth = 0;
    if (!args->context.n_batch) args->context.n_batch = standard.n_batch;
    if (!args->context.kv_type) args->context.kv_type = standard.kv_type;
}

static int run(void *p) {
    bench_args *args = p;
    engine e = {0};
    if (!args->train && (args->lora_rank || args->dtype || args->grad_checkpoint || args->memory))
        return ui_error(UI_USAGE, "--lora-rank, --dtype, --grad-checkpoint and --memory are of training: add --train");
    if (args->train) return begin_training(args);
    fill_defaults(args);
    int64_t n_ids = args->n_prompt > args->n_gen ? args->n_prompt : args->n_gen;
    if (n_ids == 0) return ui_error(UI_USAGE, "-p 0 and -n 0 leave nothing to measure");
    n_ids += args->n_depth;
    args->context.n_ctx = n_ids;
    int code = context_check(&args->context);
    if (code == UI_OK) code = open_engine(&e, &args->file, &args->compute, NULL);
    if (code == UI_OK) code = open_seq(&e, &args->context, NULL);
    if (code == UI_OK) code = bench(args, &e, n_ids);
    close_engine(&e);
    return code;
}

const verb verb_bench = {
    .name = "bench",
    .summary = "how fast a model runs here",
    .description =
        "Measures prefill of -p tokens and decoding of -n tokens, -r times each, behind -d tokens, after a "
        "round that does not count. Tells the median, the slowest and the fastest; of the time, the part that the "
        "products of prefill would take at the machine's arithmetic peak, and that reading the weights for decoding "
        "would take at its bandwidth. Both are measured here, before and after; where these two differ much, something "
        "else was running. With --train, steps of -p tokens on ids that mean nothing are measured instead, in a batch "
        "of "
        "one sequence: forward, gradients, update.",
    .positionals = {{"MODEL", offsetof(bench_args, file.model), false}},
    .groups = {{verb_options, 0},
               {compute_options, offsetof(bench_args, compute)},
               {file_options, offsetof(bench_args, file)}},
    .args_size = sizeof(bench_args),
    .init = init,
    .run = run,
    .hears_interrupts = true,
};
