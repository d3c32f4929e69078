/*
 * What gated_delta_net keeps for its gradient, one layout for the op, which asks for the memory, and the kernels, which
 * fill it. Of every value head, rows of d_v: one for each row of the batch, what the state read wrongly there (r of
 * cpu/ref/gdn.inc.h); then states of d_k rows, from which those within a block follow.
 */
#ifndef TNN_CORE_GDN_KEPT_H
#define TNN_CORE_GDN_KEPT_H

#include <stdint.h>

enum { TNN__GDN_BLOCK = 512 };

/* Rows of d_v kept of a head, of a batch of n_rows. */
static inline int64_t tnn__gdn_kept_rows(int64_t n_rows, int64_t d_k) {
    return n_rows + (n_rows - 1) / TNN__GDN_BLOCK * d_k;
}

/* Rows of a sequence after each of which the state is kept: TNN__GDN_BLOCK or a little more, whole chunks. */
static inline int64_t tnn__gdn_block(int64_t chunk) {
    return (TNN__GDN_BLOCK + chunk - 1) / chunk * chunk;
}

/* The row kept, of those of all heads, for row t of the batch in head h. */
static inline int64_t tnn__gdn_kept_row(int64_t n_rows, int64_t d_k, int64_t h, int64_t t) {
    return h * tnn__gdn_kept_rows(n_rows, d_k) + t;
}

/*
 * The first of those that hold the state of head h found by row t, one or more blocks into its sequence. No two such t
 * lie closer than TNN__GDN_BLOCK, so each has a place of its own.
 */
static inline int64_t tnn__gdn_kept_state(int64_t n_rows, int64_t d_k, int64_t h, int64_t t) {
    return tnn__gdn_kept_row(n_rows, d_k, h, n_rows + (t / TNN__GDN_BLOCK - 1) * d_k);
}

#endif
