/*
 * What the float products with 512 bits share: packing, and the cutting of rows, columns and K. As gemm_f32_avx2.c,
 * with a tile of 32 rows by 12 columns in 24 of the 32 registers. A word is what one lane of a packed panel holds: an
 * F32 weight, or a pair of BF16 ones.
 */
#ifndef TNN_CPU_X86_GEMM_AVX512_H
#define TNN_CPU_X86_GEMM_AVX512_H

#define TNN__WIDE 1
#include "cpu/kernels.h"
#include "cpu/x86/vec_f32.h"

enum {
    MR = 2 * LANES, /* rows of a tile */
    NR = 12,        /* columns of a tile */
    KC = 256,       /* words of the longest block of K: a panel is 32 KiB */
    MC = 128,       /* rows packed at a time: 128 KiB, of L2 */
};

/* n words cut into equal blocks of at most KC. */
TNN__INLINE int64_t block_words(int64_t n) {
    int64_t n_blocks = (n + KC - 1) / KC;
    return n_blocks == 0 ? 8 : ((n + n_blocks - 1) / n_blocks + 7) / 8 * 8;
}

TNN__INLINE int64_t panel_rows(int64_t rows) {
    return rows < MC ? (rows + MR - 1) / MR * MR : MC;
}

/*
 * panel[k][0..MR) = the words of rows [0, rows) at k, zero from `rows` on. A row has `elems` elements of `type` from w
 * on; with pairs, an odd last one is followed by zero.
 */
TNN__INLINE void pack_panel(tnn_type type, bool pairs, const char *w, size_t row_bytes, int64_t rows, int64_t elems,
                            float *panel) {
    int64_t per_word = pairs ? 2 : 1, words = (elems + per_word - 1) / per_word;
    size_t word_bytes = pairs ? 4 : elem_bytes(type);
    for (int64_t i0 = 0; i0 < MR; i0 += 8) {
        for (int64_t k = 0; k < words; k += 8) {
            int64_t left = elems - k * per_word;
            __m256 v[8];
            for (int64_t i = 0; i < 8; i++) {
                const char *p = w + (size_t)(i0 + i) * row_bytes + (size_t)k * word_bytes;
                if (i0 + i >= rows)
                    v[i] = _mm256_setzero_ps();
                else if (pairs && left < 16) {
                    uint16_t tail[16] = {0};
                    memcpy(tail, p, (size_t)left * sizeof *tail);
                    v[i] = load8(TNN_TYPE_F32, tail);
                } else if (pairs)
                    v[i] = load8(TNN_TYPE_F32, p);
                else
                    v[i] = left >= 8 ? load8(type, p) : load_tail(type, p, left);
            }
            transpose8(v);
            for (int64_t i = 0; i < 8 && k + i < words; i++)
                _mm256_storeu_ps(panel + (k + i) * MR + i0, v[i]);
        }
    }
}

/* y[0..rows) of a tile's column: sum (and bias) on the first block of K, added to what is there on the others. */
TNN__INLINE void store_sum(vf sum, bool first, const float *bias, float *y, int64_t rows) {
    vm m = vm_first(rows);
    if (!first)
        sum = vf_add(vf_load_some(y, m), sum);
    else if (bias)
        sum = vf_add(sum, vf_load_some(bias, m));
    vf_store_some(y, m, sum);
}

/* Columns of the next tile when `left` are left: even halves rather than a full tile and a sliver. */
TNN__INLINE int tile_columns(int64_t left) {
    return (int)(left >= 2 * NR ? NR : left <= NR ? left : (left + 1) / 2);
}

/* The kernels for 1 to NR columns. */
#define TILES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)

#endif
