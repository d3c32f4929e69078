/* What the parts of `tnn eval` share: its arguments. */
#ifndef CMD_EVAL_H
#define CMD_EVAL_H

#include <tinynn/eval.h>

#include "open.h"
#include "taps.h"

typedef struct eval_args {
    file_args file;
    compute_args compute;
    adapter_args adapters;
    tap_args taps;
    context_args context; /* n_ctx is the longest row of data, too */
    const char *text, *data;
    int64_t n_chunks;
    bool no_bos, no_special;
    bool mask_prompt, no_mask_prompt;
    const char *chat_template, *system;
    bool json;
} eval_args;

/* --- the answers of a data set instead of a text (eval_data.c) --- */

enum { EVAL_PATH = 4096 };

/* The file that --data means: itself, or, in a folder, the rows that were kept for the end. */
int eval_data_find(const char *data, char path[EVAL_PATH]);
int eval_data(const eval_args *args, const char *path, engine *e, taps *t);

#endif
