/* The dataset record and how sequences are added to it. */
#ifndef TNN_ENGINE_DATASET_H
#define TNN_ENGINE_DATASET_H

#include <tinynn/dataset.h>

#include "base/alloc.h"
#include "base/error.h"

struct tnn_dataset {
    tnn_allocator alloc;
    tnn_dataset_options options;
    tnn_ids ids;      /* all sequences, one after the other */
    tnn_text trained; /* a byte per id */
    int64_t *begins;  /* [n_sequences + 1] */
    int64_t cap_begins;
    tnn_dataset_stats stats;
};

tnn_status tnn__dataset_new(tnn_dataset **out, const tnn_dataset_options *options, const tnn_allocator *a,
                            tnn_error *err);

/*
 * Ends the sequence made of what was appended to ids and trained since the last call: cut to max_length and counted;
 * dropped and counted if no target is left.
 */
tnn_status tnn__dataset_end_sequence(tnn_dataset *d, tnn_error *err);

#endif
