/*
 * Every op's gradient in double precision against central differences (relative error <= 1e-6), and the F32 kernels, at
 * every level the processor has, against the double ones (<= 1e-4). A case is a function that builds a graph over
 * persistent tensors and returns its seed; all persistent tensors are parameters.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tinynn/ops.h>
#include <tinynn/tensor.h>

#include "base/rng.h"

enum { MAX_PARAMS = 20, MAX_INPUTS = 8 };

typedef struct fixture {
    tnn_session *session;
    tnn_store *store;
    tnn_graph *graph;
    tnn_graph_mode mode;
    tnn_param params[MAX_PARAMS];
    int n_params;
    struct {
        tnn_tensor *tensor;
        const void *data;
    } inputs[MAX_INPUTS];
    int n_inputs;
    tnn_tensor *output; /* differentiated: sum of output * weight of each element */
    tnn_tensor *seed;   /* input holding these weights; NULL for a loss node */
    const double *row_weights;
    tnn_plan *plan;
} fixture;

typedef void case_fn(fixture *f);

static tnn_type real_type(const fixture *f) {
    return f->mode == TNN_GRAPH_CHECK ? TNN_TYPE_F64 : TNN_TYPE_F32;
}

/* Values that do not depend on the precision: normals rounded to F32. */
static float sample(uint64_t stream, int64_t i) {
    float x[4];
    tnn__fill_normal(7, stream * 1000003 + (uint64_t)i, x, 4, 0.0f, 1.0f);
    return x[0];
}

static void put(const fixture *f, void *to, int64_t i, double x) {
    if (real_type(f) == TNN_TYPE_F64) {
        ((double *)to)[i] = x;
    } else {
        ((float *)to)[i] = (float)x;
    }
}

static double get(const fixture *f, const void *from, int64_t i) {
    return real_type(f) == TNN_TYPE_F64 ? ((const double *)from)[i] : (double)((const float *)from)[i];
}

static void *real_array(const fixture *f, int64_t n) {
    void *p = calloc((size_t)n, real_type(f) == TNN_TYPE_F64 ? sizeof(double) : sizeof(float));
    assert_non_null(p);
    return p;
}

static tnn_tensor *param(fixture *f, double scale, double offset, int n_dims, const int64_t *ne) {
    char name[16], grad_name[16];
    tnn_error err;
    snprintf(name, sizeof name, "p%d", f->n_params);
    snprintf(grad_name, sizeof grad_name, "g%d", f->n_params);
    tnn_tensor *value = tnn_store_tensor(f->store, name, real_type(f), n_dims, ne, &err);
    tnn_tensor *grad = tnn_store_tensor(f->store, grad_name, real_type(f), n_dims, ne, &err);
    assert_non_null(value);
    assert_non_null(grad);
    int64_t n = tnn_tensor_elements(value);
    void *data = real_array(f, n);
    for (int64_t i = 0; i < n; i++) {
        put(f, data, i, (double)(float)(offset + scale * (double)sample(100 + (uint64_t)f->n_params, i)));
    }
    tnn_tensor_write(value, 0, data, tnn_tensor_bytes(value), NULL);
    free(data);
    f->params[f->n_params++] = (tnn_param){value, grad};
    return value;
}

#define NE(...)                                                                                                        \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[]) {                                     \
        __VA_ARGS__                                                                                                    \
    }

static tnn_tensor *ints(fixture *f, const int32_t *data, int64_t n) {
    tnn_tensor *t = tnn_input(f->graph, "ints", TNN_TYPE_I32, 1, &n);
    f->inputs[f->n_inputs].tensor = t;
    f->inputs[f->n_inputs++].data = data;
    return t;
}

static void result(fixture *f, tnn_tensor *y) {
    tnn_error err;
    if (tnn_graph_status(f->graph, &err)) fail_msg("%s", err.text);
    f->output = tnn_output(f->graph, y, "y");
    if (!f->row_weights) {
        int n_dims = 4;
        while (n_dims > 1 && tnn_tensor_ne(y)[n_dims - 1] == 1) {
            n_dims--;
        }
        f->seed = tnn_input(f->graph, "seed", real_type(f), n_dims, tnn_tensor_ne(y));
    }
}

/* --- cases --- */

enum { T = 5 };
static const int32_t ids[T] = {2, 0, 3, 2, 2};
static const int32_t positions[T] = {0, 3, 1, 7, 100};

static void case_rows(fixture *f) {
    tnn_tensor *table = param(f, 1, 0, NE(6, 4));
    result(f, tnn_rows(f->graph, table, ints(f, ids, T)));
}

static void case_linear(fixture *f) {
    tnn_tensor *w = param(f, 1, 0, NE(6, 7)), *x = param(f, 1, 0, NE(6, T)), *bias = param(f, 1, 0, NE(7));
    result(f, tnn_linear(f->graph, w, x, bias));
}

/* Two pairs, the second onto the first; more rows than are added at a time. */
static void case_linear_pairs(fixture *f) {
    enum { ROWS = 70, RANK = 3 };
    tnn_graph *g = f->graph;
    tnn_tensor *w = param(f, 1, 0, NE(6, 7)), *x = param(f, 1, 0, NE(6, ROWS)), *bias = param(f, 1, 0, NE(7));
    tnn_tensor *low1 = tnn_linear(g, param(f, 0.5, 0, NE(6, RANK)), x, NULL);
    tnn_tensor *y = tnn_linear_pair(g, w, x, bias, param(f, 0.5, 0, NE(RANK, 7)), tnn_scale(g, low1, 0.75f));
    tnn_tensor *low2 = tnn_linear(g, param(f, 0.5, 0, NE(6, 2)), x, NULL);
    result(f, tnn_linear_onto(g, y, param(f, 0.5, 0, NE(2, 7)), low2));
}

/* A source used twice collects both gradients. */
static void case_add(fixture *f) {
    tnn_tensor *a = param(f, 1, 0, NE(6, T)), *b = param(f, 1, 0, NE(6, T));
    result(f, tnn_add(f->graph, tnn_add(f->graph, a, b), a));
}

static void case_scale(fixture *f) {
    result(f, tnn_scale(f->graph, param(f, 1, 0, NE(6, T)), -0.625f));
}

static void case_dropout(fixture *f) {
    tnn_tensor *x = param(f, 1, 0, NE(19, T));
    result(f, tnn_dropout(f->graph, x, ints(f, ids, T), ints(f, positions, T), 0.4f, 3, 4));
}

static void case_rms_norm(fixture *f) {
    tnn_tensor *x = param(f, 1, 0, NE(6, 3, T)), *gamma = param(f, 0.2, 1, NE(6));
    result(f, tnn_rms_norm(f->graph, x, gamma, 1e-5f));
}

static void case_rms_norm_many_rows(fixture *f) {
    tnn_tensor *x = param(f, 1, 0, NE(5, 37)), *gamma = param(f, 0.2, 1, NE(5));
    result(f, tnn_rms_norm(f->graph, x, gamma, 1e-5f));
}

static void case_swiglu(fixture *f) {
    tnn_tensor *gate = param(f, 2, 0, NE(9, T)), *up = param(f, 1, 0, NE(9, T));
    result(f, tnn_swiglu(f->graph, gate, up));
}

static void rope_case(fixture *f, bool interleaved, int32_t n_rot, float ext_factor) {
    tnn_rope_config c = tnn_rope_config_default();
    c.interleaved = interleaved;
    c.n_rot = n_rot;
    c.ext_factor = ext_factor;
    c.freq_scale = 0.25f;
    c.n_ctx_orig = 64;
    tnn_tensor *angles = tnn_rope_angles(f->graph, ints(f, positions, T), NULL, &c);
    result(f, tnn_rope(f->graph, param(f, 1, 0, NE(8, 2, T)), angles, &c));
}

static void case_rope_half(fixture *f) {
    rope_case(f, false, 8, 0.0f);
}

/* Qwen3-Next: the first quarter or so of a head, pairs within it. */
static void case_rope_half_partial(fixture *f) {
    rope_case(f, false, 4, 0.0f);
}

static void case_rope_interleaved_partial_yarn(fixture *f) {
    rope_case(f, true, 6, 1.0f);
}

static void attention_case(fixture *f, int64_t n_heads, int64_t n_kv_heads, int64_t d, int64_t d_v, int64_t n_rows,
                           const int32_t *starts, int32_t window, bool masked) {
    tnn_tensor *q = param(f, 1, 0, NE(d, n_heads, n_rows)), *k = param(f, 1, 0, NE(d, n_kv_heads, n_rows));
    tnn_tensor *v = param(f, 1, 0, NE(d_v, n_kv_heads, n_rows));
    tnn_attention_args a = {.scale = 0.4f, .window = window};
    if (starts) a.starts = ints(f, starts, n_rows);
    if (masked) {
        static double mask64[64];
        static float mask32[64];
        a.mask = tnn_input(f->graph, "mask", real_type(f), 2, (const int64_t[]){n_rows, n_rows});
        for (int i = 0; i < n_rows * n_rows; i++) {
            mask32[i] = 0.5f * sample(55, i);
            mask64[i] = (double)mask32[i];
        }
        f->inputs[f->n_inputs].tensor = a.mask;
        f->inputs[f->n_inputs++].data = real_type(f) == TNN_TYPE_F64 ? (const void *)mask64 : (const void *)mask32;
    }
    result(f, tnn_attention(f->graph, q, k, v, &a));
}

static void case_attention(fixture *f) {
    attention_case(f, 3, 1, 4, 6, 7, NULL, 0, false);
}

static void case_attention_packed(fixture *f) {
    static const int32_t starts[8] = {0, 0, 0, 3, 3, 5, 5, 5};
    attention_case(f, 4, 2, 4, 4, 8, starts, 0, false);
}

static void case_attention_window_mask(fixture *f) {
    attention_case(f, 2, 2, 5, 4, 6, NULL, 3, true);
}

static void case_attention_many_blocks(fixture *f) {
    attention_case(f, 2, 1, 3, 3, 70, NULL, 0, false);
}

static void case_attention_wide(fixture *f) {
    attention_case(f, 3, 1, 64, 64, 9, NULL, 0, false);
}

static void case_sigmoid(fixture *f) {
    result(f, tnn_sigmoid(f->graph, param(f, 2, 0, NE(7, T))));
}

static void case_sigmoid_gate(fixture *f) {
    tnn_tensor *x = param(f, 1, 0, NE(4, 3, T)), *gate = param(f, 2, 0, NE(4, 3, T));
    result(f, tnn_sigmoid_gate(f->graph, x, gate));
}

/* Query and gate of a head beside each other, as attn_q of the hybrids makes them. */
static void case_slice(fixture *f) {
    tnn_tensor *both = param(f, 1, 0, NE(8, 3, T));
    tnn_tensor *q = tnn_slice(f->graph, both, 0, 4), *gate = tnn_slice(f->graph, both, 4, 4);
    result(f, tnn_sigmoid_gate(f->graph, q, gate));
}

static void case_rms_norm_gated(fixture *f) {
    tnn_tensor *x = param(f, 1, 0, NE(6, 3, 11)), *gamma = param(f, 0.2, 1, NE(6)), *z = param(f, 2, 0, NE(6, 3, 11));
    result(f, tnn_rms_norm_gated(f->graph, x, gamma, z, 1e-5f));
}

static void conv_case(fixture *f, int64_t width, int64_t n, int64_t n_rows, const int32_t *starts) {
    tnn_tensor *x = param(f, 1, 0, NE(n, n_rows)), *w = param(f, 0.7, 0, NE(width, n));
    tnn_conv1d_args a = {.starts = starts ? ints(f, starts, n_rows) : NULL};
    result(f, tnn_conv1d_silu(f->graph, x, w, &a));
}

static void case_conv1d_silu(fixture *f) {
    conv_case(f, 4, 9, 7, NULL);
}

static void case_conv1d_silu_packed(fixture *f) {
    static const int32_t starts[9] = {0, 1, 1, 3, 3, 3, 3, 3, 8};
    conv_case(f, 3, 130, 9, starts);
}

static void decay_case(fixture *f, tnn_gdn_decay_form form) {
    tnn_tensor *x = param(f, 3, 0, NE(3, 19)), *dt_bias = param(f, 1, 0, NE(3));
    tnn_tensor *a = param(f, 0.5, form == TNN_GDN_A_LOG ? 0.5 : -1.5, NE(3));
    result(f, tnn_gdn_decay(f->graph, x, dt_bias, a, form));
}

static void case_gdn_decay_log(fixture *f) {
    decay_case(f, TNN_GDN_A_LOG);
}

static void case_gdn_decay_coef(fixture *f) {
    decay_case(f, TNN_GDN_A_COEF);
}

/* With its gates in front, so that the decay is a decay and the update gate one. */
static void delta_net_case(fixture *f, tnn_gdn_args a, int64_t n_rows, const int32_t *starts, bool packed) {
    tnn_graph *g = f->graph;
    tnn_tensor *x = param(f, 1, 0, NE(a.n_v_heads, n_rows)), *beta = param(f, 1, 0, NE(a.n_v_heads, n_rows));
    tnn_tensor *dt_bias = param(f, 0.5, -1, NE(a.n_v_heads)), *rate = param(f, 0.5, 0, NE(a.n_v_heads));
    tnn_tensor *decay = tnn_gdn_decay(g, x, dt_bias, rate, TNN_GDN_A_LOG);
    beta = tnn_sigmoid(g, beta);
    if (starts) a.starts = ints(f, starts, n_rows);
    if (packed) {
        int64_t n = 2 * a.d_k * a.n_k_heads + a.d_v * a.n_v_heads;
        result(f, tnn_gated_delta_net(g, param(f, 1, 0, NE(n, n_rows)), NULL, NULL, decay, beta, &a));
        return;
    }
    tnn_tensor *q = param(f, 1, 0, NE(a.d_k, a.n_k_heads, n_rows)), *k = param(f, 1, 0, NE(a.d_k, a.n_k_heads, n_rows));
    tnn_tensor *v = param(f, 1, 0, NE(a.d_v, a.n_v_heads, n_rows));
    result(f, tnn_gated_delta_net(g, q, k, v, decay, beta, &a));
}

static void case_gated_delta_net(fixture *f) {
    tnn_gdn_args a = {.d_k = 4, .d_v = 4, .n_k_heads = 2, .n_v_heads = 2, .norm = TNN_L2_EPS_ADDED, .norm_eps = 1e-6f};
    delta_net_case(f, a, 7, NULL, false);
}

static void case_gated_delta_net_grouped(fixture *f) {
    static const int32_t starts[9] = {0, 0, 0, 3, 3, 5, 6, 6, 6};
    tnn_gdn_args a = {.d_k = 3, .d_v = 5, .n_k_heads = 2, .n_v_heads = 4, .norm = TNN_L2_EPS_FLOOR, .norm_eps = 1e-6f};
    delta_net_case(f, a, 9, starts, true);
}

static void case_gated_delta_net_tiled(fixture *f) {
    tnn_gdn_args a = {.d_k = 5, .d_v = 1, .n_k_heads = 2, .n_v_heads = 6, .norm = TNN_L2_EPS_ADDED, .norm_eps = 0.1f};
    a.tiled = true;
    delta_net_case(f, a, 6, NULL, true);
}

static void case_gated_delta_net_as_is(fixture *f) {
    delta_net_case(f, (tnn_gdn_args){.d_k = 2, .d_v = 3, .n_k_heads = 1, .n_v_heads = 1}, 4, NULL, false);
}

/* Whole chunks, and a sequence that ends within one. */
static void case_gated_delta_net_chunks(fixture *f) {
    static int32_t starts[210];
    for (int t = 0; t < 210; t++) {
        starts[t] = t < 70 ? 0 : 70;
    }
    tnn_gdn_args a = {.d_k = 2, .d_v = 2, .n_k_heads = 1, .n_v_heads = 1, .norm = TNN_L2_EPS_ADDED, .norm_eps = 1e-6f};
    delta_net_case(f, a, 210, starts, true);
}

/* Vectors of the kernels' own width. */
static void case_gated_delta_net_wide(fixture *f) {
    tnn_gdn_args a =
        {.d_k = 16, .d_v = 32, .n_k_heads = 1, .n_v_heads = 2, .norm = TNN_L2_EPS_FLOOR, .norm_eps = 1e-6f};
    delta_net_case(f, a, 5, NULL, true);
}

/* More rows than one chunk of logits; rows without a target; weights that differ. */
static void xent_case(fixture *f, int64_t n_vocab, int64_t n_rows, int64_t rank) {
    static int32_t targets[200];
    static double weights64[200];
    static float weights32[200];
    tnn_tensor *w = param(f, 0.5, 0, NE(6, n_vocab)), *x = param(f, 1, 0, NE(6, n_rows));
    for (int i = 0; i < n_rows; i++) {
        targets[i] = i % 4 == 1 ? -1 : (i * 5) % (int32_t)n_vocab;
        weights32[i] = 0.25f + 0.125f * (float)(i % 3);
        weights64[i] = (double)weights32[i];
    }
    f->row_weights = weights64;
    tnn_tensor *weights = tnn_input(f->graph, "weights", real_type(f), 1, &n_rows);
    f->inputs[f->n_inputs].tensor = weights;
    f->inputs[f->n_inputs++].data = real_type(f) == TNN_TYPE_F64 ? (const void *)weights64 : (const void *)weights32;
    tnn_tensor *all_targets = ints(f, targets, n_rows);
    if (rank == 0) {
        result(f, tnn_linear_xent(f->graph, w, x, all_targets, weights));
        return;
    }
    tnn_tensor *a = param(f, 0.5, 0, NE(6, rank)), *b = param(f, 0.5, 0, NE(rank, n_vocab));
    tnn_tensor *low = tnn_scale(f->graph, tnn_linear(f->graph, a, x, NULL), 0.75f);
    result(f, tnn_linear_xent_pair(f->graph, w, x, b, low, all_targets, weights));
}

static void case_linear_xent(fixture *f) {
    xent_case(f, 11, 6, 0);
}

static void case_linear_xent_chunks(fixture *f) {
    xent_case(f, 5, 131, 0);
}

static void case_linear_xent_pair(fixture *f) {
    xent_case(f, 301, 6, 3);
}

static void case_linear_xent_pair_chunks(fixture *f) {
    xent_case(f, 5, 131, 2);
}

/* A block in miniature under a tied head, as trained: recompute must not change a gradient. */
static void block_case(fixture *f, bool checkpoints) {
    static const int32_t targets[T] = {0, 3, 2, -1, 1};
    static double weights64[T];
    static float weights32[T];
    tnn_graph *g = f->graph;
    tnn_tensor *embed = param(f, 1, 0, NE(8, 4));
    tnn_rope_config c = tnn_rope_config_default();
    c.n_rot = 4;
    tnn_tensor *angles = tnn_rope_angles(g, ints(f, positions, T), NULL, &c);
    tnn_tensor *x = tnn_rows(g, embed, ints(f, ids, T));
    for (int layer = 0; layer < 2; layer++) {
        if (checkpoints) x = tnn_checkpoint(g, x);
        tnn_tensor *h = tnn_rms_norm(g, x, param(f, 0.2, 1, NE(8)), 1e-5f);
        tnn_tensor *q = tnn_reshape(g, tnn_linear(g, param(f, 0.4, 0, NE(8, 8)), h, NULL), NE(4, 2, T));
        tnn_tensor *k = tnn_reshape(g, tnn_linear(g, param(f, 0.4, 0, NE(8, 4)), h, NULL), NE(4, 1, T));
        tnn_tensor *v = tnn_reshape(g, tnn_linear(g, param(f, 0.4, 0, NE(8, 4)), h, NULL), NE(4, 1, T));
        tnn_attention_args a = {.scale = 0.5f};
        tnn_tensor *o = tnn_attention(g, tnn_rope(g, q, angles, &c), tnn_rope(g, k, angles, &c), v, &a);
        x = tnn_add(g, x, tnn_linear(g, param(f, 0.4, 0, NE(8, 8)), tnn_reshape(g, o, NE(8, T)), NULL));
        tnn_tensor *gate = tnn_linear(g, param(f, 0.4, 0, NE(8, 6)), x, NULL);
        tnn_tensor *up = tnn_linear(g, f->params[f->n_params - 1].value, x, NULL); /* shared with gate */
        x = tnn_add(g, x, tnn_linear(g, param(f, 0.4, 0, NE(6, 8)), tnn_swiglu(g, gate, up), NULL));
    }
    if (checkpoints) x = tnn_checkpoint(g, x);
    for (int i = 0; i < T; i++) {
        weights32[i] = 0.25f;
        weights64[i] = 0.25;
    }
    f->row_weights = weights64;
    int64_t n_rows = T;
    tnn_tensor *weights = tnn_input(g, "weights", real_type(f), 1, &n_rows);
    f->inputs[f->n_inputs].tensor = weights;
    f->inputs[f->n_inputs++].data = real_type(f) == TNN_TYPE_F64 ? (const void *)weights64 : (const void *)weights32;
    result(f, tnn_linear_xent(g, embed, x, ints(f, targets, T), weights));
}

static void case_block(fixture *f) {
    block_case(f, false);
}

static void case_block_recomputed(fixture *f) {
    block_case(f, true);
}

static const struct {
    const char *name;
    case_fn *build;
} cases[] = {
    {"rows", case_rows},
    {"linear", case_linear},
    {"linear, pairs", case_linear_pairs},
    {"add", case_add},
    {"scale", case_scale},
    {"dropout", case_dropout},
    {"rms_norm", case_rms_norm},
    {"rms_norm, many rows", case_rms_norm_many_rows},
    {"swiglu", case_swiglu},
    {"rope, half-split", case_rope_half},
    {"rope, half-split, partial", case_rope_half_partial},
    {"rope, interleaved, partial, yarn", case_rope_interleaved_partial_yarn},
    {"attention", case_attention},
    {"attention, packed", case_attention_packed},
    {"attention, window and mask", case_attention_window_mask},
    {"attention, many blocks", case_attention_many_blocks},
    {"attention, d = 64", case_attention_wide},
    {"sigmoid", case_sigmoid},
    {"sigmoid_gate", case_sigmoid_gate},
    {"slice", case_slice},
    {"rms_norm_gated", case_rms_norm_gated},
    {"conv1d_silu", case_conv1d_silu},
    {"conv1d_silu, packed", case_conv1d_silu_packed},
    {"gdn_decay, A_log", case_gdn_decay_log},
    {"gdn_decay, coefficient", case_gdn_decay_coef},
    {"gated_delta_net", case_gated_delta_net},
    {"gated_delta_net, grouped, packed", case_gated_delta_net_grouped},
    {"gated_delta_net, tiled", case_gated_delta_net_tiled},
    {"gated_delta_net, not normalised", case_gated_delta_net_as_is},
    {"gated_delta_net, chunks", case_gated_delta_net_chunks},
    {"gated_delta_net, wide", case_gated_delta_net_wide},
    {"linear_xent", case_linear_xent},
    {"linear_xent, chunks", case_linear_xent_chunks},
    {"linear_xent, pair", case_linear_xent_pair},
    {"linear_xent, pair, chunks", case_linear_xent_pair_chunks},
    {"block", case_block},
    {"block, recomputed", case_block_recomputed},
};
#define N_CASES (sizeof cases / sizeof *cases)

/* --- running --- */

static fixture open_fixture(case_fn *build, tnn_graph_mode mode, tnn_isa isa, bool backward) {
    fixture f = {.mode = mode};
    tnn_error err;
    tnn_session_options o = tnn_session_options_default();
    o.n_threads = 2;
    o.isa = isa;
    assert_int_equal(tnn_session_new(&f.session, &o, &err), TNN_OK);
    assert_int_equal(tnn_store_new(&f.store, f.session, &err), TNN_OK);
    assert_int_equal(tnn_graph_new(&f.graph, f.session, &err), TNN_OK);
    assert_int_equal(tnn_graph_set_mode(f.graph, mode, &err), TNN_OK);
    build(&f);
    if (backward) {
        tnn_seed seed = {f.output, f.seed};
        if (tnn_graph_backward(f.graph, &seed, 1, f.params, f.n_params, &err)) fail_msg("%s", err.text);
    }
    if (tnn_graph_plan(&f.plan, f.graph, &err)) fail_msg("%s", err.text);
    return f;
}

static void close_fixture(fixture *f) {
    tnn_plan_free(f->plan);
    tnn_graph_free(f->graph);
    tnn_store_free(f->store);
    tnn_session_free(f->session);
}

static double seed_weight(int64_t i) {
    return (double)sample(9, i);
}

/* Runs and returns the scalar that is differentiated, summed in double. */
static double run(fixture *f) {
    tnn_error err;
    int64_t n = tnn_tensor_elements(f->output);
    for (int i = 0; i < f->n_inputs; i++) {
        size_t bytes = tnn_tensor_bytes(f->inputs[i].tensor);
        if (tnn_plan_set(f->plan, f->inputs[i].tensor, f->inputs[i].data, bytes, &err)) fail_msg("%s", err.text);
    }
    if (f->seed) {
        void *seed = real_array(f, n);
        for (int64_t i = 0; i < n; i++) {
            put(f, seed, i, seed_weight(i));
        }
        if (tnn_plan_set(f->plan, f->seed, seed, tnn_tensor_bytes(f->seed), &err)) fail_msg("%s", err.text);
        free(seed);
    }
    if (tnn_plan_run(f->plan, &err)) fail_msg("%s", err.text);
    const void *y = tnn_plan_data(f->plan, f->output);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += get(f, y, i) * (f->seed ? seed_weight(i) : f->row_weights[i]);
    }
    return sum;
}

/* Gradients of all parameters, one after the other. */
static double *all_gradients(const fixture *f, int64_t *n_all) {
    *n_all = 0;
    for (int i = 0; i < f->n_params; i++) {
        *n_all += tnn_tensor_elements(f->params[i].value);
    }
    double *all = calloc((size_t)*n_all, sizeof *all), *to = all;
    for (int i = 0; i < f->n_params; i++) {
        int64_t n = tnn_tensor_elements(f->params[i].grad);
        void *data = real_array(f, n);
        tnn_tensor_read(f->params[i].grad, 0, data, tnn_tensor_bytes(f->params[i].grad), NULL);
        for (int64_t k = 0; k < n; k++) {
            *to++ = get(f, data, k);
        }
        free(data);
    }
    return all;
}

static double norm(const double *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    return sqrt(sum);
}

/* ||a - b|| / ||b|| */
static double relative(const double *a, const double *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return sqrt(sum) / norm(b, n);
}

static double central_difference(fixture *f, tnn_tensor *p, int64_t i) {
    const double h = 1e-5;
    double x, moved, sums[2];
    tnn_tensor_read(p, (size_t)i * sizeof x, &x, sizeof x, NULL);
    for (int side = 0; side < 2; side++) {
        moved = side ? x - h : x + h;
        tnn_tensor_write(p, (size_t)i * sizeof x, &moved, sizeof x, NULL);
        sums[side] = run(f);
    }
    tnn_tensor_write(p, (size_t)i * sizeof x, &x, sizeof x, NULL);
    return (sums[0] - sums[1]) / (2 * h);
}

static void test_central_differences(void **state) {
    (void)state;
    for (size_t c = 0; c < N_CASES; c++) {
        fixture f = open_fixture(cases[c].build, TNN_GRAPH_CHECK, TNN_ISA_PORTABLE, true);
        run(&f);
        int64_t n_all, at = 0;
        double *got = all_gradients(&f, &n_all), *want = calloc((size_t)n_all, sizeof *want);
        fixture forward = open_fixture(cases[c].build, TNN_GRAPH_CHECK, TNN_ISA_PORTABLE, false);
        for (int i = 0; i < f.n_params; i++) {
            int64_t first = at;
            for (int64_t k = 0; k < tnn_tensor_elements(f.params[i].value); k++) {
                want[at++] = central_difference(&forward, forward.params[i].value, k);
            }
            double error = relative(got + first, want + first, at - first);
            if (!(error <= 1e-6)) fail_msg("%s, parameter %d: relative error %.2e", cases[c].name, i, error);
        }
        printf("%-34s %6lld elements, relative error %.2e\n", cases[c].name, (long long)n_all,
               relative(got, want, n_all));
        free(got);
        free(want);
        close_fixture(&forward);
        close_fixture(&f);
    }
}

static void test_kernels(void **state) {
    (void)state;
    for (size_t c = 0; c < N_CASES; c++) {
        fixture f64 = open_fixture(cases[c].build, TNN_GRAPH_CHECK, TNN_ISA_PORTABLE, true);
        run(&f64);
        int64_t n;
        double *want = all_gradients(&f64, &n);
        for (int isa = 0; isa < TNN_ISA_COUNT; isa++) {
            if (!tnn_isa_available((tnn_isa)isa)) continue;
            fixture f32 = open_fixture(cases[c].build, TNN_GRAPH_TRAIN, (tnn_isa)isa, true);
            run(&f32);
            double *got = all_gradients(&f32, &n), error = relative(got, want, n);
            if (!(error <= 1e-4))
                fail_msg("%s, %s: relative error %.2e", cases[c].name, tnn_isa_name((tnn_isa)isa), error);
            free(got);
            close_fixture(&f32);
        }
        free(want);
        close_fixture(&f64);
    }
}

/* Gradients add up over runs: two passes give twice one. */
static void test_accumulation(void **state) {
    (void)state;
    fixture f = open_fixture(case_block, TNN_GRAPH_CHECK, TNN_ISA_PORTABLE, true);
    int64_t n;
    run(&f);
    double *once = all_gradients(&f, &n);
    run(&f);
    double *twice = all_gradients(&f, &n);
    for (int64_t i = 0; i < n; i++) {
        once[i] *= 2;
    }
    assert_true(norm(once, n) > 0);
    assert_true(relative(twice, once, n) < 1e-14);
    free(once);
    free(twice);
    close_fixture(&f);
}

/* A cache and its position are not differentiated: the reason is told. */
static void test_refusals(void **state) {
    (void)state;
    tnn_error err;
    fixture f = open_fixture(case_linear, TNN_GRAPH_TRAIN, TNN_ISA_PORTABLE, false);
    assert_int_equal(tnn_graph_set_mode(f.graph, TNN_GRAPH_INFER, &err), TNN_E_STATE);
    tnn_seed no_grad = {f.output, NULL};
    assert_int_equal(tnn_graph_backward(f.graph, &no_grad, 1, f.params, f.n_params, &err), TNN_E_SHAPE);
    close_fixture(&f);

    /* A seed of F32 in a graph that computes in F64 would be read past its end. */
    f = open_fixture(case_linear, TNN_GRAPH_CHECK, TNN_ISA_PORTABLE, false);
    tnn_tensor *narrow = tnn_store_tensor(f.store, "narrow", TNN_TYPE_F32, 2, tnn_tensor_ne(f.output), &err);
    assert_non_null(narrow);
    assert_int_equal(tnn_graph_backward(f.graph, &(tnn_seed){f.output, narrow}, 1, f.params, f.n_params, &err),
                     TNN_E_SHAPE);
    close_fixture(&f);

    f = open_fixture(case_linear, TNN_GRAPH_INFER, TNN_ISA_PORTABLE, false);
    tnn_seed seed = {f.output, f.seed};
    assert_int_equal(tnn_graph_backward(f.graph, &seed, 1, f.params, f.n_params, &err), TNN_E_STATE);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_central_differences),
        cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_accumulation),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
