/* Statistics and rows of taps. */
#include "taps.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/gguf.h>

#include "json.h"
#include "open.h"
#include "ui.h"

const arg_option tap_options[] = {
    {"--tap", ARG_TEXTS, offsetof(tap_args, globs), "GLOB", 0, 0, NULL,
     "tell statistics of a stage of the forward pass; may be given many times. Stages: embed, lens, blk.N.attn_norm, "
     "blk.N.attn_out, blk.N.ffn_out, blk.N.resid_post, final_norm, logits; of Gated DeltaNet layers also blk.N.decay "
     "(its logarithm), blk.N.beta and blk.N.gdn_state (norms of the states after a batch); * stands for anything"},
    {"--tap-out", ARG_TEXT, offsetof(tap_args, out), "FILE", 0, 0, NULL,
     "write the rows of the taps to a GGUF file, one F32 tensor [features, rows] per tap"},
    {0},
};

struct tap {
    char name[TNN_GGUF_MAX_NAME + 1];
    int64_t n_features, n_rows;
    int64_t n_finite; /* values that the statistics are of; the others are counted alone */
    double sum, sum_of_squares;
    float min, max;
    float *rows;
    int64_t capacity; /* in rows */
};

int taps_begin(taps *t, const tap_args *args) {
    *t = (taps){.keep = args->out != NULL};
    size_t size = 1;
    for (int i = 0; i < args->globs.n; i++) {
        if (!*args->globs.items[i]) return ui_error(UI_USAGE, "--tap: an empty glob names no stage");
        size += strlen(args->globs.items[i]) + 1;
    }
    if (args->globs.n == 0)
        return args->out ? ui_error(UI_USAGE, "--tap-out needs a tap to write: --tap 'blk.*.resid_post'") : UI_OK;
    int code = args->out ? check_output(args->out) : UI_OK;
    if (code != UI_OK) return code;
    t->globs = calloc(1, size);
    if (!t->globs) return ui_error(UI_FAILURE, "out of memory");
    for (int i = 0; i < args->globs.n; i++) {
        if (i) strcat(t->globs, ",");
        strcat(t->globs, args->globs.items[i]);
    }
    return UI_OK;
}

static tap *find(taps *t, const char *name) {
    for (int64_t i = 0; i < t->n; i++)
        if (strcmp(t->items[i].name, name) == 0) return &t->items[i];
    tap *items = realloc(t->items, (size_t)(t->n + 1) * sizeof *items);
    if (!items) return NULL;
    t->items = items;
    items[t->n] = (tap){.min = FLT_MAX, .max = -FLT_MAX};
    snprintf(items[t->n].name, sizeof items[t->n].name, "%s", name);
    return &items[t->n++];
}

static bool keep_rows(tap *p, const float *rows, int64_t n) {
    if (p->n_rows + n > p->capacity) {
        int64_t capacity = p->n_rows + n > 2 * p->capacity ? p->n_rows + n : 2 * p->capacity;
        float *grown = realloc(p->rows, (size_t)capacity * (size_t)p->n_features * sizeof *grown);
        if (!grown) return false;
        p->rows = grown;
        p->capacity = capacity;
    }
    memcpy(p->rows + p->n_rows * p->n_features, rows, (size_t)n * (size_t)p->n_features * sizeof *rows);
    return true;
}

int taps_add(taps *t, const char *name, const float *rows, int64_t n_features, int64_t n_rows) {
    tap *p = find(t, name);
    if (!p) return ui_error(UI_FAILURE, "out of memory");
    p->n_features = n_features;
    for (int64_t k = 0; k < n_features * n_rows; k++) {
        if (!isfinite(rows[k])) continue;
        p->n_finite++;
        p->sum += (double)rows[k];
        p->sum_of_squares += (double)rows[k] * (double)rows[k];
        if (rows[k] < p->min) p->min = rows[k];
        if (rows[k] > p->max) p->max = rows[k];
    }
    if (t->keep && !keep_rows(p, rows, n_rows))
        return ui_error(UI_FAILURE, "out of memory for the rows of %s; tap less, or leave --tap-out away", p->name);
    p->n_rows += n_rows;
    return UI_OK;
}

/* One tap may have fewer rows than another: the last layers compute only what is wanted of them. */
int taps_collect(taps *t, const tnn_seq *q) {
    int64_t n_taps = t->globs ? tnn_seq_n_taps(q) : 0;
    int code = UI_OK;
    for (int64_t i = 0; i < n_taps && code == UI_OK; i++) {
        int64_t n_features, n_rows;
        const float *rows = tnn_seq_tap(q, i, &n_features, &n_rows);
        if (rows) code = taps_add(t, tnn_seq_tap_name(q, i), rows, n_features, n_rows);
    }
    return code;
}

static tnn_status write_all(const taps *t, tnn_gguf_writer *w, const char *path, tnn_error *err) {
    static const char type[] = "taps", type_key[] = "general.type";
    tnn_gguf_set_str(w, type_key, type, sizeof type - 1);
    for (int64_t i = 0; i < t->n; i++)
        tnn_gguf_add_tensor(w, t->items[i].name, TNN_TYPE_F32, 2,
                            (const int64_t[]){t->items[i].n_features, t->items[i].n_rows});
    tnn_gguf_writer_begin(w, path);
    for (int64_t i = 0; i < t->n; i++) {
        const tap *p = &t->items[i];
        tnn_gguf_write_data(w, p->rows, (size_t)p->n_features * (size_t)p->n_rows * sizeof *p->rows);
    }
    return tnn_gguf_writer_finish(w, err); /* the writer latches the first failure */
}

int taps_write(const taps *t, const tap_args *args) {
    tnn_gguf_writer *w;
    tnn_error err;
    if (!args->out) return UI_OK;
    tnn_status status = tnn_gguf_writer_new(&w, NULL, &err);
    if (status == TNN_OK) status = write_all(t, w, args->out, &err);
    tnn_gguf_writer_free(w);
    return status == TNN_OK ? UI_OK : ui_error(UI_FAILURE, "%s", err.text);
}

/* NaN where no value is finite. */
typedef struct statistics {
    double mean, deviation, rms, min, max;
    int64_t n_not_finite;
} statistics;

static statistics statistics_of(const tap *p) {
    int64_t n_not_finite = p->n_features * p->n_rows - p->n_finite;
    if (p->n_finite == 0) return (statistics){NAN, NAN, NAN, NAN, NAN, n_not_finite};
    double n = (double)p->n_finite, mean = p->sum / n, square = p->sum_of_squares / n;
    double variance = square - mean * mean;
    return (statistics){mean,        variance > 0 ? sqrt(variance) : 0, sqrt(square), (double)p->min, (double)p->max,
                        n_not_finite};
}

json_t *taps_json(const taps *t) {
    json_t *array = json_array();
    for (int64_t i = 0; i < t->n; i++) {
        const tap *p = &t->items[i];
        statistics s = statistics_of(p);
        json_array_append_new(array, json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "name", p->name,
                                               "features", (json_int_t)p->n_features, "rows", (json_int_t)p->n_rows,
                                               "not_finite", (json_int_t)s.n_not_finite, "mean", json_number(s.mean),
                                               "std", json_number(s.deviation), "rms", json_number(s.rms), "min",
                                               json_number(s.min), "max", json_number(s.max)));
    }
    return array;
}

void taps_print(const taps *t) {
    if (t->n == 0) return;
    fprintf(stderr, "%-22s %8s %6s %12s %12s %12s %12s %12s\n", "tap", "features", "rows", "mean", "std", "rms", "min",
            "max");
    for (int64_t i = 0; i < t->n; i++) {
        const tap *p = &t->items[i];
        statistics s = statistics_of(p);
        fprintf(stderr, "%-22s %8" PRId64 " %6" PRId64 " %12.5g %12.5g %12.5g %12.5g %12.5g", p->name, p->n_features,
                p->n_rows, s.mean, s.deviation, s.rms, s.min, s.max);
        if (s.n_not_finite > 0) fprintf(stderr, "  and %" PRId64 " values not finite", s.n_not_finite);
        fputc('\n', stderr);
    }
}

void taps_end(taps *t) {
    for (int64_t i = 0; i < t->n; i++)
        free(t->items[i].rows);
    free(t->items);
    free(t->globs);
    *t = (taps){0};
}
