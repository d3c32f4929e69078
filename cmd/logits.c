/* `tnn logits`: every row of logits of a prompt, for other programs to compare with. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <tinynn/output_file.h>

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
    tnn_output_file *whole; /* an ordinary file, replaced when all rows are there; NULL: */
    FILE *stream;           /* standard output, a device or a pipe */
    int64_t n_vocab, n_rows, total;
    bool failed; /* to write, for this reason: */
    tnn_error why;
    int tap_code;
    taps taps;
    const tnn_seq *seq;
    ui_progress progress;
} sink;

static void write_values(sink *s, const float *values, size_t n) {
    if (s->whole) {
        s->failed = tnn_output_file_write(s->whole, values, n * sizeof *values, &s->why) != TNN_OK;
    } else if (fwrite(values, sizeof *values, n, s->stream) != n) {
        s->failed = true;
        snprintf(s->why.text, sizeof s->why.text, "%s", strerror(errno ? errno : EIO));
    }
}

static bool on_batch(void *ctx, int64_t pos, int64_t n, const float *logits) {
    sink *s = ctx;
    write_values(s, logits, (size_t)n * (size_t)s->n_vocab);
    s->tap_code = taps_collect(&s->taps, s->seq);
    s->n_rows = pos + n;
    ui_progress_update(&s->progress, s->n_rows, s->total, NULL);
    return !s->failed && s->tap_code == UI_OK && !ui_interrupted();
}

static int compute(engine *e, const tnn_ids *ids, sink *s) {
    tnn_error err;
    s->progress = ui_progress_begin("tokens");
    tnn_status status = tnn_seq_append(e->seq, ids->data, (int64_t)ids->n, TNN_WANT_ALL, on_batch, s, &err);
    ui_progress_end(&s->progress);
    if (s->failed) return UI_FAILURE; /* told where the sink is closed */
    if (s->tap_code != UI_OK) return s->tap_code;
    return status == TNN_OK ? UI_OK : ui_fail(&err);
}

static bool is_standard(const char *out) {
    return strcmp(out, "-") == 0;
}

static bool is_whole(const char *out) {
    struct stat st;
    return !is_standard(out) && (stat(out, &st) != 0 || S_ISREG(st.st_mode));
}

static int open_sink(sink *s, const char *out) {
    uint64_t n_bytes = (uint64_t)s->total * (uint64_t)s->n_vocab * sizeof(float);
    if (is_whole(out)) {
        if (tnn_output_file_open(&s->whole, out, n_bytes, &s->why) == TNN_OK) return UI_OK;
        return ui_error(UI_FAILURE, "%s", s->why.text);
    }
    s->stream = is_standard(out) ? stdout : fopen(out, "wb");
    return s->stream ? UI_OK : ui_error(UI_USAGE, "%s: %s", out, strerror(errno));
}

static int close_sink(sink *s, const char *out, int code) {
    if (s->whole && code == UI_OK) {
        s->failed = tnn_output_file_finish(s->whole, &s->why) != TNN_OK;
    } else {
        tnn_output_file_abort(s->whole);
    }
    if (s->whole) return s->failed ? ui_error(UI_FAILURE, "%s", s->why.text) : code;
    if (s->stream == stdout) return s->failed ? UI_FAILURE : code; /* ui_finish tells it */
    if (fclose(s->stream) != 0 && !s->failed) {
        s->failed = true;
        snprintf(s->why.text, sizeof s->why.text, "%s", strerror(errno));
    }
    return s->failed ? ui_error(UI_FAILURE, "%s: %s", out, s->why.text) : code;
}

static int write_rows(const logits_args *args, engine *e, const tnn_ids *ids, sink *s) {
    s->seq = e->seq;
    s->n_vocab = tnn_model_hparams(e->model)->n_vocab;
    s->total = (int64_t)ids->n;
    int code = open_sink(s, args->out);
    if (code != UI_OK) return code;
    code = compute(e, ids, s);
    if (code == UI_OK) code = taps_write(&s->taps, &args->taps);
    code = close_sink(s, args->out, code);
    if (code != UI_OK || s->stream == stdout) return code;
    if (args->json)
        return json_print(json_pack("{s:o, s:I, s:I, s:I, s:o, s:o}", "out", json_path(args->out), "n_vocab",
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
    int code = input_check(&args->prompt);
    if (code == UI_OK) code = context_check(&args->context);
    if (code == UI_OK) code = check_adapters(&args->adapters);
    if (code == UI_OK) code = check_not_read(args->taps.out, &args->file, &args->adapters);
    if (is_standard(args->out))
        return args->json ? ui_error(UI_USAGE, "-o - and --json exclude each other: one thing on stdout") : code;
    if (code == UI_OK && is_whole(args->out)) code = check_output(args->out);
    if (code == UI_OK) code = check_not_read(args->out, &args->file, &args->adapters);
    if (code == UI_OK && args->prompt.file) code = check_not_input(args->out, args->prompt.file);
    return code == UI_OK && args->taps.out ? check_apart(args->taps.out, args->out) : code;
}

static int run(void *p) {
    logits_args *args = p;
    engine e = {0};
    tnn_ids ids = {0};
    sink s = {0};
    int code = check_args(args);
    if (code == UI_OK) code = taps_begin(&s.taps, &args->taps);
    if (code == UI_OK && args->taps.out && args->prompt.file) code = check_not_input(args->taps.out, args->prompt.file);
    if (code == UI_OK) code = open_engine(&e, &args->file, &args->compute, &args->adapters);
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
