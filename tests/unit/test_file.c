/* Views of files and small files in memory: contents, and what is refused with which words. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "support/counting_allocator.h"

static char folder[] = "/tmp/tnn-test-file-XXXXXX";
static char path[256];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/data", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void put_file(const void *data, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void test_view(void **state) {
    (void)state;
    uint8_t data[10000];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 31 >> 3);
    }
    put_file(data, sizeof data);
    for (int mapped = 0; mapped < 2; mapped++) {
        counting_allocator counts = {0};
        tnn_allocator a = counting_interface(&counts);
        tnn__file_view view;
        assert_int_equal(tnn__file_view_open(&view, path, mapped, &a, NULL), TNN_OK);
        assert_int_equal(view.size, sizeof data);
        assert_memory_equal(view.data, data, sizeof data);
        assert_int_equal(view.mapped, mapped);
        assert_int_equal(counts.live_blocks, mapped ? 0 : 1);
        tnn__file_view_close(&view);
        assert_null(view.data);
        tnn__file_view_close(&view);
        assert_int_equal(counts.live_blocks, 0);
        assert_int_equal(counts.live_bytes, 0);
    }
}

static void test_empty_file(void **state) {
    (void)state;
    put_file("", 0);
    for (int mapped = 0; mapped < 2; mapped++) {
        tnn__file_view view;
        assert_int_equal(tnn__file_view_open(&view, path, mapped, NULL, NULL), TNN_OK);
        assert_int_equal(view.size, 0);
        assert_non_null(view.data);
        tnn__file_view_close(&view);
    }
    char *text;
    size_t size;
    assert_int_equal(tnn__file_read(path, 0, NULL, &text, &size, NULL), TNN_OK);
    assert_int_equal(size, 0);
    assert_string_equal(text, "");
    tnn__free(NULL, text, 1, 1);
}

static void test_read(void **state) {
    (void)state;
    put_file("one\0two", 7);
    counting_allocator counts = {0};
    tnn_allocator a = counting_interface(&counts);
    char *text;
    size_t size;
    assert_int_equal(tnn__file_read(path, 7, &a, &text, &size, NULL), TNN_OK);
    assert_int_equal(size, 7);
    assert_memory_equal(text, "one\0two", 8);
    tnn__free(&a, text, size + 1, 1);
    assert_int_equal(counts.live_bytes, 0);

    tnn_error err;
    assert_int_equal(tnn__file_read(path, 6, &a, &text, &size, &err), TNN_E_RANGE);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "7 bytes; at most 6"));
    assert_null(text);
    assert_int_equal(counts.live_blocks, 0);
}

static void check_refused(const char *name, const char *words) {
    for (int way = 0; way < 3; way++) {
        tnn_error err = {0};
        char *text;
        size_t size;
        tnn__file_view view;
        tnn_status status = way == 2 ? tnn__file_read(name, 1000, NULL, &text, &size, &err)
                                     : tnn__file_view_open(&view, name, way, NULL, &err);
        assert_int_equal(status, TNN_E_IO);
        assert_int_equal(err.status, TNN_E_IO);
        assert_non_null(strstr(err.text, name));
        assert_non_null(strstr(err.text, words));
        if (way == 2) {
            assert_null(text);
        } else {
            tnn__file_view_close(&view);
        }
    }
}

static void test_refused(void **state) {
    (void)state;
    char name[300];
    check_refused(folder, "is a folder; name a regular file");
    snprintf(name, sizeof name, "%s/absent", folder);
    check_refused(name, "No such file or directory; check the path");
    put_file("x", 1);
    snprintf(name, sizeof name, "%s/below", path);
    check_refused(name, "Not a directory; check the path");
    check_refused("", "check the path");

    /* nobody writes to it: opening it must not wait */
    snprintf(name, sizeof name, "%s/pipe", folder);
    assert_int_equal(mkfifo(name, 0600), 0);
    check_refused(name, "not a regular file");
    unlink(name);
}

static void test_no_memory(void **state) {
    (void)state;
    put_file("12345", 5);
    counting_allocator counts = {.fail_at = 1, .fail_from = true};
    tnn_allocator a = counting_interface(&counts);
    tnn__file_view view;
    tnn_error err;
    assert_int_equal(tnn__file_view_open(&view, path, false, &a, &err), TNN_E_NOMEM);
    assert_non_null(strstr(err.text, path));
    tnn__file_view_close(&view);
    char *text;
    size_t size;
    assert_int_equal(tnn__file_read(path, 100, &a, &text, &size, &err), TNN_E_NOMEM);
    assert_null(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view),    cmocka_unit_test(test_empty_file), cmocka_unit_test(test_read),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
