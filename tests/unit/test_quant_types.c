/* What is known of every type id, and the arithmetic of row sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <tinynn/types.h>

typedef struct type_fact {
    int32_t id;
    const char *name;
    int32_t elems, bytes;
    bool usable;
} type_fact;

static const type_fact facts[] = {
    {0, "F32", 1, 4, true},         {1, "F16", 1, 2, true},          {2, "Q4_0", 32, 18, true},
    {3, "Q4_1", 32, 20, true},      {6, "Q5_0", 32, 22, true},       {7, "Q5_1", 32, 24, true},
    {8, "Q8_0", 32, 34, true},      {9, "Q8_1", 32, 36, false},      {10, "Q2_K", 256, 84, true},
    {11, "Q3_K", 256, 110, true},   {12, "Q4_K", 256, 144, true},    {13, "Q5_K", 256, 176, true},
    {14, "Q6_K", 256, 210, true},   {15, "Q8_K", 256, 292, false},   {16, "IQ2_XXS", 256, 66, false},
    {17, "IQ2_XS", 256, 74, false}, {18, "IQ3_XXS", 256, 98, false}, {19, "IQ1_S", 256, 50, false},
    {20, "IQ4_NL", 32, 18, true},   {21, "IQ3_S", 256, 110, false},  {22, "IQ2_S", 256, 82, false},
    {23, "IQ4_XS", 256, 136, true}, {24, "I8", 1, 1, false},         {25, "I16", 1, 2, false},
    {26, "I32", 1, 4, false},       {27, "I64", 1, 8, false},        {28, "F64", 1, 8, false},
    {29, "IQ1_M", 256, 56, false},  {30, "BF16", 1, 2, true},        {34, "TQ1_0", 256, 54, false},
    {35, "TQ2_0", 256, 66, false},  {39, "MXFP4", 32, 17, true},     {40, "NVFP4", 64, 36, false},
    {41, "Q1_0", 128, 18, false},   {42, "Q2_0", 64, 18, false},
};

#define N_FACTS (sizeof facts / sizeof facts[0])

static void test_every_type(void **state) {
    (void)state;
    for (size_t i = 0; i < N_FACTS; i++) {
        const tnn_type_info *info = tnn_type_get_info(facts[i].id);
        assert_string_equal(info->name, facts[i].name);
        assert_int_equal(info->block_elems, facts[i].elems);
        assert_int_equal(info->block_bytes, facts[i].bytes);
        assert_int_equal(info->quantized, facts[i].elems > 1);
        assert_int_equal(info->usable, facts[i].usable);
        assert_int_equal(tnn_type_from_name(facts[i].name), facts[i].id);
    }
}

/* Removed ids, ids of forks, and numbers that were never ids. */
static void test_ids_that_name_nothing(void **state) {
    (void)state;
    int n_named = 0;
    for (int32_t id = -300; id < 400; id++) {
        const tnn_type_info *info = tnn_type_get_info(id);
        assert_non_null(info);
        n_named += info->name != NULL;
        if (!info->name) {
            assert_false(info->usable);
            assert_int_equal(info->block_bytes, 0);
            assert_int_equal(tnn_row_bytes(id, 256), 0);
        }
    }
    assert_int_equal(n_named, N_FACTS);
    static const int32_t others[] = {4, 5, 31, 32, 33, 36, 37, 38, 43, 97, 133, 137, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_null(tnn_type_get_info(others[i])->name);
    }
}

static void test_names(void **state) {
    (void)state;
    assert_int_equal(tnn_type_from_name("q4_k"), TNN_TYPE_Q4_K);
    assert_int_equal(tnn_type_from_name("bf16"), TNN_TYPE_BF16);
    assert_int_equal(tnn_type_from_name("Iq4_nL"), TNN_TYPE_IQ4_NL);
    assert_int_equal(tnn_type_from_name("q4"), -1);
    assert_int_equal(tnn_type_from_name("q4_k_m"), -1);
    assert_int_equal(tnn_type_from_name(""), -1);
    assert_int_equal(tnn_type_from_name(NULL), -1);
}

static void test_row_bytes(void **state) {
    (void)state;
    assert_int_equal(tnn_row_bytes(TNN_TYPE_F32, 0), 0);
    assert_int_equal(tnn_row_bytes(TNN_TYPE_F32, 5), 20);
    assert_int_equal(tnn_row_bytes(TNN_TYPE_Q4_0, 576), 18 * 18);
    assert_int_equal(tnn_row_bytes(TNN_TYPE_Q4_K, 576), 0);
    assert_int_equal(tnn_row_bytes(TNN_TYPE_Q4_K, -256), 0);
    assert_int_equal(tnn_row_bytes(TNN_TYPE_F32, INT64_MIN), 0);
    assert_int_equal(tnn_row_bytes(TNN_TYPE_F32, INT64_MAX), 0);
    assert_int_equal(tnn_row_bytes(TNN_TYPE_F64, INT64_MAX / 8 + 1), 0);
    if (SIZE_MAX > UINT32_MAX) {
        assert_true(tnn_row_bytes(TNN_TYPE_F64, INT64_MAX / 8) == (size_t)(INT64_MAX / 8 * 8));
        assert_true(tnn_row_bytes(TNN_TYPE_I8, INT64_MAX) == (size_t)INT64_MAX);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_ids_that_name_nothing),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_row_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
