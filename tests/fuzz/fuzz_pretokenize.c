/* Any text through every pre-tokenizer: words follow each other without gap or overlap to its end. */
#include <stdint.h>
#include <stdlib.h>

#include "text/pretokenize.h"

static tnn_status follow(void *ctx, const tnn__char *text, size_t begin, size_t end) {
    (void)text;
    size_t *next = ctx;
    if (begin != *next || end <= begin) abort();
    *next = end;
    return TNN_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tnn__char *text = malloc((size ? size : 1) * sizeof *text);
    if (!text) abort();
    size_t n = 0;
    for (size_t pos = 0; pos < size;) {
        uint32_t code = TNN__REPLACEMENT;
        int length = tnn__utf8_decode((const char *)data + pos, size - pos, &code);
        text[n++] = tnn__char_make(length > 0 ? code : TNN__REPLACEMENT);
        pos += length > 0 ? (size_t)length : 1;
    }
    tnn__char *exact = realloc(text, (n ? n : 1) * sizeof *text); /* a step past the end is seen */
    if (!exact) abort();
    for (size_t i = 0; tnn__pretokenizer_at(i); i++) {
        if (i > 0 && tnn__pretokenizer_at(i)->splitters == tnn__pretokenizer_at(i - 1)->splitters) continue;
        size_t next = 0;
        if (tnn__pretokenize(tnn__pretokenizer_at(i), exact, n, follow, &next) != TNN_OK || next != n) abort();
    }
    free(exact);
    return 0;
}
