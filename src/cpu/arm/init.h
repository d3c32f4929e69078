/* The float parts of the AArch64 tables, by file. */
#ifndef TNN_CPU_ARM_INIT_H
#define TNN_CPU_ARM_INIT_H

#include "cpu/kernels.h"

void tnn__kernels_init_attention_neon(tnn__kernels *k);
void tnn__kernels_init_attention_back_neon(tnn__kernels *k);
void tnn__kernels_init_convert_neon(tnn__kernels *k);
void tnn__kernels_init_gates_neon(tnn__kernels *k);
void tnn__kernels_init_gdn_neon(tnn__kernels *k);
void tnn__kernels_init_gemm_neon(tnn__kernels *k);
void tnn__kernels_init_gemm_train_neon(tnn__kernels *k);
void tnn__kernels_init_rows_neon(tnn__kernels *k);
void tnn__kernels_init_rows_back_neon(tnn__kernels *k);

/* Rows of every type that models are made of to F32. */
extern tnn__to_f32_fn *const tnn__to_f32_neon[TNN_TYPE_COUNT];

#endif
