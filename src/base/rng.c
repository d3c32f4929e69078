/*
 * Philox4x32-10 and the two distributions made from it. Normals are computed in double and rounded once, so that
 * they do not hang on the last bit of a platform's logf or cosf.
 */
#include "base/rng.h"

#include <math.h>

#define PHILOX_ROUNDS 10
#define PHILOX_M0     UINT32_C(0xD2511F53)
#define PHILOX_M1     UINT32_C(0xCD9E8D57)
#define PHILOX_W0     UINT32_C(0x9E3779B9) /* golden ratio */
#define PHILOX_W1     UINT32_C(0xBB67AE85) /* sqrt(3) - 1 */

void tnn__philox(uint64_t seed, uint64_t stream, uint64_t counter, uint32_t out[4]) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)PHILOX_M0 * c0;
        uint64_t p1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* Two words to two standard normals (Box and Muller 1958); the first word is taken to (0, 1], so the logarithm is
 * finite. */
static void box_muller(uint32_t u, uint32_t v, double out[2]) {
    const double two_pi = 6.283185307179586476925;
    double radius = sqrt(-2.0 * log(((double)u + 1.0) * 0x1p-32));
    double angle = two_pi * ((double)v * 0x1p-32);
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

void tnn__fill_normal(uint64_t seed, uint64_t stream, float *dst, int64_t n, float mean, float std) {
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t words[4];
        double normals[4];
        tnn__philox(seed, stream, (uint64_t)i / 4, words);
        box_muller(words[0], words[1], normals);
        box_muller(words[2], words[3], normals + 2);
        for (int64_t j = 0; j < 4 && i + j < n; j++) {
            dst[i + j] = (float)((double)mean + (double)std * normals[j]);
        }
    }
}

void tnn__fill_uniform(uint64_t seed, uint64_t stream, float *dst, int64_t n, float lo, float hi) {
    for (int64_t i = 0; i < n; i += 4) {
        uint32_t words[4];
        tnn__philox(seed, stream, (uint64_t)i / 4, words);
        for (int64_t j = 0; j < 4 && i + j < n; j++) {
            dst[i + j] = lo + (hi - lo) * tnn__u32_to_unit(words[j]);
        }
    }
}

static uint64_t fnv1a_step(uint64_t h, unsigned char byte) {
    return (h ^ byte) * UINT64_C(1099511628211);
}

#define FNV1A_BASIS UINT64_C(14695981039346656037)

static uint64_t fnv1a(uint64_t h, const void *data, size_t n) {
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++) {
        h = fnv1a_step(h, p[i]);
    }
    return h;
}

uint64_t tnn__hash_bytes(const void *data, size_t n) {
    return fnv1a(FNV1A_BASIS, data, n);
}

uint64_t tnn__hash_seeded(uint64_t seed, const void *data, size_t n) {
    return tnn__hash_mix(fnv1a(seed, data, n));
}

uint64_t tnn__hash_str(const char *s) {
    uint64_t h = FNV1A_BASIS;
    while (*s) {
        h = fnv1a_step(h, (unsigned char)*s++);
    }
    return h;
}
