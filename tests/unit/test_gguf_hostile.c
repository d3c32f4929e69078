/*
 * Hostile GGUF files: every fault known from software of this kind that a reader alone can see. Each row builds a file,
 * states the status and a part of the message. The answer is an error of one line, with little memory taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/counting_allocator.h"
#include "support/gguf_bytes.h"
#include "support/gguf_walk.h"

#define MAX64 UINT64_MAX

typedef struct row {
    const char *fault;
    void (*build)(bytes *b, uint64_t x);
    uint64_t x; /* the number that is wrong */
    tnn_status status;
    const char *message;
} row;

/* --- the fixed part --- */

static void raw_prefix(bytes *b, uint64_t size) {
    bytes whole = {0};
    put_fixed_part(&whole, 3, 0, 0);
    put_raw(b, whole.data, (size_t)size);
    free_bytes(&whole);
}

static void zip_magic(bytes *b, uint64_t x) {
    (void)x;
    put_raw(b, "PK\x03\x04", 4);
    put_zeros(b, 60);
}

static void version(bytes *b, uint64_t x) {
    put_fixed_part(b, (uint32_t)x, 0, 0);
}

static void tensor_count(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, x, 0);
    put_zeros(b, 100);
}

static void kv_count(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 0, x);
    put_zeros(b, 100);
}

/* --- keys and values --- */

static void key_length(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 0, 1);
    put_uint(b, x, 8);
    put_zeros(b, 70000);
}

/* A key length larger than what is left by x. */
static void key_beyond_end(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 0, 1);
    put_uint(b, 40 + x, 8);
    for (int i = 0; i < 40; i++) {
        put_raw(b, "k", 1);
    }
}

static void key_with_nul(bytes *b, uint64_t x) {
    (void)x;
    put_fixed_part(b, 3, 0, 1);
    put_uint(b, 3, 8);
    put_raw(b, "a\0b", 3);
    put_uint(b, TNN_GGUF_U8, 4);
    put_zeros(b, 1);
}

static void same_key_twice(bytes *b, uint64_t x) {
    (void)x;
    put_fixed_part(b, 3, 0, 3);
    put_kv_u32(b, "twice", 1);
    put_kv_u32(b, "once", 1);
    put_kv_u32(b, "twice", 2);
}

static void value_type(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 0, 1);
    put_key(b, "some.key", (uint32_t)x);
    put_zeros(b, 64);
}

static void string_length(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 0, 1);
    put_key(b, "some.key", TNN_GGUF_STRING);
    put_uint(b, x, 8);
    put_zeros(b, 64);
}

static void element_type(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 0, 1);
    put_array(b, "some.key", (uint32_t)x, 1);
    put_zeros(b, 64);
}

static void arrays_in_arrays(bytes *b, uint64_t depth) {
    put_fixed_part(b, 3, 0, 1);
    put_key(b, "some.key", TNN_GGUF_ARRAY);
    for (uint64_t i = 0; i < depth; i++) {
        put_uint(b, TNN_GGUF_ARRAY, 4);
        put_uint(b, 1, 8);
    }
    put_uint(b, TNN_GGUF_U8, 4);
    put_uint(b, 1, 8);
    put_zeros(b, 1);
}

static void array_count_u64(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 0, 1);
    put_array(b, "some.key", TNN_GGUF_U64, x);
    put_zeros(b, 64);
}

static void array_count_u8(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 0, 1);
    put_array(b, "some.key", TNN_GGUF_U8, x);
    put_zeros(b, 64);
}

static void array_count_str(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 0, 1);
    put_array(b, "some.key", TNN_GGUF_STRING, x);
    put_zeros(b, 64);
}

static void array_string_length(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 0, 1);
    put_array(b, "some.key", TNN_GGUF_STRING, 3);
    put_str(b, "first");
    put_uint(b, x, 8);
    put_zeros(b, 64);
}

static void alignment(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 1, 1);
    put_kv_u32(b, "general.alignment", (uint32_t)x);
    put_tensor_1d(b, "t", 8, TNN_TYPE_F32, 0);
    put_padding(b, 32);
    put_zeros(b, 64);
}

static void alignment_of_type(bytes *b, uint64_t type) {
    put_fixed_part(b, 3, 1, 1);
    put_key(b, "general.alignment", (uint32_t)type);
    if (type == TNN_GGUF_ARRAY) put_uint(b, TNN_GGUF_U32, 4);
    if (type == TNN_GGUF_ARRAY) put_uint(b, 1, 8);
    put_uint(b, type == TNN_GGUF_STRING ? 0 : 32,
             type == TNN_GGUF_BOOL || type == TNN_GGUF_U8      ? 1
             : type == TNN_GGUF_U16                            ? 2
             : type == TNN_GGUF_U64 || type == TNN_GGUF_STRING ? 8
                                                               : 4);
    put_tensor_1d(b, "t", 8, TNN_TYPE_F32, 0);
    put_padding(b, 32);
    put_zeros(b, 64);
}

/* --- tensors --- */

/* Ends a header and adds 256 bytes of data. */
static void put_data(bytes *b) {
    put_padding(b, 32);
    put_zeros(b, 256);
}

static void dimensions(bytes *b, uint64_t n_dims) {
    put_fixed_part(b, 3, 1, 0);
    put_str(b, "t");
    put_uint(b, n_dims, 4);
    for (int i = 0; i < 16; i++) {
        put_uint(b, 1, 8);
    }
    put_data(b);
}

static void name_length(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 1, 0);
    put_uint(b, x, 8);
    put_zeros(b, 300);
}

static void name_with_nul(bytes *b, uint64_t x) {
    (void)x;
    put_fixed_part(b, 3, 1, 0);
    put_uint(b, 3, 8);
    put_raw(b, "a\0b", 3);
    put_zeros(b, 300);
}

static void same_name_twice(bytes *b, uint64_t x) {
    (void)x;
    put_fixed_part(b, 3, 3, 0);
    put_tensor_1d(b, "twice", 8, TNN_TYPE_F32, 0);
    put_tensor_1d(b, "once", 8, TNN_TYPE_F32, 32);
    put_tensor_1d(b, "twice", 8, TNN_TYPE_F32, 64);
    put_data(b);
}

static void type_id(bytes *b, uint64_t type) {
    put_fixed_part(b, 3, 1, 0);
    put_tensor_1d(b, "blk.0.attn_q.weight", 256, (uint32_t)type, 0);
    put_data(b);
}

static void f32_elements(bytes *b, uint64_t ne0) {
    put_fixed_part(b, 3, 1, 0);
    put_tensor_1d(b, "t", ne0, TNN_TYPE_F32, 0);
    put_data(b);
}

static void zero_elements_and(bytes *b, uint64_t x) {
    uint64_t ne[4] = {x, 0, x, 4};
    put_fixed_part(b, 3, 1, 0);
    put_tensor(b, "t", 4, ne, TNN_TYPE_F32, 0);
    put_data(b);
}

static void i8_square(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 2, 0);
    put_tensor_2d(b, "square", x, x, TNN_TYPE_I8, 0);
    put_tensor_1d(b, "small", 32, TNN_TYPE_I8, 0);
    put_data(b);
}

static void product_of_four(bytes *b, uint64_t x) {
    uint64_t ne[4] = {x, x, x, x};
    put_fixed_part(b, 3, 1, 0);
    put_tensor(b, "t", 4, ne, TNN_TYPE_I8, 0);
    put_data(b);
}

static void q8_0_bytes(bytes *b, uint64_t ne0) {
    put_fixed_part(b, 3, 1, 0);
    put_tensor_1d(b, "t", ne0, TNN_TYPE_Q8_0, 0);
    put_data(b);
}

static void two_huge_i8(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 2, 0);
    put_tensor_1d(b, "a", x, TNN_TYPE_I8, 0);
    put_tensor_1d(b, "b", x, TNN_TYPE_I8, x);
    put_data(b);
}

static void huge_then_small(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 2, 0);
    put_tensor_1d(b, "a", x, TNN_TYPE_F32, 0);
    put_tensor_1d(b, "b", 8, TNN_TYPE_F32, x * 4);
    put_data(b);
}

static void q4_0_row(bytes *b, uint64_t ne0) {
    put_fixed_part(b, 3, 1, 0);
    put_tensor_2d(b, "t", ne0, 32, TNN_TYPE_Q4_0, 0);
    put_data(b);
}

static void offset(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 1, 0);
    put_tensor_1d(b, "t", 8, TNN_TYPE_F32, x);
    put_data(b);
}

static void offset_of_nothing(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 1, 0);
    put_tensor_1d(b, "t", 0, TNN_TYPE_F32, x);
    put_data(b);
}

static void no_data(bytes *b, uint64_t x) {
    (void)x;
    put_fixed_part(b, 3, 1, 0);
    put_tensor_1d(b, "t", 8, TNN_TYPE_F32, 0);
}

/* A of 64 bytes at 0, B of 32 bytes at x. */
static void overlap(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 2, 0);
    put_tensor_1d(b, "A", 16, TNN_TYPE_F32, 0);
    put_tensor_1d(b, "B", 8, TNN_TYPE_F32, x);
    put_data(b);
}

/* The later of four tensors, last in the file, reaches back into the one before. */
static void overlap_out_of_order(bytes *b, uint64_t x) {
    put_fixed_part(b, 3, 4, 0);
    put_tensor_1d(b, "A", 8, TNN_TYPE_F32, 192);
    put_tensor_1d(b, "B", 8, TNN_TYPE_F32, 0);
    put_tensor_1d(b, "C", 0, TNN_TYPE_F32, 32);
    put_tensor_1d(b, "D", 17, TNN_TYPE_F32, x);
    put_data(b);
    put_zeros(b, 256);
}

static void shard(bytes *b, uint64_t no) {
    put_fixed_part(b, 3, 0, 2);
    put_kv_u32(b, "split.no", (uint32_t)no);
    put_kv_u32(b, "split.count", 3);
}

#define F TNN_E_FORMAT
#define U TNN_E_UNSUPPORTED

static const row rows[] = {
    {"empty file", raw_prefix, 0, F, "cut short"},
    {"magic cut short", raw_prefix, 3, F, "cut short"},
    {"magic alone", raw_prefix, 4, F, "cut short"},
    {"counts cut short", raw_prefix, 23, F, "cut short"},
    {"a zip file", zip_magic, 0, F, "not a GGUF file"},
    {"version 0", version, 0, F, "version 0"},
    {"version 1", version, 1, U, "version 1"},
    {"version 4", version, 4, U, "version 4"},
    {"version 2^32-1", version, UINT32_MAX, U, "newer"},
    {"big-endian", version, 0x03000000, U, "big-endian"},
    {"n_tensors 2^64-1", tensor_count, MAX64, F, "18446744073709551615 tensors"},
    {"n_tensors 2^63", tensor_count, UINT64_C(1) << 63, F, "tensors"},
    {"n_tensors 2^60", tensor_count, UINT64_C(1) << 60, F, "tensors"},
    {"n_tensors x size wraps - 1", tensor_count, SIZE_MAX / sizeof(tnn_gguf_tensor) - 1, F, "tensors"},
    {"n_tensors x size wraps", tensor_count, SIZE_MAX / sizeof(tnn_gguf_tensor), F, "tensors"},
    {"n_tensors x size wraps + 1", tensor_count, SIZE_MAX / sizeof(tnn_gguf_tensor) + 1, F, "tensors"},
    {"one tensor too many", tensor_count, 5, F, "5 tensors"},
    {"n_kv 2^64-1", kv_count, MAX64, F, "metadata entries"},
    {"n_kv 2^63", kv_count, UINT64_C(1) << 63, F, "metadata entries"},
    {"n_kv 2^60", kv_count, UINT64_C(1) << 60, F, "metadata entries"},
    {"n_kv x size wraps - 1", kv_count, SIZE_MAX / 80 - 1, F, "metadata entries"},
    {"n_kv x size wraps + 1", kv_count, SIZE_MAX / 80 + 1, F, "metadata entries"},
    {"one entry too many", kv_count, 8, F, "8 metadata entries"},
    {"key length 2^64-1", key_length, MAX64, F, "at most 65535"},
    {"key length 2^63", key_length, UINT64_C(1) << 63, F, "at most 65535"},
    {"key length 2^32 + 4", key_length, (UINT64_C(1) << 32) + 4, F, "at most 65535"},
    {"key length 2^31", key_length, UINT64_C(1) << 31, F, "at most 65535"},
    {"key length 65536", key_length, 65536, F, "at most 65535"},
    {"key one byte beyond the end", key_beyond_end, 1, F, "cut short"},
    {"empty key", key_length, 0, F, "empty key"},
    {"NUL in a key", key_with_nul, 0, F, "NUL"},
    {"same key twice", same_key_twice, 0, F, "entry 2 'twice'"},
    {"value type 13", value_type, 13, F, "'some.key', byte 40: value type 13"},
    {"value type -1", value_type, UINT32_MAX, F, "value type -1"},
    {"value type 2^31", value_type, UINT32_C(1) << 31, F, "value type"},
    {"string length 2^64-1", string_length, MAX64, F, "at most 1073741824"},
    {"string length 2^64-8", string_length, MAX64 - 7, F, "at most 1073741824"},
    {"string length 2^32 + 8", string_length, (UINT64_C(1) << 32) + 8, F, "at most 1073741824"},
    {"string length 2^31", string_length, UINT64_C(1) << 31, F, "at most 1073741824"},
    {"string length 2^30 + 1", string_length, (UINT64_C(1) << 30) + 1, F, "at most 1073741824"},
    {"string one byte beyond the end", string_length, 65, F, "65 bytes are needed here, the file has 64 more"},
    {"element type 13", element_type, 13, F, "value type 13"},
    {"element type -1", element_type, UINT32_MAX, F, "value type -1"},
    {"array of arrays", arrays_in_arrays, 1, F, "array of arrays"},
    {"arrays, 100,000 deep", arrays_in_arrays, 100000, F, "array of arrays"},
    {"array count 2^61", array_count_u64, UINT64_C(1) << 61, F, "at most 1073741824"},
    {"array count 2^64-1", array_count_u64, MAX64, F, "at most 1073741824"},
    {"array count 2^31", array_count_u64, UINT64_C(1) << 31, F, "at most 1073741824"},
    {"array count 2^30", array_count_u64, UINT64_C(1) << 30, F, "cut short"},
    {"array one element beyond the end", array_count_u64, 9, F, "72 bytes are needed"},
    {"bytes, one beyond the end", array_count_u8, 65, F, "65 bytes are needed"},
    {"more strings than can follow", array_count_str, 9, F, "9 strings cannot fit"},
    {"strings, count 2^30", array_count_str, UINT64_C(1) << 30, F, "strings cannot fit"},
    {"strings, count 2^61", array_count_str, UINT64_C(1) << 61, F, "at most 1073741824"},
    {"second of three strings too long", array_string_length, 65, F, "cut short"},
    {"second of three strings 2^64-1", array_string_length, MAX64, F, "at most 1073741824"},
    {"second of three leaves no room for the third", array_string_length, 60, F, "cut short"},
    {"alignment 0", alignment, 0, F, "'general.alignment'"},
    {"alignment 1", alignment, 1, F, "power of two"},
    {"alignment 3", alignment, 3, F, "power of two"},
    {"alignment 33", alignment, 33, F, "power of two"},
    {"alignment 2^31", alignment, UINT32_C(1) << 31, F, "power of two"},
    {"alignment 2^32-1", alignment, UINT32_MAX, F, "power of two"},
    {"alignment as u64", alignment_of_type, TNN_GGUF_U64, F, "must be u32"},
    {"alignment as i32", alignment_of_type, TNN_GGUF_I32, F, "must be u32"},
    {"alignment as u8", alignment_of_type, TNN_GGUF_U8, F, "must be u32"},
    {"alignment as f32", alignment_of_type, TNN_GGUF_F32, F, "must be u32"},
    {"alignment as bool", alignment_of_type, TNN_GGUF_BOOL, F, "must be u32"},
    {"alignment as string", alignment_of_type, TNN_GGUF_STRING, F, "must be u32"},
    {"alignment as array", alignment_of_type, TNN_GGUF_ARRAY, F, "must be u32"},
    {"5 dimensions", dimensions, 5, F, "5 dimensions"},
    {"9 dimensions", dimensions, 9, F, "9 dimensions"},
    {"2^32-1 dimensions", dimensions, UINT32_MAX, F, "4294967295 dimensions"},
    {"tensor name of 64 bytes", name_length, 64, F, "at most 63"},
    {"tensor name of 2^64-1 bytes", name_length, MAX64, F, "at most 63"},
    {"tensor name of 2^32 + 4 bytes", name_length, (UINT64_C(1) << 32) + 4, F, "at most 63"},
    {"NUL in a tensor name", name_with_nul, 0, F, "NUL"},
    {"same tensor name twice", same_name_twice, 0, F, "'twice'"},
    {"removed type 4", type_id, 4, F, "'blk.0.attn_q.weight', byte 63: type id 4"},
    {"removed type 5", type_id, 5, F, "type id 5"},
    {"removed type 31", type_id, 31, F, "type id 31"},
    {"removed type 36", type_id, 36, F, "type id 36"},
    {"removed type 38", type_id, 38, F, "type id 38"},
    {"type 43", type_id, 43, F, "type id 43"},
    {"type 96", type_id, 96, F, "never given out"},
    {"ik_llama.cpp type 97", type_id, 97, F, "type id 97"},
    {"ik_llama.cpp type 133", type_id, 133, F, "ik_llama.cpp"},
    {"type -1", type_id, UINT32_MAX, F, "type id -1"},
    {"type 2^31", type_id, UINT32_C(1) << 31, F, "type id -2147483648"},
    {"type 2^30", type_id, UINT32_C(1) << 30, F, "type id 1073741824"},
    {"ne -1", f32_elements, MAX64, F, "ne[0] is negative"},
    {"ne -2^63", f32_elements, UINT64_C(1) << 63, F, "ne[0] is negative"},
    {"bytes = 2^64 + 0", f32_elements, UINT64_C(1) << 62, F, "more bytes"},
    {"bytes = 2^64 + 32", f32_elements, (UINT64_C(1) << 62) + 8, F, "more bytes"},
    {"bytes = 2^64 - 4", f32_elements, (UINT64_C(1) << 62) - 1, F, "lie outside"},
    {"blocks of 2^63 - 32 elements", q8_0_bytes, (UINT64_C(1) << 63) - 32, F, "lie outside"},
    {"zero-size with dimensions that wrap", zero_elements_and, UINT64_C(1) << 62, F, "2^63-1 elements"},
    {"I8 {2^32, 2^32} and I8[32]", i8_square, UINT64_C(1) << 32, F, "2^63-1 elements"},
    {"I8 {2^31.5, 2^31.5}", i8_square, UINT64_C(3037000500), F, "2^63-1 elements"},
    {"I8 {2^16, 2^16, 2^16, 2^16}", product_of_four, UINT64_C(1) << 16, F, "2^63-1 elements"},
    {"two I8 of 0x7FFFFFFFFFFFFFC0", two_huge_i8, UINT64_C(0x7FFFFFFFFFFFFFC0), F, "'a'"},
    {"F32 2^62-1, then F32[8]", huge_then_small, (UINT64_C(1) << 62) - 1, F, "'a'"},
    {"row of 33 in blocks of 32", q4_0_row, 33, F, "whole number of blocks"},
    {"row of 1 in blocks of 32", q4_0_row, 1, F, "whole number of blocks"},
    {"offset 1", offset, 1, F, "alignment 32"},
    {"offset 8", offset, 8, F, "alignment 32"},
    {"offset 33", offset, 33, F, "alignment 32"},
    {"offset at the end", offset, 256, F, "lie outside"},
    {"offset 2^63", offset, UINT64_C(1) << 63, F, "lie outside"},
    {"offset 2^64-32", offset, MAX64 - 31, F, "lie outside"},
    {"offset 2^64-64", offset, MAX64 - 63, F, "lie outside"},
    {"offset of a zero-size tensor beyond the end", offset_of_nothing, 288, F, "lie outside"},
    {"offset of a zero-size tensor 2^64-32", offset_of_nothing, MAX64 - 31, F, "lie outside"},
    {"no data section", no_data, 0, F, "lie outside"},
    {"same offset", overlap, 0, F, "'A' and 'B' overlap"},
    {"second begins inside the first", overlap, 32, F, "overlap"},
    {"overlap found after sorting", overlap_out_of_order, 128, F, "'D' and 'A' overlap"},
    {"overlap of neighbours at one offset", overlap_out_of_order, 192, F, "overlap"},
    {"shard 1 in memory", shard, 0, U, "shard 1 of 3"},
    {"shard 3 in memory", shard, 2, U, "shard 3 of 3"},
    {"shard 4 of 3", shard, 3, F, "split.count"},
};

static void is_one_line(const char *text) {
    assert_int_not_equal(strlen(text), 0);
    for (const char *c = text; *c; c++) {
        assert_false((unsigned char)*c < 0x20 || *c == 0x7f);
    }
}

static void test_hostile_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bytes b = {0};
        rows[i].build(&b, rows[i].x);
        counting_allocator counter = {0};
        tnn_allocator a = counting_interface(&counter);
        tnn_gguf_open_options options = {.allocator = &a};
        tnn_error err = {0};
        tnn_gguf *g = (tnn_gguf *)&err;
        void *copy;
        tnn_status status = open_exact(&g, &b, b.size, &copy, &options, &err);
        if (status != rows[i].status || !strstr(err.text, rows[i].message)) {
            fail_msg("%s: status %d (%d expected), text: %s", rows[i].fault, status, rows[i].status, err.text);
        }
        assert_null(g);
        assert_int_equal(err.status, status);
        is_one_line(err.text);
        assert_int_equal(counter.live_bytes, 0);
        assert_int_equal(counter.live_blocks, 0);
        assert_true(counter.peak_bytes < 4 * b.size + 200000);
        free(copy);
        free_bytes(&b);
    }
}

/* The message names what the file says, and is one line whatever bytes a name has. */
static void test_names_in_messages_are_printable(void **state) {
    (void)state;
    bytes b = {0};
    put_fixed_part(&b, 3, 0, 1);
    put_key(&b, "a\nb\x1b[31m\xff\xfe", 99);
    put_zeros(&b, 32);
    tnn_gguf *g;
    tnn_error err;
    assert_int_equal(tnn_gguf_open_memory(&g, b.data, b.size, NULL, &err), TNN_E_FORMAT);
    is_one_line(err.text);
    assert_non_null(strstr(err.text, "a?b?[31m"));
    free_bytes(&b);
}

/* --- a valid file, damaged --- */

/* Some of everything, 4 KB. */
static void put_valid(bytes *b) {
    put_fixed_part(b, 3, 4, 9);
    put_kv_str(b, "general.architecture", "llama");
    put_kv_u32(b, "general.alignment", 64);
    put_kv_u32(b, "llama.block_count", 1);
    put_key(b, "llama.attention.layer_norm_rms_epsilon", TNN_GGUF_F32);
    put_f32(b, 1e-5f);
    put_key(b, "tokenizer.ggml.add_bos_token", TNN_GGUF_BOOL);
    put_uint(b, 1, 1);
    put_array(b, "tokenizer.ggml.tokens", TNN_GGUF_STRING, 6);
    for (int i = 0; i < 6; i++) {
        static const char *const tokens[] = {"<unk>", "<s>", "</s>", "a", "\xe2\x96\x81", ""};
        put_str(b, tokens[i]);
    }
    put_array(b, "tokenizer.ggml.scores", TNN_GGUF_F32, 6);
    for (int i = 0; i < 6; i++) {
        put_f32(b, (float)-i);
    }
    put_array(b, "tokenizer.ggml.token_type", TNN_GGUF_I32, 6);
    put_zeros(b, 24);
    put_key(b, "some.double", TNN_GGUF_F64);
    put_f64(b, 0.5);
    put_tensor_2d(b, "token_embd.weight", 32, 6, TNN_TYPE_F32, 0);
    put_tensor_1d(b, "output_norm.weight", 32, TNN_TYPE_F32, 768);
    put_tensor_2d(b, "blk.0.attn_q.weight", 32, 32, TNN_TYPE_Q8_0, 896);
    put_tensor_2d(b, "blk.0.attn_k.weight", 32, 8, TNN_TYPE_BF16, 1984);
    put_padding(b, 64);
    for (int i = 0; i < 2496; i++) {
        put_uint(b, (uint64_t)i * 7, 1);
    }
}

static void test_every_truncation_is_refused(void **state) {
    (void)state;
    bytes b = {0};
    put_valid(&b);
    assert_in_range(b.size, 3000, 4096);
    for (size_t size = 0; size <= b.size; size++) {
        tnn_gguf *g;
        tnn_error err;
        void *copy;
        tnn_status status = open_exact(&g, &b, size, &copy, NULL, &err);
        if (size == b.size) {
            assert_int_equal(status, TNN_OK);
        } else {
            assert_int_equal(status, TNN_E_FORMAT);
            is_one_line(err.text);
        }
        tnn_gguf_close(g);
        free(copy);
    }
    free_bytes(&b);
}

static void test_every_flip_opens_or_is_refused(void **state) {
    (void)state;
    bytes b = {0};
    put_valid(&b);
    static const uint8_t masks[] = {1, 2, 4, 8, 16, 32, 64, 128, 255};
    uint64_t sum = 0;
    size_t opened = 0;
    for (size_t at = 0; at < b.size; at++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            b.data[at] ^= masks[m];
            tnn_gguf *g;
            tnn_error err;
            tnn_status status = tnn_gguf_open_memory(&g, b.data, b.size, NULL, &err);
            if (status == TNN_OK) {
                assert_true(walk_gguf(g, &sum));
                opened++;
            } else {
                assert_true(status == TNN_E_FORMAT || status == TNN_E_UNSUPPORTED);
                is_one_line(err.text);
            }
            tnn_gguf_close(g);
            b.data[at] ^= masks[m];
        }
    }
    /* Flips in weights and values are not a reader's to see: at least the data section opens every time. */
    assert_true(opened >= 2496 * sizeof masks);
    assert_true(opened < b.size * sizeof masks);
    free_bytes(&b);
}

/* --- what may be strange and is accepted --- */

static void expect_opens(const bytes *b, int64_t n_tensors) {
    tnn_gguf *g;
    tnn_error err;
    void *copy;
    uint64_t sum = 0;
    tnn_status status = open_exact(&g, b, b->size, &copy, NULL, &err);
    if (status != TNN_OK) fail_msg("%s", err.text);
    assert_int_equal(tnn_gguf_n_tensors(g), n_tensors);
    assert_true(walk_gguf(g, &sum));
    tnn_gguf_close(g);
    free(copy);
}

static void test_strange_files_open(void **state) {
    (void)state;
    bytes b = {0};
    put_fixed_part(&b, 3, 0, 0);
    expect_opens(&b, 0);
    free_bytes(&b);

    overlap(&b, 64);
    expect_opens(&b, 2);
    free_bytes(&b);

    overlap(&b, 224); /* a gap before the last 32 bytes */
    expect_opens(&b, 2);
    free_bytes(&b);

    overlap_out_of_order(&b, 96);
    expect_opens(&b, 4);
    free_bytes(&b);

    offset_of_nothing(&b, 256);
    expect_opens(&b, 1);
    free_bytes(&b);

    /* Zero-size tensors may lie anywhere, also inside others. */
    put_fixed_part(&b, 3, 3, 0);
    put_tensor_1d(&b, "A", 16, TNN_TYPE_F32, 0);
    put_tensor_2d(&b, "empty", 32, 0, TNN_TYPE_Q4_0, 32);
    put_tensor_1d(&b, "empty too", 0, TNN_TYPE_F32, 0);
    put_data(&b);
    expect_opens(&b, 3);
    free_bytes(&b);

    /* The last tensor need not be padded, a scalar has no dimensions, and a name may be empty. */
    put_fixed_part(&b, 2, 2, 0);
    put_tensor(&b, "scalar", 0, NULL, TNN_TYPE_F32, 32);
    put_tensor_1d(&b, "", 3, TNN_TYPE_F32, 0);
    put_padding(&b, 32);
    put_zeros(&b, 36);
    expect_opens(&b, 2);
    free_bytes(&b);

    /* Only zero-size tensors, and no padding behind the header. */
    put_fixed_part(&b, 3, 1, 0);
    put_tensor_1d(&b, "t", 0, TNN_TYPE_F32, 0);
    expect_opens(&b, 1);
    free_bytes(&b);
}

static void test_types_without_kernels_are_listed(void **state) {
    (void)state;
    static const int32_t types[] = {TNN_TYPE_IQ2_XXS, TNN_TYPE_IQ1_S, TNN_TYPE_IQ3_S, TNN_TYPE_TQ1_0, TNN_TYPE_I32};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        bytes b = {0};
        put_fixed_part(&b, 3, 1, 0);
        put_tensor_1d(&b, "t", 256, (uint32_t)types[i], 0);
        put_padding(&b, 32);
        put_zeros(&b, 1024);
        expect_opens(&b, 1);
        free_bytes(&b);
    }
}

/* --- size --- */

/* A quadratic search through a million names would run for hours; hashing takes a second or two. */
static void test_a_million_keys_and_tensors(void **state) {
    (void)state;
    const int n = 1000000;
    bytes b = {0};
    put_fixed_part(&b, 3, (uint64_t)n, (uint64_t)n);
    for (int i = 0; i < n; i++) {
        char key[32];
        snprintf(key, sizeof key, "key.%d", i);
        put_kv_u32(&b, key, (uint32_t)i);
    }
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "blk.%d.weight", i);
        put_tensor_1d(&b, name, 0, TNN_TYPE_F32, 0);
    }
    tnn_gguf *g;
    tnn_error err = {0};
    if (tnn_gguf_open_memory(&g, b.data, b.size, NULL, &err) != TNN_OK) fail_msg("%s", err.text);
    uint32_t value = 0;
    assert_int_equal(tnn_gguf_get_u32(g, "key.777777", &value, &err), TNN_OK);
    assert_int_equal(value, 777777);
    assert_int_equal(tnn_gguf_find_tensor(g, "blk.999999.weight"), n - 1);
    assert_int_equal(tnn_gguf_find_tensor(g, "blk.1000000.weight"), -1);
    tnn_gguf_close(g);
    free_bytes(&b);
}

/* Tensors in reverse order must be sorted before neighbours can be compared. */
static void test_many_tensors_in_reverse_order(void **state) {
    (void)state;
    const uint64_t n = 100000;
    bytes b = {0};
    put_fixed_part(&b, 3, n, 0);
    for (uint64_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "blk.%d.weight", (int)i);
        put_tensor_1d(&b, name, 8, TNN_TYPE_F32, 32 * (n - 1 - i));
    }
    put_padding(&b, 32);
    put_zeros(&b, 32 * n);
    expect_opens(&b, (int64_t)n);
    free_bytes(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_rows),
        cmocka_unit_test(test_names_in_messages_are_printable),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_every_flip_opens_or_is_refused),
        cmocka_unit_test(test_strange_files_open),
        cmocka_unit_test(test_types_without_kernels_are_listed),
        cmocka_unit_test(test_a_million_keys_and_tensors),
        cmocka_unit_test(test_many_tensors_in_reverse_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
