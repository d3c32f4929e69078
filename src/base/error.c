/*
 * Error records, and lines for a log. Names and paths that come from a file end up in these texts, so the text is made
 * safe to print here, once: one line, valid UTF-8, also where it had to be cut.
 */
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static bool is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

static void make_printable(char *text) {
    size_t left = strlen(text);
    while (left > 0) {
        uint32_t code;
        int n = tnn__utf8_decode(text, left, &code);
        if (n <= 0 || is_control(code)) {
            *text = '?';
            n = 1; /* the second byte of a control beyond ASCII begins no character: '?' too */
        }
        text += n;
        left -= (size_t)n;
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
