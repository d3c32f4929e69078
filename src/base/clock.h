/* Time that never goes back, for measuring. */
#ifndef TNN_BASE_CLOCK_H
#define TNN_BASE_CLOCK_H

#include <time.h>

/* Seconds since some moment in the past. */
static inline double tnn__seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
