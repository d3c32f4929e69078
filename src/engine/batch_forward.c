/* The forward over packed rows. */
#include "engine/batch_forward.h"

#include "base/error.h"

void tnn__batch_forward_free(tnn__batch_forward *f) {
    tnn_plan_free(f->plan);
    tnn_graph_free(f->graph);
    *f = (tnn__batch_forward){0};
}

static void build(tnn__batch_forward *f, const tnn_llama_arch *arch, const tnn__batch_forward_options *o) {
    tnn_graph *g = f->graph;
    const int64_t n = f->n_rows;
    f->ids = tnn_input(g, "ids", TNN_TYPE_I32, 1, &n);
    f->positions = tnn_input(g, "positions", TNN_TYPE_I32, 1, &n);
    f->starts = tnn_input(g, "starts", TNN_TYPE_I32, 1, &n);
    f->targets = tnn_input(g, "targets", TNN_TYPE_I32, 1, &n);
    f->weights = tnn_input(g, "weights", TNN_TYPE_F32, 1, &n);
    f->samples = o->lora_dropout > 0.0f ? tnn_input(g, "samples", TNN_TYPE_I32, 1, &n) : NULL;
    tnn_forward_args args = {
        .ids = f->ids,
        .positions = f->positions,
        .starts = f->starts,
        .logits = TNN_LOGITS_NONE,
        .recompute = o->recompute,
        .lora_dropout = o->lora_dropout,
        .dropout_seed = o->dropout_seed,
        .samples = f->samples,
        .taps = o->taps,
    };
    tnn_llama_arch_forward_out out = tnn_llama_arch_build_forward(arch, g, &args);
    f->losses = tnn_output(g, tnn_llama_arch_build_loss(arch, g, &args, out.x_final, f->targets, f->weights), "losses");
    f->hits = o->hits ? tnn_output(g, tnn_xent_hits(g, f->losses), "hits") : NULL;
}

tnn_status tnn__batch_forward_build(tnn__batch_forward *f, tnn_session *s, const tnn_llama_arch *arch, int64_t n_rows,
                                    const tnn__batch_forward_options *options, tnn_error *err) {
    *f = (tnn__batch_forward){.n_rows = n_rows};
    tnn_status status = tnn_graph_new(&f->graph, s, err);
    if (status) return status;
    tnn_graph_set_mode(f->graph, TNN_GRAPH_TRAIN, NULL);
    status = tnn_graph_set_compute_type(f->graph, options->compute_type, err);
    if (status) {
        tnn__batch_forward_free(f);
    } else {
        build(f, arch, options);
    }
    return status;
}

tnn_status tnn__batch_forward_run(const tnn__batch_forward *f, const tnn_batch *batch, double *loss, tnn_error *err) {
    size_t n = (size_t)f->n_rows;
    tnn_status status = tnn_plan_set(f->plan, f->ids, batch->ids, n * sizeof(int32_t), err);
    if (!status) status = tnn_plan_set(f->plan, f->positions, batch->positions, n * sizeof(int32_t), err);
    if (!status) status = tnn_plan_set(f->plan, f->starts, batch->starts, n * sizeof(int32_t), err);
    if (!status) status = tnn_plan_set(f->plan, f->targets, batch->targets, n * sizeof(int32_t), err);
    if (!status) status = tnn_plan_set(f->plan, f->weights, batch->weights, n * sizeof(float), err);
    if (f->samples && !batch->samples)
        return tnn__fail(err, TNN_E_ARG, "a batch without the numbers of its samples: dropout needs them");
    if (!status && f->samples) status = tnn_plan_set(f->plan, f->samples, batch->samples, n * sizeof(int32_t), err);
    if (!status) status = tnn_plan_run(f->plan, err);
    if (status) return status;
    const float *losses = tnn_plan_data(f->plan, f->losses);
    *loss = 0;
    for (size_t i = 0; i < n; i++) {
        *loss += (double)batch->weights[i] * (double)losses[i];
    }
    return TNN_OK;
}
