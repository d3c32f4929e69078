/* Matrix product with float activations: one weight row at a time, unpacked into scratch (n_in reals). */
#include "cpu/ref/real.h"

static void gemm(const gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    real *w = scratch;
    for (int64_t i = row0; i < row1; i++) {
        load_row(a->type, (const char *)a->w + (size_t)i * a->row_bytes, w, a->n_in);
        for (int64_t t = 0; t < a->n_cols; t++) {
            real y = dot(w, a->x + t * a->x_stride, a->n_in);
            a->y[t * a->y_stride + i] = a->bias ? y + a->bias[i] : y;
        }
    }
}
