/* The int8 half of each table: activation quantiser and the products that read it. Called by the table's own init. */
#ifndef TNN_CPU_KERNELS_Q8_H
#define TNN_CPU_KERNELS_Q8_H

#include "cpu/kernels.h"

void tnn__kernels_init_q8_portable(tnn__kernels *k);
void tnn__kernels_init_q8_avx2(tnn__kernels *k);
void tnn__kernels_init_q8_avxvnni(tnn__kernels *k);
void tnn__kernels_init_q8_avx512(tnn__kernels *k);
void tnn__kernels_init_q8_avx512vnni(tnn__kernels *k);

tnn__quantize_act_fn tnn__quantize_act_portable;
tnn__quantize_act_fn tnn__quantize_act_avx2;

#endif
