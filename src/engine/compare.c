/* Two models over one text: how far apart their predictions are. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include <tinynn/merge.h>

#include "engine/seq.h"

#define ROWS_AT_ONCE 64

typedef struct comparing {
    tnn_comparison *out;
    tnn_seq *ref, *other;
    int64_t n_vocab, n_ctx;
    float *rows;        /* [n_vocab] of ref, ROWS_AT_ONCE of them */
    int64_t first;      /* position of the first row */
    const int32_t *ids; /* of the window */
    double sum_ref, sum_other, sum_kl;
    int64_t n_same;
} comparing;

static bool keep_rows(void *ctx, int64_t pos, int64_t n, const float *logits) {
    const comparing *c = ctx;
    memcpy(c->rows + (pos - c->first) * c->n_vocab, logits, (size_t)(n * c->n_vocab) * sizeof *logits);
    return true;
}

/* ln of the sum of e^x; *top gets the index of the largest. */
static double log_sum_exp(const float *x, int64_t n, int64_t *top) {
    *top = 0;
    for (int64_t i = 1; i < n; i++) {
        if (x[i] > x[*top]) *top = i;
    }
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += exp((double)x[i] - (double)x[*top]);
    }
    return log(sum) + (double)x[*top];
}

static void compare_row(comparing *c, int64_t pos, const float *p, const float *q) {
    int64_t top_p, top_q;
    double log_p = log_sum_exp(p, c->n_vocab, &top_p), log_q = log_sum_exp(q, c->n_vocab, &top_q), kl = 0;
    for (int64_t i = 0; i < c->n_vocab; i++) {
        double lp = (double)p[i] - log_p;
        kl += exp(lp) * (lp - ((double)q[i] - log_q));
    }
    c->sum_kl += kl;
    c->out->kl_max = kl > c->out->kl_max ? kl : c->out->kl_max;
    c->n_same += top_p == top_q;
    c->sum_ref += log_p - (double)p[c->ids[pos + 1]];
    c->sum_other += log_q - (double)q[c->ids[pos + 1]];
    c->out->n_scored++;
}

/* The last position of a window has no next id. */
static bool compare_rows(void *ctx, int64_t pos, int64_t n, const float *logits) {
    comparing *c = ctx;
    for (int64_t i = 0; i < n && pos + i + 1 < c->n_ctx; i++) {
        compare_row(c, pos + i, c->rows + (pos + i - c->first) * c->n_vocab, logits + i * c->n_vocab);
    }
    return true;
}

static tnn_status compare_window(comparing *c, tnn_error *err) {
    tnn_status status = tnn_seq_truncate(c->ref, 0, err);
    if (!status) status = tnn_seq_truncate(c->other, 0, err);
    for (c->first = 0; c->first < c->n_ctx && !status; c->first += ROWS_AT_ONCE) {
        int64_t n = c->n_ctx - c->first < ROWS_AT_ONCE ? c->n_ctx - c->first : ROWS_AT_ONCE;
        const int32_t *ids = c->ids + c->first;
        status = tnn_seq_append(c->ref, ids, n, TNN_WANT_ALL, keep_rows, c, err);
        if (!status) status = tnn_seq_append(c->other, ids, n, TNN_WANT_ALL, compare_rows, c, err);
    }
    return status;
}

static void update_figures(comparing *c) {
    double n = (double)c->out->n_scored;
    c->out->ref_ppl = exp(c->sum_ref / n);
    c->out->ppl = exp(c->sum_other / n);
    c->out->kl = c->sum_kl / n;
    c->out->same_top = (double)c->n_same / n;
}

static tnn_status check(const comparing *c, int64_t n, tnn_error *err) {
    int64_t capacity = tnn_seq_capacity(c->ref), other = tnn_seq_capacity(c->other);
    if (other < capacity) capacity = other;
    if (c->n_vocab != tnn_model_hparams(c->other->model)->n_vocab)
        return tnn__fail(err, TNN_E_SHAPE, "the models have vocabularies of %" PRId64 " and %" PRId64 " tokens",
                         c->n_vocab, tnn_model_hparams(c->other->model)->n_vocab);
    if (c->n_ctx < 2 || c->n_ctx > capacity)
        return tnn__fail(err, TNN_E_RANGE, "windows of %" PRId64 " tokens: give 2 to %" PRId64, c->n_ctx, capacity);
    if (n < c->n_ctx)
        return tnn__fail(err, TNN_E_RANGE, "the text has %" PRId64 " tokens, less than one window of %" PRId64, n,
                         c->n_ctx);
    for (int64_t i = 0; i < n; i++) {
        if (c->ids[i] < 0 || c->ids[i] >= c->n_vocab)
            return tnn__fail(err, TNN_E_RANGE, "token id %" PRId32 " at index %" PRId64 " is outside the vocabulary",
                             c->ids[i], i);
    }
    return TNN_OK;
}

static tnn_status compare_windows(comparing *c, bool (*on_window)(void *ctx, const tnn_comparison *so_far), void *ctx,
                                  tnn_error *err) {
    tnn_status status = TNN_OK;
    for (; c->out->n_windows < c->out->of_windows && !status; c->ids += c->n_ctx) {
        status = compare_window(c, err);
        if (status) break;
        c->out->n_windows++;
        update_figures(c);
        if (!isfinite(c->sum_kl) || !isfinite(c->sum_ref) || !isfinite(c->sum_other)) {
            status = tnn__fail(err, TNN_E_RANGE, "window %" PRId64 ": a logit is not finite", c->out->n_windows - 1);
        } else if (on_window && !on_window(ctx, c->out)) {
            status = tnn__fail(err, TNN_E_CANCELLED, "stopped after %" PRId64 " of %" PRId64 " windows",
                               c->out->n_windows, c->out->of_windows);
        }
    }
    return status;
}

tnn_status tnn_compare(tnn_comparison *out, tnn_seq *ref, tnn_seq *other, const int32_t *ids, int64_t n, int64_t n_ctx,
                       int64_t n_windows, bool (*on_window)(void *ctx, const tnn_comparison *so_far), void *ctx,
                       tnn_error *err) {
    const tnn_allocator *a = &ref->session->alloc;
    comparing c = {.out = out, .ref = ref, .other = other, .n_ctx = n_ctx, .ids = ids};
    *out = (tnn_comparison){0};
    c.n_vocab = tnn_model_hparams(ref->model)->n_vocab;
    tnn_status status = check(&c, n, err);
    if (status) return status;
    size_t n_rows = (size_t)(ROWS_AT_ONCE * c.n_vocab);
    c.rows = tnn__calloc_array(a, n_rows, sizeof *c.rows);
    if (!c.rows) return tnn__fail_nomem(err, "rows of logits", n_rows * sizeof *c.rows);
    out->of_windows = n / n_ctx;
    if (n_windows > 0 && n_windows < out->of_windows) out->of_windows = n_windows;
    status = compare_windows(&c, on_window, ctx, err);
    tnn__free_array(a, c.rows, n_rows, sizeof *c.rows);
    return status;
}
