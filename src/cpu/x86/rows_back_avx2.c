/* Gradients of rows, loss and update with AVX2. Memory sets the pace of most: wider vectors would gain nothing. */
#define TNN__WIDE 0
#include "cpu/x86/vec_f32.h"

#include "cpu/vec/rows_back.h"
#include "cpu/x86/init.h"

void tnn__kernels_init_rows_back_avx2(tnn__kernels *k) {
    set_rows_back(k);
}
