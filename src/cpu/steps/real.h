/* The two precisions of step bodies: types, and the kernels that go with them. */
#ifndef TNN_CPU_STEPS_REAL_H
#define TNN_CPU_STEPS_REAL_H

#include <string.h>

#include "cpu/steps/steps.h"

#ifdef TNN_REAL_F64
typedef double real;
typedef tnn__gemm_args_f64 gemm_args;
typedef tnn__gemm_dx_args_f64 gemm_dx_args;
typedef tnn__gemm_dw_args_f64 gemm_dw_args;
typedef tnn__attn_args_f64 attn_args;
typedef tnn__attn_back_args_f64 attn_back_args;
typedef tnn__gdn_args_f64 gdn_args;
typedef tnn__gdn_back_args_f64 gdn_back_args;
#define KERNELS(p) (&(p)->backend->kernels_f64)

/* Activations as the kernel takes them, from `first` elements on; rounded ones are for F32 graphs alone. */
#define SET_OPERAND(args, field, rounded, data, first) ((args)->field = (const real *)(data) + (first))

static inline void skip_columns(gemm_args *a, int64_t n) {
    a->x += n * a->x_stride;
}

static inline void call_gemm(const tnn__program *p, const tnn__gemm_kernel *k, const gemm_args *a, int64_t row0,
                             int64_t row1, void *scratch) {
    (void)k;
    KERNELS(p)->gemm(a, row0, row1, scratch);
}

static inline void call_gemm_dx(const tnn__program *p, const tnn__gemm_dx_kernel *k, const gemm_dx_args *a, int64_t k0,
                                int64_t k1, void *scratch) {
    (void)k;
    KERNELS(p)->gemm_dx(a, k0, k1, scratch);
}

static inline void call_gemm_dw(const tnn__program *p, const tnn__gemm_dw_kernel *k, const gemm_dw_args *a,
                                int64_t row0, int64_t row1, void *scratch) {
    (void)k;
    KERNELS(p)->gemm_dw(a, row0, row1, scratch);
}
#else
typedef float real;
typedef tnn__gemm_args gemm_args;
typedef tnn__gemm_dx_args gemm_dx_args;
typedef tnn__gemm_dw_args gemm_dw_args;
typedef tnn__attn_args attn_args;
typedef tnn__attn_back_args attn_back_args;
typedef tnn__gdn_args gdn_args;
typedef tnn__gdn_back_args gdn_back_args;
#define KERNELS(p) (&(p)->backend->kernels)

#define SET_OPERAND(args, field, rounded, data, first)                                                                 \
    do {                                                                                                               \
        if (rounded)                                                                                                   \
            (args)->field##16 = (const uint16_t *)(data) + (first);                                                    \
        else                                                                                                           \
            (args)->field = (const float *)(data) + (first);                                                           \
    } while (0)

static inline void skip_columns(gemm_args *a, int64_t n) {
    if (a->x16)
        a->x16 += n * a->x_stride;
    else
        a->x += n * a->x_stride;
}

static inline void call_gemm(const tnn__program *p, const tnn__gemm_kernel *k, const gemm_args *a, int64_t row0,
                             int64_t row1, void *scratch) {
    (void)p;
    k->run(a, row0, row1, scratch);
}

static inline void call_gemm_dx(const tnn__program *p, const tnn__gemm_dx_kernel *k, const gemm_dx_args *a, int64_t k0,
                                int64_t k1, void *scratch) {
    (void)p;
    k->run(a, k0, k1, scratch);
}

static inline void call_gemm_dw(const tnn__program *p, const tnn__gemm_dw_kernel *k, const gemm_dw_args *a,
                                int64_t row0, int64_t row1, void *scratch) {
    (void)p;
    k->run(a, row0, row1, scratch);
}
#endif

#endif
