/*
 * The float reference kernels are written once in `real` and compiled twice: f32.c puts them into the portable table,
 * f64.c makes the double precision kernels that gradient checks run. The includer defines TNN_REAL_F64 or does not,
 * then includes the *.inc.h bodies, whose functions are all static.
 */
#ifndef TNN_CPU_REF_REAL_H
#define TNN_CPU_REF_REAL_H

#include <math.h>
#include <string.h>

#include "base/half.h"
#include "cpu/kernels.h"
#include "cpu/ref/f64.h"

#ifdef TNN_REAL_F64
typedef double real;
typedef tnn__gemm_args_f64 gemm_args;
typedef tnn__attn_args_f64 attn_args;
typedef tnn__gemm_dx_args_f64 gemm_dx_args;
typedef tnn__gemm_dw_args_f64 gemm_dw_args;
typedef tnn__attn_back_args_f64 attn_back_args;
typedef tnn__gdn_args_f64 gdn_args;
typedef tnn__gdn_back_args_f64 gdn_back_args;
typedef tnn__gdn_kernel_f64 gdn_kernel;
#define REAL_EXP  exp
#define REAL_LOG  log
#define REAL_SQRT sqrt
#else
typedef float real;
typedef tnn__gemm_args gemm_args;
typedef tnn__attn_args attn_args;
typedef tnn__gemm_dx_args gemm_dx_args;
typedef tnn__gemm_dw_args gemm_dw_args;
typedef tnn__attn_back_args attn_back_args;
typedef tnn__gdn_args gdn_args;
typedef tnn__gdn_back_args gdn_back_args;
typedef tnn__gdn_kernel gdn_kernel;
#define REAL_EXP  expf
#define REAL_LOG  logf
#define REAL_SQRT sqrtf
#endif

/* n elements of a stored type, at any address, to real. Block types: n is a multiple of the block. */
static inline void load_row(tnn_type type, const void *src, real *dst, int64_t n) {
    const char *s = src;
#ifdef TNN_REAL_F64
    if (type == TNN_TYPE_F64) {
        memcpy(dst, s, (size_t)n * sizeof *dst);
        return;
    }
    enum { CHUNK = 256 };
    float chunk[CHUNK];
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = n - i < CHUNK ? n - i : CHUNK;
        (void)tnn_dequantize_row(type, s + tnn_row_bytes((int32_t)type, i), chunk, m);
        for (int64_t l = 0; l < m; l++)
            dst[i + l] = (real)chunk[l];
    }
#else
    (void)tnn_dequantize_row(type, s, dst, n);
#endif
}

/* Eight interleaved partial sums: a compiler can vectorise it, and the rounding error grows with n/8 only. */
static real dot(const real *a, const real *b, int64_t n) {
    real lane[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int l = 0; l < 8; l++)
            lane[l] += a[i + l] * b[i + l];
    for (int l = 0; i < n; i++, l++)
        lane[l] += a[i] * b[i];
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

#endif
