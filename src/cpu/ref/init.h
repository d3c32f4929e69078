/* The parts of the portable table. */
#ifndef TNN_CPU_REF_INIT_H
#define TNN_CPU_REF_INIT_H

#include "cpu/kernels.h"

void tnn__kernels_init_float_portable(tnn__kernels *k);
void tnn__kernels_init_bf16_portable(tnn__kernels *k); /* products of training in BF16 */

#endif
