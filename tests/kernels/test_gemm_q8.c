/*
 * Products of quantised weights with int8 activations: the portable kernels against the definition in double
 * precision, every level of this machine against the portable ones, over all types and all tails.
 *
 * Tolerance: the integer sums of a group are exact, so what is left is F32 rounding, of the terms of at most 80 groups
 * and of their running sum, each at most 2^-24 of the sum of the magnitudes of all terms. That adds up to 1e-5 if all
 * err one way and to 1e-6 if they err at random; 2e-6 is asked for. The magnitude of a weight is the most that its
 * block can make it of, scale and min apart, since these are added apart.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tinynn/isa.h>
#include <tinynn/types.h>

#include "base/half.h"
#include "cpu/dispatch.h"
#include "cpu/kernels_q8.h"

static const tnn_type types[] = {TNN_TYPE_Q4_0,   TNN_TYPE_Q4_1,   TNN_TYPE_Q5_0, TNN_TYPE_Q5_1, TNN_TYPE_Q8_0,
                                 TNN_TYPE_Q2_K,   TNN_TYPE_Q3_K,   TNN_TYPE_Q4_K, TNN_TYPE_Q5_K, TNN_TYPE_Q6_K,
                                 TNN_TYPE_IQ4_NL, TNN_TYPE_IQ4_XS, TNN_TYPE_MXFP4};
enum { N_TYPES = sizeof types / sizeof *types };
#define TOLERANCE 2e-6

/* What a block is filled with. */
typedef enum fill { FILL_RANDOM, FILL_ZEROS, FILL_ONES, FILL_WILD, N_FILLS } fill;

static uint64_t state = 1;
static uint32_t random_u32(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}
static float random_float(void) {
    return (float)(random_u32() >> 8) * 0x1p-23f - 1.0f;
}

/* Byte offsets of the halves of a block, -1 after the last. */
static void half_fields(tnn_type type, int at[3]) {
    at[0] = 0;
    at[1] = at[2] = -1;
    if (type == TNN_TYPE_Q4_1 || type == TNN_TYPE_Q5_1 || type == TNN_TYPE_Q4_K || type == TNN_TYPE_Q5_K) at[1] = 2;
    if (type == TNN_TYPE_Q2_K) {
        at[0] = 80;
        at[1] = 82;
    }
    if (type == TNN_TYPE_Q3_K) at[0] = 108;
    if (type == TNN_TYPE_Q6_K) at[0] = 208;
    if (type == TNN_TYPE_MXFP4) at[0] = -1;
}

/* Scales are of ordinary size but for FILL_WILD, where any bits will do. */
static void fill_weights(tnn_type type, uint8_t *w, int64_t n_blocks, fill how) {
    const tnn_type_info *info = tnn_type_get_info(type);
    int at[3];
    half_fields(type, at);
    for (int64_t b = 0; b < n_blocks; b++, w += info->block_bytes) {
        for (int i = 0; i < info->block_bytes; i++)
            w[i] = how == FILL_ZEROS ? 0 : how == FILL_ONES ? 0xff : (uint8_t)random_u32();
        if (how == FILL_WILD) continue;
        if (type == TNN_TYPE_MXFP4) w[0] = (uint8_t)(120 + random_u32() % 8);
        for (int i = 0; at[i] >= 0; i++) {
            uint16_t h = tnn__f32_to_f16(random_float() * 0.1f);
            memcpy(w + at[i], &h, sizeof h);
        }
        if (type == TNN_TYPE_Q8_0 && how == FILL_ZEROS) memset(w + 2, 0x80, 32);
    }
}

typedef struct problem {
    tnn_type type;
    int64_t n_in, n_out, n_cols;
    size_t row_bytes;
    uint8_t *w;
    float *x, *y, *expected, *magnitude, *bias;
    tnn__act_q8 act;
} problem;

static void *allocate(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    assert_non_null(p);
    return p;
}

/* Activations of extremes: all 127 in magnitude, in patterns that add up. */
static void make_extreme(float *x, int64_t n) {
    int kind = (int)(random_u32() % 3);
    for (int64_t i = 0; i < n; i++)
        x[i] = kind == 0 ? 1.0f : kind == 1 ? -1.0f : random_u32() & 1 ? 1.0f : -1.0f;
}

static problem make_problem(tnn_type type, int64_t n_in, int64_t n_out, int64_t n_cols, fill how) {
    problem p = {.type = type, .n_in = n_in, .n_out = n_out, .n_cols = n_cols};
    p.row_bytes = tnn_row_bytes(type, n_in);
    /* To the byte, so that a sanitizer sees a read past the end. */
    p.w = malloc((size_t)n_out * p.row_bytes);
    p.x = malloc((size_t)(n_cols * n_in) * sizeof(float));
    p.y = malloc((size_t)(n_cols * n_out) * sizeof(float));
    p.expected = malloc((size_t)(n_cols * n_out) * sizeof(float));
    p.magnitude = malloc((size_t)(n_cols * n_out) * sizeof(float));
    p.bias = malloc((size_t)n_out * sizeof(float));
    p.act.q = malloc((size_t)(n_cols * n_in));
    p.act.d = malloc((size_t)(n_cols * n_in / 32) * sizeof(float));
    p.act.s = malloc((size_t)(n_cols * n_in / 32) * sizeof(float));
    p.act.sum16 = malloc((size_t)(n_cols * n_in / 16) * sizeof(int16_t));
    assert_true(p.w && p.x && p.y && p.expected && p.magnitude && p.bias && p.act.q && p.act.d && p.act.s &&
                p.act.sum16);
    fill_weights(type, p.w, n_out * n_in / tnn_type_get_info(type)->block_elems, how);
    for (int64_t i = 0; i < n_cols * n_in; i++)
        p.x[i] = random_float() * random_float();
    for (int64_t t = 0; t < n_cols; t++)
        if (how == FILL_ONES || how == FILL_ZEROS) make_extreme(p.x + t * n_in, n_in);
    for (int64_t i = 0; i < n_out; i++)
        p.bias[i] = random_float();
    for (int64_t t = 0; t < n_cols; t++)
        tnn__quantize_act_portable(p.x + t * n_in, n_in, p.act.q + t * n_in, p.act.d + t * n_in / 32,
                                   p.act.s + t * n_in / 32, p.act.sum16 + t * n_in / 16);
    return p;
}

static void free_problem(problem *p) {
    free(p->w);
    free(p->x);
    free(p->y);
    free(p->expected);
    free(p->magnitude);
    free(p->bias);
    free(p->act.q);
    free(p->act.d);
    free(p->act.s);
    free(p->act.sum16);
}

/* Rows [0, n_out) in tasks of `rows`. */
static void run(const tnn__gemm_kernel *k, const problem *p, bool bias, int64_t rows, float *y) {
    tnn__gemm_args a = {.w = p->w,
                        .row_bytes = p->row_bytes,
                        .n_in = p->n_in,
                        .n_out = p->n_out,
                        .n_cols = p->n_cols,
                        .act = p->act,
                        .bias = bias ? p->bias : NULL,
                        .y = y,
                        .y_stride = p->n_out};
    for (int64_t i = 0; i < p->n_out; i += rows) {
        int64_t end = i + rows < p->n_out ? i + rows : p->n_out;
        size_t bytes = k->scratch_bytes(p->n_in, p->n_cols, end - i);
        void *scratch = allocate(bytes);
        memset(scratch, 0xff, bytes);
        k->run(&a, i, end, scratch);
        free(scratch);
    }
}

/* The most that a weight of a block can be made of: its first half times `scale`, its second times `min`. */
static const struct {
    double scale, min;
} most[TNN_TYPE_COUNT] = {
    [TNN_TYPE_Q4_0] = {15, 0},       [TNN_TYPE_Q4_1] = {15, 1},       [TNN_TYPE_Q5_0] = {31, 0},
    [TNN_TYPE_Q5_1] = {31, 1},       [TNN_TYPE_Q8_0] = {128, 0},      [TNN_TYPE_Q2_K] = {15 * 3, 15},
    [TNN_TYPE_Q3_K] = {32 * 7, 0},   [TNN_TYPE_Q4_K] = {63 * 15, 63}, [TNN_TYPE_Q5_K] = {63 * 31, 63},
    [TNN_TYPE_Q6_K] = {128 * 63, 0}, [TNN_TYPE_IQ4_NL] = {127, 0},    [TNN_TYPE_IQ4_XS] = {32 * 127, 0},
    [TNN_TYPE_MXFP4] = {24, 0},
};

static double block_half(const uint8_t *block, int at) {
    uint16_t h;
    memcpy(&h, block + at, sizeof h);
    return fabs((double)tnn__f16_to_f32(h));
}

static double block_magnitude(tnn_type type, const uint8_t *block) {
    if (type == TNN_TYPE_MXFP4) return most[type].scale * ldexp(1, block[0] - 128);
    int at[3];
    half_fields(type, at);
    double magnitude = most[type].scale * block_half(block, at[0]);
    return at[1] < 0 ? magnitude : magnitude + most[type].min * block_half(block, at[1]);
}

/* The product in double, and the sum of the magnitudes of what it is added from. */
static void expect(problem *p, bool bias) {
    const tnn_type_info *info = tnn_type_get_info(p->type);
    float *w = malloc((size_t)p->n_in * sizeof(float));
    assert_non_null(w);
    for (int64_t i = 0; i < p->n_out; i++) {
        const uint8_t *row = p->w + (size_t)i * p->row_bytes;
        assert_int_equal(tnn_dequantize_row(p->type, row, w, p->n_in), TNN_OK);
        for (int64_t t = 0; t < p->n_cols; t++) {
            double y = bias ? (double)p->bias[i] : 0, magnitude = fabs(y);
            for (int64_t g = 0; g < p->n_in / 32; g++) {
                double d = (double)p->act.d[t * p->n_in / 32 + g], sum = 0;
                const int8_t *q = p->act.q + t * p->n_in + 32 * g;
                for (int k = 0; k < 32; k++) {
                    sum += abs(q[k]);
                    y += (double)w[32 * g + k] * d * q[k];
                }
                magnitude += block_magnitude(p->type, row + 32 * g / info->block_elems * info->block_bytes) * d * sum;
            }
            p->expected[t * p->n_out + i] = (float)y;
            p->magnitude[t * p->n_out + i] = (float)magnitude;
        }
    }
    free(w);
}

static void check(const problem *p, const float *y, const char *level) {
    for (int64_t i = 0; i < p->n_cols * p->n_out; i++) {
        double error = fabs((double)y[i] - (double)p->expected[i]);
        if (!(error <= TOLERANCE * (double)p->magnitude[i] + 1e-30))
            fail_msg("%s %s n_in %lld n_out %lld n_cols %lld: row %lld column %lld is %.9g, not %.9g (of %.9g)", level,
                     tnn_type_get_info(p->type)->name, (long long)p->n_in, (long long)p->n_out, (long long)p->n_cols,
                     (long long)(i % p->n_out), (long long)(i / p->n_out), (double)y[i], (double)p->expected[i],
                     (double)p->magnitude[i]);
    }
}

/* The tables of every level that this machine has, the portable one first. */
static int n_levels;
static tnn__kernels tables[TNN_ISA_COUNT];
static const char *level_names[TNN_ISA_COUNT];

static int make_tables(void **unused) {
    (void)unused;
    for (int isa = 0; isa < TNN_ISA_COUNT; isa++) {
        if (!tnn_isa_available((tnn_isa)isa)) continue;
        tnn__kernels_init(&tables[n_levels], (tnn_isa)isa);
        level_names[n_levels++] = tnn_isa_name((tnn_isa)isa);
    }
    return 0;
}

static void check_all_levels(problem *p, bool bias) {
    expect(p, bias);
    for (int l = 0; l < n_levels; l++) {
        const tnn__gemm_kernel *k = &tables[l].gemm[p->type];
        assert_non_null(k->run);
        assert_true(k->int8_activations);
        run(k, p, bias, p->n_out, p->y);
        check(p, p->y, level_names[l]);
    }
}

static void sizes(void **unused) {
    (void)unused;
    static const int64_t many_rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 33, 47, 64};
    for (int ty = 0; ty < N_TYPES; ty++) {
        int64_t unit = tnn_type_get_info(types[ty])->block_elems;
        for (size_t r = 0; r < sizeof many_rows / sizeof *many_rows; r++)
            for (int64_t cols = 1; cols <= 13; cols++) {
                int64_t n_in = unit * (1 + (int64_t)(random_u32() % (unit == 32 ? 20 : 3)));
                problem p = make_problem(types[ty], n_in, many_rows[r], cols, FILL_RANDOM);
                check_all_levels(&p, cols % 2);
                free_problem(&p);
            }
    }
}

/* K longer than any slice, and many columns. */
static void large(void **unused) {
    (void)unused;
    for (int ty = 0; ty < N_TYPES; ty++) {
        int64_t unit = tnn_type_get_info(types[ty])->block_elems;
        static const int64_t shapes[][2] = {{2304, 7}, {2560, 1}, {1280, 64}};
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            problem p = make_problem(types[ty], shapes[s][0] / unit * unit + unit, 40, shapes[s][1], FILL_RANDOM);
            check_all_levels(&p, true);
            free_problem(&p);
        }
    }
    problem p = make_problem(TNN_TYPE_Q4_K, 256, 33, 512, FILL_RANDOM);
    check_all_levels(&p, false);
    free_problem(&p);
}

/* All bits clear (for Q8_0 all -128) and all bits set, against activations of +-127. */
static void extreme_codes(void **unused) {
    (void)unused;
    for (int ty = 0; ty < N_TYPES; ty++)
        for (int how = FILL_ZEROS; how <= FILL_ONES; how++)
            for (int64_t cols = 1; cols <= 8; cols += 1) {
                problem p = make_problem(types[ty], 512, 17, cols, (fill)how);
                check_all_levels(&p, false);
                free_problem(&p);
            }
}

/* Blocks of any bits, infinite and subnormal scales among them: a result that is finite portably is so everywhere. */
static void wild_scales(void **unused) {
    (void)unused;
    for (int ty = 0; ty < N_TYPES; ty++)
        for (int64_t cols = 1; cols <= 5; cols++) {
            problem p = make_problem(types[ty], 512, 24, cols, FILL_WILD);
            for (int l = 0; l < n_levels; l++) {
                run(&tables[l].gemm[p.type], &p, false, p.n_out, p.y);
                if (l == 0) memcpy(p.expected, p.y, (size_t)(cols * p.n_out) * sizeof(float));
                for (int64_t i = 0; i < cols * p.n_out; i++)
                    if (isfinite(p.expected[i]) && fabsf(p.expected[i]) < 1e30f) assert_true(isfinite(p.y[i]));
            }
            free_problem(&p);
        }
}

/* However rows are cut into tasks (of few rows, of many, and sizes that leave every kind of rest), the same bits. */
static void same_bits_in_any_cut(void **unused) {
    (void)unused;
    static const int64_t task_units[] = {1, 2, 3, 5, 7, 11, 16, 37, 64, 149};
    for (int ty = 0; ty < N_TYPES; ty++)
        for (int l = 0; l < n_levels; l++)
            for (int64_t cols = 1; cols <= 9; cols++) {
                const tnn__gemm_kernel *k = &tables[l].gemm[types[ty]];
                problem p = make_problem(types[ty], 1536, 150, cols, FILL_RANDOM);
                size_t bytes = (size_t)(cols * p.n_out) * sizeof(float);
                run(k, &p, true, p.n_out, p.expected);
                for (size_t i = 0; i < sizeof task_units / sizeof *task_units; i++) {
                    int64_t rows = task_units[i] * k->row_align;
                    if (rows >= p.n_out) break;
                    run(k, &p, true, rows, p.y);
                    assert_memory_equal(p.y, p.expected, bytes);
                }
                free_problem(&p);
            }
}

/* The columns of a wide product, alone in one that takes the same way. */
static void same_bits_beside_other_columns(void **unused) {
    (void)unused;
    enum { COLS = 16, LESS = 11 };
    for (int ty = 0; ty < N_TYPES; ty++)
        for (int l = 0; l < n_levels; l++) {
            problem p = make_problem(types[ty], 1280, 20, COLS, FILL_RANDOM);
            run(&tables[l].gemm[p.type], &p, true, p.n_out, p.expected);
            for (int first = 0; first + LESS <= COLS; first++) {
                problem part = p;
                part.n_cols = LESS;
                part.act.q += first * p.n_in;
                part.act.d += first * p.n_in / 32;
                part.act.s += first * p.n_in / 32;
                part.act.sum16 += first * p.n_in / 16;
                run(&tables[l].gemm[p.type], &part, true, p.n_out, p.y);
                assert_memory_equal(p.y, p.expected + first * p.n_out, LESS * (size_t)p.n_out * sizeof(float));
            }
            free_problem(&p);
        }
}

/* --- activations -------------------------------------------------------------------------------------------------- */

static void check_quantized(const float *x, int64_t n) {
    int8_t q[2][256];
    float d[2][8], s[2][8];
    int16_t sum16[2][16];
    tables[0].quantize_act(x, n, q[0], d[0], s[0], sum16[0]);
    for (int l = 1; l < n_levels; l++) {
        tables[l].quantize_act(x, n, q[1], d[1], s[1], sum16[1]);
        assert_memory_equal(q[0], q[1], (size_t)n);
        for (int64_t g = 0; g < n / 32; g++) {
            assert_true(isnan(d[0][g]) ? isnan(d[1][g]) : d[0][g] == d[1][g]);
            assert_true(isnan(s[0][g]) ? isnan(s[1][g]) : s[0][g] == s[1][g]);
        }
        assert_memory_equal(sum16[0], sum16[1], (size_t)n / 16 * sizeof(int16_t));
    }
}

static void activations_by_the_rule(void **unused) {
    (void)unused;
    for (int round = 0; round < 2000; round++) {
        float x[256], scale = ldexpf(1.0f, (int)(random_u32() % 160) - 80);
        int8_t q[256];
        float d[8], s[8];
        int16_t sum16[16];
        for (int i = 0; i < 256; i++)
            x[i] = random_float() * scale;
        for (int l = 0; l < n_levels; l++) {
            tables[l].quantize_act(x, 256, q, d, s, sum16);
            for (int g = 0; g < 8; g++) {
                float max = 0;
                int sum = 0;
                for (int i = 0; i < 32; i++)
                    max = fmaxf(max, fabsf(x[32 * g + i]));
                assert_true(d[g] == max / 127.0f);
                for (int i = 0; i < 32; i++) {
                    assert_int_equal(q[32 * g + i], (int)roundf(x[32 * g + i] * (127.0f / max)));
                    sum += q[32 * g + i];
                }
                assert_int_equal(sum16[2 * g] + sum16[2 * g + 1], sum);
                assert_true(s[g] == d[g] * (float)sum);
            }
        }
    }
}

/* Ties go away from zero; what is next to a tie does not. */
static void activations_at_ties(void **unused) {
    (void)unused;
    float x[256];
    for (int i = 0; i < 256; i++) {
        float tie = (float)(i % 127) + 0.5f;
        x[i] = i % 3 == 0 ? tie : i % 3 == 1 ? nextafterf(tie, 0) : nextafterf(tie, 200);
        if (i % 2) x[i] = -x[i];
        if (i % 32 == 31) x[i] = 127;
    }
    check_quantized(x, 256);
    int8_t q[256];
    float d[8], s[8];
    int16_t sum16[16];
    tables[0].quantize_act(x, 256, q, d, s, sum16);
    for (int i = 0; i < 256; i++)
        assert_int_equal(q[i], (int)roundf(x[i]));
}

static void activations_not_finite(void **unused) {
    (void)unused;
    static const float odd[] = {INFINITY, -INFINITY, NAN, 0, -0.0f, 1e-45f, 1e-38f, 0x1p-100f, 0x1p-101f, 3e38f};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        for (int at = 0; at < 32; at++) {
            float x[32] = {0}, d, s;
            int8_t q[32];
            int16_t sum16[2];
            x[at] = odd[i];
            x[(at + 7) % 32] = odd[i] / 2;
            check_quantized(x, 32);
            tables[0].quantize_act(x, 32, q, &d, &s, sum16);
            if (!isfinite(odd[i])) assert_false(isfinite(d));
            if (isfinite(odd[i])) assert_true(isfinite(d));
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_by_the_rule),
        cmocka_unit_test(activations_at_ties),
        cmocka_unit_test(activations_not_finite),
        cmocka_unit_test(sizes),
        cmocka_unit_test(large),
        cmocka_unit_test(extreme_codes),
        cmocka_unit_test(wild_scales),
        cmocka_unit_test(same_bits_in_any_cut),
        cmocka_unit_test(same_bits_beside_other_columns),
    };
    return cmocka_run_group_tests(tests, make_tables, NULL);
}
