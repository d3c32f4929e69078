/*
 * Products of training in BF16 with the dot product of BF16 pairs, which run along what is summed: elements of a row
 * forward, rows of W for the gradient of the input, tokens for that of the weights. Weights are dequantised and rounded
 * while they are packed.
 */
#include "cpu/x86/gemm_avx512bf16.h"

#include "cpu/x86/init.h"

/* Elements of n floats as BF16; both may be read and written up to the next multiple of 16. */
static void round_row(const float *from, int64_t n, uint16_t *to) {
    for (int64_t i = 0; i < n; i += LANES) {
        __m256i h = (__m256i)_mm512_cvtneps_pbh(vf_load(from + i));
        memcpy(to + i, &h, sizeof h);
    }
}

/* n elements of n_rows rows, `stride` apart, as kc = (n + 1) / 2 pairs each; an odd last one is followed by zero. */
static void copy_pairs(const uint16_t *x, int64_t stride, int64_t n, int64_t n_rows, int32_t *pairs) {
    int64_t kc = (n + 1) / 2;
    for (int64_t t = 0; t < n_rows; t++) {
        pairs[t * kc + kc - 1] = 0;
        memcpy(pairs + t * kc, x + t * stride, (size_t)n * sizeof *x);
    }
}

/* words[k] = (low[k], high[k]) for n elements, a multiple of 16; no high: zeros. */
static void interleave(const uint16_t *low, const uint16_t *high, int64_t n, float *words, int64_t panel_stride) {
    for (int64_t k = 0; k < n; k += LANES) {
        __m256i l, h = _mm256_setzero_si256();
        memcpy(&l, low + k, sizeof l);
        if (high) memcpy(&h, high + k, sizeof h);
        __m512i pair = _mm512_or_si512(_mm512_cvtepu16_epi32(l), _mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
        _mm512_storeu_si512(words + k / MR * panel_stride + k % MR, pair);
    }
}

/* --- y = W x --- */

static void gemm(const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    float *panels = scratch, *unpacked = panels + MC * KC;
    uint16_t *rounded = (uint16_t *)(unpacked + 2 * KC);
    int32_t *x = (int32_t *)(rounded + MR * 2 * KC);
    for (int64_t k0 = 0; k0 < a->n_in; k0 += 2 * KC) {
        int64_t elems = a->n_in - k0 < 2 * KC ? a->n_in - k0 : 2 * KC, kc = (elems + 1) / 2;
        copy_pairs(a->x16 + k0, a->x_stride, elems, a->n_cols, x);
        for (int64_t row = row0; row < row1; row += MC) {
            int64_t rows = row1 - row < MC ? row1 - row : MC;
            const char *w = (const char *)a->w + (size_t)row * a->row_bytes + tnn_row_bytes((int32_t)a->type, k0);
            for (int64_t i = 0; i < rows; i += MR) {
                for (int64_t r = i; r < rows && r < i + MR; r++) {
                    tnn__to_f32_avx2[a->type](w + (size_t)r * a->row_bytes, unpacked, elems);
                    round_row(unpacked, elems, rounded + (r - i) * 2 * KC);
                }
                pack_panel(TNN_TYPE_BF16, true, (const char *)rounded, 2 * KC * sizeof *rounded, rows - i, elems,
                           panels + i * kc);
            }
            panels_by_columns(panels, rows, kc, x, a->n_cols, k0 == 0, a->bias ? a->bias + row : NULL, a->y + row,
                              a->y_stride);
        }
    }
}

static size_t gemm_scratch(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_in, (void)rows;
    return (size_t)((MC + 2 + MR + n_cols) * KC) * sizeof(float);
}

/* --- dx = W^T dy: panels of 32 elements along k, a pair of rows of W after the other --- */

static int64_t padded(int64_t n) {
    return (n + MR - 1) / MR * MR;
}

static void gemm_dx(const tnn__gemm_dx_args *a, int64_t k0, int64_t k1, void *scratch) {
    int64_t n_k = k1 - k0, width = padded(n_k);
    float *panels = scratch, *unpacked = panels + width * KC;
    uint16_t *rounded = (uint16_t *)(unpacked + width);
    int32_t *dy = (int32_t *)(rounded + 2 * width);
    for (int64_t k = n_k; k < width; k++)
        unpacked[k] = 0.0f;
    for (int64_t i0 = 0; i0 < a->n_out; i0 += 2 * KC) {
        int64_t rows = a->n_out - i0 < 2 * KC ? a->n_out - i0 : 2 * KC, kc = (rows + 1) / 2;
        const char *w = (const char *)a->w + (size_t)i0 * a->row_bytes + tnn_row_bytes((int32_t)a->type, k0);
        for (int64_t i = 0; i < rows; i++) {
            tnn__to_f32_avx2[a->type](w + (size_t)i * a->row_bytes, unpacked, n_k);
            round_row(unpacked, width, rounded + i % 2 * width);
            if (i % 2 == 1 || i == rows - 1)
                interleave(rounded, i % 2 == 1 ? rounded + width : NULL, width, panels + i / 2 * MR, kc * MR);
        }
        copy_pairs(a->dy16 + i0, a->n_out, rows, a->n_cols, dy);
        panels_by_columns(panels, n_k, kc, dy, a->n_cols, i0 == 0, NULL, a->dx + k0, a->n_in);
    }
}

static size_t gemm_dx_scratch(int64_t n_in, int64_t n_cols, int64_t n_k) {
    (void)n_in;
    return (size_t)(padded(n_k) * (KC + 2) + n_cols * KC) * sizeof(float);
}

/* --- dW += dy x^T: panels of 32 elements of x along k, a pair of tokens after the other; columns are rows of dW --- */

/* pairs[i][t / 2] = (dy[t][i], dy[t + 1][i]) for n_i rows of dW; zero after an odd last token. */
static void transpose_dy(const uint16_t *dy, int64_t n_out, int64_t n_i, int64_t n_t, int32_t *pairs) {
    int64_t kc = (n_t + 1) / 2;
    for (int64_t t = 0; t < n_t; t += 2)
        for (int64_t i = 0; i < n_i; i++) {
            uint32_t low = dy[t * n_out + i], high = t + 1 < n_t ? dy[(t + 1) * n_out + i] : 0;
            pairs[i * kc + t / 2] = (int32_t)(low | high << 16);
        }
}

/* n elements of a token, with zeros up to `width`. */
static const uint16_t *fill_up(const uint16_t *x, int64_t n, int64_t width, uint16_t *to) {
    memcpy(to, x, (size_t)n * sizeof *x);
    memset(to + n, 0, (size_t)(width - n) * sizeof *to);
    return to;
}

static void gemm_dw(const tnn__gemm_dw_args *a, int64_t row0, int64_t row1, void *scratch) {
    float *panels = scratch;
    int32_t *dy = (int32_t *)(panels + MC * KC);
    uint16_t tokens[2][MC];
    for (int64_t t0 = 0; t0 < a->n_cols; t0 += 2 * KC) {
        int64_t n_t = a->n_cols - t0 < 2 * KC ? a->n_cols - t0 : 2 * KC, kc = (n_t + 1) / 2;
        transpose_dy(a->dy16 + t0 * a->n_out + row0, a->n_out, row1 - row0, n_t, dy);
        for (int64_t k0 = 0; k0 < a->n_in; k0 += MC) {
            int64_t n_k = a->n_in - k0 < MC ? a->n_in - k0 : MC, width = padded(n_k);
            const uint16_t *x = a->x16 + t0 * a->n_in + k0;
            for (int64_t t = 0; t < n_t; t += 2) {
                const uint16_t *low = fill_up(x + t * a->n_in, n_k, width, tokens[0]);
                const uint16_t *high = t + 1 < n_t ? fill_up(x + (t + 1) * a->n_in, n_k, width, tokens[1]) : NULL;
                interleave(low, high, width, panels + t / 2 * MR, kc * MR);
            }
            panels_by_columns(panels, n_k, kc, dy, row1 - row0, false, NULL, a->dw + row0 * a->n_in + k0, a->n_in);
        }
    }
}

static size_t gemm_dw_scratch(int64_t n_in, int64_t n_cols, int64_t rows) {
    (void)n_in, (void)n_cols;
    return (size_t)((MC + rows) * KC) * sizeof(float);
}

/* --- the table --- */

void tnn__kernels_init_gemm_train_avx512bf16(tnn__kernels *k) {
#define X(type)                                                                                                        \
    k->gemm_bf16[TNN_TYPE_##type] = (tnn__gemm_kernel){gemm, false, MR, gemm_scratch};                                 \
    k->gemm_dx_bf16[TNN_TYPE_##type].run = gemm_dx; /* borders as the level below has them */                          \
    k->gemm_dx_bf16[TNN_TYPE_##type].scratch_bytes = gemm_dx_scratch;
    TNN__WEIGHT_TYPES(X)
#undef X
    k->gemm_dw_bf16 = (tnn__gemm_dw_kernel){gemm_dw, MR, gemm_dw_scratch};
}
