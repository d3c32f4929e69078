/* Split GGUF files: joined when they belong together, refused with the shard named when they do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/gguf_bytes.h"
#include "support/gguf_walk.h"
#include "support/temp_dir.h"

static temp_dir dir;

static int create_dir(void **state) {
    (void)state;
    temp_dir_create(&dir);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

/* What one shard says and holds; tensors "t<first>" and on, one F32 each with its number as value. */
typedef struct shard {
    int no, count, n_stated;
    int first, n_tensors;
    uint32_t alignment;
} shard;

static void write_shard(const char *name, shard s) {
    bytes b = {0};
    bool leading = s.no == 0;
    put_fixed_part(&b, 3, (uint64_t)s.n_tensors, leading ? 5 : 4);
    put_key(&b, "split.no", TNN_GGUF_U16);
    put_uint(&b, (uint64_t)s.no, 2);
    put_key(&b, "split.count", TNN_GGUF_U16);
    put_uint(&b, (uint64_t)s.count, 2);
    put_key(&b, "split.tensors.count", TNN_GGUF_I32);
    put_uint(&b, (uint64_t)s.n_stated, 4);
    put_kv_u32(&b, "general.alignment", s.alignment);
    if (leading) put_kv_str(&b, "general.architecture", "llama");
    for (int i = 0; i < s.n_tensors; i++) {
        char tensor[16];
        snprintf(tensor, sizeof tensor, "t%d", s.first + i);
        put_tensor_1d(&b, tensor, 1, TNN_TYPE_F32, (uint64_t)i * s.alignment);
    }
    for (int i = 0; i < s.n_tensors; i++) {
        put_padding(&b, s.alignment);
        put_f32(&b, (float)(s.first + i));
    }
    FILE *f = fopen(temp_path(&dir, name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b.data, 1, b.size, f), b.size);
    fclose(f);
    free_bytes(&b);
}

#define FIRST  "m-00001-of-00003.gguf"
#define SECOND "m-00002-of-00003.gguf"
#define THIRD  "m-00003-of-00003.gguf"

static void write_valid(void) {
    temp_dir_empty(&dir);
    write_shard(FIRST, (shard){0, 3, 5, 0, 2, 32});
    write_shard(SECOND, (shard){1, 3, 5, 2, 1, 64});
    write_shard(THIRD, (shard){2, 3, 5, 3, 2, 32});
}

static void expect_refused(const char *name, tnn_status status, const char *message) {
    tnn_gguf *g;
    tnn_error err = {0};
    assert_int_equal(tnn_gguf_open(&g, temp_path(&dir, name), NULL, &err), status);
    assert_null(g);
    if (!strstr(err.text, message)) fail_msg("'%s' is not in: %s", message, err.text);
}

static void test_shards_are_joined(void **state) {
    (void)state;
    write_valid();
    for (int use_mmap = 0; use_mmap <= 1; use_mmap++) {
        tnn_gguf_open_options options = {.use_mmap = use_mmap != 0};
        tnn_gguf *g;
        tnn_error err;
        if (tnn_gguf_open(&g, temp_path(&dir, FIRST), &options, &err) != TNN_OK) fail_msg("%s", err.text);
        assert_int_equal(tnn_gguf_shard_count(g), 3);
        assert_int_equal(tnn_gguf_n_tensors(g), 5);
        static const int shard_of[] = {0, 0, 1, 2, 2};
        for (int i = 0; i < 5; i++) {
            char name[16];
            snprintf(name, sizeof name, "t%d", i);
            const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, i);
            float value;
            memcpy(&value, t->data, sizeof value);
            assert_int_equal(tnn_gguf_find_tensor(g, name), i);
            assert_int_equal(t->shard, shard_of[i]);
            assert_true(value == (float)i);
        }
        uint64_t sum = 0;
        assert_true(walk_gguf(g, &sum));
        assert_true(tnn_gguf_file_bytes(g) > 3 * 100);
        tnn_gguf_close(g);
    }
}

static void test_first_shard_without_tensors(void **state) {
    (void)state;
    temp_dir_empty(&dir);
    write_shard("n-00001-of-00002.gguf", (shard){0, 2, 2, 0, 0, 32});
    write_shard("n-00002-of-00002.gguf", (shard){1, 2, 2, 7, 2, 32});
    tnn_gguf *g;
    tnn_error err;
    if (tnn_gguf_open(&g, temp_path(&dir, "n-00001-of-00002.gguf"), NULL, &err) != TNN_OK) fail_msg("%s", err.text);
    assert_int_equal(tnn_gguf_find_tensor(g, "t8"), 1);
    assert_int_not_equal(tnn_gguf_find_key(g, "general.architecture"), -1);
    tnn_gguf_close(g);
}

static void test_count_of_one_is_an_ordinary_file(void **state) {
    (void)state;
    temp_dir_empty(&dir);
    write_shard("any name.bin", (shard){0, 1, 99, 0, 2, 32});
    tnn_gguf *g;
    tnn_error err;
    if (tnn_gguf_open(&g, temp_path(&dir, "any name.bin"), NULL, &err) != TNN_OK) fail_msg("%s", err.text);
    assert_int_equal(tnn_gguf_shard_count(g), 1);
    tnn_gguf_close(g);
}

static void test_refused_splits(void **state) {
    (void)state;
    write_valid();
    expect_refused(SECOND, TNN_E_FORMAT, "this is shard 2 of 3; open the first one");

    write_valid();
    remove(temp_path(&dir, THIRD));
    expect_refused(FIRST, TNN_E_IO, THIRD);

    write_valid();
    write_shard(THIRD, (shard){1, 3, 5, 3, 2, 32});
    expect_refused(FIRST, TNN_E_FORMAT, "shard 3 of 3 is expected here");

    write_valid();
    write_shard(SECOND, (shard){1, 4, 5, 2, 1, 32});
    expect_refused(FIRST, TNN_E_FORMAT, "say 2 of 4");

    write_valid();
    write_shard(SECOND, (shard){0, 0, 5, 2, 1, 32});
    expect_refused(FIRST, TNN_E_FORMAT, "say 1 of 1");

    write_valid();
    write_shard(THIRD, (shard){2, 3, 5, 1, 2, 32});
    expect_refused(FIRST, TNN_E_FORMAT, "same name 't1'");

    write_valid();
    write_shard(THIRD, (shard){2, 3, 5, 3, 3, 32});
    expect_refused(FIRST, TNN_E_FORMAT, "hold 6 tensors, key split.tensors.count says 5");

    write_valid();
    write_shard(FIRST, (shard){0, 3, -1, 0, 2, 32});
    expect_refused(FIRST, TNN_E_FORMAT, "says -1");

    write_valid();
    write_shard(THIRD, (shard){2, 3, 5, 3, 2, 3});
    expect_refused(FIRST, TNN_E_FORMAT, THIRD ": metadata entry");

    write_valid();
    write_shard("renamed.gguf", (shard){0, 3, 5, 0, 2, 32});
    expect_refused("renamed.gguf", TNN_E_FORMAT, "must end in -00001-of-00003.gguf");
    write_shard("s.gguf", (shard){0, 3, 5, 0, 2, 32});
    expect_refused("s.gguf", TNN_E_FORMAT, "must end in -00001-of-00003.gguf");
    write_shard("m-00001-of-00004.gguf", (shard){0, 3, 5, 0, 2, 32});
    expect_refused("m-00001-of-00004.gguf", TNN_E_FORMAT, "must end in -00001-of-00003.gguf");

    write_shard("m-00001-of-65535.gguf", (shard){0, 65535, 5, 0, 2, 32});
    expect_refused("m-00001-of-65535.gguf", TNN_E_IO, "m-00002-of-65535.gguf");
    write_shard("m-00006-of-00005.gguf", (shard){5, 5, 5, 0, 2, 32});
    expect_refused("m-00006-of-00005.gguf", TNN_E_FORMAT, "do not fit");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shards_are_joined),
        cmocka_unit_test(test_first_shard_without_tensors),
        cmocka_unit_test(test_count_of_one_is_an_ordinary_file),
        cmocka_unit_test(test_refused_splits),
    };
    return cmocka_run_group_tests(tests, create_dir, remove_dir);
}
