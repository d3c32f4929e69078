/* Kernels over one row with NEON. */
#include "cpu/arm/vec_f32.h"

#include "cpu/arm/init.h"
#include "cpu/vec/rope.h"
#include "cpu/vec/rows.h"

void tnn__kernels_init_rows_neon(tnn__kernels *k) {
    set_rows(k);
    k->rope = rope;
}
