/*
 * Perplexity over windows. Rows of logits arrive a batch at a time; each is reduced to one log-probability, in parallel
 * over rows, and the sums run in the order of the text.
 */
#include <tinynn/eval.h>

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "engine/seq.h"

#define ROWS_AT_ONCE 256

typedef struct scoring {
    tnn_seq *q;
    const tnn_perplexity_options *options;
    tnn_perplexity_result *out;
    tnn__team *team;
    int64_t n_vocab;
    double sum, sum_of_squares; /* of -ln p over scored ids */
    const int32_t *targets;     /* of this window: the id after position pos is targets[pos] */
    bool wants_rows;            /* in the second half of a window */
    const float *rows;          /* [n_vocab] each, of ROWS_AT_ONCE positions or fewer */
    int64_t first;              /* position of the first of them */
    double nll[ROWS_AT_ONCE];
} scoring;

/* -ln softmax(row)[target] */
static double row_nll(const float *row, int64_t n_vocab, int32_t target) {
    float max = row[0];
    for (int64_t i = 1; i < n_vocab; i++)
        max = row[i] > max ? row[i] : max;
    double sum = 0;
    for (int64_t i = 0; i < n_vocab; i++)
        sum += (double)expf(row[i] - max);
    return log(sum) - (double)(row[target] - max);
}

static void score_row(void *ctx, int64_t task, int worker) {
    scoring *s = ctx;
    (void)worker;
    s->nll[task] = row_nll(s->rows + task * s->n_vocab, s->n_vocab, s->targets[s->first + task]);
}

static void score_rows(scoring *s, int64_t pos, int64_t n, const float *logits) {
    for (int64_t done = 0; done < n; done += ROWS_AT_ONCE) {
        int64_t rows = n - done < ROWS_AT_ONCE ? n - done : ROWS_AT_ONCE;
        s->rows = logits + done * s->n_vocab;
        s->first = pos + done;
        tnn__team_for(s->team, rows, score_row, s);
        for (int64_t i = 0; i < rows; i++) {
            s->sum += s->nll[i];
            s->sum_of_squares += s->nll[i] * s->nll[i];
        }
    }
    s->out->n_scored += n;
}

static bool on_batch(void *ctx, int64_t pos, int64_t n, const float *logits) {
    scoring *s = ctx;
    if (s->wants_rows) score_rows(s, pos, n, logits);
    return !s->options->on_batch || s->options->on_batch(s->options->ctx, s->q, pos, n);
}

static void update_figures(scoring *s) {
    tnn_perplexity_result *out = s->out;
    double n = (double)out->n_scored, mean = s->sum / n, variance = s->sum_of_squares / n - mean * mean;
    out->nll = mean;
    out->ppl = exp(mean);
    out->ppl_error = n > 1 && variance > 0 ? out->ppl * sqrt(variance / (n - 1)) : 0;
}

/* window has room for the ids of one. Its last id is predicted and never read. */
static tnn_status score_window(scoring *s, int32_t *window, const int32_t *ids, tnn_error *err) {
    int64_t n_ctx = s->options->n_ctx, half = n_ctx / 2;
    memcpy(window, ids, (size_t)n_ctx * sizeof *ids);
    if (s->options->bos >= 0) window[0] = s->options->bos;
    s->targets = ids + 1;
    s->wants_rows = false;
    tnn_status status = tnn_seq_truncate(s->q, 0, err);
    if (status == TNN_OK) status = tnn_seq_append(s->q, window, half, TNN_WANT_NONE, on_batch, s, err);
    s->wants_rows = true;
    if (status == TNN_OK)
        status = tnn_seq_append(s->q, window + half, n_ctx - 1 - half, TNN_WANT_ALL, on_batch, s, err);
    return status;
}

static tnn_status fail_stopped(const scoring *s, tnn_error *err) {
    return tnn__fail(err, TNN_E_CANCELLED, "stopped after %" PRId64 " of %" PRId64 " windows", s->out->n_windows,
                     s->out->of_windows);
}

static tnn_status score_windows(scoring *s, const int32_t *ids, tnn_error *err) {
    const tnn_allocator *a = &s->q->session->alloc;
    size_t n_ctx = (size_t)s->options->n_ctx;
    int32_t *window = tnn__calloc_array(a, n_ctx, sizeof *window);
    if (!window) return tnn__fail_nomem(err, "a window of ids", n_ctx * sizeof *window);
    tnn_status status = TNN_OK;
    while (status == TNN_OK && s->out->n_windows < s->out->of_windows) {
        status = score_window(s, window, ids + s->out->n_windows * s->options->n_ctx, err);
        if (status == TNN_E_CANCELLED) status = fail_stopped(s, err);
        if (status != TNN_OK) break;
        s->out->n_windows++;
        update_figures(s);
        if (!isfinite(s->sum))
            status = tnn__fail(err, TNN_E_RANGE, "window %" PRId64 ": a logit is not finite; the file may be damaged",
                               s->out->n_windows - 1);
        else if (s->options->on_window && !s->options->on_window(s->options->ctx, s->out))
            status = fail_stopped(s, err);
    }
    tnn__free_array(a, window, n_ctx, sizeof *window);
    return status;
}

tnn_perplexity_options tnn_perplexity_options_default(void) {
    return (tnn_perplexity_options){.n_ctx = 512, .bos = -1, .n_threads = 1};
}

static tnn_status check(const scoring *s, const int32_t *ids, int64_t n, tnn_error *err) {
    const tnn_perplexity_options *o = s->options;
    if (o->n_ctx < 4 || o->n_ctx > tnn_seq_capacity(s->q))
        return tnn__fail(err, TNN_E_RANGE, "windows of %" PRId64 " tokens: give 4 to %" PRId64 ", the context",
                         o->n_ctx, tnn_seq_capacity(s->q));
    if (n < o->n_ctx)
        return tnn__fail(err, TNN_E_RANGE,
                         "the text has %" PRId64 " tokens, less than one window of %" PRId64
                         ": give a longer text or a smaller context",
                         n, o->n_ctx);
    if (o->bos >= s->n_vocab)
        return tnn__fail(err, TNN_E_RANGE, "BOS %" PRId32 " is outside the vocabulary 0..%" PRId64, o->bos,
                         s->n_vocab - 1);
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= s->n_vocab)
            return tnn__fail(err, TNN_E_RANGE,
                             "token id %" PRId32 " at index %" PRId64 " is outside the vocabulary 0..%" PRId64, ids[i],
                             i, s->n_vocab - 1);
    return TNN_OK;
}

tnn_status tnn_perplexity(tnn_perplexity_result *out, tnn_seq *q, const int32_t *ids, int64_t n,
                          const tnn_perplexity_options *options, tnn_error *err) {
    tnn_perplexity_options standard = tnn_perplexity_options_default();
    scoring s = {.q = q, .options = options ? options : &standard, .out = out};
    *out = (tnn_perplexity_result){0};
    s.n_vocab = tnn_model_hparams(q->model)->n_vocab;
    tnn_status status = check(&s, ids, n, err);
    if (status == TNN_OK) status = tnn__team_new(&s.team, s.options->n_threads, &q->session->alloc, err);
    if (status != TNN_OK) return status;
    out->of_windows = n / s.options->n_ctx;
    if (s.options->n_windows > 0 && s.options->n_windows < out->of_windows) out->of_windows = s.options->n_windows;
    status = score_windows(&s, ids, err);
    tnn__team_free(s.team);
    return status;
}
