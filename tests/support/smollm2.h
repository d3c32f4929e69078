/* Where SmolLM2-135M-Instruct lies: TNN_TEST_MODEL, or the cache that tools/get-model fills. */
#ifndef TNN_TEST_SMOLLM2_H
#define TNN_TEST_SMOLLM2_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define SMOLLM2_NAME "SmolLM2-135M-Instruct-Q4_1.gguf"

/* false where the file is not there, said on stderr: the test is to be skipped. */
static inline bool find_smollm2(char *path, size_t size) {
    const char *named = getenv("TNN_TEST_MODEL"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (named) {
        snprintf(path, size, "%s", named);
    } else if (cache && cache[0]) {
        snprintf(path, size, "%s/tinynn/" SMOLLM2_NAME, cache);
    } else {
        snprintf(path, size, "%s/.cache/tinynn/" SMOLLM2_NAME, home ? home : "");
    }
    FILE *f = fopen(path, "rb");
    if (f) {
        fclose(f);
    } else {
        fprintf(stderr, "SKIPPED: no model at %s; tools/get-model fetches it\n", path);
    }
    return f != NULL;
}

#endif
