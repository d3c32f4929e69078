/* Gradient of attention with NEON. */
#include "cpu/arm/vec_f32.h"

#include "cpu/arm/init.h"
#include "cpu/vec/attention_back.h"

void tnn__kernels_init_attention_back_neon(tnn__kernels *k) {
    set_attention_back(k);
}
