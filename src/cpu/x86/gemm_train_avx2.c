/* Products of training with vectors of 256 bits. */
#define TNN__WIDE 0
#include "cpu/x86/vec_f32.h"

#include "cpu/x86/init.h"

#define TNN__TO_F32 tnn__to_f32_avx2
#include "cpu/vec/gemm_train.h"

/* After gemm_avx2: with F32 activations, the products of plain weights serve training as they are. */
void tnn__kernels_init_gemm_train_avx2(tnn__kernels *k) {
    set_gemm_train(k);
    k->gemm_float[TNN_TYPE_F32] = k->gemm[TNN_TYPE_F32];
    k->gemm_float[TNN_TYPE_F16] = k->gemm[TNN_TYPE_F16];
    k->gemm_float[TNN_TYPE_BF16] = k->gemm[TNN_TYPE_BF16];
}
