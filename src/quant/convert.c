/* The public conversions: arguments checked here, the work done by the pair of functions in one table. */
#include <math.h>

#include <tinynn/types.h>

#include "quant/quant.h"

typedef struct conversion {
    tnn__dequantize_fn dequantize;
    tnn__quantize_fn quantize;
} conversion;

static const conversion conversions[TNN_TYPE_COUNT] = {
#define X(id, name) [TNN_TYPE_##id] = {tnn__dequantize_##name, tnn__quantize_##name},
    TNN__CONVERTIBLE_TYPES(X)
#undef X
};

static tnn_status check_row(tnn_type type, const void *src, const void *dst, int64_t n) {
    int id = (int)type;
    if (id < 0 || id >= TNN_TYPE_COUNT || !conversions[id].dequantize) return TNN_E_UNSUPPORTED;
    if (n < 0 || n % tnn_type_get_info(id)->block_elems != 0) return TNN_E_ARG;
    if (n > 0 && (!src || !dst)) return TNN_E_ARG;
    return TNN_OK;
}

tnn_status tnn_dequantize_row(tnn_type type, const void *src, float *dst, int64_t n) {
    tnn_status status = check_row(type, src, dst, n);
    if (status == TNN_OK && n > 0) conversions[type].dequantize(src, dst, n);
    return status;
}

/* The largest magnitude; infinity or NaN if there is one that is not finite. */
static float largest_magnitude(const float *x, int64_t n) {
    float largest = 0;
    for (int64_t i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        if (!(a <= largest)) largest = a;
        if (!isfinite(a)) return a;
    }
    return largest;
}

/*
 * A block's scales are F16, so no element may lie beyond F16 (MXFP4 has an exponent of its own). The weighted searches
 * square sums of importance * x * x * code over at most 32 elements: the second bound keeps those inside F32.
 */
static bool in_range(tnn_type type, const float *src, int64_t n, const float *importance) {
    const float f16_max = 65504.0f, weighted_max = 1e14f;
    float largest = largest_magnitude(src, n);
    if (!isfinite(largest) || (type != TNN_TYPE_MXFP4 && largest > f16_max)) return false;
    if (!importance) return true;
    for (int64_t i = 0; i < n; i++) {
        if (!(importance[i] >= 0)) return false;
    }
    float power = largest > 1 ? largest * largest : 1;
    return largest_magnitude(importance, n) <= weighted_max / power;
}

tnn_status tnn_quantize_row(tnn_type type, const float *src, void *dst, int64_t n, const float *importance) {
    tnn_status status = check_row(type, src, dst, n);
    if (status != TNN_OK || n == 0) return status;
    if (tnn_type_get_info(type)->quantized && !in_range(type, src, n, importance)) return TNN_E_RANGE;
    conversions[type].quantize(src, dst, n, importance);
    return TNN_OK;
}
