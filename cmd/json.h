/* JSON results: jansson, with the two things a GGUF can hold and JSON cannot (bytes that are no text, NaN) seen to. */
#ifndef CMD_JSON_H
#define CMD_JSON_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <tinynn/gguf.h>

/* A string; every byte that is not well-formed UTF-8 becomes U+FFFD. NULL only without memory. */
json_t *json_text(const char *data, size_t size);
json_t *json_path(const char *path); /* the same of a file's name */
/* A number, or null for what is not finite. */
json_t *json_number(double value);
json_t *json_float(float value); /* the same, with no more digits than tell it from other floats */
json_t *json_ids(const int32_t *ids, size_t n);
/* Value i of the metadata; an array of more than `max_items` becomes {"type", "count"}. */
json_t *json_metadata(const tnn_gguf *g, int64_t i, uint64_t max_items);

/* Prints the object and a newline on stdout and drops it; returns the exit status (also for NULL: out of memory). */
int json_print(json_t *object);

#endif
