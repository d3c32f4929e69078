/* Where other tools keep their GGUF files, and finding one of them by name. */
#include "models.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <jansson.h>

#include "ui.h"

#define MAX_DEPTH   6 /* of folders below a cache */
#define MAX_MODELS  4096
#define MAX_ENTRIES 65536 /* looked at in all */

#define TEXT(x)    TEXT_OF(x)
#define TEXT_OF(x) #x

typedef struct scan {
    model_list *list;
    const char *source;
    bool no_memory;
    int n_entries;
} scan;

/* A malloc'd text; NULL is noted in the scan, and every later use of NULL is passed over. */
static char *text_of(scan *s, const char *fmt, ...) UI_PRINTF(2, 3);
static char *text_of(scan *s, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *text = n >= 0 ? malloc((size_t)n + 1) : NULL;
    if (text) {
        va_start(args, fmt);
        vsnprintf(text, (size_t)n + 1, fmt, args);
        va_end(args);
    } else {
        s->no_memory = true;
    }
    return text;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcasecmp(text + n - m, end) == 0;
}

/* --- one file --- */

/* Shard number and count of "…-00001-of-00003.gguf"; false for a file that is whole. */
static bool shard_of(const char *path, int *number, int *count) {
    size_t n = strlen(path);
    int end = 0;
    return n > 20 && sscanf(path + n - 20, "-%5d-of-%5d.gguf%n", number, count, &end) == 2 && end == 20;
}

/* What is found at shard i of the file at path, which is a shard too. */
static bool stat_shard(const char *path, int i, int count, struct stat *st) {
    size_t n = strlen(path) - 20;
    char *shard = malloc(n + 64);
    if (!shard) return false;
    snprintf(shard, n + 64, "%.*s-%05d-of-%05d.gguf", (int)n, path, i, count);
    bool found = stat(shard, st) == 0;
    free(shard);
    return found;
}

static uint64_t total_bytes(const char *path, const struct stat *first) {
    int number, count;
    uint64_t bytes = (uint64_t)first->st_size;
    if (!shard_of(path, &number, &count)) return bytes;
    struct stat st;
    for (int i = 2; i <= count && stat_shard(path, i, count, &st); i++)
        bytes += (uint64_t)st.st_size;
    return bytes;
}

bool models_has_file(const char *path, const char *file) {
    struct stat wanted, st;
    int number, count = 1;
    if (stat(file, &wanted) != 0 || stat(path, &st) != 0) return false;
    if (!shard_of(path, &number, &count)) count = 1;
    for (int i = 2; st.st_dev != wanted.st_dev || st.st_ino != wanted.st_ino; i++)
        if (i > count || !stat_shard(path, i, count, &st)) return false;
    return true;
}

static bool is_known(const model_list *list, const struct stat *st) {
    for (int i = 0; i < list->n; i++)
        if (list->items[i].file == st->st_ino && list->items[i].device == st->st_dev) return true;
    return false;
}

/* Takes name and path over. A file that another cache links to is listed once. */
static void add_model(scan *s, char *name, char *path) {
    struct stat st;
    int number, count;
    bool later_shard = path && shard_of(path, &number, &count) && number != 1;
    if (!name || !path || later_shard || stat(path, &st) != 0 || !S_ISREG(st.st_mode) || is_known(s->list, &st)) {
        free(name);
        free(path);
        return;
    }
    model_list *list = s->list;
    if (list->n == MAX_MODELS) {
        list->cut = "there are more than " TEXT(MAX_MODELS) " models";
        free(name);
        free(path);
        return;
    }
    if (list->n == list->capacity) {
        int capacity = list->capacity ? 2 * list->capacity : 16;
        model_entry *items = realloc(list->items, (size_t)capacity * sizeof *items);
        if (!items) {
            s->no_memory = true;
            free(name);
            free(path);
            return;
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = (model_entry){name, path, s->source, total_bytes(path, &st), st.st_dev, st.st_ino};
}

/* --- folders --- */

typedef void entry_fn(scan *s, const char *path, const char *name, const void *ctx);

/* fn for every entry of a folder that is not hidden; a folder that is not there has none. */
static void each_entry(scan *s, const char *folder, entry_fn *fn, const void *ctx) {
    DIR *dir = folder ? opendir(folder) : NULL;
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        if (s->n_entries++ >= MAX_ENTRIES) {
            s->list->cut = "the caches have more than " TEXT(MAX_ENTRIES) " entries";
            break;
        }
        char *path = text_of(s, "%s/%s", folder, e->d_name);
        if (path) fn(s, path, e->d_name, ctx);
        free(path);
    }
    closedir(dir);
}

typedef struct tree {
    const char *prefix; /* of the names of what lies below */
    int depth;
    const struct tree *above; /* NULL: the cache itself */
    dev_t device;             /* with file: this folder */
    ino_t file;
} tree;

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Where a link leads back up. */
static bool is_above(const tree *at, const struct stat *folder) {
    for (; at; at = at->above)
        if (at->file == folder->st_ino && at->device == folder->st_dev) return true;
    return false;
}

static void add_file(scan *s, const char *path, const char *name, const void *ctx) {
    const tree *above = ctx;
    int number, count;
    if (!ends_with(name, ".gguf")) return;
    size_t n = strlen(name) - (shard_of(path, &number, &count) ? 20 : 5);
    add_model(s, text_of(s, "%s%.*s", above->prefix, (int)n, name), text_of(s, "%s", path));
}

static void add_folder(scan *s, const char *path, const char *name, const void *ctx);

/* Files before folders: where a link leads back, they are known by their short names already. */
static void add_tree(scan *s, const char *folder, const char *prefix, int depth, const tree *above) {
    struct stat st;
    if (!folder || stat(folder, &st) != 0 || is_above(above, &st)) return;
    tree at = {prefix, depth, above, st.st_dev, st.st_ino};
    each_entry(s, folder, add_file, &at);
    each_entry(s, folder, add_folder, &at);
}

static void add_folder(scan *s, const char *path, const char *name, const void *ctx) {
    const tree *above = ctx;
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode) || is_above(above, &st)) return;
    if (above->depth >= MAX_DEPTH) {
        s->list->cut = "folders lie more than " TEXT(MAX_DEPTH) " deep";
        return;
    }
    char *prefix = text_of(s, "%s%s/", above->prefix, name);
    if (prefix) add_tree(s, path, prefix, above->depth + 1, above);
    free(prefix);
}

/* --- Hugging Face: models--org--name/snapshots/<revision>/ --- */

/* The revision that "main" stands for, when only that one is to be listed. */
static char *main_revision(scan *s, const char *repository) {
    char revision[128] = "";
    char *path = text_of(s, "%s/refs/main", repository);
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) {
        if (!fgets(revision, sizeof revision, file)) *revision = 0;
        fclose(file);
    }
    free(path);
    revision[strcspn(revision, "\r\n")] = 0;
    return *revision && !strchr(revision, '/') ? text_of(s, "%s/snapshots/%s", repository, revision) : NULL;
}

static void add_revision(scan *s, const char *path, const char *name, const void *ctx) {
    (void)name;
    add_tree(s, path, ctx, 2, NULL);
}

static void add_repository(scan *s, const char *path, const char *name, const void *ctx) {
    (void)ctx;
    static const char start[] = "models--";
    if (strncmp(name, start, sizeof start - 1) != 0) return;
    const char *org = name + sizeof start - 1, *dashes = strstr(org, "--");
    char *prefix = dashes ? text_of(s, "%.*s/%s/", (int)(dashes - org), org, dashes + 2) : text_of(s, "%s/", org);
    char *snapshots = text_of(s, "%s/snapshots", path), *revision = main_revision(s, path);
    if (prefix && revision && is_folder(revision)) {
        add_tree(s, revision, prefix, 2, NULL);
    } else if (prefix) {
        each_entry(s, snapshots, add_revision, prefix);
    }
    free(prefix);
    free(snapshots);
    free(revision);
}

/* --- Ollama: manifests/<host>/<namespace>/<name>/<tag> names a blob --- */

/* "sha256:…" of the layer that is the model, copied into digest. */
static bool model_digest(const char *manifest, char *digest, size_t size) {
    json_t *root = json_load_file(manifest, JSON_REJECT_DUPLICATES, NULL);
    size_t i;
    json_t *layer;
    bool found = false;
    json_array_foreach(json_object_get(root, "layers"), i, layer) {
        const char *type = json_string_value(json_object_get(layer, "mediaType"));
        const char *value = json_string_value(json_object_get(layer, "digest"));
        if (type && value && strcmp(type, "application/vnd.ollama.image.model") == 0 && strlen(value) < size &&
            strncmp(value, "sha256:", 7) == 0 && !strchr(value, '/')) {
            strcpy(digest, value);
            digest[6] = '-';
            found = true;
        }
    }
    json_decref(root);
    return found;
}

typedef struct ollama {
    const char *root;
    const char *name; /* of the folders above: "", host, host/namespace, host/namespace/name */
    int depth;
} ollama;

/* What `ollama run` takes: the usual host and namespace are not said. */
static const char *short_name(const char *name) {
    static const char *const usual[] = {"registry.ollama.ai/library/", "registry.ollama.ai/"};
    for (int i = 0; i < 2; i++)
        if (strncmp(name, usual[i], strlen(usual[i])) == 0) return name + strlen(usual[i]);
    return name;
}

static void add_manifest(scan *s, const char *path, const char *name, const void *ctx) {
    const ollama *above = ctx;
    if (above->depth < 3) {
        char *below = text_of(s, "%s%s%s", above->name, above->depth ? "/" : "", name);
        if (below && is_folder(path))
            each_entry(s, path, add_manifest, &(ollama){above->root, below, above->depth + 1});
        free(below);
        return;
    }
    char digest[128];
    if (model_digest(path, digest, sizeof digest))
        add_model(s, text_of(s, "%s:%s", short_name(above->name), name),
                  text_of(s, "%s/blobs/%s", above->root, digest));
}

/* --- the caches --- */

/* $variable, or home/rest, or NULL when neither is set. */
static char *folder_of(scan *s, const char *variable, const char *home, const char *rest) {
    const char *value = variable ? getenv(variable) : NULL;
    if (value && *value) return text_of(s, "%s", value);
    return home ? text_of(s, "%s/%s", home, rest) : NULL;
}

static void scan_folder(scan *s, const char *source, char *folder) {
    s->source = source;
    add_tree(s, folder, "", 0, NULL);
    free(folder);
}

static void scan_all(scan *s) {
    const char *home = getenv("HOME"), *hf_home = getenv("HF_HOME");
    char *cache = folder_of(s, "XDG_CACHE_HOME", home, ".cache");

    s->source = "huggingface";
    char *hub = hf_home && *hf_home ? folder_of(s, "HF_HUB_CACHE", hf_home, "hub")
                                    : folder_of(s, "HF_HUB_CACHE", cache, "huggingface/hub");
    each_entry(s, hub, add_repository, NULL);
    free(hub);

    s->source = "ollama";
    char *root = folder_of(s, "OLLAMA_MODELS", home, ".ollama/models");
    char *manifests = root ? text_of(s, "%s/manifests", root) : NULL;
    each_entry(s, manifests, add_manifest, &(ollama){root, "", 0});
    free(manifests);
    free(root);

    scan_folder(s, "lmstudio", folder_of(s, NULL, home, ".lmstudio/models"));
    scan_folder(s, "llama.cpp", folder_of(s, "LLAMA_CACHE", cache, "llama.cpp"));
    scan_folder(s, "tinynn", folder_of(s, NULL, cache, "tinynn"));
    scan_folder(s, "models", text_of(s, "models"));
    free(cache);
}

static int by_name(const void *a, const void *b) {
    const model_entry *x = a, *y = b;
    int order = strcasecmp(x->name, y->name);
    return order ? order : strcmp(x->path, y->path);
}

int models_scan(model_list *list) {
    scan s = {.list = list};
    *list = (model_list){0};
    scan_all(&s);
    if (list->n) qsort(list->items, (size_t)list->n, sizeof *list->items, by_name);
    return s.no_memory ? ui_error(UI_FAILURE, "out of memory while looking for models") : UI_OK;
}

void models_free(model_list *list) {
    for (int i = 0; i < list->n; i++) {
        free(list->items[i].name);
        free(list->items[i].path);
    }
    free(list->items);
    *list = (model_list){0};
}

/* --- by name --- */

static bool is_name(const char *name, const char *wanted) {
    size_t n = strlen(wanted);
    return strcasecmp(name, wanted) == 0 || (strncasecmp(name, wanted, n) == 0 && strcasecmp(name + n, ":latest") == 0);
}

static bool ends_in(const char *name, const char *wanted) {
    size_t n = strlen(name), m = strlen(wanted);
    return n > m && name[n - m - 1] == '/' && strcasecmp(name + n - m, wanted) == 0;
}

static bool holds(const char *name, const char *wanted) {
    size_t m = strlen(wanted);
    for (; *name; name++)
        if (strncasecmp(name, wanted, m) == 0) return true;
    return false;
}

static int ambiguous(const model_list *list, const char *wanted, bool (*matches)(const char *, const char *)) {
    char names[600] = "";
    size_t n = 0;
    for (int i = 0; i < list->n && n < sizeof names - 1; i++)
        if (matches(list->items[i].name, wanted))
            n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", list->items[i].name);
    return ui_error(UI_USAGE, "'%s' may be any of: %s; give more of the name, or a path", wanted, names);
}

/* The better kind of match wins; within a kind there must be one. */
static int match(const model_list *list, const char *model, char **path) {
    static bool (*const kinds[])(const char *, const char *) = {is_name, ends_in, holds};
    char wanted[512];
    int n_kinds = ends_with(model, ".gguf") ? 2 : 3; /* a part of a name is not written like a file */
    snprintf(wanted, sizeof wanted, "%.*s", (int)(strlen(model) - (ends_with(model, ".gguf") ? 5 : 0)), model);
    for (int k = 0; k < n_kinds && *wanted; k++) {
        int found = -1;
        for (int i = 0; i < list->n; i++) {
            if (!kinds[k](list->items[i].name, wanted)) continue;
            if (found >= 0) return ambiguous(list, wanted, kinds[k]);
            found = i;
        }
        if (found >= 0) {
            *path = strdup(list->items[found].path);
            return *path ? UI_OK : ui_error(UI_FAILURE, "out of memory");
        }
    }
    return ui_error(UI_USAGE, "no file and no model is called '%s'; tnn list shows the models on this machine", model);
}

int models_find(const char *model, char **path) {
    *path = NULL;
    if (strcmp(model, "-") == 0)
        return ui_error(UI_USAGE, "a model is not read from standard input; name a GGUF file, or a model of tnn list");
    struct stat st;
    int rc = stat(model, &st);
    if (rc == 0 && S_ISDIR(st.st_mode)) return ui_error(UI_USAGE, "%s is a folder; name the GGUF file in it", model);
    if (rc == 0 || (errno != ENOENT && errno != ENOTDIR && errno != ENAMETOOLONG)) {
        *path = strdup(model);
        return *path ? UI_OK : ui_error(UI_FAILURE, "out of memory");
    }
    model_list list;
    int code = models_scan(&list);
    if (code == UI_OK) code = match(&list, model, path);
    models_free(&list);
    return code;
}
