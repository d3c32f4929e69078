/*
 * The trainer: one plan for forward and gradients, one for the gradient's norm, one for the update, one for evaluation.
 * Gradients of all parameters lie in one piece of memory, in their order.
 */
#include <tinynn/trainer.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tinynn/dataset.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "core/session.h"
#include "engine/batch_forward.h"
#include "llm/archs/llama_arch.h"
#include "llm/taps.h"

/* Hyperparameters come in sets: matrices decay, vectors do not; matrices that Muon trains have others. */
typedef enum hyper_set { DECAYED, UNDECAYED, ORTHOGONAL, N_SETS } hyper_set;

#define ALL_SETS ((1u << N_SETS) - 1)

typedef struct trained {
    tnn_tensor *value, *grad, *m, *v;
    hyper_set set;
} trained;

/* A planned step of the optimizer. */
typedef struct update {
    tnn_graph *graph;
    tnn_plan *plan;
    tnn_tensor *hyper[N_SETS];
} update;

struct tnn_trainer {
    tnn_session *session;
    tnn_llama_arch *arch;
    tnn_trainer_options options;
    tnn_store *store; /* gradients and moments */
    trained *params;
    int64_t n_params;    /* taken so far, in the end all */
    int64_t n_allocated; /* entries of params */
    tnn_tensor *grads;   /* all of them */
    int64_t step;
    tnn__batch_forward train, eval;
    int64_t n_sequences; /* of the last training batch, for taps */
    struct {
        tnn_graph *graph;
        tnn_plan *plan;
        tnn_tensor *sum;
    } norm;
    update update; /* of all parameters */
};

#define MAX_HYPER 8

tnn_trainer_options tnn_trainer_options_default(void) {
    return (tnn_trainer_options){.beta1 = 0.9f,
                                 .beta2 = 0.999f,
                                 .eps = 1e-8f,
                                 .muon_momentum = 0.95f,
                                 .weight_decay = 0.01f,
                                 .grad_clip = 1.0f};
}

/* --- options --- */

static tnn_status check_option(const char *name, float value, float lo, float hi, tnn_error *err) {
    if (isfinite(value) && value >= lo && value <= hi) return TNN_OK;
    return tnn__fail(err, TNN_E_ARG, "%s %g: give %g to %g", name, (double)value, (double)lo, (double)hi);
}

static tnn_status check_options(const tnn_trainer_options *o, tnn_error *err) {
    if (o->n_rows < 1 || o->n_rows > ((int64_t)1 << 24)) {
        return tnn__fail(err, TNN_E_ARG, "a batch of %" PRId64 " tokens: give 1 to %d", o->n_rows, 1 << 24);
    }
    tnn_status status = check_option("beta1", o->beta1, 0.0f, 0.999999f, err);
    if (!status) status = check_option("beta2", o->beta2, 0.0f, 0.9999999f, err);
    if (!status) status = check_option("eps", o->eps, 0.0f, 1.0f, err);
    if (!status) status = check_option("momentum", o->momentum, 0.0f, 0.999999f, err);
    if (!status) status = check_option("Muon's momentum", o->muon_momentum, 0.0f, 0.999999f, err);
    if (!status) status = check_option("weight decay", o->weight_decay, 0.0f, 100.0f, err);
    if (!status) status = check_option("dropout", o->lora_dropout, 0.0f, 0.99f, err);
    if (!status) status = check_option("gradient clip", o->grad_clip, 0.0f, 1e9f, err);
    return status;
}

/* --- parameters --- */

static int64_t count_trainable(const tnn_store *st, size_t *bytes) {
    int64_t n = 0;
    *bytes = 0;
    for (int64_t i = 0; i < tnn_store_count(st); i++) {
        tnn_tensor *t = tnn_store_at(st, i);
        if (!tnn_tensor_trainable(t)) continue;
        n++;
        *bytes += (tnn_tensor_bytes(t) + TNN__ALIGN - 1) & ~(size_t)(TNN__ALIGN - 1);
    }
    return n;
}

static tnn_tensor *moment(tnn_trainer *t, const tnn_tensor *value, tnn_error *err) {
    return tnn_store_tensor(t->store, "", TNN_TYPE_F32, value->n_dims, tnn_tensor_ne(value), err);
}

/* Of one row, a matrix is one still: the A of a pair of rank 1. Muon is for the matrices inside the body; embedding and
 * head, whose rows are tokens, are AdamW's (Jordan 2024). */
static hyper_set set_of(const tnn_trainer *t, const tnn_tensor *value) {
    const char *name = tnn_tensor_name(value);
    if (value->n_dims < 2) return UNDECAYED;
    bool of_tokens = strcmp(name, "token_embd.weight") == 0 || strcmp(name, "output.weight") == 0;
    return t->options.optimizer == TNN_OPTIMIZER_MUON && value->n_dims == 2 && !of_tokens ? ORTHOGONAL : DECAYED;
}

static tnn_status take_param(tnn_trainer *t, tnn_tensor *value, size_t *offset, tnn_error *err) {
    trained *p = &t->params[t->n_params];
    p->value = value;
    p->set = set_of(t, value);
    bool adamw = t->options.optimizer != TNN_OPTIMIZER_SGD && p->set != ORTHOGONAL;
    p->grad = tnn_store_view(t->store, tnn_tensor_name(value), t->grads, *offset, TNN_TYPE_F32, value->n_dims,
                             tnn_tensor_ne(value), err);
    if (!p->grad || !(p->m = moment(t, value, err)) || (adamw && !(p->v = moment(t, value, err)))) {
        return err->status;
    }
    *offset += (tnn_tensor_bytes(value) + TNN__ALIGN - 1) & ~(size_t)(TNN__ALIGN - 1);
    t->n_params++;
    return TNN_OK;
}

static tnn_status take_params(tnn_trainer *t, tnn_store *st, tnn_error *err) {
    size_t bytes, offset = 0;
    int64_t n = count_trainable(st, &bytes), n_floats = (int64_t)(bytes / sizeof(float));
    if (n == 0) return tnn__fail(err, TNN_E_ARG, "nothing to train: no tensor is marked trainable");
    t->params = tnn__calloc_array(&t->session->alloc, (size_t)n, sizeof *t->params);
    if (!t->params) return tnn__fail_nomem(err, "a trainer", (size_t)n * sizeof *t->params);
    t->n_allocated = n;
    tnn_status status = tnn_store_new(&t->store, t->session, err);
    if (status) return status;
    t->grads = tnn_store_tensor(t->store, "", TNN_TYPE_F32, 1, &n_floats, err);
    if (!t->grads) return err->status;
    for (int64_t i = 0; i < tnn_store_count(st); i++) {
        tnn_tensor *value = tnn_store_at(st, i);
        if (tnn_tensor_trainable(value)) status = take_param(t, value, &offset, err);
        if (status) return status;
    }
    return TNN_OK;
}

/* --- plans --- */

static tnn_status backward(tnn_trainer *t, tnn__batch_forward *f, tnn_error *err) {
    const tnn_allocator *a = &t->session->alloc;
    tnn_param *params = tnn__calloc_array(a, (size_t)t->n_params, sizeof *params);
    if (!params) return tnn__fail_nomem(err, "gradients", (size_t)t->n_params * sizeof *params);
    for (int64_t i = 0; i < t->n_params; i++) {
        params[i] = (tnn_param){t->params[i].value, t->params[i].grad};
    }
    tnn_status status = tnn_graph_backward(f->graph, &(tnn_seed){f->losses, NULL}, 1, params, t->n_params, err);
    tnn__free_array(a, params, (size_t)t->n_params, sizeof *params);
    return status;
}

/* Nothing is done where it is there already. */
static tnn_status forward_build(tnn_trainer *t, tnn__batch_forward *f, int64_t n, bool training, tnn_error *err) {
    if (f->graph) return TNN_OK;
    tnn__batch_forward_options o = {.compute_type = t->options.compute_type};
    if (training) {
        o.recompute = t->options.recompute;
        o.lora_dropout = t->options.lora_dropout;
        o.dropout_seed = t->options.seed;
        o.taps = t->options.taps;
    }
    tnn_status status = tnn__batch_forward_build(f, t->session, t->arch, n, &o, err);
    if (!status && training) status = backward(t, f, err);
    if (!status) status = tnn_graph_plan(&f->plan, f->graph, err);
    if (status) tnn__batch_forward_free(f);
    return status;
}

static tnn_status build_norm(tnn_trainer *t, tnn_error *err) {
    tnn_status status = tnn_graph_new(&t->norm.graph, t->session, err);
    if (status) return status;
    t->norm.sum = tnn_output(t->norm.graph, tnn_sum_squares(t->norm.graph, t->grads), "sum");
    return tnn_graph_plan(&t->norm.plan, t->norm.graph, err);
}

static const char *const set_names[N_SETS] =
    {[DECAYED] = "hyper of matrices", [UNDECAYED] = "hyper of vectors", [ORTHOGONAL] = "hyper of Muon"};

static int64_t n_hyper(const tnn_trainer *t, hyper_set set) {
    return t->options.optimizer == TNN_OPTIMIZER_SGD || set == ORTHOGONAL ? 4 : MAX_HYPER;
}

static void update_free(update *u) {
    tnn_plan_free(u->plan);
    tnn_graph_free(u->graph);
}

/* Of the parameters [first, end) whose sets are in `sets`, a bit each. */
static tnn_status update_build(const tnn_trainer *t, update *u, int64_t first, int64_t end, unsigned sets,
                               tnn_error *err) {
    tnn_status status = tnn_graph_new(&u->graph, t->session, err);
    if (status) return status;
    tnn_graph *g = u->graph;
    for (int set = 0; set < N_SETS; set++) {
        const int64_t n = n_hyper(t, (hyper_set)set);
        u->hyper[set] = tnn_input(g, set_names[set], TNN_TYPE_F32, 1, &n);
    }
    for (int64_t i = first; i < end; i++) {
        const trained *p = &t->params[i];
        if (!(sets & 1u << p->set)) continue;
        tnn_tensor *hyper = u->hyper[p->set];
        if (p->set == ORTHOGONAL) {
            tnn_muon(g, p->value, p->grad, p->m, hyper);
        } else if (p->v) {
            tnn_adamw(g, p->value, p->grad, p->m, p->v, hyper);
        } else {
            tnn_sgd(g, p->value, p->grad, p->m, hyper);
        }
        tnn_zero(g, p->grad);
    }
    return tnn_graph_plan(&u->plan, g, err);
}

/*
 * Zeros over what is zero already, on all threads. A page of new memory that is read before it is written, as gradients
 * and moments are by the first step, is given out twice, and the second time every thread is interrupted to forget the
 * first.
 */
static tnn_status touch_memory(const tnn_trainer *t, tnn_error *err) {
    tnn_graph *g;
    tnn_plan *plan = NULL;
    tnn_status status = tnn_graph_new(&g, t->session, err);
    if (status) return status;
    tnn_zero(g, t->grads);
    for (int64_t i = 0; i < t->n_params; i++) {
        const trained *p = &t->params[i];
        tnn_zero(g, p->m);
        if (p->v) tnn_zero(g, p->v);
    }
    status = tnn_graph_plan(&plan, g, err);
    if (!status) status = tnn_plan_run(plan, err);
    tnn_plan_free(plan);
    tnn_graph_free(g);
    return status;
}

tnn_status tnn_trainer_new(tnn_trainer **out, tnn_session *s, tnn_llama_arch *arch, tnn_store *st,
                           const tnn_trainer_options *options, tnn_error *err) {
    *out = NULL;
    tnn_error unread;
    if (!err) err = &unread;
    tnn_status status = check_options(options, err);
    if (status) return status;
    tnn_trainer *t = tnn__calloc(&s->alloc, sizeof *t, TNN__ALIGN);
    if (!t) return tnn__fail_nomem(err, "a trainer", sizeof *t);
    t->session = s;
    t->arch = arch;
    t->options = *options;
    status = take_params(t, st, err);
    if (!status) status = forward_build(t, &t->train, options->n_rows, true, err);
    if (!status && options->evaluates) status = forward_build(t, &t->eval, options->n_rows, false, err);
    if (!status) status = build_norm(t, err);
    if (!status) status = update_build(t, &t->update, 0, t->n_params, ALL_SETS, err);
    if (!status) status = touch_memory(t, err);
    if (status) {
        tnn_trainer_free(t);
        return status;
    }
    *out = t;
    return TNN_OK;
}

void tnn_trainer_free(tnn_trainer *t) {
    if (!t) return;
    const tnn_allocator *a = &t->session->alloc;
    tnn__batch_forward_free(&t->train);
    tnn__batch_forward_free(&t->eval);
    tnn_plan_free(t->norm.plan);
    tnn_graph_free(t->norm.graph);
    update_free(&t->update);
    tnn__free_array(a, t->params, (size_t)t->n_allocated, sizeof *t->params);
    tnn_store_free(t->store);
    tnn__free(a, t, sizeof *t, TNN__ALIGN);
}

size_t tnn_trainer_bytes(const tnn_trainer *t) {
    size_t bytes = tnn_store_bytes(t->store) + tnn_plan_bytes(t->train.plan) + tnn_plan_bytes(t->norm.plan) +
                   tnn_plan_bytes(t->update.plan);
    return bytes + (t->eval.plan ? tnn_plan_bytes(t->eval.plan) : 0);
}

/* --- running --- */

/* Those that begin up to the last target: what follows is padding. */
static int64_t count_sequences(const tnn_batch *batch, int64_t n_rows) {
    int64_t n = 0, begun = 0;
    for (int64_t i = 0; i < n_rows; i++) {
        begun += batch->starts[i] == i;
        if (batch->targets[i] >= 0) n = begun;
    }
    return n;
}

tnn_status tnn_trainer_accumulate(tnn_trainer *t, const tnn_batch *batch, double *loss, tnn_error *err) {
    tnn_status status = tnn__batch_forward_run(&t->train, batch, loss, err);
    if (!status) t->n_sequences = count_sequences(batch, t->train.n_rows);
    return status;
}

tnn_status tnn_trainer_evaluate(tnn_trainer *t, const tnn_batch *batch, double *loss, float *row_losses,
                                tnn_error *err) {
    tnn_status status = forward_build(t, &t->eval, t->options.n_rows, false, err);
    if (!status) status = tnn__batch_forward_run(&t->eval, batch, loss, err);
    if (!status && row_losses) {
        memcpy(row_losses, tnn_plan_data(t->eval.plan, t->eval.losses), (size_t)t->options.n_rows * sizeof *row_losses);
    }
    return status;
}

static tnn_status set_hyper(const tnn_trainer *t, const update *u, float lr, float factor, tnn_error *err) {
    const tnn_trainer_options *o = &t->options;
    double step = (double)t->step + 1.0;
    tnn_status status = TNN_OK;
    for (int set = 0; set < N_SETS && !status; set++) {
        float decay = set == UNDECAYED ? 0.0f : o->weight_decay;
        const float adamw[MAX_HYPER] = {lr,
                                        o->beta1,
                                        o->beta2,
                                        o->eps,
                                        decay,
                                        (float)(1.0 - pow((double)o->beta1, step)),
                                        (float)(1.0 - pow((double)o->beta2, step)),
                                        factor};
        const float four[4] = {lr, set == ORTHOGONAL ? o->muon_momentum : o->momentum, decay, factor};
        int64_t n = n_hyper(t, (hyper_set)set);
        status = tnn_plan_set(u->plan, u->hyper[set], n == MAX_HYPER ? adamw : four, (size_t)n * sizeof(float), err);
    }
    return status;
}

static tnn_status drop_gradients(tnn_trainer *t, tnn_error *err) {
    static const float zeros[4096] = {0};
    tnn_status status = TNN_OK;
    size_t bytes = tnn_tensor_bytes(t->grads);
    for (size_t at = 0; at < bytes && !status; at += sizeof zeros) {
        status = tnn_tensor_write(t->grads, at, zeros, bytes - at < sizeof zeros ? bytes - at : sizeof zeros, err);
    }
    return status;
}

tnn_status tnn_trainer_update(tnn_trainer *t, float lr, double *grad_norm, tnn_error *err) {
    if (!isfinite(lr) || lr < 0.0f)
        return tnn__fail(err, TNN_E_ARG, "a learning rate of %g: give 0 or more", (double)lr);
    tnn_status status = tnn_plan_run(t->norm.plan, err);
    if (status) return status;
    double sum;
    memcpy(&sum, tnn_plan_data(t->norm.plan, t->norm.sum), sizeof sum);
    double norm = sqrt(sum);
    if (grad_norm) *grad_norm = norm;
    if (!isfinite(norm)) {
        status = drop_gradients(t, err);
        if (status) return status;
        return tnn__fail(err, TNN_E_RANGE, "the gradient of step %" PRId64 " is not finite; lower the learning rate",
                         t->step + 1);
    }
    double limit = (double)t->options.grad_clip;
    float factor = limit > 0 && norm > limit ? (float)(limit / norm) : 1.0f;
    status = set_hyper(t, &t->update, lr, factor, err);
    if (!status) status = tnn_plan_run(t->update.plan, err);
    if (!status) t->step++;
    return status;
}

/* --- measuring --- */

#define FEWEST_ROWS ((int64_t)16)
/* Elements of an update that are timed: more than caches hold; Muon's products cost so much that fewer do. */
#define ENOUGH      ((int64_t)1 << 23)
#define ENOUGH_MUON ((int64_t)1 << 20)

/* Products of a row that sees `seen` rows, itself included. */
static double row_cost(const tnn_trainer *t, int64_t seen) {
    const tnn_llama_hparams *hp = tnn_llama_arch_hparams(t->arch);
    double cost = (double)hp->d_model * (double)hp->n_vocab;
    for (int64_t i = 0; i < hp->n_layers; i++) {
        cost += tnn__layer_products(t->arch, i, seen);
    }
    return cost;
}

/* Products of the first n rows of a batch: linear in the sum of what they see. */
static double work_of(const tnn_trainer *t, const tnn_batch *batch, int64_t n) {
    double seen = 0;
    for (int64_t i = 0; i < n; i++) {
        seen += (double)(i - batch->starts[i] + 1);
    }
    double alone = row_cost(t, 0);
    return (double)n * alone + seen * (row_cost(t, 1) - alone);
}

/* Seconds of the first n rows of a batch; and of the first run of them, if there were others. */
typedef struct timed {
    int64_t n;
    double seconds, first;
} timed;

/* n_runs or, if they are short, some more. */
static bool runs_again(int run, int n_runs, double sum) {
    return run < n_runs || (run < 6 && sum < 0.2) || (run > 0 && run < 3 && sum < 0.6);
}

/* The first of several runs does not count, for its memory is new. */
static tnn_status time_rows(tnn_trainer *t, const tnn_batch *batch, int64_t n, bool training, int n_runs, timed *out,
                            tnn_error *err) {
    tnn__batch_forward f = {0};
    double loss, sum = 0;
    tnn_status status = forward_build(t, &f, n, training, err);
    *out = (timed){.n = n};
    for (int run = 0; !status && runs_again(run, n_runs, sum); run++) {
        double start = tnn__seconds();
        status = tnn__batch_forward_run(&f, batch, &loss, err);
        double taken = tnn__seconds() - start;
        if (run == 0) out->first = out->seconds = taken;
        sum += taken;
        if (run > 0) out->seconds = (sum - out->first) / run;
    }
    tnn__batch_forward_free(&f);
    return status;
}

/* What an update of p costs, next to others of its kind: by element, and Muon's products by the shorter side as well.
 */
static double update_cost(const trained *p) {
    const int64_t *ne = tnn_tensor_ne(p->value);
    double n = (double)tnn_tensor_elements(p->value);
    return p->set == ORTHOGONAL ? n * (double)(ne[0] < ne[1] ? ne[0] : ne[1]) : n;
}

/*
 * Adds what an update of the parameters in `sets` takes, from that of the last of them, of `enough` elements; and what
 * it takes longer when their moments are new.
 */
static tnn_status time_sets(const tnn_trainer *t, unsigned sets, int64_t enough, double *first, double *seconds,
                            tnn_error *err) {
    double timed_cost = 0, all = 0, taken[2] = {0};
    int64_t begin = t->n_params, elements = 0;
    for (int64_t i = t->n_params - 1; i >= 0; i--) {
        const trained *p = &t->params[i];
        if (!(sets & 1u << p->set)) continue;
        all += update_cost(p);
        if (elements >= enough) continue;
        begin = i;
        timed_cost = all;
        elements += tnn_tensor_elements(p->value);
    }
    if (elements == 0) return TNN_OK;
    update u = {0};
    tnn_status status = update_build(t, &u, begin, t->n_params, sets, err);
    if (!status) status = set_hyper(t, &u, 0.0f, 1.0f, err);
    for (int run = 0; run < 2 && !status; run++) {
        double start = tnn__seconds();
        status = tnn_plan_run(u.plan, err);
        taken[run] = tnn__seconds() - start;
    }
    update_free(&u);
    *seconds += taken[1] * all / timed_cost;
    *first += fmax(0, taken[0] - taken[1]) * all / timed_cost;
    return status;
}

static tnn_status time_update(tnn_trainer *t, double *first, double *seconds, tnn_error *err) {
    double start = tnn__seconds();
    tnn_status status = tnn_plan_run(t->norm.plan, err);
    *seconds = tnn__seconds() - start;
    const unsigned muon = 1u << ORTHOGONAL;
    if (!status) status = time_sets(t, muon, ENOUGH_MUON, first, seconds, err);
    return status ? status : time_sets(t, ALL_SETS & ~muon, ENOUGH, first, seconds, err);
}

/* Rows to time next, after `less` (of 0 rows: none) and `more`, in what is left of the budget; 0: enough. */
static int64_t next_size(const timed *less, const timed *more, int64_t n_rows, double left) {
    /* Of so few rows most of the time is the weights': one size says little, a second is worth some more than is left.
     */
    if (less->n == 0) return more->seconds > left ? 0 : 4 * more->n < n_rows ? 4 * more->n : n_rows;
    double per_row = fmax(1e-9, (more->seconds - less->seconds) / (double)(more->n - less->n));
    double fits = (double)more->n + (left - more->seconds) / per_row;
    if (fits >= (double)n_rows) return n_rows;
    return fits < 2 * (double)more->n ? 0 : (int64_t)fits;
}

/*
 * A pass costs something for each weight, whatever the rows (reading and unpacking it), and something for each row. Two
 * sizes give both: the last two of a few rows, four times as many, and as many as the budget still allows.
 */
static tnn_status time_batch(tnn_trainer *t, const tnn_batch *batch, double budget, tnn_trainer_times *out, timed *more,
                             tnn_error *err) {
    timed one, less = {0};
    int64_t n_rows = t->options.n_rows, n = n_rows < FEWEST_ROWS ? n_rows : FEWEST_ROWS;
    /* One row is enough to make the gradients' memory no longer new; what that takes does not count. */
    tnn_status status = time_rows(t, batch, 1, true, 1, &one, err);
    double begin = tnn__seconds();
    if (!status) status = time_rows(t, batch, n, true, 1, more, err);
    out->first = fmax(0, one.first - more->seconds);
    while (!status && n < n_rows && (n = next_size(&less, more, n_rows, begin + budget - tnn__seconds())) > 0) {
        less = *more;
        status = time_rows(t, batch, n, true, 1, more, err);
    }
    double work = work_of(t, batch, more->n), rest = work_of(t, batch, n_rows) - work;
    double difference = work - work_of(t, batch, less.n); /* one size alone: all of it grows with the rows */
    out->batch = more->seconds + fmax(0, more->seconds - less.seconds) / difference * rest;
    return status;
}

tnn_status tnn_trainer_measure(tnn_trainer *t, const tnn_batch *batch, double budget, tnn_trainer_times *out,
                               tnn_error *err) {
    timed train = {0}, eval;
    *out = (tnn_trainer_times){0};
    tnn_status status = time_batch(t, batch, budget, out, &train, err);
    if (!status && t->options.evaluates) {
        status = time_rows(t, batch, train.n, false, 1, &eval, err);
        out->evaluation = out->batch * eval.seconds / train.seconds;
    }
    return status ? status : time_update(t, &out->first, &out->update, err);
}

/* --- state --- */

int64_t tnn_trainer_step(const tnn_trainer *t) {
    return t->step;
}

void tnn_trainer_set_step(tnn_trainer *t, int64_t step) {
    t->step = step > 0 ? step : 0;
}

int64_t tnn_trainer_n_params(const tnn_trainer *t) {
    return t->n_params;
}

tnn_tensor *tnn_trainer_value(const tnn_trainer *t, int64_t i) {
    return i >= 0 && i < t->n_params ? t->params[i].value : NULL;
}

tnn_tensor *tnn_trainer_grad(const tnn_trainer *t, int64_t i) {
    return i >= 0 && i < t->n_params ? t->params[i].grad : NULL;
}

tnn_tensor *tnn_trainer_moment1(const tnn_trainer *t, int64_t i) {
    return i >= 0 && i < t->n_params ? t->params[i].m : NULL;
}

tnn_tensor *tnn_trainer_moment2(const tnn_trainer *t, int64_t i) {
    return i >= 0 && i < t->n_params ? t->params[i].v : NULL;
}

static const tnn_tensor *tap_at(const tnn_trainer *t, int64_t i) {
    for (int64_t k = 0; t->options.taps && k < tnn_graph_n_outputs(t->train.graph); k++) {
        const tnn_tensor *output = tnn_graph_output_at(t->train.graph, k);
        if (output == t->train.losses) continue; /* an output always, and no stage */
        if (tnn__tap_matches(t->options.taps, tnn_tensor_name(output)) && i-- == 0) return output;
    }
    return NULL;
}

int64_t tnn_trainer_n_taps(const tnn_trainer *t) {
    int64_t n = 0;
    while (tap_at(t, n)) {
        n++;
    }
    return n;
}

const float *tnn_trainer_tap(const tnn_trainer *t, int64_t i, const char **name, int64_t *n_features, int64_t *n_rows) {
    const tnn_tensor *output = tap_at(t, i);
    if (!output) return NULL;
    *name = tnn_tensor_name(output);
    *n_features = tnn_tensor_ne(output)[0];
    *n_rows = tnn__tap_is_of_sequences(*name) ? t->n_sequences : tnn_tensor_elements(output) / *n_features;
    return tnn_plan_data(t->train.plan, output);
}
