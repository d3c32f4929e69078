/*
 * Conversions of rows: every level gives the bits of the portable table, which gives those of the public functions.
 * Only the payload of a NaN on the way to F32 is free: hardware makes a signalling one quiet.
 */
#include "support/kernels.h"

#include <tinynn/types.h>

static tnn__kernels portable;

/* What lies behind the result must stay. */
enum { GUARD = 16 };

static void check_to(const tnn__kernels *k, tnn_type type, const void *src, int64_t n) {
    float *want = scratch_new((size_t)n * sizeof(float));
    float *got = scratch_new((size_t)n * sizeof(float) + GUARD);
    assert_int_equal(tnn_dequantize_row(type, src, want, n), TNN_OK);
    k->to_f32[type](src, got, n);
    for (int64_t i = 0; i < n; i++)
        if (isnan(want[i]) && isnan(got[i])) got[i] = want[i];
    check_same(got, want, (size_t)n * sizeof(float), "%s to F32, n %lld", tnn_type_get_info((int32_t)type)->name,
               (long long)n);
    for (int i = 0; i < GUARD; i++)
        assert_int_equal(((uint8_t *)(got + n))[i], 0xff);
    free(want);
    free(got);
}

static void check_from(const tnn__kernels *k, tnn_type type, const float *src, int64_t n) {
    size_t bytes = tnn_row_bytes((int32_t)type, n);
    uint8_t *want = scratch_new(bytes), *got = scratch_new(bytes + GUARD);
    portable.from_f32[type](src, want, n);
    k->from_f32[type](src, got, n);
    check_same(got, want, bytes, "F32 to %s, n %lld", tnn_type_get_info((int32_t)type)->name, (long long)n);
    for (int i = 0; i < GUARD; i++)
        assert_int_equal(got[bytes + (size_t)i], 0xff);
    free(want);
    free(got);
}

/* Every usable type has a way to F32: random bits, at odd addresses, every number of blocks. */
static void to_f32(const tnn__kernels *k) {
    for (int type = 0; type < TNN_TYPE_COUNT; type++) {
        const tnn_type_info *info = tnn_type_get_info(type);
        if (!info->usable) {
            assert_null(k->to_f32[type]);
            continue;
        }
        assert_non_null(k->to_f32[type]);
        for (int64_t n_blocks = 1; n_blocks <= 70; n_blocks++) {
            size_t shift = (size_t)(n_blocks % 4), bytes = (size_t)(n_blocks * info->block_bytes);
            buffer b = buffer_new(bytes + shift);
            uint8_t *src = (uint8_t *)b.data;
            for (size_t i = 0; i < bytes; i++)
                src[i] = (uint8_t)random_u32();
            check_to(k, (tnn_type)type, src, n_blocks * info->block_elems);
            buffer_free(&b);
        }
    }
}

/* All 16-bit floats. */
static void all_halves(const tnn__kernels *k) {
    static uint16_t h[65536];
    for (int i = 0; i < 65536; i++)
        h[i] = (uint16_t)i;
    check_to(k, TNN_TYPE_F16, h, 65536);
    check_to(k, TNN_TYPE_BF16, h, 65536);
}

/* Any bits at all: subnormals, infinities, NaN; then numbers half way between two results. */
static void to_halves(const tnn__kernels *k) {
    enum { N = 1 << 16 };
    static float x[N];
    static const tnn_type types[] = {TNN_TYPE_F32, TNN_TYPE_F16, TNN_TYPE_BF16};
    for (size_t y = 0; y < sizeof types / sizeof *types; y++) {
        for (int i = 0; i < N; i++) {
            uint32_t bits = random_u32();
            if (i % 4 == 1) bits &= 0xfffff000u;
            if (i % 4 == 2) bits &= 0xffff8000u;
            if (i % 4 == 3) bits = (bits & 0x8fffffffu) | 0x30000000u; /* about the range of F16 */
            memcpy(&x[i], &bits, sizeof bits);
        }
        check_from(k, types[y], x, N);
        for (int64_t n = 1; n <= 130; n++)
            check_from(k, types[y], x + n, n);
    }
}

static void to_q8_0(const tnn__kernels *k) {
    float x[32 * 40];
    for (int64_t n_blocks = 1; n_blocks <= 40; n_blocks++) {
        random_floats(x, 32 * n_blocks);
        for (int64_t b = 0; b < n_blocks; b++) {
            float scale = ldexpf(1, (int)(random_below(60) - 45));
            for (int i = 0; i < 32; i++)
                x[32 * b + i] *= scale;
        }
        check_from(k, TNN_TYPE_Q8_0, x, 32 * n_blocks);
    }
    /* exact halves: the largest is 127, so the scale is 1 */
    for (int i = 0; i < 32; i++)
        x[i] = (float)(i - 16) + (i % 2 ? 0.5f : -0.5f);
    x[0] = 127;
    check_from(k, TNN_TYPE_Q8_0, x, 32);
    memset(x, 0, sizeof x);
    check_from(k, TNN_TYPE_Q8_0, x, 64);
    for (int i = 0; i < 32; i++)
        x[i] = (float)i * 1e-40f;
    check_from(k, TNN_TYPE_Q8_0, x, 32);
}

/* A block with something that is not finite reads as NaN, and its neighbours as ever. */
static void q8_0_not_finite(const tnn__kernels *k) {
    const float odd[] = {NAN, INFINITY, -INFINITY, 1e30f};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        float x[96], back[96];
        uint8_t stored[3 * 34];
        random_floats(x, 96);
        x[32 + 7 * i] = odd[i];
        check_from(k, TNN_TYPE_Q8_0, x, 96);
        k->from_f32[TNN_TYPE_Q8_0](x, stored, 96);
        k->to_f32[TNN_TYPE_Q8_0](stored, back, 96);
        for (int l = 0; l < 96; l++)
            assert_true(isnan(back[l]) == (l / 32 == 1));
    }
}

#define TEST(name)                                                                                                     \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        at_every_level(name);                                                                                          \
    }
TEST(to_f32)
TEST(all_halves)
TEST(to_halves)
TEST(to_q8_0)
TEST(q8_0_not_finite)

int main(void) {
    tnn__kernels_init(&portable, TNN_ISA_PORTABLE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_f32),  cmocka_unit_test(test_all_halves),      cmocka_unit_test(test_to_halves),
        cmocka_unit_test(test_to_q8_0), cmocka_unit_test(test_q8_0_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
