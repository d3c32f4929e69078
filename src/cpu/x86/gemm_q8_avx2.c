/* Int8 products with AVX2. */
#define TNN__WIDE 0
#define TNN__VNNI 0
#include "cpu/x86/gemm_q8.h"

void tnn__kernels_init_q8_avx2(tnn__kernels *k) {
    k->quantize_act = tnn__quantize_act_avx2;
    init_gemm_q8(k);
}
