/*
 * Taps of a forward pass, gathered over all batches of a verb: statistics per tap, and the rows themselves where they
 * are to be kept in a file.
 */
#ifndef CMD_TAPS_H
#define CMD_TAPS_H

#include <jansson.h>
#include <tinynn/seq.h>

#include "args.h"

typedef struct tap_args {
    arg_texts globs;
    const char *out;
} tap_args;

extern const arg_option tap_options[]; /* --tap, --tap-out */

typedef struct tap tap;

typedef struct taps {
    char *globs; /* joined with commas for tnn_seq_options; NULL: no taps */
    bool keep;   /* rows too */
    tap *items;
    int64_t n;
} taps;

/* Each returns the exit status, having reported a failure. */
int taps_begin(taps *t, const tap_args *args);
/* Takes in n_rows rows of a tap. */
int taps_add(taps *t, const char *name, const float *rows, int64_t n_features, int64_t n_rows);
/* The same of all taps of the last batch of q. */
int taps_collect(taps *t, const tnn_seq *q);
/* Writes the rows to args->out, if asked: a GGUF with one F32 tensor [features, rows] per tap. */
int taps_write(const taps *t, const tap_args *args);
json_t *taps_json(const taps *t);
void taps_print(const taps *t); /* a table on stderr */
void taps_end(taps *t);

#endif
