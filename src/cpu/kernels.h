/*
 * The kernel table: one entry per kernel signature, filled with portable C and then overwritten level by level by
 * what the processor has. A table belongs to a session; nothing here is global. Kernels get raw pointers and sizes,
 * never tensors; src/cpu/steps cuts the work into tasks and calls them.
 *
 * Contract of every kernel: no allocation, no errors, any alignment of weights (they may lie in a mapped file), scratch
 * aligned to 64 bytes; the result depends on the arguments alone, never on the thread or on how the rows and columns
 * were cut into tasks (each output element is computed in one fixed order along K).
 */
#ifndef TNN_CPU_KERNELS_H
#define TNN_CPU_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/ops.h>

#include "core/gdn_kept.h"

/* --- activations in int8 ------------------------------------------------------------------------------------------ */

/*
 * A matrix of activations, n_in per row, quantised in groups of 32 along the row: x ~ d * q, d = max|x| / 127,
 * q rounded to nearest (half away from zero, as Q8_0). Row t starts at q + t*n_in, d + t*(n_in/32), s + t*(n_in/32),
 * sum16 + t*(n_in/16). n_in is a multiple of 32.
 */
typedef struct tnn__act_q8 {
    int8_t *q;
    float *d;       /* scale per 32 */
    float *s;       /* d * sum of q, per 32 */
    int16_t *sum16; /* sum of q, per 16 */
} tnn__act_q8;

/* One row: n floats (a multiple of 32) into the four places. */
typedef void tnn__quantize_act_fn(const float *x, int64_t n, int8_t *q, float *d, float *s, int16_t *sum16);

/* --- matrix product ----------------------------------------------------------------------------------------------- */

/*
 * y[t][i] = sum_k w[i][k] * x[t][k] (+ bias[i]) for the rows i in [row0, row1) of W and all n_cols activations t.
 * W: n_out rows of row_bytes each, of the type the kernel is for. x: F32 rows for the float kernels, act for the int8
 * ones. y row t starts at y + t * y_stride (floats). bias may be NULL.
 */
typedef struct tnn__gemm_args {
    const void *w;
    tnn_type type; /* of w: read by kernels that serve several */
    size_t row_bytes;
    int64_t n_in;
    int64_t n_out;
    int64_t n_cols;
    const float *x;
    const uint16_t *x16; /* gemm_bf16: x in BF16, instead */
    int64_t x_stride;
    tnn__act_q8 act;
    const float *bias;
    float *y;
    int64_t y_stride;
} tnn__gemm_args;

typedef void tnn__gemm_fn(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch);

typedef struct tnn__gemm_kernel {
    tnn__gemm_fn *run;     /* NULL: the type cannot be multiplied at this level */
    bool int8_activations; /* reads act instead of x */
    int32_t row_align;     /* task borders (row0, row1 except the last) are multiples of this; a power of two <= 64 */
    /* Scratch bytes one worker needs for a task of `rows` rows. */
    size_t (*scratch_bytes)(int64_t n_in, int64_t n_cols, int64_t rows);
} tnn__gemm_kernel;

/* --- attention ---------------------------------------------------------------------------------------------------- */

/*
 * out[t][h] = softmax(scale * q[t][h] . K[h/g] + mask) V[h/g] over the keys j in [lo[t], hi[t]).
 * q, out: [d, n_head, T] F32. K and V: element (pos j, kv head c) is a row of d (d_v) elements of kv_type at
 * k + j*k_pos_bytes + c*k_head_bytes (v likewise). mask, if not NULL, is F32 [n_kv, T] added to the scores.
 * lse, if not NULL, is [n_head, T]: log-sum-exp of the scaled scores (needed to differentiate).
 * A row that sees no key, be its range empty or its mask -inf throughout, gives zeros, and -inf for its lse.
 */
typedef struct tnn__attn_args {
    const float *q;
    const void *k;
    const void *v;
    tnn_type kv_type; /* F32, F16, BF16 or Q8_0 */
    size_t k_pos_bytes, k_head_bytes, v_pos_bytes, v_head_bytes;
    int64_t d, d_v, n_head, n_kv_head, n_rows;
    float scale;
    const int32_t *lo; /* [T] */
    const int32_t *hi; /* [T] */
    const float *mask;
    int64_t mask_stride;
    float *out;
    float *lse;
} tnn__attn_args;

/* Keys are visited in blocks of this many, counted from position 0, with an online softmax across blocks. */
#define TNN__ATTN_BLOCK 64

/* All keys for kv head c and the rows [t0, t1), every query head of the group. */
typedef void tnn__attn_fn(const tnn__attn_args *a, int64_t c, int64_t t0, int64_t t1, void *scratch);
/*
 * The keys [j0, j1) only (borders are multiples of TNN__ATTN_BLOCK), one row t: per query head of the group, in order,
 * d_v floats of the unnormalised weighted sum, then the running maximum, then the sum of exponentials: (d_v + 2) floats
 * each. The maximum is in the kernel's own units (of e or of 2), so the join of the same table reads it.
 */
typedef void tnn__attn_part_fn(const tnn__attn_args *a, int64_t c, int64_t t, int64_t j0, int64_t j1, float *part,
                               void *scratch);
/* Joins n_parts such parts (part i at parts + i * part_stride floats) in order into out (and lse) of row t, kv head c.
 */
typedef void tnn__attn_join_fn(const tnn__attn_args *a, int64_t c, int64_t t, const float *parts, int64_t n_parts,
                               int64_t part_stride);

/* --- rows --------------------------------------------------------------------------------------------------------- */

/* y = x / sqrt(mean(x^2) + eps) * gamma; y may be x. */
typedef void tnn__rms_norm_fn(const float *x, const float *gamma, float *y, int64_t n, float eps);
/* y = silu(gate) * up, silu(z) = z / (1 + e^-z) */
typedef void tnn__swiglu_fn(const float *gate, const float *up, float *y, int64_t n);
typedef void tnn__add_fn(const float *a, const float *b, float *y, int64_t n);
/*
 * Rotates one head of d floats; cs holds n_rot/2 pairs (cos, sin). interleaved: pairs (2i, 2i+1); else (i, i +
 * n_rot/2). inverse rotates back (the gradient). Elements from n_rot on are copied. y may be x.
 */
typedef void tnn__rope_fn(const float *x, const float *cs, float *y, int64_t d, int64_t n_rot, bool interleaved,
                          bool inverse);
/* n elements (a multiple of the block size) between F32 and a storage type. */
typedef void tnn__to_f32_fn(const void *src, float *dst, int64_t n);
typedef void tnn__from_f32_fn(const float *src, void *dst, int64_t n);

/* y = rms_norm(x, gamma) * silu(z); y may be x. */
typedef void tnn__rms_norm_gated_fn(const float *x, const float *gamma, const float *z, float *y, int64_t n, float eps);
/* y = 1 / (1 + e^-x); y may be x. */
typedef void tnn__sigmoid_fn(const float *x, float *y, int64_t n);
/* y = x * sigmoid(gate); y may be x. */
typedef void tnn__sigmoid_gate_fn(const float *x, const float *gate, float *y, int64_t n);

/* --- causal convolution ------------------------------------------------------------------------------------------- */

/* One row: y = silu(sum_j w[j] * x[j]) for n channels; w is [n, width], tap by tap; x[j] is the row that tap j reads.
 */
typedef void tnn__conv1d_silu_fn(const float *const *x, const float *w, int64_t width, float *y, int64_t n);
/*
 * Its gradient: dw[j] += dc x[j]; dx[j] += dc w[j] for j < width - 1 and dx[width - 1] = dc w[width - 1], where dc = dy
 * silu'(c). A NULL dx[j] is left out.
 */
typedef void tnn__conv1d_silu_back_fn(const float *const *x, const float *w, int64_t width, const float *dy,
                                      float *const *dx, float *dw, int64_t n);

/* --- gated delta rule --------------------------------------------------------------------------------------------- */

/*
 * Rows of ops.h's gated delta rule. Row t of key head c: q + t * q_stride + c * d_k, k likewise; of value head h: v + t
 * * v_stride + h * d_v. q and k are normalised by the rule first, and q multiplied by scale.
 */
typedef struct tnn__gdn_args {
    const float *q, *k, *v;
    int64_t q_stride, k_stride, v_stride;
    const float *decay; /* its logarithm, [n_v_heads, T] */
    const float *beta;  /* [n_v_heads, T] */
    int64_t d_k, d_v, n_v_heads;
    float scale;
    tnn_l2_rule norm;
    float norm_eps;
    int64_t chunk; /* rows that are taken together, from the first of a sequence on */
    float *out;    /* [d_v, n_v_heads, T] */
    float *kept;   /* core/gdn_kept.h: [d_v, rows, n_v_heads], set by the forward, if not NULL; the way back reads it */
    int64_t n_rows; /* T, where something is kept */
} tnn__gdn_args;

/* The rows [t0, t1), of one sequence, for value head h over key head c. state [d_v, d_k], key index slower: as the rows
 * find it, and as they leave it. */
typedef void tnn__gdn_fn(const tnn__gdn_args *a, int64_t c, int64_t h, int64_t t0, int64_t t1, float *state,
                         void *scratch);

typedef struct tnn__gdn_back_args {
    tnn__gdn_args f;     /* of the forward; v and out are not read */
    const float *dout;   /* [d_v, n_v_heads, T] */
    float *dq, *dk, *dv; /* rows and strides of q, k, v */
    float *ddecay;       /* [n_v_heads, T] */
    float *dbeta;        /* [n_v_heads, T] */
} tnn__gdn_back_args;

/*
 * The gradients of the rows [t0, t1) that found `state`. dstate: of the state they left, and then of the one they
 * found. dv, ddecay and dbeta are set; dq and dk are set, or, with `add` (a further value head of the same key head),
 * added to.
 */
typedef void tnn__gdn_back_fn(const tnn__gdn_back_args *a, int64_t c, int64_t h, int64_t t0, int64_t t1,
                              const float *state, float *dstate, bool add, void *scratch);

typedef struct tnn__gdn_kernel {
    tnn__gdn_fn *run;
    tnn__gdn_back_fn *back;
    int64_t chunk; /* what suits it */
    /* scratch bytes one worker needs for up to `rows` rows of a sequence */
    size_t (*scratch_bytes)(const tnn__gdn_args *a, int64_t rows);
    size_t (*back_scratch_bytes)(const tnn__gdn_args *a, int64_t rows);
} tnn__gdn_kernel;

/* --- gradients ---------------------------------------------------------------------------------------------------- */

/*
 * dx[t][k] = sum_i w[i][k] * dy[t][i] for k in [k0, k1) and all n_cols rows t: the gradient of y = W x with respect to
 * x. W as in tnn__gemm_args; block types are dequantised in panels, never as a whole. Products and sums in F32.
 */
typedef struct tnn__gemm_dx_args {
    const void *w;
    tnn_type type; /* as in tnn__gemm_args */
    size_t row_bytes;
    int64_t n_in;
    int64_t n_out;
    int64_t n_cols;
    const float *dy;      /* [n_out, n_cols] */
    const uint16_t *dy16; /* gemm_dx_bf16: dy in BF16, instead */
    float *dx;            /* [n_in, n_cols] */
} tnn__gemm_dx_args;

typedef struct tnn__gemm_dx_kernel {
    void (*run)(const tnn__gemm_dx_args *a, int64_t k0, int64_t k1, void *scratch);
    int32_t k_align; /* task borders along k are multiples of this: a power of two, at least the block size */
    size_t (*scratch_bytes)(int64_t n_in, int64_t n_cols, int64_t n_k);
} tnn__gemm_dx_kernel;

/* dw[i][k] += sum_t dy[t][i] * x[t][k] for the rows i in [row0, row1) of an F32 W: its gradient, accumulated. */
typedef struct tnn__gemm_dw_args {
    int64_t n_in;
    int64_t n_out;
    int64_t n_cols;
    const float *dy;            /* [n_out, n_cols] */
    const float *x;             /* [n_in, n_cols] */
    const uint16_t *dy16, *x16; /* gemm_dw_bf16: dy and x in BF16, instead */
    float *dw;                  /* [n_in, n_out] */
} tnn__gemm_dw_args;

typedef struct tnn__gemm_dw_kernel {
    void (*run)(const tnn__gemm_dw_args *a, int64_t row0, int64_t row1, void *scratch);
    int32_t row_align;
    size_t (*scratch_bytes)(int64_t n_in, int64_t n_cols, int64_t rows);
} tnn__gemm_dw_kernel;

/*
 * Gradient of attention without a cache for kv head c, from out, lse and dout of the forward: f has q, k, v, ranges,
 * mask and lse of the forward; its out is only read. Rows that see no key have none. Keys are cut into blocks of
 * TNN__ATTN_BLOCK, of which a call takes part, part + n_parts, ...: it sets dk and dv of these keys, and dq [d, H, T]
 * of the group's query heads, all rows, to what these keys give. The dq of all parts are added up afterwards.
 */
typedef struct tnn__attn_back_args {
    tnn__attn_args f;  /* K and V in F32 */
    const float *dout; /* [d_v, H, T] */
    float *dk;         /* [d, K, T] */
    float *dv;         /* [d_v, K, T] */
} tnn__attn_back_args;

typedef void tnn__attn_back_fn(const tnn__attn_back_args *a, int64_t c, int64_t part, int64_t n_parts, float *dq,
                               void *scratch);

/* dx of y = rms_norm(x, gamma); dgamma += dy * x / rms(x). dx may be dy. */
typedef void tnn__rms_norm_back_fn(const float *x, const float *gamma, const float *dy, float *dx, float *dgamma,
                                   int64_t n, float eps);
/* dx and dz of y = rms_norm(x, gamma) silu(z); dgamma += dy silu(z) x / rms(x). dx may be dy. */
typedef void tnn__rms_norm_gated_back_fn(const float *x, const float *gamma, const float *z, const float *dy, float *dx,
                                         float *dz, float *dgamma, int64_t n, float eps);
/* dx = dy s, dgate = dy x s (1 - s), s = sigmoid(gate) */
typedef void tnn__sigmoid_gate_back_fn(const float *x, const float *gate, const float *dy, float *dx, float *dgate,
                                       int64_t n);
typedef void tnn__swiglu_back_fn(const float *gate, const float *up, const float *dy, float *dgate, float *dup,
                                 int64_t n);

/*
 * Cross-entropy of one row of logits against a target: returns log-sum-exp(logits) - logits[target] and overwrites the
 * logits with weight * (softmax - onehot(target)). target < 0: returns 0, the row becomes zeros.
 */
typedef float tnn__xent_fn(float *logits, int64_t n, int32_t target, float weight);

/*
 * AdamW with decoupled decay (Loshchilov & Hutter 2019, algorithm 2) on n elements:
 * g' = clip * g, m = beta1 m + (1 - beta1) g', v = beta2 v + (1 - beta2) g'^2,
 * p -= lr * (m / bias1 / (sqrt(v / bias2) + eps) + decay * p).
 */
typedef struct tnn__adamw_hyper {
    float lr, beta1, beta2, eps, decay;
    float bias1, bias2; /* 1 - beta^step */
    float clip;
} tnn__adamw_hyper;

typedef void tnn__adamw_fn(float *p, const float *g, float *m, float *v, int64_t n, const tnn__adamw_hyper *h);

/* The types whose products are those of integers, where activations are int8. */
#define TNN__Q8_TYPES(X)                                                                                               \
    X(Q4_0)                                                                                                            \
    X(Q4_1)                                                                                                            \
    X(Q5_0)                                                                                                            \
    X(Q5_1)                                                                                                            \
    X(Q8_0)                                                                                                            \
    X(Q2_K)                                                                                                            \
    X(Q3_K)                                                                                                            \
    X(Q4_K)                                                                                                            \
    X(Q5_K)                                                                                                            \
    X(Q6_K)                                                                                                            \
    X(IQ4_NL)                                                                                                          \
    X(IQ4_XS)                                                                                                          \
    X(MXFP4)

/* Every type that weights may have. */
#define TNN__WEIGHT_TYPES(X) X(F32) X(F16) X(BF16) TNN__Q8_TYPES(X)

/* --- the table ---------------------------------------------------------------------------------------------------- */

typedef struct tnn__kernels {
    tnn__quantize_act_fn *quantize_act;
    tnn__gemm_kernel gemm[TNN_TYPE_COUNT];
    tnn__attn_fn *attn;
    tnn__attn_part_fn *attn_part;
    tnn__attn_join_fn *attn_join;
    /* scratch bytes one worker needs for attn over up to `rows` rows and for attn_part */
    size_t (*attn_scratch_bytes)(const tnn__attn_args *a, int64_t rows);
    int64_t attn_rows; /* rows per attn task */
    tnn__rms_norm_fn *rms_norm;
    tnn__swiglu_fn *swiglu;
    tnn__add_fn *add;
    tnn__rope_fn *rope;
    tnn__rms_norm_gated_fn *rms_norm_gated;
    tnn__sigmoid_fn *sigmoid;
    tnn__sigmoid_gate_fn *sigmoid_gate;
    tnn__conv1d_silu_fn *conv1d_silu;
    tnn__gdn_kernel gdn;
    tnn__to_f32_fn *to_f32[TNN_TYPE_COUNT];     /* every usable type */
    tnn__from_f32_fn *from_f32[TNN_TYPE_COUNT]; /* F32, F16, BF16, Q8_0: what a KV cache may hold */

    /* Training: F32 activations against weights of every usable type, and gradients. */
    tnn__gemm_kernel gemm_float[TNN_TYPE_COUNT];
    tnn__gemm_dx_kernel gemm_dx[TNN_TYPE_COUNT];
    tnn__gemm_dw_kernel gemm_dw;
    /* The same with both operands of every product in BF16, rounded to nearest even, and sums in F32. */
    tnn__gemm_kernel gemm_bf16[TNN_TYPE_COUNT];
    tnn__gemm_dx_kernel gemm_dx_bf16[TNN_TYPE_COUNT];
    tnn__gemm_dw_kernel gemm_dw_bf16;
    tnn__attn_back_fn *attn_back;
    size_t (*attn_back_scratch_bytes)(const tnn__attn_back_args *a);
    tnn__rms_norm_back_fn *rms_norm_back;
    tnn__swiglu_back_fn *swiglu_back;
    tnn__rms_norm_gated_back_fn *rms_norm_gated_back;
    tnn__sigmoid_gate_back_fn *sigmoid_gate_back;
    tnn__conv1d_silu_back_fn *conv1d_silu_back;
    tnn__xent_fn *xent;
    tnn__adamw_fn *adamw;
} tnn__kernels;

/* Each fills in what it has; called in this order as far as the processor and the session's limit allow. */
void tnn__kernels_init_portable(tnn__kernels *k);
void tnn__kernels_init_back_portable(tnn__kernels *k); /* the gradient part, called by the one above */
void tnn__kernels_init_gdn_portable(tnn__kernels *k);  /* what Gated DeltaNet adds, likewise */
#if defined(__x86_64__)
void tnn__kernels_init_avx2(tnn__kernels *k);       /* AVX2 + FMA + F16C */
void tnn__kernels_init_avxvnni(tnn__kernels *k);    /* + AVX-VNNI */
void tnn__kernels_init_avx512(tnn__kernels *k);     /* + AVX-512 F BW VL DQ */
void tnn__kernels_init_avx512vnni(tnn__kernels *k); /* + AVX-512 VNNI */
void tnn__kernels_init_avx512bf16(tnn__kernels *k); /* + AVX-512 BF16 */
#elif defined(__aarch64__)
void tnn__kernels_init_neon(tnn__kernels *k);
void tnn__kernels_init_dotprod(tnn__kernels *k);
void tnn__kernels_init_i8mm(tnn__kernels *k);
#endif

#endif
