/* The AVX-VNNI table over that of AVX2. Pointers only. */
#include "cpu/kernels.h"
#include "cpu/kernels_q8.h"

void tnn__kernels_init_avxvnni(tnn__kernels *k) {
    tnn__kernels_init_q8_avxvnni(k);
}
