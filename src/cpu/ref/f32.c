/* The reference kernels in single precision, and the conversions: the float half of the portable table. */
#include "cpu/ref/attention.inc.h"
#include "cpu/ref/gemm.inc.h"
#include "cpu/ref/init.h"
#include "cpu/ref/rows.inc.h"
#include "quant/blocks.h"

static size_t gemm_scratch_bytes(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_cols, (void)rows;
    return (size_t)n_in * sizeof(float);
}

static size_t attn_rows_scratch_bytes(const tnn__attn_args *a, int64_t rows) {
    (void)rows;
    return attn_scratch_bytes(a);
}

/* A Q8_0 block without a scale (something in it is not finite, or beyond F16) must read as NaN, not as what was there.
 */
static void from_f32(tnn_type type, const float *src, void *dst, int64_t n) {
    if (tnn_quantize_row(type, src, dst, n, NULL) == TNN_OK || type != TNN_TYPE_Q8_0) return;
    const tnn__block_q8_0 no_scale = {.d = 0x7e00};
    for (int64_t i = 0; i < n; i += TNN__QK) {
        void *block = (char *)dst + (size_t)(i / TNN__QK) * sizeof no_scale;
        if (tnn_quantize_row(type, src + i, block, TNN__QK, NULL) != TNN_OK) memcpy(block, &no_scale, sizeof no_scale);
    }
}

/* One conversion per stored type: the table's entries do not take the type. */
#define X(type)                                                                                                        \
    static void to_f32_##type(const void *src, float *dst, int64_t n) {                                                \
        (void)tnn_dequantize_row(TNN_TYPE_##type, src, dst, n);                                                        \
    }
TNN__WEIGHT_TYPES(X)
#undef X

#define FROM_F32_TYPES(X) X(F32) X(F16) X(BF16) X(Q8_0)
#define X(type)                                                                                                        \
    static void from_f32_##type(const float *src, void *dst, int64_t n) {                                              \
        from_f32(TNN_TYPE_##type, src, dst, n);                                                                        \
    }
FROM_F32_TYPES(X)
#undef X

void tnn__kernels_init_float_portable(tnn__kernels *k) {
    k->gemm[TNN_TYPE_F32] = (tnn__gemm_kernel){gemm, false, 1, gemm_scratch_bytes};
    k->gemm[TNN_TYPE_F16] = k->gemm[TNN_TYPE_BF16] = k->gemm[TNN_TYPE_F32];
    k->attn = attn;
    k->attn_part = attn_part;
    k->attn_join = attn_join;
    k->attn_scratch_bytes = attn_rows_scratch_bytes;
    k->attn_rows = 16;
    k->rms_norm = rms_norm;
    k->swiglu = swiglu;
    k->add = add;
    k->rope = rope;
#define X(type) k->to_f32[TNN_TYPE_##type] = to_f32_##type;
    TNN__WEIGHT_TYPES(X)
#undef X
#define X(type) k->from_f32[TNN_TYPE_##type] = from_f32_##type;
    FROM_F32_TYPES(X)
#undef X
}
