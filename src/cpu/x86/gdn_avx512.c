/* The gated delta rule with vectors of 512 bits. */
#define TNN__WIDE 1
#include "cpu/x86/vec_f32.h"

#define other_run          tnn__gdn_avx2
#define other_back         tnn__gdn_back_avx2
#define other_scratch      tnn__gdn_avx2_scratch
#define other_back_scratch tnn__gdn_back_avx2_scratch
#include "cpu/vec/gdn.h"
#include "cpu/x86/init.h"

void tnn__kernels_init_gdn_avx512(tnn__kernels *k) {
    set_gdn(k, 32);
}
