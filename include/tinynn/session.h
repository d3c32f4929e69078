/*
 * A session owns what computation needs: threads, kernels, memory, the log callback. No state is shared between
 * sessions, so several can run side by side in one process, at different ISA levels if asked. Calls on one session, or
 * on anything made from it, must not overlap; different sessions may be used from different threads.
 */
#ifndef TINYNN_SESSION_H
#define TINYNN_SESSION_H

#include <tinynn/allocator.h>
#include <tinynn/isa.h>
#include <tinynn/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tnn_session tnn_session;

typedef enum tnn_log_level { TNN_LOG_DEBUG, TNN_LOG_INFO, TNN_LOG_WARN } tnn_log_level;

typedef struct tnn_session_options {
    const tnn_allocator *allocator; /* NULL: the C library's */
    int n_threads;                  /* 0: one per processor this process may use */
    tnn_isa isa;                    /* highest level to use; default TNN_ISA_COUNT - 1: whatever is there */
    void (*log)(void *ctx, tnn_log_level level, const char *text); /* NULL: silent; text is one line, no newline */
    void *log_ctx;
} tnn_session_options;

TNN_API tnn_session_options tnn_session_options_default(void);

/* options may be NULL. On failure *out is NULL. E_ARG: n_threads outside 0..1024. */
TNN_API tnn_status tnn_session_new(tnn_session **out, const tnn_session_options *options, tnn_error *err);
/* Stores, graphs, plans, models and sequences of the session must have been freed. NULL is allowed. */
TNN_API void tnn_session_free(tnn_session *s);

TNN_API int tnn_session_threads(const tnn_session *s);
TNN_API tnn_isa tnn_session_isa(const tnn_session *s); /* the level in use */

#ifdef __cplusplus
}
#endif
#endif
