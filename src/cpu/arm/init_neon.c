/* The NEON part of the table. */
#include "cpu/arm/init.h"
#include "cpu/kernels_q8.h"

void tnn__kernels_init_neon(tnn__kernels *k) {
    tnn__kernels_init_q8_neon(k);
    tnn__kernels_init_attention_neon(k);
    tnn__kernels_init_attention_back_neon(k);
    tnn__kernels_init_convert_neon(k);
    tnn__kernels_init_gdn_neon(k);
    tnn__kernels_init_gates_neon(k);
    tnn__kernels_init_gemm_neon(k);
    tnn__kernels_init_gemm_train_neon(k);
    tnn__kernels_init_rows_neon(k);
    tnn__kernels_init_rows_back_neon(k);
}
