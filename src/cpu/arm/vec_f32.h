/* The vectors of the float kernels that are written once for several widths (src/cpu/vec), for NEON. vm is a set of
 * lanes. */
#ifndef TNN_CPU_ARM_VEC_F32_H
#define TNN_CPU_ARM_VEC_F32_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#include <tinynn/types.h>

#include "cpu/vec/compiler.h"
#include "quant/blocks.h"

#define TNN__VF_REGISTERS 32
enum { LANES = 4, VF_SCALE_MIN = -127 };
typedef float32x4_t vf;
typedef uint32x4_t vm;

/* Lanes l with from <= base + l < to. */
TNN__INLINE vm vm_range(int64_t base, int64_t from, int64_t to) {
    static const int32_t lanes[LANES] = {0, 1, 2, 3};
    int32x4_t index = vaddq_s32(vld1q_s32(lanes), vdupq_n_s32((int32_t)base));
    return vandq_u32(vcgeq_s32(index, vdupq_n_s32((int32_t)from)), vcltq_s32(index, vdupq_n_s32((int32_t)to)));
}
/* The first n lanes; all for n >= LANES. */
TNN__INLINE vm vm_first(int64_t n) {
    return vm_range(0, 0, n < LANES ? n : LANES);
}
TNN__INLINE vf vf_zero(void) {
    return vdupq_n_f32(0.0f);
}
TNN__INLINE vf vf_set(float x) {
    return vdupq_n_f32(x);
}
TNN__INLINE vf vf_load(const float *p) {
    return vld1q_f32(p);
}
TNN__INLINE void vf_store(float *p, vf v) {
    vst1q_f32(p, v);
}
/* Memory of other lanes is not touched; they read as zero. */
TNN__INLINE vf vf_load_some(const float *p, vm m) {
    if (vminvq_u32(m)) return vld1q_f32(p);
    float x[LANES] = {0};
    uint32_t on[LANES];
    vst1q_u32(on, m);
    for (int l = 0; l < LANES; l++)
        if (on[l]) x[l] = p[l];
    return vld1q_f32(x);
}
TNN__INLINE void vf_store_some(float *p, vm m, vf v) {
    float x[LANES];
    uint32_t on[LANES];
    vst1q_f32(x, v);
    vst1q_u32(on, m);
    for (int l = 0; l < LANES; l++)
        if (on[l]) p[l] = x[l];
}
TNN__INLINE vf vf_select(vm m, vf yes, vf no) {
    return vbslq_f32(m, yes, no);
}
TNN__INLINE vf vf_add(vf a, vf b) {
    return vaddq_f32(a, b);
}
TNN__INLINE vf vf_sub(vf a, vf b) {
    return vsubq_f32(a, b);
}
TNN__INLINE vf vf_mul(vf a, vf b) {
    return vmulq_f32(a, b);
}
TNN__INLINE vf vf_div(vf a, vf b) {
    return vdivq_f32(a, b);
}
/* NaN where one of them is NaN. */
TNN__INLINE vf vf_max(vf a, vf b) {
    return vmaxq_f32(a, b);
}
TNN__INLINE vf vf_min(vf a, vf b) {
    return vminq_f32(a, b);
}
/* a * b + c */
TNN__INLINE vf vf_fma(vf a, vf b, vf c) {
    return vfmaq_f32(c, a, b);
}
TNN__INLINE void vf_add_product(vf *sum, vf a, vf b) {
    *sum = vfmaq_f32(*sum, a, b);
}
TNN__INLINE vf vf_sqrt(vf a) {
    return vsqrtq_f32(a);
}
TNN__INLINE vf vf_round(vf a) {
    return vrndnq_f32(a);
}
/* a * 2^n for whole n from VF_SCALE_MIN, which gives zero, to 127. */
TNN__INLINE vf vf_scale(vf a, vf n) {
    int32x4_t power = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
    return vmulq_f32(a, vreinterpretq_f32_s32(power));
}
/* a * 2^n for whole n from -150 to 128, in two factors, through the subnormals and to infinity. */
TNN__INLINE vf vf_scale_far(vf a, vf n) {
    int32x4_t k = vcvtq_s32_f32(n), half = vshrq_n_s32(k, 1), bias = vdupq_n_s32(127);
    float32x4_t s0 = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23));
    float32x4_t s1 = vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vsubq_s32(k, half), bias), 23));
    return vmulq_f32(vmulq_f32(a, s0), s1);
}
TNN__INLINE float vf_sum(vf v) {
    return vaddvq_f32(v);
}
TNN__INLINE float vf_greatest(vf v) {
    return vmaxvq_f32(v);
}
/* As BF16 holds it: to nearest even, NaN stays. */
TNN__INLINE vf vf_round_bf16(vf v) {
    uint32x4_t u = vreinterpretq_u32_f32(v);
    uint32x4_t odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    uint32x4_t up = vaddq_u32(vaddq_u32(u, vdupq_n_u32(0x7fff)), odd);
    uint32x4_t rounded = vandq_u32(up, vdupq_n_u32(0xffff0000u));
    return vbslq_f32(vceqq_f32(v, v), vreinterpretq_f32_u32(rounded), v);
}
/* to[i] = the sum of v[i]. */
TNN__INLINE void vf_sums_of_4(float to[4], const vf v[4]) {
    vst1q_f32(to, vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3])));
}

/* Bytes of one element of F32, F16 or BF16. */
TNN__INLINE size_t elem_bytes(tnn_type type) {
    return type == TNN_TYPE_F32 ? 4 : 2;
}
/* LANES elements of F32, F16 or BF16, at any address. */
TNN__INLINE vf vf_load_elems(tnn_type type, const void *p) {
    if (type == TNN_TYPE_F32) return vreinterpretq_f32_u8(vld1q_u8(p));
    uint16x4_t h = vreinterpret_u16_u8(vld1_u8(p));
    if (type == TNN_TYPE_F16) return vcvt_f32_f16(vreinterpret_f16_u16(h));
    return vreinterpretq_f32_u32(vshll_n_u16(h, 16));
}
/* n < LANES elements of F32, F16 or BF16, the rest zero. */
TNN__INLINE vf vf_load_tail(tnn_type type, const void *p, int64_t n) {
    uint8_t elems[4 * LANES] = {0};
    memcpy(elems, p, (size_t)n * elem_bytes(type));
    return vf_load_elems(type, elems);
}
/* LANES pairs: the first of each and the second, in an order that vf_store_pairs undoes and vf_in_order makes that of
 * memory, which it is here. */
TNN__INLINE void vf_load_pairs(const float *p, vf *first, vf *second) {
    float32x4x2_t v = vld2q_f32(p);
    *first = v.val[0];
    *second = v.val[1];
}
TNN__INLINE void vf_store_pairs(float *p, vf first, vf second) {
    vst2q_f32(p, (float32x4x2_t){{first, second}});
}
TNN__INLINE vf vf_in_order(vf v) {
    return v;
}
TNN__INLINE vf vf_from_i8(const int8_t *q) {
    int8_t codes[8] = {0};
    memcpy(codes, q, LANES);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vld1_s8(codes)))));
}
TNN__INLINE float f32_of_f16(uint16_t h) {
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h))), 0);
}

/* columns[i][j] = rows[j][i], eight by eight, with distances between rows and columns. */
TNN__INLINE void transpose_8x8(const float *rows, int64_t stride, float *columns, int64_t column_stride) {
    for (int j = 0; j < 8; j += 4) {
        for (int i = 0; i < 8; i += 4) {
            float32x4x2_t ab = vtrnq_f32(vld1q_f32(rows + j * stride + i), vld1q_f32(rows + (j + 1) * stride + i));
            float32x4x2_t cd =
                vtrnq_f32(vld1q_f32(rows + (j + 2) * stride + i), vld1q_f32(rows + (j + 3) * stride + i));
            float *to = columns + i * column_stride + j;
            vst1q_f32(to, vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0])));
            vst1q_f32(to + column_stride, vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1])));
            vst1q_f32(to + 2 * column_stride, vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0])));
            vst1q_f32(to + 3 * column_stride, vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1])));
        }
    }
}

#endif
