/* report.html: a run's events as curves, in one file that needs nothing else. */
#ifndef TNN_ENGINE_REPORT_H
#define TNN_ENGINE_REPORT_H

#include <tinynn/allocator.h>
#include <tinynn/status.h>

/* Reads folder/events.jsonl (and config.json), writes folder/report.html. */
tnn_status tnn__report_write(const char *folder, const tnn_allocator *a, tnn_error *err);

#endif
