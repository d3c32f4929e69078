/*
 * Attention with an online softmax over blocks of keys (Milakov and Gimelshein 2018, "Online normalizer calculation
 * for softmax"; Dao et al. 2022, FlashAttention, algorithm 1). The whole of a row is one part that is then joined.
 */
#include "cpu/ref/real.h"

static int64_t group_size(const attn_args *a) {
    return a->n_head / a->n_kv_head;
}

/* A part of every head of the group, one row of K or V, one block of scores. */
static size_t attn_scratch_bytes(const attn_args *a) {
    int64_t row = a->d > a->d_v ? a->d : a->d_v;
    return (size_t)(group_size(a) * (a->d_v + 2) + row + group_size(a) * TNN__ATTN_BLOCK) * sizeof(real);
}

/* Scores of the keys [j0, j1) into s (TNN__ATTN_BLOCK per head). */
static void block_scores(const attn_args *a, int64_t c, int64_t t, int64_t j0, int64_t j1, real *row, real *s) {
    int64_t g = group_size(a);
    for (int64_t j = j0; j < j1; j++) {
        load_row(a->kv_type, (const char *)a->k + (size_t)j * a->k_pos_bytes + (size_t)c * a->k_head_bytes, row, a->d);
        for (int64_t h = 0; h < g; h++) {
            real score = a->scale * dot(a->q + (t * a->n_head + c * g + h) * a->d, row, a->d);
            s[h * TNN__ATTN_BLOCK + j - j0] = a->mask ? score + a->mask[t * a->mask_stride + j] : score;
        }
    }
}

/* Scores of n keys to weights relative to the new running maximum. Returns false if every key is masked out. */
static bool block_softmax(real *s, int64_t n, real *sum_v, int64_t d_v, real *max, real *sum) {
    real m = *max;
    for (int64_t j = 0; j < n; j++)
        if (!(s[j] <= m)) m = s[j]; /* a NaN gets through, and then shows in the result */
    if (m == -(real)INFINITY) return false;
    real rescale = REAL_EXP(*max - m);
    real block_sum = 0;
    for (int64_t j = 0; j < n; j++) {
        s[j] = REAL_EXP(s[j] - m);
        block_sum += s[j];
    }
    for (int64_t i = 0; i < d_v; i++)
        sum_v[i] *= rescale;
    *sum = *sum * rescale + block_sum;
    *max = m;
    return true;
}

static void attn_part(const attn_args *a, int64_t c, int64_t t, int64_t j0, int64_t j1, real *part, void *scratch) {
    int64_t g = group_size(a), d_v = a->d_v, part_size = d_v + 2;
    real *row = scratch;
    real *s = row + (a->d > d_v ? a->d : d_v);
    for (int64_t h = 0; h < g; h++) {
        for (int64_t i = 0; i < part_size; i++)
            part[h * part_size + i] = 0;
        part[h * part_size + d_v] = -(real)INFINITY;
    }
    if (j0 < a->lo[t]) j0 = a->lo[t];
    if (j1 > a->hi[t]) j1 = a->hi[t];
    for (int64_t b0 = j0, b1; b0 < j1; b0 = b1) {
        b1 = (b0 / TNN__ATTN_BLOCK + 1) * TNN__ATTN_BLOCK;
        if (b1 > j1) b1 = j1;
        block_scores(a, c, t, b0, b1, row, s);
        for (int64_t h = 0; h < g; h++) {
            real *p = part + h * part_size, *weights = s + h * TNN__ATTN_BLOCK;
            if (!block_softmax(weights, b1 - b0, p, d_v, p + d_v, p + d_v + 1))
                for (int64_t j = 0; j < b1 - b0; j++)
                    weights[j] = 0;
        }
        for (int64_t j = b0; j < b1; j++) {
            load_row(a->kv_type, (const char *)a->v + (size_t)j * a->v_pos_bytes + (size_t)c * a->v_head_bytes, row,
                     d_v);
            for (int64_t h = 0; h < g; h++)
                for (int64_t i = 0; i < d_v; i++)
                    part[h * part_size + i] += s[h * TNN__ATTN_BLOCK + j - b0] * row[i];
        }
    }
}

static void attn_join(const attn_args *a, int64_t c, int64_t t, const real *parts, int64_t n_parts,
                      int64_t part_stride) {
    int64_t g = group_size(a), d_v = a->d_v;
    for (int64_t h = 0; h < g; h++) {
        const real *head = parts + h * (d_v + 2);
        int64_t row = t * a->n_head + c * g + h;
        real *out = a->out + row * d_v;
        real max = -(real)INFINITY, sum = 0;
        for (int64_t p = 0; p < n_parts; p++)
            if (!(head[p * part_stride + d_v] <= max)) max = head[p * part_stride + d_v];
        for (int64_t i = 0; i < d_v; i++)
            out[i] = 0;
        for (int64_t p = 0; p < n_parts; p++) {
            const real *part = head + p * part_stride;
            if (part[d_v] == -(real)INFINITY) continue;
            real rescale = REAL_EXP(part[d_v] - max);
            sum += rescale * part[d_v + 1];
            for (int64_t i = 0; i < d_v; i++)
                out[i] += rescale * part[i];
        }
        if (max != -(real)INFINITY)
            for (int64_t i = 0; i < d_v; i++)
                out[i] /= sum;
        if (a->lse) a->lse[row] = max == -(real)INFINITY ? max : max + REAL_LOG(sum);
    }
}

static void attn(const attn_args *a, int64_t c, int64_t t0, int64_t t1, void *scratch) {
    int64_t part_size = group_size(a) * (a->d_v + 2);
    real *part = scratch;
    for (int64_t t = t0; t < t1; t++) {
        attn_part(a, c, t, 0, a->hi[t], part, part + part_size);
        attn_join(a, c, t, part, 1, part_size);
    }
}
