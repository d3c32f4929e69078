#include "text/buffer.h"

#include <stdint.h>
#include <string.h>

#include <tinynn/tokenizer.h>

#include "base/alloc.h"
#include "base/error.h"

#define BUFFER_ALIGN sizeof(void *)

tnn_status tnn__buffer_reserve(const tnn_allocator *a, void **data, size_t *capacity, size_t need, size_t size,
                               tnn_error *err) {
    if (need <= *capacity) return TNN_OK;
    a = tnn__allocator_or_default(a);
    size_t wanted = *capacity <= SIZE_MAX / 2 ? *capacity * 2 : SIZE_MAX;
    if (wanted < need) wanted = need;
    if (wanted < 16) wanted = 16;
    size_t bytes;
    if (!tnn__mul_size(wanted, size, &bytes)) return tnn__fail_nomem(err, "a list of tokens or text", SIZE_MAX);
    void *grown = tnn__alloc(a, bytes, BUFFER_ALIGN);
    if (!grown) return tnn__fail_nomem(err, "a list of tokens or text", bytes);
    if (*capacity) memcpy(grown, *data, *capacity * size);
    tnn__buffer_free(a, *data, *capacity, size);
    *data = grown;
    *capacity = wanted;
    return TNN_OK;
}

void tnn__buffer_free(const tnn_allocator *a, void *data, size_t capacity, size_t size) {
    if (data) tnn__free(tnn__allocator_or_default(a), data, capacity * size, BUFFER_ALIGN);
}

tnn_status tnn_ids_push(tnn_ids *ids, int32_t id, tnn_error *err) {
    void *data = ids->data;
    tnn_status status = tnn__buffer_reserve(ids->allocator, &data, &ids->capacity, ids->n + 1, sizeof *ids->data, err);
    if (status) return status;
    ids->data = data;
    ids->data[ids->n++] = id;
    return TNN_OK;
}

tnn_status tnn_text_append(tnn_text *text, const char *data, size_t size, tnn_error *err) {
    if (size == 0) return TNN_OK;
    if (size > SIZE_MAX - text->n) return tnn__fail_nomem(err, "text", SIZE_MAX);
    void *grown = text->data;
    tnn_status status = tnn__buffer_reserve(text->allocator, &grown, &text->capacity, text->n + size, 1, err);
    if (status) return status;
    text->data = grown;
    memcpy(text->data + text->n, data, size);
    text->n += size;
    return TNN_OK;
}

void tnn_ids_free(tnn_ids *ids) {
    if (!ids) return;
    tnn__buffer_free(ids->allocator, ids->data, ids->capacity, sizeof *ids->data);
    *ids = (tnn_ids){.allocator = ids->allocator};
}

void tnn_text_free(tnn_text *text) {
    if (!text) return;
    tnn__buffer_free(text->allocator, text->data, text->capacity, 1);
    *text = (tnn_text){.allocator = text->allocator};
}
