/* Visits everything an open GGUF file offers: every getter on every entry, the first and last byte of every tensor. */
#ifndef TNN_TEST_GGUF_WALK_H
#define TNN_TEST_GGUF_WALK_H

#include <stdint.h>
#include <string.h>

#include <tinynn/gguf.h>

/* Sums what it reads, so that no read is left out by an optimiser. */
static inline uint64_t walk_str(tnn_gguf_str s) {
    uint64_t sum = s.size;
    for (size_t i = 0; i < s.size; i++) {
        sum += (uint8_t)s.data[i];
    }
    return sum;
}

static inline uint64_t walk_elements(const tnn_gguf *g, int64_t i) {
    uint64_t n = tnn_gguf_array_count(g, i), sum = 0;
    for (uint64_t e = 0; e <= n; e++) { /* one too many: must be answered, not read */
        int64_t integer = 0;
        double real = 0;
        sum += walk_str(tnn_gguf_array_str(g, i, e));
        sum += tnn_gguf_array_i64(g, i, e, &integer) ? (uint64_t)integer : 0;
        sum += tnn_gguf_array_f64(g, i, e, &real) && real > 0;
    }
    return sum;
}

static inline uint64_t walk_key(const tnn_gguf *g, const char *key) {
    uint32_t u32 = 0;
    int64_t i64 = 0;
    float f32 = 0;
    bool flag = false;
    tnn_gguf_str str = {"", 0};
    tnn_error err;
    tnn_gguf_get_u32(g, key, &u32, &err);
    tnn_gguf_get_i64(g, key, &i64, &err);
    tnn_gguf_get_f32(g, key, &f32, &err);
    tnn_gguf_get_bool(g, key, &flag, &err);
    tnn_gguf_get_str(g, key, &str, &err);
    return u32 + (uint64_t)i64 + (f32 > 0) + flag + walk_str(str);
}

/* False if the file contradicts itself. */
static inline bool walk_gguf(const tnn_gguf *g, uint64_t *sum) {
    for (int64_t i = -1; i <= tnn_gguf_n_kv(g); i++) {
        tnn_gguf_str key = tnn_gguf_key(g, i);
        bool inside = i >= 0 && i < tnn_gguf_n_kv(g);
        if (inside != (tnn_gguf_kv_type(g, i) != TNN_GGUF_VALUE_TYPE_COUNT)) return false;
        *sum += walk_str(key) + walk_elements(g, i) + (uint64_t)tnn_gguf_array_type(g, i);
        char name[256];
        if (!inside || key.size >= sizeof name) continue;
        memcpy(name, key.data, key.size);
        name[key.size] = '\0';
        if (tnn_gguf_find_key(g, name) != i) return false;
        *sum += walk_key(g, name);
    }
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, i);
        if (tnn_gguf_find_tensor(g, t->name.data) != i || t->name.data[t->name.size] != '\0') return false;
        if ((t->data == NULL) != (t->n_bytes == 0)) return false;
        if (t->n_bytes > 0) *sum += ((const uint8_t *)t->data)[0] + ((const uint8_t *)t->data)[t->n_bytes - 1];
    }
    return tnn_gguf_tensor_at(g, -1) == NULL && tnn_gguf_tensor_at(g, tnn_gguf_n_tensors(g)) == NULL;
}

#endif
