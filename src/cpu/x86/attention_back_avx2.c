/*
 * Gradient of attention (Dao 2023, FlashAttention-2, algorithm 2): blocks of 64 keys by blocks of 64 rows, five
 * products of the tile of gemm_tile_avx2.h for each pair, so that no T x T matrix exists.
 */
#include "cpu/kernels.h"
#include "cpu/x86/gemm_tile_avx2.h"
#include "cpu/x86/init.h"

enum { B = 64 }; /* keys, and rows, of a block */

typedef struct workspace {
    float *s, *dp;             /* [rows][keys]: scores then weights; their gradients */
    float *p_t, *ds_t;         /* [keys][rows] */
    float *k, *v;              /* panels of keys, along d */
    float *k_cols;             /* panels of elements of K, along keys */
    float *q_cols, *dout_cols; /* panels of elements, along rows */
} workspace;

static int64_t padded(int64_t n) {
    return (n + MR - 1) / MR * MR;
}

static size_t scratch_bytes(const tnn__attn_back_args *a) {
    int64_t d = padded(a->f.d), d_v = padded(a->f.d_v);
    return sizeof(float) * (size_t)(4 * B * B + B * (3 * d + 2 * d_v));
}

static workspace carve(const tnn__attn_back_args *a, float *p) {
    int64_t d = padded(a->f.d), d_v = padded(a->f.d_v);
    workspace w = {.s = p, .dp = p + B * B, .p_t = p + 2 * B * B, .ds_t = p + 3 * B * B};
    p += 4 * B * B;
    w.k = p;
    w.k_cols = p + B * d;
    w.q_cols = p + 2 * B * d;
    w.v = p + 3 * B * d;
    w.dout_cols = w.v + B * d_v;
    return w;
}

/* [n][B] to [m][B]. */
static void transpose(const float *from, int64_t n, int64_t m, float *to) {
    for (int64_t i = 0; i < n; i += 8)
        for (int64_t j = 0; j < m; j += 8) {
            __m256 v[8];
            for (int r = 0; r < 8; r++)
                v[r] = _mm256_load_ps(from + (i + r) * B + j);
            transpose8(v);
            for (int r = 0; r < 8; r++)
                _mm256_store_ps(to + (j + r) * B + i, v[r]);
        }
}

static float dot(const float *a, const float *b, int64_t n) {
    __m256 sum = _mm256_setzero_ps();
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        sum = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), sum);
    __m256i mask = tail_mask(n - i);
    sum = _mm256_fmadd_ps(_mm256_maskload_ps(a + i, mask), _mm256_maskload_ps(b + i, mask), sum);
    return sum8(sum);
}

/*
 * One row of a pair of blocks: scores to weights p = exp(scale s + mask - lse), dp to ds = scale p (dp - delta); keys
 * outside [lo, hi) of the row, and those that fill up the block, get zeros.
 */
static void row_gradients(const tnn__attn_back_args *a, int64_t h, int64_t t, int64_t j0, float *s, float *dp) {
    const tnn__attn_args *f = &a->f;
    int64_t row = t * f->n_head + h, lo = f->lo[t] - j0, hi = f->hi[t] - j0;
    float delta = dot(a->dout + row * f->d_v, f->out + row * f->d_v, f->d_v);
    const __m256 scale = _mm256_set1_ps(f->scale), lse = _mm256_set1_ps(f->lse[row]), delta8 = _mm256_set1_ps(delta);
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (int64_t j = 0; j < B; j += 8) {
        __m256i index = _mm256_add_epi32(lane, _mm256_set1_epi32((int)j));
        __m256i inside = _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)(lo < 0 ? 0 : lo)), index),
                                             _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(hi > B ? B : hi)), index));
        __m256 score = _mm256_fmsub_ps(_mm256_load_ps(s + j), scale, lse);
        if (f->mask) score = _mm256_add_ps(score, _mm256_maskload_ps(f->mask + t * f->mask_stride + j0 + j, inside));
        __m256 p = _mm256_and_ps(exp8(score), _mm256_castsi256_ps(inside));
        __m256 ds = _mm256_mul_ps(_mm256_mul_ps(p, scale), _mm256_sub_ps(_mm256_load_ps(dp + j), delta8));
        _mm256_store_ps(s + j, p);
        _mm256_store_ps(dp + j, _mm256_and_ps(ds, _mm256_castsi256_ps(inside)));
    }
}

/* Keys [j0, j0 + nj) and rows [t0, t0 + nt), a pair that some row sees. */
static void pair(const tnn__attn_back_args *a, const workspace *w, int64_t h, int64_t j0, int64_t nj, int64_t t0,
                 int64_t nt, float *dk, float *dv) {
    const tnn__attn_args *f = &a->f;
    int64_t q_stride = f->n_head * f->d, o_stride = f->n_head * f->d_v;
    const float *q = f->q + (t0 * f->n_head + h) * f->d, *dout = a->dout + (t0 * f->n_head + h) * f->d_v;
    float *dq = a->dq + (t0 * f->n_head + h) * f->d;
    panels_by_columns(w->k, padded(nj), f->d, q, q_stride, nt, true, NULL, w->s, B);
    panels_by_columns(w->v, padded(nj), f->d_v, dout, o_stride, nt, true, NULL, w->dp, B);
    for (int64_t t = 0; t < nt; t++)
        row_gradients(a, h, t0 + t, j0, w->s + t * B, w->dp + t * B);
    panels_by_columns(w->k_cols, f->d, nj, w->dp, B, nt, false, NULL, dq, q_stride);
    transpose(w->s, (nt + 7) / 8 * 8, (nj + 7) / 8 * 8, w->p_t);
    transpose(w->dp, (nt + 7) / 8 * 8, (nj + 7) / 8 * 8, w->ds_t);
    pack_transposed(TNN_TYPE_F32, q, q_stride, f->d, nt, w->q_cols);
    pack_transposed(TNN_TYPE_F32, dout, o_stride, f->d_v, nt, w->dout_cols);
    panels_by_columns(w->q_cols, f->d, nt, w->ds_t, B, nj, false, NULL, dk + j0 * f->d, f->d);
    panels_by_columns(w->dout_cols, f->d_v, nt, w->p_t, B, nj, false, NULL, dv + j0 * f->d_v, f->d_v);
}

static bool any_row_sees(const tnn__attn_args *f, int64_t t0, int64_t nt, int64_t j0, int64_t nj) {
    for (int64_t t = t0; t < t0 + nt; t++)
        if (f->lo[t] < j0 + nj && f->hi[t] > j0) return true;
    return false;
}

static void attn_back(const tnn__attn_back_args *a, int64_t h, float *dk, float *dv, void *scratch) {
    const tnn__attn_args *f = &a->f;
    workspace w = carve(a, scratch);
    int64_t c = h / (f->n_head / f->n_kv_head), n = f->n_rows;
    memset(scratch, 0, scratch_bytes(a)); /* rows and keys that fill up a block are finite */
    memset(dk, 0, (size_t)(n * f->d) * sizeof *dk);
    memset(dv, 0, (size_t)(n * f->d_v) * sizeof *dv);
    for (int64_t t = 0; t < n; t++)
        memset(a->dq + (t * f->n_head + h) * f->d, 0, (size_t)f->d * sizeof *a->dq);
    for (int64_t j0 = 0; j0 < n; j0 += B) {
        int64_t nj = n - j0 < B ? n - j0 : B;
        const char *k = (const char *)f->k + (size_t)j0 * f->k_pos_bytes + (size_t)c * f->k_head_bytes;
        const char *v = (const char *)f->v + (size_t)j0 * f->v_pos_bytes + (size_t)c * f->v_head_bytes;
        for (int64_t j = 0; j < nj; j += MR) {
            pack_panel(TNN_TYPE_F32, k + (size_t)j * f->k_pos_bytes, f->k_pos_bytes, nj - j, f->d, w.k + j * f->d);
            pack_panel(TNN_TYPE_F32, v + (size_t)j * f->v_pos_bytes, f->v_pos_bytes, nj - j, f->d_v, w.v + j * f->d_v);
        }
        pack_transposed(TNN_TYPE_F32, k, (int64_t)(f->k_pos_bytes / sizeof(float)), f->d, nj, w.k_cols);
        for (int64_t t0 = 0; t0 < n; t0 += B) {
            int64_t nt = n - t0 < B ? n - t0 : B;
            if (any_row_sees(f, t0, nt, j0, nj)) pair(a, &w, h, j0, nj, t0, nt, dk, dv);
        }
    }
}

void tnn__kernels_init_attention_back_avx2(tnn__kernels *k) {
    k->attn_back = attn_back;
    k->attn_back_scratch_bytes = scratch_bytes;
}
