/* `tnn merge`: a model and its adapters into one file, and what that costs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/merge.h>

#include "input.h"
#include "json.h"
#include "models.h"
#include "open.h"
#include "ui.h"
#include "verbs.h"

typedef struct merge_args {
    file_args file;
    compute_args compute;
    adapter_args adapters;
    const char *out, *type, *text;
    int64_t n_ctx, n_chunks;
    bool json;
} merge_args;

static const arg_option verb_options[] = {
    {"-o, --output", ARG_TEXT, offsetof(merge_args, out), "FILE", 0, 0, NULL, "the merged model"},
    {"--type", ARG_TEXT, offsetof(merge_args, type), "TYPE", 0, 0, "the types of MODEL",
     "type of the matrices, as of tnn quantize: F16, Q8_0, Q4_K_M, ..."},
    {"--text, -f", ARG_TEXT, offsetof(merge_args, text), "FILE", 0, 0, NULL,
     "compare the merged model with MODEL and adapters over this text: KL divergence and perplexity"},
    {"-c, --ctx-size", ARG_INT, offsetof(merge_args, n_ctx), "N", 2, 1 << 20, NULL, "tokens of a window of --text"},
    {"--chunks", ARG_INT, offsetof(merge_args, n_chunks), "N", -1, INT32_MAX, "all", "windows of --text, at most"},
    {"--json", ARG_FLAG, offsetof(merge_args, json), NULL, 0, 0, NULL,
     "one JSON object: out, bytes, merged, and of --text kl, kl_max, ppl, ref_ppl, same_top"},
    {0},
};

/* --- comparing --- */

static bool on_window(void *ctx, const tnn_comparison *so_far) {
    ui_progress_update(ctx, so_far->n_windows, so_far->of_windows, NULL);
    return !ui_interrupted();
}

static int open_for_text(const merge_args *args, engine *e) {
    context_args context = {.n_ctx = args->n_ctx, .n_batch = 64, .kv_type = "F32"};
    return open_seq(e, &context, NULL);
}

static int compare(const merge_args *args, engine *base, const tnn_ids *ids, tnn_comparison *c) {
    engine merged = {0};
    file_args file = {.model = args->out};
    tnn_error err;
    int code = open_engine(&merged, &file, &args->compute, NULL);
    if (code == UI_OK) code = open_for_text(args, base);
    if (code == UI_OK) code = open_for_text(args, &merged);
    if (code == UI_OK) {
        ui_progress progress = ui_progress_begin("windows");
        tnn_status status = tnn_compare(c, base->seq, merged.seq, ids->data, (int64_t)ids->n, args->n_ctx,
                                        args->n_chunks < 0 ? 0 : args->n_chunks, on_window, &progress, &err);
        ui_progress_end(&progress);
        if (status != TNN_OK) code = ui_fail(&err);
    }
    close_engine(&merged);
    return code;
}

/* --- merging --- */

static bool on_step(void *ctx, const tnn_quantize_step *step) {
    ui_progress_update(ctx, (int64_t)(step->bytes_done >> 20), (int64_t)(step->bytes_total >> 20),
                       step->tensor->name.data);
    return !ui_interrupted();
}

static int merge(const merge_args *args, const engine *e, int32_t type, tnn_quantize_result *result) {
    ui_progress progress = ui_progress_begin("MiB");
    tnn_quantize_options options = tnn_quantize_options_default();
    tnn_error err;
    options.n_threads = thread_count(args->compute.n_threads);
    options.on_step = on_step;
    options.ctx = &progress;
    tnn_status status = tnn_merge_file(e->model, args->out, type, &options, result, &err);
    ui_progress_end(&progress);
    if (status == TNN_E_IO) return ui_error(UI_FAILURE, "%s", err.text);
    return status == TNN_OK ? UI_OK : ui_fail(&err);
}

static int print_result(const merge_args *args, const tnn_quantize_result *r, const tnn_comparison *c) {
    if (args->json) {
        json_t *object =
            json_pack("{s:o, s:I, s:I, s:I}", "out", json_path(args->out), "bytes", (json_int_t)r->bytes_out, "merged",
                      (json_int_t)r->n_converted, "copied", (json_int_t)r->n_copied);
        if (args->text) {
            json_object_set_new(object, "kl", json_number(c->kl));
            json_object_set_new(object, "kl_max", json_number(c->kl_max));
            json_object_set_new(object, "ppl", json_number(c->ppl));
            json_object_set_new(object, "ref_ppl", json_number(c->ref_ppl));
            json_object_set_new(object, "same_top", json_number(c->same_top));
            json_object_set_new(object, "scored", json_integer(c->n_scored));
        }
        return json_print(object);
    }
    char bytes[UI_NUMBER];
    printf("%s: %lld tensors written anew, %lld copied, %s\n", args->out, (long long)r->n_converted,
           (long long)r->n_copied, ui_bytes(bytes, r->bytes_out));
    if (args->text)
        printf("against model + adapter over %lld tokens: KL %.3g (at most %.3g), perplexity %.4f (was %.4f), same "
               "likeliest token %.2f%%\n",
               (long long)c->n_scored, c->kl, c->kl_max, c->ppl, c->ref_ppl, 100 * c->same_top);
    return UI_OK;
}

static int check_args(const merge_args *args, int32_t *type) {
    if (!args->out) return ui_error(UI_USAGE, "-o FILE is missing: where the merged model goes");
    if (args->adapters.lora.n == 0) return ui_error(UI_USAGE, "--lora FILE is missing: what is to be merged");
    *type = args->type ? tnn_file_type_from_name(args->type) : -1;
    if (args->type && *type < 0)
        return ui_error(UI_USAGE, "--type: '%s' is no type that can be written (see tnn help quantize)", args->type);
    int code = check_output(args->out);
    if (code == UI_OK) code = check_adapters(&args->adapters);
    if (code == UI_OK && args->text) code = input_check_file(args->text);
    if (code == UI_OK && args->text) code = check_not_input(args->out, args->text);
    return code;
}

/* The text to compare over: what is wrong with it is told before anything is written. */
static int read_text(const merge_args *args, const engine *e, tnn_ids *ids) {
    prompt_args prompt = {.file = args->text};
    if (!args->text) return UI_OK;
    int code = input_prompt(&prompt, tnn_model_tokenizer(e->model), tnn_model_hparams(e->model)->n_vocab, ids);
    if (code == UI_OK && (int64_t)ids->n < args->n_ctx)
        code = ui_error(UI_USAGE, "%s has %zu tokens, less than one window of %lld; give a smaller -c", args->text,
                        ids->n, (long long)args->n_ctx);
    return code;
}

static void init(void *p) {
    merge_args *args = p;
    args->n_ctx = 512;
    args->n_chunks = -1;
}

static int run(void *p) {
    const merge_args *args = p;
    engine e = {0};
    int32_t type = -1;
    tnn_quantize_result result = {0};
    tnn_comparison comparison = {0};
    tnn_ids ids = {0};
    int code = check_args(args, &type);
    if (code == UI_OK) code = check_not_read(args->out, &args->file, &args->adapters);
    if (code == UI_OK) code = open_engine(&e, &args->file, &args->compute, &args->adapters);
    if (code == UI_OK) code = read_text(args, &e, &ids);
    if (code == UI_OK) code = merge(args, &e, type, &result);
    if (code == UI_OK && args->text) code = compare(args, &e, &ids, &comparison);
    if (code == UI_OK) code = print_result(args, &result, &comparison);
    tnn_ids_free(&ids);
    close_engine(&e);
    return code;
}

const verb verb_merge = {
    .name = "merge",
    .summary = "a model and its adapters in one file",
    .description =
        "Writes MODEL with the adapters of --lora added into its weights, in the types of MODEL or in --type. A type "
        "of few bits rounds the sum: --text tells what that changes, as the KL divergence of the merged model's "
        "predictions from those of MODEL and adapters, and the perplexity of both.",
    .positionals = {{"MODEL", offsetof(merge_args, file.model), false}},
    .groups = {{adapter_options, offsetof(merge_args, adapters)},
               {verb_options, 0},
               {compute_options, offsetof(merge_args, compute)},
               {file_options, offsetof(merge_args, file)}},
    .args_size = sizeof(merge_args),
    .init = init,
    .run = run,
    .hears_interrupts = true,
};
