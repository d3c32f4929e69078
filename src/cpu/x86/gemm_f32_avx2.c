/*
 * Matrix product with F32 activations and F32, F16 or BF16 weights.
 *
 * Many columns: after BLIS (Van Zee and van de Geijn 2015). K is cut into blocks; a block of W is packed into panels of
 * 16 rows, k fastest but one, that stay in L2; a tile of 16 rows by 6 columns lives in 12 registers. x is read in
 * place. Each tile sums its block of K from zero and then adds to y, so the order along K depends on n_in alone.
 *
 * Few columns: bound by reading W, so nothing is packed. Dot products of 4 rows by up to 3 columns, eight partial
 * sums each.
 */
#include "cpu/kernels.h"
#include "cpu/x86/float_avx2.h"
#include "cpu/x86/init.h"

enum {
    MR = 16,             /* rows of a tile */
    NR = 6,              /* columns of a tile */
    KC = 256,            /* longest block of K: a panel is 16 KiB, half of L1 */
    MC = 128,            /* rows packed at a time: 128 KiB, a quarter of L2 or less */
    DOT_COLS = 3,        /* columns of a dot product tile */
    DOT_ROWS = 4,        /* rows */
    DOT_COLS_LIMIT = 32, /* up to this many columns dot products are faster */
};

/* n_in cut into equal blocks of at most KC. */
static int64_t block_length(int64_t n_in) {
    int64_t n_blocks = (n_in + KC - 1) / KC;
    return n_blocks == 0 ? 8 : ((n_in + n_blocks - 1) / n_blocks + 7) / 8 * 8;
}

/* panel[k][0..MR) = the weights of rows [0, rows) at k, zero from `rows` on; kc elements from w on. */
TNN__INLINE void pack_panel(tnn_type type, const char *w, size_t row_bytes, int64_t rows, int64_t kc, float *panel) {
    for (int64_t i0 = 0; i0 < MR; i0 += 8) {
        for (int64_t k = 0; k < kc; k += 8) {
            __m256 v[8];
            for (int64_t i = 0; i < 8; i++) {
                const char *p = w + (size_t)(i0 + i) * row_bytes + (size_t)k * elem_bytes(type);
                if (i0 + i >= rows)
                    v[i] = _mm256_setzero_ps();
                else
                    v[i] = kc - k >= 8 ? load8(type, p) : load_tail(type, p, kc - k);
            }
            transpose8(v);
            for (int64_t i = 0; i < 8 && k + i < kc; i++)
                _mm256_store_ps(panel + (k + i) * MR + i0, v[i]);
        }
    }
}

/* y[0..rows) of a tile's column: sum (and bias) on the first block of K, added to what is there on the others. */
TNN__INLINE void store8(__m256 sum, bool first, const float *bias, float *y, int64_t rows) {
    if (rows >= 8) {
        if (!first)
            sum = _mm256_add_ps(_mm256_loadu_ps(y), sum);
        else if (bias)
            sum = _mm256_add_ps(sum, _mm256_loadu_ps(bias));
        _mm256_storeu_ps(y, sum);
        return;
    }
    __m256i mask = tail_mask(rows);
    if (!first)
        sum = _mm256_add_ps(_mm256_maskload_ps(y, mask), sum);
    else if (bias)
        sum = _mm256_add_ps(sum, _mm256_maskload_ps(bias, mask));
    _mm256_maskstore_ps(y, mask, sum);
}

/* y[j][0..rows) for n columns over one block of K. */
TNN__INLINE void tile(int n, int64_t kc, const float *panel, const float *x, int64_t x_stride, bool first,
                      const float *bias, float *y, int64_t y_stride, int64_t rows) {
    __m256 acc[NR][2];
    TNN__UNROLL
    for (int j = 0; j < n; j++)
        acc[j][0] = acc[j][1] = _mm256_setzero_ps();
    for (int64_t k = 0; k < kc; k++) {
        __m256 w0 = _mm256_load_ps(panel + k * MR), w1 = _mm256_load_ps(panel + k * MR + 8);
        TNN__UNROLL
        for (int j = 0; j < n; j++) {
            __m256 xj = _mm256_broadcast_ss(x + j * x_stride + k);
            acc[j][0] = _mm256_fmadd_ps(w0, xj, acc[j][0]);
            acc[j][1] = _mm256_fmadd_ps(w1, xj, acc[j][1]);
        }
    }
    TNN__UNROLL
    for (int j = 0; j < n; j++) {
        store8(acc[j][0], first, bias, y + j * y_stride, rows);
        if (rows > 8) store8(acc[j][1], first, bias ? bias + 8 : NULL, y + j * y_stride + 8, rows - 8);
    }
}

/* The packed rows [row, row + rows) by all columns. */
static void packed_block(const tnn__gemm_args *a, int64_t row, int64_t rows, int64_t k0, int64_t kc,
                         const float *panels) {
    const float *bias = a->bias ? a->bias + row : NULL;
    for (int64_t t = 0, n; t < a->n_cols; t += n) {
        int64_t left = a->n_cols - t;
        n = left >= 2 * NR || left <= NR ? (left < NR ? left : NR) : (left + 1) / 2;
        const float *x = a->x + t * a->x_stride + k0;
        for (int64_t i = 0; i < rows; i += MR) {
            const float *panel = panels + i * kc;
            const float *b = bias ? bias + i : NULL;
            float *y = a->y + t * a->y_stride + row + i;
#define TILE(n) tile(n, kc, panel, x, a->x_stride, k0 == 0, b, y, a->y_stride, rows - i)
            switch (n) {
            case 1:
                TILE(1);
                break;
            case 2:
                TILE(2);
                break;
            case 3:
                TILE(3);
                break;
            case 4:
                TILE(4);
                break;
            case 5:
                TILE(5);
                break;
            default:
                TILE(6);
                break;
            }
#undef TILE
        }
    }
}

TNN__INLINE void gemm_packed(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1, float *panels) {
    int64_t step = block_length(a->n_in);
    for (int64_t row = row0; row < row1; row += MC) {
        int64_t rows = row1 - row < MC ? row1 - row : MC;
        for (int64_t k0 = 0; k0 < a->n_in; k0 += step) {
            int64_t kc = a->n_in - k0 < step ? a->n_in - k0 : step;
            const char *w = (const char *)a->w + (size_t)row * a->row_bytes + (size_t)k0 * elem_bytes(type);
            for (int64_t i = 0; i < rows; i += MR)
                pack_panel(type, w + (size_t)i * a->row_bytes, a->row_bytes, rows - i, kc, panels + i * kc);
            packed_block(a, row, rows, k0, kc, panels);
        }
    }
}

/* y[j][i] for r rows from w on and n columns. */
TNN__INLINE void dot_tile(tnn_type type, int r, int n, const char *w, size_t row_bytes, int64_t n_in, const float *x,
                          int64_t x_stride, const float *bias, float *y, int64_t y_stride) {
    __m256 acc[DOT_COLS][DOT_ROWS];
    TNN__UNROLL
    for (int j = 0; j < n; j++)
        TNN__UNROLL
    for (int i = 0; i < r; i++)
        acc[j][i] = _mm256_setzero_ps();
    int64_t k = 0;
    for (; k + 8 <= n_in; k += 8) {
        __m256 xs[DOT_COLS];
        TNN__UNROLL
        for (int j = 0; j < n; j++)
            xs[j] = _mm256_loadu_ps(x + j * x_stride + k);
        TNN__UNROLL
        for (int i = 0; i < r; i++) {
            __m256 wi = load8(type, w + (size_t)i * row_bytes + (size_t)k * elem_bytes(type));
            TNN__UNROLL
            for (int j = 0; j < n; j++)
                acc[j][i] = _mm256_fmadd_ps(wi, xs[j], acc[j][i]);
        }
    }
    if (k < n_in) {
        TNN__UNROLL
        for (int i = 0; i < r; i++) {
            __m256 wi = load_tail(type, w + (size_t)i * row_bytes + (size_t)k * elem_bytes(type), n_in - k);
            TNN__UNROLL
            for (int j = 0; j < n; j++)
                acc[j][i] = _mm256_fmadd_ps(wi, load_tail(TNN_TYPE_F32, x + j * x_stride + k, n_in - k), acc[j][i]);
        }
    }
    TNN__UNROLL
    for (int j = 0; j < n; j++)
        TNN__UNROLL
    for (int i = 0; i < r; i++)
        y[j * y_stride + i] = sum8(acc[j][i]) + (bias ? bias[i] : 0.0f);
}

TNN__INLINE void gemm_dot(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1) {
    for (int64_t i = row0, r; i < row1; i += r) {
        const char *w = (const char *)a->w + (size_t)i * a->row_bytes;
        const float *bias = a->bias ? a->bias + i : NULL;
        r = row1 - i >= DOT_ROWS ? DOT_ROWS : 1;
        for (int64_t t = 0, n; t < a->n_cols; t += n) {
            const float *x = a->x + t * a->x_stride;
            float *y = a->y + t * a->y_stride + i;
            n = a->n_cols - t < DOT_COLS ? a->n_cols - t : DOT_COLS;
#define DOT_TILE(r, n) dot_tile(type, r, n, w, a->row_bytes, a->n_in, x, a->x_stride, bias, y, a->y_stride)
            if (r == 1) {
                if (n == 1)
                    DOT_TILE(1, 1);
                else if (n == 2)
                    DOT_TILE(1, 2);
                else
                    DOT_TILE(1, 3);
            } else {
                if (n == 1)
                    DOT_TILE(DOT_ROWS, 1);
                else if (n == 2)
                    DOT_TILE(DOT_ROWS, 2);
                else
                    DOT_TILE(DOT_ROWS, 3);
            }
#undef DOT_TILE
        }
    }
}

TNN__INLINE void gemm(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    if (a->n_cols <= DOT_COLS_LIMIT)
        gemm_dot(type, a, row0, row1);
    else
        gemm_packed(type, a, row0, row1, scratch);
}

static size_t scratch_bytes(int64_t n_in, int64_t n_cols, int64_t rows) {
    if (n_cols <= DOT_COLS_LIMIT) return 0;
    int64_t packed = rows < MC ? (rows + MR - 1) / MR * MR : MC;
    return (size_t)(packed * block_length(n_in)) * sizeof(float);
}

static void gemm_f32(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    gemm(TNN_TYPE_F32, a, row0, row1, scratch);
}
static void gemm_f16(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    gemm(TNN_TYPE_F16, a, row0, row1, scratch);
}
static void gemm_bf16(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    gemm(TNN_TYPE_BF16, a, row0, row1, scratch);
}

void tnn__kernels_init_gemm_avx2(tnn__kernels *k) {
    k->gemm[TNN_TYPE_F32] = (tnn__gemm_kernel){gemm_f32, false, MR, scratch_bytes};
    k->gemm[TNN_TYPE_F16] = (tnn__gemm_kernel){gemm_f16, false, MR, scratch_bytes};
    k->gemm[TNN_TYPE_BF16] = (tnn__gemm_kernel){gemm_bf16, false, MR, scratch_bytes};
}
