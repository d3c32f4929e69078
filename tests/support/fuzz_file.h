/* What fuzz targets share that hand files to the library. */
#ifndef TNN_TEST_FUZZ_FILE_H
#define TNN_TEST_FUZZ_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void fuzz_require(bool condition) {
    if (!condition) abort();
}

static char fuzz_path[64];

static inline void fuzz_file_remove(void) {
    remove(fuzz_path);
}

/* The bytes as a file of this process, which goes with it; its path. */
static inline const char *fuzz_file(const uint8_t *data, size_t size) {
    if (!fuzz_path[0]) {
        snprintf(fuzz_path, sizeof fuzz_path, "/tmp/tnn-fuzz-%ld", (long)getpid());
        atexit(fuzz_file_remove);
    }
    FILE *f = fopen(fuzz_path, "wb");
    fuzz_require(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
    return fuzz_path;
}

#endif
