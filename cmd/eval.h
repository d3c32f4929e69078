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

/* The answers of a data set instead of a text (eval_data.c). */
int eval_data(const eval_args *args, engine *e, taps *t);

#endif
