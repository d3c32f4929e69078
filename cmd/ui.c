/* Messages, progress and signals of the command. */
#include "ui.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *verb_name = "";
static bool progress_drawn; /* a progress line stands where the next one goes */
static volatile sig_atomic_t interrupts;
static const char *volatile interrupt_note; /* NULL: an interrupt is answered by what comes of it */

void ui_set_verb(const char *name) {
    verb_name = name;
}

/* Names and texts come from files: nothing in them may move the cursor or break the line. */
static void make_visible(char *text) {
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
}

static void clear_progress(void) {
    if (progress_drawn) fputs("\r\033[K", stderr);
    progress_drawn = false;
}

static void print_line(const char *kind, const char *fmt, va_list args) {
    char text[1024];
    int n = vsnprintf(text, sizeof text, fmt, args);
    if (n < 0) return;
    make_visible(text);
    clear_progress();
    fprintf(stderr, "tnn%s%s: %s%s\n", *verb_name ? " " : "", verb_name, kind, text);
}

/* The name in parentheses: for the analyzer it is a macro too. */
int(ui_error)(int code, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    print_line("", fmt, args);
    va_end(args);
    return code;
}

void ui_note(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    print_line("note: ", fmt, args);
    va_end(args);
}

int ui_fail(const tnn_error *err) {
    switch (err->status) {
    case TNN_E_NOMEM:
    case TNN_E_STATE:
    case TNN_E_CANCELLED:
        return ui_error(UI_FAILURE, "%s", err->text);
    default:
        return ui_error(UI_USAGE, "%s", err->text);
    }
}

void ui_print_text(const char *text, size_t size, size_t max) {
    size_t n = size < max ? size : max;
    while (n < size && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--; /* not inside a character */
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n') {
            fputs("\\n", stdout);
        } else {
            putchar(c < 0x20 || c == 0x7f ? '?' : c);
        }
    }
    if (n < size) fputs("...", stdout);
}

int ui_finish(int code) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    return ui_error(UI_FAILURE, "standard output could not be written; the result is not complete");
}

double ui_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

ui_progress ui_progress_begin(const char *what) {
    const char *terminal = getenv("TERM");
    bool redraws = terminal && strcmp(terminal, "dumb") != 0 && isatty(STDERR_FILENO);
    return (ui_progress){.what = what, .shown = redraws, .started = ui_seconds()};
}

void ui_progress_update(ui_progress *p, int64_t done, int64_t total, const char *detail) {
    double now = ui_seconds();
    if (!p->shown || total <= 0 || (now - p->drawn < 0.1 && done < total)) return;
    p->drawn = now;
    double left = done > 0 ? (now - p->started) / (double)done * (double)(total - done) : 0;
    char line[160], rest[32] = "";
    if (done > 0 && done < total) snprintf(rest, sizeof rest, "  %d:%02d left", (int)(left / 60), (int)left % 60);
    snprintf(line, sizeof line, "%s %lld/%lld%s%s%s", p->what, (long long)done, (long long)total, detail ? "  " : "",
             detail ? detail : "", rest);
    make_visible(line);
    /* Without wrapping while it is drawn, so that it stays one line where the terminal is narrow. */
    fprintf(stderr, "\r\033[K\033[?7l%s\033[?7h", line);
    progress_drawn = true;
}

void ui_progress_end(ui_progress *p) {
    if (p->shown) clear_progress();
}

static const char *scaled(char out[UI_NUMBER], uint64_t value, const char *const units[5]) {
    double x = (double)value;
    int unit = 0;
    while (x >= 999.95 && unit < 4) {
        x /= 1000;
        unit++;
    }
    snprintf(out, UI_NUMBER, unit ? "%.1f %s" : "%.0f %s", x, units[unit]);
    return out;
}

const char *ui_bytes(char out[UI_NUMBER], uint64_t bytes) {
    static const char *const units[5] = {"B", "kB", "MB", "GB", "TB"};
    return scaled(out, bytes, units);
}

const char *ui_count(char out[UI_NUMBER], uint64_t number) {
    static const char *const units[5] = {"", "k", "M", "B", "T"};
    scaled(out, number, units);
    size_t n = strlen(out);
    if (n > 0 && out[n - 1] == ' ') out[n - 1] = 0;
    return out;
}

static void write_stderr(const char *text) {
    ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n; /* nothing is left to be told on */
}

/* What a signal handler may do of ui_note. */
static void write_note(const char *text) {
    write_stderr("tnn ");
    write_stderr(verb_name);
    write_stderr(": ");
    write_stderr(text);
    write_stderr("\n");
}

static void on_interrupt(int sig) {
    int before = errno;
    if (interrupts) _exit(128 + sig);
    interrupts = 1;
    if (interrupt_note) write_note(interrupt_note);
    errno = before;
}

static void on_bus_error(int sig) {
    (void)sig;
    write_note("a model file was cut short while it was in use; fetch it again, or use --no-mmap");
    _exit(UI_USAGE);
}

void ui_install_signals(bool interrupts_too) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    /* Without SA_RESTART, so that a read which waits for a person ends. */
    action.sa_handler = on_interrupt;
    if (interrupts_too) {
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
    }
    action.sa_handler = on_bus_error;
    sigaction(SIGBUS, &action, NULL);
}

void ui_say_on_interrupt(const char *text) {
    interrupt_note = text;
}

bool ui_interrupted(void) {
    return interrupts != 0;
}

void ui_clear_interrupt(void) {
    interrupts = 0;
}
