/*
 * Known answers: rows and blocks from a fixed generator, converted by ggml's reference code, kept as hashes. Both
 * directions must agree in every bit, the sign of a zero included.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <tinynn/types.h>

#include "quant/blocks.h"

#define N 1024

static uint32_t lcg(uint32_t *s) {
    return *s = *s * UINT32_C(1664525) + UINT32_C(1013904223);
}

/* FNV-1a with the offset basis that the hashes below were made with. */
static uint64_t hash(const void *data, size_t n) {
    const uint8_t *p = data;
    uint64_t h = UINT64_C(1469598103934665603);
    for (size_t i = 0; i < n; i++) {
        h = (h ^ p[i]) * UINT64_C(1099511628211);
    }
    return h;
}

/* Roughly normal: four uniforms, centred and scaled, and a run of zeros. */
static void make_row(float x[N]) {
    uint32_t s = 12345;
    for (int i = 0; i < N; i++) {
        float sum = 0;
        for (int k = 0; k < 4; k++) {
            sum += (float)(lcg(&s) >> 8) * 0x1p-24f;
        }
        x[i] = (sum - 2.0f) * 0.125f;
    }
    for (int i = 512; i < 544; i++) {
        x[i] = 0;
    }
}

typedef struct row_answer {
    tnn_type type;
    size_t bytes;
    uint64_t stored, restored;
} row_answer;

static const row_answer row_answers[] = {
    {TNN_TYPE_Q4_0, 576, UINT64_C(0x42f3ff757e6c6608), UINT64_C(0xdb6f5f23bfd45f8a)},
    {TNN_TYPE_Q4_1, 640, UINT64_C(0x68c42a71ba8e9496), UINT64_C(0xb8621849d727cf25)},
    {TNN_TYPE_Q5_0, 704, UINT64_C(0x094a9144d295b2d0), UINT64_C(0xb2ac7aae54eae6c0)},
    {TNN_TYPE_Q5_1, 768, UINT64_C(0xfbb2df05cf34eedc), UINT64_C(0xc94500cb7825923f)},
    {TNN_TYPE_Q8_0, 1088, UINT64_C(0x55acda7a6199b45e), UINT64_C(0x2f42d69eba7843fe)},
    {TNN_TYPE_Q2_K, 336, UINT64_C(0x1f57c5e0e915dfd1), UINT64_C(0x3202fe087a063390)},
    {TNN_TYPE_Q3_K, 440, UINT64_C(0x1a85eb755f842279), UINT64_C(0xbf57a48f7abc7f97)},
    {TNN_TYPE_Q4_K, 576, UINT64_C(0x13b65ac438562867), UINT64_C(0xc36031b1eb43ea62)},
    {TNN_TYPE_Q5_K, 704, UINT64_C(0x4ce993361aec0f1a), UINT64_C(0x8721d7f92b748a34)},
    {TNN_TYPE_Q6_K, 840, UINT64_C(0x662b00d2548c0819), UINT64_C(0x57899e30970fa3ef)},
    {TNN_TYPE_IQ4_NL, 576, UINT64_C(0x419ab05667ec5f78), UINT64_C(0x29ebcb77233420d4)},
    {TNN_TYPE_IQ4_XS, 544, UINT64_C(0x3a7accd6e23b84b6), UINT64_C(0x465aed31b87d28ea)},
    {TNN_TYPE_MXFP4, 544, UINT64_C(0x99f240194c810e79), UINT64_C(0xb26e7d6b5b564086)},
};

static void test_generated_row(void **state) {
    (void)state;
    float x[N];
    make_row(x);
    assert_true(hash(x, sizeof x) == UINT64_C(0x5a0933c466e98558));
}

static void test_rows(void **state) {
    (void)state;
    float x[N], y[N];
    uint8_t stored[2048];
    make_row(x);
    for (size_t i = 0; i < sizeof row_answers / sizeof row_answers[0]; i++) {
        const row_answer *a = &row_answers[i];
        assert_int_equal(tnn_row_bytes(a->type, N), a->bytes);
        assert_int_equal(tnn_quantize_row(a->type, x, stored, N, NULL), TNN_OK);
        assert_int_equal(tnn_dequantize_row(a->type, stored, y, N), TNN_OK);
        if (hash(stored, a->bytes) != a->stored || hash(y, sizeof y) != a->restored) {
            fail_msg("%s: stored %016llx, restored %016llx", tnn_type_get_info(a->type)->name,
                     (unsigned long long)hash(stored, a->bytes), (unsigned long long)hash(y, sizeof y));
        }
    }
}

typedef struct stored_answer {
    tnn_type type;
    uint64_t stored;
} stored_answer;

/* With an importance: squares of uniforms, times ten. */
static const stored_answer weighted_answers[] = {
    {TNN_TYPE_Q4_0, UINT64_C(0xe4172d200128f932)},   {TNN_TYPE_Q4_1, UINT64_C(0xc3ec55f29ee51467)},
    {TNN_TYPE_Q5_0, UINT64_C(0xb1fae14c71443de1)},   {TNN_TYPE_Q5_1, UINT64_C(0x70a63bee8892029e)},
    {TNN_TYPE_Q8_0, UINT64_C(0x55acda7a6199b45e)},   {TNN_TYPE_Q2_K, UINT64_C(0x4e6df1e461d7bf44)},
    {TNN_TYPE_Q3_K, UINT64_C(0x89560be15c9d4dd9)},   {TNN_TYPE_Q4_K, UINT64_C(0x1d9d971d8bfad346)},
    {TNN_TYPE_Q5_K, UINT64_C(0xe37bd36d4c9a8ecc)},   {TNN_TYPE_Q6_K, UINT64_C(0xa9cf38c83a9b7814)},
    {TNN_TYPE_IQ4_NL, UINT64_C(0xca559f01bd984eb0)}, {TNN_TYPE_IQ4_XS, UINT64_C(0x9c843d1896337387)},
    {TNN_TYPE_MXFP4, UINT64_C(0x99f240194c810e79)},
};

/* Activations, never in a file. */
static const stored_answer activation_answers[] = {
    {TNN_TYPE_Q8_1, UINT64_C(0x64a58ba9d0fa0147)},
    {TNN_TYPE_Q8_K, UINT64_C(0xda63e5909f95be94)},
};

static void check_stored(const stored_answer *a, const float *x, const float *importance) {
    uint8_t stored[2048];
    assert_int_equal(tnn_quantize_row(a->type, x, stored, N, importance), TNN_OK);
    uint64_t h = hash(stored, tnn_row_bytes(a->type, N));
    if (h != a->stored) fail_msg("%s: stored %016llx", tnn_type_get_info(a->type)->name, (unsigned long long)h);
}

static void test_weighted_rows(void **state) {
    (void)state;
    float x[N], importance[N];
    make_row(x);
    uint32_t s = 99;
    for (int i = 0; i < N; i++) {
        float u = (float)(lcg(&s) >> 8) * 0x1p-24f;
        importance[i] = u * u * 10.0f;
    }
    assert_true(hash(importance, sizeof importance) == UINT64_C(0x595493b6b11a01ab));
    for (size_t i = 0; i < sizeof weighted_answers / sizeof weighted_answers[0]; i++) {
        check_stored(&weighted_answers[i], x, importance);
    }
}

static void test_activation_rows(void **state) {
    (void)state;
    float x[N];
    make_row(x);
    for (size_t i = 0; i < sizeof activation_answers / sizeof activation_answers[0]; i++) {
        check_stored(&activation_answers[i], x, NULL);
    }
}

/* Where the F16 fields of a block lie, -1 for none. */
typedef struct block_answer {
    tnn_type type;
    int d, second;
    uint64_t restored;
} block_answer;

#define FIELD(block, field) ((int)offsetof(tnn__block_##block, field))

static const block_answer block_answers[] = {
    {TNN_TYPE_Q4_0, FIELD(q4_0, d), -1, UINT64_C(0x372b45d44ee60214)},
    {TNN_TYPE_Q4_1, FIELD(q4_1, d), FIELD(q4_1, m), UINT64_C(0xa5a4d88f38ad25d3)},
    {TNN_TYPE_Q5_0, FIELD(q5_0, d), -1, UINT64_C(0x295b463aa6cfb4f5)},
    {TNN_TYPE_Q5_1, FIELD(q5_1, d), FIELD(q5_1, m), UINT64_C(0x1db5aea4855cb9b2)},
    {TNN_TYPE_Q8_0, FIELD(q8_0, d), -1, UINT64_C(0xc01edde50b6ea4aa)},
    {TNN_TYPE_Q2_K, FIELD(q2_k, d), FIELD(q2_k, dmin), UINT64_C(0x827ff17e4b5b0b13)},
    {TNN_TYPE_Q3_K, FIELD(q3_k, d), -1, UINT64_C(0x95e0c922b0d1ae98)},
    {TNN_TYPE_Q4_K, FIELD(q4_k, d), FIELD(q4_k, dmin), UINT64_C(0xc1e79fda47480ab3)},
    {TNN_TYPE_Q5_K, FIELD(q5_k, d), FIELD(q5_k, dmin), UINT64_C(0x99bbcd0869f2bde1)},
    {TNN_TYPE_Q6_K, FIELD(q6_k, d), -1, UINT64_C(0xb5a3d82577915c9f)},
    {TNN_TYPE_IQ4_NL, FIELD(iq4_nl, d), -1, UINT64_C(0x1c1d358e1a17c1bc)},
    {TNN_TYPE_IQ4_XS, FIELD(iq4_xs, d), -1, UINT64_C(0x83084ff5289cb7c0)},
    {TNN_TYPE_MXFP4, -1, -1, UINT64_C(0x3508b53622937a3d)},
};

/* Random bytes for 256 elements, with scales that are ordinary numbers. */
static void make_blocks(const block_answer *a, uint8_t *blocks) {
    const tnn_type_info *info = tnn_type_get_info(a->type);
    uint32_t s = 777;
    size_t bytes = tnn_row_bytes(a->type, 256);
    for (size_t i = 0; i < bytes; i++) {
        blocks[i] = (uint8_t)(lcg(&s) >> 24);
    }
    for (int b = 0; b < 256 / info->block_elems; b++) {
        uint8_t *block = blocks + b * info->block_bytes;
        if (a->d >= 0) memcpy(block + a->d, (const uint8_t[]){0x66, 0x2e}, 2);
        if (a->second >= 0) memcpy(block + a->second, (const uint8_t[]){0x66, 0x2a}, 2);
        if (a->type == TNN_TYPE_MXFP4) block[0] = (uint8_t)(120 + b % 8);
    }
}

static void test_blocks(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof block_answers / sizeof block_answers[0]; i++) {
        const block_answer *a = &block_answers[i];
        uint8_t blocks[512];
        float y[256];
        make_blocks(a, blocks);
        assert_int_equal(tnn_dequantize_row(a->type, blocks, y, 256), TNN_OK);
        if (hash(y, sizeof y) != a->restored) {
            fail_msg("%s: restored %016llx", tnn_type_get_info(a->type)->name, (unsigned long long)hash(y, sizeof y));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generated_row),   cmocka_unit_test(test_rows),   cmocka_unit_test(test_weighted_rows),
        cmocka_unit_test(test_activation_rows), cmocka_unit_test(test_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
