/* Rows of plain F32, F16 and BF16. */
#include <string.h>

#include "base/half.h"
#include "quant/quant.h"

void tnn__dequantize_f32(const void *src, float *dst, int64_t n) {
    memcpy(dst, src, (size_t)n * sizeof *dst);
}

void tnn__quantize_f32(const float *src, void *dst, int64_t n, const float *importance) {
    (void)importance;
    memcpy(dst, src, (size_t)n * sizeof *src);
}

static uint16_t load_u16(const void *src, int64_t i) {
    uint16_t h;
    memcpy(&h, (const char *)src + i * 2, sizeof h);
    return h;
}

static void store_u16(void *dst, int64_t i, uint16_t h) {
    memcpy((char *)dst + i * 2, &h, sizeof h);
}

void tnn__dequantize_f16(const void *src, float *dst, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        dst[i] = tnn__f16_to_f32(load_u16(src, i));
    }
}

void tnn__quantize_f16(const float *src, void *dst, int64_t n, const float *importance) {
    (void)importance;
    for (int64_t i = 0; i < n; i++) {
        store_u16(dst, i, tnn__f32_to_f16(src[i]));
    }
}

void tnn__dequantize_bf16(const void *src, float *dst, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        dst[i] = tnn__bf16_to_f32(load_u16(src, i));
    }
}

void tnn__quantize_bf16(const float *src, void *dst, int64_t n, const float *importance) {
    (void)importance;
    for (int64_t i = 0; i < n; i++) {
        store_u16(dst, i, tnn__f32_to_bf16(src[i]));
    }
}
