/*
 * The gated delta rule in chunks, written once over the vectors that the including kernel file brings (vec_f32.h of its
 * architecture); formulas and notation as in cpu/ref/gdn.inc.h. Heads are of whole panels of two vectors; others, and
 * chunks longer than MAX_CHUNK, are left to the kernels the including file names: other_run, other_back, other_scratch,
 * other_back_scratch.
 *
 * Everything is products of small matrices, tiles of a few rows by a panel of columns in registers: the right factor is
 * read in panels of its rows, the left one element by element, by rows or by columns. So a factor whose columns are
 * summed over is transposed once a chunk. Rows of matrices lie PAD floats further apart than they are long: at a power
 * of two, a panel's rows would fall on a few sets of L1. Rows are taken in fours: those past the chunk's end are zeros.
 */
#ifndef TNN_CPU_VEC_GDN_H
#define TNN_CPU_VEC_GDN_H

#include <math.h>

#include "cpu/kernels_gdn.h"

enum {
    PANEL = 2 * LANES,
    BIG = TNN__VF_REGISTERS == 32 ? 8 : 6, /* rows of a tile: 2 BIG sums, 2 columns and an element are in registers */
    SMALL = 4,
    PAD = 16,
    MAX_CHUNK = 64,
    FEW_ROWS = 8, /* up to this many, row by row */
    MAX_AHEAD = 6,
    SIDE_BY_SIDE = 16, /* rows, each on a page of its own: looked up at once, one by one they cost as much as missing */
    LINE = 16,         /* floats */
    FEW_TERMS = 32,    /* of a sum, rounded as they come: half the error of 128 in a row, at no cost */
};

/* --- scratch --- */

/* Rows that are read, or written, a little later: asked for between tiles, a few lines at a time. */
typedef struct ahead {
    const float *rows[MAX_AHEAD]; /* of each array, `left` of `length` floats, `stride` apart */
    int64_t stride[MAX_AHEAD], length[MAX_AHEAD], left[MAX_AHEAD];
    int64_t column; /* of the first SIDE_BY_SIDE of these, next */
    int n, at;      /* arrays; the one asked for now */
} ahead;

typedef struct work {
    ahead *ahead;
    int64_t n, n4;                /* rows of this chunk; up to the next multiple of 4 */
    int64_t ld_k, ld_v, ld_n;     /* floats between rows of d_k, d_v, chunk elements */
    float *q, *k, *kt;            /* normalised, q times scale; k transposed */
    float *u, *r;                 /* forward: u; way back, in the same place: r */
    float *between, *qk, *kk;     /* d(i, j); products of rows times it */
    float *upto, *after, *beta;   /* d(i), d'(i), b */
    float *after_beta;            /* d'(i) b */
    float *scaled;                /* rows of d_v times something */
    float *factor_q, *factor_k;   /* what q and k were multiplied by */
    float *project_q, *project_k; /* as in the portable kernel */

    /* way back */
    float *dout, *ndr;        /* ndr: -dr */
    float *scaled_ndr, *rt;   /* r transposed */
    float *dqk, *dkk, *pairs; /* gradients of the products; the decays' part in them */
    float *dq, *dk;
    float *state_t, *dstate_t;         /* [d_k, d_v], rows of d_k */
    float *by_upto, *by_after, *dot_r; /* LANES partial sums a row: parts of the gradients of decays and gates */
} work;

static int64_t min(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t round_to(int64_t n, int64_t to) {
    return (n + to - 1) / to * to;
}

/* Every extent is a multiple of 8 floats, as transpose_8x8 takes them. */
static size_t work_floats(const tnn__gdn_args *a) {
    int64_t n = round_to(a->chunk, PANEL), ld_k = a->d_k + PAD, ld_v = a->d_v + PAD, ld_n = n + PAD;
    return (size_t)(n * (4 * ld_k + 5 * ld_v + 6 * ld_n + 8 + 3 * LANES) + (a->d_k + a->d_v) * ld_n +
                    2 * a->d_v * ld_k);
}

static float *take(float **at, int64_t n) {
    float *p = *at;
    *at += n;
    return p;
}

static work work_in(const tnn__gdn_args *a, float *at) {
    int64_t n = round_to(a->chunk, PANEL);
    work w = {.ld_k = a->d_k + PAD, .ld_v = a->d_v + PAD, .ld_n = n + PAD};
    float **const of_k[] = {&w.q, &w.k, &w.dq, &w.dk};
    float **const of_v[] = {&w.u, &w.scaled, &w.dout, &w.ndr, &w.scaled_ndr};
    float **const of_n[] = {&w.between, &w.qk, &w.kk, &w.dqk, &w.dkk, &w.pairs};
    float **const single[] = {&w.upto,     &w.after,    &w.beta,      &w.after_beta,
                              &w.factor_q, &w.factor_k, &w.project_q, &w.project_k};
    float **const sums[] = {&w.by_upto, &w.by_after, &w.dot_r};
    for (int i = 0; i < 4; i++)
        *of_k[i] = take(&at, n * w.ld_k);
    for (int i = 0; i < 5; i++)
        *of_v[i] = take(&at, n * w.ld_v);
    w.r = w.u;
    for (int i = 0; i < 6; i++)
        *of_n[i] = take(&at, n * w.ld_n);
    for (int i = 0; i < 8; i++)
        *single[i] = take(&at, n);
    for (int i = 0; i < 3; i++)
        *sums[i] = take(&at, n * LANES);
    w.kt = take(&at, a->d_k * w.ld_n);
    w.rt = take(&at, a->d_v * w.ld_n);
    w.state_t = take(&at, a->d_v * w.ld_k);
    w.dstate_t = take(&at, a->d_v * w.ld_k);
    return w;
}

/* --- what is kept --- */

/* Where r of row t is kept, or NULL; and, if it is, the state that the row finds where a block begins with it. */
static float *kept_row(const tnn__gdn_args *a, int64_t h, int64_t t) {
    return !a->kept ? NULL : a->kept + tnn__gdn_kept_row(a->n_rows, a->d_k, h, t) * a->d_v;
}

static float *kept_state(const tnn__gdn_args *a, int64_t h, int64_t t) {
    return a->kept + tnn__gdn_kept_state(a->n_rows, a->d_k, h, t) * a->d_v;
}

/* --- tiles --- */

/* Rows of the next tile when `left` are left, a multiple of 4: BIG and SMALL make up every one. */
TNN__INLINE int64_t tile_rows(int64_t left) {
    return left == BIG || left > 8 ? BIG : SMALL;
}

/*
 * acc[r] += sum over l < n of a[r a_row + l a_step] times the panel of row l of b. The sums are copied, so that they
 * are in registers even where a compiler keeps the caller's in memory.
 */
TNN__INLINE void accumulate(int rows, vf acc[][2], const float *a, int64_t a_row, int64_t a_step, const float *b,
                            int64_t b_row, int64_t n) {
    vf sum[BIG][2];
    TNN__UNROLL
    for (int r = 0; r < rows; r++) {
        sum[r][0] = acc[r][0];
        sum[r][1] = acc[r][1];
    }
    for (int64_t l = 0; l < n; l++) {
        vf b0 = vf_load(b), b1 = vf_load(b + LANES);
        TNN__UNROLL
        for (int r = 0; r < rows; r++) {
            vf x = vf_set(a[r * a_row]);
            sum[r][0] = vf_fma(x, b0, sum[r][0]);
            sum[r][1] = vf_fma(x, b1, sum[r][1]);
        }
        a += a_step;
        b += b_row;
    }
    TNN__UNROLL
    for (int r = 0; r < rows; r++) {
        acc[r][0] = sum[r][0];
        acc[r][1] = sum[r][1];
    }
}

TNN__INLINE void clear(int rows, vf acc[][2]) {
    TNN__UNROLL
    for (int r = 0; r < rows; r++)
        acc[r][0] = acc[r][1] = vf_zero();
}

/* Row r times factor[r]. */
TNN__INLINE void scale_rows(int rows, vf acc[][2], const float *factor) {
    TNN__UNROLL
    for (int r = 0; r < rows; r++) {
        vf x = vf_set(factor[r]);
        acc[r][0] = vf_mul(acc[r][0], x);
        acc[r][1] = vf_mul(acc[r][1], x);
    }
}

TNN__INLINE void store_tile(int rows, vf acc[][2], float *to, int64_t ld) {
    TNN__UNROLL
    for (int r = 0; r < rows; r++) {
        vf_store(to + r * ld, acc[r][0]);
        vf_store(to + r * ld + LANES, acc[r][1]);
    }
}

TNN__INLINE void add_tile(int rows, vf acc[][2], const float *x, int64_t ld) {
    TNN__UNROLL
    for (int r = 0; r < rows; r++) {
        acc[r][0] = vf_add(acc[r][0], vf_load(x + r * ld));
        acc[r][1] = vf_add(acc[r][1], vf_load(x + r * ld + LANES));
    }
}

/* sums[r] (LANES each) += acc[r] * x[r], over this panel's columns */
TNN__INLINE void add_dots(int rows, vf acc[][2], const float *x, int64_t ld, float *sums) {
    TNN__UNROLL
    for (int r = 0; r < rows; r++) {
        vf sum = vf_fma(acc[r][0], vf_load(x + r * ld), vf_load(sums + r * LANES));
        vf_store(sums + r * LANES, vf_fma(acc[r][1], vf_load(x + r * ld + LANES), sum));
    }
}

/* Calls a tile function, whose first argument is a constant number of rows. */
#define TILE(fn, rows, ...) ((rows) == BIG ? fn(BIG, __VA_ARGS__) : fn(SMALL, __VA_ARGS__))

/* --- what a chunk begins with --- */

static float dot_floats(const float *x, const float *y, int64_t n) {
    vf sum0 = vf_zero(), sum1 = vf_zero();
    for (int64_t i = 0; i < n; i += PANEL) {
        sum0 = vf_fma(vf_load(x + i), vf_load(y + i), sum0);
        sum1 = vf_fma(vf_load(x + i + LANES), vf_load(y + i + LANES), sum1);
    }
    return vf_sum(vf_add(sum0, sum1));
}

/* What makes x scale * normalised x; sets what the way back needs. */
static float factor_of(const tnn__gdn_args *a, const float *x, float scale, float *project) {
    float factor = scale;
    *project = 0;
    if (a->norm != TNN_L2_NONE) {
        float square = dot_floats(x, x, a->d_k), length = sqrtf(square);
        bool added = a->norm == TNN_L2_EPS_ADDED, floored = !added && length <= a->norm_eps;
        factor *= added ? 1 / sqrtf(square + a->norm_eps) : 1 / (floored ? a->norm_eps : length);
        if (!floored) *project = 1 / (scale * scale);
    }
    return factor;
}

static void scale_row(float factor, const float *x, float *y, int64_t n) {
    vf f = vf_set(factor);
    for (int64_t i = 0; i < n; i += LANES)
        vf_store(y + i, vf_mul(f, vf_load(x + i)));
}

/* to[j][i] = from[i][j]; multiples of 8 both */
static void transpose(const float *from, int64_t ld_from, int64_t n_i, int64_t n_j, float *to, int64_t ld_to) {
    for (int64_t i = 0; i < n_i; i += 8) {
        for (int64_t j = 0; j < n_j; j += 8)
            transpose_8x8(from + i * ld_from + j, ld_from, to + j * ld_to + i, ld_to);
    }
}

/* Decays multiplied up, row by row; above the diagonal, and past the last row, zeros. */
static void load_decays(const tnn__gdn_args *a, int64_t h, int64_t t, work *w) {
    int64_t n = round_to(w->n, PANEL);
    memset(w->between, 0, (size_t)(n * w->ld_n) * sizeof(float));
    for (int64_t i = 0; i < n; i++) {
        float decay = i < w->n ? expf(a->decay[(t + i) * a->n_v_heads + h]) : 0;
        float *row = w->between + i * w->ld_n;
        w->beta[i] = i < w->n ? a->beta[(t + i) * a->n_v_heads + h] : 0;
        w->upto[i] = i > 0 ? decay * w->upto[i - 1] : decay;
        w->after[i] = i < w->n;
        if (i >= w->n) continue;
        vf d = vf_set(decay);
        for (int64_t j = 0; i > 0 && j < i; j += LANES)
            vf_store(row + j, vf_mul(d, vf_load(row - w->ld_n + j)));
        row[i] = 1;
    }
    for (int64_t i = w->n - 2; i >= 0; i--)
        w->after[i] = w->between[(w->n - 1) * w->ld_n + i];
    for (int64_t i = 0; i < n; i++)
        w->after_beta[i] = w->after[i] * w->beta[i];
}

static void look_ahead(const work *w, const float *rows, int64_t stride, int64_t n_rows, int64_t n) {
    ahead *a = w->ahead;
    a->rows[a->n] = rows;
    a->stride[a->n] = stride;
    a->length[a->n] = n;
    a->left[a->n++] = n_rows;
}

/* One line of each of SIDE_BY_SIDE rows, for L2: there are more than L1 holds. */
static void ask_ahead(const work *w) {
    ahead *a = w->ahead;
    if (a->at == a->n) return;
    int64_t stride = a->stride[a->at], n = min(a->left[a->at], SIDE_BY_SIDE);
    for (int64_t i = 0; i < n; i++)
        __builtin_prefetch(a->rows[a->at] + i * stride + a->column, 0, 2);
    a->column += LINE;
    if (a->column < a->length[a->at]) return;
    a->column = 0;
    a->rows[a->at] += n * stride;
    a->left[a->at] -= n;
    if (a->left[a->at] == 0) a->at++;
}

enum { AHEAD = 8 }; /* rows: some of those asked for are out of L2 again, and none are for the first chunk */

static void prefetch(const float *row, int64_t n) {
    for (int64_t j = 0; j < n; j += LINE)
        __builtin_prefetch(row + j);
}

/* One of q and k: n rows at x, normalised. */
static void load_rows(const tnn__gdn_args *a, const float *x, int64_t stride, float scale, const work *w, float *to,
                      float *factor, float *project) {
    for (int64_t i = 0; i < w->n; i++) {
        if (i + AHEAD < w->n) prefetch(x + (i + AHEAD) * stride, a->d_k);
        factor[i] = factor_of(a, x + i * stride, scale, project + i);
        scale_row(factor[i], x + i * stride, to + i * w->ld_k, a->d_k);
    }
    int64_t n = round_to(w->n, PANEL);
    memset(to + w->n * w->ld_k, 0, (size_t)((n - w->n) * w->ld_k) * sizeof(float));
}

static void load_keys(const tnn__gdn_args *a, int64_t c, int64_t t, const work *w) {
    load_rows(a, a->k + t * a->k_stride + c * a->d_k, a->k_stride, 1, w, w->k, w->factor_k, w->project_k);
}

static void load_queries(const tnn__gdn_args *a, int64_t c, int64_t t, const work *w) {
    load_rows(a, a->q + t * a->q_stride + c * a->d_k, a->q_stride, a->scale, w, w->q, w->factor_q, w->project_q);
}

/*
 * A tile of x y^T, times `between` if `decayed`; yt is y transposed. Sums of sums: the gradient of the decays is a
 * difference of what becomes of these.
 */
TNN__INLINE void pairs_tile(int rows, bool decayed, const work *w, const float *x, int64_t ld_x, const float *yt,
                            int64_t d, int64_t i, int64_t p, float *to) {
    vf acc[BIG][2];
    float *sums = to + i * w->ld_n + p;
    clear(rows, acc);
    for (int64_t l = 0; l < d; l += FEW_TERMS) {
        if (l > 0) {
            store_tile(rows, acc, sums, w->ld_n);
            clear(rows, acc);
        }
        accumulate(rows, acc, x + i * ld_x + l, ld_x, 1, yt + l * w->ld_n + p, w->ld_n, min(FEW_TERMS, d - l));
        if (l > 0) add_tile(rows, acc, sums, w->ld_n);
    }
    TNN__UNROLL
    for (int r = 0; decayed && r < rows; r++) {
        const float *between = w->between + (i + r) * w->ld_n + p;
        acc[r][0] = vf_mul(acc[r][0], vf_load(between));
        acc[r][1] = vf_mul(acc[r][1], vf_load(between + LANES));
    }
    store_tile(rows, acc, sums, w->ld_n);
}

/* The tiles on and under the diagonal; zeros in the others. */
TNN__INLINE void pairs_of(bool decayed, const work *w, const float *x, int64_t ld_x, const float *yt, int64_t d,
                          float *to) {
    memset(to, 0, (size_t)(w->n4 * w->ld_n) * sizeof(float));
    for (int64_t i = 0, rows; i < w->n4; i += rows) {
        rows = tile_rows(w->n4 - i);
        for (int64_t p = 0; p < i + rows; p += PANEL)
            TILE(pairs_tile, rows, decayed, w, x, ld_x, yt, d, i, p, to);
    }
}

static void begin_chunk(const tnn__gdn_args *a, int64_t t, int64_t t1, work *w) {
    w->n = t1 - t < a->chunk ? t1 - t : a->chunk;
    w->n4 = round_to(w->n, 4);
}

/* Decays, keys, queries, and the products of these. */
static void load_chunk(const tnn__gdn_args *a, int64_t c, int64_t h, int64_t t, int64_t t1, work *w) {
    begin_chunk(a, t, t1, w);
    load_decays(a, h, t, w);
    load_keys(a, c, t, w);
    transpose(w->k, w->ld_k, round_to(w->n, PANEL), a->d_k, w->kt, w->ld_n);
    pairs_of(true, w, w->k, w->ld_k, w->kt, a->d_k, w->kk);
    load_queries(a, c, t, w);
    pairs_of(true, w, w->q, w->ld_k, w->kt, a->d_k, w->qk);
}

/* --- forward, a panel of columns of the state at a time --- */

/* r, u and u times `after` of a tile, from u of the rows before it. v: of the chunk's first row; kept: for its r. */
TNN__INLINE void solve_tile(int rows, const tnn__gdn_args *a, const work *w, const float *v, const float *state,
                            int64_t i, int64_t p, float *kept) {
    vf acc[BIG][2];
    clear(rows, acc);
    accumulate(rows, acc, w->k + i * w->ld_k, w->ld_k, 1, state + p, w->ld_v, a->d_k);
    scale_rows(rows, acc, w->upto + i);
    accumulate(rows, acc, w->kk + i * w->ld_n, w->ld_n, 1, w->u + p, w->ld_v, i);
    TNN__UNROLL
    for (int r = 0; r < rows; r++) {
        bool inside = i + r < w->n;
        const float *row = v + (i + r) * a->v_stride + p;
        acc[r][0] = vf_sub(inside ? vf_load(row) : vf_zero(), acc[r][0]);
        acc[r][1] = vf_sub(inside ? vf_load(row + LANES) : vf_zero(), acc[r][1]);
    }
    TNN__UNROLL
    for (int r = 0; r < rows; r++) {
        vf beta = vf_set(w->beta[i + r]), u0 = vf_mul(beta, acc[r][0]), u1 = vf_mul(beta, acc[r][1]);
        vf to_state = vf_set(w->after_beta[i + r]);
        int64_t at = (i + r) * w->ld_v + p;
        vf_store(w->u + at, u0);
        vf_store(w->u + at + LANES, u1);
        vf_store(w->scaled + at, vf_mul(to_state, acc[r][0]));
        vf_store(w->scaled + at + LANES, vf_mul(to_state, acc[r][1]));
        if (kept && i + r < w->n) {
            vf_store(kept + (i + r) * a->d_v + p, acc[r][0]);
            vf_store(kept + (i + r) * a->d_v + p + LANES, acc[r][1]);
        }
        TNN__UNROLL
        for (int s = 0; s < rows; s++) {
            if (s <= r) continue;
            vf x = vf_set(-w->kk[(i + s) * w->ld_n + i + r]);
            acc[s][0] = vf_fma(x, u0, acc[s][0]);
            acc[s][1] = vf_fma(x, u1, acc[s][1]);
        }
    }
}

TNN__INLINE void solve(const tnn__gdn_args *a, int64_t h, int64_t t, const float *state, int64_t p, const work *w) {
    const float *v = a->v + t * a->v_stride + h * a->d_v;
    float *kept = kept_row(a, h, t);
    for (int64_t i = 0, rows; i < w->n4; i += rows) {
        rows = tile_rows(w->n4 - i);
        TILE(solve_tile, rows, a, w, v, state, i, p, kept);
        ask_ahead(w);
    }
}

TNN__INLINE void out_tile(int rows, const tnn__gdn_args *a, const work *w, const float *state, int64_t i, int64_t p,
                          float *out) {
    vf acc[BIG][2];
    clear(rows, acc);
    accumulate(rows, acc, w->q + i * w->ld_k, w->ld_k, 1, state + p, w->ld_v, a->d_k);
    scale_rows(rows, acc, w->upto + i);
    accumulate(rows, acc, w->qk + i * w->ld_n, w->ld_n, 1, w->u + p, w->ld_v, i + rows);
    TNN__UNROLL
    for (int r = 0; r < rows; r++) {
        if (i + r >= w->n) break;
        float *row = out + (i + r) * a->n_v_heads * a->d_v + p;
        vf_store(row, acc[r][0]);
        vf_store(row + LANES, acc[r][1]);
    }
}

/* to = decay * state + x^T y, y in `scaled` */
TNN__INLINE void pass_tile(int rows, const work *w, const float *state, float decay, int64_t i, int64_t p, float *to) {
    vf acc[BIG][2], d = vf_set(decay);
    TNN__UNROLL
    for (int r = 0; r < rows; r++) {
        acc[r][0] = vf_mul(d, vf_load(state + (i + r) * w->ld_v + p));
        acc[r][1] = vf_mul(d, vf_load(state + (i + r) * w->ld_v + p + LANES));
    }
    accumulate(rows, acc, w->k + i, 1, w->ld_k, w->scaled + p, w->ld_v, w->n);
    store_tile(rows, acc, to + i * w->ld_v + p, w->ld_v);
}

/* The state the chunk leaves, into `to`, which may be the one it found. */
TNN__ONCE static void pass_state(const tnn__gdn_args *a, const work *w, const float *state, int64_t p, float *to) {
    for (int64_t i = 0, rows; i < a->d_k; i += rows) {
        rows = tile_rows(a->d_k - i);
        TILE(pass_tile, rows, w, state, w->upto[w->n - 1], i, p, to);
        ask_ahead(w);
    }
}

/* What the chunk at t reads and writes, soon. */
static void next_rows(const tnn__gdn_args *a, int64_t c, int64_t h, int64_t t, int64_t t1, const work *w) {
    int64_t n = min(t1 - t, a->chunk), row = a->n_v_heads * a->d_v;
    *w->ahead = (ahead){0};
    if (n <= 0) return;
    look_ahead(w, a->k + t * a->k_stride + c * a->d_k, a->k_stride, n, a->d_k);
    look_ahead(w, a->v + t * a->v_stride + h * a->d_v, a->v_stride, n, a->d_v);
    look_ahead(w, a->q + t * a->q_stride + c * a->d_k, a->q_stride, n, a->d_k);
    look_ahead(w, a->out + t * row + h * a->d_v, row, n, a->d_v);
}

static void run_chunk(const tnn__gdn_args *a, int64_t c, int64_t h, int64_t t, int64_t t1, float *state, work *w) {
    load_chunk(a, c, h, t, t1, w);
    float *out = a->out + (t * a->n_v_heads + h) * a->d_v;
    next_rows(a, c, h, t + a->chunk, t1, w);
    for (int64_t p = 0; p < a->d_v; p += PANEL) {
        solve(a, h, t, state, p, w);
        for (int64_t i = 0, rows; i < w->n4; i += rows) {
            rows = tile_rows(w->n4 - i);
            TILE(out_tile, rows, a, w, state, i, p, out);
            ask_ahead(w);
        }
        pass_state(a, w, state, p, state);
    }
}

/* --- row by row --- */

/* 4 PANEL columns or fewer of one row's rule, twice over them: read, then change and read. kept: for r, or NULL. */
TNN__INLINE void row_columns(const tnn__gdn_args *a, int n, const float *q, const float *k, const float *v, float decay,
                             float beta, float *state, int64_t ld_s, float *kept, float *out) {
    vf u[8], o[8], d = vf_set(decay);
    TNN__UNROLL
    for (int l = 0; l < n; l++)
        u[l] = o[l] = vf_zero();
    for (int64_t i = 0; i < a->d_k; i++) {
        vf x = vf_set(k[i]);
        TNN__UNROLL
        for (int l = 0; l < n; l++)
            u[l] = vf_fma(x, vf_load(state + i * ld_s + l * LANES), u[l]);
    }
    TNN__UNROLL
    for (int l = 0; l < n; l++) {
        vf r = vf_sub(vf_load(v + l * LANES), vf_mul(d, u[l]));
        if (kept) vf_store(kept + l * LANES, r);
        u[l] = vf_mul(vf_set(beta), r);
    }
    for (int64_t i = 0; i < a->d_k; i++) {
        vf x = vf_set(k[i]), y = vf_set(q[i]);
        TNN__UNROLL
        for (int l = 0; l < n; l++) {
            float *at = state + i * ld_s + l * LANES;
            vf s = vf_fma(x, u[l], vf_mul(d, vf_load(at)));
            vf_store(at, s);
            o[l] = vf_fma(y, s, o[l]);
        }
    }
    TNN__UNROLL
    for (int l = 0; l < n; l++)
        vf_store(out + l * LANES, o[l]);
}

/* q and k of the row are normalised into the first rows of the chunk's. */
static void run_row(const tnn__gdn_args *a, int64_t c, int64_t h, int64_t t, float *state, int64_t ld_s,
                    const work *w) {
    int64_t gate = t * a->n_v_heads + h;
    float project, decay = expf(a->decay[gate]);
    const float *q = a->q + t * a->q_stride + c * a->d_k, *k = a->k + t * a->k_stride + c * a->d_k;
    scale_row(factor_of(a, q, a->scale, &project), q, w->q, a->d_k);
    scale_row(factor_of(a, k, 1, &project), k, w->k, a->d_k);
    const float *v = a->v + t * a->v_stride + h * a->d_v;
    float *out = a->out + gate * a->d_v, *kept = kept_row(a, h, t);
    int64_t j = 0;
    enum { FOUR = 4 * LANES };
    for (; j + FOUR <= a->d_v; j += FOUR)
        row_columns(a, 4, w->q, w->k, v + j, decay, a->beta[gate], state + j, ld_s, kept ? kept + j : NULL, out + j);
    for (; j < a->d_v; j += PANEL)
        row_columns(a, 2, w->q, w->k, v + j, decay, a->beta[gate], state + j, ld_s, kept ? kept + j : NULL, out + j);
}

/* --- both --- */

/* What these kernels are for. */
static bool is_ours(const tnn__gdn_args *a) {
    return a->d_k % PANEL == 0 && a->d_v % PANEL == 0 && a->chunk <= MAX_CHUNK;
}

static void copy_rows(const float *from, int64_t ld_from, float *to, int64_t ld_to, int64_t n_rows, int64_t n) {
    for (int64_t i = 0; i < n_rows; i++)
        memcpy(to + i * ld_to, from + i * ld_from, (size_t)n * sizeof *to);
}

static size_t gdn_scratch(const tnn__gdn_args *a, int64_t rows) {
    size_t plain = other_scratch(a, rows);
    size_t ours = (work_floats(a) + (size_t)(a->d_k * (a->d_v + PAD))) * sizeof(float);
    return is_ours(a) && ours > plain ? ours : plain;
}

/* Whether the state that row t of a sequence from t0 on finds is kept. */
static bool keeps_state(const tnn__gdn_args *a, int64_t t0, int64_t t) {
    return a->kept && t > t0 && (t - t0) % tnn__gdn_block(a->chunk) == 0;
}

/* A few rows are done where the state lies; for more, it is copied to rows PAD further apart. */
static void gdn(const tnn__gdn_args *a, int64_t c, int64_t h, int64_t t0, int64_t t1, float *state, void *scratch) {
    if (!is_ours(a)) {
        other_run(a, c, h, t0, t1, state, scratch);
        return;
    }
    ahead next = {0};
    work w = work_in(a, scratch);
    w.ahead = &next;
    if (t1 - t0 <= FEW_ROWS) {
        for (int64_t t = t0; t < t1; t++)
            run_row(a, c, h, t, state, a->d_v, &w);
        return;
    }
    float *copy = (float *)scratch + work_floats(a);
    copy_rows(state, a->d_v, copy, w.ld_v, a->d_k, a->d_v);
    for (int64_t t = t0, n; t < t1; t += n) {
        if (keeps_state(a, t0, t)) copy_rows(copy, w.ld_v, kept_state(a, h, t), a->d_v, a->d_k, a->d_v);
        if (t1 - t > FEW_ROWS) {
            run_chunk(a, c, h, t, t1, copy, &w);
            n = w.n;
        } else {
            run_row(a, c, h, t, copy, w.ld_v, &w);
            n = 1;
        }
    }
    copy_rows(copy, w.ld_v, state, a->d_v, a->d_k, a->d_v);
}

/* --- way back, first by panels of columns: u, -dr, the gradient of the state --- */

/* du of a tile, from -dr of the rows after it; then -dr = -beta du, and du . r. */
TNN__INLINE void solve_back_tile(int rows, const tnn__gdn_args *a, const work *w, const float *dstate, int64_t i,
                                 int64_t p) {
    vf acc[BIG][2];
    clear(rows, acc);
    accumulate(rows, acc, w->k + i * w->ld_k, w->ld_k, 1, dstate + p, w->ld_v, a->d_k);
    scale_rows(rows, acc, w->after + i);
    add_dots(rows, acc, w->r + i * w->ld_v + p, w->ld_v, w->by_after + i * LANES);
    accumulate(rows, acc, w->qk + i * w->ld_n + i, 1, w->ld_n, w->dout + i * w->ld_v + p, w->ld_v, w->n4 - i);
    int64_t next = i + rows;
    accumulate(rows, acc, w->kk + next * w->ld_n + i, 1, w->ld_n, w->ndr + next * w->ld_v + p, w->ld_v, w->n4 - next);
    TNN__UNROLL
    for (int r = rows - 1; r >= 0; r--) {
        vf beta = vf_set(-w->beta[i + r]), x0 = vf_mul(beta, acc[r][0]), x1 = vf_mul(beta, acc[r][1]);
        vf upto = vf_set(w->upto[i + r]);
        int64_t at = (i + r) * w->ld_v + p;
        vf_store(w->ndr + at, x0);
        vf_store(w->ndr + at + LANES, x1);
        vf_store(w->scaled_ndr + at, vf_mul(upto, x0));
        vf_store(w->scaled_ndr + at + LANES, vf_mul(upto, x1));
        TNN__UNROLL
        for (int s = 0; s < rows; s++) {
            if (s >= r) continue;
            vf x = vf_set(w->kk[(i + r) * w->ld_n + i + s]);
            acc[s][0] = vf_fma(x, x0, acc[s][0]);
            acc[s][1] = vf_fma(x, x1, acc[s][1]);
        }
    }
    add_dots(rows, acc, w->r + i * w->ld_v + p, w->ld_v, w->dot_r + i * LANES);
}

/* dstate = decay * dstate + q^T (upto * dout) + k^T (upto * -dr); returns what it was, times state, added up */
TNN__INLINE vf gradient_tile(int rows, const work *w, const float *state, float decay, int64_t i, int64_t p,
                             float *dstate) {
    vf acc[BIG][2], d = vf_set(decay), product = vf_zero();
    TNN__UNROLL
    for (int r = 0; r < rows; r++) {
        int64_t at = (i + r) * w->ld_v + p;
        vf x0 = vf_load(dstate + at), x1 = vf_load(dstate + at + LANES);
        product = vf_fma(x1, vf_load(state + at + LANES), vf_fma(x0, vf_load(state + at), product));
        acc[r][0] = vf_mul(d, x0);
        acc[r][1] = vf_mul(d, x1);
    }
    accumulate(rows, acc, w->q + i, 1, w->ld_k, w->scaled + p, w->ld_v, w->n);
    accumulate(rows, acc, w->k + i, 1, w->ld_k, w->scaled_ndr + p, w->ld_v, w->n);
    store_tile(rows, acc, dstate + i * w->ld_v + p, w->ld_v);
    return product;
}

/* Returns state . dstate as it was. */
TNN__ONCE static float columns_back(const tnn__gdn_args *a, const float *state, float *dstate, const work *w) {
    vf product = vf_zero();
    for (int64_t p = 0; p < a->d_v; p += PANEL) {
        for (int64_t left = w->n4, rows; left > 0; left -= rows) {
            rows = tile_rows(left);
            TILE(solve_back_tile, rows, a, w, dstate, left - rows, p);
            ask_ahead(w);
        }
        for (int64_t i = 0, rows; i < a->d_k; i += rows) {
            rows = tile_rows(a->d_k - i);
            product = vf_add(product, TILE(gradient_tile, rows, w, state, w->upto[w->n - 1], i, p, dstate));
            ask_ahead(w);
        }
    }
    return vf_sum(product);
}

/* --- then the products of pairs of rows --- */

/*
 * With the gradients of the products of rows times d(i, j), but for b of u, in dqk and dkk: what they give d(i, j)
 * itself into pairs, and then themselves times d(i, j).
 */
TNN__ONCE static void pairs_back(const tnn__gdn_args *a, work *w) {
    int64_t n = round_to(w->n, PANEL);
    transpose(w->r, w->ld_v, n, a->d_v, w->rt, w->ld_n);
    pairs_of(false, w, w->dout, w->ld_v, w->rt, a->d_v, w->dqk);
    pairs_of(false, w, w->ndr, w->ld_v, w->rt, a->d_v, w->dkk);
    for (int64_t i = 0; i < w->n4; i++) {
        const float *between = w->between + i * w->ld_n, *qk = w->qk + i * w->ld_n, *kk = w->kk + i * w->ld_n;
        float *dqk = w->dqk + i * w->ld_n, *dkk = w->dkk + i * w->ld_n, *pairs = w->pairs + i * w->ld_n;
        for (int64_t j = 0; j <= i; j += LANES) {
            vf d = vf_load(between + j), beta = vf_load(w->beta + j);
            vf x = vf_mul(beta, vf_load(dqk + j)), y = vf_mul(beta, vf_load(dkk + j));
            vf_store(pairs + j, vf_fma(x, vf_load(qk + j), vf_mul(y, vf_load(kk + j))));
            vf_store(dqk + j, vf_mul(d, x));
            vf_store(dkk + j, vf_mul(d, y));
        }
        for (int64_t j = round_to(i + 1, LANES); j < n; j++)
            dqk[j] = dkk[j] = 0;
        dkk[i] = 0;
    }
}

/* --- then, by panels of d_k columns, q and k --- */

TNN__INLINE void dq_tile(int rows, const tnn__gdn_args *a, const work *w, int64_t i, int64_t p) {
    vf acc[BIG][2];
    clear(rows, acc);
    accumulate(rows, acc, w->dout + i * w->ld_v, w->ld_v, 1, w->state_t + p, w->ld_k, a->d_v);
    scale_rows(rows, acc, w->upto + i);
    add_dots(rows, acc, w->q + i * w->ld_k + p, w->ld_k, w->by_upto + i * LANES);
    accumulate(rows, acc, w->dqk + i * w->ld_n, w->ld_n, 1, w->k + p, w->ld_k, i + rows);
    store_tile(rows, acc, w->dq + i * w->ld_k + p, w->ld_k);
}

TNN__INLINE void dk_tile(int rows, const tnn__gdn_args *a, const work *w, int64_t i, int64_t p) {
    const float *k = w->k + i * w->ld_k + p;
    float *dk = w->dk + i * w->ld_k + p;
    vf acc[BIG][2];
    clear(rows, acc);
    accumulate(rows, acc, w->ndr + i * w->ld_v, w->ld_v, 1, w->state_t + p, w->ld_k, a->d_v);
    scale_rows(rows, acc, w->upto + i);
    add_dots(rows, acc, k, w->ld_k, w->by_upto + i * LANES);
    store_tile(rows, acc, dk, w->ld_k);
    clear(rows, acc);
    accumulate(rows, acc, w->r + i * w->ld_v, w->ld_v, 1, w->dstate_t + p, w->ld_k, a->d_v);
    scale_rows(rows, acc, w->after_beta + i);
    add_tile(rows, acc, dk, w->ld_k);
    int64_t column = i * w->ld_n + i, below = w->n4 - i;
    accumulate(rows, acc, w->dkk + i * w->ld_n, w->ld_n, 1, w->k + p, w->ld_k, i + rows);
    accumulate(rows, acc, w->dkk + column, 1, w->ld_n, w->k + i * w->ld_k + p, w->ld_k, below);
    accumulate(rows, acc, w->dqk + column, 1, w->ld_n, w->q + i * w->ld_k + p, w->ld_k, below);
    store_tile(rows, acc, dk, w->ld_k);
}

TNN__ONCE static void rows_back(const tnn__gdn_args *a, const work *w) {
    for (int64_t p = 0; p < a->d_k; p += PANEL) {
        for (int64_t i = 0, rows; i < w->n4; i += rows) {
            rows = tile_rows(w->n4 - i);
            TILE(dq_tile, rows, a, w, i, p);
            TILE(dk_tile, rows, a, w, i, p);
            ask_ahead(w);
        }
    }
}

/* --- then the decays, and out of the chunk --- */

/* sums[j] += row[j] for j < n; returns the sum of these sums. */
static double add_row(const float *row, int64_t n, double *sums) {
    double total = 0;
    for (int64_t j = 0; j < n; j++)
        total += sums[j] += (double)row[j];
    return total;
}

/* The LANES partial sums of a row. */
static double add_lanes(const float *sums) {
    double total = 0;
    for (int l = 0; l < LANES; l++)
        total += (double)sums[l];
    return total;
}

/* As the portable kernel's decays_back, in double like it; `whole` is state . dstate. */
static void decays_back(const tnn__gdn_back_args *b, int64_t h, int64_t t, float whole, const work *w) {
    double before[MAX_CHUNK + 1] = {0}, across[MAX_CHUNK] = {0};
    double from_here = (double)whole * (double)w->upto[w->n - 1];
    for (int64_t i = 0; i < w->n; i++)
        before[i + 1] = before[i] + (double)w->beta[i] * add_lanes(w->by_after + i * LANES);
    for (int64_t m = w->n - 1; m >= 0; m--) {
        from_here += add_lanes(w->by_upto + m * LANES);
        double pairs = add_row(w->pairs + m * w->ld_n, m, across);
        b->ddecay[(t + m) * b->f.n_v_heads + h] = (float)(from_here + before[m] + pairs);
    }
}

/* dx = factor (dy - project y (y . dy)) */
static void normalise_back(const float *y, const float *dy, float factor, float project, bool add, float *dx,
                           int64_t n) {
    vf f = vf_set(factor), along = vf_set(project == 0 ? 0 : -project * dot_floats(y, dy, n));
    for (int64_t i = 0; i < n; i += LANES) {
        vf d = vf_mul(f, vf_fma(along, vf_load(y + i), vf_load(dy + i)));
        vf_store(dx + i, add ? vf_add(vf_load(dx + i), d) : d);
    }
}

TNN__ONCE static void store_rows(const tnn__gdn_back_args *b, int64_t c, int64_t h, int64_t t, bool add,
                                 const work *w) {
    const tnn__gdn_args *a = &b->f;
    for (int64_t i = 0; i < w->n; i++) {
        normalise_back(w->q + i * w->ld_k, w->dq + i * w->ld_k, w->factor_q[i], w->project_q[i], add,
                       b->dq + (t + i) * a->q_stride + c * a->d_k, a->d_k);
        normalise_back(w->k + i * w->ld_k, w->dk + i * w->ld_k, w->factor_k[i], w->project_k[i], add,
                       b->dk + (t + i) * a->k_stride + c * a->d_k, a->d_k);
        float *dv = b->dv + (t + i) * a->v_stride + h * a->d_v;
        for (int64_t j = 0; j < a->d_v; j += LANES)
            vf_store(dv + j, vf_sub(vf_zero(), vf_load(w->ndr + i * w->ld_v + j)));
        b->dbeta[(t + i) * a->n_v_heads + h] = vf_sum(vf_load(w->dot_r + i * LANES));
    }
}

/* Rows of dout into dout, and times `upto` into scaled. */
static void load_dout(const float *dout, int64_t row, int64_t d_v, const work *w) {
    int64_t past = (round_to(w->n, PANEL) - w->n) * w->ld_v;
    for (int64_t i = 0; i < w->n; i++) {
        if (i + AHEAD < w->n) prefetch(dout + (i + AHEAD) * row, d_v);
        memcpy(w->dout + i * w->ld_v, dout + i * row, (size_t)d_v * sizeof(float));
        scale_row(w->upto[i], w->dout + i * w->ld_v, w->scaled + i * w->ld_v, d_v);
    }
    memset(w->dout + w->n * w->ld_v, 0, (size_t)past * sizeof(float));
}

/* What the chunk at t writes, and what that before it, which begins at t0 or later, reads. */
static void next_back(const tnn__gdn_back_args *b, int64_t c, int64_t h, int64_t t0, int64_t t, const work *w) {
    const tnn__gdn_args *a = &b->f;
    int64_t row = a->n_v_heads * a->d_v, before = t - a->chunk, n = a->chunk;
    *w->ahead = (ahead){0};
    look_ahead(w, b->dq + t * a->q_stride + c * a->d_k, a->q_stride, w->n, a->d_k);
    look_ahead(w, b->dk + t * a->k_stride + c * a->d_k, a->k_stride, w->n, a->d_k);
    look_ahead(w, b->dv + t * a->v_stride + h * a->d_v, a->v_stride, w->n, a->d_v);
    if (before < t0) return;
    look_ahead(w, a->k + before * a->k_stride + c * a->d_k, a->k_stride, n, a->d_k);
    look_ahead(w, a->q + before * a->q_stride + c * a->d_k, a->q_stride, n, a->d_k);
    look_ahead(w, b->dout + before * row + h * a->d_v, row, n, a->d_v);
}

/* The chunk that begins at t found `state`, and left what dstate is the gradient of. */
static void chunk_back(const tnn__gdn_back_args *b, int64_t c, int64_t h, int64_t t0, int64_t t, int64_t t1,
                       const float *state, float *dstate, bool add, work *w) {
    const tnn__gdn_args *a = &b->f;
    load_chunk(a, c, h, t, t1, w);
    int64_t row = a->n_v_heads * a->d_v, n = round_to(w->n, PANEL);
    load_dout(b->dout + t * row + h * a->d_v, row, a->d_v, w);
    copy_rows(kept_row(a, h, t), a->d_v, w->r, w->ld_v, w->n, a->d_v);
    memset(w->r + w->n * w->ld_v, 0, (size_t)((n - w->n) * w->ld_v) * sizeof(float));
    float *const sums[] = {w->by_upto, w->by_after, w->dot_r};
    for (int i = 0; i < 3; i++)
        memset(sums[i], 0, (size_t)(w->n4 * LANES) * sizeof(float));
    transpose(state, w->ld_v, a->d_k, a->d_v, w->state_t, w->ld_k);
    transpose(dstate, w->ld_v, a->d_k, a->d_v, w->dstate_t, w->ld_k);
    next_back(b, c, h, t0, t, w);
    float whole = columns_back(a, state, dstate, w);
    pairs_back(a, w);
    rows_back(a, w);
    decays_back(b, h, t, whole, w);
    store_rows(b, c, h, t, add, w);
}

/* --- the order of it --- */

/* Floats of a state; and chunks whose states are held, those of a block. */
static int64_t padded_state(const tnn__gdn_args *a) {
    return a->d_k * (a->d_v + PAD);
}

static int64_t chunks_at_once(const tnn__gdn_args *a, int64_t rows) {
    return (min(rows, tnn__gdn_block(a->chunk)) + a->chunk - 1) / a->chunk;
}

/* From what the first chunk of [t0, t1) finds, at `states`, what each one after it does, a state after the other. */
static void states_of_block(const tnn__gdn_args *a, int64_t c, int64_t h, int64_t t0, int64_t t1, float *states,
                            work *w) {
    for (int64_t t = t0; t + a->chunk < t1; t += a->chunk, states += padded_state(a)) {
        begin_chunk(a, t, t1, w);
        load_decays(a, h, t, w);
        load_keys(a, c, t, w);
        const float *r = kept_row(a, h, t);
        for (int64_t i = 0; i < w->n; i++)
            scale_row(w->after_beta[i], r + i * a->d_v, w->scaled + i * w->ld_v, a->d_v);
        *w->ahead = (ahead){0};
        int64_t next = t + a->chunk;
        look_ahead(w, a->k + next * a->k_stride + c * a->d_k, a->k_stride, min(t1 - next, a->chunk), a->d_k);
        for (int64_t p = 0; p < a->d_v; p += PANEL)
            pass_state(a, w, states, p, states + padded_state(a));
    }
}

/* The chunks of [t, t1), from the last, which found the states at `states`. */
static void chunks_back(const tnn__gdn_back_args *b, int64_t c, int64_t h, int64_t t0, int64_t t, int64_t t1,
                        const float *states, float *dstate, bool add, work *w) {
    int64_t chunk = b->f.chunk;
    for (int64_t i = (t1 - 1 - t) / chunk; i >= 0; i--)
        chunk_back(b, c, h, t0, t + i * chunk, t1, states + i * padded_state(&b->f), dstate, add, w);
}

static size_t gdn_back_scratch(const tnn__gdn_args *a, int64_t rows) {
    size_t plain = other_back_scratch(a, rows), states = (size_t)((1 + chunks_at_once(a, rows)) * padded_state(a));
    size_t ours = (work_floats(a) + states) * sizeof(float);
    return is_ours(a) && ours > plain ? ours : plain;
}

static void gdn_back(const tnn__gdn_back_args *b, int64_t c, int64_t h, int64_t t0, int64_t t1, const float *state,
                     float *dstate, bool add, void *scratch) {
    const tnn__gdn_args *a = &b->f;
    if (!is_ours(a)) {
        other_back(b, c, h, t0, t1, state, dstate, add, scratch);
        return;
    }
    ahead next = {0};
    work w = work_in(a, scratch);
    w.ahead = &next;
    float *gradient = (float *)scratch + work_floats(a), *states = gradient + padded_state(a);
    copy_rows(dstate, a->d_v, gradient, w.ld_v, a->d_k, a->d_v);
    int64_t block = tnn__gdn_block(a->chunk);
    for (int64_t t = t0 + (t1 - 1 - t0) / block * block; t >= t0; t -= block) {
        int64_t end = min(t1, t + block);
        copy_rows(t == t0 ? state : kept_state(a, h, t), a->d_v, states, w.ld_v, a->d_k, a->d_v);
        states_of_block(a, c, h, t, end, states, &w);
        chunks_back(b, c, h, t0, t, end, states, gradient, add, &w);
    }
    copy_rows(gradient, w.ld_v, dstate, a->d_v, a->d_k, a->d_v);
}

static void set_gdn(tnn__kernels *k, int64_t chunk) {
    k->gdn = (tnn__gdn_kernel){gdn, gdn_back, chunk, gdn_scratch, gdn_back_scratch};
}

#endif
