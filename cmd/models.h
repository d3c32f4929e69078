/*
 * The models on this machine: GGUF files in the caches of Hugging Face, Ollama, LM Studio and llama.cpp, in tinynn's
 * own cache and in ./models, and how one is found by a name.
 */
#ifndef CMD_MODELS_H
#define CMD_MODELS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct model_entry {
    char *name; /* "org/name/file" (hub, LM Studio), "name:tag" (Ollama), "file" elsewhere; no .gguf */
    char *path;
    const char *source; /* "huggingface", "ollama", "lmstudio", "llama.cpp", "tinynn", "models" */
    uint64_t bytes;     /* of all shards */
    dev_t device;       /* with file: one file that lies in two places is one model */
    ino_t file;
} model_entry;

typedef struct model_list {
    model_entry *items; /* sorted by name */
    int n, capacity;
    const char *cut; /* why the search ended early somewhere, or NULL */
} model_list;

/*
 * Looks through the caches, so many folders deep and no more entries and models than a person keeps; what cannot be
 * read is passed over. Returns the exit status (out of memory is the only failure).
 */
int models_scan(model_list *list);
void models_free(model_list *list);

/*
 * The path that MODEL means: a file of that path if there is one, else the model whose name it is, or whose name ends
 * in it or holds it. Returns the exit status; *path is then malloc'd. None or several are errors that say which.
 */
int models_find(const char *model, char **path);

/* Whether `file` is, by whatever name, the file at path or a further shard of it. */
bool models_has_file(const char *path, const char *file);

#endif
