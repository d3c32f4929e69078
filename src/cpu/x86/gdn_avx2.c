/* The gated delta rule with vectors of 256 bits. */
#define TNN__WIDE 0
#include "cpu/x86/gdn.h"

void tnn__kernels_init_gdn_avx2(tnn__kernels *k) {
    set_gdn(k, 32);
}
