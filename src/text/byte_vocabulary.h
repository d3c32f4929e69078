/* A vocabulary of the 256 bytes and an end of text: a tokenizer that needs no training. */
#ifndef TNN_TEXT_BYTE_VOCABULARY_H
#define TNN_TEXT_BYTE_VOCABULARY_H

#include <tinynn/allocator.h>
#include <tinynn/status.h>

/* A GGUF of metadata alone, in memory of the caller's (tnn__free(a, *data, *size, 1)). Byte b is token b; 256 ends a
 * text. */
tnn_status tnn__byte_vocabulary(void **data, size_t *size, const tnn_allocator *a, tnn_error *err);

#endif
