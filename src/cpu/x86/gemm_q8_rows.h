/*
 * Row products for few columns, straight from the blocks. Part of gemm_q8.h.
 *
 * The vectors of a chunk of 256 weights run along the row; each group's products become floats in eight lanes, scaled
 * and added to the sums of the row. Several rows go side by side, interleaved group by group: that keeps the processor
 * busy, and as the rows come from different parts of the task, memory is read in several long streams, which gives more
 * than one. A row's own sums are added in the same order however many go along.
 */
#ifndef TNN_CPU_X86_GEMM_Q8_ROWS_H
#define TNN_CPU_X86_GEMM_Q8_ROWS_H

#include "cpu/x86/unpack_q8.h"

enum { MAX_ROWS = 4 };

KERNEL int rows_side_by_side(int nc) {
    return nc == 1 ? MAX_ROWS : 2;
}

/* The activations of one column from one chunk on; q of paired types in the order of pair_activations. */
typedef struct row_act {
    const int8_t *q;
    const int16_t *sum16;
    const float *d, *s;
} row_act;

/* Eight floats, of rows r and columns c: stored because loads can broadcast for free. */
typedef struct factors {
    _Alignas(32) float of[MAX_ROWS][FEW_COLUMNS][8];
} factors;

/* Running sums of rows and columns, in two chains each. */
typedef struct row_sums {
    __m256 x[MAX_ROWS][FEW_COLUMNS][2];
} row_sums;

/* Whether the products of a type leave something to add per group, besides the codes times the activations. */
KERNEL bool has_row_min(tnn_type type) {
    return TNN__VNNI ? has_min(type) || code_offset(type) != 0 : !has_signed_codes(type);
}

/* Whether products stay in 16 bits for a while. */
KERNEL bool has_dots16(tnn_type type) {
    return !TNN__VNNI && !has_signed_codes(type);
}

/* Adds neighbours: pairs of 16-bit sums of a in the even 32-bit elements, of b in the odd ones. */
KERNEL __m256i add_neighbours(__m256i a, __m256i b) {
    return _mm256_add_epi16(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
}

KERNEL __m256 widen_dots(__m256i dots16) {
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(dots16, _mm256_set1_epi16(1)));
}

/* Products of 32 codes and their activations, eight sums in 32 bits. */
KERNEL __m256i code_dots(tnn_type type, __m256i codes, const int8_t *q) {
    if (!has_signed_codes(type)) return dot32(codes, load256(q));
#if TNN__VNNI
    return dot32(_mm256_xor_si256(codes, _mm256_set1_epi8((char)0x80)), load256(q));
#else
    return dot32(_mm256_abs_epi8(codes), _mm256_sign_epi8(load256(q), codes));
#endif
}

KERNEL void add_floats(row_sums *sums, int r, int c, int chain, __m256 dots, __m256 factor) {
    sums->x[r][c][chain] = _mm256_fmadd_ps(dots, factor, sums->x[r][c][chain]);
}

/* Group g of types with 32-bit products. */
KERNEL void add_group(tnn_type type, int nr, int nc, const uint8_t *const chunk[], const row_act a[], int g,
                      const factors *f, row_sums *sums) {
    UNROLL for (int r = 0; r < nr; r++) {
        __m256i codes = group_codes(type, chunk[r], g);
        UNROLL for (int c = 0; c < nc; c++) {
            __m256 dots = _mm256_cvtepi32_ps(code_dots(type, codes, a[c].q + 32 * g));
            add_floats(sums, r, c, g % 2, dots, _mm256_set1_ps(f->of[r][c][g]));
        }
    }
}

/* Groups 2i and 2i + 1 of types with 16-bit products. */
KERNEL void add_two_groups(tnn_type type, int nr, int nc, const uint8_t *const chunk[], const row_act a[], int i,
                           const factors *f, row_sums *sums) {
    UNROLL for (int r = 0; r < nr; r++) {
        __m256i even = group_codes(type, chunk[r], 2 * i), odd = group_codes(type, chunk[r], 2 * i + 1);
        UNROLL for (int c = 0; c < nc; c++) {
            const int8_t *q = a[c].q + 64 * i;
            __m256i dots =
                add_neighbours(_mm256_maddubs_epi16(even, load256(q)), _mm256_maddubs_epi16(odd, load256(q + 32)));
            __m256 factor = _mm256_castpd_ps(_mm256_broadcast_sd((const double *)(f->of[r][c] + 2 * i)));
            add_floats(sums, r, c, i % 2, widen_dots(dots), factor);
        }
    }
}

/* Groups i and i + 4 of one row and column of a paired type: one in either half of a vector. */
KERNEL __m256i pair_dots16(const __m256i codes[2], const int8_t *q) {
    return _mm256_add_epi16(_mm256_maddubs_epi16(codes[0], load256(q)),
                            _mm256_maddubs_epi16(codes[1], load256(q + 32)));
}

/* Groups 2i, 2i + 1, 2i + 4, 2i + 5 of paired types, those below n; of the others the activations are zero. */
KERNEL void add_two_pairs(tnn_type type, int nr, int nc, const uint8_t *const chunk[], const row_act a[], int i, int n,
                          const factors *f, row_sums *sums) {
    UNROLL for (int r = 0; r < nr; r++) {
        __m256i codes[2][2];
        UNROLL for (int j = 0; j < 2; j++) {
            int low = 2 * i + j < n ? 2 * i + j : 2 * i, high = low + 4 < n ? low + 4 : low;
            paired_codes(type, chunk[r], low, high, codes[j]);
        }
        UNROLL for (int c = 0; c < nc; c++) {
            const int8_t *q = a[c].q + 128 * i;
            __m256 factor = _mm256_load_ps(f->of[r][c]);
            if (has_dots16(type)) {
                __m256i dots = add_neighbours(pair_dots16(codes[0], q), pair_dots16(codes[1], q + 64));
                factor = i ? _mm256_permute_ps(factor, 0xee) : _mm256_permute_ps(factor, 0x44);
                add_floats(sums, r, c, i % 2, widen_dots(dots), factor);
                continue;
            }
            UNROLL for (int j = 0; j < 2; j++) {
                __m256i dots = _mm256_add_epi32(code_dots(type, codes[j][0], q + 64 * j),
                                                code_dots(type, codes[j][1], q + 64 * j + 32));
                __m256 one = i   ? j ? _mm256_permute_ps(factor, 0xff) : _mm256_permute_ps(factor, 0xaa)
                               : j ? _mm256_permute_ps(factor, 0x55)
                                 : _mm256_permute_ps(factor, 0x00);
                add_floats(sums, r, c, j, _mm256_cvtepi32_ps(dots), one);
            }
        }
    }
}

KERNEL __m256 load_first(const float *p, int n) {
    return n == 8 ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first_lanes8(n));
}

/* n groups: 8, or what a row ends in. */
KERNEL void add_chunk(tnn_type type, int nr, int nc, const uint8_t *const chunk[], const row_act a[], int n,
                      row_sums *sums) {
    factors f;
    UNROLL for (int r = 0; r < nr; r++) {
        __m256 scale, min;
        group_scales(type, chunk[r], n, &scale, &min);
        UNROLL for (int c = 0; c < nc; c++) {
            _mm256_store_ps(f.of[r][c], _mm256_mul_ps(scale, load_first(a[c].d, n)));
            if (has_row_min(type)) add_floats(sums, r, c, 1, min, load_first(a[c].s, n));
        }
    }
    IN_MEMORY(f);
    if (has_paired_codes(type)) {
        UNROLL for (int i = 0; i < 2; i++) {
            if (2 * i < n) add_two_pairs(type, nr, nc, chunk, a, i, n, &f, sums);
        }
    } else if (has_dots16(type)) {
        UNROLL for (int i = 0; i < 4; i++) add_two_groups(type, nr, nc, chunk, a, i, &f, sums);
    } else {
        UNROLL for (int g = 0; g < 8; g++) {
            if (g < n) add_group(type, nr, nc, chunk, a, g, &f, sums);
        }
    }
}

/* A super-block of a type with scales per 16: these are applied to the 16-bit sums. */
KERNEL void add_half_group_chunk(tnn_type type, int nr, int nc, const uint8_t *const chunk[], const row_act a[],
                                 row_sums *sums) {
    factors f;
    __m256i scales[MAX_ROWS];
    /* Scales of the first halves of all groups to the low lane, of the second halves to the high one. */
    __m256i evens_odds = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5, 8, 9, 12,
                                          13, 2, 3, 6, 7, 10, 11, 14, 15);
    UNROLL for (int r = 0; r < nr; r++) {
        half_scales s = half_group_scales(type, chunk[r]);
        scales[r] = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(s.scale, evens_odds), 0xd8);
        UNROLL for (int c = 0; c < nc; c++) {
            __m256 d = _mm256_loadu_ps(a[c].d), factor = _mm256_mul_ps(d, _mm256_set1_ps(s.d));
            __m256i corrections = _mm256_madd_epi16(s.correction, load256(a[c].sum16));
            __m256 correction_scale = has_min(type) ? _mm256_mul_ps(d, _mm256_set1_ps(s.correction_scale)) : factor;
            add_floats(sums, r, c, 1, _mm256_cvtepi32_ps(corrections), correction_scale);
            _mm256_store_ps(f.of[r][c], factor);
        }
    }
    IN_MEMORY(f);
    UNROLL for (int g = 0; g < 8; g++) UNROLL for (int r = 0; r < nr; r++) {
        __m256i codes = group_codes(type, chunk[r], g);
        __m256i scale = _mm256_shuffle_epi8(scales[r], _mm256_set1_epi16((short)(2 * g + 256 * (2 * g + 1))));
        UNROLL for (int c = 0; c < nc; c++) {
            __m256i dots = _mm256_madd_epi16(_mm256_maddubs_epi16(codes, load256(a[c].q + 32 * g)), scale);
            add_floats(sums, r, c, g % 2, _mm256_cvtepi32_ps(dots), _mm256_set1_ps(f.of[r][c][g]));
        }
    }
}

/* Rows i, i + apart, ...: nr of them. */
KERNEL void multiply_row_group(tnn_type type, int nr, int nc, const tnn__gemm_args *a, const row_act act[], int64_t i,
                               int64_t apart) {
    int64_t n_in = a->n_in, whole = n_in / 256 * 256;
    size_t step = (size_t)(256 / block_elems(type)) * block_bytes(type);
    const uint8_t *row[MAX_ROWS];
    row_act x[FEW_COLUMNS];
    row_sums sums;
    UNROLL for (int r = 0; r < nr; r++) {
        row[r] = (const uint8_t *)a->w + (size_t)(i + r * apart) * a->row_bytes;
        UNROLL for (int c = 0; c < nc; c++) sums.x[r][c][0] = sums.x[r][c][1] = _mm256_setzero_ps();
    }
    UNROLL for (int c = 0; c < nc; c++) x[c] = act[c];
    for (int64_t k = 0; k < whole; k += 256) {
        if (has_half_groups(type))
            add_half_group_chunk(type, nr, nc, row, x, &sums);
        else
            add_chunk(type, nr, nc, row, x, 8, &sums);
        UNROLL for (int r = 0; r < nr; r++) row[r] += step;
        UNROLL for (int c = 0; c < nc; c++) x[c] = (row_act){x[c].q + 256, x[c].sum16 + 16, x[c].d + 8, x[c].s + 8};
    }
    if (block_elems(type) == TNN__QK && whole < n_in) add_chunk(type, nr, nc, row, x, (int)(n_in - whole) / 32, &sums);
    UNROLL for (int r = 0; r < nr; r++) UNROLL for (int c = 0; c < nc; c++) {
        float y = sum_lanes(_mm256_add_ps(sums.x[r][c][0], sums.x[r][c][1]));
        int64_t at = i + r * apart;
        a->y[c * a->y_stride + at] = a->bias ? y + a->bias[at] : y;
    }
}

/* Activations of a chunk of paired types: of groups i and i + 4 the first halves, then the second ones. */
static void pair_activations(const int8_t *q, int n, int8_t *paired) {
    __m128i zero = _mm_setzero_si128();
    for (int i = 0; i < 4; i++)
        for (int half = 0; half < 2; half++) {
            const int8_t *from = q + 32 * i + 16 * half;
            __m128i low = i < n ? load128(from) : zero, high = i + 4 < n ? load128(from + 128) : zero;
            _mm256_store_si256((__m256i *)(paired + 64 * i + 32 * half), _mm256_set_m128i(high, low));
        }
}

/* n_in up to whole chunks. */
KERNEL int64_t padded(int64_t n_in) {
    return (n_in + 255) / 256 * 256;
}

/* Scratch: of paired types, the activations of each column in their order. */
KERNEL size_t rows_scratch_bytes(tnn_type type, int64_t n_in, int64_t n_cols) {
    return has_paired_codes(type) ? (size_t)(padded(n_in) * n_cols) : 0;
}

KERNEL void multiply_rows(tnn_type type, int nc, const tnn__gemm_args *a, int64_t row0, int64_t row1, int8_t *paired) {
    int64_t n_in = a->n_in;
    row_act x[FEW_COLUMNS];
    for (int c = 0; c < nc; c++) {
        x[c] = (row_act){a->act.q + c * n_in, a->act.sum16 + c * n_in / 16, a->act.d + c * n_in / 32,
                         a->act.s + c * n_in / 32};
        if (!has_paired_codes(type)) continue;
        for (int64_t k = 0; k < n_in; k += 256)
            pair_activations(x[c].q + k, (int)min_i64(8, (n_in - k) / 32), paired + c * padded(n_in) + k);
        x[c].q = paired + c * padded(n_in);
    }
    int nr = rows_side_by_side(nc);
    int64_t part = (row1 - row0) / nr;
    for (int64_t i = 0; i < part; i++)
        multiply_row_group(type, nr, nc, a, x, row0 + i, part);
    for (int64_t i = row0 + nr * part; i < row1; i++)
        multiply_row_group(type, 1, nc, a, x, i, 0);
}

#endif
