/* Strings of a file, which no NUL ends, beside those of C. */
#ifndef TNN_GGUF_STR_H
#define TNN_GGUF_STR_H

#include <stdbool.h>
#include <string.h>

#include <tinynn/gguf.h>

static inline bool tnn__str_starts(tnn_gguf_str s, const char *part) {
    size_t n = strlen(part);
    return s.size >= n && memcmp(s.data, part, n) == 0;
}

static inline bool tnn__str_is(tnn_gguf_str s, const char *text) {
    return s.size == strlen(text) && tnn__str_starts(s, text);
}

/* How many bytes of a string an error shows: the length of a %.*s. */
static inline int tnn__str_shown(tnn_gguf_str s) {
    return (int)(s.size < 64 ? s.size : 64);
}

#endif
