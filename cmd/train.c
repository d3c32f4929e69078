/* `tnn train`: a run of a recipe, from its flags or taken up again from its folder. */
#define _XOPEN_SOURCE 700 /* realpath */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tinynn/train.h>

#include "json.h"
#include "models.h"
#include "open.h"
#include "train_options.h"
#include "ui.h"
#include "verbs.h"

typedef struct train_args {
    train_settings settings;
    compute_args compute;
    const char *recipe, *model, *resume, *out;
    bool plan, json;
} train_args;

static const arg_option verb_options[] = {
    {"-m, --model", ARG_TEXT, offsetof(train_args, model), "MODEL", 0, 0, NULL, "the same as the argument MODEL"},
    {"--out, -o, --adapter-path", ARG_TEXT, offsetof(train_args, out), "DIR", 0, 0, "runs/RECIPE-DATE",
     "folder of the run: config.json, events.jsonl, checkpoints, report.html, and the result"},
    {"--resume", ARG_TEXT, offsetof(train_args, resume), "DIR", 0, 0, NULL,
     "go on with the run in this folder, from its last checkpoint; takes no recipe and no settings"},
    {"--plan, --dry-run", ARG_FLAG, offsetof(train_args, plan), NULL, 0, 0, NULL,
     "only tell tokens, steps, memory, time and what is learned of the first row; nothing is written"},
    {"--json", ARG_FLAG, offsetof(train_args, json), NULL, 0, 0, NULL,
     "one JSON object when done: out, result, report, steps, loss, val_loss, tokens, seconds; of --plan: what it "
     "tells"},
    {0},
};

/* --- the configuration --- */

#define MAX_PATHS 9 /* three that are found, and six made absolute */

/* Paths that the configuration lends, made absolute: a run may be taken up from another folder. */
typedef struct paths {
    char *items[MAX_PATHS];
    int n;
} paths;

static void free_paths(paths *p) {
    for (int i = 0; i < p->n; i++)
        free(p->items[i]);
}

static int make_absolute(paths *p, const char *option, const char **path) {
    if (!**path) return UI_OK;
    char *whole = realpath(*path, NULL);
    if (!whole) return ui_error(UI_USAGE, "%s: %s: %s", option, *path, strerror(errno));
    *path = p->items[p->n++] = whole;
    return UI_OK;
}

/* A GGUF by path or by name. */
static int find_model(paths *p, const char *option, const char **model) {
    char *path = NULL;
    if (!**model) return UI_OK;
    int code = models_find(*model, &path);
    if (code != UI_OK) return code;
    *model = p->items[p->n++] = path;
    return make_absolute(p, option, model);
}

static int find_files(paths *p, tnn_train_config *c) {
    int code = make_absolute(p, "--data", &c->data);
    if (code == UI_OK) code = make_absolute(p, "--text", &c->text);
    if (code == UI_OK) code = make_absolute(p, "--valid-text", &c->valid_text);
    if (code == UI_OK) code = find_model(p, "MODEL", &c->model);
    if (code == UI_OK && strcmp(c->tokenizer, "bytes") != 0) code = find_model(p, "--tokenizer", &c->tokenizer);
    if (code == UI_OK) code = find_model(p, "--like", &c->like);
    return code;
}

static int read_config(const train_args *args, tnn_train_config *c) {
    int recipe = args->recipe ? train_recipe(args->recipe) : -1;
    if (recipe < 0)
        return ui_error(UI_USAGE, "%s%s%s: give scratch, warm-start, full, lora or lens, or --resume DIR",
                        args->recipe ? "'" : "RECIPE is missing", args->recipe ? args->recipe : "",
                        args->recipe ? "' is no recipe" : "");
    *c = tnn_train_config_default((tnn_recipe)recipe);
    if (args->model) c->model = args->model;
    if (recipe == TNN_RECIPE_SCRATCH && args->model)
        return ui_error(UI_USAGE, "scratch takes no MODEL ('%s'); warm-start goes on with one, --like takes its shape",
                        args->model);
    if (recipe != TNN_RECIPE_SCRATCH && !args->model)
        return ui_error(UI_USAGE, "MODEL is missing: %s needs a GGUF file, or a name that tnn list shows",
                        train_recipe_name(recipe));
    int code = train_settings_apply(&args->settings, c);
    return code == UI_OK && *c->chat_template ? check_chat_template(c->chat_template) : code;
}

/* runs/RECIPE-DATE, or DATE-2, -3, ... when several begin in one second. */
static void name_run(const train_args *args, char *out, size_t size) {
    char date[32] = "";
    time_t now = time(NULL);
    struct tm parts;
    if (localtime_r(&now, &parts)) strftime(date, sizeof date, "%Y%m%d-%H%M%S", &parts);
    int n = snprintf(out, size, "runs/%s-%s", args->recipe, date);
    for (int i = 2; i < 100 && access(out, F_OK) == 0; i++)
        snprintf(out + n, size - (size_t)n, "-%d", i);
}

static int check_run_folder(const char *out) {
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/config.json", out);
    if (n < 0 || (size_t)n >= sizeof path) return ui_error(UI_USAGE, "--out: the path is too long");
    if (access(path, F_OK) != 0) return check_new_folder(out);
    return ui_error(UI_USAGE, "%s holds a run already: go on with it by tnn train --resume %s, or name another folder",
                    out, out);
}

/* --- plan --- */

static double percent(int64_t part, int64_t whole) {
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static void print_time(double seconds) {
    int64_t s = (int64_t)seconds;
    if (s >= 3600) {
        printf("%" PRId64 " h %02d min", s / 3600, (int)(s % 3600 / 60));
    } else if (s >= 60) {
        printf("%d min %02d s", (int)(s / 60), (int)(s % 60));
    } else {
        printf("%.1f s", seconds);
    }
}

static void print_data(const char *what, const tnn_dataset_stats *d) {
    printf("%-11s %" PRId64 " tokens in %" PRId64 " sequences, %" PRId64 " (%.0f%%) under loss; of %" PRId64
           " rows, %" PRId64 " lost their end, %" PRId64 " have nothing to learn\n",
           what, d->n_tokens, d->n_sequences, d->n_trained, percent(d->n_trained, d->n_tokens), d->n_rows, d->n_cut,
           d->n_skipped);
    if (d->n_tools > 0)
        printf("%-11s %" PRId64 " rows have tools or tool_calls, which are left out: no chat format writes them\n", "",
               d->n_tools);
}

/* Stretches of one row under loss and not, until `max` tokens are shown. */
static int each_stretch(const tnn_run *r, int64_t max, int (*fn)(void *ctx, bool trained, const tnn_text *text),
                        void *ctx) {
    const char *trained;
    int64_t n;
    tnn_error err;
    tnn_text text = {0};
    const int32_t *ids = tnn_dataset_sequence(tnn_run_data(r), 0, &trained, &n);
    int code = UI_OK;
    if (n > max) n = max;
    for (int64_t i = 0; i < n && code == UI_OK;) {
        int64_t end = i + 1;
        while (end < n && trained[end] == trained[i])
            end++;
        text.n = 0;
        tnn_status status =
            tnn_tokenizer_decode(tnn_run_tokenizer(r), ids + i, (size_t)(end - i), TNN_DECODE_SPECIAL, &text, &err);
        code = status == TNN_OK ? fn(ctx, trained[i] != 0, &text) : ui_fail(&err);
        i = end;
    }
    tnn_text_free(&text);
    return code;
}

static int print_stretch(void *ctx, bool trained, const tnn_text *text) {
    (void)ctx;
    printf("  %-8s ", trained ? "learned" : "given");
    ui_print_text(text->n ? text->data : "", text->n, 600);
    putchar('\n');
    return UI_OK;
}

static int add_stretch(void *ctx, bool trained, const tnn_text *text) {
    json_t *object = json_pack("{s:b, s:o}", "learned", trained, "text", json_text(text->data, text->n));
    return json_array_append_new(ctx, object) == 0 ? UI_OK : ui_error(UI_FAILURE, "out of memory");
}

enum { SHOWN_TOKENS = 160 };

static json_t *data_json(const tnn_dataset_stats *d) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "rows", (json_int_t)d->n_rows, "sequences",
                     (json_int_t)d->n_sequences, "tokens", (json_int_t)d->n_tokens, "trained_tokens",
                     (json_int_t)d->n_trained, "cut", (json_int_t)d->n_cut, "skipped", (json_int_t)d->n_skipped,
                     "tools_left_out", (json_int_t)d->n_tools);
}

static int print_plan_json(const tnn_run *r, const tnn_train_plan *p, double epochs, const tnn_train_times *times,
                           double loading) {
    json_t *row = json_array();
    int code = each_stretch(r, SHOWN_TOKENS, add_stretch, row);
    if (code != UI_OK) {
        json_decref(row);
        return code;
    }
    return json_print(
        json_pack("{s:o, s:o, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "train",
                  data_json(&p->train), "valid", data_json(&p->valid), "steps", (json_int_t)p->n_steps, "epochs",
                  epochs, "tokens_per_step", (json_int_t)p->tokens_per_step, "parameters", (json_int_t)p->n_params,
                  "weight_bytes", (json_int_t)p->weight_bytes, "trainer_bytes", (json_int_t)p->trainer_bytes,
                  "memory_bytes", (json_int_t)p->memory_bytes, "seconds_per_step", times->step, "validation_seconds",
                  times->validation, "sample_seconds", times->sample, "save_seconds", times->save, "loading_seconds",
                  loading, "seconds", times->all, "first_row", row));
}

static int print_plan(const train_args *args, tnn_run *r, double loading) {
    tnn_train_plan p = tnn_run_plan(r);
    tnn_train_times times;
    tnn_error err;
    if (tnn_run_measure(r, &times, &err) != TNN_OK) return ui_fail(&err);
    double epochs = (double)(p.n_steps * p.batches_per_step) / (double)p.batches_per_epoch;
    if (args->json) return print_plan_json(r, &p, epochs, &times, loading);
    char total[UI_NUMBER], weights[UI_NUMBER], trainer[UI_NUMBER], mapped[UI_NUMBER], count[UI_NUMBER];
    print_data("training", &p.train);
    if (p.valid.n_rows > 0) print_data("validation", &p.valid);
    printf("%-11s %" PRId64 " of at most %" PRId64 " tokens: %.2f passes over the data\n", "steps", p.n_steps,
           p.tokens_per_step, epochs);
    printf("%-11s %s\n", "parameters", ui_count(count, (uint64_t)p.n_params));
    printf("%-11s %s: weights %s, gradients, moments and workspace %s, mapped file %s\n", "memory",
           ui_bytes(total, p.memory_bytes), ui_bytes(weights, p.weight_bytes), ui_bytes(trainer, p.trainer_bytes),
           ui_bytes(mapped, p.mapped_bytes));
    printf("%-11s %.3g s a step, ", "time", times.step);
    if (times.validation > 0) printf("%.3g s a validation, ", times.validation);
    if (times.sample > 0) printf("%.3g s a sample, ", times.sample);
    printf("%.3g s a checkpoint; ", times.save);
    print_time(times.all);
    printf(" in all, after %.1f s of loading\nfirst row\n", loading);
    return each_stretch(r, SHOWN_TOKENS, print_stretch, NULL);
}

/* --- training --- */

typedef struct watch {
    tnn_train_progress last; /* step */
    double val_loss, best_val_loss;
} watch;

static void on_progress(void *ctx, const tnn_train_progress *p) {
    watch *w = ctx;
    if (p->is_eval) {
        w->val_loss = p->val_loss;
        w->best_val_loss = p->best_val_loss;
        fprintf(stderr, "step %" PRId64 "/%" PRId64 "  validation loss %.4f\n", p->step, p->n_steps, p->val_loss);
        return;
    }
    w->last = *p;
    int left = p->seconds_left < 3.6e6 ? (int)p->seconds_left : 3600000;
    fprintf(stderr, "step %" PRId64 "/%" PRId64 "  loss %.4f  lr %.2e  grad %.3g  %.0f tok/s  %d:%02d:%02d left\n",
            p->step, p->n_steps, p->loss, p->lr, p->grad_norm, p->tokens_per_second, left / 3600, left / 60 % 60,
            left % 60);
}

static void on_message(void *ctx, const char *line) {
    (void)ctx;
    ui_note("%s", line);
}

static bool should_stop(void *ctx) {
    (void)ctx;
    return ui_interrupted();
}

static int print_result(const train_args *args, const char *out, const tnn_train_plan *p, const watch *w,
                        double seconds) {
    char result[4096], report[4096];
    snprintf(result, sizeof result, "%s/%s", out, p->result);
    snprintf(report, sizeof report, "%s/report.html", out);
    if (args->json)
        return json_print(json_pack("{s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:I, s:f}", "out", json_path(out), "result",
                                    json_path(result), "report", json_path(report), "steps", (json_int_t)w->last.step,
                                    "loss", json_number(w->last.loss), "val_loss", json_number(w->val_loss),
                                    "best_val_loss", json_number(w->best_val_loss), "tokens",
                                    (json_int_t)w->last.n_tokens, "seconds", seconds));
    printf("%s\n%s\n", result, report);
    return UI_OK;
}

static int train(const train_args *args, tnn_run *r, const char *out) {
    watch w = {.val_loss = NAN, .best_val_loss = NAN, .last = {.loss = NAN}};
    tnn_train_hooks hooks = {on_progress, on_message, should_stop, &w};
    tnn_train_plan plan = tnn_run_plan(r);
    tnn_error err;
    double start = ui_seconds();
    ui_say_on_interrupt("saves and ends after this step; a second signal ends it now, with the checkpoints there are");
    tnn_status status = tnn_run_train(r, out, &hooks, &err);
    if (status == TNN_E_CANCELLED) return ui_error(UI_FAILURE, "%s; tnn train --resume %s goes on", err.text, out);
    if (status != TNN_OK) return ui_error(status == TNN_E_ARG ? UI_USAGE : UI_FAILURE, "%s", err.text);
    return print_result(args, out, &plan, &w, ui_seconds() - start);
}

static int train_anew(const train_args *args, tnn_session *s) {
    tnn_train_config config;
    tnn_run *r = NULL;
    tnn_error err;
    paths p = {0};
    char named[96];
    const char *out = args->out;
    int code = read_config(args, &config);
    if (code == UI_OK && !out) {
        name_run(args, named, sizeof named);
        out = named;
    }
    if (code == UI_OK && !args->plan) code = check_run_folder(out);
    if (code == UI_OK) code = find_files(&p, &config);
    double start = ui_seconds();
    if (code == UI_OK && tnn_run_new(&r, s, &config, &err) != TNN_OK) code = ui_fail(&err);
    if (code == UI_OK) code = args->plan ? print_plan(args, r, ui_seconds() - start) : train(args, r, out);
    tnn_run_free(r);
    free_paths(&p);
    return code;
}

static int train_on(const train_args *args, tnn_session *s) {
    tnn_run *r = NULL;
    tnn_error err;
    const char *setting = train_settings_given(&args->settings);
    if (args->recipe || args->model || args->out || setting)
        return ui_error(UI_USAGE, "--resume takes everything from the run's config.json: leave %s away",
                        args->recipe  ? args->recipe
                        : args->model ? "MODEL"
                        : args->out   ? "--out"
                                      : setting);
    double start = ui_seconds();
    if (tnn_run_open(&r, s, args->resume, &err) != TNN_OK) return ui_fail(&err);
    int code = args->plan ? print_plan(args, r, ui_seconds() - start) : train(args, r, args->resume);
    tnn_run_free(r);
    return code;
}

/* Help and defaults are those of the recipe, if one is named. */
static void prepare(int argc, char **argv) {
    int recipe = -1;
    for (int i = 0; i < argc && recipe < 0 && argv[i][0] != '-'; i++)
        recipe = train_recipe(argv[i]);
    train_options_prepare(recipe);
}

static int run(void *p) {
    const train_args *args = p;
    engine e = {0};
    int code = open_session(&e, &args->compute);
    if (code == UI_OK) code = args->resume ? train_on(args, e.session) : train_anew(args, e.session);
    close_engine(&e);
    return code;
}

const verb verb_train = {
    .name = "train",
    .summary = "train a model: scratch, warm-start, full, lora, lens",
    .description =
        "Trains into a folder. RECIPE is scratch (random weights), warm-start (goes on with MODEL, or takes its "
        "embeddings into a new body), full (every weight of MODEL), lora (low-rank pairs beside the frozen linears of "
        "MODEL, whatever its types) or lens (MODEL's frozen embedding through a trained projection into a new body). "
        "Data is a folder of train.jsonl and perhaps valid.jsonl, with rows of messages, of prompt and completion or "
        "of text; or a text file. The result is adapter.gguf of lora, else model.gguf. Ctrl-C saves within a step, a "
        "second one ends at once; --resume goes on bit for bit. tnn help train RECIPE shows what goes with one recipe.",
    .positionals = {{"RECIPE", offsetof(train_args, recipe), false}, {"MODEL", offsetof(train_args, model), false}},
    .groups = {{verb_options, 0},
               {train_options, offsetof(train_args, settings)},
               {compute_options, offsetof(train_args, compute)}},
    .args_size = sizeof(train_args),
    .prepare = prepare,
    .run = run,
    .hears_interrupts = true,
};
