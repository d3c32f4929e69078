/* What surrounds the gated delta rule, with NEON. */
#include "cpu/arm/vec_f32.h"

#include "cpu/arm/init.h"
#include "cpu/vec/gates.h"

void tnn__kernels_init_gates_neon(tnn__kernels *k) {
    set_gates(k);
}
