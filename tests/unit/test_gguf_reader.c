/* Reading GGUF: every value type and conversion, tensors, versions, files with and without mmap. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/counting_allocator.h"
#include "support/gguf_bytes.h"
#include "support/gguf_walk.h"
#include "support/temp_dir.h"

static const float weights[8] = {0.5f, -1, 2, -3, 4, -5, 6, -7};

/* A scalar of each type with a value that shows sign and width, arrays of each kind, two tensors. */
static void put_sample(bytes *b, uint32_t version) {
    put_fixed_part(b, version, 2, 21);
    put_key(b, "u8", TNN_GGUF_U8);
    put_uint(b, 0xfe, 1);
    put_key(b, "i8", TNN_GGUF_I8);
    put_uint(b, 0xfe, 1);
    put_key(b, "u16", TNN_GGUF_U16);
    put_uint(b, 0xfffe, 2);
    put_key(b, "i16", TNN_GGUF_I16);
    put_uint(b, 0xfffe, 2);
    put_key(b, "u32", TNN_GGUF_U32);
    put_uint(b, 0xfffffffe, 4);
    put_key(b, "i32", TNN_GGUF_I32);
    put_uint(b, 0xfffffffe, 4);
    put_key(b, "u64", TNN_GGUF_U64);
    put_uint(b, UINT64_MAX - 1, 8);
    put_key(b, "i64", TNN_GGUF_I64);
    put_uint(b, UINT64_MAX - 1, 8);
    put_key(b, "f32", TNN_GGUF_F32);
    put_f32(b, 1e-5f);
    put_key(b, "f64", TNN_GGUF_F64);
    put_f64(b, 1e-5);
    put_key(b, "f64.huge", TNN_GGUF_F64);
    put_f64(b, 1e300);
    put_key(b, "bool.false", TNN_GGUF_BOOL);
    put_uint(b, 0, 1);
    put_key(b, "bool.7", TNN_GGUF_BOOL);
    put_uint(b, 7, 1);
    put_kv_str(b, "string", "h\xc3\xa9llo");
    put_kv_str(b, "string.empty", "");
    put_array(b, "strings", TNN_GGUF_STRING, 4);
    put_str(b, "");
    put_str(b, "a");
    put_uint(b, 3, 8);
    put_raw(b, "x\0y", 3);
    put_str(b, "last");
    put_array(b, "i16s", TNN_GGUF_I16, 3);
    put_uint(b, 0xffff, 2);
    put_uint(b, 0x7fff, 2);
    put_uint(b, 0x8000, 2);
    put_array(b, "scores as i8", TNN_GGUF_I8, 3);
    put_uint(b, 0xff, 1);
    put_uint(b, 5, 1);
    put_uint(b, 0x80, 1);
    put_array(b, "bools", TNN_GGUF_BOOL, 2);
    put_uint(b, 1, 1);
    put_uint(b, 0, 1);
    put_array(b, "nothing", TNN_GGUF_F32, 0);
    put_kv_u32(b, "general.alignment", 64);
    put_tensor_2d(b, "blk.0.attn_q.weight", 4, 2, TNN_TYPE_F32, 64);
    put_tensor_1d(b, "bias", 3, TNN_TYPE_BF16, 0);
    put_padding(b, 64);
    put_raw(b, "\1\2\3\4\5\6", 6);
    put_padding(b, 64);
    put_raw(b, weights, sizeof weights);
}

typedef struct fixture {
    bytes b;
    void *copy;
    tnn_gguf *g;
    tnn_error err;
} fixture;

static fixture open_sample(uint32_t version) {
    fixture f = {0};
    put_sample(&f.b, version);
    if (open_exact(&f.g, &f.b, f.b.size, &f.copy, NULL, &f.err) != TNN_OK) fail_msg("%s", f.err.text);
    return f;
}

static void close_sample(fixture *f) {
    tnn_gguf_close(f->g);
    free(f->copy);
    free_bytes(&f->b);
}

static bool str_is(tnn_gguf_str s, const char *expected, size_t n) {
    return s.size == n && memcmp(s.data, expected, n) == 0;
}

static void test_general_facts(void **state) {
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        fixture f = open_sample(version);
        uint64_t sum = 0;
        assert_int_equal(tnn_gguf_version(f.g), version);
        assert_int_equal(tnn_gguf_alignment(f.g), 64);
        assert_int_equal(tnn_gguf_shard_count(f.g), 1);
        assert_int_equal(tnn_gguf_file_bytes(f.g), f.b.size);
        assert_int_equal(tnn_gguf_n_kv(f.g), 21);
        assert_int_equal(tnn_gguf_n_tensors(f.g), 2);
        assert_true(walk_gguf(f.g, &sum));
        close_sample(&f);
    }
}

static void test_integers(void **state) {
    (void)state;
    fixture f = open_sample(3);
    static const struct {
        const char *key;
        int64_t value;
    } cases[] = {{"u8", 0xfe},         {"i8", -2},  {"u16", 0xfffe}, {"i16", -2},
                 {"u32", 0xfffffffeu}, {"i32", -2}, {"i64", -2},     {"general.alignment", 64}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t i64 = 99;
        uint32_t u32 = 99;
        float f32 = 99;
        assert_int_equal(tnn_gguf_get_i64(f.g, cases[i].key, &i64, &f.err), TNN_OK);
        assert_true(i64 == cases[i].value);
        assert_int_equal(tnn_gguf_get_f32(f.g, cases[i].key, &f32, &f.err), TNN_OK);
        assert_true(f32 == (float)cases[i].value);
        tnn_status status = tnn_gguf_get_u32(f.g, cases[i].key, &u32, &f.err);
        if (cases[i].value >= 0) {
            assert_int_equal(status, TNN_OK);
            assert_true(u32 == (uint32_t)cases[i].value);
        } else {
            assert_int_equal(status, TNN_E_FORMAT);
            assert_int_equal(u32, 99);
            assert_non_null(strstr(f.err.text, cases[i].key));
            assert_non_null(strstr(f.err.text, "-2"));
        }
    }
    int64_t i64 = 99;
    assert_int_equal(tnn_gguf_get_i64(f.g, "u64", &i64, &f.err), TNN_E_FORMAT);
    assert_non_null(strstr(f.err.text, "18446744073709551614"));
    assert_int_equal(i64, 99);
    close_sample(&f);
}

static void test_floats_bools_and_strings(void **state) {
    (void)state;
    fixture f = open_sample(3);
    float f32 = 0;
    assert_int_equal(tnn_gguf_get_f32(f.g, "f32", &f32, &f.err), TNN_OK);
    assert_true(f32 == 1e-5f);
    assert_int_equal(tnn_gguf_get_f32(f.g, "f64", &f32, &f.err), TNN_OK);
    assert_true(f32 == 1e-5f);
    assert_int_equal(tnn_gguf_get_f32(f.g, "f64.huge", &f32, &f.err), TNN_E_FORMAT);
    assert_int_equal(tnn_gguf_get_f32(f.g, "bool.7", &f32, &f.err), TNN_E_FORMAT);
    assert_int_equal(tnn_gguf_get_f32(f.g, "string", &f32, &f.err), TNN_E_FORMAT);

    bool flag = true;
    assert_int_equal(tnn_gguf_get_bool(f.g, "bool.false", &flag, &f.err), TNN_OK);
    assert_false(flag);
    assert_int_equal(tnn_gguf_get_bool(f.g, "bool.7", &flag, &f.err), TNN_OK);
    assert_true(flag);
    flag = false;
    assert_int_equal(tnn_gguf_get_bool(f.g, "i32", &flag, &f.err), TNN_OK);
    assert_true(flag);
    assert_int_equal(tnn_gguf_get_bool(f.g, "f32", &flag, &f.err), TNN_E_FORMAT);

    tnn_gguf_str s;
    assert_int_equal(tnn_gguf_get_str(f.g, "string", &s, &f.err), TNN_OK);
    assert_true(str_is(s, "h\xc3\xa9llo", 6));
    assert_int_equal(tnn_gguf_get_str(f.g, "string.empty", &s, &f.err), TNN_OK);
    assert_true(str_is(s, "", 0));
    assert_int_equal(tnn_gguf_get_str(f.g, "u32", &s, &f.err), TNN_E_FORMAT);
    assert_non_null(strstr(f.err.text, "'u32'"));
    assert_non_null(strstr(f.err.text, "a string is expected"));
    assert_int_equal(tnn_gguf_get_str(f.g, "strings", &s, &f.err), TNN_E_FORMAT);
    assert_non_null(strstr(f.err.text, "array of string"));
    close_sample(&f);
}

/* A default must be able to stand: neither the value nor the error is touched. */
static void test_absent_keys(void **state) {
    (void)state;
    fixture f = open_sample(3);
    memset(&f.err, 0x55, sizeof f.err);
    uint32_t u32 = 7;
    int64_t i64 = 7;
    float f32 = 7;
    bool flag = true;
    tnn_gguf_str s = {"seven", 5};
    assert_int_equal(tnn_gguf_get_u32(f.g, "absent", &u32, &f.err), TNN_E_NOTFOUND);
    assert_int_equal(tnn_gguf_get_i64(f.g, "u", &i64, &f.err), TNN_E_NOTFOUND);
    assert_int_equal(tnn_gguf_get_f32(f.g, "u321", &f32, &f.err), TNN_E_NOTFOUND);
    assert_int_equal(tnn_gguf_get_bool(f.g, "", &flag, &f.err), TNN_E_NOTFOUND);
    assert_int_equal(tnn_gguf_get_str(f.g, "absent", &s, &f.err), TNN_E_NOTFOUND);
    assert_true(u32 == 7 && i64 == 7 && f32 == 7 && flag && str_is(s, "seven", 5));
    for (size_t i = 0; i < sizeof f.err; i++) {
        assert_int_equal(((const unsigned char *)&f.err)[i], 0x55);
    }
    close_sample(&f);
}

static void test_arrays(void **state) {
    (void)state;
    fixture f = open_sample(3);
    int64_t i = tnn_gguf_find_key(f.g, "strings");
    assert_int_equal(tnn_gguf_kv_type(f.g, i), TNN_GGUF_ARRAY);
    assert_int_equal(tnn_gguf_array_type(f.g, i), TNN_GGUF_STRING);
    assert_int_equal(tnn_gguf_array_count(f.g, i), 4);
    assert_true(str_is(tnn_gguf_array_str(f.g, i, 0), "", 0));
    assert_true(str_is(tnn_gguf_array_str(f.g, i, 1), "a", 1));
    assert_true(str_is(tnn_gguf_array_str(f.g, i, 2), "x\0y", 3));
    assert_true(str_is(tnn_gguf_array_str(f.g, i, 3), "last", 4));
    assert_true(str_is(tnn_gguf_array_str(f.g, i, 4), "", 0));
    assert_true(str_is(tnn_gguf_array_str(f.g, i, UINT64_MAX), "", 0));

    int64_t value = 0;
    double real = 0;
    i = tnn_gguf_find_key(f.g, "i16s");
    static const int64_t i16s[] = {-1, 32767, -32768};
    for (uint64_t e = 0; e < 3; e++) {
        assert_true(tnn_gguf_array_i64(f.g, i, e, &value) && value == i16s[e]);
        assert_true(tnn_gguf_array_f64(f.g, i, e, &real) && real == (double)i16s[e]);
    }
    assert_false(tnn_gguf_array_i64(f.g, i, 3, &value));
    assert_false(tnn_gguf_array_i64(f.g, i, UINT64_MAX / 2 + 1, &value));
    assert_int_equal(tnn_gguf_array_str(f.g, i, 0).size, 0);

    /* The stored type is looked at before any element is read as a float. */
    i = tnn_gguf_find_key(f.g, "scores as i8");
    assert_true(tnn_gguf_array_f64(f.g, i, 2, &real) && real == -128);
    assert_false(tnn_gguf_array_f64(f.g, i, 3, &real));

    i = tnn_gguf_find_key(f.g, "bools");
    assert_true(tnn_gguf_array_i64(f.g, i, 0, &value) && value == 1);
    assert_true(tnn_gguf_array_i64(f.g, i, 1, &value) && value == 0);
    assert_int_equal(tnn_gguf_array_count(f.g, tnn_gguf_find_key(f.g, "nothing")), 0);
    close_sample(&f);
}

static void test_scalars_by_index(void **state) {
    (void)state;
    fixture f = open_sample(3);
    int64_t value = 0;
    double real = 0;
    int64_t i = tnn_gguf_find_key(f.g, "i64");
    assert_int_equal(tnn_gguf_kv_type(f.g, i), TNN_GGUF_I64);
    assert_int_equal(tnn_gguf_array_type(f.g, i), TNN_GGUF_VALUE_TYPE_COUNT);
    assert_int_equal(tnn_gguf_array_count(f.g, i), 0);
    assert_true(tnn_gguf_array_i64(f.g, i, 0, &value) && value == -2);
    assert_false(tnn_gguf_array_i64(f.g, i, 1, &value));
    i = tnn_gguf_find_key(f.g, "f64");
    assert_false(tnn_gguf_array_i64(f.g, i, 0, &value));
    assert_true(tnn_gguf_array_f64(f.g, i, 0, &real) && real == 1e-5);
    i = tnn_gguf_find_key(f.g, "u64");
    assert_false(tnn_gguf_array_i64(f.g, i, 0, &value));
    assert_true(tnn_gguf_array_f64(f.g, i, 0, &real) && real == 18446744073709551614.0);
    i = tnn_gguf_find_key(f.g, "string");
    assert_true(str_is(tnn_gguf_array_str(f.g, i, 0), "h\xc3\xa9llo", 6));
    assert_int_equal(tnn_gguf_array_str(f.g, i, 1).size, 0);
    assert_true(str_is(tnn_gguf_key(f.g, 0), "u8", 2));
    assert_int_equal(tnn_gguf_key(f.g, 21).size, 0);
    assert_int_equal(tnn_gguf_kv_type(f.g, -1), TNN_GGUF_VALUE_TYPE_COUNT);
    assert_string_equal(tnn_gguf_value_type_name(TNN_GGUF_F64), "f64");
    assert_string_equal(tnn_gguf_value_type_name(TNN_GGUF_VALUE_TYPE_COUNT), "unknown");
    close_sample(&f);
}

static void check_tensors(const tnn_gguf *g) {
    const tnn_gguf_tensor *q = tnn_gguf_tensor_at(g, 0);
    assert_int_equal(tnn_gguf_find_tensor(g, "blk.0.attn_q.weight"), 0);
    assert_string_equal(q->name.data, "blk.0.attn_q.weight");
    assert_int_equal(q->name.size, strlen(q->name.data));
    assert_int_equal(q->type, TNN_TYPE_F32);
    assert_int_equal(q->n_dims, 2);
    assert_true(q->ne[0] == 4 && q->ne[1] == 2 && q->ne[2] == 1 && q->ne[3] == 1);
    assert_int_equal(q->n_bytes, sizeof weights);
    assert_int_equal(q->shard, 0);
    assert_memory_equal(q->data, weights, sizeof weights);
    const tnn_gguf_tensor *bias = tnn_gguf_tensor_at(g, tnn_gguf_find_tensor(g, "bias"));
    assert_int_equal(bias->n_bytes, 6);
    assert_memory_equal(bias->data, "\1\2\3\4\5\6", 6);
    assert_int_equal(bias->file_offset % 64, 0);
    assert_true(q->file_offset == bias->file_offset + 64);
    assert_int_equal(tnn_gguf_find_tensor(g, "blk.0.attn_q"), -1);
}

static void test_tensors(void **state) {
    (void)state;
    fixture f = open_sample(3);
    check_tensors(f.g);
    close_sample(&f);
}

/* What was validated is what is used, whatever becomes of the bytes it was copied from. */
static void test_header_is_private(void **state) {
    (void)state;
    fixture f = open_sample(3);
    const tnn_gguf_tensor *bias = tnn_gguf_tensor_at(f.g, 1);
    memset(f.copy, 0xff, (size_t)bias->file_offset);
    uint64_t sum = 0;
    assert_true(walk_gguf(f.g, &sum));
    check_tensors(f.g);
    tnn_gguf_str s;
    assert_int_equal(tnn_gguf_get_str(f.g, "string", &s, &f.err), TNN_OK);
    assert_true(str_is(s, "h\xc3\xa9llo", 6));
    close_sample(&f);
}

/* Larger than the first piece of a header that is copied, so that the copy moves while it is parsed. */
static void test_header_that_grows(void **state) {
    (void)state;
    const int n = 20000;
    bytes b = {0};
    put_fixed_part(&b, 3, 1, 3);
    put_kv_str(&b, "first", "1");
    put_array(&b, "tokenizer.ggml.tokens", TNN_GGUF_STRING, (uint64_t)n);
    for (int i = 0; i < n; i++) {
        char token[32];
        snprintf(token, sizeof token, "token number %d", i);
        put_str(&b, token);
    }
    put_kv_str(&b, "last", "2");
    put_tensor_1d(&b, "t", 1, TNN_TYPE_F32, 0);
    put_padding(&b, 32);
    put_f32(&b, 1);

    counting_allocator counter = {0};
    tnn_allocator a = counting_interface(&counter);
    tnn_gguf_open_options options = {.allocator = &a};
    tnn_gguf *g;
    tnn_error err;
    void *copy;
    if (open_exact(&g, &b, b.size, &copy, &options, &err) != TNN_OK) fail_msg("%s", err.text);
    tnn_gguf_str s = tnn_gguf_array_str(g, tnn_gguf_find_key(g, "tokenizer.ggml.tokens"), 12345);
    assert_true(str_is(s, "token number 12345", 18));
    assert_int_equal(tnn_gguf_get_str(g, "first", &s, &err), TNN_OK);
    assert_true(str_is(s, "1", 1));
    assert_int_equal(tnn_gguf_get_str(g, "last", &s, &err), TNN_OK);
    assert_true(str_is(s, "2", 1));
    /* A few large blocks, nothing per string. */
    assert_true(counter.requests < 20);
    assert_true(counter.peak_bytes < 4 * b.size);
    tnn_gguf_close(g);
    assert_int_equal(counter.live_bytes, 0);
    free(copy);
    free_bytes(&b);
}

/* Another process that writes into the file, at the worst moment: when the copy of the header is moved. */
typedef struct scribbler {
    bytes *file;
    int moves;
} scribbler;

static void *scribbling_alloc(void *ctx, size_t size, size_t align) {
    scribbler *s = ctx;
    if (size > 65536 && s->moves++ == 0) memset(s->file->data, 0xff, 60000);
    void *p = NULL;
    return posix_memalign(&p, align, size) == 0 ? p : NULL;
}

static void scribbling_free(void *ctx, void *p, size_t size, size_t align) {
    (void)ctx;
    (void)size;
    (void)align;
    free(p);
}

static void test_bytes_are_read_once(void **state) {
    (void)state;
    bytes b = {0};
    put_fixed_part(&b, 3, 0, 5000);
    for (uint32_t i = 0; i < 5000; i++) {
        char key[32];
        snprintf(key, sizeof key, "key.number.%u", (unsigned)i);
        put_kv_u32(&b, key, i);
    }
    scribbler s = {.file = &b};
    tnn_allocator a = {&s, scribbling_alloc, scribbling_free};
    tnn_gguf_open_options options = {.allocator = &a};
    tnn_gguf *g;
    tnn_error err;
    if (tnn_gguf_open_memory(&g, b.data, b.size, &options, &err) != TNN_OK) fail_msg("%s", err.text);
    assert_true(s.moves > 0 && b.data[0] == 0xff);
    for (uint32_t i = 0; i < 5000; i++) {
        char key[32];
        uint32_t value = 0;
        snprintf(key, sizeof key, "key.number.%u", (unsigned)i);
        assert_int_equal(tnn_gguf_get_u32(g, key, &value, &err), TNN_OK);
        assert_int_equal(value, i);
    }
    tnn_gguf_close(g);
    free_bytes(&b);
}

/* --- files --- */

static void write_file(const char *path, const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void test_files_with_and_without_mmap(void **state) {
    (void)state;
    temp_dir dir;
    temp_dir_create(&dir);
    bytes b = {0};
    put_sample(&b, 3);
    write_file(temp_path(&dir, "sample.gguf"), b.data, b.size);
    for (int use_mmap = 0; use_mmap <= 1; use_mmap++) {
        counting_allocator counter = {0};
        tnn_allocator a = counting_interface(&counter);
        tnn_gguf_open_options options = tnn_gguf_open_options_default();
        assert_true(options.use_mmap);
        options.allocator = &a;
        options.use_mmap = use_mmap != 0;
        tnn_gguf *g;
        tnn_error err;
        tnn_status status = tnn_gguf_open(&g, temp_path(&dir, "sample.gguf"), &options, &err);
        if (status != TNN_OK) fail_msg("%s", err.text);
        check_tensors(g);
        tnn_gguf_close(g);
        assert_int_equal(counter.live_bytes, 0);
        assert_int_equal(counter.live_blocks, 0);
    }
    free_bytes(&b);
    temp_dir_remove(&dir);
}

static void test_paths_that_do_not_open(void **state) {
    (void)state;
    temp_dir dir;
    temp_dir_create(&dir);
    tnn_gguf *g;
    tnn_error err;
    assert_int_equal(tnn_gguf_open(&g, temp_path(&dir, "absent.gguf"), NULL, &err), TNN_E_IO);
    assert_null(g);
    assert_non_null(strstr(err.text, "absent.gguf"));
    assert_int_equal(tnn_gguf_open(&g, dir.path, NULL, &err), TNN_E_IO);
    write_file(temp_path(&dir, "empty.gguf"), "", 0);
    assert_int_equal(tnn_gguf_open(&g, temp_path(&dir, "empty.gguf"), NULL, &err), TNN_E_FORMAT);
    assert_non_null(strstr(err.text, "empty.gguf"));
    assert_int_equal(tnn_gguf_open(&g, temp_path(&dir, "empty.gguf"), NULL, NULL), TNN_E_FORMAT);
    assert_int_equal(tnn_gguf_open_memory(&g, NULL, 0, NULL, &err), TNN_E_FORMAT);
    tnn_gguf_close(NULL);
    temp_dir_remove(&dir);
}

/* The end of a long path says more than its beginning, and must leave room for what is wrong. */
static void test_long_paths_in_messages(void **state) {
    (void)state;
    temp_dir dir;
    temp_dir_create(&dir);
    char name[220];
    memset(name, 'n', sizeof name - 1);
    memcpy(name + sizeof name - 9, "end.gguf", 9);
    bytes b = {0};
    put_fixed_part(&b, 3, 0, 1);
    char key[300];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    put_key(&b, key, 77);
    put_zeros(&b, 32);
    write_file(temp_path(&dir, name), b.data, b.size);
    tnn_gguf *g;
    tnn_error err;
    assert_int_equal(tnn_gguf_open(&g, temp_path(&dir, name), NULL, &err), TNN_E_FORMAT);
    assert_non_null(strstr(err.text, "nnend.gguf"));
    assert_non_null(strstr(err.text, "value type 77 does not exist"));
    free_bytes(&b);
    temp_dir_remove(&dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_general_facts),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_floats_bools_and_strings),
        cmocka_unit_test(test_absent_keys),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_scalars_by_index),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_header_is_private),
        cmocka_unit_test(test_header_that_grows),
        cmocka_unit_test(test_bytes_are_read_once),
        cmocka_unit_test(test_files_with_and_without_mmap),
        cmocka_unit_test(test_paths_that_do_not_open),
        cmocka_unit_test(test_long_paths_in_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
