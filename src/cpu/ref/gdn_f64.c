/* Gated DeltaNet's kernels in double precision. */
#define TNN_REAL_F64
#include "cpu/ref/gdn.inc.h"

#include "cpu/ref/gates.inc.h"

void tnn__kernels_init_gdn_f64(tnn__kernels_f64 *k) {
    SET_GDN_KERNELS(k);
}
