/* `tnn eval --data`: how well a model predicts the answers of a data set. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "eval.h"
#include "json.h"
#include "ui.h"

typedef struct scoring {
    ui_progress progress;
    taps *taps;
    int tap_code;
} scoring;

static bool on_batch(void *ctx, const tnn_evaluation *so_far) {
    scoring *s = ctx;
    char detail[64];
    snprintf(detail, sizeof detail, "loss %.4f", so_far->loss);
    ui_progress_update(&s->progress, so_far->n_sequences, so_far->of_sequences, detail);
    return !ui_interrupted();
}

static bool on_tap(void *ctx, const char *name, const float *rows, int64_t n_features, int64_t n_rows) {
    scoring *s = ctx;
    s->tap_code = taps_add(s->taps, name, rows, n_features, n_rows);
    return s->tap_code == UI_OK;
}

int eval_data_find(const char *data, char path[EVAL_PATH]) {
    static const char *const splits[] = {"/test.jsonl", "/valid.jsonl"};
    struct stat st;
    if (stat(data, &st) != 0) return ui_error(UI_USAGE, "%s: %s", data, strerror(errno));
    bool folder = S_ISDIR(st.st_mode);
    for (int i = 0; i < (folder ? 2 : 1); i++) {
        int n = snprintf(path, EVAL_PATH, "%s%s", data, folder ? splits[i] : "");
        if (n < 0 || n >= EVAL_PATH) return ui_error(UI_USAGE, "--data: the path is too long");
        if (access(path, F_OK) == 0) return UI_OK;
    }
    return ui_error(UI_USAGE, "%s has neither test.jsonl nor valid.jsonl; name a .jsonl file", data);
}

/* Rows of text need no chat template; rows of messages will say that it is missing. */
static int open_data(const eval_args *args, const engine *e, const char *path, tnn_dataset **out) {
    const tnn_tokenizer *tokenizer = tnn_model_tokenizer(e->model);
    tnn_dataset_options options = tnn_dataset_options_default();
    options.max_length = args->context.n_ctx;
    options.train_prompt = args->no_mask_prompt;
    options.system = args->system && *args->system ? args->system : NULL;
    tnn_chat_template *chat = NULL;
    tnn_error err;
    if (!tokenizer) return ui_error(UI_USAGE, "this file has no tokenizer, which rows of text and messages need");
    tnn_status status = tnn_chat_template_new(&chat, tnn_model_gguf(e->model), args->chat_template, NULL, &err);
    if (status != TNN_OK && (args->chat_template || status == TNN_E_NOMEM)) return ui_fail(&err);
    status = tnn_dataset_open_jsonl(out, path, tokenizer, chat, &options, NULL, &err);
    tnn_chat_template_free(chat);
    return status == TNN_OK ? UI_OK : ui_fail(&err);
}

static void note_rows(const tnn_dataset_stats *d, int64_t max_length) {
    if (d->n_cut > 0)
        ui_note("%" PRId64 " of %" PRId64 " rows were longer than %" PRId64 " tokens and lost their end", d->n_cut,
                d->n_rows, max_length);
    if (d->n_skipped > 0)
        ui_note("%" PRId64 " of %" PRId64 " rows have nothing to score and are left out", d->n_skipped, d->n_rows);
    if (d->n_tools > 0)
        ui_note("%" PRId64 " of %" PRId64
                " rows have tools or tool_calls, which are left out: no chat format writes them",
                d->n_tools, d->n_rows);
}

static int print_result(const eval_args *args, const char *path, const tnn_dataset_stats *d, const tnn_evaluation *r,
                        const taps *t, double seconds) {
    if (args->json)
        return json_print(json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:o}", "file",
                                    json_text(path, strlen(path)), "loss", json_number(r->loss), "ppl",
                                    json_number(r->ppl), "accuracy", json_number(r->accuracy), "scored",
                                    (json_int_t)r->n_scored, "tokens", (json_int_t)d->n_tokens, "sequences",
                                    (json_int_t)d->n_sequences, "rows", (json_int_t)d->n_rows, "cut",
                                    (json_int_t)d->n_cut, "skipped", (json_int_t)d->n_skipped, "tools_left_out",
                                    (json_int_t)d->n_tools, "max_seq_length", (json_int_t)args->context.n_ctx,
                                    "seconds", seconds, "taps", taps_json(t)));
    printf("loss %.4f, ppl %.4f, accuracy %.1f%% (%" PRId64 " of %" PRId64 " tokens scored in %" PRId64
           " sequences of %s, %.1f s)\n",
           r->loss, r->ppl, 100 * r->accuracy, r->n_scored, d->n_tokens, d->n_sequences, path, seconds);
    taps_print(t);
    return UI_OK;
}

static int score(const eval_args *args, const engine *e, const char *path, const tnn_dataset *data, taps *t) {
    scoring s = {ui_progress_begin("sequences"), t, UI_OK};
    tnn_evaluate_options options = {args->context.n_batch, t->globs, on_batch, on_tap, &s};
    tnn_dataset_stats stats = tnn_dataset_get_stats(data);
    tnn_evaluation result;
    tnn_error err;
    double start = ui_seconds();
    note_rows(&stats, args->context.n_ctx);
    tnn_status status = tnn_evaluate(&result, e->model, data, &options, &err);
    ui_progress_end(&s.progress);
    if (s.tap_code != UI_OK) return s.tap_code;
    if (status != TNN_OK) return ui_fail(&err);
    int code = taps_write(t, &args->taps);
    return code == UI_OK ? print_result(args, path, &stats, &result, t, ui_seconds() - start) : code;
}

int eval_data(const eval_args *args, const char *path, engine *e, taps *t) {
    tnn_dataset *data = NULL;
    int code = open_data(args, e, path, &data);
    if (code == UI_OK) code = score(args, e, path, data, t);
    tnn_dataset_free(data);
    return code;
}
