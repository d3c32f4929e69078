/* Int8 products with NEON alone. */
#define TNN__ARM_LEVEL 0
#include "cpu/arm/gemm_q8.h"

void tnn__kernels_init_q8_neon(tnn__kernels *k) {
    init_gemm_q8(k);
}
