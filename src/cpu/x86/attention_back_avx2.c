/* Gradient of attention with vectors of 256 bits. */
#define TNN__WIDE 0
#include "cpu/x86/vec_f32.h"

#include "cpu/vec/attention_back.h"
#include "cpu/x86/init.h"

void tnn__kernels_init_attention_back_avx2(tnn__kernels *k) {
    set_attention_back(k);
}
