/* What the float kernel tests share: the levels of this machine, random data, buffers that end where memory does. */
#ifndef TNN_TEST_KERNELS_H
#define TNN_TEST_KERNELS_H

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS; this header comes first */
#endif
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpu/dispatch.h"

/* Half a unit in the last place of F32, relative. */
#define U32 0x1p-24

/* --- levels --- */

static const char *level_name; /* of the table under test, for messages */

/*
 * Runs check on the table of every level that this machine (or the emulation) can run, portable first, but for those
 * that are the same to `same` (may be NULL) as the one before.
 */
static inline void at_levels_unlike(void (*check)(const tnn__kernels *k),
                                    bool (*same)(const tnn__kernels *a, const tnn__kernels *b)) {
    tnn__kernels k[2];
    int n = 0;
    for (int isa = 0; isa < TNN_ISA_COUNT; isa++) {
        if (!tnn_isa_available((tnn_isa)isa)) continue;
        const tnn__kernels *last = &k[(n + 1) % 2];
        tnn__kernels *now = &k[n % 2];
        assert_int_equal(tnn__kernels_init(now, (tnn_isa)isa), isa);
        level_name = tnn_isa_name((tnn_isa)isa);
        if (n == 0 || !same || !same(now, last)) check(now);
        n++;
    }
}

static inline void at_every_level(void (*check)(const tnn__kernels *k)) {
    at_levels_unlike(check, NULL);
}

/* --- random data --- */

static uint64_t random_state = 1;

static inline uint32_t random_u32(void) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

/* [0, n) */
static inline int64_t random_below(int64_t n) {
    return (int64_t)(random_u32() % (uint64_t)n);
}

/* [-1, 1) */
static inline float random_float(void) {
    return (float)(random_u32() >> 8) * 0x1p-23f - 1.0f;
}

static inline void random_floats(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        x[i] = random_float();
}

/* --- memory --- */

/*
 * A buffer whose last byte is the last before an unmapped page: reading or writing past it ends the test. It is
 * filled with NaN, and therefore seldom aligned to more than 4 bytes.
 */
typedef struct buffer {
    void *data;
    void *map;
    size_t map_bytes;
} buffer;

static inline buffer buffer_new(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    buffer b = {.map_bytes = (bytes + page - 1) / page * page + page};
    b.map = mmap(NULL, b.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(b.map != MAP_FAILED);
    char *end = (char *)b.map + b.map_bytes - page;
    assert_int_equal(mprotect(end, page, PROT_NONE), 0);
    b.data = end - bytes;
    memset(b.map, 0xff, b.map_bytes - page);
    return b;
}

static inline void buffer_free(buffer *b) {
    munmap(b->map, b->map_bytes);
}

static inline void *scratch_new(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 64) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xff, bytes); /* NaN: a kernel must not count on zeros */
    return p;
}

/* --- comparison --- */

#define check_near(got, want, tolerance, ...)                                                                          \
    do {                                                                                                               \
        double got_ = (double)(got), want_ = (double)(want), tolerance_ = (double)(tolerance);                         \
        if (!(fabs(got_ - want_) <= tolerance_)) {                                                                     \
            print_error("%s: ", level_name);                                                                           \
            print_error(__VA_ARGS__);                                                                                  \
            fail_msg(": %.9g instead of %.9g, tolerance %.3g\n", got_, want_, tolerance_);                             \
        }                                                                                                              \
    } while (0)

#define check_same(a, b, bytes, ...)                                                                                   \
    do {                                                                                                               \
        if (memcmp((a), (b), (bytes)) != 0) {                                                                          \
            print_error("%s: ", level_name);                                                                           \
            print_error(__VA_ARGS__);                                                                                  \
            fail_msg(": not the same bits\n");                                                                         \
        }                                                                                                              \
    } while (0)

#endif
