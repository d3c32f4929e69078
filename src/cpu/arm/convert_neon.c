/* Rows between F32 and stored types with NEON: to F32 what models are made of, from F32 activations and a KV cache of
 * 16 bits. The values are the portable ones, bit for bit. */
#include "cpu/arm/vec_f32.h"

#include "base/half.h"
#include "cpu/arm/init.h"

/* --- to F32 --- */

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

/* --- from F32 --- */

/* To nearest even. Of a NaN the portable conversions keep the sign: F16 makes it the one quiet NaN, BF16 cuts it. */
TNN__INLINE uint16x4_t round_f16(float32x4_t v) {
    uint32x4_t number = vceqq_f32(v, v), u = vreinterpretq_u32_f32(v);
    uint32x4_t quiet = vorrq_u32(vandq_u32(u, vdupq_n_u32(0x80000000u)), vdupq_n_u32(0x7fc00000u));
    return vreinterpret_u16_f16(vcvt_f16_f32(vbslq_f32(number, v, vreinterpretq_f32_u32(quiet))));
}

TNN__INLINE uint16x4_t round_bf16(float32x4_t v) {
    uint32x4_t u = vreinterpretq_u32_f32(v), odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    uint32x4_t rounded = vshrq_n_u32(vaddq_u32(vaddq_u32(u, vdupq_n_u32(0x7fff)), odd), 16);
    uint32x4_t cut = vorrq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(64));
    return vmovn_u32(vbslq_u32(vceqq_f32(v, v), rounded, cut));
}

TNN__INLINE void from_f32(tnn_type type, const float *src, void *dst, int64_t n) {
    uint16_t *to = dst;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t v = vld1q_f32(src + i);
        vst1_u16(to + i, type == TNN_TYPE_F16 ? round_f16(v) : round_bf16(v));
    }
    for (; i < n; i++)
        to[i] = type == TNN_TYPE_F16 ? tnn__f32_to_f16(src[i]) : tnn__f32_to_bf16(src[i]);
}

static void f16_from_f32(const float *src, void *dst, int64_t n) {
    from_f32(TNN_TYPE_F16, src, dst, n);
}

static void bf16_from_f32(const float *src, void *dst, int64_t n) {
    from_f32(TNN_TYPE_BF16, src, dst, n);
}

void tnn__kernels_init_convert_neon(tnn__kernels *k) {
    memcpy(k->to_f32, tnn__to_f32_neon, sizeof k->to_f32);
    k->from_f32[TNN_TYPE_F16] = f16_from_f32;
    k->from_f32[TNN_TYPE_BF16] = bf16_from_f32;
}
