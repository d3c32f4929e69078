/*
 * Rows of stored weights as F32 with NEON, the values of the portable conversions bit for bit. The types that people
 * train on most have vectors; the others go through the portable code.
 */
#ifndef TNN_CPU_ARM_DEQUANTIZE_NEON_H
#define TNN_CPU_ARM_DEQUANTIZE_NEON_H

#include "cpu/arm/vec_f32.h"

/* to = scale * code of sixteen signed bytes */
static void scaled16(int8x16_t codes, float scale, float *to) {
    int16x8_t low = vmovl_s8(vget_low_s8(codes)), high = vmovl_s8(vget_high_s8(codes));
    vst1q_f32(to, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), scale));
    vst1q_f32(to + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))), scale));
    vst1q_f32(to + 8, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), scale));
    vst1q_f32(to + 12, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(high))), scale));
}

static void unpack_q8_0(const char *blocks, float *to, int64_t n) {
    for (int64_t i = 0; i < n; i += TNN__QK, blocks += sizeof(tnn__block_q8_0)) {
        tnn__block_q8_0 b;
        memcpy(&b, blocks, sizeof b);
        float d = f32_of_f16(b.d);
        scaled16(vld1q_s8(b.qs), d, to + i);
        scaled16(vld1q_s8(b.qs + 16), d, to + i + 16);
    }
}

static void unpack_q4_0(const char *blocks, float *to, int64_t n) {
    for (int64_t i = 0; i < n; i += TNN__QK, blocks += sizeof(tnn__block_q4_0)) {
        tnn__block_q4_0 b;
        memcpy(&b, blocks, sizeof b);
        float d = f32_of_f16(b.d);
        uint8x16_t qs = vld1q_u8(b.qs);
        int8x16_t low = vreinterpretq_s8_u8(vandq_u8(qs, vdupq_n_u8(15)));
        int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(qs, 4));
        scaled16(vsubq_s8(low, vdupq_n_s8(8)), d, to + i);
        scaled16(vsubq_s8(high, vdupq_n_s8(8)), d, to + i + 16);
    }
}

TNN__INLINE void unpack_plain(tnn_type type, const char *from, float *to, int64_t n) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_store(to + i, vf_load_elems(type, from + (size_t)i * elem_bytes(type)));
    if (i < n) vf_store_some(to + i, vm_first(n - i), vf_load_tail(type, from + (size_t)i * elem_bytes(type), n - i));
}

/* n elements, whole blocks. */
static void unpack_row(tnn_type type, const char *from, float *to, int64_t n) {
    switch (type) {
    case TNN_TYPE_F32:
        memcpy(to, from, (size_t)n * sizeof *to);
        break;
    case TNN_TYPE_F16:
        unpack_plain(TNN_TYPE_F16, from, to, n);
        break;
    case TNN_TYPE_BF16:
        unpack_plain(TNN_TYPE_BF16, from, to, n);
        break;
    case TNN_TYPE_Q8_0:
        unpack_q8_0(from, to, n);
        break;
    case TNN_TYPE_Q4_0:
        unpack_q4_0(from, to, n);
        break;
    default:
        (void)tnn_dequantize_row(type, from, to, n);
        break;
    }
}

#endif
