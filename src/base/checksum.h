/*
 * A 64-bit checksum of a stream, eight bytes at a time. Each step is a bijection of the state, so any change within one
 * word is seen for certain, and any other with odds of 2^-64. It guards against damage, not against forgery.
 */
#ifndef TNN_BASE_CHECKSUM_H
#define TNN_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct tnn__checksum {
    uint64_t state;
    uint64_t length;
    uint8_t tail[8]; /* bytes that do not fill a word yet */
} tnn__checksum;

static inline tnn__checksum tnn__checksum_begin(void) {
    return (tnn__checksum){.state = 0xcbf29ce484222325u};
}

static inline uint64_t tnn__checksum_mix(uint64_t state, uint64_t word) {
    state = (state ^ word) * 0x9e3779b97f4a7c15u;
    return state ^ (state >> 32);
}

static inline void tnn__checksum_add(tnn__checksum *c, const void *data, size_t n) {
    const uint8_t *p = data;
    size_t held = c->length % 8;
    c->length += n;
    if (held > 0) {
        size_t k = 8 - held < n ? 8 - held : n;
        memcpy(c->tail + held, p, k);
        p += k;
        n -= k;
        if (held + k < 8) return;
        uint64_t word;
        memcpy(&word, c->tail, 8);
        c->state = tnn__checksum_mix(c->state, word);
    }
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        c->state = tnn__checksum_mix(c->state, word);
    }
    memcpy(c->tail, p, n);
}

static inline uint64_t tnn__checksum_end(const tnn__checksum *c) {
    uint64_t word = 0, state = c->state;
    memcpy(&word, c->tail, c->length % 8);
    state = tnn__checksum_mix(state, word);
    return tnn__checksum_mix(state, c->length);
}

#endif
