/*
 * Products by panels, for more than a few columns. Part of gemm_q8.h.
 *
 * A panel holds TILE_ROWS rows over a slice of K, as TILE_VECTORS parts of LANES rows each; a part is a sequence of
 * groups of 32 along K, and a group, by the form that its type takes at this level:
 *
 *   FORM_CODES  codes [8][LANES][4], scale F32 [LANES], min F32 [LANES]; with VNNI signed codes are made unsigned
 *   FORM_HALVES codes u8 [8][LANES][4]; scales of the first and of the second 16, s16 [LANES][2], each twice, or with
 *               VNNI F32 [LANES], d included; d F32 [LANES]; correction s16 [LANES][2], correction_scale F32 [LANES]:
 *               see half_scales
 */
#ifndef TNN_CPU_X86_GEMM_Q8_PANEL_H
#define TNN_CPU_X86_GEMM_Q8_PANEL_H

#include "cpu/x86/unpack_q8.h"

typedef enum form { FORM_CODES, FORM_HALVES } form;

enum {
    VECTOR_BYTES = 4 * LANES,
    /* Elements of K in a panel: one slice of a panel fills about half of L1. */
    SLICE = TNN__WIDE ? 512 : 1024,
    MAX_TILE_COLUMNS = TNN__WIDE ? 6 : 3,
};

KERNEL form type_form(tnn_type type) {
    return has_half_groups(type) ? FORM_HALVES : FORM_CODES;
}

KERNEL size_t group_bytes(form f) {
    return (f == FORM_CODES ? 8 + 2 : 8 + 5) * VECTOR_BYTES;
}

/* Columns of a tile: as many as leave all sums of a tile in registers. */
KERNEL int tile_columns(form f) {
    if (f == FORM_HALVES) return TNN__WIDE ? 4 : 2;
    return MAX_TILE_COLUMNS;
}

/* --- packing ------------------------------------------------------------------------------------------------------ */

KERNEL void store8(uint8_t *p, __m256i v) {
    _mm256_store_si256((__m256i *)p, v);
}

/* Vector i of each of n groups gets element g of the eight rows in v. */
KERNEL void store_scales(uint8_t *group, size_t stride, int n, int i, __m256i v[8]) {
    transpose8(v);
    for (int g = 0; g < n; g++)
        store8(group + (size_t)g * stride + (size_t)i * VECTOR_BYTES, v[g]);
}

/* The scale of one half of each group, a 32-bit integer, as add_halves_group wants it. */
KERNEL __m256i half_scale(half_scales s, __m256i scale) {
#if TNN__VNNI
    return _mm256_castps_si256(_mm256_mul_ps(_mm256_cvtepi32_ps(scale), _mm256_set1_ps(s.d)));
#else
    (void)s;
    return _mm256_blend_epi16(scale, _mm256_slli_epi32(scale, 16), 0xaa);
#endif
}

KERNEL void pack_scales(tnn_type type, const uint8_t *chunk, size_t row_bytes, const int64_t row[8], int n,
                        uint8_t *group) {
    form f = type_form(type);
    size_t stride = group_bytes(f);
    __m256i v[5][8];
    for (int r = 0; r < 8; r++) {
        const uint8_t *src = chunk + (size_t)row[r] * row_bytes;
        if (f == FORM_HALVES) {
            half_scales s = half_group_scales(type, src);
            v[0][r] = half_scale(s, _mm256_srai_epi32(_mm256_slli_epi32(s.scale, 16), 16));
            v[1][r] = half_scale(s, _mm256_srai_epi32(s.scale, 16));
            v[2][r] = _mm256_castps_si256(_mm256_set1_ps(s.d));
            v[3][r] = s.correction;
            v[4][r] = _mm256_castps_si256(_mm256_set1_ps(s.correction_scale));
        } else {
            __m256 scale, min;
            group_scales(type, src, n, &scale, &min);
            v[0][r] = _mm256_castps_si256(scale);
            v[1][r] = _mm256_castps_si256(min);
        }
    }
    for (int i = 0; i < (f == FORM_CODES ? 2 : 5); i++)
        store_scales(group, stride, n, 8 + i, v[i]);
}

KERNEL void pack_codes(tnn_type type, const uint8_t *chunk, size_t row_bytes, const int64_t row[8], int g,
                       uint8_t *group) {
    __m256i v[8];
    for (int r = 0; r < 8; r++)
        v[r] = group_codes(type, chunk + (size_t)row[r] * row_bytes, g);
    transpose8(v);
    for (int j = 0; j < 8; j++) {
        if (has_signed_codes(type) && TNN__VNNI) v[j] = _mm256_xor_si256(v[j], _mm256_set1_epi8((char)0x80));
        store8(group + j * VECTOR_BYTES, v[j]);
    }
}

/* Rows [i, i + TILE_ROWS) and elements [k, k + n) of K. Rows from row1 on repeat the last one: nothing reads them. */
KERNEL void pack_panel(tnn_type type, const tnn__gemm_args *a, int64_t i, int64_t row1, int64_t k, int64_t n,
                       uint8_t *panel) {
    size_t stride = group_bytes(type_form(type)), part_bytes = (size_t)(n / 32) * stride;
    const uint8_t *slice = (const uint8_t *)a->w + row_offset(type, k);
    for (int r = 0; r < TILE_ROWS; r += 8) {
        int64_t row[8];
        for (int j = 0; j < 8; j++)
            row[j] = min_i64(i + r + j, row1 - 1);
        uint8_t *part = panel + (size_t)(r / LANES) * part_bytes + (size_t)(r % LANES * 4);
        for (int64_t g = 0; g < n / 32; g += 8) {
            const uint8_t *chunk = slice + row_offset(type, 32 * g);
            uint8_t *group = part + (size_t)g * stride;
            int n_groups = (int)min_i64(8, n / 32 - g);
            pack_scales(type, chunk, a->row_bytes, row, n_groups, group);
            for (int j = 0; j < n_groups; j++)
                pack_codes(type, chunk, a->row_bytes, row, j, group + (size_t)j * stride);
        }
    }
}

/* --- tile --------------------------------------------------------------------------------------------------------- */

/* A panel and the columns of one tile: column c of each array starts c * its stride after the first. */
typedef struct tile {
    const uint8_t *panel;
    int64_t n_groups;
    const int8_t *q;
    int64_t q_stride;
    const float *d;
    const float *s;
    const int16_t *sum16;
    int64_t d_stride;
    float *y;
    int64_t y_stride;
    int rows[TILE_VECTORS]; /* valid ones */
} tile;

KERNEL void load_codes(const uint8_t *const w[], int j, vi codes[]) {
    UNROLL for (int m = 0; m < TILE_VECTORS; m++) {
        codes[m] = vi_load(w[m] + j * VECTOR_BYTES);
        PIN(codes[m]);
    }
}

/*
 * Quads [from, to) of a group, codes times activations: w[m] is part m's group, q[c] column c's activations. With VNNI
 * sum starts from what the caller put there.
 */
KERNEL void sum_quads(tnn_type type, int nc, const uint8_t *const w[], const int8_t *const q[], int from, int to,
                      vi sum[][MAX_TILE_COLUMNS]) {
#if TNN__VNNI
    (void)type;
    UNROLL for (int j = from; j < to; j++) {
        vi codes[TILE_VECTORS];
        load_codes(w, j, codes);
        UNROLL for (int c = 0; c < nc; c++) {
            vi x = vi_broadcast(q[c] + 4 * j);
            UNROLL for (int m = 0; m < TILE_VECTORS; m++) sum[m][c] = vi_dot(sum[m][c], codes[m], x);
        }
    }
#else
    int chain = code_chain(type);
    vi part[TILE_VECTORS][MAX_TILE_COLUMNS];
    UNROLL for (int j = from; j < to; j++) {
        vi codes[TILE_VECTORS];
        load_codes(w, j, codes);
        UNROLL for (int c = 0; c < nc; c++) {
            vi x = vi_broadcast(q[c] + 4 * j);
            UNROLL for (int m = 0; m < TILE_VECTORS; m++) {
                if (has_signed_codes(type)) {
                    vi wide = vi_madd16(vi_maddbs(codes[m], x), vi_set16(1));
                    sum[m][c] = j > from ? vi_add32(sum[m][c], wide) : wide;
                    PIN(sum[m][c]);
                } else {
                    vi p = vi_maddubs(codes[m], x);
                    part[m][c] = j % chain ? vi_add16(part[m][c], p) : p;
                    PIN(part[m][c]);
                }
            }
        }
        if (has_signed_codes(type) || j % chain < chain - 1) continue;
        vi ones = vi_ones16(part[TILE_VECTORS - 1][nc - 1]);
        UNROLL for (int m = 0; m < TILE_VECTORS; m++) {
            /* The scales of a half group come in with the widening. */
            vi factor = has_half_groups(type) ? vi_load(w[m] + (8 + j / 4) * VECTOR_BYTES) : ones;
            UNROLL for (int c = 0; c < nc; c++) {
                vi wide = vi_madd16(part[m][c], factor);
                sum[m][c] = j >= from + chain ? vi_add32(sum[m][c], wide) : wide;
            }
        }
    }
#endif
}

/* What the sums of one column start from with VNNI: minus offset times the sum of its activations, per 16. */
KERNEL vi offset_sum(const tile *t, int c, int64_t g, int offset0, int offset1) {
    if (offset0 == 0 && offset1 == 0) return vi_set32(0);
    vi offsets = vi_set32((int)((uint32_t)(-offset0 & 0xffff) | (uint32_t)(-offset1) << 16));
    return vi_madd16(vi_broadcast(t->sum16 + 2 * (c * t->d_stride + g)), offsets);
}

/* With VNNI the offsets of codes are in the integer sums. */
KERNEL bool has_panel_min(tnn_type type) {
    return has_min(type) || (!TNN__VNNI && !has_signed_codes(type));
}

KERNEL void add_codes_group(tnn_type type, int nc, const uint8_t *const w[], const tile *t, int64_t g,
                            vf acc[][MAX_TILE_COLUMNS]) {
    vi sum[TILE_VECTORS][MAX_TILE_COLUMNS];
    const int8_t *q[MAX_TILE_COLUMNS];
    int offset = code_offset(type);
    for (int c = 0; c < nc; c++) {
        q[c] = t->q + c * t->q_stride + 32 * g;
        for (int m = 0; TNN__VNNI && m < TILE_VECTORS; m++)
            sum[m][c] = offset_sum(t, c, g, offset, offset);
    }
    sum_quads(type, nc, w, q, 0, 8, sum);
    for (int c = 0; c < nc; c++) {
        vf d = vf_set(t->d[c * t->d_stride + g]);
        vf s = vf_set(t->s[c * t->d_stride + g]);
        for (int m = 0; m < TILE_VECTORS; m++) {
            vf scale = vf_mul(vf_load(w[m] + 8 * VECTOR_BYTES), d);
            acc[m][c] = vf_fma(vi_to_vf(sum[m][c]), scale, acc[m][c]);
            if (has_panel_min(type)) acc[m][c] = vf_fma(vf_load(w[m] + 9 * VECTOR_BYTES), s, acc[m][c]);
        }
    }
}

KERNEL void add_halves_group(tnn_type type, int nc, const uint8_t *const w[], const tile *t, int64_t g,
                             vf acc[][MAX_TILE_COLUMNS]) {
    vi sum[TILE_VECTORS][MAX_TILE_COLUMNS];
    vf scaled[TILE_VECTORS][MAX_TILE_COLUMNS];
    const int8_t *q[MAX_TILE_COLUMNS];
    int offset = code_offset(type);
    for (int c = 0; c < nc; c++) {
        q[c] = t->q + c * t->q_stride + 32 * g;
        for (int m = 0; m < TILE_VECTORS; m++)
            scaled[m][c] = vf_zero();
    }
    for (int h = 0; TNN__VNNI && h < 2; h++) {
        for (int c = 0; c < nc; c++)
            for (int m = 0; m < TILE_VECTORS; m++)
                sum[m][c] = offset_sum(t, c, g, h ? 0 : offset, h ? offset : 0);
        sum_quads(type, nc, w, q, 4 * h, 4 * h + 4, sum);
        for (int c = 0; c < nc; c++)
            for (int m = 0; m < TILE_VECTORS; m++) {
                vf scale = vf_load(w[m] + (8 + h) * VECTOR_BYTES), x = vi_to_vf(sum[m][c]);
                scaled[m][c] = vf_fma(x, scale, scaled[m][c]);
            }
    }
    if (!TNN__VNNI) sum_quads(type, nc, w, q, 0, 8, sum);
    for (int c = 0; c < nc; c++) {
        vf d = vf_set(t->d[c * t->d_stride + g]);
        vi sum16 = vi_broadcast(t->sum16 + 2 * (c * t->d_stride + g));
        for (int m = 0; m < TILE_VECTORS; m++) {
            if (TNN__VNNI) {
                acc[m][c] = vf_fma(scaled[m][c], d, acc[m][c]);
                if (!has_min(type)) continue;
            }
            vi correction = vi_madd16(vi_load(w[m] + 11 * VECTOR_BYTES), sum16);
            if (has_min(type)) {
                vf scale = vf_mul(vf_load(w[m] + 12 * VECTOR_BYTES), d);
                acc[m][c] = vf_fma(vi_to_vf(correction), scale, acc[m][c]);
            } else {
                sum[m][c] = vi_add32(sum[m][c], correction);
            }
            if (TNN__VNNI) continue;
            vf scale = vf_mul(vf_load(w[m] + 10 * VECTOR_BYTES), d);
            acc[m][c] = vf_fma(vi_to_vf(sum[m][c]), scale, acc[m][c]);
        }
    }
}

/* Adds to y, [nc][TILE_ROWS], the products of a panel with nc columns. */
KERNEL void add_tile(tnn_type type, int nc, const tile *t) {
    form f = type_form(type);
    size_t stride = group_bytes(f);
    vf acc[TILE_VECTORS][MAX_TILE_COLUMNS];
    const uint8_t *w[TILE_VECTORS];
    for (int m = 0; m < TILE_VECTORS; m++) {
        w[m] = t->panel + (size_t)m * (size_t)t->n_groups * stride;
        for (int c = 0; c < nc; c++)
            _mm_prefetch((const char *)(t->y + (nc + c) * t->y_stride + m * LANES), _MM_HINT_T0);
        for (int c = 0; c < nc; c++)
            acc[m][c] = vf_load_n(t->y + c * t->y_stride + m * LANES, t->rows[m]);
    }
    for (int64_t g = 0; g < t->n_groups; g++) {
        for (int c = 0; c < nc; c++) /* the next tile's activations */
            _mm_prefetch((const char *)(t->q + (nc + c) * t->q_stride + 32 * g), _MM_HINT_T0);
        if (f == FORM_CODES)
            add_codes_group(type, nc, w, t, g, acc);
        else
            add_halves_group(type, nc, w, t, g, acc);
        for (int m = 0; m < TILE_VECTORS; m++)
            w[m] += stride;
    }
    for (int m = 0; m < TILE_VECTORS; m++)
        for (int c = 0; c < nc; c++)
            vf_store_n(t->y + c * t->y_stride + m * LANES, acc[m][c], t->rows[m]);
}

/* --- slices ------------------------------------------------------------------------------------------------------- */

/* Scratch: one panel. */
KERNEL size_t panel_bytes(tnn_type type, int64_t n_in) {
    return (size_t)(min_i64(SLICE, n_in) / 32) * group_bytes(type_form(type)) * TILE_VECTORS;
}

static void start_columns(const tnn__gemm_args *a, int64_t row0, int64_t row1) {
    for (int64_t t = 0; t < a->n_cols; t++) {
        float *y = a->y + t * a->y_stride;
        if (a->bias)
            memcpy(y + row0, a->bias + row0, (size_t)(row1 - row0) * sizeof *y);
        else
            memset(y + row0, 0, (size_t)(row1 - row0) * sizeof *y);
    }
}

KERNEL void add_tile_columns(tnn_type type, int nc, const tile *t) {
    switch (nc) {
    case 1:
        add_tile(type, 1, t);
        return;
    case 2:
        add_tile(type, 2, t);
        return;
#if TNN__WIDE
    case 3:
        add_tile(type, 3, t);
        return;
    case 4:
        add_tile(type, 4, t);
        return;
    case 5:
        if (tile_columns(type_form(type)) >= 5) add_tile(type, 5, t);
        return;
#endif
    default:
        add_tile(type, tile_columns(type_form(type)), t);
    }
}

/* All columns with one panel, in tiles of as equal a width as can be. */
KERNEL void multiply_panel(tnn_type type, const tnn__gemm_args *a, int64_t i, int64_t row1, int64_t k, int64_t n,
                           const uint8_t *panel) {
    int64_t d_stride = a->n_in / 32, width = tile_columns(type_form(type));
    int64_t n_tiles = (a->n_cols + width - 1) / width;
    tile t = {.panel = panel, .n_groups = n / 32, .q_stride = a->n_in, .d_stride = d_stride, .y_stride = a->y_stride};
    for (int m = 0; m < TILE_VECTORS; m++) {
        int64_t left = row1 - i - m * LANES;
        t.rows[m] = (int)(left < 0 ? 0 : min_i64(left, LANES));
    }
    for (int64_t j = 0, c = 0; j < n_tiles; j++) {
        int64_t next = a->n_cols * (j + 1) / n_tiles, at = c * d_stride + k / 32;
        t.q = a->act.q + c * a->n_in + k;
        t.d = a->act.d + at;
        t.s = a->act.s + at;
        t.sum16 = a->act.sum16 + 2 * at;
        t.y = a->y + c * a->y_stride + i;
        add_tile_columns(type, (int)(next - c), &t);
        c = next;
    }
}

KERNEL void multiply_panels(tnn_type type, const tnn__gemm_args *a, int64_t row0, int64_t row1, void *scratch) {
    start_columns(a, row0, row1);
    for (int64_t k = 0; k < a->n_in; k += SLICE) {
        int64_t n = min_i64(SLICE, a->n_in - k);
        for (int64_t i = row0; i < row1; i += TILE_ROWS) {
            pack_panel(type, a, i, row1, k, n, scratch);
            multiply_panel(type, a, i, row1, k, n, scratch);
        }
    }
}

#endif
