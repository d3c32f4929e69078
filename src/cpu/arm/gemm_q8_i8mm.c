/* Int8 products with the 8-bit matrix instructions. */
#define TNN__ARM_LEVEL 2
#include "cpu/arm/gemm_q8.h"

void tnn__kernels_init_q8_i8mm(tnn__kernels *k) {
    init_gemm_q8(k);
}
