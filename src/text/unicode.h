/* Characters as the pre-tokenizers see them: a code point with the classes of its Unicode 15.1 general category. */
#ifndef TNN_TEXT_UNICODE_H
#define TNN_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/utf8.h"

/* Bits of the table, and of a tnn__char above its code point. No bit is set for controls and unassigned ones. */
enum {
    TNN__LETTER = 1,
    TNN__NUMBER = 2,
    TNN__PUNCTUATION = 4,
    TNN__SYMBOL = 8,
    TNN__MARK = 16,
    TNN__SPACE = 32, /* the White_Space property */
};

extern const uint8_t tnn__unicode_block[0x110000 / 256];
extern const uint8_t tnn__unicode_classes[][256];

static inline unsigned tnn__unicode_class(uint32_t code) {
    return tnn__unicode_classes[tnn__unicode_block[code >> 8]][code & 255u];
}

typedef uint32_t tnn__char;
#define TNN__CHAR_CODE_BITS 21

static inline tnn__char tnn__char_make(uint32_t code) {
    return code | (uint32_t)tnn__unicode_class(code) << TNN__CHAR_CODE_BITS;
}
static inline uint32_t tnn__char_code(tnn__char c) {
    return c & ((1u << TNN__CHAR_CODE_BITS) - 1u);
}
static inline bool tnn__char_is(tnn__char c, unsigned classes) {
    return (c >> TNN__CHAR_CODE_BITS & classes) != 0;
}

/* Reads a whole text into chars, which has room for size; ill-formed bytes become U+FFFD, each one. Their number. */
size_t tnn__utf8_read(const char *text, size_t size, tnn__char *chars);

#endif
