/* Writing events, and cutting those a run is about to write again. */
#include "engine/events.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"

struct tnn__events {
    tnn_allocator alloc;
    FILE *file;
    bool failed;
};

/* Whether a line is an event of a step up to keep_step, or one without a step. */
static bool is_kept(const char *line, size_t n, int64_t keep_step) {
    json_error_t why;
    json_t *event = json_loadb(line, n, 0, &why);
    const json_t *step = json_object_get(event, "step");
    const char *kind = json_string_value(json_object_get(event, "kind"));
    bool kept =
        kind && strcmp(kind, "run_end") != 0 && (!json_is_integer(step) || json_integer_value(step) <= keep_step);
    json_decref(event);
    return kept;
}

/* Bytes to keep: up to the first line that is not. */
static size_t kept_bytes(const char *text, size_t size, int64_t keep_step) {
    size_t at = 0;
    while (keep_step >= 0 && at < size) {
        const char *end = memchr(text + at, '\n', size - at);
        if (!end || !is_kept(text + at, (size_t)(end - text) - at, keep_step)) break;
        at = (size_t)(end - text) + 1;
    }
    return at;
}

static tnn_status cut(const char *path, int64_t keep_step, const tnn_allocator *a, tnn_error *err) {
    char *text;
    size_t size;
    if (access(path, F_OK) != 0) return TNN_OK;
    tnn_status status = tnn__file_read(path, TNN__EVENTS_MAX_BYTES, a, &text, &size, err);
    if (status) return status;
    size_t keep = kept_bytes(text, size, keep_step);
    tnn__free(a, text, size + 1, 1);
    if (keep < size && truncate(path, (off_t)keep) != 0) {
        char reason[TNN__ERRNO_TEXT];
        return tnn__fail(err, TNN_E_IO, "%s: cannot be cut to %zu bytes: %s", path, keep,
                         tnn__errno_text(errno, reason));
    }
    return TNN_OK;
}

tnn_status tnn__events_open(tnn__events **out, const char *path, int64_t keep_step, const tnn_allocator *a,
                            tnn_error *err) {
    *out = NULL;
    a = tnn__allocator_or_default(a);
    tnn_status status = cut(path, keep_step, a, err);
    if (status) return status;
    tnn__events *e = tnn__calloc(a, sizeof *e, TNN__ALIGN);
    if (!e) return tnn__fail_nomem(err, "events", sizeof *e);
    e->alloc = *a;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    e->file = fd < 0 ? NULL : fdopen(fd, "ab");
    if (!e->file) {
        int code = errno;
        char reason[TNN__ERRNO_TEXT];
        if (fd >= 0) close(fd);
        status = tnn__fail(err, TNN_E_IO, "%s: %s", path, tnn__errno_text(code, reason));
        tnn__free(a, e, sizeof *e, TNN__ALIGN);
        return status;
    }
    *out = e;
    return TNN_OK;
}

void tnn__events_close(tnn__events *e) {
    if (!e) return;
    tnn_allocator a = e->alloc;
    fclose(e->file);
    tnn__free(&a, e, sizeof *e, TNN__ALIGN);
}

static json_t *value_of(const tnn__field *f) {
    switch (f->kind) {
    case TNN__FIELD_INT:
        return json_integer(f->integer);
    case TNN__FIELD_REAL:
        return isfinite(f->real) ? json_real(f->real) : json_null();
    case TNN__FIELD_TEXT:
        return json_string(f->text);
    }
    return NULL;
}

void tnn__events_put(tnn__events *e, const char *kind, int64_t step, const tnn__field *fields, size_t n) {
    json_t *event = json_object();
    json_object_set_new(event, "kind", json_string(kind));
    if (step >= 0) json_object_set_new(event, "step", json_integer(step));
    for (size_t i = 0; i < n; i++) {
        json_object_set_new(event, fields[i].name, value_of(&fields[i]));
    }
    char *line = json_dumps(event, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    json_decref(event);
    if (!line || fprintf(e->file, "%s\n", line) < 0 || fflush(e->file) != 0) {
        e->failed = true;
        clearerr(e->file);
    }
    free(line);
}

bool tnn__events_failed(const tnn__events *e) {
    return e->failed;
}

/* Numbers of an event of that kind; false, and nothing is touched, if the line is none. */
static bool read_numbers(const char *line, size_t size, const char *kind, const char *const *names, double *values,
                         size_t n) {
    json_error_t why;
    json_t *event = json_loadb(line, size, 0, &why);
    const char *its_kind = json_string_value(json_object_get(event, "kind"));
    bool same = its_kind && strcmp(its_kind, kind) == 0;
    for (size_t i = 0; same && i < n; i++) {
        const json_t *value = json_object_get(event, names[i]);
        values[i] = json_is_number(value) ? json_number_value(value) : (double)NAN;
    }
    json_decref(event);
    return same;
}

bool tnn__events_last(const char *path, const char *kind, const char *const *names, double *values, size_t n,
                      const tnn_allocator *a) {
    char *text;
    size_t size;
    bool found = false;
    a = tnn__allocator_or_default(a);
    if (tnn__file_read(path, TNN__EVENTS_MAX_BYTES, a, &text, &size, NULL)) return false;
    for (size_t end = size; end > 0 && !found;) {
        size_t begin = end - 1;
        while (begin > 0 && text[begin - 1] != '\n') {
            begin--;
        }
        found = read_numbers(text + begin, end - begin, kind, names, values, n);
        end = begin;
    }
    tnn__free(a, text, size + 1, 1);
    return found;
}
