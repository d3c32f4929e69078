/* Building and printing JSON results. */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui.h"

/* Length of the well-formed UTF-8 character at p, 0 if there is none (Unicode 15.1, table 3-7). */
static size_t utf8_length(const unsigned char *p, size_t n) {
    if (p[0] < 0x80) return 1;
    size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || length > n) return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)) return 0;
    if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) return 0;
    return length;
}

json_t *json_text(const char *data, size_t size) {
    json_t *whole = json_stringn(size ? data : "", size);
    if (whole) return whole;
    static const char replacement[] = "\xef\xbf\xbd";
    char *text = size < SIZE_MAX / 3 ? malloc(size * 3 + 1) : NULL;
    if (!text) return NULL;
    size_t n = 0;
    for (size_t i = 0; i < size;) {
        size_t length = utf8_length((const unsigned char *)data + i, size - i);
        const char *from = length ? data + i : replacement;
        size_t bytes = length ? length : 3;
        memcpy(text + n, from, bytes);
        n += bytes;
        i += length ? length : 1;
    }
    json_t *string = json_stringn(text, n);
    free(text);
    return string;
}

json_t *json_path(const char *path) {
    return json_text(path, strlen(path));
}

json_t *json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_float(float value) {
    char text[32];
    if (!isfinite(value)) return json_null();
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) break;
    }
    return json_real(strtod(text, NULL));
}

json_t *json_ids(const int32_t *ids, size_t n) {
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_integer(ids[i]));
    return array;
}

static json_t *metadata_item(const tnn_gguf *g, int64_t i, tnn_gguf_value_type type, uint64_t e) {
    int64_t integer;
    double real;
    switch (type) {
    case TNN_GGUF_STRING: {
        tnn_gguf_str text = tnn_gguf_array_str(g, i, e);
        return json_text(text.data, text.size);
    }
    case TNN_GGUF_F32:
        return tnn_gguf_array_f64(g, i, e, &real) ? json_float((float)real) : json_null();
    case TNN_GGUF_F64:
        return tnn_gguf_array_f64(g, i, e, &real) ? json_number(real) : json_null();
    case TNN_GGUF_BOOL:
        return tnn_gguf_array_i64(g, i, e, &integer) ? json_boolean(integer != 0) : json_null();
    default:
        if (tnn_gguf_array_i64(g, i, e, &integer)) return json_integer(integer);
        return tnn_gguf_array_f64(g, i, e, &real) ? json_number(real) : json_null(); /* u64 beyond i64 */
    }
}

json_t *json_metadata(const tnn_gguf *g, int64_t i, uint64_t max_items) {
    tnn_gguf_value_type type = tnn_gguf_kv_type(g, i);
    if (type != TNN_GGUF_ARRAY) return metadata_item(g, i, type, 0);
    tnn_gguf_value_type element = tnn_gguf_array_type(g, i);
    uint64_t n = tnn_gguf_array_count(g, i);
    if (n > max_items)
        return json_pack("{s:s, s:I}", "type", tnn_gguf_value_type_name(element), "count", (json_int_t)n);
    json_t *array = json_array();
    for (uint64_t e = 0; e < n; e++)
        json_array_append_new(array, metadata_item(g, i, element, e));
    return array;
}

int json_print(json_t *object) {
    if (!object) return ui_error(UI_FAILURE, "out of memory for the JSON result");
    int failed = json_dumpf(object, stdout, JSON_REAL_PRECISION(12));
    json_decref(object);
    putchar('\n');
    if (failed) return ui_error(UI_FAILURE, "the JSON result could not be written");
    return UI_OK;
}
