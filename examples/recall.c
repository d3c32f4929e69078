/*
 * Associative recall with keys that are overwritten, learned by a small stack of Gated DeltaNet layers that is built
 * from the library's operations: what the erase term of the delta rule is for.
 *
 *   recall [--no-erase] [STEPS]
 *
 * A sequence writes values under keys, again and again, and then asks for every key; the answer is what was written
 * last. The delta rule writes b (v - S^T k), which takes out what the state S holds under k before v goes in. Without
 * that term (gated linear attention: b v) old values stay beside the new one, and one that was written often outweighs
 * one that was written last. --no-erase trains the same stack so.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/tnn.h>

enum {
    N_KEYS = 16,
    N_VALUES = 16,
    N_WRITES = 128,
    LENGTH = 2 * N_WRITES + N_KEYS, /* of a sequence: keys and values, then questions */
    N_SEQUENCES = 6,                /* of a batch, packed one after the other */
    ROWS = N_SEQUENCES * LENGTH,
    N_VOCAB = 2 * N_KEYS + N_VALUES, /* keys as they are written, as they are asked for, values */
    WIDTH = 32,
    N_LAYERS = 2,
    N_HEADS = 2,
    D_HEAD = 16,
    INNER = N_HEADS * D_HEAD,
    CONV = 4,
    N_EVAL = 4 /* batches */
};

static void check(tnn_status status, const tnn_error *err) {
    if (!status) return;
    fprintf(stderr, "recall: %s\n", err->text);
    exit(1);
}

/* --- the task --- */

/* SplitMix64 (Steele et al. 2014). */
static uint32_t draw(uint64_t *state, uint32_t below) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32) % below;
}

typedef struct batch {
    int32_t ids[ROWS], starts[ROWS], targets[ROWS];
    float weights[ROWS];
} batch;

/* A write repeats what its key holds in two of three cases: that is what makes old values weigh. */
static void make_sequence(batch *b, int start, uint64_t *random) {
    uint32_t holds[N_KEYS];
    int at = start;
    for (int i = 0; i < N_WRITES; i++) {
        uint32_t key = i < N_KEYS ? (uint32_t)i : draw(random, N_KEYS);
        if (i < N_KEYS || draw(random, 3) == 0) holds[key] = draw(random, N_VALUES);
        b->ids[at++] = (int32_t)key;
        b->ids[at++] = (int32_t)(2 * N_KEYS + holds[key]);
    }
    for (int key = 0; key < N_KEYS; key++, at++) {
        b->ids[at] = N_KEYS + key;
        b->targets[at] = (int32_t)(2 * N_KEYS + holds[key]);
        b->weights[at] = 1.0f / (N_SEQUENCES * N_KEYS);
    }
}

static void make_batch(batch *b, uint64_t *random) {
    for (int i = 0; i < ROWS; i++) {
        b->starts[i] = i / LENGTH * LENGTH;
        b->targets[i] = -1;
        b->weights[i] = 0.0f;
    }
    for (int i = 0; i < N_SEQUENCES; i++) {
        make_sequence(b, i * LENGTH, random);
    }
}

/* --- weights --- */

typedef struct layer {
    tnn_tensor *norm, *qkv, *z, *alpha, *beta, *conv, *a_log, *dt_bias, *out_norm, *out;
} layer;

typedef struct weights {
    tnn_store *store;
    tnn_tensor *embed, *norm, *head;
    layer layers[N_LAYERS];
} weights;

/* A matrix [n_in, n_out], or with n_out 0 a vector, uniform in [lo, hi). */
static tnn_tensor *uniform(tnn_store *st, uint64_t *random, int64_t n_in, int64_t n_out, float lo, float hi) {
    tnn_error err;
    tnn_tensor *t = tnn_store_tensor(st, "", TNN_TYPE_F32, n_out ? 2 : 1, (const int64_t[]){n_in, n_out}, &err);
    check(t ? TNN_OK : err.status, &err);
    for (int64_t i = 0; i < tnn_tensor_elements(t); i++) {
        float value = lo + (hi - lo) * (float)draw(random, 1 << 24) * 0x1p-24f;
        check(tnn_tensor_write(t, (size_t)i * sizeof value, &value, sizeof value, &err), &err);
    }
    tnn_tensor_set_trainable(t, true);
    return t;
}

static tnn_tensor *matrix(tnn_store *st, uint64_t *random, int64_t n_in, int64_t n_out) {
    float bound = 1.0f / sqrtf((float)n_in);
    return uniform(st, random, n_in, n_out, -bound, bound);
}

static weights make_weights(tnn_session *s) {
    weights w;
    tnn_error err;
    uint64_t random = 1;
    check(tnn_store_new(&w.store, s, &err), &err);
    w.embed = uniform(w.store, &random, WIDTH, N_VOCAB, -1.0f, 1.0f);
    w.norm = uniform(w.store, &random, WIDTH, 0, 1.0f, 1.0f);
    w.head = matrix(w.store, &random, WIDTH, N_VOCAB);
    for (int i = 0; i < N_LAYERS; i++) {
        w.layers[i] = (layer){
            .norm = uniform(w.store, &random, WIDTH, 0, 1.0f, 1.0f),
            .qkv = matrix(w.store, &random, WIDTH, 3 * INNER),
            .z = matrix(w.store, &random, WIDTH, INNER),
            .alpha = matrix(w.store, &random, WIDTH, N_HEADS),
            .beta = matrix(w.store, &random, WIDTH, N_HEADS),
            .conv = uniform(w.store, &random, CONV, (int64_t)3 * INNER, -0.5f, 0.5f),
            .a_log = uniform(w.store, &random, N_HEADS, 0, 0.0f, 0.0f),
            .dt_bias = uniform(w.store, &random, N_HEADS, 0, -5.0f, -5.0f), /* decays of a hundred tokens and more */
            .out_norm = uniform(w.store, &random, D_HEAD, 0, 1.0f, 1.0f),
            .out = matrix(w.store, &random, INNER, WIDTH),
        };
    }
    return w;
}

/* --- the stack --- */

/* Of b (v - S^T k), the second part shrinks to nothing when b is scaled down and v scaled up. */
#define NO_ERASE 1e-4f

static tnn_tensor *heads(tnn_graph *g, tnn_tensor *x) {
    return x ? tnn_reshape(g, x, 3, (const int64_t[]){D_HEAD, N_HEADS, ROWS}) : NULL;
}

static tnn_tensor *block(tnn_graph *g, const layer *l, tnn_tensor *x, tnn_tensor *starts, bool erase) {
    tnn_tensor *h = tnn_rms_norm(g, x, l->norm, 1e-6f);
    tnn_tensor *qkv = tnn_linear(g, l->qkv, h, NULL);
    qkv = tnn_conv1d_silu(g, qkv, l->conv, &(tnn_conv1d_args){.starts = starts});
    tnn_tensor *q = heads(g, tnn_slice(g, qkv, 0, INNER)), *k = heads(g, tnn_slice(g, qkv, INNER, INNER));
    tnn_tensor *v = heads(g, tnn_slice(g, qkv, (int64_t)2 * INNER, INNER));
    tnn_tensor *decay = tnn_gdn_decay(g, tnn_linear(g, l->alpha, h, NULL), l->dt_bias, l->a_log, TNN_GDN_A_LOG);
    tnn_tensor *beta = tnn_sigmoid(g, tnn_linear(g, l->beta, h, NULL));
    if (!erase) {
        beta = tnn_scale(g, beta, NO_ERASE);
        v = tnn_scale(g, v, 1.0f / NO_ERASE);
    }
    tnn_gdn_args args = {
        .d_k = D_HEAD,
        .d_v = D_HEAD,
        .n_k_heads = N_HEADS,
        .n_v_heads = N_HEADS,
        .norm = TNN_L2_EPS_ADDED,
        .norm_eps = 1e-6f,
        .starts = starts,
    };
    tnn_tensor *o = tnn_gated_delta_net(g, q, k, v, decay, beta, &args);
    o = tnn_rms_norm_gated(g, o, l->out_norm, heads(g, tnn_linear(g, l->z, h, NULL)), 1e-6f);
    o = o ? tnn_reshape(g, o, 2, (const int64_t[]){INNER, ROWS}) : NULL;
    return tnn_add(g, x, tnn_linear(g, l->out, o, NULL));
}

/* A planned graph over a batch: losses and gradients, or logits. */
typedef struct forward {
    tnn_graph *graph;
    tnn_plan *plan;
    tnn_tensor *ids, *starts, *targets, *weights, *result;
} forward;

enum { MAX_PARAMS = 3 + 10 * N_LAYERS };

typedef struct training {
    tnn_store *store; /* gradients and moments */
    tnn_param params[MAX_PARAMS];
    int64_t n_params;
    tnn_graph *graph; /* of the update */
    tnn_plan *plan;
    tnn_tensor *hyper;
} training;

static forward make_forward(tnn_session *s, const weights *w, bool erase, const training *t) {
    const int64_t n = ROWS;
    forward f;
    tnn_error err;
    check(tnn_graph_new(&f.graph, s, &err), &err);
    check(tnn_graph_set_mode(f.graph, TNN_GRAPH_TRAIN, &err), &err);
    f.ids = tnn_input(f.graph, "ids", TNN_TYPE_I32, 1, &n);
    f.starts = tnn_input(f.graph, "starts", TNN_TYPE_I32, 1, &n);
    tnn_tensor *x = tnn_rows(f.graph, w->embed, f.ids);
    for (int i = 0; i < N_LAYERS; i++) {
        x = block(f.graph, &w->layers[i], x, f.starts, erase);
    }
    x = tnn_rms_norm(f.graph, x, w->norm, 1e-6f);
    if (t) {
        f.targets = tnn_input(f.graph, "targets", TNN_TYPE_I32, 1, &n);
        f.weights = tnn_input(f.graph, "weights", TNN_TYPE_F32, 1, &n);
        f.result = tnn_output(f.graph, tnn_linear_xent(f.graph, w->head, x, f.targets, f.weights), "losses");
        check(tnn_graph_backward(f.graph, &(tnn_seed){f.result, NULL}, 1, t->params, t->n_params, &err), &err);
    } else {
        f.result = tnn_output(f.graph, tnn_linear(f.graph, w->head, x, NULL), "logits");
    }
    check(tnn_graph_plan(&f.plan, f.graph, &err), &err);
    return f;
}

static const float *run(const forward *f, const batch *b, bool with_targets) {
    tnn_error err;
    check(tnn_plan_set(f->plan, f->ids, b->ids, sizeof b->ids, &err), &err);
    check(tnn_plan_set(f->plan, f->starts, b->starts, sizeof b->starts, &err), &err);
    if (with_targets) {
        check(tnn_plan_set(f->plan, f->targets, b->targets, sizeof b->targets, &err), &err);
        check(tnn_plan_set(f->plan, f->weights, b->weights, sizeof b->weights, &err), &err);
    }
    check(tnn_plan_run(f->plan, &err), &err);
    return tnn_plan_data(f->plan, f->result);
}

/* --- training --- */

static tnn_tensor *like(tnn_store *st, const tnn_tensor *t) {
    tnn_error err;
    const int64_t *ne = tnn_tensor_ne(t);
    tnn_tensor *new = tnn_store_tensor(st, "", TNN_TYPE_F32, ne[1] > 1 ? 2 : 1, ne, &err);
    check(new ? TNN_OK : err.status, &err);
    return new;
}

static training make_training(tnn_session *s, const weights *w) {
    const int64_t n_hyper = 8;
    training t = {.n_params = 0};
    tnn_error err;
    check(tnn_store_new(&t.store, s, &err), &err);
    check(tnn_graph_new(&t.graph, s, &err), &err);
    t.hyper = tnn_input(t.graph, "hyper", TNN_TYPE_F32, 1, &n_hyper);
    for (int64_t i = 0; i < tnn_store_count(w->store); i++) {
        tnn_tensor *value = tnn_store_at(w->store, i), *grad = like(t.store, value);
        t.params[t.n_params++] = (tnn_param){value, grad};
        tnn_adamw(t.graph, value, grad, like(t.store, value), like(t.store, value), t.hyper);
        tnn_zero(t.graph, grad);
    }
    check(tnn_graph_plan(&t.plan, t.graph, &err), &err);
    return t;
}

static void update(const training *t, int step) {
    tnn_error err;
    const float beta1 = 0.9f, beta2 = 0.98f, lr = 5e-3f * fminf(1.0f, (float)step / 20.0f);
    const float hyper[8] = {lr,  beta1, beta2, 1e-8f, 0.0f, 1 - powf(beta1, (float)step), 1 - powf(beta2, (float)step),
                            1.0f};
    check(tnn_plan_set(t->plan, t->hyper, hyper, sizeof hyper, &err), &err);
    check(tnn_plan_run(t->plan, &err), &err);
}

/* Share of right answers over batches that were not trained on. */
static double accuracy(const forward *f) {
    static batch b;
    uint64_t random = 12345;
    int right = 0;
    for (int i = 0; i < N_EVAL; i++) {
        make_batch(&b, &random);
        const float *logits = run(f, &b, false);
        for (int t = 0; t < ROWS; t++) {
            int best = 0;
            for (int k = 1; k < N_VOCAB; k++) {
                if (logits[t * N_VOCAB + k] > logits[t * N_VOCAB + best]) best = k;
            }
            right += best == b.targets[t];
        }
    }
    return (double)right / (N_EVAL * N_SEQUENCES * N_KEYS);
}

int main(int argc, char **argv) {
    static batch b;
    tnn_session *s;
    tnn_error err;
    bool erase = !(argc > 1 && strcmp(argv[1], "--no-erase") == 0);
    const char *steps = argc > (erase ? 1 : 2) ? argv[erase ? 1 : 2] : "400";
    uint64_t random = 99;
    check(tnn_session_new(&s, NULL, &err), &err);
    weights w = make_weights(s);
    training t = make_training(s, &w);
    forward train = make_forward(s, &w, erase, &t), eval = make_forward(s, &w, erase, NULL);
    for (int step = 1; step <= atoi(steps); step++) {
        make_batch(&b, &random);
        const float *losses = run(&train, &b, true);
        double loss = 0;
        for (int i = 0; i < ROWS; i++) {
            loss += (double)b.weights[i] * (double)losses[i];
        }
        update(&t, step);
        if (step % 100 == 0) fprintf(stderr, "step %d: loss %.3f\n", step, loss);
    }
    printf("%.3f\n", accuracy(&eval));

    forward *const forwards[] = {&train, &eval};
    for (int i = 0; i < 2; i++) {
        tnn_plan_free(forwards[i]->plan);
        tnn_graph_free(forwards[i]->graph);
    }
    tnn_plan_free(t.plan);
    tnn_graph_free(t.graph);
    tnn_store_free(t.store);
    tnn_store_free(w.store);
    tnn_session_free(s);
    return 0;
}
