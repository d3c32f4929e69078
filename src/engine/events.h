/*
 * events.jsonl: one object a line, appended as a run goes, kind first. A line is written whole and flushed, so that a
 * reader, or a run taken up again, sees no half of one but perhaps the last.
 */
#ifndef TNN_ENGINE_EVENTS_H
#define TNN_ENGINE_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/allocator.h>
#include <tinynn/status.h>

#define TNN__EVENTS_MAX_BYTES ((size_t)1 << 31) /* a longer file is not read */

typedef struct tnn__events tnn__events;

/*
 * Opens for appending. Events of steps after `keep_step` are cut off first (and a last line without its end); keep_step
 * < 0 keeps nothing.
 */
tnn_status tnn__events_open(tnn__events **out, const char *path, int64_t keep_step, const tnn_allocator *a,
                            tnn_error *err);
void tnn__events_close(tnn__events *e); /* NULL is allowed */

/* A field of an event. */
typedef struct tnn__field {
    const char *name;
    enum { TNN__FIELD_INT, TNN__FIELD_REAL, TNN__FIELD_TEXT } kind;
    int64_t integer;
    double real; /* not finite: null */
    const char *text;
} tnn__field;

#define TNN__INT_FIELD(n, v)  ((tnn__field){.name = (n), .kind = TNN__FIELD_INT, .integer = (v)})
#define TNN__REAL_FIELD(n, v) ((tnn__field){.name = (n), .kind = TNN__FIELD_REAL, .real = (v)})
#define TNN__TEXT_FIELD(n, v) ((tnn__field){.name = (n), .kind = TNN__FIELD_TEXT, .text = (v)})

/* step < 0: an event without one. A failure to write is remembered and told by tnn__events_failed, not by each call. */
void tnn__events_put(tnn__events *e, const char *kind, int64_t step, const tnn__field *fields, size_t n);
bool tnn__events_failed(const tnn__events *e);

/*
 * The last event of a kind in the file at path: its numbers of the n named fields, NaN for one that is missing. False
 * if there is none, or the file cannot be read.
 */
bool tnn__events_last(const char *path, const char *kind, const char *const *names, double *values, size_t n,
                      const tnn_allocator *a);

#endif
