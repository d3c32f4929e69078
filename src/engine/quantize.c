/*
 * Writing a file in other types. Tensors are converted one after another, a few megabytes of rows at a time: every
 * worker takes some rows through F32 into its part of the panel, then the panel is written.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/threads.h"
#include "engine/quantize.h"
#include "engine/quantize_mix.h"

#define TASK_ELEMENTS  (16 << 10) /* at least, as long as rows are shorter */
#define PANEL_ELEMENTS (4 << 20)  /* at most, but one task */
#define PANEL_TASKS    64
#define COPY_BYTES     (8 << 20) /* between two steps of progress */
#define F16_OVERFLOW   65520.0f  /* the smallest magnitude that rounds to infinity */

typedef struct job {
    const tnn__conversion *conversion;
    const tnn_gguf *g;
    const tnn_quantize_options *options;
    const tnn_allocator *alloc;
    tnn_gguf_writer *writer;
    tnn__team *team;
    const int32_t *types;
    tnn_quantize_result result;
    tnn_quantize_step step;
    float *rows; /* one per worker */
    size_t rows_size;
    uint8_t *panel;
    size_t panel_size;
} job;

/* The tasks of one panel: rows [first, first + n_rows) of a tensor. */
typedef struct panel {
    const job *job;
    const tnn_gguf_tensor *tensor;
    tnn_type type;
    bool edited;
    int64_t first, n_rows, rows_per_task;
    size_t bytes_in, bytes_out;   /* of a row */
    int64_t bad_row[PANEL_TASKS]; /* -1: none */
    tnn_status status[PANEL_TASKS];
} panel;

static bool fits(const float *x, int64_t n, float limit) {
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(x[i]) < limit)) return false;
    return true;
}

/* Every type but these keeps a scale or its values in F16. */
static float limit_of(tnn_type type) {
    return type == TNN_TYPE_F32 || type == TNN_TYPE_BF16 || type == TNN_TYPE_MXFP4 ? INFINITY : F16_OVERFLOW;
}

static void convert_rows(void *ctx, int64_t task, int worker) {
    panel *p = ctx;
    int64_t n = p->tensor->ne[0], begin = task * p->rows_per_task, end = begin + p->rows_per_task;
    float *row = p->job->rows + (size_t)worker * (size_t)n;
    const uint8_t *in = (const uint8_t *)p->tensor->data + (size_t)p->first * p->bytes_in;
    p->bad_row[task] = -1;
    p->status[task] = TNN_OK;
    for (int64_t r = begin; r < end && r < p->n_rows; r++) {
        tnn_status status = tnn_dequantize_row((tnn_type)p->tensor->type, in + (size_t)r * p->bytes_in, row, n);
        if (status == TNN_OK && p->edited) p->job->conversion->edit_row(p->job->conversion->ctx, p->first + r, row);
        if (status == TNN_OK && !fits(row, n, limit_of(p->type))) status = TNN_E_RANGE;
        if (status == TNN_OK)
            status = tnn_quantize_row(p->type, row, p->job->panel + (size_t)r * p->bytes_out, n, NULL);
        if (status != TNN_OK) {
            p->bad_row[task] = p->first + r;
            p->status[task] = status;
            return;
        }
    }
}

static tnn_status report_bad_row(const panel *p, int64_t n_tasks, tnn_error *err) {
    for (int64_t i = 0; i < n_tasks; i++) {
        if (p->status[i] == TNN_OK) continue;
        const char *to = tnn_type_get_info((int32_t)p->type)->name;
        if (p->status[i] == TNN_E_RANGE)
            return tnn__fail(err, TNN_E_RANGE,
                             "tensor %s, row %lld: a value is not finite or too large for %s; BF16 and F32 hold larger",
                             p->tensor->name.data, (long long)p->bad_row[i], to);
        return tnn__fail(err, p->status[i], "tensor %s cannot be converted from %s to %s", p->tensor->name.data,
                         tnn_type_get_info(p->tensor->type)->name, to);
    }
    return TNN_OK;
}

static tnn_status report_step(job *j, tnn_error *err) {
    if (!j->options->on_step || j->options->on_step(j->options->ctx, &j->step)) return TNN_OK;
    return tnn__fail(err, TNN_E_CANCELLED, "stopped at tensor %s; nothing was written", j->step.tensor->name.data);
}

/* Makes *buffer hold size bytes; what was in it is lost. */
static tnn_status reserve(job *j, void **buffer, size_t *capacity, size_t size, tnn_error *err) {
    if (size <= *capacity) return TNN_OK;
    tnn__free(j->alloc, *buffer, *capacity, TNN__ALIGN);
    *capacity = 0;
    *buffer = tnn__alloc(j->alloc, size, TNN__ALIGN);
    if (!*buffer) return tnn__fail_nomem(err, "a panel of rows", size);
    *capacity = size;
    return TNN_OK;
}

static tnn_status reserve_panel(job *j, const panel *p, int64_t rows, tnn_error *err) {
    size_t row, all, out;
    if (!tnn__mul_size((size_t)p->tensor->ne[0], sizeof(float), &row) ||
        !tnn__mul_size(row, (size_t)tnn__team_size(j->team), &all) || !tnn__mul_size(p->bytes_out, (size_t)rows, &out))
        return tnn__fail_nomem(err, "a panel of rows", SIZE_MAX);
    void *buffer = j->rows;
    tnn_status status = reserve(j, &buffer, &j->rows_size, all, err);
    j->rows = buffer;
    if (status != TNN_OK) return status;
    buffer = j->panel;
    status = reserve(j, &buffer, &j->panel_size, out, err);
    j->panel = buffer;
    return status;
}

static tnn_status convert_tensor(job *j, const tnn_gguf_tensor *t, tnn_type type, bool edited, tnn_error *err) {
    int64_t row = t->ne[0], n_rows = t->ne[1] * t->ne[2] * t->ne[3];
    panel p = {.job = j,
               .tensor = t,
               .type = type,
               .edited = edited,
               .rows_per_task = row < TASK_ELEMENTS ? TASK_ELEMENTS / row : 1};
    p.bytes_in = tnn_row_bytes(t->type, row);
    p.bytes_out = tnn_row_bytes((int32_t)type, row);
    int64_t tasks = PANEL_ELEMENTS / (row * p.rows_per_task);
    int64_t panel_rows = p.rows_per_task * (tasks < 1 ? 1 : tasks > PANEL_TASKS ? PANEL_TASKS : tasks);
    tnn_status status = reserve_panel(j, &p, panel_rows, err);
    for (; status == TNN_OK && p.first < n_rows; p.first += panel_rows) {
        p.n_rows = n_rows - p.first < panel_rows ? n_rows - p.first : panel_rows;
        int64_t n_tasks = (p.n_rows + p.rows_per_task - 1) / p.rows_per_task;
        tnn__team_for(j->team, n_tasks, convert_rows, &p);
        status = report_bad_row(&p, n_tasks, err);
        if (status == TNN_OK && tnn_gguf_write_data(j->writer, j->panel, (size_t)p.n_rows * p.bytes_out) != TNN_OK)
            status = tnn_gguf_writer_finish(j->writer, err);
        j->step.bytes_done += (size_t)p.n_rows * p.bytes_in;
        if (status == TNN_OK) status = report_step(j, err);
    }
    return status;
}

static tnn_status copy_tensor(job *j, const tnn_gguf_tensor *t, tnn_error *err) {
    tnn_status status = TNN_OK;
    for (size_t at = 0; status == TNN_OK && at < t->n_bytes; at += COPY_BYTES) {
        size_t n = t->n_bytes - at < COPY_BYTES ? t->n_bytes - at : COPY_BYTES;
        if (tnn_gguf_write_data(j->writer, (const uint8_t *)t->data + at, n) != TNN_OK)
            return tnn_gguf_writer_finish(j->writer, err);
        j->step.bytes_done += n;
        status = report_step(j, err);
    }
    return status;
}

/* What a converter for this pair would have to be; asked before any file is made. */
static tnn_status check_tensor(const tnn_gguf_tensor *t, int32_t type, tnn_error *err) {
    if (type == t->type || (tnn_type_get_info(t->type)->usable && tnn_type_get_info(type)->usable)) return TNN_OK;
    return tnn__fail(err, TNN_E_UNSUPPORTED, "tensor %s has type %s, which cannot be converted to %s", t->name.data,
                     tnn_type_get_info(t->type)->name, tnn_type_get_info(type)->name);
}

static tnn_status declare(job *j, tnn_error *err) {
    static const char type_key[] = "general.file_type", version_key[] = "general.quantization_version";
    tnn_gguf_copy_kv(j->writer, j->g, NULL, 0);
    if (j->conversion->file_type >= 0) {
        tnn_gguf_set_u32(j->writer, type_key, (uint32_t)j->conversion->file_type);
        tnn_gguf_set_u32(j->writer, version_key, 2);
    }
    for (int64_t i = 0; i < tnn_gguf_n_tensors(j->g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(j->g, i);
        tnn_status status = check_tensor(t, j->types[i], err);
        if (status != TNN_OK) return status;
        tnn_gguf_add_tensor(j->writer, t->name.data, (tnn_type)j->types[i], t->n_dims, t->ne);
        j->step.bytes_total += t->n_bytes;
    }
    return TNN_OK; /* the writer latches what the calls above returned */
}

static tnn_status write_tensors(job *j, tnn_error *err) {
    tnn_status status = TNN_OK;
    j->step.count = tnn_gguf_n_tensors(j->g);
    for (int64_t i = 0; i < j->step.count && status == TNN_OK; i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(j->g, i);
        bool converted = j->types[i] != t->type, edited = false;
        j->step.tensor = t;
        j->step.type = j->types[i];
        j->step.index = i;
        status = report_step(j, err);
        if (status == TNN_OK && j->conversion->begin_tensor)
            status = j->conversion->begin_tensor(j->conversion->ctx, t, &edited, err);
        if (status != TNN_OK) break;
        converted = converted || edited;
        if (t->n_bytes > 0)
            status = converted ? convert_tensor(j, t, (tnn_type)j->types[i], edited, err) : copy_tensor(j, t, err);
        *(converted ? &j->result.n_converted : &j->result.n_copied) += 1;
        j->result.n_requantized += converted && tnn_type_get_info(t->type)->quantized;
        j->result.bytes_in += t->n_bytes;
        j->result.bytes_out += tnn_row_bytes(j->types[i], t->ne[0]) * (size_t)(t->ne[1] * t->ne[2] * t->ne[3]);
    }
    return status;
}

static tnn_status run_job(job *j, const char *path, tnn_error *err) {
    tnn_status status = tnn__team_new(&j->team, j->options->n_threads, j->alloc, err);
    if (status == TNN_OK) status = tnn_gguf_writer_new(&j->writer, j->alloc, err);
    if (status == TNN_OK) status = declare(j, err);
    if (status == TNN_OK && tnn_gguf_writer_begin(j->writer, path) != TNN_OK)
        status = tnn_gguf_writer_finish(j->writer, err);
    if (status == TNN_OK) status = write_tensors(j, err);
    if (status == TNN_OK) status = tnn_gguf_writer_finish(j->writer, err);
    tnn_gguf_writer_free(j->writer);
    tnn__team_free(j->team);
    tnn__free(j->alloc, j->rows, j->rows_size, TNN__ALIGN);
    tnn__free(j->alloc, j->panel, j->panel_size, TNN__ALIGN);
    return status;
}

tnn_status tnn__convert_file(const tnn__conversion *c, const char *path, tnn_quantize_result *result, tnn_error *err) {
    job j = {.conversion = c, .g = c->g, .options = c->options, .types = c->types};
    j.alloc = tnn__allocator_or_default(c->options->allocator);
    j.result.n_fallback = c->n_fallback;
    tnn_status status = run_job(&j, path, err);
    if (status == TNN_OK && result) *result = j.result;
    return status;
}

tnn_status tnn_quantize_file(const tnn_gguf *g, const char *path, tnn_file_type target,
                             const tnn_quantize_options *options, tnn_quantize_result *result, tnn_error *err) {
    tnn_quantize_options standard = tnn_quantize_options_default();
    tnn__conversion c = {.g = g, .file_type = (int32_t)target, .options = options ? options : &standard};
    if (c.options->n_threads < 1 || c.options->n_threads > TNN__MAX_THREADS)
        return tnn__fail(err, TNN_E_ARG, "n_threads is %d; it goes from 1 to %d", c.options->n_threads,
                         TNN__MAX_THREADS);
    const tnn_allocator *a = tnn__allocator_or_default(c.options->allocator);
    size_t n = (size_t)tnn_gguf_n_tensors(g);
    int32_t *types = tnn__calloc_array(a, n, sizeof *types);
    if (!types) return tnn__fail_nomem(err, "the types of tensors", n * sizeof *types);
    tnn_status status = tnn__quantize_types(g, target, c.options, types, &c.n_fallback, err);
    c.types = types;
    if (status == TNN_OK) status = tnn__convert_file(&c, path, result, err);
    tnn__free_array(a, types, n, sizeof *types);
    return status;
}
