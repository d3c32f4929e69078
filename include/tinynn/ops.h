/*
 * Operations: each appends a node to a graph and returns its result, or NULL after an error (see tnn_graph_status).
 * T is a number of rows (tokens); activations are F32 with ne = [features, T].
 */
#ifndef TINYNN_OPS_H
#define TINYNN_OPS_H

#include <tinynn/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Rows of a table: table [n, V] of any usable type, ids I32 [T] -> F32 [n, T]. An id outside [0, V) fails the run
 * (E_RANGE). */
TNN_API tnn_tensor *tnn_rows(tnn_graph *g, tnn_tensor *table, tnn_tensor *ids);

/*
 * y = W x + bias: w [in, out] of any usable type, x F32 [in, T], bias F32 [out] or NULL -> F32 [out, T].
 * Against quantised weights the activations are rounded to int8 in groups of 32.
 */
TNN_API tnn_tensor *tnn_linear(tnn_graph *g, tnn_tensor *w, tnn_tensor *x, tnn_tensor *bias);
/* W x + bias + B low, in one pass over the result: a low-rank pair beside a linear, b [r, out], low [r, T]. */
TNN_API tnn_tensor *tnn_linear_pair(tnn_graph *g, tnn_tensor *w, tnn_tensor *x, tnn_tensor *bias, tnn_tensor *b,
                                    tnn_tensor *low);
/* addend [out, T] + w x, likewise. */
TNN_API tnn_tensor *tnn_linear_onto(tnn_graph *g, tnn_tensor *addend, tnn_tensor *w, tnn_tensor *x);

/* Elementwise sum of two F32 tensors of one shape. */
TNN_API tnn_tensor *tnn_add(tnn_graph *g, tnn_tensor *a, tnn_tensor *b);

/* factor * x. */
TNN_API tnn_tensor *tnn_scale(tnn_graph *g, tnn_tensor *x, float factor);

/*
 * Dropout (Srivastava et al. 2014): x F32 [n, T] -> element i of row t is 0 with probability p in [0, 1), x / (1 - p)
 * otherwise. What is dropped is a function of seed, stream, samples[t], positions[t] (I32 [T]) and i alone: where a row
 * lies in a batch, or which thread has it, does not matter, and the gradient drops the same.
 */
TNN_API tnn_tensor *tnn_dropout(tnn_graph *g, tnn_tensor *x, tnn_tensor *samples, tnn_tensor *positions, float p,
                                uint64_t seed, uint64_t stream);

/* x / sqrt(mean(x^2) + eps) * gamma over ne[0] (Zhang & Sennrich 2019): x F32 [n, ...], gamma F32 [n], eps >= 0. */
TNN_API tnn_tensor *tnn_rms_norm(tnn_graph *g, tnn_tensor *x, tnn_tensor *gamma, float eps);

/* silu(gate) * up (Shazeer 2020): both F32 of one shape. */
TNN_API tnn_tensor *tnn_swiglu(tnn_graph *g, tnn_tensor *gate, tnn_tensor *up);

/* 1 / (1 + e^-x): x F32, any shape. */
TNN_API tnn_tensor *tnn_sigmoid(tnn_graph *g, tnn_tensor *x);
/* x * sigmoid(gate), both F32 of one shape: the gated attention output of Qwen3-Next. */
TNN_API tnn_tensor *tnn_sigmoid_gate(tnn_graph *g, tnn_tensor *x, tnn_tensor *gate);
/* rms_norm(x, gamma, eps) * silu(z): x, z F32 [n, ...] of one shape, gamma F32 [n] (Mamba-2's gated norm, norm first).
 */
TNN_API tnn_tensor *tnn_rms_norm_gated(tnn_graph *g, tnn_tensor *x, tnn_tensor *gamma, tnn_tensor *z, float eps);

/* Elements first .. first + n - 1 of every vector along ne[0], as a tensor of its own: x F32 [m, ...] -> [n, ...]. */
TNN_API tnn_tensor *tnn_slice(tnn_graph *g, tnn_tensor *x, int64_t first, int64_t n);
/* The same elements under another shape; costs nothing. */
TNN_API tnn_tensor *tnn_reshape(tnn_graph *g, tnn_tensor *x, int n_dims, const int64_t *ne);

/*
 * Rotary position embedding (Su et al. 2021; YaRN: Peng et al. 2023).
 * theta_i = position * freq_base^(-2i/n_rot) / factors[i], then scaled as below; with ext_factor = 0 the angle is
 * freq_scale * theta and the magnitude attn_factor; else angles are blended between freq_scale * theta and theta by the
 * ramp of YaRN over the pair index, magnitude attn_factor * (1 + 0.1 ln(1/freq_scale)).
 */
typedef struct tnn_rope_config {
    int32_t n_rot;    /* rotated elements of each head, even; the rest pass through */
    bool interleaved; /* pairs (2i, 2i+1); false: (i, i + n_rot/2) */
    float freq_base;
    float freq_scale; /* 1 / scaling factor */
    float ext_factor; /* 0: linear, 1: YaRN */
    float attn_factor;
    float beta_fast, beta_slow;
    int32_t n_ctx_orig;
} tnn_rope_config;

TNN_API tnn_rope_config tnn_rope_config_default(void); /* half-split, base 10000, no scaling; n_rot must be set */

/*
 * Angles of T positions, computed once a forward and shared by all layers: positions I32 [T], factors F32 [n_rot/2] or
 * NULL
 * -> F32 [n_rot, T], pairs (cos, sin) with the magnitude in both.
 */
TNN_API tnn_tensor *tnn_rope_angles(tnn_graph *g, tnn_tensor *positions, tnn_tensor *factors,
                                    const tnn_rope_config *config);
/* x F32 [d, heads, T], angles [n_rot, T] -> the same shape. */
TNN_API tnn_tensor *tnn_rope(tnn_graph *g, tnn_tensor *x, tnn_tensor *angles, const tnn_rope_config *config);

/*
 * Writes rows into a cache: x F32 [d, K, T] to cache [d, capacity, K, slots] (F32, F16, BF16 or Q8_0), row t at
 * position positions[t] of slot slots[t] (slots NULL: all in slot 0). Returns the cache, to be passed on so that
 * readers come after the write. A position outside the capacity fails the run (E_FULL).
 */
TNN_API tnn_tensor *tnn_kv_append(tnn_graph *g, tnn_tensor *cache, tnn_tensor *x, tnn_tensor *positions,
                                  tnn_tensor *slots);

/*
 * Scaled dot-product attention as one operation: q F32 [d, H, T] -> F32 [d_v, H, T]; query head h reads key head h /
 * (H/K). Without a cache k, v are F32 [d, K, T], [d_v, K, T] and row t sees rows max(starts[t], t - window + 1) .. t
 * (starts I32 [T], the first row of t's sequence; NULL: 0). With a cache k, v come from tnn_kv_append, [d, capacity, K,
 * slots] and row t sees positions max(0, p - window + 1) .. p of its slot, p = positions[t]. No T x T matrix is formed.
 */
typedef struct tnn_attention_args {
    float scale;           /* usually 1/sqrt(d) */
    int32_t window;        /* sliding window in positions, this one included; 0: none */
    tnn_tensor *positions; /* I32 [T]; with a cache */
    tnn_tensor *slots;     /* I32 [T] or NULL; with a cache */
    tnn_tensor *starts;    /* I32 [T] or NULL; without a cache */
    tnn_tensor *mask;      /* F32 [n_kv, T] added to the scores, or NULL; a row that it hides all from gives zeros */
} tnn_attention_args;

TNN_API tnn_tensor *tnn_attention(tnn_graph *g, tnn_tensor *q, tnn_tensor *k, tnn_tensor *v,
                                  const tnn_attention_args *args);

/*
 * --- Gated DeltaNet (Yang, Kautz & Hatamizadeh 2024), as Qwen3-Next and Qwen3.5 have it ---
 *
 * Two of the three ops below carry something from row to row. What belongs together is said as for attention. In
 * training there is no state, and starts[t] is the first row of row t's sequence (starts NULL: all rows are one):
 * nothing passes from one sequence to the next. In INFER mode a state of `slots` sequences is read and left as the next
 * rows need it; row t is position positions[t] of slot slots[t] (NULL: slot 0). Rows of one slot lie together, at
 * positions that follow each other, and a row at position 0 begins with an empty state; a batch that breaks these rules
 * fails the run (E_RANGE). The caller sees to it that a slot has seen the positions before. Without a state, every
 * sequence begins empty in INFER mode too.
 */

/*
 * Causal depthwise convolution, then SiLU: y[c][t] = silu(sum_j w[j][c] x[c][t - width + 1 + j]), zeros before a
 * sequence's first row. x F32 [channels, T], w F32 [width, channels], width 2..16 -> F32 [channels, T].
 */
typedef struct tnn_conv1d_args {
    tnn_tensor *state;     /* F32 [channels, width - 1, slots]: the last inputs, oldest first; NULL: none is carried */
    tnn_tensor *positions; /* I32 [T]; with a state */
    tnn_tensor *slots;     /* I32 [T] or NULL; with a state */
    tnn_tensor *starts;    /* I32 [T] or NULL; without one */
} tnn_conv1d_args;

TNN_API tnn_tensor *tnn_conv1d_silu(tnn_graph *g, tnn_tensor *x, tnn_tensor *w, const tnn_conv1d_args *args);

/*
 * Logarithm of the decay of a head at a row: a_coef * softplus(x + dt_bias), softplus(p) = p > 20 ? p : log(1 + e^p).
 * x F32 [heads, T], a and dt_bias F32 [heads] -> F32 [heads, T], 0 or less. a is a_coef itself (ssm_a of a GGUF file),
 * or A_log, with a_coef = -e^A_log (as it is trained).
 */
typedef enum tnn_gdn_decay_form { TNN_GDN_A_COEF, TNN_GDN_A_LOG } tnn_gdn_decay_form;

TNN_API tnn_tensor *tnn_gdn_decay(tnn_graph *g, tnn_tensor *x, tnn_tensor *dt_bias, tnn_tensor *a,
                                  tnn_gdn_decay_form form);

/*
 * The gated delta rule as one operation. Per value head, with the state S [d_k x d_v], decay a = e^g and update gate b:
 *
 *     S~ = a S,   u = b (v - S~^T k),   S = S~ + k u^T,   o = S^T q / sqrt(d_k)
 *
 * for each row in turn; computed in chunks of rows (the WY form of Yang et al. 2024), in few rows as written. q and k
 * are first normalised per head as `norm` says. Value head h reads key head h / (n_v_heads / n_k_heads), or, tiled, h %
 * n_k_heads (the order of qwen35 files). The result does not depend on what else is in the batch.
 *
 * q, k F32 [d_k, n_k_heads, T], v F32 [d_v, n_v_heads, T]; or k = v = NULL and q F32 [2 d_k n_k_heads + d_v n_v_heads,
 * T], a row of which is q, k and v one after the other. g (log decay, 0 or less) and b F32 [n_v_heads, T].
 * -> F32 [d_v, n_v_heads, T].
 */
typedef enum tnn_l2_rule {
    TNN_L2_NONE,      /* q and k as they are */
    TNN_L2_EPS_ADDED, /* x / sqrt(|x|^2 + eps): Transformers, flash-linear-attention */
    TNN_L2_EPS_FLOOR, /* x / max(|x|, eps): llama.cpp */
} tnn_l2_rule;

typedef struct tnn_gdn_args {
    int64_t d_k, d_v;             /* a head's key and value; up to 4096 */
    int64_t n_k_heads, n_v_heads; /* n_v_heads a multiple of n_k_heads; up to 65536 */
    tnn_l2_rule norm;
    float norm_eps;
    bool tiled;
    tnn_tensor *state;     /* F32 [d_v, d_k, n_v_heads, slots] or NULL: S of every head, key index slower */
    tnn_tensor *positions; /* I32 [T]; with a state */
    tnn_tensor *slots;     /* I32 [T] or NULL; with a state */
    tnn_tensor *starts;    /* I32 [T] or NULL; without one */
} tnn_gdn_args;

TNN_API tnn_tensor *tnn_gated_delta_net(tnn_graph *g, tnn_tensor *q, tnn_tensor *k, tnn_tensor *v, tnn_tensor *decay,
                                        tnn_tensor *beta, const tnn_gdn_args *args);
/*
 * Frobenius norms of the states that the sequences of y's batch leave; y is what tnn_gated_delta_net returned -> F32
 * [n_v_heads, n]: row i is of the i-th sequence in the batch, rows past the last one are zeros. n is the most there can
 * be: the slots of a state, T with starts, else 1. No gradient.
 */
TNN_API tnn_tensor *tnn_gdn_state_norms(tnn_graph *g, tnn_tensor *y);

/*
 * Cross-entropy of the logits W x against targets without keeping the logits: w [E, V], x F32 [E, T], targets I32 [T]
 * (below 0: no loss at that row), weights F32 [T] (d(loss)/d(row loss): 1/count for a mean) -> row losses F32 [T],
 * unweighted. The gradients are formed in the same sweep, a chunk of rows at a time. TRAIN and CHECK modes only.
 */
TNN_API tnn_tensor *tnn_linear_xent(tnn_graph *g, tnn_tensor *w, tnn_tensor *x, tnn_tensor *targets,
                                    tnn_tensor *weights);
/* The same of the logits W x + B low, b [r, V] and low F32 [r, T]: a low-rank pair beside W, low what its A made of x.
 */
TNN_API tnn_tensor *tnn_linear_xent_pair(tnn_graph *g, tnn_tensor *w, tnn_tensor *x, tnn_tensor *b, tnn_tensor *low,
                                         tnn_tensor *targets, tnn_tensor *weights);
/*
 * Of losses, what tnn_linear_xent or _pair returned: F32 [T], 1 where the target has the largest logit (of equals, the
 * lowest id), 0 elsewhere and at rows without a target. No gradient.
 */
TNN_API tnn_tensor *tnn_xent_hits(tnn_graph *g, tnn_tensor *losses);

/* --- updates: these change their first tensor in place and are run for that --- */

/*
 * One step of AdamW (Loshchilov & Hutter 2019): value, grad, m, v persistent F32 of one shape; hyper F32 [8], an input
 * or persistent: lr, beta1, beta2, eps, decay, 1 - beta1^step, 1 - beta2^step, factor applied to the gradient.
 */
TNN_API void tnn_adamw(tnn_graph *g, tnn_tensor *value, tnn_tensor *grad, tnn_tensor *m, tnn_tensor *v,
                       tnn_tensor *hyper);
/* value -= lr * (momentum buffer m = momentum * m + grad * factor); hyper F32 [4]: lr, momentum, decay, factor. */
TNN_API void tnn_sgd(tnn_graph *g, tnn_tensor *value, tnn_tensor *grad, tnn_tensor *m, tnn_tensor *hyper);
/*
 * One step of Muon (Jordan et al. 2024): momentum, made orthogonal by five Newton-Schulz iterations, for a matrix.
 * value, grad, m persistent F32 [in, out]; hyper F32 [4], an input or persistent: lr, momentum, decay, factor applied
 * to the gradient. With m = momentum m + (1 - momentum) g and u = (1 - momentum) g + momentum m (Nesterov), X = u /
 * ||u||, five times A = X X^T, X = 3.4445 X + (2.0315 A^2 - 4.7750 A) X; value -= lr (decay value + 0.2 sqrt(max(in,
 * out)) X). The last factor gives updates the size of AdamW's, so that both share a learning rate (Liu et al. 2025,
 * "Muon is scalable for LLM training", eq. 4).
 */
TNN_API void tnn_muon(tnn_graph *g, tnn_tensor *value, tnn_tensor *grad, tnn_tensor *m, tnn_tensor *hyper);
/* Sets every element of a persistent F32 tensor to zero. */
TNN_API void tnn_zero(tnn_graph *g, tnn_tensor *t);
/* Sum of squares of an F32 tensor -> F64 [1], summed in double in a fixed order. */
TNN_API tnn_tensor *tnn_sum_squares(tnn_graph *g, tnn_tensor *x);

#ifdef __cplusplus
}
#endif
#endif
