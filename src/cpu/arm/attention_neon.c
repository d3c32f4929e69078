/* Attention with NEON. */
#include "cpu/arm/vec_f32.h"

#include "cpu/arm/init.h"
#include "cpu/vec/attention.h"

void tnn__kernels_init_attention_neon(tnn__kernels *k) {
    set_attention(k);
}
