/* Status texts, error records, allocation and arenas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/error.h"
#include "support/counting_allocator.h"

static void test_status_texts(void **state) {
    (void)state;
    assert_string_equal(tnn_status_text(TNN_OK), "ok");
    assert_string_equal(tnn_status_text(TNN_E_FULL), "context is full");
    assert_string_equal(tnn_status_text((tnn_status)1), "unknown status");
    assert_string_equal(tnn_status_text((tnn_status)-1000), "unknown status");
}

static void test_error_record(void **state) {
    (void)state;
    tnn_error err = {0};
    assert_int_equal(tnn__fail(&err, TNN_E_SHAPE, "row %d of %s", 3, "w"), TNN_E_SHAPE);
    assert_int_equal(err.status, TNN_E_SHAPE);
    assert_string_equal(err.text, "row 3 of w");
    assert_int_equal(tnn__fail(NULL, TNN_E_IO, "%s", "nobody listens"), TNN_E_IO);

    /* the text as its own argument: context put in front */
    tnn__fail(&err, err.status, "loading m.gguf: %s", err.text);
    assert_string_equal(err.text, "loading m.gguf: row 3 of w");

    assert_int_equal(tnn__fail_nomem(&err, "the cache", 4096), TNN_E_NOMEM);
    assert_non_null(strstr(err.text, "the cache needs 4096 bytes"));
}

static void test_error_text_is_one_printable_line(void **state) {
    (void)state;
    tnn_error err;
    tnn__fail(&err, TNN_E_FORMAT, "key %s", "a\nb\tc\x1b[31m\x7f \xc2\x85");
    assert_string_equal(err.text, "key a?b?c?[31m? ??");
    /* a lone continuation byte, an overlong slash, a surrogate, beyond U+10FFFF, a character cut off */
    tnn__fail(&err, TNN_E_FORMAT, "%s", "\x80 \xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82");
    assert_string_equal(err.text, "? ?? ??? ???? ??");
    tnn__fail(&err, TNN_E_FORMAT, "%s", "h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_string_equal(err.text, "h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
}

static void test_error_text_is_cut(void **state) {
    (void)state;
    char text[2 * TNN_ERROR_TEXT_MAX];
    for (size_t shift = 0; shift < 2; shift++) {
        memset(text, 'x', sizeof text);
        for (size_t i = shift; i + 2 < sizeof text; i += 2) {
            memcpy(text + i, "\xc3\xa9", 2);
        }
        text[sizeof text - 1] = '\0';
        tnn_error err;
        tnn__fail(&err, TNN_E_FORMAT, "%s", text);
        size_t n = strlen(err.text);
        assert_int_equal(n, TNN_ERROR_TEXT_MAX - 1);
        assert_string_equal(err.text + n - 3, "...");
        /* where a character was cut, its first byte is replaced */
        unsigned char last = (unsigned char)err.text[n - 4];
        assert_true(last == '?' || last == 0xa9);
    }
}

static void test_alloc(void **state) {
    (void)state;
    counting_allocator counts = {0};
    tnn_allocator a = counting_interface(&counts);
    void *empty = tnn__alloc(&a, 0, 1);
    unsigned char *aligned = tnn__calloc(&a, 1000, 64);
    uint64_t *array = tnn__calloc_array(&a, 10, sizeof *array);
    assert_non_null(empty);
    assert_non_null(aligned);
    assert_non_null(array);
    assert_int_equal((uintptr_t)aligned % 64, 0);
    assert_int_equal((uintptr_t)array % TNN__ALIGN, 0);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(aligned[i], 0);
    }
    assert_null(tnn__calloc_array(&a, SIZE_MAX / 8 + 1, 8));
    assert_int_equal(counts.live_blocks, 3);
    tnn__free(&a, empty, 0, 1);
    tnn__free(&a, aligned, 1000, 64);
    tnn__free_array(&a, array, 10, sizeof *array);
    tnn__free(&a, NULL, 10, 8);
    assert_int_equal(counts.live_blocks, 0);
    assert_int_equal(counts.live_bytes, 0);

    /* the default one, on both sides of the size from which it asks the system */
    for (size_t size = 100; size < (size_t)1 << 24; size *= 19) {
        for (int round = 0; round < 2; round++) {
            unsigned char *p = tnn__calloc(NULL, size, TNN__ALIGN);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % TNN__ALIGN, 0);
            for (size_t i = 0; i < size; i++) {
                if (p[i] != 0) fail_msg("byte %zu of %zu is not zero", i, size);
            }
            memset(p, 0xff, size);
            tnn__free(NULL, p, size, TNN__ALIGN);
        }
    }
}

static void test_checked_arithmetic(void **state) {
    (void)state;
    size_t out = 7;
    assert_false(tnn__mul_size(SIZE_MAX, 2, &out));
    assert_false(tnn__mul_size(SIZE_MAX / 3 + 1, 3, &out));
    assert_false(tnn__add_size(SIZE_MAX, 1, &out));
    assert_false(tnn__round_up_size(SIZE_MAX - 14, 16, &out));
    assert_int_equal(out, 7);
    assert_true(tnn__mul_size(SIZE_MAX, 1, &out) && out == SIZE_MAX);
    assert_true(tnn__mul_size(SIZE_MAX, 0, &out) && out == 0);
    assert_true(tnn__mul_size(0, SIZE_MAX, &out) && out == 0);
    assert_true(tnn__add_size(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
    assert_true(tnn__round_up_size(SIZE_MAX - 15, 16, &out) && out == SIZE_MAX - 15);
    assert_true(tnn__round_up_size(17, 16, &out) && out == 32);
}

static void test_arena_gives_zeroed_aligned_memory(void **state) {
    (void)state;
    counting_allocator counts = {0};
    tnn_allocator a = counting_interface(&counts);
    tnn__arena arena;
    tnn__arena_init(&arena, &a, 256);
    assert_int_equal(counts.requests, 0);

    unsigned char *pushed[200];
    for (int i = 0; i < 200; i++) {
        size_t bytes = (size_t)i * 7 % 300; /* 0, small, larger than a chunk */
        pushed[i] = tnn__arena_push(&arena, bytes);
        assert_non_null(pushed[i]);
        assert_int_equal((uintptr_t)pushed[i] % 16, 0);
        for (size_t j = 0; j < bytes; j++) {
            assert_int_equal(pushed[i][j], 0);
        }
        memset(pushed[i], i, bytes);
    }
    for (int i = 0; i < 200; i++) {
        for (size_t j = 0; j < (size_t)i * 7 % 300; j++) {
            assert_int_equal(pushed[i][j], (unsigned char)i);
        }
    }
    tnn__arena_free(&arena);
    assert_int_equal(counts.live_blocks, 0);
    assert_int_equal(counts.live_bytes, 0);
}

static void test_arena_large_push_keeps_the_chunk(void **state) {
    (void)state;
    counting_allocator counts = {0};
    tnn_allocator a = counting_interface(&counts);
    tnn__arena arena;
    tnn__arena_init(&arena, &a, 4096);
    assert_non_null(tnn__arena_push(&arena, 16));
    assert_non_null(tnn__arena_push(&arena, 100000));
    assert_non_null(tnn__arena_push(&arena, 16));
    assert_int_equal(counts.requests, 2);
    tnn__arena_free(&arena);
    assert_int_equal(counts.live_blocks, 0);
}

static void test_arena_strings(void **state) {
    (void)state;
    tnn__arena arena;
    tnn__arena_init(&arena, NULL, 0);
    assert_string_equal(tnn__arena_strdup(&arena, "blk.0.attn_q.weight"), "blk.0.attn_q.weight");
    assert_string_equal(tnn__arena_strdup(&arena, ""), "");
    assert_memory_equal(tnn__arena_strndup(&arena, "a\0b", 3), "a\0b", 4);
    assert_null(tnn__arena_strndup(&arena, "", SIZE_MAX));
    assert_null(tnn__arena_push(&arena, SIZE_MAX));
    assert_null(tnn__arena_push(&arena, SIZE_MAX - 40));
    assert_null(tnn__arena_push_array(&arena, SIZE_MAX / 2, 3));
    assert_non_null(tnn__arena_push_array(&arena, 0, 3));
    tnn__arena_free(&arena);
}

/* Whatever request fails, what was pushed before stays, later pushes may succeed, and nothing is lost. */
static void test_arena_without_memory(void **state) {
    (void)state;
    for (size_t fail_at = 1; fail_at <= 6; fail_at++) {
        for (int from = 0; from < 2; from++) {
            counting_allocator counts = {.fail_at = fail_at, .fail_from = from};
            tnn_allocator a = counting_interface(&counts);
            tnn__arena arena;
            tnn__arena_init(&arena, &a, 128);
            int n_failed = 0;
            char *kept = NULL;
            for (int i = 0; i < 20; i++) {
                char *p = tnn__arena_strdup(&arena, "forty bytes of text that fill a chunk up");
                if (p && !kept) kept = p;
                n_failed += !p;
            }
            assert_true(n_failed > 0);
            if (!from) assert_int_equal(n_failed, 1);
            if (kept) assert_string_equal(kept, "forty bytes of text that fill a chunk up");
            tnn__arena_free(&arena);
            assert_int_equal(counts.live_blocks, 0);
            assert_int_equal(counts.live_bytes, 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_texts),
        cmocka_unit_test(test_error_record),
        cmocka_unit_test(test_error_text_is_one_printable_line),
        cmocka_unit_test(test_error_text_is_cut),
        cmocka_unit_test(test_alloc),
        cmocka_unit_test(test_checked_arithmetic),
        cmocka_unit_test(test_arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(test_arena_large_push_keeps_the_chunk),
        cmocka_unit_test(test_arena_strings),
        cmocka_unit_test(test_arena_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
