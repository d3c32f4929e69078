/*
 * GGUF files put together byte by byte, so that tests can build what no writer would write. Numbers are given as they
 * go into the file; nothing is checked and nothing is computed, except where a name says so.
 */
#ifndef TNN_TEST_GGUF_BYTES_H
#define TNN_TEST_GGUF_BYTES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/gguf.h>
#include <tinynn/types.h>

typedef struct bytes {
    uint8_t *data;
    size_t size, capacity;
} bytes;

static inline void put_raw(bytes *b, const void *data, size_t n) {
    if (b->size + n > b->capacity) {
        b->capacity = 2 * (b->size + n);
        b->data = realloc(b->data, b->capacity);
        if (!b->data) abort();
    }
    if (n > 0) memcpy(b->data + b->size, data, n);
    b->size += n;
}

/* Little-endian, n bytes. */
static inline void put_uint(bytes *b, uint64_t value, size_t n) {
    uint8_t p[8];
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)(value >> (8 * i));
    }
    put_raw(b, p, n);
}

static inline void put_f32(bytes *b, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_uint(b, bits, 4);
}

static inline void put_f64(bytes *b, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_uint(b, bits, 8);
}

static inline void put_zeros(bytes *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        put_uint(b, 0, 1);
    }
}

static inline void put_padding(bytes *b, size_t alignment) {
    put_zeros(b, (alignment - b->size % alignment) % alignment);
}

static inline void put_str(bytes *b, const char *s) {
    put_uint(b, strlen(s), 8);
    put_raw(b, s, strlen(s));
}

static inline void put_fixed_part(bytes *b, uint32_t version, uint64_t n_tensors, uint64_t n_kv) {
    put_raw(b, "GGUF", 4);
    put_uint(b, version, 4);
    put_uint(b, n_tensors, 8);
    put_uint(b, n_kv, 8);
}

/* Key and value type; the value is to follow. */
static inline void put_key(bytes *b, const char *key, uint32_t type) {
    put_str(b, key);
    put_uint(b, type, 4);
}

static inline void put_kv_u32(bytes *b, const char *key, uint32_t value) {
    put_key(b, key, TNN_GGUF_U32);
    put_uint(b, value, 4);
}

static inline void put_kv_str(bytes *b, const char *key, const char *value) {
    put_key(b, key, TNN_GGUF_STRING);
    put_str(b, value);
}

/* Key, element type and count of an array; the elements are to follow. */
static inline void put_array(bytes *b, const char *key, uint32_t element_type, uint64_t count) {
    put_key(b, key, TNN_GGUF_ARRAY);
    put_uint(b, element_type, 4);
    put_uint(b, count, 8);
}

static inline void put_tensor(bytes *b, const char *name, uint32_t n_dims, const uint64_t *ne, uint32_t type,
                              uint64_t offset) {
    put_str(b, name);
    put_uint(b, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++) {
        put_uint(b, ne[i], 8);
    }
    put_uint(b, type, 4);
    put_uint(b, offset, 8);
}

static inline void put_tensor_1d(bytes *b, const char *name, uint64_t ne0, uint32_t type, uint64_t offset) {
    put_tensor(b, name, 1, &ne0, type, offset);
}

static inline void put_tensor_2d(bytes *b, const char *name, uint64_t ne0, uint64_t ne1, uint32_t type,
                                 uint64_t offset) {
    uint64_t ne[2] = {ne0, ne1};
    put_tensor(b, name, 2, ne, type, offset);
}

static inline void free_bytes(bytes *b) {
    free(b->data);
    *b = (bytes){0};
}

/*
 * Opens the bytes from an allocation of their exact size, so that a sanitizer sees any step beyond them. The caller
 * frees *copy after closing.
 */
static inline tnn_status open_exact(tnn_gguf **g, const bytes *b, size_t size, void **copy,
                                    const tnn_gguf_open_options *options, tnn_error *err) {
    *copy = malloc(size ? size : 1);
    if (!*copy) abort();
    if (size > 0) memcpy(*copy, b->data, size);
    return tnn_gguf_open_memory(g, *copy, size, options, err);
}

#endif
