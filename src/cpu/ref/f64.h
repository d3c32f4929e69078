/* Double precision kernels, for gradient checks: the arguments of kernels.h with F64 activations. */
#ifndef TNN_CPU_REF_F64_H
#define TNN_CPU_REF_F64_H

#include "cpu/kernels.h"

/* As tnn__gemm_args. */
typedef struct tnn__gemm_args_f64 {
    const void *w;
    tnn_type type;
    size_t row_bytes;
    int64_t n_in;
    int64_t n_out;
    int64_t n_cols;
    const double *x;
    int64_t x_stride;
    const double *bias;
    double *y;
    int64_t y_stride;
} tnn__gemm_args_f64;

/* As tnn__attn_args; kv_type may also be F64. */
typedef struct tnn__attn_args_f64 {
    const double *q;
    const void *k;
    const void *v;
    tnn_type kv_type;
    size_t k_pos_bytes, k_head_bytes, v_pos_bytes, v_head_bytes;
    int64_t d, d_v, n_head, n_kv_head, n_rows;
    double scale;
    const int32_t *lo;
    const int32_t *hi;
    const double *mask;
    int64_t mask_stride;
    double *out;
    double *lse;
} tnn__attn_args_f64;

/* As tnn__gemm_dx_args, tnn__gemm_dw_args, tnn__attn_back_args. */
typedef struct tnn__gemm_dx_args_f64 {
    const void *w;
    tnn_type type;
    size_t row_bytes;
    int64_t n_in;
    int64_t n_out;
    int64_t n_cols;
    const double *dy;
    double *dx;
} tnn__gemm_dx_args_f64;

typedef struct tnn__gemm_dw_args_f64 {
    int64_t n_in;
    int64_t n_out;
    int64_t n_cols;
    const double *dy;
    const double *x;
    double *dw;
} tnn__gemm_dw_args_f64;

typedef struct tnn__attn_back_args_f64 {
    tnn__attn_args_f64 f;
    const double *dout;
    double *dk;
    double *dv;
} tnn__attn_back_args_f64;

/* As tnn__gdn_args, tnn__gdn_back_args. */
typedef struct tnn__gdn_args_f64 {
    const double *q, *k, *v;
    int64_t q_stride, k_stride, v_stride;
    const double *decay;
    const double *beta;
    int64_t d_k, d_v, n_v_heads;
    double scale;
    tnn_l2_rule norm;
    double norm_eps;
    int64_t chunk;
    double *out;
    double *kept;
    int64_t n_rows;
} tnn__gdn_args_f64;

typedef struct tnn__gdn_back_args_f64 {
    tnn__gdn_args_f64 f;
    const double *dout;
    double *dq, *dk, *dv;
    double *ddecay;
    double *dbeta;
} tnn__gdn_back_args_f64;

/* As tnn__gdn_kernel. */
typedef struct tnn__gdn_kernel_f64 {
    void (*run)(const tnn__gdn_args_f64 *a, int64_t c, int64_t h, int64_t t0, int64_t t1, double *state, void *scratch);
    void (*back)(const tnn__gdn_back_args_f64 *a, int64_t c, int64_t h, int64_t t0, int64_t t1, const double *state,
                 double *dstate, bool add, void *scratch);
    int64_t chunk;
    size_t (*scratch_bytes)(const tnn__gdn_args_f64 *a, int64_t rows);
    size_t (*back_scratch_bytes)(const tnn__gdn_args_f64 *a, int64_t rows);
} tnn__gdn_kernel_f64;

typedef struct tnn__kernels_f64 {
    /* Weights of `type`: F64 or any usable type. Scratch: n_in doubles. */
    void (*gemm)(const tnn__gemm_args_f64 *a, int64_t row0, int64_t row1, void *scratch);
    void (*attn)(const tnn__attn_args_f64 *a, int64_t c, int64_t t0, int64_t t1, void *scratch);
    size_t (*attn_scratch_bytes)(const tnn__attn_args_f64 *a);
    void (*rms_norm)(const double *x, const double *gamma, double *y, int64_t n, double eps);
    void (*swiglu)(const double *gate, const double *up, double *y, int64_t n);
    void (*rms_norm_gated)(const double *x, const double *gamma, const double *z, double *y, int64_t n, double eps);
    void (*sigmoid)(const double *x, double *y, int64_t n);
    void (*sigmoid_gate)(const double *x, const double *gate, double *y, int64_t n);
    void (*conv1d_silu)(const double *const *x, const double *w, int64_t width, double *y, int64_t n);
    tnn__gdn_kernel_f64 gdn;
    void (*add)(const double *a, const double *b, double *y, int64_t n);
    void (*rope)(const double *x, const double *cs, double *y, int64_t d, int64_t n_rot, bool interleaved,
                 bool inverse);
    void (*gemm_dx)(const tnn__gemm_dx_args_f64 *a, int64_t k0, int64_t k1, void *scratch);
    void (*gemm_dw)(const tnn__gemm_dw_args_f64 *a, int64_t row0, int64_t row1, void *scratch);
    void (*attn_back)(const tnn__attn_back_args_f64 *a, int64_t c, int64_t part, int64_t n_parts, double *dq,
                      void *scratch);
    void (*rms_norm_back)(const double *x, const double *gamma, const double *dy, double *dx, double *dgamma, int64_t n,
                          double eps);
    void (*swiglu_back)(const double *gate, const double *up, const double *dy, double *dgate, double *dup, int64_t n);
    void (*rms_norm_gated_back)(const double *x, const double *gamma, const double *z, const double *dy, double *dx,
                                double *dz, double *dgamma, int64_t n, double eps);
    void (*sigmoid_gate_back)(const double *x, const double *gate, const double *dy, double *dx, double *dgate,
                              int64_t n);
    void (*conv1d_silu_back)(const double *const *x, const double *w, int64_t width, const double *dy,
                             double *const *dx, double *dw, int64_t n);
    double (*xent)(double *logits, int64_t n, int32_t target, double weight);
} tnn__kernels_f64;

void tnn__kernels_init_f64(tnn__kernels_f64 *k);
void tnn__kernels_init_back_f64(tnn__kernels_f64 *k); /* the gradient part, called by the one above */
void tnn__kernels_init_gdn_f64(tnn__kernels_f64 *k);  /* what Gated DeltaNet adds, both ways */

#endif
