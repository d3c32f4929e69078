/* Int8 products with the dot product instructions. */
#define TNN__ARM_LEVEL 1
#include "cpu/arm/gemm_q8.h"

void tnn__kernels_init_q8_dotprod(tnn__kernels *k) {
    init_gemm_q8(k);
}
