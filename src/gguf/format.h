/*
 * The facts of the GGUF format that reader and writer share: limits, little-endian numbers, sizes of values and of
 * tensors. Sections and limits are those of the GGUF specification; where ggml is stricter, the stricter one holds.
 */
#ifndef TNN_GGUF_FORMAT_H
#define TNN_GGUF_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/gguf.h>

#define TNN__GGUF_MAGIC             "GGUF"
#define TNN__GGUF_VERSION           3
#define TNN__GGUF_DEFAULT_ALIGNMENT 32
#define TNN__GGUF_MIN_ALIGNMENT     8 /* so that every element type may be read in place */
#define TNN__GGUF_MAX_ALIGNMENT     (1 << 20)
#define TNN__GGUF_MAX_KEY           65535
#define TNN__GGUF_MAX_STRING        (UINT64_C(1) << 30) /* bytes */
#define TNN__GGUF_MAX_ARRAY         (UINT64_C(1) << 30) /* elements */
#define TNN__GGUF_IK_FIRST_TYPE     97                  /* type ids from here on are ik_llama.cpp's own */

#define TNN__GGUF_KEY_ALIGNMENT "general.alignment"

/* The smallest metadata entry: key length, one byte of key, value type, one byte of value. */
#define TNN__GGUF_MIN_KV_BYTES (8 + 1 + 4 + 1)
/* The smallest tensor info: name length, an empty name, number of dimensions (none), type, offset. */
#define TNN__GGUF_MIN_TENSOR_BYTES (8 + 4 + 4 + 8)

/* An unsigned number of 1, 2, 4 or 8 bytes. */
uint64_t tnn__gguf_load(const uint8_t *p, size_t bytes);
void tnn__gguf_store(uint8_t *p, uint64_t value, size_t bytes);

/* Bytes of one element of a scalar type; 0 for strings, arrays and what is no value type. */
size_t tnn__gguf_scalar_bytes(int32_t value_type);

bool tnn__gguf_alignment_is_valid(uint64_t alignment);

/* Rounds up to an alignment; false if the result does not fit. */
bool tnn__gguf_pad(uint64_t n, size_t alignment, uint64_t *out);

/*
 * Byte size of a tensor of shape ne (all four set). Also where a dimension is 0 the others must be such that no product
 * overflows, so that strides can be computed without checks. Returns NULL, or what is wrong with type or shape.
 */
const char *tnn__gguf_tensor_bytes(int32_t type, const int64_t ne[TNN_GGUF_MAX_DIMS], size_t *bytes);

/* The next array with room for item n, grown by doubling and zeroed where new; NULL (old one untouched) without memory.
 */
void *tnn__gguf_grow(const tnn_allocator *a, void *items, size_t *capacity, size_t n, size_t item_bytes);

#endif
