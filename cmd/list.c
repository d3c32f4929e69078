/* `tnn list`: the models on this machine, with what their headers say. */
#include <stdio.h>
#include <string.h>

#include <tinynn/quantize.h>

#include "json.h"
#include "models.h"
#include "ui.h"
#include "verbs.h"

typedef struct list_args {
    bool json, paths;
} list_args;

static const arg_option verb_options[] = {
    {"--paths", ARG_FLAG, offsetof(list_args, paths), NULL, 0, 0, NULL, "show the path of each file in place of facts"},
    {"--json", ARG_FLAG, offsetof(list_args, json), NULL, 0, 0, NULL,
     "one JSON object: models, each with name, path, source, bytes, architecture, file_type; cut: why some are left "
     "out, or null"},
    {0},
};

typedef struct facts {
    char architecture[40];
    const char *type;
    bool readable;
} facts;

static facts read_facts(const char *path) {
    facts f = {"?", "?", false};
    tnn_gguf *g;
    if (tnn_gguf_open(&g, path, NULL, NULL) != TNN_OK) return f;
    f.readable = true;
    tnn_gguf_str arch;
    if (tnn_gguf_get_str(g, "general.architecture", &arch, NULL) == TNN_OK)
        snprintf(f.architecture, sizeof f.architecture, "%.*s", arch.size > 39 ? 39 : (int)arch.size, arch.data);
    uint32_t number;
    const char *type = NULL;
    if (tnn_gguf_get_u32(g, "general.file_type", &number, NULL) == TNN_OK) type = tnn_file_type_name(number);
    if (type) f.type = type;
    tnn_gguf_close(g);
    return f;
}

static void print_facts(const char *path) {
    facts f = read_facts(path);
    if (f.readable) {
        ui_print_text(f.architecture, strlen(f.architecture), SIZE_MAX);
        printf(", %s", f.type);
    } else {
        printf("(not a readable GGUF file)");
    }
}

static int print_json(const model_list *list) {
    json_t *models = json_array();
    for (int i = 0; i < list->n; i++) {
        const model_entry *m = &list->items[i];
        facts f = read_facts(m->path);
        json_t *item =
            json_pack("{s:o, s:o, s:s, s:I}", "name", json_text(m->name, strlen(m->name)), "path",
                      json_text(m->path, strlen(m->path)), "source", m->source, "bytes", (json_int_t)m->bytes);
        json_object_set_new(item, "architecture",
                            f.readable ? json_text(f.architecture, strlen(f.architecture)) : json_null());
        json_object_set_new(item, "file_type", f.readable ? json_string(f.type) : json_null());
        json_array_append_new(models, item);
    }
    return json_print(json_pack("{s:o, s:s?}", "models", models, "cut", list->cut));
}

static void print_table(const model_list *list, bool paths) {
    int width = 4;
    for (int i = 0; i < list->n; i++)
        if ((int)strlen(list->items[i].name) > width) width = (int)strlen(list->items[i].name);
    if (list->n)
        printf("%-*s  %9s  %-11s  %s\n", width, "NAME", "SIZE", "SOURCE", paths ? "PATH" : "ARCHITECTURE, TYPE");
    for (int i = 0; i < list->n; i++) {
        const model_entry *m = &list->items[i];
        char size[UI_NUMBER];
        ui_print_text(m->name, strlen(m->name), SIZE_MAX);
        printf("%*s  %9s  %-11s  ", width - (int)strlen(m->name), "", ui_bytes(size, m->bytes), m->source);
        if (paths) {
            ui_print_text(m->path, strlen(m->path), SIZE_MAX);
        } else {
            print_facts(m->path);
        }
        putchar('\n');
    }
}

static int run(void *p) {
    const list_args *args = p;
    model_list list;
    int code = models_scan(&list);
    if (code == UI_OK && args->json) {
        code = print_json(&list);
    } else if (code == UI_OK) {
        print_table(&list, args->paths);
        if (list.n == 0) ui_note("no models found; give a path, or put GGUF files into ./models");
    }
    if (code == UI_OK && list.cut) ui_note("not all models are listed: %s; name others by their path", list.cut);
    models_free(&list);
    return code;
}

const verb verb_list = {
    .name = "list",
    .summary = "the models on this machine",
    .description =
        "Lists the GGUF files in the caches of Hugging Face ($HF_HUB_CACHE, $HF_HOME), Ollama ($OLLAMA_MODELS), LM "
        "Studio and llama.cpp ($LLAMA_CACHE), in tinynn's own ($XDG_CACHE_HOME/tinynn) and in ./models. A name, or the "
        "end or a part of it that fits one model only, serves as MODEL in every verb.",
    .groups = {{verb_options, 0}},
    .args_size = sizeof(list_args),
    .run = run,
};
