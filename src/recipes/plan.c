/*
 * What a run will take, before it takes it: memory from sizes alone, time from a second or two of its own arithmetic.
 */
#include "base/clock.h"
#include "engine/checkpoint.h"
#include "recipes/run.h"

/* Memory beside weights, trainer and data, as measured: of the process, and of a tokenizer for each of its tokens. */
#define PROCESS_BYTES   ((size_t)4 << 20)
#define BYTES_PER_TOKEN ((size_t)180)

tnn_train_plan tnn_run_plan(const tnn_run *r) {
    tnn_train_plan plan = {
        .train = tnn_dataset_get_stats(r->train),
        .n_steps = r->config.iters,
        .tokens_per_step = r->batch_rows * r->config.grad_accumulation_steps,
        .batches_per_step = r->config.grad_accumulation_steps,
        .batches_per_epoch = tnn_dataset_n_batches(r->train, r->batch_rows, 0),
        .weight_bytes = tnn_store_bytes(r->weights) + (r->pairs ? tnn_store_bytes(r->pairs) : 0),
        .trainer_bytes = tnn_trainer_bytes(r->trainer),
    };
    if (r->valid) plan.valid = tnn_dataset_get_stats(r->valid);
    /* Copied weights leave nothing of the file in memory. */
    bool stays_mapped = r->config.recipe == TNN_RECIPE_LORA;
    for (int64_t i = 0; stays_mapped && i < tnn_gguf_n_tensors(r->base); i++) {
        plan.mapped_bytes += tnn_gguf_tensor_at(r->base, i)->n_bytes;
    }
    size_t per_row = 5 * sizeof(int32_t) + sizeof(float), per_token = sizeof(int32_t) + 1;
    plan.memory_bytes = plan.weight_bytes + plan.trainer_bytes + plan.mapped_bytes +
                        (size_t)plan.tokens_per_step * per_row +
                        (size_t)(plan.train.n_tokens + plan.valid.n_tokens) * per_token;
    plan.memory_bytes += PROCESS_BYTES + (size_t)tnn_tokenizer_n_vocab(r->tokenizer) * BYTES_PER_TOKEN;
    plan.memory_bytes += tnn__run_sample_bytes(r);
    plan.result = tnn__run_result(r);
    for (int64_t i = 0; i < tnn_trainer_n_params(r->trainer); i++) {
        plan.n_params += tnn_tensor_elements(tnn_trainer_value(r->trainer, i));
    }
    return plan;
}

/* --- time --- */

#define MEASURE_SECONDS 1.2
/* Assumed, for a plan writes nothing: checkpoints and results are written, synced, and read again. */
#define SAVED_PER_SECOND 4e8
#define SAMPLED_TOKENS   4

/* Times at which a run with `every` steps between them stops for something, the end included. */
static double n_times(int64_t iters, int64_t every) {
    int64_t n = every > 0 ? (iters - 1) / every + 1 : 1;
    return (double)n;
}

/* A whole batch of the data, as the first step will have it. */
static tnn_status measure_steps(tnn_run *r, tnn_trainer_times *times, tnn_error *err) {
    tnn_batch_buffer b;
    tnn_cursor cursor = {0, 0};
    tnn_status status = tnn_batch_buffer_init(&b, r->batch_rows, &r->session->alloc, err);
    if (status) return status;
    tnn_batch_fill(&b, r->train, &cursor, true);
    tnn_batch_scale(&b, b.n_targets);
    tnn_batch view = tnn_batch_buffer_view(&b);
    status = tnn_trainer_measure(r->trainer, &view, MEASURE_SECONDS, times, err);
    tnn_batch_buffer_free(&b);
    return status;
}

/* A few tokens stand for all; a sample that fails costs the run nothing either. */
static double measure_sample(tnn_run *r) {
    tnn_text text = {.allocator = &r->session->alloc};
    int64_t all = r->config.sample_tokens, some = all < SAMPLED_TOKENS ? all : SAMPLED_TOKENS;
    if (!r->config.sample_prompt[0]) return 0;
    double start = tnn__seconds();
    r->config.sample_tokens = some;
    tnn__run_sample(r, &text, NULL);
    r->config.sample_tokens = all;
    tnn_text_free(&text);
    return (tnn__seconds() - start) * (double)all / (double)some;
}

static double validation_batches(const tnn_run *r) {
    if (!r->valid) return 0;
    int64_t n = tnn_dataset_n_batches(r->valid, r->batch_rows, 0), most = r->config.val_batches;
    return (double)(most >= 0 && most < n ? most : n);
}

tnn_status tnn_run_measure(tnn_run *r, tnn_train_times *out, tnn_error *err) {
    const tnn_train_config *c = &r->config;
    tnn_trainer_times times;
    *out = (tnn_train_times){0};
    r->used_up = true;
    tnn_status status = measure_steps(r, &times, err);
    if (status) return status;
    double looks = n_times(c->iters, c->steps_per_eval), result = (double)tnn_store_bytes(tnn__trained_store(r));
    out->step = (double)c->grad_accumulation_steps * times.batch + times.update;
    out->validation = validation_batches(r) * times.evaluation;
    out->sample = measure_sample(r);
    out->save = (double)tnn__checkpoint_bytes(r->trainer) / SAVED_PER_SECOND;
    /* Before the first step there is a validation and a sample as well; each later one may be the best so far. */
    double n_results = 1 + (r->valid ? looks : 0);
    out->all = times.first + (double)c->iters * out->step + (looks + 1) * (out->validation + out->sample) +
               n_times(c->iters, c->save_every) * out->save + n_results * result / SAVED_PER_SECOND;
    return TNN_OK;
}
