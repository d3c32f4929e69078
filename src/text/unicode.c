#include "text/unicode.h"

size_t tnn__utf8_read(const char *text, size_t size, tnn__char *chars) {
    size_t n = 0;
    for (size_t pos = 0; pos < size;) {
        uint32_t code;
        int length = tnn__utf8_decode(text + pos, size - pos, &code);
        chars[n++] = tnn__char_make(length > 0 ? code : TNN__REPLACEMENT);
        pos += length > 0 ? (size_t)length : 1;
    }
    return n;
}
