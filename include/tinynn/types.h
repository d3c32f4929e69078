/*
 * Element types of tensors. The numbers are the GGUF type ids, so a value read from a file needs no table;
 * every id a file may carry is named here, also those tinynn only reports.
 */
#ifndef TINYNN_TYPES_H
#define TINYNN_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tnn_type {
    TNN_TYPE_F32 = 0,
    TNN_TYPE_F16 = 1,
    TNN_TYPE_Q4_0 = 2,
    TNN_TYPE_Q4_1 = 3,
    TNN_TYPE_Q5_0 = 6,
    TNN_TYPE_Q5_1 = 7,
    TNN_TYPE_Q8_0 = 8,
    TNN_TYPE_Q8_1 = 9, /* activations only, never in a file */
    TNN_TYPE_Q2_K = 10,
    TNN_TYPE_Q3_K = 11,
    TNN_TYPE_Q4_K = 12,
    TNN_TYPE_Q5_K = 13,
    TNN_TYPE_Q6_K = 14,
    TNN_TYPE_Q8_K = 15, /* activations only, never in a file */
    TNN_TYPE_IQ2_XXS = 16,
    TNN_TYPE_IQ2_XS = 17,
    TNN_TYPE_IQ3_XXS = 18,
    TNN_TYPE_IQ1_S = 19,
    TNN_TYPE_IQ4_NL = 20,
    TNN_TYPE_IQ3_S = 21,
    TNN_TYPE_IQ2_S = 22,
    TNN_TYPE_IQ4_XS = 23,
    TNN_TYPE_I8 = 24,
    TNN_TYPE_I16 = 25,
    TNN_TYPE_I32 = 26,
    TNN_TYPE_I64 = 27,
    TNN_TYPE_F64 = 28, /* reference kernels and gradient checks only */
    TNN_TYPE_IQ1_M = 29,
    TNN_TYPE_BF16 = 30,
    TNN_TYPE_TQ1_0 = 34,
    TNN_TYPE_TQ2_0 = 35,
    TNN_TYPE_MXFP4 = 39,
    TNN_TYPE_NVFP4 = 40,
    TNN_TYPE_Q1_0 = 41,
    TNN_TYPE_Q2_0 = 42,
    TNN_TYPE_COUNT = 43
} tnn_type;

typedef struct tnn_type_info {
    const char *name;    /* "Q4_K"; NULL for an id that was removed or never given out */
    int32_t block_elems; /* elements in one block, along ne[0]; 1 for plain types */
    int32_t block_bytes; /* bytes of one block */
    bool quantized;      /* a block type */
    bool usable;         /* tinynn has kernels for it; otherwise it can be listed but not run */
} tnn_type_info;

/* Facts about a type id. Never NULL: an id that names nothing gives an entry with name NULL. Any thread. */
TNN_API const tnn_type_info *tnn_type_get_info(int32_t type);

/* Type from its name, case ignored ("q4_k", "bf16"); -1 if there is none. Any thread. */
TNN_API int32_t tnn_type_from_name(const char *name);

/*
 * Bytes of one row of n elements; 0 if the id names nothing, n is negative, n is not a multiple of the block
 * size, or the result does not fit. Any thread.
 */
TNN_API size_t tnn_row_bytes(int32_t type, int64_t n);

/*
 * Rows between F32 and a stored type. n elements, a multiple of the block size; src and dst must not overlap.
 * Dequantising reproduces the published formulas bit for bit; quantising reproduces the reference rounding.
 * The stored row may lie at any address. `importance` has n weights >= 0 (larger = matters more), or is NULL for the
 * plain rule; a block whose weights are all 0 may lose its values.
 * TNN_E_UNSUPPORTED for a type tinynn does not convert, TNN_E_ARG for a bad n. Quantising to a block type also gives
 * TNN_E_RANGE, and writes nothing, for an element that is NaN, infinite or beyond the range of F16 (MXFP4 takes every
 * finite one), and for an importance that is negative, not finite, or so large that sums over a block could leave F32
 * (1e14 / max(1, x^2) for the largest |x| is the bound). Any thread.
 */
TNN_API tnn_status tnn_dequantize_row(tnn_type type, const void *src, float *dst, int64_t n);
TNN_API tnn_status tnn_quantize_row(tnn_type type, const float *src, void *dst, int64_t n, const float *importance);

#ifdef __cplusplus
}
#endif
#endif
