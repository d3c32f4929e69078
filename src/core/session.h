/* The session record. */
#ifndef TNN_CORE_SESSION_H
#define TNN_CORE_SESSION_H

#include <tinynn/session.h>

#include "base/error.h"
#include "core/backend.h"

struct tnn_session {
    tnn_allocator alloc;
    tnn__backend *backend; /* owned */
    void (*log)(void *ctx, tnn_log_level level, const char *text);
    void *log_ctx;
};

/* A session over a backend, which it owns from then on (also on failure). tnn_session_new picks the backend. */
tnn_status tnn__session_new(tnn_session **out, const tnn_session_options *options, tnn__backend *backend,
                            tnn_error *err);

/* The session of a persistent tensor. */
tnn_session *tnn__session_of(const tnn_tensor *t);

void tnn__log(const tnn_session *s, tnn_log_level level, const char *fmt, ...) TNN__PRINTF(3, 4);

#endif
