/*
 * Error records, and lines for a log. Names and paths that come from a file end up in these texts, so the text is made
 * safe to print here, once: one line, valid UTF-8, also where it had to be cut.
 */
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Bytes of the well-formed UTF-8 character at s (Unicode 15, table 3-7), 0 if there is none. s is NUL-terminated. */
static size_t utf8_char_bytes(const unsigned char *s) {
    if (s[0] < 0x80) return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    size_t n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    unsigned lo = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned hi = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < lo || s[1] > hi) return 0;
    for (size_t i = 2; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
    }
    return n;
}

static void make_printable(char *text) {
    unsigned char *s = (unsigned char *)text;
    while (*s) {
        size_t n = utf8_char_bytes(s);
        bool control = *s < 0x20 || *s == 0x7f || (n == 2 && s[0] == 0xc2 && s[1] < 0xa0);
        if (n == 0 || control) {
            *s++ = '?';
        } else {
            s += n;
        }
    }
}

const char *tnn__errno_text(int code, char buf[TNN__ERRNO_TEXT]) {
    if (strerror_r(code, buf, TNN__ERRNO_TEXT) != 0) snprintf(buf, TNN__ERRNO_TEXT, "error %d", code);
    return buf;
}

void tnn__vline(char text[TNN_ERROR_TEXT_MAX], const char *fmt, va_list args) {
    int n = vsnprintf(text, TNN_ERROR_TEXT_MAX, fmt, args);
    if (n < 0) text[0] = '\0';
    if (n >= TNN_ERROR_TEXT_MAX) memcpy(text + TNN_ERROR_TEXT_MAX - 4, "...", 4);
    make_printable(text);
}

/* Names in parentheses: for the analyzer they are macros too. */
tnn_status(tnn__vfail)(tnn_error *err, tnn_status status, const char *fmt, va_list args) {
    if (!err) return status;
    /* An argument may be err->text itself, where a caller puts context in front of an error. */
    char text[TNN_ERROR_TEXT_MAX];
    tnn__vline(text, fmt, args);
    err->status = status;
    memcpy(err->text, text, sizeof text);
    return status;
}

tnn_status(tnn__fail)(tnn_error *err, tnn_status status, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    tnn__vfail(err, status, fmt, args);
    va_end(args);
    return status;
}

tnn_status(tnn__fail_nomem)(tnn_error *err, const char *what, size_t bytes) {
    return tnn__fail(err, TNN_E_NOMEM, "out of memory: %s needs %zu bytes; free memory or use a smaller setting", what,
                     bytes);
}
