/*
 * The 16-bit floats, exhaustively where there are 65,536 values, and from F32 against a slow reference: of all halves
 * the nearest, of two nearest the even one.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/half.h"
#include "base/rng.h"

/* The value of a finite format with the given number of mantissa bits, from its definition. */
static double value_of(uint16_t h, int mantissa_bits, int bias) {
    int exponent = (h & 0x7fff) >> mantissa_bits;
    int mantissa = h & ((1 << mantissa_bits) - 1);
    double magnitude = exponent == 0 ? ldexp(mantissa, 1 - bias - mantissa_bits)
                                     : ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
    return h & 0x8000 ? -magnitude : magnitude;
}

/* Bits of the half whose neighbourhood holds f: bisection over the magnitudes, in double, which is exact here. */
static uint16_t reference_round(float f, int mantissa_bits, int bias, uint16_t infinity) {
    uint16_t sign = signbit(f) ? 0x8000 : 0;
    double x = fabs((double)f);
    if (isinf(f)) return (uint16_t)(sign | infinity);
    unsigned below = 0, above = infinity; /* below <= x; what would be the next value stands in for infinity */
    while (above - below > 1) {
        unsigned middle = (below + above) / 2;
        if (value_of((uint16_t)middle, mantissa_bits, bias) <= x) {
            below = middle;
        } else {
            above = middle;
        }
    }
    double down = x - value_of((uint16_t)below, mantissa_bits, bias);
    double up = value_of((uint16_t)above, mantissa_bits, bias) - x;
    bool take_above = up < down || (up == down && below % 2 == 1);
    return (uint16_t)(sign | (take_above ? above : below));
}

static uint16_t reference_f16(float f) {
    return reference_round(f, 10, 15, 0x7c00);
}

static uint16_t reference_bf16(float f) {
    return reference_round(f, 7, 127, 0x7f80);
}

static void test_every_half_to_f32_and_back(void **state) {
    (void)state;
    for (unsigned h = 0; h <= 0xffff; h++) {
        float f = tnn__f16_to_f32((uint16_t)h);
        bool is_nan = (h & 0x7fff) > 0x7c00;
        if (is_nan) {
            assert_true(isnan(f));
            assert_true((tnn__f32_to_f16(f) & 0x7fff) > 0x7c00);
            assert_int_equal(tnn__f32_to_f16(f) & 0x8000, h & 0x8000);
            continue;
        }
        if ((h & 0x7fff) == 0x7c00) {
            assert_true(isinf(f) && (signbit(f) != 0) == (h >> 15));
        } else {
            assert_true((double)f == value_of((uint16_t)h, 10, 15) && (signbit(f) != 0) == (h >> 15));
        }
        assert_int_equal(tnn__f32_to_f16(f), h);
    }
}

static void test_every_bfloat_to_f32_and_back(void **state) {
    (void)state;
    for (unsigned h = 0; h <= 0xffff; h++) {
        float f = tnn__bf16_to_f32((uint16_t)h);
        if ((h & 0x7fff) > 0x7f80) {
            assert_true(isnan(f));
            assert_int_equal(tnn__f32_to_bf16(f), h | 64);
            continue;
        }
        if ((h & 0x7fff) < 0x7f80) assert_true((double)f == value_of((uint16_t)h, 7, 127));
        assert_int_equal(tnn__f32_to_bf16(f), h);
    }
}

static void check(float f) {
    if (isnan(f)) {
        assert_true((tnn__f32_to_f16(f) & 0x7fff) > 0x7c00);
        assert_true((tnn__f32_to_bf16(f) & 0x7fff) > 0x7f80);
        return;
    }
    assert_int_equal(tnn__f32_to_f16(f), reference_f16(f));
    assert_int_equal(tnn__f32_to_bf16(f), reference_bf16(f));
}

/* Around every point where rounding to half changes: the ties between neighbours and the F32 on either side. */
static void test_around_every_tie_of_half(void **state) {
    (void)state;
    for (unsigned h = 0; h < 0x7c00; h++) {
        double tie = (value_of((uint16_t)h, 10, 15) + value_of((uint16_t)(h + 1), 10, 15)) / 2;
        uint32_t bits = tnn__f32_bits((float)tie);
        assert_true((double)tnn__f32_from_bits(bits) == tie);
        for (uint32_t b = bits - 1; b <= bits + 1; b++) {
            float f = tnn__f32_from_bits(b);
            assert_int_equal(tnn__f32_to_f16(f), reference_f16(f));
            assert_int_equal(tnn__f32_to_f16(-f), reference_f16(-f));
        }
    }
}

/* The upper half of an F32 is a bfloat; the ties are where the lower half is 0x8000. */
static void test_around_every_tie_of_bfloat(void **state) {
    (void)state;
    for (uint32_t h = 0; h <= 0xffff; h++) {
        for (uint32_t low = 0x7fff; low <= 0x8001; low++) {
            check(tnn__f32_from_bits(h << 16 | low));
        }
    }
}

static void test_random_bits_and_edges(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 250000; i++) {
        uint32_t words[4];
        tnn__philox(11, 0, i, words);
        check(tnn__f32_from_bits(words[0]));
        /* exponents where halves live, subnormals included */
        check(tnn__f32_from_bits((words[1] & 0x807fffff) | (100 + words[2] % 44) << 23));
    }
    static const uint32_t edges[] = {0,          1,          0x007fffff, 0x00800000, 0x33000000, 0x33000001, 0x33800000,
                                     0x387fffff, 0x38800000, 0x477fe000, 0x477fefff, 0x477ff000, 0x47800000, 0x7f7fffff,
                                     0x7f7f7fff, 0x7f7f8000, 0x7f800000, 0x7f800001, 0x7fffffff};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        check(tnn__f32_from_bits(edges[i]));
        check(tnn__f32_from_bits(edges[i] | 0x80000000));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_half_to_f32_and_back), cmocka_unit_test(test_every_bfloat_to_f32_and_back),
        cmocka_unit_test(test_around_every_tie_of_half),   cmocka_unit_test(test_around_every_tie_of_bfloat),
        cmocka_unit_test(test_random_bits_and_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
