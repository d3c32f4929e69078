/* The int8 half of each table: activation quantiser and the products that read it. Called by the table's own init. */
#ifndef TNN_CPU_KERNELS_Q8_H
#define TNN_CPU_KERNELS_Q8_H

#include "cpu/kernels.h"

void tnn__kernels_init_q8_portable(tnn__kernels *k);
void tnn__kernels_init_q8_avx2(tnn__kernels *k);
void tnn__kernels_init_q8_avxvnni(tnn__kernels *k);
void tnn__kernels_init_q8_avx512(tnn__kernels *k);
void tnn__kernels_init_q8_avx512vnni(tnn__kernels *k);

void tnn__kernels_init_q8_neon(tnn__kernels *k);
void tnn__kernels_init_q8_dotprod(tnn__kernels *k);
void tnn__kernels_init_q8_i8mm(tnn__kernels *k);

/* A row of a block type: n integers, and per 16 of them a scale and an offset, w = scale * q + offset. */
void tnn__unpack_q8_row(tnn_type type, const void *row, int64_t n, int8_t *q, float *scale, float *offset);

tnn__quantize_act_fn tnn__quantize_act_portable;
tnn__quantize_act_fn tnn__quantize_act_avx2;

#endif
