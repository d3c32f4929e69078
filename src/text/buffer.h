/* Growing arrays of this layer: doubling, through the caller's allocator, with checked sizes. */
#ifndef TNN_TEXT_BUFFER_H
#define TNN_TEXT_BUFFER_H

#include <stddef.h>

#include <tinynn/allocator.h>
#include <tinynn/status.h>

/*
 * Makes room for `need` elements of `size` bytes in *data, which holds *capacity and keeps its contents. On failure
 * (TNN_E_NOMEM) nothing changes. a may be NULL. Free with tnn__buffer_free.
 */
tnn_status tnn__buffer_reserve(const tnn_allocator *a, void **data, size_t *capacity, size_t need, size_t size,
                               tnn_error *err);
void tnn__buffer_free(const tnn_allocator *a, void *data, size_t capacity, size_t size);

#endif
