/* Numbers, sizes and limits of the GGUF format. */
#include "gguf/format.h"

#include <string.h>

#include <tinynn/types.h>

#include "base/alloc.h"

uint64_t tnn__gguf_load(const uint8_t *p, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint64_t)p[i] << (8 * i);
    }
    return value;
}

void tnn__gguf_store(uint8_t *p, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        p[i] = (uint8_t)(value >> (8 * i));
    }
}

static const struct {
    const char *name;
    size_t bytes;
} value_types[TNN_GGUF_VALUE_TYPE_COUNT] = {
    [TNN_GGUF_U8] = {"u8", 1},       [TNN_GGUF_I8] = {"i8", 1},     [TNN_GGUF_U16] = {"u16", 2},
    [TNN_GGUF_I16] = {"i16", 2},     [TNN_GGUF_U32] = {"u32", 4},   [TNN_GGUF_I32] = {"i32", 4},
    [TNN_GGUF_F32] = {"f32", 4},     [TNN_GGUF_BOOL] = {"bool", 1}, [TNN_GGUF_STRING] = {"string", 0},
    [TNN_GGUF_ARRAY] = {"array", 0}, [TNN_GGUF_U64] = {"u64", 8},   [TNN_GGUF_I64] = {"i64", 8},
    [TNN_GGUF_F64] = {"f64", 8},
};

const char *tnn_gguf_value_type_name(tnn_gguf_value_type type) {
    return (unsigned)type < TNN_GGUF_VALUE_TYPE_COUNT ? value_types[type].name : "unknown";
}

size_t tnn__gguf_scalar_bytes(int32_t value_type) {
    return (uint32_t)value_type < TNN_GGUF_VALUE_TYPE_COUNT ? value_types[value_type].bytes : 0;
}

bool tnn__gguf_alignment_is_valid(uint64_t alignment) {
    return alignment >= TNN__GGUF_MIN_ALIGNMENT && alignment <= TNN__GGUF_MAX_ALIGNMENT &&
           (alignment & (alignment - 1)) == 0;
}

bool tnn__gguf_pad(uint64_t n, size_t alignment, uint64_t *out) {
    if (n > UINT64_MAX - (alignment - 1)) return false;
    *out = (n + (alignment - 1)) & ~(uint64_t)(alignment - 1);
    return true;
}

const char *tnn__gguf_tensor_bytes(int32_t type, const int64_t ne[TNN_GGUF_MAX_DIMS], size_t *bytes) {
    const tnn_type_info *info = tnn_type_get_info(type);
    if (!info->name) {
        return type >= TNN__GGUF_IK_FIRST_TYPE ? "is one of ik_llama.cpp's own types; quantise the model with llama.cpp"
                                               : "was removed from GGUF or never given out; convert the model again";
    }
    int64_t elements = 1;
    bool empty = false;
    for (int i = 0; i < TNN_GGUF_MAX_DIMS; i++) {
        if (ne[i] < 0) return "has a negative dimension";
        if (ne[i] == 0) empty = true;
        if (ne[i] > 1 && elements > INT64_MAX / ne[i]) return "has more than 2^63-1 elements";
        elements *= ne[i] > 1 ? ne[i] : 1;
    }
    if (ne[0] % info->block_elems != 0) return "has rows that are no whole number of blocks";

    uint64_t blocks = (uint64_t)elements / (uint64_t)info->block_elems;
    size_t total;
    if (blocks > SIZE_MAX || !tnn__mul_size((size_t)blocks, (size_t)info->block_bytes, &total)) {
        return "has more bytes than can be addressed";
    }
    *bytes = empty ? 0 : total;
    return NULL;
}

void *tnn__gguf_grow(const tnn_allocator *a, void *items, size_t *capacity, size_t n, size_t item_bytes) {
    if (n < *capacity) return items;
    size_t wanted = *capacity ? *capacity : 16;
    while (wanted <= n) {
        if (!tnn__mul_size(wanted, 2, &wanted)) return NULL;
    }
    void *grown = tnn__calloc_array(a, wanted, item_bytes);
    if (!grown) return NULL;
    if (items) memcpy(grown, items, *capacity * item_bytes);
    tnn__free_array(a, items, *capacity, item_bytes);
    *capacity = wanted;
    return grown;
}
