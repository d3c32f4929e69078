/* The portable table, complete: every kernel has an entry here. */
#include <string.h>

#include "cpu/kernels.h"
#include "cpu/kernels_q8.h"
#include "cpu/ref/init.h"

void tnn__kernels_init_portable(tnn__kernels *k) {
    memset(k, 0, sizeof *k);
    tnn__kernels_init_float_portable(k);
    tnn__kernels_init_q8_portable(k);
    tnn__kernels_init_back_portable(k);
    tnn__kernels_init_bf16_portable(k);
    tnn__kernels_init_gdn_portable(k);
}
