/* The float parts of the x86 tables, by file. */
#ifndef TNN_CPU_X86_INIT_H
#define TNN_CPU_X86_INIT_H

#include "cpu/kernels.h"

void tnn__kernels_init_gemm_avx2(tnn__kernels *k);
void tnn__kernels_init_gemm_train_avx2(tnn__kernels *k); /* after gemm_avx2 */
void tnn__kernels_init_attention_back_avx2(tnn__kernels *k);
void tnn__kernels_init_rows_back_avx2(tnn__kernels *k);
void tnn__kernels_init_attention_avx2(tnn__kernels *k);
void tnn__kernels_init_rows_avx2(tnn__kernels *k);
void tnn__kernels_init_convert_avx2(tnn__kernels *k);
void tnn__kernels_init_gdn_avx2(tnn__kernels *k);
void tnn__kernels_init_gates_avx2(tnn__kernels *k);

void tnn__kernels_init_gemm_avx512(tnn__kernels *k);
void tnn__kernels_init_gemm_train_avx512(tnn__kernels *k); /* after gemm_avx512 */
void tnn__kernels_init_attention_avx512(tnn__kernels *k);
void tnn__kernels_init_attention_back_avx512(tnn__kernels *k);
void tnn__kernels_init_rows_avx512(tnn__kernels *k);
void tnn__kernels_init_gdn_avx512(tnn__kernels *k);

void tnn__kernels_init_gemm_avx512bf16(tnn__kernels *k);
void tnn__kernels_init_gemm_train_avx512bf16(tnn__kernels *k);
tnn__gemm_fn tnn__gemm_bf16_avx512; /* what that one leaves to the level below */

/* Rows of every type that models are made of to F32. */
extern tnn__to_f32_fn *const tnn__to_f32_avx2[TNN_TYPE_COUNT];

#endif
