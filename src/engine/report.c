/*
 * The report: curves of loss, learning rate, gradient norm, tokens per second and taps over steps, as SVG drawn here,
 * samples, and the settings of the run. Colours follow the reader's light or dark scheme.
 */
#include "engine/report.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "base/locale.h"
#include "base/utf8.h"
#include "engine/events.h"

#define PATH_SIZE  4096
#define MAX_SERIES 256
#define MAX_POINTS 2000 /* drawn; more are thinned */

typedef struct point {
    double x, y;
} point;

typedef struct series {
    char name[96];
    point *points;
    size_t n, capacity;
} series;

typedef struct report {
    tnn_allocator alloc;
    series all[MAX_SERIES];
    int n_series;
    bool left_out;   /* more series than are drawn */
    json_t *samples; /* events */
    bool no_memory;
    tnn__atomic_file *out;
    tnn_error *err;
    tnn_status status; /* of writing, latched */
} report;

/* --- reading events --- */

static series *series_named(report *r, const char *name) {
    for (int i = 0; i < r->n_series; i++) {
        if (strcmp(r->all[i].name, name) == 0) return &r->all[i];
    }
    if (r->n_series == MAX_SERIES) {
        r->left_out = true;
        return NULL;
    }
    series *s = &r->all[r->n_series++];
    snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

static void add_point(report *r, const char *name, double x, const json_t *value) {
    series *s = json_is_number(value) ? series_named(r, name) : NULL;
    if (!s) return;
    if (s->n == s->capacity) {
        size_t larger = s->capacity ? 2 * s->capacity : 256;
        point *moved = tnn__calloc_array(&r->alloc, larger, sizeof *moved);
        if (!moved) {
            r->no_memory = true;
            return;
        }
        if (s->n) memcpy(moved, s->points, s->n * sizeof *moved);
        if (s->points) tnn__free_array(&r->alloc, s->points, s->capacity, sizeof *moved);
        s->points = moved;
        s->capacity = larger;
    }
    s->points[s->n++] = (point){x, json_number_value(value)};
}

static void read_event(report *r, json_t *event) {
    static const char *const fields[][2] = {{"loss", "Training loss"},
                                            {"lr", "Learning rate"},
                                            {"grad_norm", "Gradient norm"},
                                            {"tokens_per_second", "Tokens per second"}};
    const char *kind = json_string_value(json_object_get(event, "kind"));
    double step = (double)json_integer_value(json_object_get(event, "step"));
    if (!kind) return;
    if (strcmp(kind, "step") == 0) {
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
            add_point(r, fields[i][1], step, json_object_get(event, fields[i][0]));
        }
    } else if (strcmp(kind, "eval") == 0) {
        add_point(r, "Validation loss", step, json_object_get(event, "loss"));
    } else if (strcmp(kind, "tap") == 0) {
        char name[96];
        const char *tap = json_string_value(json_object_get(event, "name"));
        snprintf(name, sizeof name, "RMS of %s", tap ? tap : "?");
        add_point(r, name, step, json_object_get(event, "rms"));
    } else if (strcmp(kind, "sample") == 0) {
        json_array_append(r->samples, event);
    }
}

static tnn_status read_events(report *r, const char *path) {
    char *text;
    size_t size;
    tnn_status status = tnn__file_read(path, TNN__EVENTS_MAX_BYTES, &r->alloc, &text, &size, r->err);
    if (status) return status;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t n = end ? (size_t)(end - text) - at : size - at;
        json_t *event = json_loadb(text + at, n, 0, NULL);
        read_event(r, event);
        json_decref(event);
        at += n + 1;
    }
    tnn__free(&r->alloc, text, size + 1, 1);
    return r->no_memory ? tnn__fail_nomem(r->err, "a report", size) : TNN_OK;
}

/* --- writing --- */

static void put(report *r, const char *fmt, ...) TNN__PRINTF(2, 3);
static void put(report *r, const char *fmt, ...) {
    char text[1024];
    va_list args;
    if (r->status) return;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    r->status = tnn__atomic_write(r->out, text, size, r->err);
}

/* What HTML may hold for a character: controls, which it may not, become their pictures or U+FFFD. */
static uint32_t showable(uint32_t code) {
    if (code == '\n' || code == '\t') return code;
    if (code < ' ') return 0x2400 + code;
    return code >= 0x7f && code < 0xa0 ? TNN__REPLACEMENT : code;
}

/* Text from outside: a name may hold anything. */
static void put_escaped(report *r, const char *s) {
    for (size_t left = strlen(s); left > 0;) {
        uint32_t code = 0;
        char utf8[4];
        int n = tnn__utf8_decode(s, left, &code);
        code = n > 0 ? showable(code) : TNN__REPLACEMENT;
        const char *entity = code == '<' ? "&lt;" : code == '>' ? "&gt;" : code == '&' ? "&amp;" : NULL;
        if (entity) {
            put(r, "%s", entity);
        } else {
            put(r, "%.*s", tnn__utf8_encode(code, utf8), utf8);
        }
        s += n > 0 ? n : 1;
        left -= n > 0 ? (size_t)n : 1;
    }
}

enum { WIDTH = 640, HEIGHT = 240, LEFT = 64, RIGHT = 12, TOP = 12, BOTTOM = 28 };

typedef struct frame {
    double x0, x1, y0, y1;
} frame;

static frame frame_of(const series *s) {
    frame f = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    for (size_t i = 0; i < s->n; i++) {
        f.x0 = fmin(f.x0, s->points[i].x);
        f.x1 = fmax(f.x1, s->points[i].x);
        f.y0 = fmin(f.y0, s->points[i].y);
        f.y1 = fmax(f.y1, s->points[i].y);
    }
    if (!(f.x1 > f.x0)) f.x1 = f.x0 + 1;
    double margin = f.y1 > f.y0 ? 0.05 * (f.y1 - f.y0) : fabs(f.y0) * 0.05 + 1e-9;
    f.y0 -= margin;
    f.y1 += margin;
    return f;
}

static double to_x(const frame *f, double x) {
    return LEFT + (x - f->x0) / (f->x1 - f->x0) * (WIDTH - LEFT - RIGHT);
}

static double to_y(const frame *f, double y) {
    return TOP + (f->y1 - y) / (f->y1 - f->y0) * (HEIGHT - TOP - BOTTOM);
}

static void put_axes(report *r, const frame *f) {
    for (int i = 0; i <= 4; i++) {
        double y = f->y0 + (f->y1 - f->y0) * i / 4;
        put(r, "<line class=grid x1=%d x2=%d y1=%.1f y2=%.1f />", LEFT, WIDTH - RIGHT, to_y(f, y), to_y(f, y));
        put(r, "<text x=%d y=%.1f text-anchor=end>%.4g</text>\n", LEFT - 6, to_y(f, y) + 4, y);
    }
    double steps = f->x1 - f->x0;
    int n = (int)fmin(4, steps);
    for (int i = 0; i <= n; i++) {
        double x = f->x0 + (n ? round(steps * i / n) : 0);
        put(r, "<text x=%.1f y=%d text-anchor=middle>%.0f</text>\n", to_x(f, x), HEIGHT - 8, x);
    }
}

static void put_curve(report *r, const series *s) {
    frame f = frame_of(s);
    size_t stride = s->n / MAX_POINTS + 1;
    put(r, "<figure><figcaption>");
    put_escaped(r, s->name);
    put(r, " <b>%.4g</b></figcaption>\n<svg viewBox=\"0 0 %d %d\" role=img>", s->points[s->n - 1].y, WIDTH, HEIGHT);
    put_axes(r, &f);
    put(r, "<polyline points=\"");
    for (size_t i = 0; i < s->n; i += stride) {
        put(r, "%.1f,%.1f ", to_x(&f, s->points[i].x), to_y(&f, s->points[i].y));
    }
    put(r, "%.1f,%.1f\" /></svg></figure>\n", to_x(&f, s->points[s->n - 1].x), to_y(&f, s->points[s->n - 1].y));
}

static void put_text_of(report *r, const json_t *event, const char *key) {
    const char *text = json_string_value(json_object_get(event, key));
    put_escaped(r, text ? text : "");
}

/* The first before training, the last after it, those between in order. */
static void put_samples(report *r) {
    size_t n = json_array_size(r->samples);
    if (n == 0) return;
    put(r, "<h2>Samples</h2>\n<p>");
    put_text_of(r, json_array_get(r->samples, 0), "prompt");
    put(r, "</p>\n<table class=samples>\n");
    for (size_t i = 0; i < n; i++) {
        const json_t *event = json_array_get(r->samples, i);
        json_int_t step = json_integer_value(json_object_get(event, "step"));
        put(r, "<tr><th>step %" JSON_INTEGER_FORMAT "</th><td>", step);
        put_text_of(r, event, "text");
        put(r, "</td></tr>\n");
    }
    put(r, "</table>\n");
}

static void put_settings(report *r, const char *path) {
    char *text;
    size_t size;
    if (tnn__file_read(path, 1 << 20, &r->alloc, &text, &size, NULL)) return;
    json_t *config = json_loadb(text, size, 0, NULL);
    const char *key;
    const json_t *value;
    json_t *next;
    put(r, "<table>\n");
    json_object_foreach(config, key, next) {
        value = next;
        char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        put(r, "<tr><th>");
        put_escaped(r, key);
        put(r, "</th><td>");
        put_escaped(r, shown ? shown : "");
        put(r, "</td></tr>\n");
        free(shown);
    }
    put(r, "</table>\n");
    json_decref(config);
    tnn__free(&r->alloc, text, size + 1, 1);
}

static void put_page(report *r, const char *folder, const char *config_path) {
    put(r,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>");
    put_escaped(r, folder);
    put(r,
        "</title>\n<style>:root{color-scheme:light dark}body{font:15px "
        "system-ui,sans-serif;max-width:1340px;margin:2em auto;"
        "padding:0 1em}main{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(480px,100%%),1fr));gap:1em}"
        "figure{margin:0}svg{width:100%%;height:auto}text{font-size:11px;fill:currentColor;opacity:.7}"
        ".grid{stroke:currentColor;opacity:.12}polyline{fill:none;stroke:#2a7de1;stroke-width:1.6;stroke-linecap:round}"
        "th{text-align:left;font-weight:500;padding-right:2em}table{font-size:13px}td{overflow-wrap:anywhere}.samples "
        "td{white-space:pre-wrap;padding-bottom:1em}.samples th{vertical-align:top;white-space:nowrap}</style>\n<h1>");
    put_escaped(r, folder);
    put(r, "</h1><main>\n");
    for (int i = 0; i < r->n_series; i++) {
        if (r->all[i].n > 0) put_curve(r, &r->all[i]);
    }
    put(r, "</main>\n");
    if (r->left_out) put(r, "<p>The first %d curves are drawn; events.jsonl has the others.</p>\n", MAX_SERIES);
    put_samples(r);
    put(r, "<h2>Settings</h2>\n");
    put_settings(r, config_path);
    put(r, "</html>\n");
}

static tnn_status write_page(report *r, const char *folder) {
    char path[PATH_SIZE], config_path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/report.html", folder);
    snprintf(config_path, sizeof config_path, "%s/config.json", folder);
    tnn_status status = tnn__atomic_open(&r->out, path, 0, NULL, &r->alloc, r->err);
    if (status) return status;
    tnn__c_locale locale = tnn__c_locale_begin();
    put_page(r, folder, config_path);
    tnn__c_locale_end(locale);
    if (r->status) {
        tnn__atomic_abort(r->out);
        return r->status;
    }
    return tnn__atomic_commit(r->out, r->err);
}

tnn_status tnn__report_write(const char *folder, const tnn_allocator *a, tnn_error *err) {
    char path[PATH_SIZE];
    a = tnn__allocator_or_default(a);
    report *r = tnn__calloc(a, sizeof *r, TNN__ALIGN);
    if (!r) return tnn__fail_nomem(err, "a report", sizeof *r);
    r->alloc = *a;
    r->err = err;
    r->samples = json_array();
    snprintf(path, sizeof path, "%s/events.jsonl", folder);
    tnn_status status = read_events(r, path);
    if (!status) status = write_page(r, folder);
    for (int i = 0; i < r->n_series; i++) {
        if (r->all[i].points) tnn__free_array(a, r->all[i].points, r->all[i].capacity, sizeof *r->all[i].points);
    }
    json_decref(r->samples);
    tnn__free(a, r, sizeof *r, TNN__ALIGN);
    return status;
}
