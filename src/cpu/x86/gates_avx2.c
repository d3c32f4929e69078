/* What surrounds the gated delta rule, with AVX2. Memory sets the pace of most: wider vectors would gain nothing. */
#define TNN__WIDE 0
#include "cpu/x86/vec_f32.h"

#include "cpu/vec/gates.h"
#include "cpu/x86/init.h"

void tnn__kernels_init_gates_avx2(tnn__kernels *k) {
    set_gates(k);
}
