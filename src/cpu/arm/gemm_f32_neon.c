/* Matrix product with F32 activations and F32, F16 or BF16 weights: dot products, for many columns too. */
#include "cpu/arm/vec_f32.h"

#include "cpu/arm/init.h"
#include "cpu/vec/gemm_dot.h"

static size_t no_scratch(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_in, (void)n_cols, (void)rows;
    return 0;
}

#define TYPES(X) X(F32) X(F16) X(BF16)
#define X(TYPE)                                                                                                        \
    static void gemm_##TYPE(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {                      \
        (void)scratch;                                                                                                 \
        gemm_dot(TNN_TYPE_##TYPE, a, row0, row1);                                                                      \
    }
TYPES(X)
#undef X

void tnn__kernels_init_gemm_neon(tnn__kernels *k) {
#define X(TYPE) k->gemm[TNN_TYPE_##TYPE] = (tnn__gemm_kernel){gemm_##TYPE, false, DOT_ROWS, no_scratch};
    TYPES(X)
#undef X
}
