/*
 * What steps do, in single and in double precision. The bodies (*.inc.h) are written once in `real` and compiled by
 * f32.c and f64.c; the lowerings (*.c) pick the table by the type of the node. A step's objects are named here, once.
 */
#ifndef TNN_CPU_STEPS_H
#define TNN_CPU_STEPS_H

#include "base/alloc.h"
#include "cpu/program.h"

typedef struct tnn__step_fns {
    tnn__run_fn *rows, *add, *scale, *dropout, *swiglu, *rms_norm, *rope_angles, *rope;
    tnn__run_fn *linear, *attn_tile;
    tnn__run_fn *accumulate, *bias_grad, *rows_back, *rms_norm_back, *sum_partials, *swiglu_back;
    tnn__run_fn *linear_dx, *linear_dw, *attn_back, *attn_back_sum;
    tnn__run_fn *sigmoid, *sigmoid_gate, *rms_norm_gated, *slice, *gdn_decay, *conv1d_silu, *gdn;
    tnn__run_fn *sigmoid_back, *sigmoid_gate_back, *rms_norm_gated_back, *slice_back, *gdn_decay_back;
    tnn__run_fn *conv1d_silu_back, *gdn_back;
    size_t (*gdn_scratch_bytes)(const tnn__program *p, const tnn_tensor *node);
    size_t (*gdn_back_scratch_bytes)(const tnn__program *p, const tnn_tensor *node);
    tnn__run_fn *xent_logits, *xent_add, *xent_rows, *xent_dx, *xent_dw;
} tnn__step_fns;

extern const tnn__step_fns tnn__steps_f32, tnn__steps_f64;

static inline const tnn__step_fns *tnn__steps_for(const tnn_tensor *t) {
    return t->type == TNN_TYPE_F64 ? &tnn__steps_f64 : &tnn__steps_f32;
}

/* Bytes of one element of an activation. */
static inline size_t tnn__real_bytes(const tnn_tensor *t) {
    return t->type == TNN_TYPE_F64 ? sizeof(double) : sizeof(float);
}

/* Elements in one task of an elementwise sum; columns in one task of a sum over rows. */
enum { TNN__ACCUMULATE_CHUNK = 16384, TNN__COLUMN_CHUNK = 256 };

/* The number of rows, and elements of one, which is everything but the last dimension; a vector is one row. */
static inline int64_t tnn__n_rows(const tnn_tensor *t) {
    return t->n_dims > 1 ? t->ne[t->n_dims - 1] : 1;
}
static inline int64_t tnn__row_elements(const tnn_tensor *t) {
    return tnn_tensor_elements(t) / tnn__n_rows(t);
}

/* Rows [*r0, *r1) of task number `task` when there are `per_task` in each. */
static inline void tnn__split(int64_t task, int64_t per_task, int64_t n, int64_t *r0, int64_t *r1) {
    *r0 = task * per_task;
    *r1 = *r0 + per_task < n ? *r0 + per_task : n;
}

static inline int64_t tnn__n_tasks(int64_t n, int64_t per_task) {
    return (n + per_task - 1) / per_task;
}

/* --- rope_angles --- */

typedef struct tnn__rope_state {
    double low, high; /* YaRN ramp, in pairs */
    double magnitude;
} tnn__rope_state;

/* --- products: obj y, w, x (or its int8 form), bias, addend, b, low --- */

typedef struct tnn__linear_state {
    const tnn__gemm_kernel *kernel, *pair; /* F32 only; pair: of B low */
    bool bf16;                             /* x and low are rounded */
    int64_t rows_per_task, columns_per_task;
} tnn__linear_state;

typedef struct tnn__linear_dx_state { /* obj dx, w, dy, addend */
    const tnn__gemm_dx_kernel *kernel;
    bool bf16; /* dy is rounded */
    int64_t k_per_task, columns_per_task;
} tnn__linear_dx_state;

typedef struct tnn__linear_dw_state { /* obj dw, dy, x */
    const tnn__gemm_dw_kernel *kernel;
    bool bf16; /* dy and x are rounded */
    int64_t rows_per_task;
} tnn__linear_dw_state;

/* A row-wise step that writes the node's own memory (and its part) and reads its first n sources. */
tnn__step *tnn__lower_simple(tnn__lowering *l, const tnn_tensor *node, tnn__run_fn *run, int n);

/* Views of the int8 form of a [n_in, n_rows] matrix in one piece of memory. */
tnn__act_q8 tnn__packed_views(uint8_t *base, int64_t n_in, int64_t n_rows);

/*
 * How W's rows (or, on the way back, its columns) are cut: as many tasks for each thread, few enough that unpacking a
 * panel pays. Cuts are between whole tiles, and an element is summed over the same blocks of K in the same order
 * wherever it is in its task, so results do not depend on the number of threads.
 */
int64_t tnn__rows_per_task(int64_t n_out, int64_t n_cols, int n_threads, int64_t align);
int64_t tnn__k_per_task(int64_t n_in, int n_threads, int64_t align);
/* Columns of y and dx in one task: they stay in the last cache while all rows of W go by. */
int64_t tnn__columns_per_task(int64_t n_cols);
/* Rows of a weight gradient in one task: each packs all of x again, so that more of them pay than on the way there. */
int64_t tnn__dw_rows_per_task(int64_t n_out, int n_threads, int64_t align);

/*
 * A product that is added to what is there is made of so many columns at a time, in the task's scratch, before what its
 * kernel needs.
 */
#define TNN__ADDED_COLUMNS 64
static inline size_t tnn__added_bytes(const tnn_tensor *node, int64_t rows_per_task) {
    return (size_t)(TNN__ADDED_COLUMNS * rows_per_task) * tnn__real_bytes(node);
}

/* Slots of rows (NULL: none are given) must lie within what a layer's cache or state has. */
tnn_status tnn__check_slots(const tnn__program *p, const tnn_tensor *slots, int64_t n_slots, tnn_error *err);

/* --- attention: obj out (or parts), lse (may be missing), ranges, q, k, v, slots, mask; joining: parts --- */

enum {
    TNN__ATTN_OUT,
    TNN__ATTN_LSE,
    TNN__ATTN_RANGES,
    TNN__ATTN_Q,
    TNN__ATTN_K,
    TNN__ATTN_V,
    TNN__ATTN_SLOTS,
    TNN__ATTN_MASK,
    TNN__ATTN_PARTS
};

typedef struct tnn__attention_state {
    int64_t rows_per_task;
    int64_t max_parts;   /* few rows of a cache: keys are cut into parts */
    int64_t part_floats; /* one part of one kv head */
    size_t slot_bytes_k, slot_bytes_v;
} tnn__attention_state;

/*
 * Way back: a task is a kv head and one of n_parts parts of the keys. attn_back: obj dk, dv, parts of dq [d, H, T],
 * ranges, q, k, v, out, mask, lse, dout; attn_back_sum: obj dq, parts. A single part is dq itself.
 */
typedef struct tnn__attention_back_state {
    int64_t n_parts;
} tnn__attention_back_state;

enum {
    TNN__BACK_DK,
    TNN__BACK_DV,
    TNN__BACK_DQ,
    TNN__BACK_RANGES,
    TNN__BACK_Q,
    TNN__BACK_K,
    TNN__BACK_V,
    TNN__BACK_OUT,
    TNN__BACK_MASK,
    TNN__BACK_LSE,
    TNN__BACK_DOUT
};

/* --- what is carried from row to row: conv1d_silu and gated_delta_net --- */

/* Rows [first, end) are of one sequence. With a state, they carry on from `slot`, or begin it anew. */
typedef struct tnn__span {
    int32_t first, end, slot;
    bool begins;
} tnn__span;

/* The spans of a batch, an object; found once a run for all layers. */
typedef struct tnn__spans {
    int64_t n;
    tnn__span at[];
} tnn__spans;

/* Channels in one task of the convolution. */
enum { TNN__CONV_CHANNELS = 128 };

/* Objects; the state may be missing. */
enum { TNN__CONV_Y, TNN__CONV_STATE, TNN__CONV_X, TNN__CONV_W, TNN__CONV_SPANS };
enum {
    TNN__CONV_BACK_DX,
    TNN__CONV_BACK_DW,
    TNN__CONV_BACK_X,
    TNN__CONV_BACK_W,
    TNN__CONV_BACK_DY,
    TNN__CONV_BACK_SPANS
};
enum {
    TNN__GDN_OUT,
    TNN__GDN_STATE,
    TNN__GDN_NORMS,
    TNN__GDN_KEPT,
    TNN__GDN_Q,
    TNN__GDN_K,
    TNN__GDN_V,
    TNN__GDN_DECAY,
    TNN__GDN_BETA,
    TNN__GDN_SPANS
};
/* dk, dv and k are missing where rows hold all three. */
enum {
    TNN__GDN_BACK_DQ,
    TNN__GDN_BACK_DK,
    TNN__GDN_BACK_DV,
    TNN__GDN_BACK_DDECAY,
    TNN__GDN_BACK_DBETA,
    TNN__GDN_BACK_Q,
    TNN__GDN_BACK_K,
    TNN__GDN_BACK_DECAY,
    TNN__GDN_BACK_BETA,
    TNN__GDN_BACK_SPANS,
    TNN__GDN_BACK_DOUT,
    TNN__GDN_BACK_KEPT
};

/* --- linear_xent, in chunks of rows: each step has the rows [row0, row1) of its chunk, and one of two products --- */

typedef struct tnn__xent_state {
    const tnn_tensor *w; /* W, or B of a pair */
    int64_t row0, row1;
    const tnn__gemm_kernel *kernel;
    const tnn__gemm_dx_kernel *dx_kernel;
    const tnn__gemm_dw_kernel *dw_kernel;
    bool bf16;                /* x is rounded, and the gradients of the logits are */
    int64_t rows_per_task;    /* logits: rows of W */
    int64_t dw_rows_per_task; /* dW: the same */
    int64_t k_per_task;       /* dx: columns of W */
} tnn__xent_state;

#endif
