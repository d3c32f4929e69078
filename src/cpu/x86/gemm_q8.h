/*
 * Matrix products of quantised weights with int8 activations, written once for the x86 levels: each gemm_q8_<level>.c
 * defines TNN__WIDE and TNN__VNNI (see vec_q8.h), includes this and fills its part of the table.
 *
 * Two ways, by the number of columns:
 *
 * - Few columns (decoding): each row is read once, straight from its blocks, and multiplied along K; memory is the
 *   limit.
 * - More: TILE_ROWS rows at a time, in slices of K, are unpacked to a panel that stays in the L1 cache and multiplied
 *   with all columns. The codes of a panel lie in fours along K, row beside row, so that a lane of a vector is a row,
 *   the activations come as broadcasts of four bytes, and no sum ever crosses lanes.
 *
 * Sums over a group of 32 are exact integers; groups are added in F32, in ascending order of K in a panel.
 */
#ifndef TNN_CPU_X86_GEMM_Q8_H
#define TNN_CPU_X86_GEMM_Q8_H

#include "cpu/kernels_q8.h"
#include "cpu/x86/unpack_q8.h"

enum {
    FEW_COLUMNS = 3,
    TILE_VECTORS = 2, /* of rows */
    TILE_ROWS = TILE_VECTORS * LANES,
};

static int64_t min_i64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

#include "cpu/x86/gemm_q8_rows.h"

#include "cpu/x86/gemm_q8_panel.h"

/* --- table -------------------------------------------------------------------------------------------------------- */

KERNEL void gemm_q8(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    switch (a->n_cols) {
    case 1:
        multiply_rows(type, 1, a, row0, row1, scratch);
        break;
    case 2:
        multiply_rows(type, 2, a, row0, row1, scratch);
        break;
    case 3:
        multiply_rows(type, 3, a, row0, row1, scratch);
        break;
    default:
        multiply_panels(type, a, row0, row1, scratch);
    }
}

#define X(TYPE)                                                                                                        \
    static void gemm_##TYPE(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {                      \
        gemm_q8(TNN_TYPE_##TYPE, a, row0, row1, scratch);                                                              \
    }                                                                                                                  \
    static size_t scratch_##TYPE(int64_t n_in, int64_t n_cols, int64_t rows) {                                         \
        (void)rows;                                                                                                    \
        return n_cols <= FEW_COLUMNS ? rows_scratch_bytes(TNN_TYPE_##TYPE, n_in, n_cols)                               \
                                     : panel_bytes(TNN_TYPE_##TYPE, n_in);                                             \
    }
TNN__Q8_TYPES(X)
#undef X

static void init_gemm_q8(tnn__kernels *k) {
#define X(TYPE)                                                                                                        \
    k->gemm[TNN_TYPE_##TYPE] = (tnn__gemm_kernel){.run = gemm_##TYPE,                                                  \
                                                  .int8_activations = true,                                            \
                                                  .row_align = TILE_ROWS,                                              \
                                                  .scratch_bytes = scratch_##TYPE};
    TNN__Q8_TYPES(X)
#undef X
}

#endif
