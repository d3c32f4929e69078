/* The AVX2 table. Pointers only: nothing here needs the level it is compiled for. */
#include "cpu/kernels.h"
#include "cpu/kernels_q8.h"
#include "cpu/x86/init.h"

void tnn__kernels_init_avx2(tnn__kernels *k) {
    tnn__kernels_init_q8_avx2(k);
    tnn__kernels_init_gemm_avx2(k);
    tnn__kernels_init_attention_avx2(k);
    tnn__kernels_init_rows_avx2(k);
    tnn__kernels_init_convert_avx2(k);
    tnn__kernels_init_gdn_avx2(k);
    tnn__kernels_init_gates_avx2(k);
    tnn__kernels_init_gemm_train_avx2(k);
    tnn__kernels_init_attention_back_avx2(k);
    tnn__kernels_init_rows_back_avx2(k);
}
