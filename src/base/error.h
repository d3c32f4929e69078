/* Filling a tnn_error. */
#ifndef TNN_BASE_ERROR_H
#define TNN_BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

#include <tinynn/status.h>

#if defined(__GNUC__)
#define TNN__PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define TNN__PRINTF(fmt, args)
#endif

/* Writes code and text into err (which may be NULL) and returns the code, so that callers can `return tnn__fail(...)`.
 */
tnn_status tnn__fail(tnn_error *err, tnn_status status, const char *fmt, ...) TNN__PRINTF(3, 4);
tnn_status tnn__vfail(tnn_error *err, tnn_status status, const char *fmt, va_list args) TNN__PRINTF(3, 0);

/* What the system calls an error number, for the argument of a %s; in buf, which it returns. Any thread. */
#define TNN__ERRNO_TEXT 128
const char *tnn__errno_text(int code, char buf[TNN__ERRNO_TEXT]);

/* One printable line of valid UTF-8, whatever the arguments hold: what an error says, for a log. */
void tnn__vline(char text[TNN_ERROR_TEXT_MAX], const char *fmt, va_list args) TNN__PRINTF(2, 0);

/* TNN_E_NOMEM with a text that says for what and how many bytes. */
tnn_status tnn__fail_nomem(tnn_error *err, const char *what, size_t bytes);

/* clang's analyzer sees one file at a time: it is told that these never return TNN_OK. */
#ifdef __clang_analyzer__
#define tnn__fail(err, status, ...)        ((void)(tnn__fail)((err), (status), __VA_ARGS__), (status))
#define tnn__vfail(err, status, fmt, args) ((void)(tnn__vfail)((err), (status), (fmt), (args)), (status))
#define tnn__fail_nomem(err, what, bytes)  ((void)(tnn__fail_nomem)((err), (what), (bytes)), TNN_E_NOMEM)
#endif

#endif
