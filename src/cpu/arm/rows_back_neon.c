/* Gradients of rows, loss and update with NEON. */
#include "cpu/arm/vec_f32.h"

#include "cpu/arm/init.h"
#include "cpu/vec/rows_back.h"

void tnn__kernels_init_rows_back_neon(tnn__kernels *k) {
    set_rows_back(k);
}
