/*
 * Conversions between F32 rows and stored rows, one pair of functions per type, one file per family. They trust
 * their arguments: tnn_dequantize_row and tnn_quantize_row (convert.c) check them and find the pair in a table.
 *
 * Rows may lie at any address. n is a multiple of the block size; importance is NULL or n weights, and ignored by the
 * types whose reference rule has no weighted form.
 */
#ifndef TNN_QUANT_QUANT_H
#define TNN_QUANT_QUANT_H

#include <stdint.h>

typedef void (*tnn__dequantize_fn)(const void *src, float *dst, int64_t n);
typedef void (*tnn__quantize_fn)(const float *src, void *dst, int64_t n, const float *importance);

/* Every type that converts, as its functions are named. */
#define TNN__CONVERTIBLE_TYPES(X)                                                                                      \
    X(F32, f32)                                                                                                        \
    X(F16, f16)                                                                                                        \
    X(BF16, bf16)                                                                                                      \
    X(Q4_0, q4_0)                                                                                                      \
    X(Q4_1, q4_1)                                                                                                      \
    X(Q5_0, q5_0)                                                                                                      \
    X(Q5_1, q5_1)                                                                                                      \
    X(Q8_0, q8_0)                                                                                                      \
    X(Q8_1, q8_1)                                                                                                      \
    X(Q2_K, q2_k)                                                                                                      \
    X(Q3_K, q3_k)                                                                                                      \
    X(Q4_K, q4_k)                                                                                                      \
    X(Q5_K, q5_k)                                                                                                      \
    X(Q6_K, q6_k)                                                                                                      \
    X(Q8_K, q8_k)                                                                                                      \
    X(IQ4_NL, iq4_nl)                                                                                                  \
    X(IQ4_XS, iq4_xs)                                                                                                  \
    X(MXFP4, mxfp4)

#define X(id, name)                                                                                                    \
    void tnn__dequantize_##name(const void *src, float *dst, int64_t n);                                               \
    void tnn__quantize_##name(const float *src, void *dst, int64_t n, const float *importance);
TNN__CONVERTIBLE_TYPES(X)
#undef X

#endif
