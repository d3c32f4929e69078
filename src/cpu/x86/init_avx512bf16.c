/* The AVX-512 BF16 table over that of AVX-512 VNNI. Pointers only. */
#include "cpu/kernels.h"
#include "cpu/x86/init.h"

void tnn__kernels_init_avx512bf16(tnn__kernels *k) {
    tnn__kernels_init_gemm_avx512bf16(k);
    tnn__kernels_init_gemm_train_avx512bf16(k);
}
