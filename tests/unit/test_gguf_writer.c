/* Writing GGUF: the bytes in the file, what a reader makes of them, and calls that are refused. */
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

static tnn_gguf_writer *new_writer(void) {
    tnn_gguf_writer *w;
    tnn_error err;
    assert_int_equal(tnn_gguf_writer_new(&w, NULL, &err), TNN_OK);
    return w;
}

static void ok(tnn_status status) {
    assert_int_equal(status, TNN_OK);
}

static void finish(tnn_gguf_writer *w) {
    tnn_error err = {0};
    if (tnn_gguf_writer_finish(w, &err) != TNN_OK) fail_msg("%s", err.text);
    tnn_gguf_writer_free(w);
}

static tnn_gguf *open_file(const char *name) {
    tnn_gguf *g;
    tnn_error err;
    if (tnn_gguf_open(&g, temp_path(&dir, name), NULL, &err) != TNN_OK) fail_msg("%s", err.text);
    return g;
}

static bytes read_file(const char *name) {
    bytes b = {0};
    uint8_t piece[4096];
    FILE *f = fopen(temp_path(&dir, name), "rb");
    assert_non_null(f);
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;) {
        put_raw(&b, piece, n);
    }
    fclose(f);
    return b;
}

static const uint8_t pattern[1024] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* The layout llama.cpp demands, byte by byte. */
static void test_exact_bytes(void **state) {
    (void)state;
    static const uint16_t numbers[] = {1, 0x203};
    static const tnn_gguf_str strings[] = {{"ab", 2}, {"", 0}, {"c\0d", 3}};
    tnn_gguf_writer *w = new_writer();
    ok(tnn_gguf_set_str(w, "general.architecture", "llama", 5));
    ok(tnn_gguf_set_u32(w, "u32", 0x01020304));
    ok(tnn_gguf_set_i32(w, "i32", -2));
    ok(tnn_gguf_set_u64(w, "u64", UINT64_C(0x0102030405060708)));
    ok(tnn_gguf_set_f32(w, "f32", 1.5f));
    ok(tnn_gguf_set_bool(w, "bool", true));
    ok(tnn_gguf_set_array(w, "array", TNN_GGUF_U16, numbers, 2));
    ok(tnn_gguf_set_str_array(w, "strings", strings, 3));
    ok(tnn_gguf_add_tensor(w, "q", TNN_TYPE_Q8_0, 2, (const int64_t[]){32, 2}));
    ok(tnn_gguf_add_tensor(w, "nothing", TNN_TYPE_F32, 1, (const int64_t[]){0}));
    ok(tnn_gguf_add_tensor(w, "last", TNN_TYPE_F16, 1, (const int64_t[]){3}));
    uint64_t announced = tnn_gguf_writer_bytes(w);
    ok(tnn_gguf_writer_begin(w, temp_path(&dir, "exact.gguf")));
    ok(tnn_gguf_write_data(w, pattern, 68));
    ok(tnn_gguf_write_data(w, pattern, 6));
    finish(w);

    bytes e = {0};
    put_fixed_part(&e, 3, 3, 8);
    put_kv_str(&e, "general.architecture", "llama");
    put_kv_u32(&e, "u32", 0x01020304);
    put_key(&e, "i32", TNN_GGUF_I32);
    put_uint(&e, 0xfffffffe, 4);
    put_key(&e, "u64", TNN_GGUF_U64);
    put_uint(&e, UINT64_C(0x0102030405060708), 8);
    put_key(&e, "f32", TNN_GGUF_F32);
    put_f32(&e, 1.5f);
    put_key(&e, "bool", TNN_GGUF_BOOL);
    put_uint(&e, 1, 1);
    put_array(&e, "array", TNN_GGUF_U16, 2);
    put_uint(&e, 1, 2);
    put_uint(&e, 0x203, 2);
    put_array(&e, "strings", TNN_GGUF_STRING, 3);
    put_str(&e, "ab");
    put_str(&e, "");
    put_uint(&e, 3, 8);
    put_raw(&e, "c\0d", 3);
    put_tensor_2d(&e, "q", 32, 2, TNN_TYPE_Q8_0, 0);
    put_tensor_1d(&e, "nothing", 0, TNN_TYPE_F32, 96);
    put_tensor_1d(&e, "last", 3, TNN_TYPE_F16, 96);
    put_padding(&e, 32);
    put_raw(&e, pattern, 68);
    put_zeros(&e, 28);
    put_raw(&e, pattern, 6);
    put_zeros(&e, 26);

    bytes b = read_file("exact.gguf");
    assert_int_equal(b.size, e.size);
    assert_int_equal(announced, e.size);
    assert_memory_equal(b.data, e.data, e.size);
    free_bytes(&b);
    free_bytes(&e);
}

static void test_metadata_alone_is_padded(void **state) {
    (void)state;
    tnn_gguf_writer *w = new_writer();
    ok(tnn_gguf_set_bool(w, "b", false));
    ok(tnn_gguf_writer_begin(w, temp_path(&dir, "kv.gguf")));
    finish(w);
    bytes b = read_file("kv.gguf");
    assert_int_equal(b.size, 64);
    free_bytes(&b);
    tnn_gguf *g = open_file("kv.gguf");
    assert_int_equal(tnn_gguf_n_kv(g), 1);
    tnn_gguf_close(g);
}

static void test_alignment_is_honoured(void **state) {
    (void)state;
    tnn_gguf_writer *w = new_writer();
    ok(tnn_gguf_add_tensor(w, "a", TNN_TYPE_F32, 1, (const int64_t[]){1}));
    ok(tnn_gguf_add_tensor(w, "b", TNN_TYPE_F32, 1, (const int64_t[]){1}));
    ok(tnn_gguf_set_u32(w, "general.alignment", 65536));
    ok(tnn_gguf_set_u32(w, "general.alignment", 8192));
    ok(tnn_gguf_writer_begin(w, temp_path(&dir, "aligned.gguf")));
    ok(tnn_gguf_write_data(w, pattern, 4));
    ok(tnn_gguf_write_data(w, pattern, 4));
    finish(w);
    tnn_gguf *g = open_file("aligned.gguf");
    assert_int_equal(tnn_gguf_alignment(g), 8192);
    assert_int_equal(tnn_gguf_file_bytes(g), 3 * 8192);
    assert_int_equal(tnn_gguf_tensor_at(g, 1)->file_offset, 2 * 8192);
    tnn_gguf_close(g);
}

static void test_setting_twice_replaces(void **state) {
    (void)state;
    tnn_gguf_writer *w = new_writer();
    ok(tnn_gguf_set_u32(w, "a", 1));
    ok(tnn_gguf_set_str(w, "b", "first", 5));
    ok(tnn_gguf_set_u32(w, "c", 3));
    ok(tnn_gguf_set_f32(w, "b", 2.5f));
    ok(tnn_gguf_writer_begin(w, temp_path(&dir, "twice.gguf")));
    finish(w);
    tnn_gguf *g = open_file("twice.gguf");
    float value = 0;
    assert_int_equal(tnn_gguf_n_kv(g), 3);
    assert_int_equal(tnn_gguf_find_key(g, "b"), 1);
    ok(tnn_gguf_get_f32(g, "b", &value, NULL));
    assert_true(value == 2.5f);
    tnn_gguf_close(g);
}

/* Elements in host order, whatever their width. */
static void test_arrays_of_every_width(void **state) {
    (void)state;
    static const int8_t i8[] = {-1, 2};
    static const uint16_t u16[] = {1, 65535};
    static const int32_t i32[] = {-3, 4};
    static const int64_t i64[] = {-5, INT64_MAX};
    static const double f64[] = {0.1, -1e300};
    tnn_gguf_writer *w = new_writer();
    ok(tnn_gguf_set_array(w, "i8", TNN_GGUF_I8, i8, 2));
    ok(tnn_gguf_set_array(w, "u16", TNN_GGUF_U16, u16, 2));
    ok(tnn_gguf_set_array(w, "i32", TNN_GGUF_I32, i32, 2));
    ok(tnn_gguf_set_array(w, "i64", TNN_GGUF_I64, i64, 2));
    ok(tnn_gguf_set_array(w, "f64", TNN_GGUF_F64, f64, 2));
    ok(tnn_gguf_writer_begin(w, temp_path(&dir, "arrays.gguf")));
    finish(w);
    tnn_gguf *g = open_file("arrays.gguf");
    for (uint64_t e = 0; e < 2; e++) {
        int64_t value = 0;
        double real = 0;
        assert_true(tnn_gguf_array_i64(g, 0, e, &value) && value == i8[e]);
        assert_true(tnn_gguf_array_i64(g, 1, e, &value) && value == u16[e]);
        assert_true(tnn_gguf_array_i64(g, 2, e, &value) && value == i32[e]);
        assert_true(tnn_gguf_array_i64(g, 3, e, &value) && value == i64[e]);
        assert_true(tnn_gguf_array_f64(g, 4, e, &real) && real == f64[e]);
    }
    tnn_gguf_close(g);
}

/* A scalar is written as one dimension of 1, which every reader takes. */
static void test_scalar_tensor(void **state) {
    (void)state;
    tnn_gguf_writer *w = new_writer();
    ok(tnn_gguf_add_tensor(w, "scalar", TNN_TYPE_F32, 0, NULL));
    ok(tnn_gguf_writer_begin(w, temp_path(&dir, "scalar.gguf")));
    ok(tnn_gguf_write_data(w, pattern, 4));
    finish(w);
    tnn_gguf *g = open_file("scalar.gguf");
    assert_int_equal(tnn_gguf_tensor_at(g, 0)->n_dims, 1);
    assert_int_equal(tnn_gguf_tensor_at(g, 0)->n_bytes, 4);
    tnn_gguf_close(g);
}

/* Data may come in any pieces that do not cross from one tensor into the next. */
static void test_data_in_pieces(void **state) {
    (void)state;
    static uint8_t big[300000];
    for (size_t i = 0; i < sizeof big; i++) {
        big[i] = (uint8_t)(i * 31 >> 3);
    }
    tnn_gguf_writer *w = new_writer();
    ok(tnn_gguf_add_tensor(w, "big", TNN_TYPE_I8, 1, (const int64_t[]){sizeof big}));
    ok(tnn_gguf_add_tensor(w, "small", TNN_TYPE_I8, 1, (const int64_t[]){5}));
    ok(tnn_gguf_writer_begin(w, temp_path(&dir, "pieces.gguf")));
    size_t at = 0;
    for (size_t n = 1; at < sizeof big; n = 3 * n + 1) {
        size_t piece = n < sizeof big - at ? n : sizeof big - at;
        ok(tnn_gguf_write_data(w, big + at, piece));
        ok(tnn_gguf_write_data(w, NULL, 0));
        at += piece;
    }
    ok(tnn_gguf_write_data(w, "abc", 3));
    ok(tnn_gguf_write_data(w, "de", 2));
    finish(w);
    tnn_gguf *g = open_file("pieces.gguf");
    assert_memory_equal(tnn_gguf_tensor_at(g, 0)->data, big, sizeof big);
    assert_memory_equal(tnn_gguf_tensor_at(g, 1)->data, "abcde", 5);
    tnn_gguf_close(g);
}

/* --- copies of another file's metadata --- */

static void put_all_types(bytes *b) {
    static const size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    put_fixed_part(b, 2, 0, 12 + 12 + 3);
    for (uint32_t type = 0; type < TNN_GGUF_VALUE_TYPE_COUNT; type++) {
        char key[32];
        if (type == TNN_GGUF_ARRAY) continue;
        snprintf(key, sizeof key, "one.%u", (unsigned)type);
        put_key(b, key, type);
        if (type == TNN_GGUF_STRING) put_str(b, "text");
        put_raw(b, "\1\2\3\4\5\6\7\x10", sizes[type]);
        snprintf(key, sizeof key, "many.%u", (unsigned)type);
        put_array(b, key, type, 2);
        for (int e = 0; e < 2; e++) {
            if (type == TNN_GGUF_STRING) put_str(b, "element");
            put_raw(b, "\x11\2\3\4\5\6\7\x10", sizes[type]);
        }
    }
    put_kv_u32(b, "split.count", 1);
    put_kv_u32(b, "general.alignment", 128);
    put_kv_u32(b, "gen", 1);
}

static void test_copy_of_metadata(void **state) {
    (void)state;
    bytes source = {0};
    put_all_types(&source);
    tnn_gguf *from;
    tnn_error err = {0};
    if (tnn_gguf_open_memory(&from, source.data, source.size, NULL, &err) != TNN_OK) fail_msg("%s", err.text);
    static const char *const skipped[] = {"general.", "many.9"};
    tnn_gguf_writer *w = new_writer();
    ok(tnn_gguf_set_str(w, "one.0", "replaced", 8));
    ok(tnn_gguf_copy_kv(w, from, skipped, 2));
    ok(tnn_gguf_writer_begin(w, temp_path(&dir, "copy.gguf")));
    finish(w);

    tnn_gguf *g = open_file("copy.gguf");
    uint64_t sum = 0;
    assert_true(walk_gguf(g, &sum));
    assert_int_equal(tnn_gguf_find_key(g, "split.count"), -1);
    assert_int_equal(tnn_gguf_find_key(g, "general.alignment"), -1);
    assert_int_not_equal(tnn_gguf_find_key(g, "gen"), -1);
    assert_int_equal(tnn_gguf_n_kv(g), tnn_gguf_n_kv(from) - 2);
    for (int64_t i = 0; i < tnn_gguf_n_kv(g); i++) {
        char key[32] = "";
        memcpy(key, tnn_gguf_key(g, i).data, tnn_gguf_key(g, i).size);
        int64_t j = tnn_gguf_find_key(from, key);
        assert_int_equal(tnn_gguf_kv_type(g, i), tnn_gguf_kv_type(from, j));
        assert_int_equal(tnn_gguf_array_type(g, i), tnn_gguf_array_type(from, j));
        assert_int_equal(tnn_gguf_array_count(g, i), tnn_gguf_array_count(from, j));
        for (uint64_t e = 0; e < 2; e++) {
            int64_t a = 0, b = 0;
            double x = 0, y = 0;
            tnn_gguf_str s = tnn_gguf_array_str(g, i, e), t = tnn_gguf_array_str(from, j, e);
            assert_int_equal(s.size, t.size);
            assert_memory_equal(s.data, t.data, s.size);
            assert_int_equal(tnn_gguf_array_i64(g, i, e, &a), tnn_gguf_array_i64(from, j, e, &b));
            assert_int_equal(tnn_gguf_array_f64(g, i, e, &x), tnn_gguf_array_f64(from, j, e, &y));
            assert_true(a == b && memcmp(&x, &y, sizeof x) == 0);
        }
    }
    tnn_gguf_close(g);
    tnn_gguf_close(from);
    free_bytes(&source);
}

/* --- refusals --- */

/* A refused call is latched: the rest is refused with it, the error says why, and no file is left. */
static void expect_latched(tnn_gguf_writer *w, tnn_status status, const char *message) {
    tnn_error err = {0};
    assert_int_equal(tnn_gguf_set_u32(w, "later", 1), status);
    assert_int_equal(tnn_gguf_add_tensor(w, "later", TNN_TYPE_F32, 0, NULL), status);
    assert_int_equal(tnn_gguf_writer_begin(w, temp_path(&dir, "refused.gguf")), status);
    assert_int_equal(tnn_gguf_write_data(w, pattern, 4), status);
    assert_int_equal(tnn_gguf_writer_finish(w, &err), status);
    assert_int_equal(err.status, status);
    if (!strstr(err.text, message)) fail_msg("'%s' is not in: %s", message, err.text);
    tnn_gguf_writer_free(w);
    assert_int_equal(temp_dir_count(&dir), 0);
}

static void test_refused_metadata(void **state) {
    (void)state;
    temp_dir_empty(&dir);
    static char long_key[70000];
    memset(long_key, 'k', sizeof long_key - 1);
    tnn_gguf_writer *w = new_writer();
    assert_int_equal(tnn_gguf_set_u32(w, "", 1), TNN_E_ARG);
    expect_latched(w, TNN_E_ARG, "must not be empty");

    w = new_writer();
    assert_int_equal(tnn_gguf_set_str(w, long_key, "", 0), TNN_E_ARG);
    expect_latched(w, TNN_E_ARG, "at most 65535");

    static const uint32_t alignments[] = {0, 1, 3, 48, UINT32_C(1) << 31};
    for (size_t i = 0; i < sizeof alignments / sizeof alignments[0]; i++) {
        w = new_writer();
        assert_int_equal(tnn_gguf_set_u32(w, "general.alignment", alignments[i]), TNN_E_ARG);
        expect_latched(w, TNN_E_ARG, "general.alignment");
    }
    w = new_writer();
    assert_int_equal(tnn_gguf_set_u64(w, "general.alignment", 32), TNN_E_ARG);
    expect_latched(w, TNN_E_ARG, "u32");

    w = new_writer();
    assert_int_equal(tnn_gguf_set_array(w, "a", TNN_GGUF_STRING, NULL, 0), TNN_E_ARG);
    expect_latched(w, TNN_E_ARG, "'a'");
    w = new_writer();
    assert_int_equal(tnn_gguf_set_array(w, "a", TNN_GGUF_ARRAY, NULL, 0), TNN_E_ARG);
    expect_latched(w, TNN_E_ARG, "scalar");
    w = new_writer();
    assert_int_equal(tnn_gguf_set_array(w, "a", TNN_GGUF_U64, NULL, UINT64_MAX / 8 + 2), TNN_E_ARG);
    expect_latched(w, TNN_E_ARG, "elements");
    w = new_writer();
    assert_int_equal(tnn_gguf_set_str(w, "a", "", SIZE_MAX), TNN_E_ARG);
    expect_latched(w, TNN_E_ARG, "'a'");
}

static void test_refused_tensors(void **state) {
    (void)state;
    temp_dir_empty(&dir);
    static const struct {
        const char *name;
        int32_t type;
        int n_dims;
        int64_t ne[4];
        const char *message;
    } cases[] = {
        {"5 dimensions", TNN_TYPE_F32, 5, {1, 1, 1, 1}, "5 dimensions"},
        {"-1 dimensions", TNN_TYPE_F32, -1, {1, 1, 1, 1}, "-1 dimensions"},
        {"negative", TNN_TYPE_F32, 2, {1, -1, 1, 1}, "negative dimension"},
        {"wraps", TNN_TYPE_I8, 2, {INT64_C(1) << 32, INT64_C(1) << 32, 1, 1}, "2^63-1 elements"},
        {"bytes wrap", TNN_TYPE_F32, 1, {INT64_C(1) << 62, 1, 1, 1}, "more bytes"},
        {"half a block", TNN_TYPE_Q4_0, 1, {16, 1, 1, 1}, "whole number of blocks"},
        {"removed", 4, 1, {32, 1, 1, 1}, "type id 4"},
        {"unknown", -1, 1, {32, 1, 1, 1}, "type id -1"},
        {"a name of sixty-four bytes, which is one more than there may be.",
         TNN_TYPE_F32,
         1,
         {1, 1, 1, 1},
         "at most 63"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tnn_gguf_writer *w = new_writer();
        assert_int_equal(tnn_gguf_add_tensor(w, cases[i].name, (tnn_type)cases[i].type, cases[i].n_dims, cases[i].ne),
                         TNN_E_ARG);
        expect_latched(w, TNN_E_ARG, cases[i].message);
    }
    tnn_gguf_writer *w = new_writer();
    ok(tnn_gguf_add_tensor(w, "a", TNN_TYPE_F32, 1, (const int64_t[]){1}));
    assert_int_equal(tnn_gguf_add_tensor(w, "a", TNN_TYPE_F16, 1, (const int64_t[]){1}), TNN_E_ARG);
    expect_latched(w, TNN_E_ARG, "declared twice");

    /* Each fits, the file does not. */
    w = new_writer();
    for (int i = 0; i < 3; i++) {
        char name[2] = {(char)('a' + i), 0};
        ok(tnn_gguf_add_tensor(w, name, TNN_TYPE_I8, 1, (const int64_t[]){INT64_MAX}));
    }
    assert_true(tnn_gguf_writer_bytes(w) == UINT64_MAX);
    assert_int_equal(tnn_gguf_writer_begin(w, temp_path(&dir, "huge.gguf")), TNN_E_RANGE);
    expect_latched(w, TNN_E_RANGE, "2^64");
}

static tnn_gguf_writer *begin_two_tensors(const char *name) {
    tnn_gguf_writer *w = new_writer();
    ok(tnn_gguf_add_tensor(w, "a", TNN_TYPE_F32, 1, (const int64_t[]){4}));
    ok(tnn_gguf_add_tensor(w, "b", TNN_TYPE_F32, 1, (const int64_t[]){4}));
    ok(tnn_gguf_writer_begin(w, temp_path(&dir, name)));
    return w;
}

/* The file that is to be replaced stays as it was. */
static void expect_old_content(const char *name) {
    bytes b = read_file(name);
    assert_int_equal(b.size, 3);
    assert_memory_equal(b.data, "old", 3);
    free_bytes(&b);
    assert_int_equal(temp_dir_count(&dir), 1);
}

static void put_old_file(const char *name) {
    temp_dir_empty(&dir);
    FILE *f = fopen(temp_path(&dir, name), "wb");
    assert_non_null(f);
    fputs("old", f);
    fclose(f);
}

static void test_calls_out_of_order(void **state) {
    (void)state;
    put_old_file("f.gguf");
    tnn_error err = {0};

    tnn_gguf_writer *w = new_writer();
    assert_int_equal(tnn_gguf_write_data(w, pattern, 1), TNN_E_STATE);
    tnn_gguf_writer_free(w);

    w = new_writer();
    assert_int_equal(tnn_gguf_writer_finish(w, &err), TNN_E_STATE);
    tnn_gguf_writer_free(w);

    w = begin_two_tensors("f.gguf");
    assert_int_equal(tnn_gguf_writer_begin(w, temp_path(&dir, "g.gguf")), TNN_E_STATE);
    assert_int_equal(tnn_gguf_writer_finish(w, &err), TNN_E_STATE);
    tnn_gguf_writer_free(w);
    expect_old_content("f.gguf");

    w = begin_two_tensors("f.gguf");
    assert_int_equal(tnn_gguf_set_bool(w, "late", true), TNN_E_STATE);
    tnn_gguf_writer_free(w);
    expect_old_content("f.gguf");

    w = begin_two_tensors("f.gguf");
    assert_int_equal(tnn_gguf_add_tensor(w, "late", TNN_TYPE_F32, 0, NULL), TNN_E_STATE);
    tnn_gguf_writer_free(w);
    expect_old_content("f.gguf");
}

static void test_data_of_another_size(void **state) {
    (void)state;
    put_old_file("f.gguf");
    tnn_error err = {0};

    tnn_gguf_writer *w = begin_two_tensors("f.gguf");
    ok(tnn_gguf_write_data(w, pattern, 16));
    ok(tnn_gguf_write_data(w, pattern, 15));
    assert_int_equal(tnn_gguf_writer_finish(w, &err), TNN_E_STATE);
    assert_non_null(strstr(err.text, "'b' still lacks 1 bytes"));
    tnn_gguf_writer_free(w);
    expect_old_content("f.gguf");

    w = begin_two_tensors("f.gguf");
    ok(tnn_gguf_write_data(w, pattern, 10));
    assert_int_equal(tnn_gguf_write_data(w, pattern, 7), TNN_E_ARG);
    tnn_gguf_writer_free(w);
    expect_old_content("f.gguf");

    w = begin_two_tensors("f.gguf");
    assert_int_equal(tnn_gguf_write_data(w, pattern, 17), TNN_E_ARG);
    assert_int_equal(tnn_gguf_writer_finish(w, &err), TNN_E_ARG);
    assert_non_null(strstr(err.text, "'a' is given 17 bytes"));
    tnn_gguf_writer_free(w);
    expect_old_content("f.gguf");

    w = begin_two_tensors("f.gguf");
    ok(tnn_gguf_write_data(w, pattern, 16));
    ok(tnn_gguf_write_data(w, pattern, 16));
    assert_int_equal(tnn_gguf_write_data(w, pattern, 1), TNN_E_ARG);
    tnn_gguf_writer_free(w);
    expect_old_content("f.gguf");
}

static void test_finished_once(void **state) {
    (void)state;
    put_old_file("f.gguf");
    tnn_error err = {0};

    tnn_gguf_writer *w = begin_two_tensors("f.gguf");
    tnn_gguf_writer_free(w);
    expect_old_content("f.gguf");

    w = begin_two_tensors("f.gguf");
    ok(tnn_gguf_write_data(w, pattern, 16));
    ok(tnn_gguf_write_data(w, pattern, 16));
    ok(tnn_gguf_writer_finish(w, &err));
    assert_int_equal(tnn_gguf_writer_finish(w, &err), TNN_E_STATE);
    tnn_gguf_writer_free(w);
    tnn_gguf_close(open_file("f.gguf"));
}

static void test_folder_that_is_not_there(void **state) {
    (void)state;
    temp_dir_empty(&dir);
    tnn_gguf_writer *w = new_writer();
    assert_int_equal(tnn_gguf_writer_begin(w, temp_path(&dir, "no/such.gguf")), TNN_E_IO);
    expect_latched(w, TNN_E_IO, "no/such.gguf");
    tnn_gguf_writer_free(NULL);
}

/* Copying metadata of hostile size must not take quadratic time either. */
static void test_many_keys_and_tensors(void **state) {
    (void)state;
    tnn_gguf_writer *w = new_writer();
    const int n = 100000;
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "name.%d", i);
        ok(tnn_gguf_set_u32(w, name, (uint32_t)i));
        ok(tnn_gguf_add_tensor(w, name, TNN_TYPE_I8, 1, (const int64_t[]){i % 3}));
    }
    ok(tnn_gguf_writer_begin(w, temp_path(&dir, "many.gguf")));
    for (int i = 0; i < n; i++) {
        ok(tnn_gguf_write_data(w, pattern, (size_t)(i % 3)));
    }
    finish(w);
    tnn_gguf *g = open_file("many.gguf");
    uint64_t sum = 0;
    assert_int_equal(tnn_gguf_n_kv(g), n);
    assert_int_equal(tnn_gguf_n_tensors(g), n);
    assert_true(walk_gguf(g, &sum));
    tnn_gguf_close(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_bytes),           cmocka_unit_test(test_metadata_alone_is_padded),
        cmocka_unit_test(test_alignment_is_honoured), cmocka_unit_test(test_setting_twice_replaces),
        cmocka_unit_test(test_arrays_of_every_width), cmocka_unit_test(test_scalar_tensor),
        cmocka_unit_test(test_data_in_pieces),        cmocka_unit_test(test_copy_of_metadata),
        cmocka_unit_test(test_refused_metadata),      cmocka_unit_test(test_refused_tensors),
        cmocka_unit_test(test_calls_out_of_order),    cmocka_unit_test(test_data_of_another_size),
        cmocka_unit_test(test_finished_once),         cmocka_unit_test(test_folder_that_is_not_there),
        cmocka_unit_test(test_many_keys_and_tensors),
    };
    return cmocka_run_group_tests(tests, create_dir, remove_dir);
}
