/*
 * Options that many verbs share, and opening what they name: a file, or a session with a model and a sequence. Every
 * function reports its own failure and returns the exit status.
 */
#ifndef CMD_OPEN_H
#define CMD_OPEN_H

#include <stdbool.h>
#include <stdint.h>

#include <tinynn/gguf.h>
#include <tinynn/seq.h>

#include "args.h"

typedef struct file_args {
    const char *model;
    bool no_mmap;
} file_args;

typedef struct compute_args {
    int64_t n_threads;
    const char *isa;
} compute_args;

typedef struct adapter_args {
    arg_texts lora;
} adapter_args;

typedef struct context_args {
    int64_t n_ctx, n_batch;
    const char *kv_type;
} context_args;

extern const arg_option file_options[];
extern const arg_option compute_options[];
extern const arg_option adapter_options[];
extern const arg_option context_options[];

void context_args_init(context_args *args); /* defaults, from the library's */

int context_kv_type(const context_args *args, tnn_type *type);
int context_check(const context_args *args); /* what the option table cannot check, before a model is opened */

/* Adapters that can be named so, and are there. */
int check_adapters(const adapter_args *args);
/* The name of a chat template, or its text; NULL is the model's own. */
int check_chat_template(const char *name);

/* The path that MODEL means, malloc'd; NULL on failure. */
int open_find(const file_args *file, char **path);
int open_gguf(tnn_gguf **out, const char *path, const file_args *file);

/*
 * Before anything is computed: the folder of an output file is there and can be written into, and what the file, which
 * is written whole, takes the place of is no device and no pipe.
 */
int check_output(const char *path);
/* A folder to write into is there, or can be made where it is to be. */
int check_new_folder(const char *path);
/* `out` is not the file that is read, nor a further shard of it. */
int check_not_input(const char *out, const char *input);
/* The same of the model and every adapter; NULL is no file. */
int check_not_read(const char *out, const file_args *file, const adapter_args *adapters);
/* Two files to be written are not one, whether they are there yet or not. */
int check_apart(const char *out, const char *other);

typedef struct engine {
    tnn_session *session;
    tnn_model *model;
    tnn_seq *seq;
} engine;

int open_session(engine *e, const compute_args *compute);
/*
 * Session, model and, unless NULL, adapters beside the model's linears: F or F:SCALE each. Whatever comes of it,
 * close_engine frees what is there.
 */
int open_engine(engine *e, const file_args *file, const compute_args *compute, const adapter_args *adapters);
/* `taps` are globs separated by commas, or NULL. */
int open_seq(engine *e, const context_args *context, const char *taps);
void close_engine(engine *e);

/* Number of threads the verbs without a session use: what -t says, else one per processor. */
int thread_count(int64_t n_threads);

#endif
