/* How well a model predicts the answers of a data set, in the forward that training validates with. */
#include <tinynn/eval.h>

#include <inttypes.h>
#include <math.h>

#include "base/alloc.h"
#include "base/error.h"
#include "core/session.h"
#include "engine/batch_forward.h"
#include "llm/taps.h"

#define MAX_ROWS ((int64_t)1 << 24)

typedef struct evaluating {
    const tnn_dataset *data;
    const tnn_evaluate_options *options;
    tnn_evaluation *out;
    tnn__batch_forward forward;
    tnn_batch_buffer batch;
    double sum; /* of losses */
} evaluating;

tnn_evaluate_options tnn_evaluate_options_default(void) {
    return (tnn_evaluate_options){0};
}

/* As many as were asked for, so long as the longest sequence fits and no more than there are at all. */
static int64_t rows_of(const tnn_dataset *d, int64_t wanted) {
    tnn_dataset_stats stats = tnn_dataset_get_stats(d);
    int64_t rows = wanted ? wanted : 1024;
    rows = rows < stats.n_tokens ? rows : stats.n_tokens;
    return rows > stats.longest ? rows : stats.longest;
}

static tnn_status check_taps(const evaluating *e, tnn_error *err) {
    const char *globs = e->options->taps;
    const tnn_graph *g = e->forward.graph;
    for (int64_t k = 0; globs && k < tnn_graph_n_outputs(g); k++) {
        const tnn_tensor *t = tnn_graph_output_at(g, k);
        if (t != e->forward.losses && t != e->forward.hits && tnn__tap_matches(globs, tnn_tensor_name(t)))
            return TNN_OK;
    }
    if (!globs) return TNN_OK;
    return tnn__fail(err, TNN_E_ARG,
                     "tap %s matches no stage of this forward, such as blk.0.resid_post; over a data set, logits are "
                     "none, for they are never kept",
                     globs);
}

static tnn_status open_forward(evaluating *e, tnn_model *m, tnn_error *err) {
    const tnn_evaluate_options *o = e->options;
    if (o->n_rows < 0 || o->n_rows > MAX_ROWS)
        return tnn__fail(err, TNN_E_ARG, "batches of %" PRId64 " tokens: give 1 to %" PRId64, o->n_rows, MAX_ROWS);
    tnn_session *s = tnn_model_session(m);
    tnn__batch_forward_options options = {.compute_type = TNN_TYPE_F32,
                                          .hits = true,
                                          .join_pairs = true,
                                          .taps = o->taps};
    int64_t n_rows = rows_of(e->data, o->n_rows);
    tnn_status status = tnn_batch_buffer_init(&e->batch, n_rows, &s->alloc, err);
    if (!status) status = tnn__batch_forward_build(&e->forward, s, tnn_model_arch(m), n_rows, &options, err);
    if (!status) status = tnn_graph_status(e->forward.graph, err);
    if (!status) status = check_taps(e, err);
    return status ? status : tnn_graph_plan(&e->forward.plan, e->forward.graph, err);
}

/* Of the rows that are not padding. */
static bool tell_taps(const evaluating *e) {
    const tnn_evaluate_options *o = e->options;
    const tnn_graph *g = e->forward.graph;
    for (int64_t k = 0; o->taps && o->on_tap && k < tnn_graph_n_outputs(g); k++) {
        const tnn_tensor *t = tnn_graph_output_at(g, k);
        const char *name = tnn_tensor_name(t);
        if (t == e->forward.losses || t == e->forward.hits || !tnn__tap_matches(o->taps, name)) continue;
        int64_t n_rows = tnn__tap_is_of_sequences(name) ? e->batch.n_sequences : e->batch.n_tokens;
        if (!o->on_tap(o->ctx, name, tnn_plan_data(e->forward.plan, t), tnn_tensor_ne(t)[0], n_rows)) return false;
    }
    return true;
}

static tnn_status score_batch(evaluating *e, tnn_cursor *cursor, tnn_error *err) {
    tnn_evaluation *out = e->out;
    double part;
    tnn_batch_fill(&e->batch, e->data, cursor, false);
    tnn_batch view = tnn_batch_buffer_view(&e->batch);
    tnn_status status = tnn__batch_forward_run(&e->forward, &view, &part, err);
    if (status) return status;
    const float *hits = tnn_plan_data(e->forward.plan, e->forward.hits);
    for (int64_t i = 0; i < e->batch.n_rows; i++) {
        out->n_hits += hits[i] > 0.0f;
    }
    e->sum += part;
    out->n_sequences += e->batch.n_sequences;
    out->n_scored += e->batch.n_targets;
    out->loss = e->sum / (double)out->n_scored;
    out->ppl = exp(out->loss);
    out->accuracy = (double)out->n_hits / (double)out->n_scored;
    if (!isfinite(e->sum))
        return tnn__fail(err, TNN_E_RANGE,
                         "sequences up to %" PRId64 ": the loss is not finite; the file of the model may be damaged",
                         out->n_sequences);
    if (tell_taps(e) && (!e->options->on_batch || e->options->on_batch(e->options->ctx, out))) return TNN_OK;
    return tnn__fail(err, TNN_E_CANCELLED, "stopped after %" PRId64 " of %" PRId64 " sequences", out->n_sequences,
                     out->of_sequences);
}

tnn_status tnn_evaluate(tnn_evaluation *out, tnn_model *m, const tnn_dataset *d, const tnn_evaluate_options *options,
                        tnn_error *err) {
    tnn_evaluate_options standard = tnn_evaluate_options_default();
    evaluating e = {.data = d, .options = options ? options : &standard, .out = out};
    tnn_cursor cursor = {0, 0};
    *out = (tnn_evaluation){.of_sequences = tnn_dataset_get_stats(d).n_sequences};
    tnn_status status = open_forward(&e, m, err);
    while (!status && out->n_sequences < out->of_sequences) {
        status = score_batch(&e, &cursor, err);
    }
    tnn__batch_forward_free(&e.forward);
    tnn_batch_buffer_free(&e.batch);
    return status;
}
