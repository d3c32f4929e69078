/*
 * What a person sees beside the result: one-line errors and notes, progress, numbers for the eye, and what happens on
 * a signal. All of it goes to stderr; stdout belongs to the verb's result.
 */
#ifndef CMD_UI_H
#define CMD_UI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/status.h>

enum { UI_OK = 0, UI_FAILURE = 1, UI_USAGE = 2 }; /* exit statuses: done, failed, bad usage or input */

#if defined(__GNUC__)
#define UI_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define UI_PRINTF(fmt, args)
#endif

/* The verb that messages begin with; `name` must outlive the process. */
void ui_set_verb(const char *name);

/* "tnn VERB: text" on stderr, control characters made visible; returns `code` so that callers can return it. */
int ui_error(int code, const char *fmt, ...) UI_PRINTF(2, 3);
#ifdef __clang_analyzer__ /* sees one file at a time: it is told that this returns the code it is given */
#define ui_error(code, ...) ((void)(ui_error)((code), __VA_ARGS__), (code))
#endif
void ui_note(const char *fmt, ...) UI_PRINTF(1, 2);
/* Reports what the library said and returns the exit status that fits it; a file that cannot be read is bad input. */
int ui_fail(const tnn_error *err);
/* Text of a file on stdout, cut at max bytes, control characters made visible. */
void ui_print_text(const char *text, size_t size, size_t max);
/* Flushes stdout; a result that could not be written is a failure. Returns `code` or UI_FAILURE. */
int ui_finish(int code);

/* A line that redraws itself, on a terminal only. */
typedef struct ui_progress {
    const char *what;
    bool shown;
    double started, drawn; /* seconds, ui_seconds() */
} ui_progress;

ui_progress ui_progress_begin(const char *what);
/* `detail` stands after the numbers and may be NULL. */
void ui_progress_update(ui_progress *p, int64_t done, int64_t total, const char *detail);
void ui_progress_end(ui_progress *p); /* clears the line */

double ui_seconds(void); /* a monotonic clock */

#define UI_NUMBER 24
const char *ui_bytes(char out[UI_NUMBER], uint64_t bytes);  /* "98.4 MB" */
const char *ui_count(char out[UI_NUMBER], uint64_t number); /* "134.5 M" */

/*
 * With interrupts, SIGINT and SIGTERM: the first asks for an end (ui_interrupted), the second exits at once. SIGBUS,
 * which is what reading a mapped file raises when it has been cut short, always: one line and UI_USAGE.
 */
void ui_install_signals(bool interrupts);
bool ui_interrupted(void);
/* From now on the first is answered at once with "tnn VERB: text" on stderr; `text` must outlive the process. */
void ui_say_on_interrupt(const char *text);
/* Forgets an interrupt that has been answered (the end of one turn of a chat). */
void ui_clear_interrupt(void);

#endif
