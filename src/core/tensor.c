/* Facts about single tensors. */
#include "core/tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "core/session.h"

tnn_type tnn_tensor_type(const tnn_tensor *t) {
    return t->type;
}

const int64_t *tnn_tensor_ne(const tnn_tensor *t) {
    return t->ne;
}

const char *tnn_tensor_name(const tnn_tensor *t) {
    return t->name ? t->name : "";
}

int64_t tnn_tensor_elements(const tnn_tensor *t) {
    return t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
}

void tnn_tensor_set_trainable(tnn_tensor *t, bool trainable) {
    t->trainable = trainable && !t->borrowed;
}

bool tnn_tensor_trainable(const tnn_tensor *t) {
    return t->trainable;
}

size_t tnn_tensor_bytes(const tnn_tensor *t) {
    return t->bytes;
}

const char *tnn__shape_text(const tnn_tensor *t, char buf[TNN__SHAPE_TEXT]) {
    size_t at = 0;
    for (int i = 0; i < t->n_dims && at < TNN__SHAPE_TEXT; i++) {
        int n = snprintf(buf + at, TNN__SHAPE_TEXT - at, "%s%" PRId64, i ? ", " : "[", t->ne[i]);
        at += n > 0 ? (size_t)n : 0;
    }
    if (at < TNN__SHAPE_TEXT) snprintf(buf + at, TNN__SHAPE_TEXT - at, "]");
    return buf;
}

bool tnn__same_shape(const tnn_tensor *a, const tnn_tensor *b) {
    return memcmp(a->ne, b->ne, sizeof a->ne) == 0;
}

bool tnn__tensor_set_shape(tnn_tensor *t, tnn_type type, int n_dims, const int64_t *ne) {
    if (n_dims < 1 || n_dims > TNN_MAX_DIMS || ne[0] <= 0) return false;
    size_t bytes = tnn_row_bytes((int32_t)type, ne[0]);
    size_t elements = (size_t)ne[0];
    if (bytes == 0) return false;
    for (int i = 1; i < n_dims; i++) {
        if (ne[i] <= 0 || !tnn__mul_size(bytes, (size_t)ne[i], &bytes) ||
            !tnn__mul_size(elements, (size_t)ne[i], &elements)) {
            return false;
        }
    }
    if (elements > INT64_MAX || bytes > PTRDIFF_MAX) return false;
    t->type = type;
    t->n_dims = n_dims;
    for (int i = 0; i < TNN_MAX_DIMS; i++) {
        t->ne[i] = i < n_dims ? ne[i] : 1;
    }
    t->bytes = bytes;
    return true;
}
