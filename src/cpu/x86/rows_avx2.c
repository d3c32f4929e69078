/* Kernels over one row with AVX2. */
#define TNN__WIDE 0
#include "cpu/x86/vec_f32.h"

#include "cpu/vec/rope.h"
#include "cpu/vec/rows.h"
#include "cpu/x86/init.h"

void tnn__kernels_init_rows_avx2(tnn__kernels *k) {
    set_rows(k);
    k->rope = rope;
}
