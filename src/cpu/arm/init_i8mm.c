/* The 8-bit matrix instructions bring nothing of their own yet: the level runs the dot product kernels. */
#include "cpu/kernels.h"

void tnn__kernels_init_i8mm(tnn__kernels *k) {
    (void)k;
}
