/* The i8mm part of the table. Pointers only: nothing here needs the level it is compiled for. */
#include "cpu/kernels.h"

void tnn__kernels_init_i8mm(tnn__kernels *k) {
    (void)k;
}
