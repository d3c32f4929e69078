/* What the dot product instructions change: the int8 products. */
#include "cpu/kernels_q8.h"

void tnn__kernels_init_dotprod(tnn__kernels *k) {
    tnn__kernels_init_q8_dotprod(k);
}
