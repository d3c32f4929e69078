/*
 * Status codes and the error record every fallible call can fill.
 *
 * A function that can fail returns tnn_status and takes `tnn_error *err` last. `err` may be NULL. On failure
 * it holds the code and one line that says what went wrong, where, and what to do; on success it is not touched.
 */
#ifndef TINYNN_STATUS_H
#define TINYNN_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(TNN_BUILD_SHARED) && defined(__GNUC__)
#define TNN_API __attribute__((visibility("default")))
#else
#define TNN_API
#endif

/* code, value, text */
#define TNN_STATUS_LIST(X)                                                                                             \
    X(OK, 0, "ok")                                                                                                     \
    X(E_NOMEM, -1, "out of memory")                                                                                    \
    X(E_ARG, -2, "invalid argument")                                                                                   \
    X(E_IO, -3, "input/output error")                                                                                  \
    X(E_FORMAT, -4, "malformed file")                                                                                  \
    X(E_UNSUPPORTED, -5, "not supported")                                                                              \
    X(E_SHAPE, -6, "shape mismatch")                                                                                   \
    X(E_RANGE, -7, "value out of range")                                                                               \
    X(E_NOTFOUND, -8, "not found")                                                                                     \
    X(E_STATE, -9, "call out of order")                                                                                \
    X(E_CANCELLED, -10, "cancelled")                                                                                   \
    X(E_FULL, -11, "context is full")

typedef enum tnn_status {
#define X(name, value, text) TNN_##name = (value),
    TNN_STATUS_LIST(X)
#undef X
} tnn_status;

#define TNN_ERROR_TEXT_MAX 480

typedef struct tnn_error {
    tnn_status status;
    char text[TNN_ERROR_TEXT_MAX]; /* one line, UTF-8, always terminated */
} tnn_error;

/* The fixed text of a code, never NULL; "unknown status" for a value that is not in the list. Any thread. */
TNN_API const char *tnn_status_text(tnn_status status);

#ifdef __cplusplus
}
#endif
#endif
