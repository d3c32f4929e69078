/* Row products for few columns, straight from the blocks. Part of gemm_q8.h. */
#ifndef TNN_CPU_X86_GEMM_Q8_ROWS_H
#define TNN_CPU_X86_GEMM_Q8_ROWS_H

#include "cpu/x86/unpack_q8.h"

/* One group of 32 codes with its activations, eight partial sums. */
KERNEL __m256i group_dot(tnn_type type, __m256i codes, __m256i q) {
    if (has_signed_codes(type)) {
#if TNN__VNNI
        return dot32(_mm256_xor_si256(codes, _mm256_set1_epi8((char)0x80)), q);
#else
        return dot32(_mm256_abs_epi8(codes), _mm256_sign_epi8(q, codes));
#endif
    }
    return dot32(codes, q);
}

/* Whether the products of a type leave something to add per group, besides the codes times the activations. */
KERNEL bool has_group_min(tnn_type type) {
    return has_min(type) || (TNN__VNNI ? code_offset(type) != 0 : !has_signed_codes(type));
}

/* The sums of one row with nc columns: a chain of accumulators is as long as an FMA takes, so there are several. */
enum { CHAINS = 4 };

KERNEL void add_chunk(tnn_type type, int nc, const uint8_t *chunk, int n, const tnn__act_q8 *act, int64_t k,
                      int64_t n_in, __m256 acc[][CHAINS], __m256 *min_acc) {
    _Alignas(32) float factor[FEW_COLUMNS][8];
    __m256 scale, min;
    group_scales(type, chunk, n, &scale, &min);
    for (int c = 0; c < nc; c++) {
        int64_t first = (c * n_in + k) / 32;
        __m256 d, s;
        if (n == 8) {
            d = _mm256_loadu_ps(act->d + first);
            s = _mm256_loadu_ps(act->s + first);
        } else {
            __m256i valid = _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
            d = _mm256_maskload_ps(act->d + first, valid);
            s = _mm256_maskload_ps(act->s + first, valid);
        }
        _mm256_store_ps(factor[c], _mm256_mul_ps(scale, d));
        if (has_group_min(type)) min_acc[c] = _mm256_fmadd_ps(min, s, min_acc[c]);
    }
    if (n == 8) {
#pragma GCC unroll 8
        for (int g = 0; g < 8; g++) {
            __m256i codes = group_codes(type, chunk, g);
            for (int c = 0; c < nc; c++) {
                __m256i q = load256(act->q + c * n_in + k + 32 * g);
                __m256 dot = _mm256_cvtepi32_ps(group_dot(type, codes, q));
                acc[c][g % CHAINS] = _mm256_fmadd_ps(dot, _mm256_set1_ps(factor[c][g]), acc[c][g % CHAINS]);
            }
        }
    } else {
        for (int g = 0; g < n; g++) {
            __m256i codes = group_codes(type, chunk, g);
            for (int c = 0; c < nc; c++) {
                __m256i q = load256(act->q + c * n_in + k + 32 * g);
                __m256 dot = _mm256_cvtepi32_ps(group_dot(type, codes, q));
                acc[c][0] = _mm256_fmadd_ps(dot, _mm256_set1_ps(factor[c][g]), acc[c][0]);
            }
        }
    }
}

/* A super-block of a type with scales per 16: these are applied to the 16-bit sums. */
KERNEL void add_half_group_block(tnn_type type, int nc, const uint8_t *block, const tnn__act_q8 *act, int64_t k,
                                 int64_t n_in, __m256 acc[][CHAINS], __m256 *min_acc) {
    _Alignas(32) float factor[FEW_COLUMNS][8];
    half_scales s = half_group_scales(type, block);
    for (int c = 0; c < nc; c++) {
        __m256 d = _mm256_loadu_ps(act->d + (c * n_in + k) / 32);
        __m256i sum = _mm256_madd_epi16(s.correction, load256(act->sum16 + (c * n_in + k) / 16));
        __m256 factor_min = _mm256_mul_ps(d, _mm256_set1_ps(s.correction_scale));
        min_acc[c] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), factor_min, min_acc[c]);
        _mm256_store_ps(factor[c], _mm256_mul_ps(d, _mm256_set1_ps(s.d)));
    }
    /* Scales of the first halves of all groups to the low lane, of the second halves to the high one. */
    __m256i evens_odds = _mm256_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5, 8, 9, 12,
                                          13, 2, 3, 6, 7, 10, 11, 14, 15);
    __m256i scales = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(s.scale, evens_odds), 0xd8);
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) {
        __m256i codes = group_codes(type, block, g);
        __m256i scale = _mm256_shuffle_epi8(scales, _mm256_set1_epi16((short)(2 * g + 256 * (2 * g + 1))));
        for (int c = 0; c < nc; c++) {
            __m256i q = load256(act->q + c * n_in + k + 32 * g);
            __m256i dot = _mm256_madd_epi16(_mm256_maddubs_epi16(codes, q), scale);
            acc[c][g % CHAINS] =
                _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_set1_ps(factor[c][g]), acc[c][g % CHAINS]);
        }
    }
}

KERNEL void multiply_rows(tnn_type type, int nc, const tnn__gemm_args *a, int64_t row0, int64_t row1) {
    int64_t n_in = a->n_in, whole = n_in / 256 * 256;
    for (int64_t i = row0; i < row1; i++) {
        const uint8_t *row = (const uint8_t *)a->w + (size_t)i * a->row_bytes;
        __m256 acc[FEW_COLUMNS][CHAINS], min_acc[FEW_COLUMNS];
        for (int c = 0; c < nc; c++) {
            min_acc[c] = _mm256_setzero_ps();
            for (int j = 0; j < CHAINS; j++)
                acc[c][j] = _mm256_setzero_ps();
        }
        for (int64_t k = 0; k < whole; k += 256) {
            if (has_half_groups(type))
                add_half_group_block(type, nc, row + row_offset(type, k), &a->act, k, n_in, acc, min_acc);
            else
                add_chunk(type, nc, row + row_offset(type, k), 8, &a->act, k, n_in, acc, min_acc);
        }
        if (block_elems(type) == TNN__QK && whole < n_in)
            add_chunk(type, nc, row + row_offset(type, whole), (int)(n_in - whole) / 32, &a->act, whole, n_in, acc,
                      min_acc);
        for (int c = 0; c < nc; c++) {
            __m256 sum = _mm256_add_ps(_mm256_add_ps(acc[c][0], acc[c][1]), _mm256_add_ps(acc[c][2], acc[c][3]));
            float y = sum_lanes(_mm256_add_ps(sum, min_acc[c]));
            a->y[c * a->y_stride + i] = a->bias ? y + a->bias[i] : y;
        }
    }
}

#endif
