/* 16-bit floats: IEEE half and bfloat16, exact to F32 and rounded to nearest even from it. Portable; kernels have their
 * own. */
#ifndef TNN_BASE_HALF_H
#define TNN_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t tnn__f32_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}
static inline float tnn__f32_from_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline float tnn__bf16_to_f32(uint16_t h) {
    return tnn__f32_from_bits((uint32_t)h << 16);
}
/* NaN keeps its sign and gets a set mantissa bit; everything else rounds to nearest even. */
static inline uint16_t tnn__f32_to_bf16(float f) {
    uint32_t u = tnn__f32_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 64u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

/* Subnormals included, both ways; overflow gives infinity. */
static inline float tnn__f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t rest = (uint32_t)(h & 0x7fffu) << 13;
    uint32_t exponent = rest & 0x0f800000u;
    if (exponent == 0x0f800000u) return tnn__f32_from_bits(sign | rest | 0x7f800000u);
    if (exponent == 0) {
        /* rest * 2^-149 scaled up by 2^112: exact, the product of a small integer and a power of two */
        float magnitude = tnn__f32_from_bits(rest | 0x38800000u) - tnn__f32_from_bits(0x38800000u);
        return tnn__f32_from_bits(sign | tnn__f32_bits(magnitude));
    }
    return tnn__f32_from_bits(sign | (rest + 0x38000000u));
}
static inline uint16_t tnn__f32_to_f16(float f) {
    uint32_t u = tnn__f32_bits(f);
    uint32_t sign = (u >> 16) & 0x8000u;
    u &= 0x7fffffffu;
    if (u > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
    if (u >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* rounds to 2^16 or more */
    if (u < 0x38800000u) {
        /* subnormal half: let F32 addition do the rounding, at a magnitude whose last bit is 2^-24 */
        float rounded = tnn__f32_from_bits(u) + 0.5f;
        return (uint16_t)(sign | (tnn__f32_bits(rounded) - 0x3f000000u));
    }
    u += 0xfffu + ((u >> 13) & 1u);
    return (uint16_t)(sign | ((u - 0x38000000u) >> 13));
}

#endif
