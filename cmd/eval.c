/* `tnn eval`: how well a model predicts a text. Answers of a data set are eval_data.c's. */
#include <inttypes.h>
#include <stdio.h>

#include "eval.h"
#include "input.h"
#include "json.h"
#include "ui.h"
#include "verbs.h"

static const arg_option verb_options[] = {
    {"--text, -f, --file", ARG_TEXT, offsetof(eval_args, text), "FILE", 0, 0, NULL, "the text; - is standard input"},
    {"--data", ARG_TEXT, offsetof(eval_args, data), "DIR", 0, 0, NULL,
     "instead of a text: a folder, of which test.jsonl is taken, or else valid.jsonl; or a .jsonl file"},
    {"-c, --ctx-size, --max-seq-length", ARG_INT, offsetof(eval_args, context.n_ctx), "N", 4, 1 << 24,
     "512; 2048 with --data",
     "tokens of a window, the second half of which is scored; of data, tokens of a row at most"},
    {"-b, --batch-size", ARG_INT, offsetof(eval_args, context.n_batch), "N", 1, 65536,
     "half a window; 1024 with --data", "tokens computed at once"},
    {"--chunks", ARG_INT, offsetof(eval_args, n_chunks), "N", -1, INT32_MAX, "all", "text: windows, at most"},
    {"--kv-type, --cache-type", ARG_TEXT, offsetof(eval_args, context.kv_type), "TYPE", 0, 0, "F16",
     "text: type of the KV cache: f32, f16, bf16 or q8_0"},
    {"--no-bos", ARG_FLAG, offsetof(eval_args, no_bos), NULL, 0, 0, NULL,
     "text: no BOS in front of each window; without this, there is one if the model is used to it"},
    {"--no-special", ARG_FLAG, offsetof(eval_args, no_special), NULL, 0, 0, NULL,
     "text: take special tokens in it, such as <|im_end|>, for plain text"},
    {"--mask-prompt", ARG_FLAG, offsetof(eval_args, mask_prompt), NULL, 0, 0, "on", "data: score the answers alone"},
    {"--no-mask-prompt", ARG_FLAG, offsetof(eval_args, no_mask_prompt), NULL, 0, 0, NULL, "data: score every token"},
    {"--chat-template", ARG_TEXT, offsetof(eval_args, chat_template), "NAME", 0, 0, "the model's own",
     "data: name of the chat template"},
    {"--system", ARG_TEXT, offsetof(eval_args, system), "TEXT", 0, 0, NULL,
     "data: system message of rows that have none"},
    {"--json", ARG_FLAG, offsetof(eval_args, json), NULL, 0, 0, NULL,
     "one JSON object; of a text: ppl, ppl_error, nll, tokens, scored, windows, n_ctx, seconds, taps; of data: file, "
     "loss, ppl, accuracy, scored, tokens, sequences, rows, cut, skipped, tools_left_out, max_seq_length, seconds, "
     "taps"},
    {0},
};

typedef struct watch {
    ui_progress progress;
    taps taps;
    int tap_code;
} watch;

static bool on_window(void *ctx, const tnn_perplexity_result *so_far) {
    watch *w = ctx;
    char detail[64];
    snprintf(detail, sizeof detail, "ppl %.4f", so_far->ppl);
    ui_progress_update(&w->progress, so_far->n_windows, so_far->of_windows, detail);
    return !ui_interrupted();
}

static bool on_batch(void *ctx, tnn_seq *q, int64_t pos, int64_t n) {
    watch *w = ctx;
    (void)pos;
    (void)n;
    w->tap_code = taps_collect(&w->taps, q);
    return w->tap_code == UI_OK && !ui_interrupted();
}

static int read_ids(const eval_args *args, const engine *e, tnn_ids *ids) {
    prompt_args prompt = {.file = args->text, .no_bos = args->no_bos, .no_special = args->no_special};
    return input_prompt(&prompt, tnn_model_tokenizer(e->model), tnn_model_hparams(e->model)->n_vocab, ids);
}

static int print_result(const eval_args *args, const watch *w, const tnn_perplexity_result *r, size_t n_ids,
                        double seconds) {
    if (args->json)
        return json_print(json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:f, s:o}", "ppl", json_number(r->ppl),
                                    "ppl_error", json_number(r->ppl_error), "nll", json_number(r->nll), "tokens",
                                    (json_int_t)n_ids, "scored", (json_int_t)r->n_scored, "windows",
                                    (json_int_t)r->n_windows, "n_ctx", (json_int_t)args->context.n_ctx, "seconds",
                                    seconds, "taps", taps_json(&w->taps)));
    printf("ppl %.4f +- %.4f (%" PRId64 " tokens scored in %" PRId64 " windows of %" PRId64 ", %.1f s)\n", r->ppl,
           r->ppl_error, r->n_scored, r->n_windows, args->context.n_ctx, seconds);
    taps_print(&w->taps);
    return UI_OK;
}

static int measure(const eval_args *args, engine *e, const tnn_ids *ids, watch *w) {
    const tnn_tokenizer *tokenizer = tnn_model_tokenizer(e->model);
    tnn_perplexity_options options = tnn_perplexity_options_default();
    tnn_perplexity_result result;
    tnn_error err;
    options.n_ctx = args->context.n_ctx;
    options.n_windows = args->n_chunks < 0 ? 0 : args->n_chunks;
    options.n_threads = tnn_session_threads(e->session);
    if (!args->no_bos && tnn_tokenizer_add_bos(tokenizer))
        options.bos = tnn_tokenizer_special(tokenizer, TNN_SPECIAL_BOS);
    options.on_window = on_window;
    options.on_batch = on_batch;
    options.ctx = w;
    w->progress = ui_progress_begin("windows");
    double start = ui_seconds();
    tnn_status status = tnn_perplexity(&result, e->seq, ids->data, (int64_t)ids->n, &options, &err);
    ui_progress_end(&w->progress);
    if (w->tap_code != UI_OK) return w->tap_code;
    if (status != TNN_OK) return ui_fail(&err);
    int code = taps_write(&w->taps, &args->taps);
    return code == UI_OK ? print_result(args, w, &result, ids->n, ui_seconds() - start) : code;
}

/* Each of the two ways has options of its own. */
static int check_way(const eval_args *args) {
    if (!args->text && !args->data)
        return ui_error(UI_USAGE, "--text FILE is missing: what the model is to predict; or --data DIR");
    if (args->text && args->data) return ui_error(UI_USAGE, "--text and --data exclude each other");
    const char *of_data = args->mask_prompt      ? "--mask-prompt"
                          : args->no_mask_prompt ? "--no-mask-prompt"
                          : args->chat_template  ? "--chat-template"
                          : args->system         ? "--system"
                                                 : NULL;
    const char *of_text = args->n_chunks          ? "--chunks"
                          : args->context.kv_type ? "--kv-type"
                          : args->no_bos          ? "--no-bos"
                          : args->no_special      ? "--no-special"
                                                  : NULL;
    if (args->text && of_data) return ui_error(UI_USAGE, "%s is for --data, not for a text", of_data);
    if (args->data && of_text) return ui_error(UI_USAGE, "%s is for a text, not for --data", of_text);
    if (args->mask_prompt && args->no_mask_prompt)
        return ui_error(UI_USAGE, "--mask-prompt and --no-mask-prompt exclude each other");
    return UI_OK;
}

/* What can be told before a model is opened; path gets the file of data. */
static int check_args(const eval_args *args, char path[EVAL_PATH]) {
    int code = check_way(args);
    if (code == UI_OK) code = args->data ? eval_data_find(args->data, path) : input_check_file(args->text);
    if (code == UI_OK) code = args->data ? check_chat_template(args->chat_template) : context_check(&args->context);
    if (code == UI_OK) code = check_adapters(&args->adapters);
    if (code == UI_OK) code = check_not_read(args->taps.out, &args->file, &args->adapters);
    if (code == UI_OK && args->taps.out) code = check_not_input(args->taps.out, args->data ? path : args->text);
    return code;
}

static void fill_defaults(eval_args *args) {
    context_args *c = &args->context;
    if (c->n_ctx == 0) c->n_ctx = args->data ? tnn_dataset_options_default().max_length : 512;
    if (args->data) return;
    context_args standard;
    context_args_init(&standard);
    if (!c->kv_type) c->kv_type = standard.kv_type;
    if (c->n_batch == 0) c->n_batch = c->n_ctx / 2 < 1024 ? c->n_ctx / 2 : 512;
}

static int eval_text(const eval_args *args, engine *e, watch *w) {
    tnn_ids ids = {0};
    int code = read_ids(args, e, &ids);
    if (code == UI_OK) code = open_seq(e, &args->context, w->taps.globs);
    if (code == UI_OK) code = measure(args, e, &ids, w);
    tnn_ids_free(&ids);
    return code;
}

static int run(void *p) {
    eval_args *args = p;
    engine e = {0};
    watch w = {0};
    char path[EVAL_PATH];
    fill_defaults(args);
    int code = taps_begin(&w.taps, &args->taps);
    if (code == UI_OK) code = check_args(args, path);
    if (code == UI_OK) code = open_engine(&e, &args->file, &args->compute, &args->adapters);
    if (code == UI_OK) code = args->data ? eval_data(args, path, &e, &w.taps) : eval_text(args, &e, &w);
    taps_end(&w.taps);
    close_engine(&e);
    return code;
}

const verb verb_eval = {
    .name = "eval",
    .summary = "how well a model predicts a text, or the answers of a data set",
    .description =
        "Measures perplexity as llama-perplexity does: the text is cut into windows of -c tokens that do not "
        "overlap, each is computed by itself, and the second half of each is scored. The number after +- is "
        "the standard error. With --data, the loss of the answers of a data set, as tnn train tells it of a "
        "validation: "
        "the same rows, templates and tokens under loss; its perplexity; and the share of these tokens that the model "
        "holds most likely.",
    .positionals = {{"MODEL", offsetof(eval_args, file.model), false}},
    .groups = {{verb_options, 0},
               {tap_options, offsetof(eval_args, taps)},
               {adapter_options, offsetof(eval_args, adapters)},
               {compute_options, offsetof(eval_args, compute)},
               {file_options, offsetof(eval_args, file)}},
    .args_size = sizeof(eval_args),
    .run = run,
    .hears_interrupts = true,
};
