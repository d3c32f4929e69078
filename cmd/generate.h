/* Generating text, for run and chat: the options of sampling, the prompt with progress, the text as it comes. */
#ifndef CMD_GENERATE_H
#define CMD_GENERATE_H

#include <stdbool.h>

#include <tinynn/seq.h>
#include <tinynn/tokenizer.h>

#include "args.h"
#include "open.h"
#include "taps.h"
#include "ui.h"

typedef struct sample_args {
    int64_t n_predict, seed, top_k, repeat_last_n;
    double temperature, top_p, min_p, typical_p, repeat_penalty, presence_penalty, frequency_penalty;
    bool ignore_eos;
    arg_texts stops;
} sample_args;

extern const arg_option sample_options[];

void sample_args_init(sample_args *args);       /* defaults, from the library's */
int sample_args_check(const sample_args *args); /* what the option table cannot check; returns the exit status */
/* A seed of -1 becomes one taken from the clock, so that it can be told. */
void sample_args_pick_seed(sample_args *args);

typedef struct generation {
    const sample_args *sample;
    engine *engine;
    taps *taps;
    const char *prompt_cache; /* the computed prompt is saved there; NULL: nowhere */
    bool stream;              /* text to stdout as it comes */
    tnn_text text;            /* all of it; freed by generation_end */
    int code;                 /* of what went wrong in a callback */
    int64_t n_prompt;         /* for the progress line */
    int64_t n_computed;       /* of the prompt: what was not known already */
    bool has_token;           /* one was generated */
    ui_progress progress;
    tnn_generate_result result;
} generation;

/*
 * Computes the prompt (what the cache already holds of it is not computed again) and generates. Returns the exit
 * status; an interrupt is no failure: result.finish is then TNN_FINISH_CANCELLED. The new ids follow the prompt in
 * tnn_seq_ids.
 */
int generation_run(generation *gen, const tnn_ids *prompt);
void generation_end(generation *gen);

double tokens_per_second(int64_t tokens, double seconds); /* 0 for no time */
/* "prompt 12 tokens (345.6 tok/s), 64 new (120.3 tok/s), stop" on stderr */
void generation_print_timings(const generation *gen);

#endif
