/* The parts of the portable table, and the scratch that their products take. */
#ifndef TNN_CPU_REF_INIT_H
#define TNN_CPU_REF_INIT_H

#include "cpu/kernels.h"

/* A row of W as F32. */
static inline size_t tnn__row_scratch(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_cols, (void)rows;
    return (size_t)n_in * sizeof(float);
}

static inline size_t tnn__no_scratch(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_in, (void)n_cols, (void)rows;
    return 0;
}

void tnn__kernels_init_float_portable(tnn__kernels *k);
void tnn__kernels_init_bf16_portable(tnn__kernels *k); /* products of training in BF16 */

#endif
