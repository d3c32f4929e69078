/* Rows of stored weights as F32 with NEON: vectors for the block types that people train on most. */
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

#define TNN__UNPACKED(X)                                                                                               \
    X(Q8_0, q8_0)                                                                                                      \
    X(Q4_0, q4_0)

#include "cpu/vec/unpack.h"

#endif
