/* Kernels over one row with 512 bits; rope and the conversions gain nothing over AVX2 and stay there. */
#define TNN__WIDE 1
#include "cpu/x86/vec_f32.h"

#include "cpu/vec/rows.h"
#include "cpu/x86/init.h"

void tnn__kernels_init_rows_avx512(tnn__kernels *k) {
    set_rows(k);
}
