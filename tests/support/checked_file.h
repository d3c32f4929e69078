/* Files that end in a checksum of all before it: a change that the checksum does not tell. */
#ifndef TNN_TEST_CHECKED_FILE_H
#define TNN_TEST_CHECKED_FILE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/checksum.h"

/* Writes eight bytes at `at`, and the checksum that belongs to them. */
static inline void change_checked(const char *path, size_t at, const void *word) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    size_t n = (size_t)ftell(file), end = n - sizeof(uint64_t);
    unsigned char *data = malloc(n);
    assert_non_null(data);
    assert_true(at + 8 <= end);
    rewind(file);
    assert_int_equal(fread(data, 1, n, file), n);
    memcpy(data + at, word, 8);
    tnn__checksum sum = tnn__checksum_begin();
    tnn__checksum_add(&sum, data, end);
    uint64_t value = tnn__checksum_end(&sum);
    memcpy(data + end, &value, sizeof value);
    rewind(file);
    assert_int_equal(fwrite(data, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
    free(data);
}

#endif
