/* Facts about every type id a GGUF file may carry. Sizes of the types tinynn runs come from their block structs. */
#include <stddef.h>

#include <tinynn/types.h>

#include "base/ascii.h"
#include "quant/blocks.h"

/* id, block elements, block bytes, quantized, usable as the stored type of a weight */
#define TYPE_LIST(X)                                                                                                   \
    X(F32, 1, 4, false, true)                                                                                          \
    X(F16, 1, 2, false, true)                                                                                          \
    X(BF16, 1, 2, false, true)                                                                                         \
    X(F64, 1, 8, false, false)                                                                                         \
    X(I8, 1, 1, false, false)                                                                                          \
    X(I16, 1, 2, false, false)                                                                                         \
    X(I32, 1, 4, false, false)                                                                                         \
    X(I64, 1, 8, false, false)                                                                                         \
    X(Q4_0, 32, sizeof(tnn__block_q4_0), true, true)                                                                   \
    X(Q4_1, 32, sizeof(tnn__block_q4_1), true, true)                                                                   \
    X(Q5_0, 32, sizeof(tnn__block_q5_0), true, true)                                                                   \
    X(Q5_1, 32, sizeof(tnn__block_q5_1), true, true)                                                                   \
    X(Q8_0, 32, sizeof(tnn__block_q8_0), true, true)                                                                   \
    X(Q8_1, 32, sizeof(tnn__block_q8_1), true, false)                                                                  \
    X(Q2_K, 256, sizeof(tnn__block_q2_k), true, true)                                                                  \
    X(Q3_K, 256, sizeof(tnn__block_q3_k), true, true)                                                                  \
    X(Q4_K, 256, sizeof(tnn__block_q4_k), true, true)                                                                  \
    X(Q5_K, 256, sizeof(tnn__block_q5_k), true, true)                                                                  \
    X(Q6_K, 256, sizeof(tnn__block_q6_k), true, true)                                                                  \
    X(Q8_K, 256, sizeof(tnn__block_q8_k), true, false)                                                                 \
    X(IQ4_NL, 32, sizeof(tnn__block_iq4_nl), true, true)                                                               \
    X(IQ4_XS, 256, sizeof(tnn__block_iq4_xs), true, true)                                                              \
    X(MXFP4, 32, sizeof(tnn__block_mxfp4), true, true)                                                                 \
    X(IQ2_XXS, 256, 66, true, false)                                                                                   \
    X(IQ2_XS, 256, 74, true, false)                                                                                    \
    X(IQ3_XXS, 256, 98, true, false)                                                                                   \
    X(IQ1_S, 256, 50, true, false)                                                                                     \
    X(IQ3_S, 256, 110, true, false)                                                                                    \
    X(IQ2_S, 256, 82, true, false)                                                                                     \
    X(IQ1_M, 256, 56, true, false)                                                                                     \
    X(TQ1_0, 256, 54, true, false)                                                                                     \
    X(TQ2_0, 256, 66, true, false)                                                                                     \
    X(NVFP4, 64, 36, true, false)                                                                                      \
    X(Q1_0, 128, 18, true, false)                                                                                      \
    X(Q2_0, 64, 18, true, false)

static const tnn_type_info infos[TNN_TYPE_COUNT] = {
#define X(id, elems, bytes, quantized, usable) [TNN_TYPE_##id] = {#id, elems, bytes, quantized, usable},
    TYPE_LIST(X)
#undef X
};

static const tnn_type_info no_type = {NULL, 0, 0, false, false};

const tnn_type_info *tnn_type_get_info(int32_t type) {
    return type >= 0 && type < TNN_TYPE_COUNT ? &infos[type] : &no_type;
}

int32_t tnn_type_from_name(const char *name) {
    for (int32_t type = 0; name && type < TNN_TYPE_COUNT; type++) {
        if (infos[type].name && tnn__same_name(infos[type].name, name)) return type;
    }
    return -1;
}

size_t tnn_row_bytes(int32_t type, int64_t n) {
    const tnn_type_info *info = tnn_type_get_info(type);
    if (!info->name || n < 0 || n % info->block_elems != 0) return 0;
    uint64_t n_blocks = (uint64_t)n / (uint64_t)info->block_elems;
    uint64_t limit = SIZE_MAX < INT64_MAX ? SIZE_MAX : INT64_MAX;
    if (n_blocks > limit / (uint64_t)info->block_bytes) return 0;
    return (size_t)(n_blocks * (uint64_t)info->block_bytes);
}
