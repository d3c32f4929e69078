/* Opening files, models and sequences as the shared options say. */
#include "open.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tinynn/adapter.h>
#include <tinynn/chat.h>

#include "models.h"
#include "ui.h"

#define MAX_CONTEXT (1 << 24)

const arg_option file_options[] = {
    {"-m, --model", ARG_TEXT, offsetof(file_args, model), "MODEL", 0, 0, NULL,
     "a GGUF file, or a name that tnn list shows; the same as the argument MODEL"},
    {"--no-mmap", ARG_FLAG, offsetof(file_args, no_mmap), NULL, 0, 0, NULL,
     "read the file into memory instead of mapping it"},
    {0},
};

const arg_option compute_options[] = {
    {"-t, --threads", ARG_INT, offsetof(compute_args, n_threads), "N", 0, 1024, "all processors", "threads"},
    {"--isa", ARG_TEXT, offsetof(compute_args, isa), "NAME", 0, 0, "the best there is",
     "highest instruction set to use: portable, avx2, avxvnni, avx512, avx512vnni, avx512bf16, neon, dotprod, i8mm"},
    {0},
};

const arg_option adapter_options[] = {
    {"--lora", ARG_TEXTS, offsetof(adapter_args, lora), "FILE[:SCALE]", 0, 0, NULL,
     "an adapter (GGUF) beside the model, at SCALE times its strength; may be given many times"},
    {0},
};

const arg_option context_options[] = {
    {"-c, --ctx-size", ARG_INT, offsetof(context_args, n_ctx), "N", 1, MAX_CONTEXT,
     "what the model was trained with, at most 4096", "context in tokens"},
    {"-b, --batch-size", ARG_INT, offsetof(context_args, n_batch), "N", 1, 65536, NULL,
     "tokens of a prompt computed at once"},
    {"--kv-type, --cache-type", ARG_TEXT, offsetof(context_args, kv_type), "TYPE", 0, 0, NULL,
     "type of the KV cache: f32, f16, bf16 or q8_0"},
    {0},
};

void context_args_init(context_args *args) {
    tnn_seq_options standard = tnn_seq_options_default();
    args->n_ctx = standard.n_ctx;
    args->n_batch = standard.n_batch;
    args->kv_type = tnn_type_get_info((int32_t)standard.kv_type)->name;
}

int open_find(const file_args *file, char **path) {
    *path = NULL;
    if (!file->model) return ui_error(UI_USAGE, "MODEL is missing: a GGUF file, or a name that tnn list shows");
    return models_find(file->model, path);
}

int open_gguf(tnn_gguf **out, const char *path, const file_args *file) {
    tnn_error err;
    tnn_gguf_open_options options = tnn_gguf_open_options_default();
    options.use_mmap = !file->no_mmap;
    return tnn_gguf_open(out, path, &options, &err) == TNN_OK ? UI_OK : ui_fail(&err);
}

/* The folder that holds a path, malloc'd; NULL without memory. */
static char *parent_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = strdup(slash ? path : ".");
    if (folder && slash) folder[slash == path ? 1 : slash - path] = 0;
    return folder;
}

/* `folder` is there and takes new files; path is what is to be written. */
static int check_folder(const char *path, const char *folder) {
    struct stat st;
    if (stat(folder, &st) != 0)
        return ui_error(UI_USAGE, "%s: the folder %s: %s; make it first", path, folder, strerror(errno));
    if (!S_ISDIR(st.st_mode)) return ui_error(UI_USAGE, "%s: %s is no folder; name another", path, folder);
    if (access(folder, W_OK) == 0) return UI_OK;
    return ui_error(UI_USAGE, "%s: the folder %s: %s; name another", path, folder, strerror(errno));
}

int check_new_folder(const char *path) {
    struct stat st;
    if (!*path) return ui_error(UI_USAGE, "the name of the folder to write into is empty");
    char *folder = strdup(path);
    while (folder && stat(folder, &st) != 0 && errno == ENOENT && strcmp(folder, ".") != 0) {
        char *above = parent_of(folder);
        free(folder);
        folder = above;
    }
    int code = folder ? check_folder(path, folder) : ui_error(UI_FAILURE, "out of memory");
    free(folder);
    return code;
}

int check_output(const char *path) {
    struct stat st;
    if (!*path) return ui_error(UI_USAGE, "the name of the output file is empty");
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return ui_error(UI_USAGE, "%s is there and no ordinary file; name another", path);
    char *folder = parent_of(path);
    int code = folder ? check_folder(path, folder) : ui_error(UI_FAILURE, "out of memory");
    free(folder);
    return code;
}

int check_not_input(const char *out, const char *input) {
    if (!models_has_file(input, out)) return UI_OK;
    return ui_error(UI_USAGE, "%s is the input; write to another file", out);
}

/* "F:0.5" is the file F at a scale of 0.5, unless a file has that name. path has room for text. */
static int read_adapter(const char *text, char *path, float *scale) {
    const char *colon = strrchr(text, ':');
    memcpy(path, text, strlen(text) + 1);
    *scale = 1.0f;
    if (!colon || access(text, F_OK) == 0) return UI_OK;
    char *end;
    *scale = strtof(colon + 1, &end);
    if (end == colon + 1 || *end || !isfinite(*scale))
        return ui_error(UI_USAGE, "--lora %s: what follows the colon is the scale, a number", text);
    path[colon - text] = 0;
    return UI_OK;
}

int check_not_read(const char *out, const file_args *file, const adapter_args *adapters) {
    char *path;
    if (!out) return UI_OK;
    int code = open_find(file, &path);
    if (code == UI_OK) code = check_not_input(out, path);
    free(path);
    for (int i = 0; i < adapters->lora.n && code == UI_OK; i++) {
        float scale;
        char *adapter = malloc(strlen(adapters->lora.items[i]) + 1);
        if (!adapter) return ui_error(UI_FAILURE, "out of memory");
        code = read_adapter(adapters->lora.items[i], adapter, &scale);
        if (code == UI_OK) code = check_not_input(out, adapter);
        free(adapter);
    }
    return code;
}

static bool stat_folder(const char *path, struct stat *st) {
    char *folder = parent_of(path);
    bool found = folder && stat(folder, st) == 0;
    free(folder);
    return found;
}

static const char *last_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int check_apart(const char *out, const char *other) {
    struct stat a, b;
    bool same = stat(out, &a) == 0 && stat(other, &b) == 0;
    if (!same) same = strcmp(last_name(out), last_name(other)) == 0 && stat_folder(out, &a) && stat_folder(other, &b);
    if (!same || a.st_dev != b.st_dev || a.st_ino != b.st_ino) return UI_OK;
    return ui_error(UI_USAGE, "%s would be written twice, as %s too; name two files", out, other);
}

static void on_log(void *ctx, tnn_log_level level, const char *text) {
    (void)ctx;
    if (level == TNN_LOG_WARN) ui_note("%s", text);
}

int open_session(engine *e, const compute_args *compute) {
    tnn_error err;
    tnn_session_options options = tnn_session_options_default();
    options.log = on_log;
    options.n_threads = (int)compute->n_threads;
    if (compute->isa) {
        int isa = tnn_isa_from_name(compute->isa);
        if (isa < 0 || !tnn_isa_available((tnn_isa)isa))
            return ui_error(UI_USAGE, "--isa: %s %s; this machine can do %s and below", compute->isa,
                            isa < 0 ? "is no instruction set" : "is not there on this processor",
                            tnn_isa_name(tnn_isa_detect()));
        options.isa = (tnn_isa)isa;
    }
    return tnn_session_new(&e->session, &options, &err) == TNN_OK ? UI_OK : ui_fail(&err);
}

int check_adapters(const adapter_args *args) {
    int code = UI_OK;
    for (int i = 0; i < args->lora.n && code == UI_OK; i++) {
        float scale;
        char *path = malloc(strlen(args->lora.items[i]) + 1);
        if (!path) return ui_error(UI_FAILURE, "out of memory");
        code = read_adapter(args->lora.items[i], path, &scale);
        if (code == UI_OK && access(path, R_OK) != 0)
            code = ui_error(UI_USAGE, "--lora: %s: %s", path, strerror(errno));
        free(path);
    }
    return code;
}

static int add_adapters(engine *e, const adapter_args *args) {
    int code = UI_OK;
    for (int i = 0; i < args->lora.n && code == UI_OK; i++) {
        float scale;
        tnn_error err;
        char *path = malloc(strlen(args->lora.items[i]) + 1);
        if (!path) return ui_error(UI_FAILURE, "out of memory");
        code = read_adapter(args->lora.items[i], path, &scale);
        if (code == UI_OK && tnn_model_add_adapter(e->model, path, scale, &err) != TNN_OK) code = ui_fail(&err);
        free(path);
    }
    return code;
}

int open_engine(engine *e, const file_args *file, const compute_args *compute, const adapter_args *adapters) {
    char *path;
    int code = open_find(file, &path);
    if (code == UI_OK) code = open_session(e, compute);
    if (code == UI_OK) {
        tnn_error err;
        tnn_model_options options = tnn_model_options_default();
        options.use_mmap = !file->no_mmap;
        if (tnn_model_load(&e->model, e->session, path, &options, &err) != TNN_OK) code = ui_fail(&err);
    }
    if (code == UI_OK && adapters) code = add_adapters(e, adapters);
    free(path);
    return code;
}

int check_chat_template(const char *name) {
    char known[400] = "";
    size_t n = 0;
    if (!name || strchr(name, '{')) return UI_OK;
    for (int i = 0; tnn_chat_template_known(i); i++) {
        if (strcmp(name, tnn_chat_template_known(i)) == 0) return UI_OK;
        if (n < sizeof known) n += (size_t)snprintf(known + n, sizeof known - n, " %s", tnn_chat_template_known(i));
    }
    return ui_error(UI_USAGE, "--chat-template: there is no '%s'; there are%s", name, known);
}

int context_kv_type(const context_args *args, tnn_type *type) {
    int32_t t = tnn_type_from_name(args->kv_type);
    if (t != TNN_TYPE_F32 && t != TNN_TYPE_F16 && t != TNN_TYPE_BF16 && t != TNN_TYPE_Q8_0)
        return ui_error(UI_USAGE, "--kv-type: '%s' is not one of f32, f16, bf16, q8_0", args->kv_type);
    *type = (tnn_type)t;
    return UI_OK;
}

int context_check(const context_args *args) {
    tnn_type unused;
    return context_kv_type(args, &unused);
}

int open_seq(engine *e, const context_args *context, const char *taps) {
    tnn_error err;
    tnn_seq_options options = tnn_seq_options_default();
    options.n_ctx = context->n_ctx;
    options.n_batch = context->n_batch;
    options.taps = taps;
    int code = context_kv_type(context, &options.kv_type);
    if (code != UI_OK) return code;
    return tnn_seq_new(&e->seq, e->model, &options, &err) == TNN_OK ? UI_OK : ui_fail(&err);
}

void close_engine(engine *e) {
    tnn_seq_free(e->seq);
    tnn_model_free(e->model);
    tnn_session_free(e->session);
    *e = (engine){0};
}

int thread_count(int64_t n_threads) {
    if (n_threads > 0) return (int)n_threads;
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 1024 ? 1024 : (int)n;
}
