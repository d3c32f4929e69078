/* `tnn show`: what is in a file, whether it runs here, and what it will take. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/chat.h>
#include <tinynn/model.h>
#include <tinynn/quantize.h>
#include <tinynn/seq.h>
#include <tinynn/tokenizer.h>

#include "json.h"
#include "open.h"
#include "stack.h"
#include "ui.h"
#include "verbs.h"

#define LABEL_WIDTH 20
#define JSON_ITEMS  64 /* longer arrays of the metadata are told by type and count */

typedef struct show_args {
    file_args file;
    context_args context;
    bool tensors, metadata, json;
} show_args;

static const arg_option verb_options[] = {
    {"--tensors", ARG_FLAG, offsetof(show_args, tensors), NULL, 0, 0, NULL, "list every tensor"},
    {"--metadata", ARG_FLAG, offsetof(show_args, metadata), NULL, 0, 0, NULL, "list every key of the metadata"},
    {"--json", ARG_FLAG, offsetof(show_args, json), NULL, 0, 0, NULL,
     "one JSON object; with --tensors and --metadata it has these too"},
    {0},
};

/* What was found out; strings are lent by g. */
typedef struct report {
    const tnn_gguf *g;
    tnn_gguf_str name, architecture;
    const char *file_type; /* NULL: not said */
    uint64_t n_params;
    tnn_tokenizer *tokenizer;
    tnn_chat_template *chat;
    tnn_error no_tokenizer, no_chat, cannot_run; /* status TNN_OK: there is one, it runs */
    bool runs;
    stack stack; /* its layers, if it runs */
    int64_t n_ctx;
    size_t cache_bytes, workspace_bytes, weight_bytes;
} report;

/* --- finding out --- */

static tnn_gguf_str text_of(const tnn_gguf *g, const char *key) {
    tnn_gguf_str text = {"", 0};
    tnn_gguf_get_str(g, key, &text, NULL);
    return text;
}

/* Loads the model, as run would, to learn whether it can and what a sequence takes. */
static void try_to_run(report *r, const char *path, const context_args *context) {
    engine e = {0};
    tnn_seq_options sequence = tnn_seq_options_default();
    tnn_status status = tnn_session_new(&e.session, NULL, &r->cannot_run);
    if (status == TNN_OK) status = tnn_model_load(&e.model, e.session, path, NULL, &r->cannot_run);
    if (status == TNN_OK) {
        int64_t trained = tnn_model_hparams(e.model)->n_ctx_train;
        r->n_ctx = context->n_ctx > 0 ? context->n_ctx : trained < 4096 ? trained : 4096;
        sequence.n_ctx = r->n_ctx;
        sequence.n_batch = context->n_batch;
        sequence.kv_type = (tnn_type)tnn_type_from_name(context->kv_type);
        status = tnn_seq_bytes(e.model, &sequence, &r->cache_bytes, &r->workspace_bytes, &r->cannot_run);
    }
    r->runs = status == TNN_OK;
    if (r->runs) stack_of(&r->stack, e.model);
    close_engine(&e);
}

static void find_out(report *r, const char *path, const show_args *args) {
    const tnn_gguf *g = r->g;
    uint32_t number;
    r->name = text_of(g, "general.name");
    r->architecture = text_of(g, "general.architecture");
    if (tnn_gguf_get_u32(g, "general.file_type", &number, NULL) == TNN_OK) r->file_type = tnn_file_type_name(number);
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, i);
        r->n_params += (uint64_t)(t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]);
        r->weight_bytes += t->n_bytes;
    }
    tnn_tokenizer_new(&r->tokenizer, g, NULL, &r->no_tokenizer);
    tnn_chat_template_new(&r->chat, g, NULL, NULL, &r->no_chat);
    try_to_run(r, path, &args->context);
}

typedef struct type_sum {
    int64_t n;
    uint64_t bytes;
} type_sum;

static void sum_types(const tnn_gguf *g, type_sum sums[TNN_TYPE_COUNT]) {
    memset(sums, 0, TNN_TYPE_COUNT * sizeof *sums);
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, i);
        sums[t->type].n++;
        sums[t->type].bytes += t->n_bytes;
    }
}

/* The hyperparameters are the keys that begin with the name of the architecture. */
static const char *hparam_name(const report *r, int64_t i, size_t *size) {
    tnn_gguf_str key = tnn_gguf_key(r->g, i);
    size_t n = r->architecture.size;
    if (n == 0 || key.size <= n + 1 || memcmp(key.data, r->architecture.data, n) != 0 || key.data[n] != '.')
        return NULL;
    *size = key.size - n - 1;
    return key.data + n + 1;
}

/* --- for the eye --- */

static void print_label(const char *label, size_t size) {
    ui_print_text(label, size, SIZE_MAX);
    printf("%*s", size < LABEL_WIDTH ? LABEL_WIDTH - (int)size : 1, "");
}

static void label(const char *text) {
    print_label(text, strlen(text));
}

static void print_value(const tnn_gguf *g, int64_t i, uint64_t max_items) {
    json_t *value = json_metadata(g, i, max_items);
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12)) : NULL;
    if (text) ui_print_text(text, strlen(text), 200);
    free(text);
    json_decref(value);
}

static void print_head(const report *r) {
    char number[UI_NUMBER];
    if (r->name.size > 0) {
        label("name");
        ui_print_text(r->name.data, r->name.size, 100);
        printf("\n");
    }
    label("file");
    printf("GGUF v%" PRIu32 ", %s", tnn_gguf_version(r->g), ui_bytes(number, tnn_gguf_file_bytes(r->g)));
    if (tnn_gguf_shard_count(r->g) > 1) printf(" in %d files", tnn_gguf_shard_count(r->g));
    printf("\n");
    label("architecture");
    ui_print_text(r->architecture.data, r->architecture.size, 100);
    printf("\n");
    label("parameters");
    printf("%s\n", ui_count(number, r->n_params));
    label("file type");
    printf("%s\n", r->file_type ? r->file_type : "(not said)");
}

static void print_hparams(const report *r) {
    for (int64_t i = 0; i < tnn_gguf_n_kv(r->g); i++) {
        size_t size;
        const char *name = hparam_name(r, i, &size);
        if (!name) continue;
        printf("  ");
        ui_print_text(name, size, 60);
        printf("%*s", size < 38 ? 38 - (int)size : 1, "");
        print_value(r->g, i, 8);
        printf("\n");
    }
}

static void print_token(const tnn_tokenizer *t, const char *what, tnn_special_token which) {
    int32_t id = tnn_tokenizer_special(t, which);
    if (id < 0) return;
    tnn_gguf_str text = tnn_tokenizer_token_text(t, id);
    printf(", %s %" PRId32 " ", what, id);
    ui_print_text(text.data, text.size, 40);
}

static void print_text_side(const report *r) {
    label("tokenizer");
    if (r->tokenizer) {
        const tnn_tokenizer *t = r->tokenizer;
        bool bpe = tnn_tokenizer_get_kind(t) == TNN_TOKENIZER_BPE;
        printf("%s%s%s, %" PRId32 " tokens", bpe ? "BPE" : "SPM", bpe ? "/" : "", tnn_tokenizer_pre(t),
               tnn_tokenizer_n_vocab(t));
        print_token(t, "BOS", TNN_SPECIAL_BOS);
        print_token(t, "EOS", TNN_SPECIAL_EOS);
        printf("%s%s\n", tnn_tokenizer_add_bos(t) ? ", BOS is added" : "",
               tnn_tokenizer_add_eos(t) ? ", EOS is added" : "");
    } else {
        ui_print_text(r->no_tokenizer.text, strlen(r->no_tokenizer.text), 200);
        printf("\n");
    }
    label("chat template");
    const char *chat = r->chat ? tnn_chat_template_name(r->chat) : r->no_chat.text;
    ui_print_text(chat, strlen(chat), 200);
    printf("\n");
}

static void print_types(const report *r) {
    type_sum sums[TNN_TYPE_COUNT];
    sum_types(r->g, sums);
    label("tensors");
    printf("%" PRId64, tnn_gguf_n_tensors(r->g));
    const char *between = ":";
    for (int i = 0; i < TNN_TYPE_COUNT; i++) {
        char bytes[UI_NUMBER];
        if (sums[i].n == 0) continue;
        printf("%s %s %" PRId64 " (%s)", between, tnn_type_get_info(i)->name, sums[i].n,
               ui_bytes(bytes, sums[i].bytes));
        between = ",";
    }
    printf("\n");
}

static void print_run(const report *r) {
    char weights[UI_NUMBER], cache[UI_NUMBER], workspace[UI_NUMBER];
    label("runs here");
    if (r->runs) {
        printf("yes\n");
        label("memory");
        printf("%s weights, at a context of %" PRId64 ": %s %s, %s workspace\n", ui_bytes(weights, r->weight_bytes),
               r->n_ctx, ui_bytes(cache, r->cache_bytes),
               r->stack.hparams.gdn.n_key_heads ? "KV cache and states" : "KV cache",
               ui_bytes(workspace, r->workspace_bytes));
        label("layers");
        printf("%" PRId64 "\n", r->stack.hparams.n_layers);
        stack_print(&r->stack);
    } else {
        printf("no: ");
        ui_print_text(r->cannot_run.text, strlen(r->cannot_run.text), 400);
        printf("\n");
    }
}

static void print_metadata(const tnn_gguf *g) {
    printf("\nmetadata\n");
    for (int64_t i = 0; i < tnn_gguf_n_kv(g); i++) {
        tnn_gguf_str key = tnn_gguf_key(g, i);
        printf("  ");
        ui_print_text(key.data, key.size, 80);
        printf(" = ");
        print_value(g, i, 8);
        printf("\n");
    }
}

static void print_tensors(const tnn_gguf *g) {
    printf("\ntensors\n");
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, i);
        char bytes[UI_NUMBER];
        printf("  ");
        ui_print_text(t->name.data, t->name.size, TNN_GGUF_MAX_NAME);
        printf("%*s %-7s %9s  [", t->name.size < 32 ? 32 - (int)t->name.size : 1, "", tnn_type_get_info(t->type)->name,
               ui_bytes(bytes, t->n_bytes));
        for (int d = 0; d < t->n_dims; d++)
            printf("%s%" PRId64, d ? ", " : "", t->ne[d]);
        printf("]\n");
    }
}

static int print_report(const report *r, const show_args *args) {
    print_head(r);
    print_hparams(r);
    print_text_side(r);
    print_types(r);
    print_run(r);
    if (args->metadata) print_metadata(r->g);
    if (args->tensors) print_tensors(r->g);
    return UI_OK;
}

/* --- as JSON --- */

static json_t *string_or_null(const char *text) {
    return text ? json_text(text, strlen(text)) : json_null();
}

static json_t *hparams_json(const report *r) {
    json_t *object = json_object();
    for (int64_t i = 0; i < tnn_gguf_n_kv(r->g); i++) {
        size_t size;
        const char *name = hparam_name(r, i, &size);
        if (name) json_object_setn_new(object, name, size, json_metadata(r->g, i, JSON_ITEMS));
    }
    return object;
}

static json_t *metadata_json(const tnn_gguf *g) {
    json_t *object = json_object();
    for (int64_t i = 0; i < tnn_gguf_n_kv(g); i++) {
        tnn_gguf_str key = tnn_gguf_key(g, i);
        json_object_setn_new(object, key.data, key.size, json_metadata(g, i, JSON_ITEMS));
    }
    return object;
}

static json_t *types_json(const tnn_gguf *g) {
    type_sum sums[TNN_TYPE_COUNT];
    sum_types(g, sums);
    json_t *object = json_object();
    for (int i = 0; i < TNN_TYPE_COUNT; i++)
        if (sums[i].n)
            json_object_set_new(object, tnn_type_get_info(i)->name,
                                json_pack("{s:I, s:I}", "count", (json_int_t)sums[i].n, "bytes",
                                          (json_int_t)sums[i].bytes));
    return object;
}

static json_t *tensors_json(const tnn_gguf *g) {
    json_t *array = json_array();
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, i);
        json_t *shape = json_array();
        for (int d = 0; d < t->n_dims; d++)
            json_array_append_new(shape, json_integer(t->ne[d]));
        json_array_append_new(array, json_pack("{s:o, s:s, s:o, s:I}", "name", json_text(t->name.data, t->name.size),
                                               "type", tnn_type_get_info(t->type)->name, "ne", shape, "bytes",
                                               (json_int_t)t->n_bytes));
    }
    return array;
}

static json_t *tokenizer_json(const report *r) {
    const tnn_tokenizer *t = r->tokenizer;
    if (!t) return json_null();
    bool bpe = tnn_tokenizer_get_kind(t) == TNN_TOKENIZER_BPE;
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:b, s:b}", "kind", bpe ? "bpe" : "spm", "pre", tnn_tokenizer_pre(t),
                     "n_vocab", tnn_tokenizer_n_vocab(t), "bos", tnn_tokenizer_special(t, TNN_SPECIAL_BOS), "eos",
                     tnn_tokenizer_special(t, TNN_SPECIAL_EOS), "add_bos", tnn_tokenizer_add_bos(t), "add_eos",
                     tnn_tokenizer_add_eos(t));
}

static json_t *memory_json(const report *r) {
    if (!r->runs) return json_null();
    return json_pack("{s:I, s:I, s:I, s:I}", "n_ctx", (json_int_t)r->n_ctx, "weights", (json_int_t)r->weight_bytes,
                     "kv_cache", (json_int_t)r->cache_bytes, "workspace", (json_int_t)r->workspace_bytes);
}

static int print_json(const report *r, const show_args *args) {
    json_t *object = json_object();
    json_object_set_new(object, "name", json_text(r->name.data, r->name.size));
    json_object_set_new(object, "gguf_version", json_integer(tnn_gguf_version(r->g)));
    json_object_set_new(object, "files", json_integer(tnn_gguf_shard_count(r->g)));
    json_object_set_new(object, "bytes", json_integer((json_int_t)tnn_gguf_file_bytes(r->g)));
    json_object_set_new(object, "architecture", json_text(r->architecture.data, r->architecture.size));
    json_object_set_new(object, "parameters", json_integer((json_int_t)r->n_params));
    json_object_set_new(object, "file_type", string_or_null(r->file_type));
    json_object_set_new(object, "hyperparameters", hparams_json(r));
    json_object_set_new(object, "tokenizer", tokenizer_json(r));
    json_object_set_new(object, "chat_template", string_or_null(r->chat ? tnn_chat_template_name(r->chat) : NULL));
    json_object_set_new(object, "n_tensors", json_integer(tnn_gguf_n_tensors(r->g)));
    json_object_set_new(object, "types", types_json(r->g));
    json_object_set_new(object, "runs", json_boolean(r->runs));
    json_object_set_new(object, "why_not", string_or_null(r->runs ? NULL : r->cannot_run.text));
    json_object_set_new(object, "memory", memory_json(r));
    json_object_set_new(object, "layers", stack_json(&r->stack));
    if (args->metadata) json_object_set_new(object, "metadata", metadata_json(r->g));
    if (args->tensors) json_object_set_new(object, "tensors", tensors_json(r->g));
    return json_print(object);
}

static void init(void *p) {
    show_args *args = p;
    context_args_init(&args->context);
}

static int run(void *p) {
    const show_args *args = p;
    tnn_gguf *g = NULL;
    char *path = NULL;
    tnn_type kv_type;
    int code = context_kv_type(&args->context, &kv_type);
    if (code == UI_OK) code = open_find(&args->file, &path);
    if (code == UI_OK) code = open_gguf(&g, path, &args->file);
    if (code == UI_OK) {
        report r = {.g = g};
        find_out(&r, path, args);
        code = args->json ? print_json(&r, args) : print_report(&r, args);
        tnn_tokenizer_free(r.tokenizer);
        tnn_chat_template_free(r.chat);
        stack_free(&r.stack);
    }
    tnn_gguf_close(g);
    free(path);
    return code;
}

const verb verb_show = {
    .name = "show",
    .summary = "what is in a file, and what it will take",
    .description =
        "Prints what a GGUF file says of itself: hyperparameters, types, tokenizer, chat template; whether it "
        "can be run here and, if so, how much memory it takes at a context of -c; otherwise why not.",
    .positionals = {{"MODEL", offsetof(show_args, file.model), false}},
    .groups = {{verb_options, 0},
               {context_options, offsetof(show_args, context)},
               {file_options, offsetof(show_args, file)}},
    .args_size = sizeof(show_args),
    .init = init,
    .run = run,
};
