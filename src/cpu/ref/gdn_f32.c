/* Gated DeltaNet's kernels in single precision: that part of the portable table. */
#include "cpu/kernels_gdn.h"
#include "cpu/ref/gdn.inc.h"

#include "cpu/ref/gates.inc.h"

void tnn__gdn_portable(const tnn__gdn_args *a, int64_t c, int64_t h, int64_t t0, int64_t t1, float *state,
                       void *scratch) {
    gdn(a, c, h, t0, t1, state, scratch);
}

void tnn__gdn_back_portable(const tnn__gdn_back_args *a, int64_t c, int64_t h, int64_t t0, int64_t t1,
                            const float *state, float *dstate, bool add, void *scratch) {
    gdn_back(a, c, h, t0, t1, state, dstate, add, scratch);
}

size_t tnn__gdn_portable_scratch(const tnn__gdn_args *a, int64_t rows) {
    return gdn_scratch_bytes(a, rows);
}

size_t tnn__gdn_back_portable_scratch(const tnn__gdn_args *a, int64_t rows) {
    return gdn_back_scratch_bytes(a, rows);
}

void tnn__kernels_init_gdn_portable(tnn__kernels *k) {
    SET_GDN_KERNELS(k);
}
