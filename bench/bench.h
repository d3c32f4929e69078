/* What the benchmarks share: a clock, best of several short bursts, buffers with reproducible contents. */
#ifndef TNN_BENCH_H
#define TNN_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Time of this thread on a processor, so that other programs on the machine weigh less. */
static inline double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of the fastest call. */
static inline double bench_best(void (*fn)(void *ctx), void *ctx, double min_seconds) {
    double best = 1e30, end = bench_now() + min_seconds;
    do {
        double t = bench_now();
        fn(ctx);
        t = bench_now() - t;
        if (t < best) best = t;
    } while (bench_now() < end);
    return best;
}

static inline void *bench_alloc(size_t bytes) {
    void *p = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (!p) {
        fprintf(stderr, "out of memory: %zu bytes\n", bytes);
        exit(1);
    }
    return p;
}

/* Uniform in [-1, 1). */
static inline float *bench_floats(size_t n, uint32_t seed) {
    float *x = bench_alloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)seed * 0x1p-31f;
    }
    return x;
}

#endif
