/* A session: the allocator, the log callback and the backend that does the work. */
#include "core/session.h"

#include "base/alloc.h"

tnn_session_options tnn_session_options_default(void) {
    return (tnn_session_options){.isa = (tnn_isa)(TNN_ISA_COUNT - 1)};
}

tnn_status tnn__session_new(tnn_session **out, const tnn_session_options *options, tnn__backend *backend,
                            tnn_error *err) {
    const tnn_allocator *a = tnn__allocator_or_default(options->allocator);
    tnn_session *s = tnn__calloc(a, sizeof *s, TNN__ALIGN);
    if (!s) {
        backend->ops->free(backend);
        return tnn__fail_nomem(err, "a session", sizeof *s);
    }
    s->alloc = *a;
    s->backend = backend;
    s->log = options->log;
    s->log_ctx = options->log_ctx;
    *out = s;
    return TNN_OK;
}

void tnn_session_free(tnn_session *s) {
    if (!s) return;
    tnn_allocator a = s->alloc;
    s->backend->ops->free(s->backend);
    tnn__free(&a, s, sizeof *s, TNN__ALIGN);
}

int tnn_session_threads(const tnn_session *s) {
    return s->backend->ops->threads(s->backend);
}

tnn_isa tnn_session_isa(const tnn_session *s) {
    return s->backend->ops->isa(s->backend);
}

void tnn__log(const tnn_session *s, tnn_log_level level, const char *fmt, ...) {
    if (!s->log) return;
    char text[TNN_ERROR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    tnn__vline(text, fmt, args);
    va_end(args);
    s->log(s->log_ctx, level, text);
}
