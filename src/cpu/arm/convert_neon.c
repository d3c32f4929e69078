/* Rows of stored weights as F32 with NEON: the values of the portable conversions, bit for bit. */
#include "cpu/arm/vec_f32.h"

#include "cpu/arm/init.h"

typedef uint8x16_t vb;

TNN__INLINE vb vb_load(const void *p) {
    return vld1q_u8(p);
}
TNN__INLINE vb vb_set(int x) {
    return vdupq_n_u8((uint8_t)x);
}
TNN__INLINE vb vb_and(vb a, vb b) {
    return vandq_u8(a, b);
}
TNN__INLINE vb vb_or(vb a, vb b) {
    return vorrq_u8(a, b);
}
TNN__INLINE vb vb_sub(vb a, vb b) {
    return vsubq_u8(a, b);
}
TNN__INLINE vb vb_shr(vb v, int n) {
    return vshlq_u8(v, vdupq_n_s8((int8_t)-n));
}
TNN__INLINE vb vb_shl(vb v, int n) {
    return vshlq_u8(v, vdupq_n_s8((int8_t)n));
}
TNN__INLINE vb vb_bits(const uint8_t p[2]) {
    const uint8x8_t bit = vcreate_u8(UINT64_C(0x8040201008040201));
    return vtstq_u8(vcombine_u8(vdup_n_u8(p[0]), vdup_n_u8(p[1])), vcombine_u8(bit, bit));
}
TNN__INLINE vb vb_lookup(const int8_t values[16], vb codes) {
    return vreinterpretq_u8_s8(vqtbl1q_s8(vld1q_s8(values), codes));
}
TNN__INLINE void vb_to_f32(vb q, float scale, float min, float *to) {
    const int8x16_t codes = vreinterpretq_s8_u8(q);
    const int16x8_t halves[] = {vmovl_s8(vget_low_s8(codes)), vmovl_s8(vget_high_s8(codes))};
    for (int i = 0; i < 2; i++, to += 8) {
        float32x4_t low = vcvtq_f32_s32(vmovl_s16(vget_low_s16(halves[i])));
        float32x4_t high = vcvtq_f32_s32(vmovl_s16(vget_high_s16(halves[i])));
        vst1q_f32(to, vsubq_f32(vmulq_n_f32(low, scale), vdupq_n_f32(min)));
        vst1q_f32(to + 4, vsubq_f32(vmulq_n_f32(high, scale), vdupq_n_f32(min)));
    }
}

#include "cpu/vec/dequantize.h"

tnn__to_f32_fn *const tnn__to_f32_neon[TNN_TYPE_COUNT] = {
#define X(TYPE, name, elems) [TNN_TYPE_##TYPE] = name##_to_f32,
    TNN__ROWS_TO_F32(X)
#undef X
};

void tnn__kernels_init_convert_neon(tnn__kernels *k) {
    memcpy(k->to_f32, tnn__to_f32_neon, sizeof k->to_f32);
}
