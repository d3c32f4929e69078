/* Any bytes as a GGUF file: refused with a message, or every part of it can be visited. Seeds: seed_gguf.c. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <tinynn/gguf.h>

#include "support/gguf_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tnn_gguf *g;
    tnn_error err = {0};
    uint64_t sum = 0;
    if (tnn_gguf_open_memory(&g, data, size, NULL, &err) != TNN_OK) {
        if (g || err.status == TNN_OK || !err.text[0]) abort();
        return 0;
    }
    if (!walk_gguf(g, &sum)) abort();
    tnn_gguf_close(g);
    return 0;
}
