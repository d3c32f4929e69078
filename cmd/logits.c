/* `tnn logits`: every row of logits of a prompt, for other programs to compare with. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "input.h"
#include "json.h"
#include "open.h"
#include "taps.h"
#include "ui.h"
#include "verbs.h"

typedef struct logits_args {
    file_args file;
    compute_args compute;
    adapter_args adapters;
    prompt_args prompt;
    tap_args taps;
    context_args context;
    const char *out;
    bool json;
} logits_args;

static const arg_option verb_options[] = {
    {"-o, --output", ARG_TEXT, offsetof(logits_args, out), "FILE", 0, 0, NULL,
     "where the rows go: little-endian F32, n_vocab a row, one row a token; - is standard output"},
    {"-b, --batch-size", ARG_INT, offsetof(logits_args, context.n_batch), "N", 1, 65536, NULL,
     "tokens computed at once"},
    {"--kv-type, --cache-type", ARG_TEXT, offsetof(logits_args, context.kv_type), "TYPE", 0, 0, NULL,
     "type of the KV cache: f32, f16, bf16 or q8_0"},
    {"--json", ARG_FLAG, offsetof(logits_args, json), NULL, 0, 0, NULL, "one JSON object: ids, n_vocab, rows, bytes"},
    {0},
};

typedef struct sink {
    FILE *file;
    int64_t n_vocab, n_rows, total;
    int failed; /* errno of the write that failed */
    int tap_code;
    taps taps;
    const tnn_seq *seq;
    ui_progress progress;
} sink;

static bool on_batch(void *ctx, int64_t pos, int64_t n, const float *logits) {
    sink *s = ctx;
    size_t values = (size_t)n * (size_t)s->n_vocab;
    if (fwrite(logits, sizeof *logits, values, s->file) != values) s->failed = errno ? errno : EIO;
    s->tap_code = taps_collect(&s->taps, s->seq);
    s->n_rows = pos + n;
    ui_progress_update(&s->progress, s->n_rows, s->total, NULL);
    return !s->failed && s->tap_code == UI_OK && !ui_interrupted();
}

static int compute(const logits_args *args, engine *e, const tnn_ids *ids, sink *s) {
    tnn_error err;
    s->seq = e->seq;
    s->n_vocab = tnn_model_hparams(e->model)->n_vocab;
    s->total = (int64_t)ids->n;
    s->progress = ui_progress_begin("tokens");
    tnn_status status = tnn_seq_append(e->seq, ids->data, (int64_t)ids->n, TNN_WANT_ALL, on_batch, s, &err);
    ui_progress_end(&s->progress);
    if (s->file != stdout && fclose(s->file) != 0 && !s->failed) s->failed = errno;
    if (s->failed) return ui_error(UI_FAILURE, "%s: %s", args->out, strerror(s->failed));
    if (s->tap_code != UI_OK) return s->tap_code;
    return status == TNN_OK ? UI_OK : ui_fail(&err);
}

static int write_rows(const logits_args *args, engine *e, const tnn_ids *ids, sink *s) {
    bool standard = strcmp(args->out, "-") == 0;
    s->file = standard ? stdout : fopen(args->out, "wb");
    if (!s->file) return ui_error(UI_FAILURE, "%s: %s", args->out, strerror(errno));
    struct stat st;
    bool regular = !standard && fstat(fileno(s->file), &st) == 0 && S_ISREG(st.st_mode);
    int code = compute(args, e, ids, s);
    if (code != UI_OK && regular) unlink(args->out); /* not a device or a pipe */
    if (code == UI_OK) code = taps_write(&s->taps, &args->taps);
    if (code != UI_OK || standard) return code;
    if (args->json)
        return json_print(json_pack("{s:s, s:I, s:I, s:I, s:o, s:o}", "out", args->out, "n_vocab",
                                    (json_int_t)s->n_vocab, "rows", (json_int_t)s->n_rows, "bytes",
                                    (json_int_t)s->n_rows * s->n_vocab * 4, "ids", json_ids(ids->data, ids->n), "taps",
                                    taps_json(&s->taps)));
    taps_print(&s->taps);
    return UI_OK;
}

static void init(void *p) {
    logits_args *args = p;
    context_args_init(&args->context);
    args->context.kv_type = "F32";
}

static int check_args(const logits_args *args) {
    if (!args->out) return ui_error(UI_USAGE, "-o FILE is missing: where the rows go");
    int code = context_check(&args->context);
    if (strcmp(args->out, "-") == 0)
        return args->json ? ui_error(UI_USAGE, "-o - and --json exclude each other: one thing on stdout") : code;
    if (code == UI_OK) code = check_parent(args->out);
    return code == UI_OK ? check_not_model(args->out, &args->file) : code;
}

static int run(void *p) {
    logits_args *args = p;
    engine e = {0};
    tnn_ids ids = {0};
    sink s = {0};
    int code = check_args(args);
    if (code == UI_OK) code = taps_begin(&s.taps, &args->taps);
    if (code == UI_OK && args->taps.out) code = check_not_model(args->taps.out, &args->file);
    if (code == UI_OK) code = open_engine(&e, &args->file, &args->compute);
    if (code == UI_OK) code = open_adapters(&e, &args->adapters, args->out);
    if (code == UI_OK)
        code = input_prompt(&args->prompt, tnn_model_tokenizer(e.model), tnn_model_hparams(e.model)->n_vocab, &ids);
    if (code == UI_OK && ids.n == 0) code = ui_error(UI_USAGE, "the prompt is empty; give at least one token");
    args->context.n_ctx = (int64_t)ids.n;
    if (code == UI_OK) code = open_seq(&e, &args->context, s.taps.globs);
    if (code == UI_OK) code = write_rows(args, &e, &ids, &s);
    taps_end(&s.taps);
    tnn_ids_free(&ids);
    close_engine(&e);
    return code;
}

const verb verb_logits = {
    .name = "logits",
    .summary = "the logits of every token of a prompt, into a file",
    .description = "Computes a prompt and writes the logits after each of its tokens to a file.",
    .positionals = {{"MODEL", offsetof(logits_args, file.model), false}},
    .groups = {{prompt_options, offsetof(logits_args, prompt)},
               {verb_options, 0},
               {tap_options, offsetof(logits_args, taps)},
               {adapter_options, offsetof(logits_args, adapters)},
               {compute_options, offsetof(logits_args, compute)},
               {file_options, offsetof(logits_args, file)}},
    .args_size = sizeof(logits_args),
    .init = init,
    .run = run,
    .hears_interrupts = true,
};
