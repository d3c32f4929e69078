/*
 * The layout of every quantised block tinynn converts or computes with: the only definition there is, for files,
 * conversions and kernels alike. Fields lie as in a GGUF file, little-endian; F16 values are kept as uint16_t and
 * converted with base/half.h. The structs are packed because a mapped row may start at any address: a block is read
 * through its struct or copied out with memcpy, never through a pointer to one of its wider fields.
 *
 * In the comments x[i] is element i of the block.
 */
#ifndef TNN_QUANT_BLOCKS_H
#define TNN_QUANT_BLOCKS_H

#include <stdint.h>

#define TNN__QK   32  /* elements of a block of the first family, IQ4_NL and MXFP4 */
#define TNN__QK_K 256 /* elements of a super-block of the K family and IQ4_XS */

#pragma pack(push, 1)

/* x[j] = d (lo(qs[j]) - 8), x[j + 16] = d (hi(qs[j]) - 8) */
typedef struct tnn__block_q4_0 {
    uint16_t d;
    uint8_t qs[16];
} tnn__block_q4_0;

/* Same order of nibbles: x = d q + m */
typedef struct tnn__block_q4_1 {
    uint16_t d;
    uint16_t m;
    uint8_t qs[16];
} tnn__block_q4_1;

/* The fifth bit of x[j] is bit j of qh, a little-endian 32-bit word: x = d (q - 16) */
typedef struct tnn__block_q5_0 {
    uint16_t d;
    uint8_t qh[4];
    uint8_t qs[16];
} tnn__block_q5_0;

/* x = d q + m */
typedef struct tnn__block_q5_1 {
    uint16_t d;
    uint16_t m;
    uint8_t qh[4];
    uint8_t qs[16];
} tnn__block_q5_1;

/* x[j] = d qs[j] */
typedef struct tnn__block_q8_0 {
    uint16_t d;
    int8_t qs[32];
} tnn__block_q8_0;

/* Activations: x[j] = d qs[j], s = d sum(qs) */
typedef struct tnn__block_q8_1 {
    uint16_t d;
    uint16_t s;
    int8_t qs[32];
} tnn__block_q8_1;

/* 16 sub-blocks of 16: x = (d lo(scales[s])) q - dmin hi(scales[s]). Codes: x[128 n + 32 j + l] is bits 2j of qs[32 n +
 * l] */
typedef struct tnn__block_q2_k {
    uint8_t scales[16];
    uint8_t qs[64];
    uint16_t d;
    uint16_t dmin;
} tnn__block_q2_k;

/* 16 sub-blocks of 16: x = (d scale) q, -4 <= q < 4: low bits as in Q2_K, bit 4n + j of hmask[l] clear subtracts 4 */
typedef struct tnn__block_q3_k {
    uint8_t hmask[32];
    uint8_t qs[64];
    uint8_t scales[12]; /* 16 of 6 bits, stored with 32 added: tnn__q3_k_scales */
    uint16_t d;
} tnn__block_q3_k;

/* 8 sub-blocks of 32: x = (d scale) q - dmin min. x[64 i + l] = lo(qs[32 i + l]), x[64 i + 32 + l] = hi */
typedef struct tnn__block_q4_k {
    uint16_t d;
    uint16_t dmin;
    uint8_t scales[12]; /* 8 pairs (scale, min) of 6 bits: tnn__k4_scales */
    uint8_t qs[128];
} tnn__block_q4_k;

/* As Q4_K, with the fifth bit of sub-block s in bit s of qh[l] */
typedef struct tnn__block_q5_k {
    uint16_t d;
    uint16_t dmin;
    uint8_t scales[12];
    uint8_t qh[32];
    uint8_t qs[128];
} tnn__block_q5_k;

/*
 * 16 sub-blocks of 16: x = (d scales[s]) (q - 32). x[128 n + 32 k + l]: low four bits lo (k < 2) or hi (k >= 2) of
 * ql[64 n + 32 (k & 1) + l], high two are bits 2k of qh[32 n + l]
 */
typedef struct tnn__block_q6_k {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
} tnn__block_q6_k;

/* Activations: x[j] = d qs[j], bsums[s] = sum of qs[16 s .. 16 s + 15] */
typedef struct tnn__block_q8_k {
    float d;
    int8_t qs[256];
    int16_t bsums[16];
} tnn__block_q8_k;

/* x[j] = d tnn__iq4_values[lo(qs[j])], x[j + 16] = d tnn__iq4_values[hi(qs[j])] */
typedef struct tnn__block_iq4_nl {
    uint16_t d;
    uint8_t qs[16];
} tnn__block_iq4_nl;

/* 8 sub-blocks of 32, each with nibbles as in IQ4_NL: x = (d (scale - 32)) value, scale: tnn__iq4_xs_scale */
typedef struct tnn__block_iq4_xs {
    uint16_t d;
    uint16_t scales_h;
    uint8_t scales_l[4];
    uint8_t qs[128];
} tnn__block_iq4_xs;

/* x[j] = 2^(e - 128) tnn__fp4_values[lo(qs[j])], x[j + 16] = ... hi(qs[j]) */
typedef struct tnn__block_mxfp4 {
    uint8_t e;
    uint8_t qs[16];
} tnn__block_mxfp4;

#pragma pack(pop)

_Static_assert(sizeof(tnn__block_q4_0) == 18, "Q4_0 block");
_Static_assert(sizeof(tnn__block_q4_1) == 20, "Q4_1 block");
_Static_assert(sizeof(tnn__block_q5_0) == 22, "Q5_0 block");
_Static_assert(sizeof(tnn__block_q5_1) == 24, "Q5_1 block");
_Static_assert(sizeof(tnn__block_q8_0) == 34, "Q8_0 block");
_Static_assert(sizeof(tnn__block_q8_1) == 36, "Q8_1 block");
_Static_assert(sizeof(tnn__block_q2_k) == 84, "Q2_K block");
_Static_assert(sizeof(tnn__block_q3_k) == 110, "Q3_K block");
_Static_assert(sizeof(tnn__block_q4_k) == 144, "Q4_K block");
_Static_assert(sizeof(tnn__block_q5_k) == 176, "Q5_K block");
_Static_assert(sizeof(tnn__block_q6_k) == 210, "Q6_K block");
_Static_assert(sizeof(tnn__block_q8_k) == 292, "Q8_K block");
_Static_assert(sizeof(tnn__block_iq4_nl) == 18, "IQ4_NL block");
_Static_assert(sizeof(tnn__block_iq4_xs) == 136, "IQ4_XS block");
_Static_assert(sizeof(tnn__block_mxfp4) == 17, "MXFP4 block");

/* The non-uniform 4-bit codebook of IQ4_NL and IQ4_XS, ascending. */
extern const int8_t tnn__iq4_values[16];

/* FP4 (E2M1), doubled so that all are integers; the scale of MXFP4 is halved in turn. Code 8 is +0. */
extern const int8_t tnn__fp4_values[16];

/* Scales and mins of the 8 sub-blocks of Q4_K and Q5_K, 0 .. 63. */
static inline void tnn__k4_scales(const uint8_t packed[12], uint8_t scale[8], uint8_t min[8]) {
    for (int j = 0; j < 4; j++) {
        scale[j] = packed[j] & 63;
        min[j] = packed[j + 4] & 63;
        scale[j + 4] = (uint8_t)((packed[j + 8] & 15) | ((packed[j] >> 6) << 4));
        min[j + 4] = (uint8_t)((packed[j + 8] >> 4) | ((packed[j + 4] >> 6) << 4));
    }
}

/* Scales of the 16 sub-blocks of Q3_K, -32 .. 31. */
static inline void tnn__q3_k_scales(const uint8_t packed[12], int8_t scale[16]) {
    for (int j = 0; j < 16; j++) {
        int low = j < 8 ? packed[j] & 15 : packed[j - 8] >> 4;
        int high = (packed[8 + (j & 3)] >> (2 * (j >> 2))) & 3;
        scale[j] = (int8_t)((low | (high << 4)) - 32);
    }
}

/* Scale of sub-block s of IQ4_XS, -32 .. 31. */
static inline int tnn__iq4_xs_scale(const tnn__block_iq4_xs *block, int s) {
    int low = (block->scales_l[s / 2] >> (4 * (s % 2))) & 15;
    int high = (block->scales_h >> (2 * s)) & 3;
    return (low | (high << 4)) - 32;
}

/* 2^(e - 128) as F32, for the two smallest a subnormal. */
static inline uint32_t tnn__mxfp4_scale_bits(uint8_t e) {
    return e < 2 ? UINT32_C(0x00200000) << e : (uint32_t)(e - 1) << 23;
}

#endif
