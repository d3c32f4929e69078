/* Choosing kernels at run time. */
#ifndef TNN_CPU_DISPATCH_H
#define TNN_CPU_DISPATCH_H

#include <tinynn/isa.h>

#include "cpu/kernels.h"

/* Fills the table for the highest level that is both available and <= max. Returns the level reached. */
tnn_isa tnn__kernels_init(tnn__kernels *k, tnn_isa max);

#endif
