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

/* Elementwise sum of two F32 tensors of one shape. */
TNN_API tnn_tensor *tnn_add(tnn_graph *g, tnn_tensor *a, tnn_tensor *b);

/* factor * x. */
TNN_API tnn_tensor *tnn_scale(tnn_graph *g, tnn_tensor *x, float factor);

/* x / sqrt(mean(x^2) + eps) * gamma over ne[0] (Zhang & Sennrich 2019): x F32 [n, ...], gamma F32 [n]. */
TNN_API tnn_tensor *tnn_rms_norm(tnn_graph *g, tnn_tensor *x, tnn_tensor *gamma, float eps);

/* silu(gate) * up (Shazeer 2020): both F32 of one shape. */
TNN_API tnn_tensor *tnn_swiglu(tnn_graph *g, tnn_tensor *gate, tnn_tensor *up);

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
    tnn_tensor *mask;      /* F32 [n_kv, T] added to the scores, or NULL */
} tnn_attention_args;

TNN_API tnn_tensor *tnn_attention(tnn_graph *g, tnn_tensor *q, tnn_tensor *k, tnn_tensor *v,
                                  const tnn_attention_args *args);

/*
 * Cross-entropy of the logits W x against targets without keeping the logits: w [E, V], x F32 [E, T], targets I32 [T]
 * (below 0: no loss at that row), weights F32 [T] (d(loss)/d(row loss): 1/count for a mean) -> row losses F32 [T],
 * unweighted. The gradients are formed in the same sweep, a chunk of rows at a time. TRAIN and CHECK modes only.
 */
TNN_API tnn_tensor *tnn_linear_xent(tnn_graph *g, tnn_tensor *w, tnn_tensor *x, tnn_tensor *targets,
                                    tnn_tensor *weights);

/* --- updates: these change their first tensor in place and are run for that --- */

/*
 * One step of AdamW (Loshchilov & Hutter 2019): value, grad, m, v persistent F32 of one shape; hyper F32 [8], an input
 * or persistent: lr, beta1, beta2, eps, decay, 1 - beta1^step, 1 - beta2^step, factor applied to the gradient.
 */
TNN_API void tnn_adamw(tnn_graph *g, tnn_tensor *value, tnn_tensor *grad, tnn_tensor *m, tnn_tensor *v,
                       tnn_tensor *hyper);
/* value -= lr * (momentum buffer m = momentum * m + grad * factor); hyper F32 [4]: lr, momentum, decay, factor. */
TNN_API void tnn_sgd(tnn_graph *g, tnn_tensor *value, tnn_tensor *grad, tnn_tensor *m, tnn_tensor *hyper);
/* Sets every element of a persistent F32 tensor to zero. */
TNN_API void tnn_zero(tnn_graph *g, tnn_tensor *t);
/* Sum of squares of an F32 tensor -> F64 [1], summed in double in a fixed order. */
TNN_API tnn_tensor *tnn_sum_squares(tnn_graph *g, tnn_tensor *x);

#ifdef __cplusplus
}
#endif
#endif
