/* Int8 products with AVX-VNNI. */
#define TNN__WIDE 0
#define TNN__VNNI 1
#include "cpu/x86/gemm_q8.h"

void tnn__kernels_init_q8_avxvnni(tnn__kernels *k) {
    init_gemm_q8(k);
}
