/* The gated delta rule with NEON. */
#include "cpu/arm/vec_f32.h"

#define other_run          tnn__gdn_portable
#define other_back         tnn__gdn_back_portable
#define other_scratch      tnn__gdn_portable_scratch
#define other_back_scratch tnn__gdn_back_portable_scratch
#include "cpu/arm/init.h"
#include "cpu/vec/gdn.h"

void tnn__kernels_init_gdn_neon(tnn__kernels *k) {
    set_gdn(k, 32);
}
