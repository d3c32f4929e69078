/*
 * Gradient of attention (Dao 2023, FlashAttention-2, algorithm 2), written once over the vectors that the including
 * file brings: blocks of 64 keys by blocks of 64 rows, five products of the tile of gemm_tile.h for each pair, so that
 * no T x T matrix exists.
 */
#ifndef TNN_CPU_VEC_ATTENTION_BACK_H
#define TNN_CPU_VEC_ATTENTION_BACK_H

#include "cpu/kernels.h"
#include "cpu/vec/elements.h"
#include "cpu/vec/gemm_tile.h"

enum { B = TNN__ATTN_BLOCK }; /* keys, and rows, of a block */

typedef struct workspace {
    float *s, *dp;             /* [rows][keys]: scores then weights; their gradients */
    float *k, *v;              /* panels of keys, along d */
    float *k_cols;             /* panels of elements of K, along keys */
    float *q_cols, *dout_cols; /* panels of elements, along rows */
    float *rows;               /* those of a panel, before they are packed */
} workspace;

/* Where the parts of the scratch begin; returns its floats. */
static int64_t carve(const tnn__attn_back_args *a, float *scratch, workspace *w) {
    int64_t d = a->f.d, d_v = a->f.d_v, widest = whole_panels(d > d_v ? d : d_v);
    const struct {
        float **to;
        int64_t n;
    } parts[] = {
        {&w->s, B * B},
        {&w->dp, B * B},
        {&w->k, panel_floats(B, d)},
        {&w->v, panel_floats(B, d_v)},
        {&w->k_cols, panel_floats(d, B)},
        {&w->q_cols, panel_floats(d, B)},
        {&w->dout_cols, panel_floats(d_v, B)},
        {&w->rows, MR * widest},
    };
    int64_t at = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (scratch) *parts[i].to = scratch + at;
        at += parts[i].n;
    }
    return at;
}

static size_t attn_back_scratch_bytes(const tnn__attn_back_args *a) {
    workspace w;
    return (size_t)carve(a, NULL, &w) * sizeof(float);
}

/* y += what the panels, along the elements of a row, times x^T give; x has B keys a row. */
TNN__ONCE static void add_to_keys(const float *panels, int64_t n, int64_t n_rows, const float *x, int64_t n_keys,
                                  float *y, int64_t y_stride) {
    multiply_panels(panels, n, n_rows, x, 1, B, n_keys, false, NULL, y, y_stride);
}

static float dot(const float *a, const float *b, int64_t n) {
    vf sum = vf_zero();
    for (int64_t i = 0; i < n; i += LANES)
        sum = vf_fma(vf_load_n(a + i, n - i), vf_load_n(b + i, n - i), sum);
    return vf_sum(sum);
}

/*
 * One row of a pair of blocks: scores to weights p = exp(scale s + mask - lse), dp to ds = scale p (dp - delta); keys
 * outside [lo, hi) of the row, those that fill up the block, and all where the mask hides all, get zeros.
 */
static void row_gradients(const tnn__attn_back_args *a, int64_t h, int64_t t, int64_t j0, float *s, float *dp) {
    const tnn__attn_args *f = &a->f;
    int64_t row = t * f->n_head + h, lo = f->lo[t] - j0, hi = f->hi[t] - j0;
    if (f->lse[row] == -INFINITY) hi = lo;
    const vf delta = vf_set(dot(a->dout + row * f->d_v, f->out + row * f->d_v, f->d_v));
    const vf scale = vf_set(f->scale), minus_lse = vf_set(-f->lse[row]);
    for (int64_t j = 0; j < B; j += LANES) {
        const vm inside = vm_range(j, lo < 0 ? 0 : lo, hi > B ? B : hi);
        vf score = vf_fma(vf_load(s + j), scale, minus_lse);
        if (f->mask) score = vf_add(score, vf_load_some(f->mask + t * f->mask_stride + j0 + j, inside));
        vf p = vf_exp(score), ds = vf_mul(vf_mul(p, scale), vf_sub(vf_load(dp + j), delta));
        vf_store(s + j, vf_select(inside, p, vf_zero()));
        vf_store(dp + j, vf_select(inside, ds, vf_zero()));
    }
}

/* Keys [j0, j0 + nj) and rows [t0, t0 + nt), a pair that some row sees. dk, dv: of the first of these keys. */
static void pair(const tnn__attn_back_args *a, const workspace *w, int64_t h, int64_t j0, int64_t nj, int64_t t0,
                 int64_t nt, float *dq, float *dk, float *dv) {
    const tnn__attn_args *f = &a->f;
    int64_t q_stride = f->n_head * f->d, o_stride = f->n_head * f->d_v;
    const float *q = f->q + (t0 * f->n_head + h) * f->d, *dout = a->dout + (t0 * f->n_head + h) * f->d_v;
    panels_by_columns(w->k, whole_panels(nj), f->d, q, q_stride, nt, true, NULL, w->s, B);
    panels_by_columns(w->v, whole_panels(nj), f->d_v, dout, o_stride, nt, true, NULL, w->dp, B);
    for (int64_t t = 0; t < nt; t++)
        row_gradients(a, h, t0 + t, j0, w->s + t * B, w->dp + t * B);
    panels_by_columns(w->k_cols, f->d, nj, w->dp, B, nt, false, NULL, dq + (t0 * f->n_head + h) * f->d, q_stride);
    pack_columns(TNN_TYPE_F32, q, q_stride, f->d, nt, w->q_cols);
    pack_columns(TNN_TYPE_F32, dout, o_stride, f->d_v, nt, w->dout_cols);
    add_to_keys(w->q_cols, f->d, nt, w->dp, nj, dk, f->n_kv_head * f->d);
    add_to_keys(w->dout_cols, f->d_v, nt, w->s, nj, dv, f->n_kv_head * f->d_v);
}

/* Panels of n rows of d floats, which lie `bytes` apart. */
static void pack_keys(const char *from, size_t bytes, int64_t n, int64_t d, float *rows, float *panels) {
    int64_t stride = whole_panels(d);
    for (int64_t j = 0; j < n; j += MR) {
        for (int64_t r = j; r < j + MR && r < n; r++)
            memcpy(rows + (r - j) * stride, from + (size_t)r * bytes, (size_t)d * sizeof *rows);
        pack_rows(rows, stride, d, panels + j * d);
    }
}

static bool any_row_sees(const tnn__attn_args *f, int64_t t0, int64_t nt, int64_t j0, int64_t nj) {
    for (int64_t t = t0; t < t0 + nt; t++)
        if (f->lo[t] < j0 + nj && f->hi[t] > j0) return true;
    return false;
}

/* The keys [j0, j0 + nj), one block, for every row of the group's heads. */
static void key_block(const tnn__attn_back_args *a, const workspace *w, int64_t c, int64_t j0, int64_t nj, float *dq) {
    const tnn__attn_args *f = &a->f;
    int64_t group = f->n_head / f->n_kv_head, n = f->n_rows;
    float *dk = a->dk + (j0 * f->n_kv_head + c) * f->d, *dv = a->dv + (j0 * f->n_kv_head + c) * f->d_v;
    for (int64_t j = 0; j < nj; j++) {
        memset(dk + j * f->n_kv_head * f->d, 0, (size_t)f->d * sizeof *dk);
        memset(dv + j * f->n_kv_head * f->d_v, 0, (size_t)f->d_v * sizeof *dv);
    }
    const char *k = (const char *)f->k + (size_t)j0 * f->k_pos_bytes + (size_t)c * f->k_head_bytes;
    const char *v = (const char *)f->v + (size_t)j0 * f->v_pos_bytes + (size_t)c * f->v_head_bytes;
    pack_keys(k, f->k_pos_bytes, nj, f->d, w->rows, w->k);
    pack_keys(v, f->v_pos_bytes, nj, f->d_v, w->rows, w->v);
    pack_columns(TNN_TYPE_F32, k, (int64_t)(f->k_pos_bytes / sizeof(float)), f->d, nj, w->k_cols);
    for (int64_t h = c * group; h < (c + 1) * group; h++) {
        for (int64_t t0 = 0; t0 < n; t0 += B) {
            int64_t nt = n - t0 < B ? n - t0 : B;
            if (any_row_sees(f, t0, nt, j0, nj)) pair(a, w, h, j0, nj, t0, nt, dq, dk, dv);
        }
    }
}

static void attn_back(const tnn__attn_back_args *a, int64_t c, int64_t part, int64_t n_parts, float *dq,
                      void *scratch) {
    const tnn__attn_args *f = &a->f;
    int64_t group = f->n_head / f->n_kv_head, n = f->n_rows;
    workspace w;
    int64_t floats = carve(a, scratch, &w);
    memset(scratch, 0, (size_t)floats * sizeof(float)); /* what fills up blocks and panels is finite */
    for (int64_t t = 0; t < n; t++)
        memset(dq + (t * f->n_head + c * group) * f->d, 0, (size_t)(group * f->d) * sizeof *dq);
    for (int64_t j0 = part * B; j0 < n; j0 += n_parts * B)
        key_block(a, &w, c, j0, n - j0 < B ? n - j0 : B, dq);
}

static void set_attention_back(tnn__kernels *k) {
    k->attn_back = attn_back;
    k->attn_back_scratch_bytes = attn_back_scratch_bytes;
}

#endif
