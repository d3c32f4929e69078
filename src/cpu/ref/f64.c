/* The reference kernels in double precision. */
#define TNN_REAL_F64
#include "cpu/ref/attention.inc.h"
#include "cpu/ref/gemm.inc.h"
#include "cpu/ref/rows.inc.h"

void tnn__kernels_init_f64(tnn__kernels_f64 *k) {
    k->gemm = gemm;
    k->attn = attn;
    k->attn_scratch_bytes = attn_scratch_bytes;
    k->rms_norm = rms_norm;
    k->swiglu = swiglu;
    k->add = add;
    k->rope = rope;
    tnn__kernels_init_back_f64(k);
    tnn__kernels_init_gdn_f64(k);
}
