/* The forward over packed rows. */
#include "engine/batch_forward.h"

#include "base/alloc.h"
#include "base/error.h"
#include "core/session.h"
#include "llm/archs/llama_arch.h"

void tnn__batch_forward_free(tnn__batch_forward *f) {
    tnn_plan_free(f->plan);
    tnn_graph_free(f->graph);
    tnn_store_free(f->joined);
    *f = (tnn__batch_forward){0};
}

/* Columns at .. of the joined A, scaled, and as many elements of each row of the joined B. */
static tnn_status join_pair(tnn__batch_forward *f, const tnn__lora *pair, int64_t at, float *row, tnn_error *err) {
    const int64_t n_in = tnn_tensor_ne(pair->a)[0], rank = tnn_tensor_ne(pair->b)[0], n_out = tnn_tensor_ne(pair->b)[1];
    const int64_t all = tnn_tensor_ne(f->joined_b)[0];
    const size_t from_a = (size_t)n_in * sizeof *row, from_b = (size_t)rank * sizeof *row;
    tnn_status status = TNN_OK;
    for (int64_t k = 0; k < rank && !status; k++) {
        status = tnn_tensor_read(pair->a, (size_t)k * from_a, row, from_a, err);
        for (int64_t i = 0; i < n_in; i++) {
            row[i] *= pair->scale;
        }
        if (!status) status = tnn_tensor_write(f->joined_a, (size_t)(at + k) * from_a, row, from_a, err);
    }
    for (int64_t v = 0; v < n_out && !status; v++) {
        status = tnn_tensor_read(pair->b, (size_t)v * from_b, row, from_b, err);
        if (!status) status = tnn_tensor_write(f->joined_b, (size_t)(v * all + at) * sizeof *row, row, from_b, err);
    }
    return status;
}

/* B1 A1 x + B2 A2 x = [B1 B2] ([A1; A2] x). */
static tnn_status join_pairs(tnn__batch_forward *f, tnn_session *s, const tnn__lora *pairs, tnn_error *err) {
    const int64_t n_in = tnn_tensor_ne(pairs->a)[0], n_out = tnn_tensor_ne(pairs->b)[1];
    int64_t rank = 0, at = 0;
    for (const tnn__lora *pair = pairs; pair; pair = pair->next) {
        rank += tnn_tensor_ne(pair->b)[0];
    }
    tnn_status status = tnn_store_new(&f->joined, s, err);
    if (status) return status;
    f->joined_a = tnn_store_tensor(f->joined, "joined.lora_a", TNN_TYPE_F32, 2, (const int64_t[]){n_in, rank}, err);
    f->joined_b = tnn_store_tensor(f->joined, "joined.lora_b", TNN_TYPE_F32, 2, (const int64_t[]){rank, n_out}, err);
    size_t n = (size_t)(n_in > rank ? n_in : rank);
    float *row = tnn__calloc_array(&s->alloc, n, sizeof *row);
    if (!f->joined_a || !f->joined_b || !row) status = tnn__fail_nomem(err, "joined pairs", n * sizeof *row);
    for (const tnn__lora *pair = pairs; pair && !status; pair = pair->next) {
        status = join_pair(f, pair, at, row, err);
        at += tnn_tensor_ne(pair->b)[0];
    }
    if (row) tnn__free_array(&s->alloc, row, n, sizeof *row);
    return status;
}

static tnn_tensor *build_loss(const tnn__batch_forward *f, const tnn_llama_arch *arch, const tnn_forward_args *args,
                              tnn_tensor *x_final) {
    tnn_graph *g = f->graph;
    if (!f->joined) return tnn_llama_arch_build_loss(arch, g, args, x_final, f->targets, f->weights);
    tnn_tensor *low = tnn_linear(g, f->joined_a, x_final, NULL);
    return tnn_linear_xent_pair(g, tnn_llama_arch_head(arch), x_final, f->joined_b, low, f->targets, f->weights);
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
    f->losses = tnn_output(g, build_loss(f, arch, &args, out.x_final), "losses");
    f->hits = o->hits ? tnn_output(g, tnn_xent_hits(g, f->losses), "hits") : NULL;
}

tnn_status tnn__batch_forward_build(tnn__batch_forward *f, tnn_session *s, const tnn_llama_arch *arch, int64_t n_rows,
                                    const tnn__batch_forward_options *options, tnn_error *err) {
    *f = (tnn__batch_forward){.n_rows = n_rows};
    tnn_status status = tnn_graph_new(&f->graph, s, err);
    if (status) return status;
    tnn_graph_set_mode(f->graph, TNN_GRAPH_TRAIN, NULL);
    status = tnn_graph_set_compute_type(f->graph, options->compute_type, err);
    const tnn__lora *pairs = arch->output.lora;
    if (!status && options->join_pairs && pairs && pairs->next) status = join_pairs(f, s, pairs, err);
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
