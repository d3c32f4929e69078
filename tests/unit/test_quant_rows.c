/*
 * What holds for every conversion whatever its rule: rows at any address, the error stays within half a step, an
 * importance moves the error to where it does not matter, odd inputs give finite rows, bad arguments give a status.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tinynn/types.h>

#include "base/rng.h"

#define N 1024

typedef struct converted {
    tnn_type type;
    double rms_error; /* bound for standard normals, about 10 % above what is measured */
    bool weighs;      /* its rule takes an importance into account */
} converted;

static const converted types[] = {
    {TNN_TYPE_F32, 0, false},       {TNN_TYPE_F16, 0.00025, false}, {TNN_TYPE_BF16, 0.002, false},
    {TNN_TYPE_Q4_0, 0.097, true},   {TNN_TYPE_Q4_1, 0.087, true},   {TNN_TYPE_Q5_0, 0.047, true},
    {TNN_TYPE_Q5_1, 0.042, true},   {TNN_TYPE_Q8_0, 0.0059, false}, {TNN_TYPE_Q8_1, 0.0059, false},
    {TNN_TYPE_Q2_K, 0.34, true},    {TNN_TYPE_Q3_K, 0.17, true},    {TNN_TYPE_Q4_K, 0.08, true},
    {TNN_TYPE_Q5_K, 0.04, true},    {TNN_TYPE_Q6_K, 0.021, true},   {TNN_TYPE_Q8_K, 0.0075, false},
    {TNN_TYPE_IQ4_NL, 0.086, true}, {TNN_TYPE_IQ4_XS, 0.086, true}, {TNN_TYPE_MXFP4, 0.13, false},
};

#define N_TYPES (sizeof types / sizeof types[0])

static void convert(tnn_type type, const float *x, const float *importance, float *y) {
    uint8_t stored[4 * N];
    assert_int_equal(tnn_quantize_row(type, x, stored, N, importance), TNN_OK);
    assert_int_equal(tnn_dequantize_row(type, stored, y, N), TNN_OK);
}

static void test_error_is_small(void **state) {
    (void)state;
    static float x[N], y[N];
    tnn__fill_normal(5, 0, x, N, 0.0f, 1.0f);
    for (size_t t = 0; t < N_TYPES; t++) {
        convert(types[t].type, x, NULL, y);
        double squares = 0;
        for (int i = 0; i < N; i++) {
            squares += ((double)y[i] - (double)x[i]) * ((double)y[i] - (double)x[i]);
        }
        double rms = sqrt(squares / N);
        if (rms > types[t].rms_error) fail_msg("%s: rms error %f", tnn_type_get_info(types[t].type)->name, rms);
    }
}

static void test_importance_moves_the_error(void **state) {
    (void)state;
    static float x[N], importance[N], plain[N], weighted[N];
    tnn__fill_normal(6, 0, x, N, 0.0f, 1.0f);
    for (int i = 0; i < N; i++) {
        importance[i] = i % 4 == 0 ? 100.0f : 1.0f;
    }
    for (size_t t = 0; t < N_TYPES; t++) {
        convert(types[t].type, x, NULL, plain);
        convert(types[t].type, x, importance, weighted);
        double error_plain = 0, error_weighted = 0;
        for (int i = 0; i < N; i += 4) {
            error_plain += fabs((double)plain[i] - (double)x[i]);
            error_weighted += fabs((double)weighted[i] - (double)x[i]);
        }
        if (types[t].weighs) {
            assert_true(error_weighted < 0.95 * error_plain);
        } else {
            assert_memory_equal(weighted, plain, sizeof plain);
        }
    }
}

/* A mapped row may start anywhere; so may the row that is written. */
static void test_rows_at_any_address(void **state) {
    (void)state;
    static float x[N], y[N], z[N];
    tnn__fill_normal(7, 0, x, N, 0.0f, 1.0f);
    for (size_t t = 0; t < N_TYPES; t++) {
        tnn_type type = types[t].type;
        size_t bytes = tnn_row_bytes(type, N);
        uint8_t aligned[4 * N];
        assert_int_equal(tnn_quantize_row(type, x, aligned, N, NULL), TNN_OK);
        assert_int_equal(tnn_dequantize_row(type, aligned, y, N), TNN_OK);
        for (size_t shift = 1; shift < 8; shift++) {
            uint8_t *base = malloc(bytes + shift + 1); /* exact, so that a sanitizer sees a byte too far */
            assert_non_null(base);
            base[shift + bytes] = 0xa5;
            assert_int_equal(tnn_quantize_row(type, x, base + shift, N, NULL), TNN_OK);
            assert_int_equal(base[shift + bytes], 0xa5);
            assert_memory_equal(base + shift, aligned, bytes);
            assert_int_equal(tnn_dequantize_row(type, base + shift, z, N), TNN_OK);
            assert_memory_equal(y, z, sizeof y);
            free(base);
        }
    }
}

/* A row is its blocks: in one piece or block by block, the bytes are the same (without an importance). */
static void test_blocks_stand_alone(void **state) {
    (void)state;
    static float x[N];
    tnn__fill_normal(8, 0, x, N, 0.1f, 1.0f);
    for (size_t t = 0; t < N_TYPES; t++) {
        const tnn_type_info *info = tnn_type_get_info(types[t].type);
        uint8_t whole[4 * N], pieces[4 * N];
        assert_int_equal(tnn_quantize_row(types[t].type, x, whole, N, NULL), TNN_OK);
        for (int b = 0; b < N / info->block_elems; b++) {
            assert_int_equal(tnn_quantize_row(types[t].type, x + b * info->block_elems, pieces + b * info->block_bytes,
                                              info->block_elems, NULL),
                             TNN_OK);
        }
        assert_memory_equal(whole, pieces, tnn_row_bytes(types[t].type, N));
    }
}

typedef float (*generator)(int i);

static float zeros(int i) {
    (void)i;
    return 0;
}
static float constant(int i) {
    (void)i;
    return 0.7f;
}
static float negative_constant(int i) {
    (void)i;
    return -3;
}
static float one_spike(int i) {
    return i % 256 == 77 ? 5 : 0;
}
static float subnormal(int i) {
    return (float)(i % 5 - 2) * 1e-40f;
}
static float tiny(int i) {
    return (float)(i % 7 - 3) * 1e-20f;
}
static float largest_half(int i) {
    return i % 3 == 0 ? 65504.0f : i % 3 == 1 ? -65504.0f : 1e-30f;
}
static float positive(int i) {
    return 1000 + (float)(i % 13);
}
static float wide(int i) {
    return ldexpf(i % 2 ? 1 : -1, i % 31 - 16);
}

/* Rows that divide by zero, overflow or underflow somewhere in a careless quantiser. */
static void test_odd_rows(void **state) {
    (void)state;
    static const generator rows[] = {zeros, constant,     negative_constant, one_spike, subnormal,
                                     tiny,  largest_half, positive,          wide};
    static float x[N], y[N], importance[3][N];
    for (int i = 0; i < N; i++) {
        importance[1][i] = i % 5 == 0 ? 0 : 1;
    }
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        double largest = 0;
        for (int i = 0; i < N; i++) {
            x[i] = rows[r](i);
            importance[2][i] = fminf(fabsf(x[i]), 1);
            if (fabs((double)x[i]) > largest) largest = fabs((double)x[i]);
        }
        for (size_t t = 0; t < N_TYPES; t++) {
            for (int w = -1; w < 3; w++) {
                convert(types[t].type, x, w < 0 ? NULL : importance[w], y);
                for (int i = 0; i < N; i++) {
                    assert_true(isfinite(y[i]));
                    assert_true(fabs((double)y[i]) <= 1.6 * largest + 1e-6);
                    if (largest == 0) assert_true(y[i] == 0);
                }
            }
        }
    }
}

static void test_out_of_range(void **state) {
    (void)state;
    static float x[N], importance[N];
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, 65505.0f, -1e30f};
    uint8_t stored[4 * N];
    for (size_t t = 0; t < N_TYPES; t++) {
        tnn_type type = types[t].type;
        bool block = tnn_type_get_info(type)->quantized;
        for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++) {
            memset(stored, 0x5a, sizeof stored);
            x[700] = bad[b];
            bool taken = !block || (type == TNN_TYPE_MXFP4 && isfinite(bad[b]));
            assert_int_equal(tnn_quantize_row(type, x, stored, N, NULL), taken ? TNN_OK : TNN_E_RANGE);
            if (!taken) assert_true(stored[0] == 0x5a && memcmp(stored, stored + 1, sizeof stored - 1) == 0);
        }
        x[700] = 1;
        static const float bad_importance[] = {NAN, INFINITY, -1.0f, 2e14f};
        for (size_t b = 0; b < sizeof bad_importance / sizeof bad_importance[0]; b++) {
            importance[3] = bad_importance[b];
            assert_int_equal(tnn_quantize_row(type, x, stored, N, importance), block ? TNN_E_RANGE : TNN_OK);
        }
        importance[3] = 1;
        assert_int_equal(tnn_quantize_row(type, x, stored, N, importance), TNN_OK);
    }
}

static void test_largest_finite_in_mxfp4(void **state) {
    (void)state;
    float x[32] = {FLT_MAX, -FLT_MAX, FLT_MIN, 0x1p-149f}, y[32];
    uint8_t block[17];
    assert_int_equal(tnn_quantize_row(TNN_TYPE_MXFP4, x, block, 32, NULL), TNN_OK);
    assert_int_equal(tnn_dequantize_row(TNN_TYPE_MXFP4, block, y, 32), TNN_OK);
    assert_true(isfinite(y[0]) && y[0] > FLT_MAX / 2 && y[1] == -y[0] && y[2] == 0);
    float small[32] = {0x1p-149f};
    assert_int_equal(tnn_quantize_row(TNN_TYPE_MXFP4, small, block, 32, NULL), TNN_OK);
    assert_int_equal(block[0], 0);
}

static void test_bad_arguments(void **state) {
    (void)state;
    float x[256] = {0};
    uint8_t stored[1024];
    for (size_t t = 0; t < N_TYPES; t++) {
        tnn_type type = types[t].type;
        assert_int_equal(tnn_quantize_row(type, x, stored, 0, NULL), TNN_OK);
        assert_int_equal(tnn_dequantize_row(type, NULL, NULL, 0), TNN_OK);
        assert_int_equal(tnn_quantize_row(type, x, stored, -256, NULL), TNN_E_ARG);
        assert_int_equal(tnn_quantize_row(type, NULL, stored, 256, NULL), TNN_E_ARG);
        assert_int_equal(tnn_dequantize_row(type, stored, NULL, 256), TNN_E_ARG);
        if (tnn_type_get_info(type)->quantized) {
            assert_int_equal(tnn_quantize_row(type, x, stored, 255, NULL), TNN_E_ARG);
            assert_int_equal(tnn_dequantize_row(type, stored, x, 31), TNN_E_ARG);
        }
    }
    static const int32_t others[] = {-1, 4, 16, 26, 28, 40, 43, 1000};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(tnn_quantize_row((tnn_type)others[i], x, stored, 256, NULL), TNN_E_UNSUPPORTED);
        assert_int_equal(tnn_dequantize_row((tnn_type)others[i], stored, x, 256), TNN_E_UNSUPPORTED);
    }
}

/* Every type that can be run converts. */
static void test_usable_types_convert(void **state) {
    (void)state;
    for (int32_t id = 0; id < TNN_TYPE_COUNT; id++) {
        if (!tnn_type_get_info(id)->usable) continue;
        static float x[256], y[256];
        uint8_t stored[1024];
        assert_int_equal(tnn_quantize_row((tnn_type)id, x, stored, 256, NULL), TNN_OK);
        assert_int_equal(tnn_dequantize_row((tnn_type)id, stored, y, 256), TNN_OK);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_is_small),
        cmocka_unit_test(test_importance_moves_the_error),
        cmocka_unit_test(test_rows_at_any_address),
        cmocka_unit_test(test_blocks_stand_alone),
        cmocka_unit_test(test_odd_rows),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_largest_finite_in_mxfp4),
        cmocka_unit_test(test_usable_types_convert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
