/*
 * rope: rotary position embedding in two ops: the angles of the T positions, made once a forward, and the rotation of
 * each head.
 */
#include <math.h>

#include "ops/op.h"

tnn_rope_config tnn_rope_config_default(void) {
    return (tnn_rope_config){
        .freq_base = 10000.0f,
        .freq_scale = 1.0f,
        .attn_factor = 1.0f,
        .beta_fast = 32.0f,
        .beta_slow = 1.0f,
    };
}

static bool is_over(float value, float least) {
    return isfinite(value) && value > least;
}

static bool config_is_sane(const tnn_rope_config *c) {
    return c->n_rot > 0 && c->n_rot % 2 == 0 && is_over(c->freq_base, 1.0f) && is_over(c->freq_scale, 0.0f) &&
           isfinite(c->ext_factor) && isfinite(c->attn_factor) &&
           (c->ext_factor == 0.0f || (c->n_ctx_orig > 0 && is_over(c->beta_fast, 0.0f) && is_over(c->beta_slow, 0.0f)));
}

tnn_tensor *tnn_rope_angles(tnn_graph *g, tnn_tensor *positions, tnn_tensor *factors, const tnn_rope_config *config) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){positions})) return NULL;
    if (!config_is_sane(config)) {
        return tnn__graph_error(g, TNN_E_RANGE,
                                "rope_angles: n_rot %d must be even and positive, the base over 1, the scale over 0, "
                                "with YaRN the original context and both betas too, and all finite",
                                config->n_rot);
    }
    if (!tnn__is_index(positions, positions->ne[0])) {
        return tnn__shape_error(g, "rope_angles", "positions must be I32 [T]", positions, NULL);
    }
    if (factors && (factors->type != TNN_TYPE_F32 || factors->n_dims != 1 || factors->ne[0] != config->n_rot / 2)) {
        return tnn__shape_error(g, "rope_angles", "factors must be F32 [n_rot/2]", factors, NULL);
    }
    tnn_tensor *y = tnn__graph_node(g, TNN__OP_ROPE_ANGLES, tnn__real_type(g), 2,
                                    (const int64_t[]){config->n_rot, positions->ne[0]}, 2,
                                    (tnn_tensor *const[]){positions, factors});
    if (y) y->params.rope.config = *config;
    return y;
}

static tnn_tensor *rotate(tnn_graph *g, tnn_tensor *x, tnn_tensor *angles, const tnn_rope_config *config,
                          bool inverse) {
    tnn_tensor *y = tnn__graph_node(g, TNN__OP_ROPE, x->type, 3, x->ne, 2, (tnn_tensor *const[]){x, angles});
    if (!y) return NULL;
    y->params.rope.config = *config;
    y->params.rope.inverse = inverse;
    return y;
}

tnn_tensor *tnn_rope(tnn_graph *g, tnn_tensor *x, tnn_tensor *angles, const tnn_rope_config *config) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){x, angles})) return NULL;
    if (!tnn__is_real(g, x) || !tnn__is_real(g, angles) || x->n_dims != 3 || angles->n_dims != 2 ||
        angles->ne[1] != x->ne[2] || angles->ne[0] != config->n_rot || config->n_rot % 2 != 0 ||
        config->n_rot > x->ne[0]) {
        return tnn__shape_error(g, "rope", "x [d, heads, T] and angles [n_rot, T] with an even n_rot <= d are needed",
                                x, angles);
    }
    return rotate(g, x, angles, config, false);
}

tnn_tensor *tnn__rope_back(tnn_graph *g, tnn_tensor *dy, tnn_tensor *angles, const tnn_rope_config *config) {
    if (tnn__graph_skip(g, 2, (const tnn_tensor *const[]){dy, angles})) return NULL;
    return rotate(g, dy, angles, config, true);
}

/* A rotation's transpose is its inverse; a magnitude other than 1 stays as it is, in both directions. */
void tnn__grad_rope(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    tnn_tensor *angles = tnn__backward_value(b, node->src[1]);
    tnn__backward_add(b, node->src[0], tnn__rope_back(tnn__backward_graph(b), grad, angles, &node->params.rope.config));
}
