/* Reading metadata of an open GGUF file: by index as stored, and by key with the conversions that lose nothing. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "gguf/format.h"
#include "gguf/reader.h"

static const tnn__gguf_kv *kv_at(const tnn_gguf *g, int64_t i) {
    return i >= 0 && (uint64_t)i < g->n_kv ? &g->kvs[i] : NULL;
}

/* --- as stored --- */

int64_t tnn_gguf_n_kv(const tnn_gguf *g) {
    return (int64_t)g->n_kv;
}

int64_t tnn_gguf_find_key(const tnn_gguf *g, const char *key) {
    return tnn__names_find(&g->keys, key, strlen(key));
}

tnn_gguf_str tnn_gguf_key(const tnn_gguf *g, int64_t i) {
    const tnn__gguf_kv *kv = kv_at(g, i);
    return kv ? (tnn_gguf_str){(const char *)g->header + kv->key_at, kv->key_size} : (tnn_gguf_str){"", 0};
}

tnn_gguf_value_type tnn_gguf_kv_type(const tnn_gguf *g, int64_t i) {
    const tnn__gguf_kv *kv = kv_at(g, i);
    return kv ? (tnn_gguf_value_type)kv->type : TNN_GGUF_VALUE_TYPE_COUNT;
}

tnn_gguf_value_type tnn_gguf_array_type(const tnn_gguf *g, int64_t i) {
    const tnn__gguf_kv *kv = kv_at(g, i);
    return kv && kv->type == TNN_GGUF_ARRAY ? (tnn_gguf_value_type)kv->element_type : TNN_GGUF_VALUE_TYPE_COUNT;
}

uint64_t tnn_gguf_array_count(const tnn_gguf *g, int64_t i) {
    const tnn__gguf_kv *kv = kv_at(g, i);
    return kv && kv->type == TNN_GGUF_ARRAY ? kv->count : 0;
}

tnn_gguf_str tnn_gguf_array_str(const tnn_gguf *g, int64_t i, uint64_t e) {
    const tnn__gguf_kv *kv = kv_at(g, i);
    if (!kv || kv->element_type != TNN_GGUF_STRING || e >= kv->count) return (tnn_gguf_str){"", 0};
    size_t at = kv->type == TNN_GGUF_ARRAY ? g->string_at[kv->first_string + (size_t)e] : kv->elements_at;
    return (tnn_gguf_str){(const char *)g->header + at + 8, (size_t)tnn__gguf_load(g->header + at, 8)};
}

/* --- numbers --- */

typedef struct number {
    enum { NOT_A_NUMBER, SIGNED, UNSIGNED, BOOLEAN, FLOATING } kind;
    int64_t i;
    uint64_t u; /* of BOOLEAN too: 0 or 1 */
    double f;
} number;

static int64_t sign_extend(uint64_t bits, size_t bytes) {
    uint64_t sign = UINT64_C(1) << (8 * bytes - 1);
    return (int64_t)((bits ^ sign) - sign);
}

static number load_number(const uint8_t *p, int32_t type) {
    size_t bytes = tnn__gguf_scalar_bytes(type);
    uint64_t bits = tnn__gguf_load(p, bytes);
    switch (type) {
    case TNN_GGUF_U8:
    case TNN_GGUF_U16:
    case TNN_GGUF_U32:
    case TNN_GGUF_U64:
        return (number){.kind = UNSIGNED, .u = bits};
    case TNN_GGUF_I8:
    case TNN_GGUF_I16:
    case TNN_GGUF_I32:
    case TNN_GGUF_I64:
        return (number){.kind = SIGNED, .i = sign_extend(bits, bytes)};
    case TNN_GGUF_BOOL:
        return (number){.kind = BOOLEAN, .u = bits != 0};
    case TNN_GGUF_F32: {
        uint32_t word = (uint32_t)bits;
        float f;
        memcpy(&f, &word, sizeof f);
        return (number){.kind = FLOATING, .f = (double)f};
    }
    case TNN_GGUF_F64: {
        double f;
        memcpy(&f, &bits, sizeof f);
        return (number){.kind = FLOATING, .f = f};
    }
    default:
        return (number){.kind = NOT_A_NUMBER};
    }
}

static number element(const tnn_gguf *g, const tnn__gguf_kv *kv, uint64_t e) {
    size_t bytes = kv ? tnn__gguf_scalar_bytes(kv->element_type) : 0;
    if (bytes == 0 || e >= kv->count) return (number){.kind = NOT_A_NUMBER};
    return load_number(g->header + kv->elements_at + (size_t)e * bytes, kv->element_type);
}

static bool to_i64(number x, int64_t *out) {
    if (x.kind == SIGNED) {
        *out = x.i;
        return true;
    }
    if ((x.kind != UNSIGNED && x.kind != BOOLEAN) || x.u > INT64_MAX) return false;
    *out = (int64_t)x.u;
    return true;
}

static bool to_f64(number x, double *out) {
    switch (x.kind) {
    case SIGNED:
        *out = (double)x.i;
        return true;
    case UNSIGNED:
    case BOOLEAN:
        *out = (double)x.u;
        return true;
    case FLOATING:
        *out = x.f;
        return true;
    case NOT_A_NUMBER:
    default:
        return false;
    }
}

bool tnn_gguf_array_i64(const tnn_gguf *g, int64_t i, uint64_t e, int64_t *out) {
    return to_i64(element(g, kv_at(g, i), e), out);
}

bool tnn_gguf_array_f64(const tnn_gguf *g, int64_t i, uint64_t e, double *out) {
    return to_f64(element(g, kv_at(g, i), e), out);
}

/* --- by key --- */

/* The entry of a key, NULL if there is none. *x is its value, NOT_A_NUMBER unless a scalar. */
static const tnn__gguf_kv *find_scalar(const tnn_gguf *g, const char *key, number *x) {
    const tnn__gguf_kv *kv = kv_at(g, tnn_gguf_find_key(g, key));
    *x = kv && kv->type != TNN_GGUF_ARRAY ? element(g, kv, 0) : (number){.kind = NOT_A_NUMBER};
    return kv;
}

static tnn_status wrong_type(const tnn_gguf *g, const tnn__gguf_kv *kv, const char *key, const char *expected,
                             tnn_error *err) {
    return tnn__fail(err, TNN_E_FORMAT, "%s: key '%.80s' at byte %zu has type %s%s; %s is expected", g->label, key,
                     kv->key_at, kv->type == TNN_GGUF_ARRAY ? "array of " : "",
                     tnn_gguf_value_type_name((tnn_gguf_value_type)kv->element_type), expected);
}

static tnn_status out_of_range(const tnn_gguf *g, const tnn__gguf_kv *kv, const char *key, const char *expected,
                               number x, tnn_error *err) {
    char value[32] = "";
    if (x.kind == SIGNED) snprintf(value, sizeof value, "%" PRId64, x.i);
    if (x.kind == UNSIGNED) snprintf(value, sizeof value, "%" PRIu64, x.u);
    if (x.kind == FLOATING) snprintf(value, sizeof value, "%g", x.f);
    return tnn__fail(err, TNN_E_FORMAT, "%s: key '%.80s' at byte %zu is %s, which does not fit %s", g->label, key,
                     kv->key_at, value, expected);
}

tnn_status tnn_gguf_get_i64(const tnn_gguf *g, const char *key, int64_t *out, tnn_error *err) {
    number x;
    const tnn__gguf_kv *kv = find_scalar(g, key, &x);
    if (!kv) return TNN_E_NOTFOUND;
    if (x.kind != SIGNED && x.kind != UNSIGNED) return wrong_type(g, kv, key, "an integer", err);
    return to_i64(x, out) ? TNN_OK : out_of_range(g, kv, key, "63 bits", x, err);
}

tnn_status tnn_gguf_get_u32(const tnn_gguf *g, const char *key, uint32_t *out, tnn_error *err) {
    number x;
    int64_t value;
    const tnn__gguf_kv *kv = find_scalar(g, key, &x);
    if (!kv) return TNN_E_NOTFOUND;
    if (x.kind != SIGNED && x.kind != UNSIGNED) return wrong_type(g, kv, key, "an integer", err);
    if (!to_i64(x, &value) || value < 0 || value > UINT32_MAX) {
        return out_of_range(g, kv, key, "an unsigned 32-bit integer", x, err);
    }
    *out = (uint32_t)value;
    return TNN_OK;
}

tnn_status tnn_gguf_get_f32(const tnn_gguf *g, const char *key, float *out, tnn_error *err) {
    number x;
    double value;
    const tnn__gguf_kv *kv = find_scalar(g, key, &x);
    if (!kv) return TNN_E_NOTFOUND;
    if (x.kind == BOOLEAN || !to_f64(x, &value)) return wrong_type(g, kv, key, "a number", err);
    if (isfinite(value) && fabs(value) > (double)FLT_MAX) {
        return out_of_range(g, kv, key, "a 32-bit float", x, err);
    }
    *out = (float)value;
    return TNN_OK;
}

tnn_status tnn_gguf_get_bool(const tnn_gguf *g, const char *key, bool *out, tnn_error *err) {
    number x;
    const tnn__gguf_kv *kv = find_scalar(g, key, &x);
    if (!kv) return TNN_E_NOTFOUND;
    if (x.kind == FLOATING || x.kind == NOT_A_NUMBER) return wrong_type(g, kv, key, "a bool", err);
    *out = x.kind == SIGNED ? x.i != 0 : x.u != 0;
    return TNN_OK;
}

tnn_status tnn_gguf_get_str(const tnn_gguf *g, const char *key, tnn_gguf_str *out, tnn_error *err) {
    int64_t i = tnn_gguf_find_key(g, key);
    const tnn__gguf_kv *kv = kv_at(g, i);
    if (!kv) return TNN_E_NOTFOUND;
    if (kv->type != TNN_GGUF_STRING) return wrong_type(g, kv, key, "a string", err);
    *out = tnn_gguf_array_str(g, i, 0);
    return TNN_OK;
}
