/* The AVX512BF16 part of the table. Pointers only: nothing here needs the level it is compiled for. */
#include "cpu/kernels.h"

void tnn__kernels_init_avx512bf16(tnn__kernels *k) {
    (void)k;
}
