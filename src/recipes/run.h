/* A run that is set up: what setup.c makes and run.c trains. */
#ifndef TNN_RECIPES_RUN_H
#define TNN_RECIPES_RUN_H

#include <tinynn/adapter.h>
#include <tinynn/checkpoint.h>
#include <tinynn/train.h>

#include "base/alloc.h"
#include "base/file.h"
#include "core/session.h"
#include "recipes/config.h"

struct tnn_run {
    tnn_session *session;
    tnn_train_config config;
    void *config_owner; /* of its strings, when read from a file */
    tnn__run_hashes hashes;
    bool data_changed;    /* since the run began */
    tnn_gguf *base;       /* config.model, or NULL */
    tnn_gguf *vocabulary; /* where the tokenizer comes from; base, or one of its own */
    void *vocabulary_bytes;
    size_t n_vocabulary_bytes;
    tnn_tokenizer *tokenizer;
    tnn_chat_template *chat; /* NULL: rows of text alone */
    tnn_llama_arch *arch;
    tnn_store *weights;
    tnn_store *pairs; /* of LoRA */
    tnn_adapter_pair *pair_list;
    int64_t n_pairs;
    tnn_dataset *train, *valid; /* valid may be NULL */
    int64_t batch_rows;         /* tokens of a batch, padding included */
    tnn_trainer *trainer;
    bool used_up;                  /* measured, or trained into one folder: its trainer is no longer as it began */
    const tnn__file_ops *file_ops; /* of saves; NULL: the system's */
};

/* What training goes on in: weights, or the pairs of LoRA. */
static inline tnn_store *tnn__trained_store(const tnn_run *r) {
    return r->config.recipe == TNN_RECIPE_LORA ? r->pairs : r->weights;
}

const char *tnn__run_result(const tnn_run *r); /* name of its file */
/* Writes the result of a run: model or adapter. */
tnn_status tnn__run_export(const tnn_run *r, const char *path, tnn_error *err);

/* Whether the result's file leads others to the chat template that the rows are written in. */
bool tnn__run_names_template(const tnn_run *r);

/* What the model as it stands says to config.sample_prompt, added to out. */
tnn_status tnn__run_sample(const tnn_run *r, tnn_text *out, tnn_error *err);
/* Bytes that takes while it runs; 0 without a prompt. */
size_t tnn__run_sample_bytes(const tnn_run *r);

#endif
