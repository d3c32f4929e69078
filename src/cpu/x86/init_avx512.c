/* The AVX-512 table over that of AVX2. Pointers only. */
#include "cpu/kernels.h"
#include "cpu/kernels_q8.h"
#include "cpu/x86/init.h"

void tnn__kernels_init_avx512(tnn__kernels *k) {
    tnn__kernels_init_q8_avx512(k);
    tnn__kernels_init_gemm_avx512(k);
    tnn__kernels_init_gemm_train_avx512(k);
    tnn__kernels_init_attention_avx512(k);
    tnn__kernels_init_attention_back_avx512(k);
    tnn__kernels_init_rows_avx512(k);
    tnn__kernels_init_gdn_avx512(k);
}
