/* What the 8-bit matrix instructions change: the int8 products. */
#include "cpu/kernels_q8.h"

void tnn__kernels_init_i8mm(tnn__kernels *k) {
    tnn__kernels_init_q8_i8mm(k);
}
