/* Products of training with NEON. */
#include "cpu/arm/vec_f32.h"

#include "cpu/arm/init.h"

#define TNN__TO_F32 tnn__to_f32_neon
#include "cpu/vec/gemm_train.h"

void tnn__kernels_init_gemm_train_neon(tnn__kernels *k) {
    set_gemm_train(k);
}
