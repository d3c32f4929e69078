/*
 * Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 * A value is a function of (seed, stream, counter), so results do not depend on the order or the thread that asks.
 */
#ifndef TNN_BASE_RNG_H
#define TNN_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

/* Block `counter` of four 32-bit words. `stream` says what the numbers are for (a hash of a name, a row index). */
void tnn__philox(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]);

/* [0, 1) with 24 bits. */
static inline float tnn__u32_to_unit(uint32_t u) {
    return (float)(u >> 8) * 0x1p-24f;
}

/* n standard normals (Box-Muller), element i depends on (seed, stream, i) alone. */
void tnn__fill_normal(uint64_t seed, uint64_t stream, float *dst, int64_t n, float mean, float std);
void tnn__fill_uniform(uint64_t seed, uint64_t stream, float *dst, int64_t n, float lo, float hi);

/* FNV-1a, 64 bit: stream numbers from names, and the project's only string hash. */
uint64_t tnn__hash_bytes(const void *data, size_t n);
uint64_t tnn__hash_str(const char *s);

/* The finaliser of MurmurHash3. */
static inline uint64_t tnn__hash_mix(uint64_t h) {
    h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ (h >> 33);
}
/*
 * For tables of what a file holds: with a start that the file's author does not know, no file can hold names made to
 * collide. Where something lies in memory differs from run to run and makes such a start.
 */
static inline uint64_t tnn__hash_seed(const void *address) {
    return tnn__hash_mix((uint64_t)(uintptr_t)address);
}
uint64_t tnn__hash_seeded(uint64_t seed, const void *data, size_t n);

#endif
