/* What the parts of `tnn bench` share: its arguments, rates over several rounds, the machine's limits. */
#ifndef CMD_BENCH_H
#define CMD_BENCH_H

#include <jansson.h>
#include <tinynn/probe.h>

#include "open.h"

#define BENCH_MAX_REPEATS 1000

typedef struct bench_args {
    file_args file;
    compute_args compute;
    context_args context;
    int64_t n_prompt, n_gen, n_depth, n_repeats;
    int64_t lora_rank; /* 0: not given */
    const char *train, *dtype;
    bool grad_checkpoint, memory, json;
} bench_args;

typedef struct bench_rate {
    double median, min, max; /* tokens per second */
} bench_rate;

bench_rate bench_rate_of(double *values, int64_t n); /* sorts them */

/* Ids that are no text and the same everywhere; speed does not depend on them. */
void bench_fill_ids(int32_t *ids, int64_t n, int64_t n_vocab);

/* The better of two probes is what the machine could do. */
double bench_better(double a, double b);

int bench_probe(tnn_session *s, tnn_probe *out);
json_t *bench_probe_json(const tnn_probe *p);
void bench_print_probe(const char *when, const tnn_probe *p);
json_t *bench_rate_json(int64_t n_tokens, const bench_rate *r, const char *share_name, double share);

/* Training instead of prefill and decoding (bench_train.c). */
int bench_train(const bench_args *args);

#endif
