/* The gated delta rule with vectors of 256 bits. */
#define TNN__WIDE 0
#include "cpu/x86/vec_f32.h"

#define other_run          tnn__gdn_portable
#define other_back         tnn__gdn_back_portable
#define other_scratch      tnn__gdn_portable_scratch
#define other_back_scratch tnn__gdn_back_portable_scratch
#include "cpu/vec/gdn.h"
#include "cpu/x86/init.h"

void tnn__gdn_avx2(const tnn__gdn_args *a, int64_t c, int64_t h, int64_t t0, int64_t t1, float *state, void *scratch) {
    gdn(a, c, h, t0, t1, state, scratch);
}

void tnn__gdn_back_avx2(const tnn__gdn_back_args *a, int64_t c, int64_t h, int64_t t0, int64_t t1, const float *state,
                        float *dstate, bool add, void *scratch) {
    gdn_back(a, c, h, t0, t1, state, dstate, add, scratch);
}

size_t tnn__gdn_avx2_scratch(const tnn__gdn_args *a, int64_t rows) {
    return gdn_scratch(a, rows);
}

size_t tnn__gdn_back_avx2_scratch(const tnn__gdn_args *a, int64_t rows) {
    return gdn_back_scratch(a, rows);
}

void tnn__kernels_init_gdn_avx2(tnn__kernels *k) {
    set_gdn(k, 32);
}
