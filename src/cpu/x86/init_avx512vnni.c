/* The AVX-512 VNNI table over that of AVX-512. Pointers only. */
#include "cpu/kernels.h"
#include "cpu/kernels_q8.h"

void tnn__kernels_init_avx512vnni(tnn__kernels *k) {
    tnn__kernels_init_q8_avx512vnni(k);
}
