/*
 * The gated delta rule in chunks of rows, forward and back (Yang et al. 2024, "Parallelizing linear transformers with
 * the delta rule over sequence length"; Yang, Kautz and Hatamizadeh 2024, "Gated delta networks"). With the rows of a
 * chunk numbered from 0, S the state they find, and decays as products of e^g over rows, d(i) up to row i, d(i, j)
 * after row j up to row i, d'(i) after row i to the end:
 *
 *     r_i = v_i - d(i) S^T k_i - sum_{j<i} d(i, j) (k_i . k_j) u_j,   u_i = b_i r_i
 *     o_i = d(i) S^T q_i + sum_{j<=i} d(i, j) (q_i . k_j) u_j
 *     S'  = d(n - 1) S + sum_i d'(i) k_i u_i^T
 *
 * Decays are multiplied up, never divided out or taken as differences of sums: no overflow, and no cancellation. Every
 * chunk size gives the same results but for rounding.
 */
#include "cpu/ref/real.h"

/* A chunk, in scratch. */
typedef struct chunk {
    int64_t n;                   /* rows */
    real *q, *k;                 /* [d_k, n]: normalised, q times scale */
    real *dq, *dk;               /* [d_k, n]: gradients with respect to these; way back only */
    real *r, *u;                 /* [d_v, n] */
    real *du;                    /* [d_v, n]; way back only */
    real *upto, *after;          /* [n]: d(i), d'(i) */
    real *between;               /* [n, n]: d(i, j), row i */
    real *qk, *kk;               /* [n, n]: d(i, j) times the products */
    real *by_upto, *by_after;    /* [n]: what these contribute to the decays' gradient; way back only */
    double *before, *across;     /* [n]: sums of such contributions */
    real *factor_q, *factor_k;   /* [n]: what q and k were multiplied by */
    real *project_q, *project_k; /* [n]: way back: factor of the part along the normalised vector that falls away */
} chunk;

enum { REALS_OF_DOUBLE = sizeof(double) / sizeof(real) };

static size_t chunk_reals(const gdn_args *a) {
    return (size_t)(a->chunk * (4 * a->d_k + 3 * a->d_v + 3 * a->chunk + 8 + 2 * REALS_OF_DOUBLE));
}

static chunk chunk_in(const gdn_args *a, real *scratch) {
    int64_t n = a->chunk;
    chunk c = {0};
    c.before = (double *)(void *)scratch;
    c.across = c.before + n;
    c.q = scratch + 2 * n * REALS_OF_DOUBLE;
    c.k = c.q + n * a->d_k;
    c.dq = c.k + n * a->d_k;
    c.dk = c.dq + n * a->d_k;
    c.r = c.dk + n * a->d_k;
    c.u = c.r + n * a->d_v;
    c.du = c.u + n * a->d_v;
    c.between = c.du + n * a->d_v;
    c.qk = c.between + n * n;
    c.kk = c.qk + n * n;
    c.upto = c.kk + n * n;
    c.after = c.upto + n;
    c.by_upto = c.after + n;
    c.by_after = c.by_upto + n;
    c.factor_q = c.by_after + n;
    c.factor_k = c.factor_q + n;
    c.project_q = c.factor_k + n;
    c.project_k = c.project_q + n;
    return c;
}

/* In double, because what comes of it is a term of a difference: the decays' gradient. */
static double dot_double(const real *x, const real *y, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

/* y = scale * normalised x; returns the factor, and sets what the way back needs. */
static real normalise(const gdn_args *a, const real *x, real scale, real *y, real *project) {
    real factor = scale;
    *project = 0;
    if (a->norm != TNN_L2_NONE) {
        real square = dot(x, x, a->d_k), length = REAL_SQRT(square);
        bool added = a->norm == TNN_L2_EPS_ADDED, floored = !added && length <= a->norm_eps;
        factor *= added ? 1 / REAL_SQRT(square + a->norm_eps) : 1 / (floored ? a->norm_eps : length);
        if (!floored) *project = 1 / (scale * scale);
    }
    for (int64_t i = 0; i < a->d_k; i++)
        y[i] = factor * x[i];
    return factor;
}

static void load_chunk(const gdn_args *a, int64_t c, int64_t h, int64_t t, chunk *w) {
    int64_t n = w->n;
    for (int64_t i = 0; i < n; i++) {
        w->factor_q[i] =
            normalise(a, a->q + (t + i) * a->q_stride + c * a->d_k, a->scale, w->q + i * a->d_k, w->project_q + i);
        w->factor_k[i] =
            normalise(a, a->k + (t + i) * a->k_stride + c * a->d_k, 1, w->k + i * a->d_k, w->project_k + i);
        real decay = REAL_EXP(a->decay[(t + i) * a->n_v_heads + h]);
        w->upto[i] = i > 0 ? decay * w->upto[i - 1] : decay;
        for (int64_t j = 0; j < i; j++) {
            w->between[i * n + j] = decay * w->between[(i - 1) * n + j];
            w->after[j] *= decay;
        }
        w->between[i * n + i] = w->after[i] = 1;
        for (int64_t j = 0; j <= i; j++) {
            w->qk[i * n + j] = w->between[i * n + j] * dot(w->q + i * a->d_k, w->k + j * a->d_k, a->d_k);
            w->kk[i * n + j] = w->between[i * n + j] * (real)dot_double(w->k + i * a->d_k, w->k + j * a->d_k, a->d_k);
        }
    }
}

/* y += factor * x */
static void axpy(real factor, const real *x, real *y, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        y[i] += factor * x[i];
}

/* y += factor * S^T x and y += factor * S x; S has d_k rows of d_v */
static void add_read(const gdn_args *a, const real *state, real factor, const real *x, real *y) {
    for (int64_t i = 0; i < a->d_k; i++)
        axpy(factor * x[i], state + i * a->d_v, y, a->d_v);
}

/* S += factor * x y^T */
static void add_outer(const gdn_args *a, real factor, const real *x, const real *y, real *state) {
    for (int64_t i = 0; i < a->d_k; i++)
        axpy(factor * x[i], y, state + i * a->d_v, a->d_v);
}

/* r and u of every row. */
static void solve(const gdn_args *a, int64_t h, int64_t t, const real *state, chunk *w) {
    int64_t n = w->n, d_v = a->d_v;
    for (int64_t i = 0; i < n; i++) {
        real *r = w->r + i * d_v, beta = a->beta[(t + i) * a->n_v_heads + h];
        memcpy(r, a->v + (t + i) * a->v_stride + h * d_v, (size_t)d_v * sizeof *r);
        add_read(a, state, -w->upto[i], w->k + i * a->d_k, r);
        for (int64_t j = 0; j < i; j++)
            axpy(-w->kk[i * n + j], w->u + j * d_v, r, d_v);
        for (int64_t l = 0; l < d_v; l++)
            w->u[i * d_v + l] = beta * r[l];
    }
}

/* The state the chunk leaves. */
static void pass_state(const gdn_args *a, const chunk *w, real *state) {
    real decay = w->upto[w->n - 1];
    for (int64_t i = 0; i < a->d_k * a->d_v; i++)
        state[i] *= decay;
    for (int64_t i = 0; i < w->n; i++)
        add_outer(a, w->after[i], w->k + i * a->d_k, w->u + i * a->d_v, state);
}

static int64_t chunk_rows(const gdn_args *a, int64_t t, int64_t t1) {
    return t1 - t < a->chunk ? t1 - t : a->chunk;
}

/* r of row t, and the state it finds where a block begins with it. */
static real *kept_row(const gdn_args *a, int64_t h, int64_t t) {
    return a->kept + tnn__gdn_kept_row(a->n_rows, a->d_k, h, t) * a->d_v;
}

static real *kept_state(const gdn_args *a, int64_t h, int64_t t) {
    return a->kept + tnn__gdn_kept_state(a->n_rows, a->d_k, h, t) * a->d_v;
}

/* r of the chunk at t and, where a block begins with it, the state it found. */
static void keep(const gdn_args *a, int64_t h, int64_t t0, int64_t t, const real *state, const chunk *w) {
    memcpy(kept_row(a, h, t), w->r, (size_t)(w->n * a->d_v) * sizeof *w->r);
    if (t > t0 && (t - t0) % tnn__gdn_block(a->chunk) == 0)
        memcpy(kept_state(a, h, t), state, (size_t)(a->d_k * a->d_v) * sizeof *state);
}

static size_t gdn_scratch_bytes(const gdn_args *a, int64_t rows) {
    (void)rows;
    return chunk_reals(a) * sizeof(real);
}

static void gdn(const gdn_args *a, int64_t c, int64_t h, int64_t t0, int64_t t1, real *state, void *scratch) {
    chunk w = chunk_in(a, scratch);
    for (int64_t t = t0; t < t1; t += w.n) {
        w.n = chunk_rows(a, t, t1);
        load_chunk(a, c, h, t, &w);
        solve(a, h, t, state, &w);
        if (a->kept) keep(a, h, t0, t, state, &w);
        for (int64_t i = 0; i < w.n; i++) {
            real *out = a->out + ((t + i) * a->n_v_heads + h) * a->d_v;
            memset(out, 0, (size_t)a->d_v * sizeof *out);
            add_read(a, state, w.upto[i], w.q + i * a->d_k, out);
            for (int64_t j = 0; j <= i; j++)
                axpy(w.qk[i * w.n + j], w.u + j * a->d_v, out, a->d_v);
        }
        pass_state(a, &w, state);
    }
}

/* --- way back --- */

/* r, as it was kept, and u. */
static void load_solved(const gdn_args *a, int64_t h, int64_t t, chunk *w) {
    memcpy(w->r, kept_row(a, h, t), (size_t)(w->n * a->d_v) * sizeof *w->r);
    for (int64_t i = 0; i < w->n; i++) {
        real beta = a->beta[(t + i) * a->n_v_heads + h];
        for (int64_t l = 0; l < a->d_v; l++)
            w->u[i * a->d_v + l] = beta * w->r[i * a->d_v + l];
    }
}

/* du, then, from the last row up, dbeta, and dr in the place of r: a row's dr reaches the u of the rows before it. */
static void solve_back(const gdn_back_args *b, int64_t h, int64_t t, const real *dstate, chunk *w) {
    const gdn_args *a = &b->f;
    int64_t n = w->n, d_v = a->d_v;
    for (int64_t j = 0; j < n; j++) {
        real *du = w->du + j * d_v;
        memset(du, 0, (size_t)d_v * sizeof *du);
        add_read(a, dstate, w->after[j], w->k + j * a->d_k, du);
        w->by_after[j] = (real)dot_double(du, w->u + j * d_v, d_v);
        for (int64_t i = j; i < n; i++)
            axpy(w->qk[i * n + j], b->dout + ((t + i) * a->n_v_heads + h) * d_v, du, d_v);
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        int64_t gate = (t + i) * a->n_v_heads + h;
        real *r = w->r + i * d_v;
        const real *du = w->du + i * d_v;
        b->dbeta[gate] = dot(du, r, d_v);
        for (int64_t l = 0; l < d_v; l++)
            r[l] = a->beta[gate] * du[l];
        memcpy(b->dv + (t + i) * a->v_stride + h * d_v, r, (size_t)d_v * sizeof *r);
        for (int64_t j = 0; j < i; j++)
            axpy(-w->kk[i * n + j], r, w->du + j * d_v, d_v);
    }
}

/*
 * Through the products of pairs of rows: dq and dk, and, in kk, what every d(i, j) contributes to the gradient of its
 * logarithm.
 */
static void pairs_back(const gdn_back_args *b, int64_t h, int64_t t, chunk *w) {
    const gdn_args *a = &b->f;
    int64_t n = w->n, d_k = a->d_k, d_v = a->d_v;
    memset(w->dq, 0, (size_t)(n * d_k) * sizeof(real));
    memset(w->dk, 0, (size_t)(n * d_k) * sizeof(real));
    for (int64_t i = 0; i < n; i++) {
        const real *dout = b->dout + ((t + i) * a->n_v_heads + h) * d_v;
        for (int64_t j = 0; j <= i; j++) {
            real between = w->between[i * n + j], dqk = (real)dot_double(dout, w->u + j * d_v, d_v);
            axpy(between * dqk, w->k + j * d_k, w->dq + i * d_k, d_k);
            axpy(between * dqk, w->q + i * d_k, w->dk + j * d_k, d_k);
            if (j == i) continue;
            real dkk = -(real)dot_double(w->r + i * d_v, w->u + j * d_v, d_v);
            axpy(between * dkk, w->k + j * d_k, w->dk + i * d_k, d_k);
            axpy(between * dkk, w->k + i * d_k, w->dk + j * d_k, d_k);
            w->kk[i * n + j] = dqk * w->qk[i * n + j] + dkk * w->kk[i * n + j];
        }
    }
}

/* y += factor * S x; returns factor * (S x) . z. S has d_k rows of d_v. */
static real add_product(const gdn_args *a, const real *state, real factor, const real *x, const real *z, real *y) {
    real sum = 0;
    for (int64_t i = 0; i < a->d_k; i++) {
        real product = factor * dot(state + i * a->d_v, x, a->d_v);
        y[i] += product;
        sum += product * z[i];
    }
    return sum;
}

/* Through the products with the states: the rest of dq and dk, and what d(i) and d'(i) contribute. */
static void states_back(const gdn_back_args *b, int64_t h, int64_t t, const real *state, const real *dstate, chunk *w) {
    const gdn_args *a = &b->f;
    for (int64_t i = 0; i < w->n; i++) {
        const real *dout = b->dout + ((t + i) * a->n_v_heads + h) * a->d_v;
        const real *q = w->q + i * a->d_k, *k = w->k + i * a->d_k;
        real *dq = w->dq + i * a->d_k, *dk = w->dk + i * a->d_k;
        w->by_upto[i] = add_product(a, state, w->upto[i], dout, q, dq);
        w->by_upto[i] += add_product(a, state, -w->upto[i], w->r + i * a->d_v, k, dk);
        add_product(a, dstate, w->after[i], w->u + i * a->d_v, k, dk);
    }
}

/*
 * The gradient of row m's log decay gathers every product of decays that m is in: d(i) for i >= m, d'(i) for i < m,
 * d(i, j) for j < m <= i, d(n - 1).
 */
static void decays_back(const gdn_back_args *b, int64_t h, int64_t t, const real *state, const real *dstate, chunk *w) {
    const gdn_args *a = &b->f;
    int64_t n = w->n;
    double before = 0, from_here = (double)(w->upto[n - 1] * dot(state, dstate, a->d_k * a->d_v));
    for (int64_t i = 0; i < n; i++) {
        w->before[i] = before;
        before += (double)w->by_after[i];
        w->across[i] = 0;
    }
    for (int64_t m = n - 1; m >= 0; m--) {
        double across = 0;
        for (int64_t j = 0; j < m; j++)
            across += w->across[j] += (double)w->kk[m * n + j];
        from_here += (double)w->by_upto[m];
        b->ddecay[(t + m) * a->n_v_heads + h] = (real)(from_here + w->before[m] + across);
    }
}

/* The gradient of the state the chunk found, in the place of that of the state it left. */
static void pass_gradient(const gdn_back_args *b, int64_t h, int64_t t, const chunk *w, real *dstate) {
    const gdn_args *a = &b->f;
    real decay = w->upto[w->n - 1];
    for (int64_t i = 0; i < a->d_k * a->d_v; i++)
        dstate[i] *= decay;
    for (int64_t i = 0; i < w->n; i++) {
        add_outer(a, w->upto[i], w->q + i * a->d_k, b->dout + ((t + i) * a->n_v_heads + h) * a->d_v, dstate);
        add_outer(a, -w->upto[i], w->k + i * a->d_k, w->r + i * a->d_v, dstate);
    }
}

/* With y = f x and the part of dy along y away: dx = f (dy - project y (y . dy)) */
static void normalise_back(const real *y, const real *dy, real factor, real project, bool add, real *dx, int64_t n) {
    real along = project * dot(y, dy, n);
    for (int64_t i = 0; i < n; i++) {
        real d = factor * (dy[i] - along * y[i]);
        dx[i] = add ? dx[i] + d : d;
    }
}

static void chunk_back(const gdn_back_args *b, int64_t c, int64_t h, int64_t t, const real *state, real *dstate,
                       bool add, chunk *w) {
    const gdn_args *a = &b->f;
    load_chunk(a, c, h, t, w);
    load_solved(a, h, t, w);
    solve_back(b, h, t, dstate, w);
    pairs_back(b, h, t, w);
    states_back(b, h, t, state, dstate, w);
    decays_back(b, h, t, state, dstate, w);
    pass_gradient(b, h, t, w, dstate);
    for (int64_t i = 0; i < w->n; i++) {
        normalise_back(w->q + i * a->d_k, w->dq + i * a->d_k, w->factor_q[i], w->project_q[i], add,
                       b->dq + (t + i) * a->q_stride + c * a->d_k, a->d_k);
        normalise_back(w->k + i * a->d_k, w->dk + i * a->d_k, w->factor_k[i], w->project_k[i], add,
                       b->dk + (t + i) * a->k_stride + c * a->d_k, a->d_k);
    }
}

/* A chunk, and the states that the chunks of a block find. */
static size_t gdn_back_scratch_bytes(const gdn_args *a, int64_t rows) {
    int64_t block = tnn__gdn_block(a->chunk), most = rows < block ? rows : block;
    int64_t n_chunks = (most + a->chunk - 1) / a->chunk;
    return (chunk_reals(a) + (size_t)(n_chunks * a->d_k * a->d_v)) * sizeof(real);
}

/* A block of chunks that found `first`, [t, t1): the states, from the front; then the chunks, from the back. */
static void block_back(const gdn_back_args *b, int64_t c, int64_t h, int64_t t, int64_t t1, const real *first,
                       real *dstate, bool add, void *scratch) {
    const gdn_args *a = &b->f;
    chunk w = chunk_in(a, scratch);
    int64_t size = a->d_k * a->d_v, n_chunks = (t1 - t + a->chunk - 1) / a->chunk;
    real *states = (real *)scratch + chunk_reals(a);
    memcpy(states, first, (size_t)size * sizeof *states);
    for (int64_t i = 0; i + 1 < n_chunks; i++) {
        real *next = states + (i + 1) * size;
        w.n = a->chunk;
        load_chunk(a, c, h, t + i * a->chunk, &w);
        load_solved(a, h, t + i * a->chunk, &w);
        memcpy(next, states + i * size, (size_t)size * sizeof *next);
        pass_state(a, &w, next);
    }
    for (int64_t i = n_chunks - 1; i >= 0; i--) {
        int64_t at = t + i * a->chunk;
        w.n = chunk_rows(a, at, t1);
        chunk_back(b, c, h, at, states + i * size, dstate, add, &w);
    }
}

static void gdn_back(const gdn_back_args *b, int64_t c, int64_t h, int64_t t0, int64_t t1, const real *state,
                     real *dstate, bool add, void *scratch) {
    const gdn_args *a = &b->f;
    int64_t block = tnn__gdn_block(a->chunk);
    for (int64_t t = t0 + (t1 - 1 - t0) / block * block; t >= t0; t -= block) {
        const real *first = t == t0 ? state : kept_state(a, h, t);
        block_back(b, c, h, t, t1 - t < block ? t1 : t + block, first, dstate, add, scratch);
    }
}

static const gdn_kernel gdn_reference = {gdn, gdn_back, 64, gdn_scratch_bytes, gdn_back_scratch_bytes};
