/* The parts of the portable table. */
#ifndef TNN_CPU_REF_INIT_H
#define TNN_CPU_REF_INIT_H

#include "cpu/kernels.h"

void tnn__kernels_init_float_portable(tnn__kernels *k);

#endif
