/* Gradients, each beside the formula it follows; sums run in the order of the loops. */
#include "cpu/ref/real.h"

/* dx = W^T dy: one row of W at a time, unpacked into scratch (n_in reals). */
static void gemm_dx(const gemm_dx_args *a, int64_t k0, int64_t k1, void *scratch) {
    real *w = scratch;
    for (int64_t t = 0; t < a->n_cols; t++)
        for (int64_t k = k0; k < k1; k++)
            a->dx[t * a->n_in + k] = 0;
    for (int64_t i = 0; i < a->n_out; i++) {
        load_row(a->type, (const char *)a->w + (size_t)i * a->row_bytes, w, a->n_in);
        for (int64_t t = 0; t < a->n_cols; t++) {
            real dy = a->dy[t * a->n_out + i];
            for (int64_t k = k0; k < k1; k++)
                a->dx[t * a->n_in + k] += dy * w[k];
        }
    }
}

/* dW += dy x^T */
static void gemm_dw(const gemm_dw_args *a, int64_t row0, int64_t row1, void *scratch) {
    (void)scratch;
    for (int64_t t = 0; t < a->n_cols; t++)
        for (int64_t i = row0; i < row1; i++) {
            real dy = a->dy[t * a->n_out + i];
            for (int64_t k = 0; k < a->n_in; k++)
                a->dw[i * a->n_in + k] += dy * a->x[t * a->n_in + k];
        }
}

/* r = 1/rms(x), n = x r, dn = dy gamma: dx = r (dn - n mean(dn n)), dgamma += dy n */
static void rms_norm_back(const real *x, const real *gamma, const real *dy, real *dx, real *dgamma, int64_t n,
                          real eps) {
    real r = 1 / REAL_SQRT(dot(x, x, n) / (real)n + eps);
    real mean = 0;
    for (int64_t i = 0; i < n; i++)
        mean += dy[i] * gamma[i] * x[i];
    mean *= r / (real)n;
    for (int64_t i = 0; i < n; i++) {
        real normed = x[i] * r, d = dy[i];
        dgamma[i] += d * normed;
        dx[i] = r * (d * gamma[i] - normed * mean);
    }
}

/* y = g s u with s = sigmoid(g): du = dy g s, dg = dy u s (1 + g (1 - s)) */
static void swiglu_back(const real *gate, const real *up, const real *dy, real *dgate, real *dup, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        real g = gate[i], s = 1 / (1 + REAL_EXP(-g)), d = dy[i], u = up[i];
        dup[i] = d * g * s;
        dgate[i] = d * u * s * (1 + g * (1 - s));
    }
}

/*
 * P = exp(S - lse), D_t = dout_t . out_t: dV = P^T dout, dS = P (dout V^T - D), dq = scale dS K, dK = scale dS^T q
 * (Dao 2023, FlashAttention-2, algorithm 2).
 */
static void attn_back_row(const attn_back_args *a, int64_t h, int64_t t, int64_t part, int64_t n_parts, real *dq) {
    const attn_args *f = &a->f;
    int64_t d = f->d, d_v = f->d_v, c = h / (f->n_head / f->n_kv_head), row = t * f->n_head + h;
    const real *q = f->q + row * d, *dout = a->dout + row * d_v;
    real delta = dot(dout, f->out + row * d_v, d_v);
    memset(dq + row * d, 0, (size_t)d * sizeof *dq);
    if (f->lse[row] == -(real)INFINITY) return; /* it sees no key */
    for (int64_t j = f->lo[t]; j < f->hi[t]; j++) {
        if (j / TNN__ATTN_BLOCK % n_parts != part) continue;
        const real *k =
            (const real *)(const void *)((const char *)f->k + (size_t)j * f->k_pos_bytes + (size_t)c * f->k_head_bytes);
        const real *v =
            (const real *)(const void *)((const char *)f->v + (size_t)j * f->v_pos_bytes + (size_t)c * f->v_head_bytes);
        real s = f->scale * dot(q, k, d) + (f->mask ? f->mask[t * f->mask_stride + j] : 0);
        real p = REAL_EXP(s - f->lse[row]);
        real ds = f->scale * p * (dot(dout, v, d_v) - delta);
        real *dk = a->dk + (j * f->n_kv_head + c) * d, *dv = a->dv + (j * f->n_kv_head + c) * d_v;
        for (int64_t i = 0; i < d_v; i++)
            dv[i] += p * dout[i];
        for (int64_t i = 0; i < d; i++) {
            dq[row * d + i] += ds * k[i];
            dk[i] += ds * q[i];
        }
    }
}

static void attn_back(const attn_back_args *a, int64_t c, int64_t part, int64_t n_parts, real *dq, void *scratch) {
    (void)scratch;
    const attn_args *f = &a->f;
    int64_t group = f->n_head / f->n_kv_head;
    for (int64_t j = 0; j < f->n_rows; j++) {
        if (j / TNN__ATTN_BLOCK % n_parts != part) continue;
        memset(a->dk + (j * f->n_kv_head + c) * f->d, 0, (size_t)f->d * sizeof *a->dk);
        memset(a->dv + (j * f->n_kv_head + c) * f->d_v, 0, (size_t)f->d_v * sizeof *a->dv);
    }
    for (int64_t t = 0; t < f->n_rows; t++)
        for (int64_t h = c * group; h < (c + 1) * group; h++)
            attn_back_row(a, h, t, part, n_parts, dq);
}

static real xent(real *logits, int64_t n, int32_t target, real weight) {
    if (target < 0) {
        memset(logits, 0, (size_t)n * sizeof *logits);
        return 0;
    }
    real max = logits[0], sum = 0, at_target = logits[target];
    for (int64_t i = 1; i < n; i++)
        if (!(logits[i] <= max)) max = logits[i];
    for (int64_t i = 0; i < n; i++) {
        logits[i] = REAL_EXP(logits[i] - max);
        sum += logits[i];
    }
    for (int64_t i = 0; i < n; i++)
        logits[i] *= weight / sum;
    logits[target] -= weight;
    return REAL_LOG(sum) + max - at_target;
}
