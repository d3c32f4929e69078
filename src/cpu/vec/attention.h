/*
 * Attention, written once over the vectors that the including kernel file brings (vec_f32.h of its architecture).
 * Scores are kept in units of log2 (the scale of q includes log2 e), so that the softmax takes powers of two.
 *
 * Many rows: a block of 64 keys is turned into F32 once, K transposed, and used by every query head of the group and
 * every row of the task. NR of these at a time go through scores, softmax and weighted sum, so that the scores stay in
 * L1. Both products are tiles of NR rows by NC columns.
 *
 * Few rows: bound by reading K and V, so each is read once, in place, for up to three heads together.
 *
 * A row only reads keys of its own range, so that rows of one task do not depend on each other.
 */
#ifndef TNN_CPU_VEC_ATTENTION_H
#define TNN_CPU_VEC_ATTENTION_H

#include <math.h>

#include "cpu/kernels.h"

enum {
    BLOCK = TNN__ATTN_BLOCK,
    TASK_ROWS = 64,                        /* rows of a task */
    NC = 2 * LANES,                        /* columns of a tile: keys, or elements of V */
    NR = TNN__VF_REGISTERS == 32 ? 12 : 6, /* its rows, of any head of the group */
    HEADS = 3,                             /* heads that share a K or V row when there are few rows */
    FEW_ROWS = 4,                          /* below this many rows nothing is transposed */
};

static const float log2_e = 1.44269504f, ln_2 = 0.693147181f;

static int64_t group_size(const tnn__attn_args *a) {
    return a->n_head / a->n_kv_head;
}

static int64_t round_up(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

static const char *k_row(const tnn__attn_args *a, int64_t c, int64_t j) {
    return (const char *)a->k + (size_t)j * a->k_pos_bytes + (size_t)c * a->k_head_bytes;
}

static const char *v_row(const tnn__attn_args *a, int64_t c, int64_t j) {
    return (const char *)a->v + (size_t)j * a->v_pos_bytes + (size_t)c * a->v_head_bytes;
}

/* LANES elements from i on of a row of K or V, of which n exist. */
TNN__INLINE vf load_kv(tnn_type type, const char *row, int64_t i, int64_t n) {
    if (type == TNN_TYPE_Q8_0) {
        const char *block = row + (size_t)(i / TNN__QK) * sizeof(tnn__block_q8_0);
        uint16_t d;
        memcpy(&d, block, sizeof d);
        const int8_t *q = (const int8_t *)block + sizeof d + i % TNN__QK;
        return vf_mul(vf_from_i8(q), vf_set(f32_of_f16(d)));
    }
    const char *p = row + (size_t)i * elem_bytes(type);
    return n - i >= LANES ? vf_load_elems(type, p) : vf_load_tail(type, p, n - i);
}

/* --- softmax ------------------------------------------------------------------------------------------------------ */

/* 2^x for x <= 0, within 2 ulp; zero below 2^-126; NaN stays. Polynomial from Cephes (Moshier), exp2f.c. */
TNN__INLINE vf exp2_vf(vf x) {
    x = vf_max(vf_set((float)VF_SCALE_MIN), x);
    vf n = vf_round(x), r = vf_sub(x, n);
    vf p = vf_set(1.535336188319500e-4f);
    p = vf_fma(p, r, vf_set(1.339887440266574e-3f));
    p = vf_fma(p, r, vf_set(9.618437357674640e-3f));
    p = vf_fma(p, r, vf_set(5.550332471162809e-2f));
    p = vf_fma(p, r, vf_set(2.402264791363012e-1f));
    p = vf_fma(p, r, vf_set(6.931472028550421e-1f));
    p = vf_fma(p, r, vf_set(1.0f));
    return vf_scale(p, n);
}

TNN__INLINE float exp2_1(float x) {
    float y[LANES];
    vf_store(y, exp2_vf(vf_set(x)));
    return y[0];
}

enum { BLOCK_VECTORS = BLOCK / LANES };

/* Scores of a row outside [from, to) become -inf, the others get the mask. */
static void mask_scores(vf v[BLOCK_VECTORS], int64_t from, int64_t to, const float *mask) {
    for (int l = 0; l < BLOCK_VECTORS; l++) {
        vm in = vm_range(l * LANES, from, to);
        if (mask) v[l] = vf_fma(vf_load_some(mask + l * LANES, in), vf_set(log2_e), v[l]);
        v[l] = vf_select(in, v[l], vf_set(-INFINITY));
    }
}

/*
 * Turns the scores of a block into weights relative to the new running maximum, and returns the factor for what was
 * summed before. `mask` is that of the block's first key, or NULL.
 */
TNN__INLINE float softmax_block(float *s, int64_t from, int64_t to, const float *mask, float *max, float *sum) {
    vf v[BLOCK_VECTORS];
    TNN__UNROLL
    for (int l = 0; l < BLOCK_VECTORS; l++)
        v[l] = vf_load(s + l * LANES);
    if (mask || to - from < BLOCK) mask_scores(v, from, to, mask);
    vf greatest = v[0];
    TNN__UNROLL
    for (int l = 1; l < BLOCK_VECTORS; l++)
        greatest = vf_max(greatest, v[l]);
    float block_max = vf_greatest(greatest);
    float new_max = block_max > *max ? block_max : *max;
    float base = new_max == -INFINITY ? 0.0f : new_max; /* nothing seen yet: -inf - 0 gives zeros, not NaN */
    vf total = vf_zero();
    TNN__UNROLL
    for (int l = 0; l < BLOCK_VECTORS; l++) {
        vf p = exp2_vf(vf_sub(v[l], vf_set(base)));
        total = vf_add(total, p);
        vf_store(s + l * LANES, p);
    }
    float rescale = exp2_1(*max - base);
    *sum = *sum * rescale + vf_sum(total);
    *max = new_max;
    return rescale;
}

/* --- many rows ---------------------------------------------------------------------------------------------------- */

/* One task's scratch; the row r of these is (t - t0) * group + head. */
typedef struct task {
    int64_t group, n_rows; /* n_rows: of all heads */
    int64_t d, d_v;        /* padded to LANES, or 8 for the transposition, and to NC */
    float *q;              /* [d, n_rows], scaled */
    float *out;            /* [d_v, n_rows], not normalised */
    float *max, *sum;      /* [n_rows] */
    float *kt;             /* [BLOCK, d] */
    float *v;              /* [d_v, BLOCK] */
    float *rows;           /* [d, 8]: rows of K before they are transposed */
    float *s;              /* [BLOCK, NR] */
} task;

/* n floats at the end of what is used of base; base may be NULL, to count only. */
static float *take(float *base, int64_t *used, int64_t n) {
    float *p = base ? base + *used : NULL;
    *used += round_up(n, 16);
    return p;
}

/* Lays a task of `rows` rows out in base; returns the floats it takes. */
static int64_t task_layout(task *k, const tnn__attn_args *a, int64_t rows, float *base) {
    int64_t used = 0;
    k->group = group_size(a);
    k->n_rows = rows * k->group;
    k->d = round_up(a->d, LANES < 8 ? 8 : LANES);
    k->d_v = round_up(a->d_v, NC);
    k->q = take(base, &used, k->n_rows * k->d);
    k->out = take(base, &used, k->n_rows * k->d_v);
    k->max = take(base, &used, k->n_rows);
    k->sum = take(base, &used, k->n_rows);
    k->kt = take(base, &used, BLOCK * k->d);
    k->v = take(base, &used, BLOCK * k->d_v);
    k->rows = take(base, &used, 8 * k->d);
    k->s = take(base, &used, NR * BLOCK);
    return used;
}

static void load_queries(const task *k, const tnn__attn_args *a, int64_t c, int64_t t0) {
    const vf scale = vf_set(a->scale * log2_e);
    for (int64_t r = 0; r < k->n_rows; r++) {
        int64_t t = t0 + r / k->group, h = c * k->group + r % k->group;
        const float *q = a->q + (t * a->n_head + h) * a->d;
        for (int64_t i = 0; i < k->d; i += LANES)
            vf_store(k->q + r * k->d + i, vf_mul(vf_load_some(q + i, vm_first(a->d - i)), scale));
    }
}

/* Eight rows of K or V, or fewer with zeros for the rest, to F32 with the row length padded by zeros. */
TNN__INLINE void unpack_rows(tnn_type type, const char *src, size_t stride, int64_t n_rows, int64_t n, int64_t padded,
                             float *dst) {
    for (int64_t j = 0; j < n_rows; j++) {
        for (int64_t i = 0; i < padded; i += LANES)
            vf_store(dst + j * padded + i, i < n ? load_kv(type, src + (size_t)j * stride, i, n) : vf_zero());
    }
}

static void unpack(tnn_type type, const char *src, size_t stride, int64_t n_rows, int64_t n, int64_t padded,
                   float *dst) {
    switch (type) {
    case TNN_TYPE_F16:
        unpack_rows(TNN_TYPE_F16, src, stride, n_rows, n, padded, dst);
        break;
    case TNN_TYPE_BF16:
        unpack_rows(TNN_TYPE_BF16, src, stride, n_rows, n, padded, dst);
        break;
    case TNN_TYPE_Q8_0:
        unpack_rows(TNN_TYPE_Q8_0, src, stride, n_rows, n, padded, dst);
        break;
    default:
        unpack_rows(TNN_TYPE_F32, src, stride, n_rows, n, padded, dst);
        break;
    }
}

/* The keys [from, to) of the block at b0, transposed; what lies outside is never used as a score. */
static void load_keys(const task *k, const tnn__attn_args *a, int64_t c, int64_t b0, int64_t from, int64_t to) {
    for (int64_t j = from / 8 * 8; j < to; j += 8) {
        int64_t first = j < from ? from : j, end = j + 8 < to ? j + 8 : to;
        unpack(a->kv_type, k_row(a, c, b0 + first), a->k_pos_bytes, end - first, a->d, k->d,
               k->rows + (first - j) * k->d);
        for (int64_t i = 0; i < k->d; i += 8)
            transpose_8x8(k->rows + i, k->d, k->kt + i * BLOCK + j, BLOCK);
    }
}

/* s[r][0..NC) = the scores of n rows for NC keys. */
TNN__INLINE void score_tile(int n, const float *q, int64_t d, const float *kt, float *s) {
    vf acc[NR][2];
    TNN__UNROLL
    for (int r = 0; r < n; r++)
        acc[r][0] = acc[r][1] = vf_zero();
    for (int64_t i = 0; i < d; i++) {
        vf k0 = vf_load(kt + i * BLOCK), k1 = vf_load(kt + i * BLOCK + LANES);
        TNN__UNROLL
        for (int r = 0; r < n; r++) {
            vf qr = vf_set(q[r * d + i]);
            acc[r][0] = vf_fma(qr, k0, acc[r][0]);
            acc[r][1] = vf_fma(qr, k1, acc[r][1]);
        }
    }
    TNN__UNROLL
    for (int r = 0; r < n; r++) {
        vf_store(s + r * BLOCK, acc[r][0]);
        vf_store(s + r * BLOCK + LANES, acc[r][1]);
    }
}

/* out[r] = out[r] * rescale[r] + the keys [from, to) weighted with s[r], for n rows and NC columns. */
TNN__INLINE void value_tile(int n, const float *s, int64_t from, int64_t to, const float *v, int64_t v_stride,
                            const float *rescale, float *out, int64_t d_v) {
    vf acc[NR][2];
    TNN__UNROLL
    for (int r = 0; r < n; r++) {
        vf f = vf_set(rescale[r]);
        acc[r][0] = vf_mul(vf_load(out + r * d_v), f);
        acc[r][1] = vf_mul(vf_load(out + r * d_v + LANES), f);
    }
    for (int64_t j = from; j < to; j++) {
        vf v0 = vf_load(v + j * v_stride), v1 = vf_load(v + j * v_stride + LANES);
        TNN__UNROLL
        for (int r = 0; r < n; r++) {
            vf p = vf_set(s[r * BLOCK + j]);
            acc[r][0] = vf_fma(p, v0, acc[r][0]);
            acc[r][1] = vf_fma(p, v1, acc[r][1]);
        }
    }
    TNN__UNROLL
    for (int r = 0; r < n; r++) {
        vf_store(out + r * d_v, acc[r][0]);
        vf_store(out + r * d_v + LANES, acc[r][1]);
    }
}

/* The kernels for n = 1 to NR. */
#if TNN__VF_REGISTERS == 32
#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#else
#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif

static void scores(int n, const float *q, int64_t d, const float *kt, float *s) {
    switch (n) {
#define X(n)                                                                                                           \
    case n:                                                                                                            \
        score_tile(n, q, d, kt, s);                                                                                    \
        break;
        TILES(X)
#undef X
    }
}

static void values(int n, const float *s, int64_t from, int64_t to, const float *v, int64_t v_stride,
                   const float *rescale, float *out, int64_t d_v) {
    for (int64_t i = 0; i < d_v; i += NC) {
        switch (n) {
#define X(n)                                                                                                           \
    case n:                                                                                                            \
        value_tile(n, s, from, to, v + i, v_stride, rescale, out + i, d_v);                                            \
        break;
            TILES(X)
#undef X
        }
    }
}

/* As values, for rows with different ranges: what they share together, the rest one by one; each in order of keys. */
static void ragged_values(int n, const float *s, const int64_t *from, const int64_t *to, const float *v,
                          int64_t v_stride, const float *rescale, float *out, int64_t d_v) {
    static const float ones[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    int64_t earliest = BLOCK, first = 0, end = BLOCK;
    for (int r = 0; r < n; r++) {
        if (from[r] < earliest) earliest = from[r];
        if (from[r] > first) first = from[r];
        if (to[r] < end) end = to[r];
    }
    if (end < first) end = first = BLOCK;
    bool together = earliest == first && first < end; /* as causal rows begin */
    for (int r = 0; r < n && !together; r++) {
        int64_t stop = to[r] < first ? to[r] : first;
        values(1, s + r * BLOCK, from[r], stop, v, v_stride, rescale + r, out + r * d_v, d_v);
    }
    if (first < end) values(n, s, first, end, v, v_stride, together ? rescale : ones, out, d_v);
    for (int r = 0; r < n; r++)
        if (end < to[r]) values(1, s + r * BLOCK, end, to[r], v, v_stride, ones, out + r * d_v, d_v);
}

/* n rows from r on, over the block at b0. */
static void visit_block(const task *k, const tnn__attn_args *a, int64_t t0, int64_t r, int n, int64_t b0,
                        const float *v, int64_t v_stride) {
    int64_t from[NR], to[NR], first = BLOCK, end = 0;
    bool ragged = false;
    for (int i = 0; i < n; i++) {
        int64_t t = t0 + (r + i) / k->group;
        from[i] = a->lo[t] > b0 ? a->lo[t] - b0 : 0;
        to[i] = a->hi[t] - b0 < BLOCK ? a->hi[t] - b0 : BLOCK;
        if (to[i] <= from[i]) from[i] = to[i] = 0;
        if (to[i] > from[i] && from[i] < first) first = from[i];
        if (to[i] > end) end = to[i];
        ragged = ragged || from[i] != from[0] || to[i] != to[0];
    }
    if (first >= end) return;
    for (int64_t j = first / NC * NC; j < end; j += NC)
        scores(n, k->q + r * k->d, k->d, k->kt + j, k->s + j);
    float rescale[NR];
    for (int i = 0; i < n; i++) {
        const float *mask = a->mask ? a->mask + (t0 + (r + i) / k->group) * a->mask_stride + b0 : NULL;
        rescale[i] = softmax_block(k->s + i * BLOCK, from[i], to[i], mask, k->max + r + i, k->sum + r + i);
    }
    float *out = k->out + r * k->d_v;
    if (ragged)
        ragged_values(n, k->s, from, to, v, v_stride, rescale, out, k->d_v);
    else
        values(n, k->s, first, end, v, v_stride, rescale, out, k->d_v);
}

static void store_row(const tnn__attn_args *a, int64_t row, const float *out, float max, float sum) {
    float *to = a->out + row * a->d_v;
    bool empty = sum == 0.0f; /* not so where a score was NaN */
    for (int64_t i = 0; i < a->d_v; i++)
        to[i] = empty ? 0.0f : out[i] / sum;
    if (a->lse) a->lse[row] = empty ? -INFINITY : max * ln_2 + logf(sum);
}

static void attn_tile(const tnn__attn_args *a, int64_t c, int64_t t0, int64_t t1, void *scratch) {
    task k;
    task_layout(&k, a, t1 - t0, scratch);
    load_queries(&k, a, c, t0);
    memset(k.out, 0, (size_t)(k.n_rows * k.d_v) * sizeof *k.out);
    int64_t lo = INT64_MAX, hi = 0;
    for (int64_t t = t0; t < t1; t++) {
        if (a->lo[t] >= a->hi[t]) continue;
        if (a->lo[t] < lo) lo = a->lo[t];
        if (a->hi[t] > hi) hi = a->hi[t];
    }
    for (int64_t r = 0; r < k.n_rows; r++) {
        k.max[r] = -INFINITY;
        k.sum[r] = 0;
    }
    /* V is used where it lies if its rows are whole F32 tiles. */
    bool in_place = a->kv_type == TNN_TYPE_F32 && a->d_v % NC == 0 && a->v_pos_bytes % sizeof(float) == 0;
    for (int64_t b0 = lo / BLOCK * BLOCK; b0 < hi; b0 += BLOCK) {
        int64_t from = lo > b0 ? lo - b0 : 0, to = hi - b0 < BLOCK ? hi - b0 : BLOCK;
        load_keys(&k, a, c, b0, from, to);
        if (!in_place)
            unpack(a->kv_type, v_row(a, c, b0 + from), a->v_pos_bytes, to - from, a->d_v, k.d_v, k.v + from * k.d_v);
        const float *v = in_place ? (const void *)v_row(a, c, b0) : k.v;
        int64_t v_stride = in_place ? (int64_t)(a->v_pos_bytes / sizeof(float)) : k.d_v;
        for (int64_t r = 0; r < k.n_rows; r += NR)
            visit_block(&k, a, t0, r, (int)(k.n_rows - r < NR ? k.n_rows - r : NR), b0, v, v_stride);
    }
    for (int64_t r = 0; r < k.n_rows; r++) {
        int64_t row = (t0 + r / k.group) * a->n_head + c * k.group + r % k.group;
        store_row(a, row, k.out + r * k.d_v, k.max[r], k.sum[r]);
    }
}

/* --- few rows ----------------------------------------------------------------------------------------------------- */

/* s[h][0..n_keys) for n heads; q is [d padded, n]. n_keys is 1 to 4: the other lanes repeat the last key. */
TNN__INLINE void dot_keys(tnn_type type, int n, const float *q, int64_t padded, const char *k, size_t stride,
                          int64_t n_keys, int64_t d, float *s) {
    vf acc[HEADS][4];
    const char *row[4];
    TNN__UNROLL
    for (int j = 0; j < 4; j++)
        row[j] = k + stride * (size_t)(j < n_keys ? j : n_keys - 1);
    TNN__UNROLL
    for (int h = 0; h < n; h++)
        acc[h][0] = acc[h][1] = acc[h][2] = acc[h][3] = vf_zero();
    for (int64_t i = 0; i < padded; i += LANES) {
        vf qh[HEADS];
        TNN__UNROLL
        for (int h = 0; h < n; h++)
            qh[h] = vf_load(q + h * padded + i);
        TNN__UNROLL
        for (int j = 0; j < 4; j++) {
            vf kj = load_kv(type, row[j], i, d);
            TNN__UNROLL
            for (int h = 0; h < n; h++)
                acc[h][j] = vf_fma(qh[h], kj, acc[h][j]);
        }
    }
    TNN__UNROLL
    for (int h = 0; h < n; h++) {
        float sums[4];
        vf_sums_of_4(n_keys == 4 ? s + h * BLOCK : sums, acc[h]);
        if (n_keys < 4) memcpy(s + h * BLOCK, sums, (size_t)n_keys * sizeof *s);
    }
}

/* out[h] = out[h] * rescale[h] + the n_keys rows of V weighted with s[h], for n heads and w vectors of columns from i
 * on. */
TNN__INLINE void weigh_values(tnn_type type, int n, int w, const float *s, const float *rescale, const char *v,
                              size_t stride, int64_t n_keys, int64_t i, int64_t d_v, float *out, int64_t out_stride) {
    vf acc[HEADS][4];
    const vm columns = vm_first(d_v - i); /* for w = 1 */
    TNN__UNROLL
    for (int h = 0; h < n; h++) {
        vf f = vf_set(rescale[h]);
        TNN__UNROLL
        for (int l = 0; l < w; l++) {
            const float *o = out + h * out_stride + i + LANES * l;
            acc[h][l] = vf_mul(w > 1 ? vf_load(o) : vf_load_some(o, columns), f);
        }
    }
    for (int64_t j = 0; j < n_keys; j++) {
        const char *row = v + (size_t)j * stride;
        vf p[HEADS];
        TNN__UNROLL
        for (int h = 0; h < n; h++)
            p[h] = vf_set(s[h * BLOCK + j]);
        TNN__UNROLL
        for (int l = 0; l < w; l++) {
            vf vl = load_kv(type, row, i + LANES * l, w > 1 ? i + LANES * w : d_v);
            TNN__UNROLL
            for (int h = 0; h < n; h++)
                acc[h][l] = vf_fma(p[h], vl, acc[h][l]);
        }
    }
    TNN__UNROLL
    for (int h = 0; h < n; h++) {
        TNN__UNROLL
        for (int l = 0; l < w; l++) {
            float *o = out + h * out_stride + i + LANES * l;
            if (w > 1)
                vf_store(o, acc[h][l]);
            else
                vf_store_some(o, columns, acc[h][l]);
        }
    }
}

/* n heads from q on, over the keys [j0, j1) of one block. part: of the first of these heads. */
TNN__INLINE void part_block(tnn_type type, int n, const tnn__attn_args *a, int64_t c, int64_t t, int64_t j0, int64_t j1,
                            const float *q, float *s, float *part) {
    int64_t padded = round_up(a->d, LANES), d_v = a->d_v, stride = d_v + 2;
    int64_t b0 = j0 / BLOCK * BLOCK;
    for (int64_t j = j0; j < j1; j += 4)
        dot_keys(type, n, q, padded, k_row(a, c, j), a->k_pos_bytes, j1 - j < 4 ? j1 - j : 4, a->d, s + j - b0);
    float rescale[HEADS];
    const float *mask = a->mask ? a->mask + t * a->mask_stride + b0 : NULL;
    for (int h = 0; h < n; h++) {
        float *p = part + h * stride;
        rescale[h] = softmax_block(s + h * BLOCK, j0 - b0, j1 - b0, mask, p + d_v, p + d_v + 1);
    }
    const char *v = v_row(a, c, j0);
    int64_t i = 0;
    for (; i + 4 * LANES <= d_v; i += 4 * LANES)
        weigh_values(type, n, 4, s + j0 - b0, rescale, v, a->v_pos_bytes, j1 - j0, i, d_v, part, stride);
    for (; i < d_v; i += LANES)
        weigh_values(type, n, 1, s + j0 - b0, rescale, v, a->v_pos_bytes, j1 - j0, i, d_v, part, stride);
}

TNN__INLINE void part_blocks(tnn_type type, const tnn__attn_args *a, int64_t c, int64_t t, int64_t j0, int64_t j1,
                             const float *q, float *s, float *part) {
    int64_t g = group_size(a), padded = round_up(a->d, LANES);
    for (int64_t b0 = j0, b1; b0 < j1; b0 = b1) {
        b1 = (b0 / BLOCK + 1) * BLOCK;
        if (b1 > j1) b1 = j1;
        for (int64_t h = 0, n; h < g; h += n) {
            int64_t turns = (g - h + HEADS - 1) / HEADS;
            n = (g - h + turns - 1) / turns;
            const float *qh = q + h * padded;
            float *p = part + h * (a->d_v + 2);
            if (n == 1)
                part_block(type, 1, a, c, t, b0, b1, qh, s, p);
            else if (n == 2)
                part_block(type, 2, a, c, t, b0, b1, qh, s, p);
            else
                part_block(type, 3, a, c, t, b0, b1, qh, s, p);
        }
    }
}

static void attn_part(const tnn__attn_args *a, int64_t c, int64_t t, int64_t j0, int64_t j1, float *part,
                      void *scratch) {
    int64_t g = group_size(a), padded = round_up(a->d, LANES);
    float *s = scratch, *q = s + HEADS * BLOCK;
    task k = {.group = g, .n_rows = g, .d = padded, .q = q};
    load_queries(&k, a, c, t);
    memset(part, 0, (size_t)(g * (a->d_v + 2)) * sizeof *part);
    for (int64_t h = 0; h < g; h++)
        part[h * (a->d_v + 2) + a->d_v] = -INFINITY;
    if (j0 < a->lo[t]) j0 = a->lo[t];
    if (j1 > a->hi[t]) j1 = a->hi[t];
    switch (a->kv_type) {
    case TNN_TYPE_F16:
        part_blocks(TNN_TYPE_F16, a, c, t, j0, j1, q, s, part);
        break;
    case TNN_TYPE_BF16:
        part_blocks(TNN_TYPE_BF16, a, c, t, j0, j1, q, s, part);
        break;
    case TNN_TYPE_Q8_0:
        part_blocks(TNN_TYPE_Q8_0, a, c, t, j0, j1, q, s, part);
        break;
    default:
        part_blocks(TNN_TYPE_F32, a, c, t, j0, j1, q, s, part);
        break;
    }
}

static void attn_join(const tnn__attn_args *a, int64_t c, int64_t t, const float *parts, int64_t n_parts,
                      int64_t part_stride) {
    int64_t g = group_size(a), d_v = a->d_v;
    for (int64_t h = 0; h < g; h++) {
        const float *head = parts + h * (d_v + 2);
        int64_t row = t * a->n_head + c * g + h;
        float *out = a->out + row * d_v;
        float max = -INFINITY, sum = 0;
        for (int64_t p = 0; p < n_parts; p++)
            if (!(head[p * part_stride + d_v] <= max)) max = head[p * part_stride + d_v];
        memset(out, 0, (size_t)d_v * sizeof *out);
        for (int64_t p = 0; p < n_parts; p++) {
            const float *part = head + p * part_stride;
            if (part[d_v + 1] == 0.0f) continue;
            float factor = exp2_1(part[d_v] - max);
            sum += factor * part[d_v + 1];
            for (int64_t i = 0; i < d_v; i++)
                out[i] += factor * part[i];
        }
        store_row(a, row, out, max, sum);
    }
}

static void attn(const tnn__attn_args *a, int64_t c, int64_t t0, int64_t t1, void *scratch) {
    if (a->n_rows >= FEW_ROWS) {
        attn_tile(a, c, t0, t1, scratch);
        return;
    }
    int64_t part_floats = round_up(group_size(a) * (a->d_v + 2), 16);
    float *part = scratch;
    for (int64_t t = t0; t < t1; t++) {
        attn_part(a, c, t, 0, a->hi[t], part, part + part_floats);
        attn_join(a, c, t, part, 1, part_floats);
    }
}

static size_t attn_scratch_bytes(const tnn__attn_args *a, int64_t rows) {
    int64_t g = group_size(a);
    task k;
    int64_t tile = a->n_rows >= FEW_ROWS ? task_layout(&k, a, rows, NULL) : 0;
    int64_t part = round_up(g * (a->d_v + 2), 16) + HEADS * BLOCK + g * round_up(a->d, LANES);
    return (size_t)(tile > part ? tile : part) * sizeof(float);
}

static void set_attention(tnn__kernels *k) {
    k->attn = attn;
    k->attn_part = attn_part;
    k->attn_join = attn_join;
    k->attn_scratch_bytes = attn_scratch_bytes;
    k->attn_rows = TASK_ROWS;
}

#endif
