/* `tnn quantize`: a GGUF file in other types. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/quantize.h>

#include "json.h"
#include "models.h"
#include "open.h"
#include "ui.h"
#include "verbs.h"

typedef struct quantize_args {
    const char *in, *out, *type, *output_type, *token_embd_type;
    bool pure, plan, no_requantize, json;
    int64_t n_threads;
} quantize_args;

static const arg_option verb_options[] = {
    {"--pure", ARG_FLAG, offsetof(quantize_args, pure), NULL, 0, 0, NULL, "every matrix the one type, no mix"},
    {"--output-tensor-type", ARG_TEXT, offsetof(quantize_args, output_type), "TYPE", 0, 0, "as the mix says",
     "type of output.weight"},
    {"--token-embedding-type", ARG_TEXT, offsetof(quantize_args, token_embd_type), "TYPE", 0, 0, "as the mix says",
     "type of token_embd.weight"},
    {"--no-requantize", ARG_FLAG, offsetof(quantize_args, no_requantize), NULL, 0, 0, NULL,
     "refuse a file that is quantised already; otherwise a note tells that the errors of both add up"},
    {"--plan, --dry-run", ARG_FLAG, offsetof(quantize_args, plan), NULL, 0, 0, NULL,
     "only print what each tensor would become, and the size"},
    {"-t, --threads", ARG_INT, offsetof(quantize_args, n_threads), "N", 0, 1024, "all processors", "threads"},
    {"--json", ARG_FLAG, offsetof(quantize_args, json), NULL, 0, 0, NULL, "one JSON object with counts and sizes"},
    {0},
};

/* --- what is asked for --- */

static int unknown_type(const char *name) {
    char names[400] = "";
    size_t n = 0;
    for (int i = 0; tnn_file_type_at(i) >= 0; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? " " : "",
                              tnn_file_type_name((uint32_t)tnn_file_type_at(i)));
    return ui_error(UI_USAGE, "'%s' is no type that can be written; there are %s", name, names);
}

static int read_tensor_type(const char *option, const char *name, int32_t *type) {
    *type = -1;
    if (!name) return UI_OK;
    *type = tnn_type_from_name(name);
    if (*type >= 0 && tnn_type_get_info(*type)->usable) return UI_OK;
    return ui_error(UI_USAGE, "%s: '%s' is no type that can be written (F16, Q8_0, Q6_K, ...)", option, name);
}

static int read_options(const quantize_args *args, tnn_quantize_options *options) {
    *options = tnn_quantize_options_default();
    options->pure = args->pure;
    options->n_threads = thread_count(args->n_threads);
    int code = read_tensor_type("--output-tensor-type", args->output_type, &options->output_type);
    if (code == UI_OK)
        code = read_tensor_type("--token-embedding-type", args->token_embd_type, &options->token_embd_type);
    return code;
}

static const char *first_quantized(const tnn_gguf *g) {
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++)
        if (tnn_type_get_info(tnn_gguf_tensor_at(g, i)->type)->quantized) return tnn_gguf_tensor_at(g, i)->name.data;
    return NULL;
}

/* --- plan --- */

static uint64_t bytes_as(const tnn_gguf_tensor *t, int32_t type) {
    return (uint64_t)tnn_row_bytes(type, t->ne[0]) * (uint64_t)(t->ne[1] * t->ne[2] * t->ne[3]);
}

static int print_plan(const quantize_args *args, const tnn_gguf *g, const int32_t *types) {
    uint64_t bytes_in = 0, bytes_out = 0;
    json_t *tensors = args->json ? json_array() : NULL;
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, i);
        const char *from = tnn_type_get_info(t->type)->name, *to = tnn_type_get_info(types[i])->name;
        bytes_in += t->n_bytes;
        bytes_out += bytes_as(t, types[i]);
        if (args->json) {
            json_array_append_new(tensors, json_pack("{s:o, s:s, s:s}", "name", json_text(t->name.data, t->name.size),
                                                     "from", from, "type", to));
        } else {
            ui_print_text(t->name.data, t->name.size, 64);
            printf("  %s -> %s\n", from, to);
        }
    }
    if (args->json)
        return json_print(json_pack("{s:o, s:I, s:I}", "tensors", tensors, "bytes_in", (json_int_t)bytes_in,
                                    "bytes_out", (json_int_t)bytes_out));
    char in[UI_NUMBER], out[UI_NUMBER];
    printf("%s -> %s\n", ui_bytes(in, bytes_in), ui_bytes(out, bytes_out));
    return UI_OK;
}

static int plan(const quantize_args *args, const tnn_gguf *g, tnn_file_type target,
                const tnn_quantize_options *options) {
    tnn_error err;
    int32_t *types = calloc((size_t)tnn_gguf_n_tensors(g) + 1, sizeof *types);
    if (!types) return ui_error(UI_FAILURE, "out of memory");
    int code =
        tnn_quantize_types(g, target, options, types, &err) == TNN_OK ? print_plan(args, g, types) : ui_fail(&err);
    free(types);
    return code;
}

/* --- doing it --- */

static bool on_step(void *ctx, const tnn_quantize_step *step) {
    ui_progress_update(ctx, (int64_t)(step->bytes_done >> 20), (int64_t)(step->bytes_total >> 20),
                       step->tensor->name.data);
    return !ui_interrupted();
}

static int print_result(const quantize_args *args, tnn_file_type target, const tnn_quantize_result *r, double seconds) {
    if (args->json)
        return json_print(json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "out", json_path(args->out),
                                    "type", tnn_file_type_name((uint32_t)target), "bytes_in", (json_int_t)r->bytes_in,
                                    "bytes_out", (json_int_t)r->bytes_out, "converted", (json_int_t)r->n_converted,
                                    "copied", (json_int_t)r->n_copied, "fallback", (json_int_t)r->n_fallback,
                                    "requantized", (json_int_t)r->n_requantized, "seconds", seconds));
    char in[UI_NUMBER], out[UI_NUMBER];
    printf("%s: %s, %lld tensors converted, %lld copied, %s -> %s, %.1f s\n", args->out,
           tnn_file_type_name((uint32_t)target), (long long)r->n_converted, (long long)r->n_copied,
           ui_bytes(in, r->bytes_in), ui_bytes(out, r->bytes_out), seconds);
    return UI_OK;
}

static int convert(const quantize_args *args, const tnn_gguf *g, tnn_file_type target, tnn_quantize_options *options) {
    ui_progress progress = ui_progress_begin("MiB");
    tnn_quantize_result result = {0};
    tnn_error err;
    options->on_step = on_step;
    options->ctx = &progress;
    double start = ui_seconds();
    tnn_status status = tnn_quantize_file(g, args->out, target, options, &result, &err);
    ui_progress_end(&progress);
    if (status == TNN_E_IO) return ui_error(UI_FAILURE, "%s", err.text);
    if (status != TNN_OK) return ui_fail(&err);
    if (result.n_requantized)
        ui_note("%lld tensors were quantised before; a file made from F16, BF16 or F32 is more exact",
                (long long)result.n_requantized);
    if (result.n_fallback)
        ui_note("%lld tensors have rows that do not fit the type asked for and took the next larger one",
                (long long)result.n_fallback);
    return print_result(args, target, &result, ui_seconds() - start);
}

static int open_and_convert(const quantize_args *args, const char *path, tnn_file_type target,
                            tnn_quantize_options *options) {
    tnn_gguf *g;
    int code = check_not_input(args->out, path);
    if (code == UI_OK) code = open_gguf(&g, path, &(file_args){0});
    if (code != UI_OK) return code;
    const char *quantized = args->no_requantize ? first_quantized(g) : NULL;
    if (quantized) {
        code =
            ui_error(UI_USAGE, "tensor %s is quantised already; leave --no-requantize away to convert it all the same",
                     quantized);
    } else {
        code = args->plan ? plan(args, g, target, options) : convert(args, g, target, options);
    }
    tnn_gguf_close(g);
    return code;
}

static int run(void *p) {
    const quantize_args *args = p;
    tnn_quantize_options options;
    int32_t target = tnn_file_type_from_name(args->type);
    if (target < 0) return unknown_type(args->type);
    char *path = NULL;
    int code = read_options(args, &options);
    if (code == UI_OK) code = check_output(args->out);
    if (code == UI_OK) code = models_find(args->in, &path);
    if (code == UI_OK) code = open_and_convert(args, path, (tnn_file_type)target, &options);
    free(path);
    return code;
}

const verb verb_quantize = {
    .name = "quantize",
    .summary = "a GGUF file in other types: F16, Q8_0, Q4_K_M, ...",
    .description =
        "Writes OUT with the matrices of IN in TYPE: F32 F16 BF16 Q8_0 Q6_K Q5_K_M Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K_S Q4_1 "
        "Q4_0 IQ4_NL IQ4_XS MXFP4 Q3_K_L Q3_K_M Q3_K_S Q2_K. Tensors get the types, and the bytes, that llama-quantize "
        "gives without an importance matrix: the output and, in the K types, the tensors that suffer most get more "
        "bits; "
        "--pure makes every matrix the one type. Q3_K, Q4_K and Q5_K mean their _M mix. Metadata stays, a split "
        "model becomes one file, and OUT appears when it is whole.",
    .positionals = {{"IN", offsetof(quantize_args, in), true},
                    {"OUT", offsetof(quantize_args, out), true},
                    {"TYPE", offsetof(quantize_args, type), true}},
    .groups = {{verb_options, 0}},
    .args_size = sizeof(quantize_args),
    .run = run,
    .hears_interrupts = true,
};
