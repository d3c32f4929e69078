/* Levels by name, what is available, and a table without holes at each of them. */
#include "support/kernels.h"

#include <tinynn/types.h>

static void test_names(void **state) {
    (void)state;
    assert_string_equal(tnn_isa_name(TNN_ISA_PORTABLE), "portable");
    assert_string_equal(tnn_isa_name(TNN_ISA_AVX512BF16), "avx512bf16");
    assert_string_equal(tnn_isa_name((tnn_isa)-1), "unknown");
    assert_string_equal(tnn_isa_name(TNN_ISA_COUNT), "unknown");
    for (int isa = 0; isa < TNN_ISA_COUNT; isa++)
        assert_int_equal(tnn_isa_from_name(tnn_isa_name((tnn_isa)isa)), isa);
    assert_int_equal(tnn_isa_from_name("avx"), -1);
    assert_int_equal(tnn_isa_from_name(""), -1);
    assert_int_equal(tnn_isa_from_name(NULL), -1);
}

static void test_available(void **state) {
    (void)state;
    assert_true(tnn_isa_available(TNN_ISA_PORTABLE));
    assert_true(tnn_isa_available(tnn_isa_detect()));
    assert_false(tnn_isa_available((tnn_isa)-1));
    assert_false(tnn_isa_available(TNN_ISA_COUNT));
    for (int isa = tnn_isa_detect() + 1; isa < TNN_ISA_COUNT; isa++)
        assert_false(tnn_isa_available((tnn_isa)isa));
    /* one architecture at a time */
    assert_false(tnn_isa_available(TNN_ISA_AVX2) && tnn_isa_available(TNN_ISA_NEON));
}

/* The level asked for bounds the level reached, and an unavailable one is passed over. */
static void test_limit(void **state) {
    (void)state;
    for (int max = 0; max < TNN_ISA_COUNT; max++) {
        tnn__kernels k;
        int reached = tnn__kernels_init(&k, (tnn_isa)max), want = max;
        while (!tnn_isa_available((tnn_isa)want))
            want--;
        assert_int_equal(reached, want);
    }
}

static void complete(const tnn__kernels *k) {
    static const tnn_type stored[] = {TNN_TYPE_F32, TNN_TYPE_F16, TNN_TYPE_BF16, TNN_TYPE_Q8_0};
    assert_non_null(k->quantize_act);
    assert_true(k->attn && k->attn_part && k->attn_join && k->attn_scratch_bytes && k->attn_rows > 0);
    assert_true(k->rms_norm && k->swiglu && k->add && k->rope);
    for (size_t i = 0; i < sizeof stored / sizeof *stored; i++)
        assert_non_null(k->from_f32[stored[i]]);
    for (int type = 0; type < TNN_TYPE_COUNT; type++) {
        bool usable = tnn_type_get_info(type)->usable;
        assert_int_equal(k->to_f32[type] != NULL, usable);
        assert_int_equal(k->gemm[type].run != NULL, usable);
        if (!usable) continue;
        int32_t align = k->gemm[type].row_align;
        assert_true(align >= 1 && align <= 64 && (align & (align - 1)) == 0);
        assert_non_null(k->gemm[type].scratch_bytes);
    }
}

static void test_complete(void **state) {
    (void)state;
    at_every_level(complete);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_available),
                                       cmocka_unit_test(test_limit), cmocka_unit_test(test_complete)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
