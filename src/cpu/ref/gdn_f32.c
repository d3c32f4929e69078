/* Gated DeltaNet's kernels in single precision: that part of the portable table. */
#include "cpu/ref/gdn.inc.h"

#include "cpu/ref/gates.inc.h"

void tnn__kernels_init_gdn_portable(tnn__kernels *k) {
    SET_GDN_KERNELS(k);
}
