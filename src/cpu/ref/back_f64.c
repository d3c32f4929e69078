/* Gradient kernels in double precision. */
#define TNN_REAL_F64
#include "cpu/ref/back.inc.h"

void tnn__kernels_init_back_f64(tnn__kernels_f64 *k) {
    k->gemm_dx = gemm_dx;
    k->gemm_dw = gemm_dw;
    k->attn_back = attn_back;
    k->rms_norm_back = rms_norm_back;
    k->swiglu_back = swiglu_back;
    k->xent = xent;
}
