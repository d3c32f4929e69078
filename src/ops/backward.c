/*
 * Reverse-mode differentiation: walks the forward from its end, hands each node's collected gradient to the rule of its
 * op, which appends ordinary nodes. Between checkpoints the forward is first appended again, so that nothing but the
 * checkpoints needs to be kept until then.
 */
#include <string.h>

#include "base/alloc.h"
#include "ops/op.h"

struct tnn__backward {
    tnn_graph *g;
    const tnn_param *params;
    int64_t n_params;
    int64_t n_forward;
    tnn_tensor **forward; /* the nodes as they stood; g->nodes moves when it grows */
    tnn_tensor **grad;    /* collected so far, by node */
    tnn_tensor **copy;    /* recomputed form, by node, or NULL */
    bool *needed;         /* leads back to a parameter */
};

tnn_graph *tnn__backward_graph(const tnn__backward *b) {
    return b->g;
}

tnn_tensor *tnn__backward_param(const tnn__backward *b, const tnn_tensor *t) {
    for (int64_t i = 0; t && i < b->n_params; i++) {
        if (b->params[i].value == t) return b->params[i].grad;
    }
    return NULL;
}

tnn_tensor *tnn__backward_value(const tnn__backward *b, const tnn_tensor *t) {
    if (!t) return NULL;
    if (!tnn__is_persistent(t)) return b->copy[t->index] ? b->copy[t->index] : b->forward[t->index];
    /* The same tensor, without the const that rules see their node through. */
    tnn_tensor *same;
    memcpy(&same, &t, sizeof same);
    return same;
}

bool tnn__backward_needs(const tnn__backward *b, const tnn_tensor *t) {
    if (!t) return false;
    return tnn__is_persistent(t) ? tnn__backward_param(b, t) != NULL : b->needed[t->index];
}

void tnn__backward_add(tnn__backward *b, const tnn_tensor *t, tnn_tensor *grad) {
    if (!grad || !tnn__backward_needs(b, t)) return;
    if (tnn__is_persistent(t)) {
        tnn__accumulate(b->g, tnn__backward_param(b, t), grad);
    } else if (b->grad[t->index]) {
        b->grad[t->index] = tnn_add(b->g, b->grad[t->index], grad);
    } else {
        b->grad[t->index] = grad;
    }
}

tnn_tensor *tnn__backward_take(tnn__backward *b, const tnn_tensor *t) {
    if (tnn__is_persistent(t)) return NULL;
    tnn_tensor *grad = b->grad[t->index];
    b->grad[t->index] = NULL;
    return grad;
}

void tnn__grad_view(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad) {
    const tnn_tensor *x = node->src[0];
    tnn__backward_add(b, x, tnn_reshape(b->g, grad, x->n_dims, x->ne));
}

static void mark_needed(tnn__backward *b) {
    for (int64_t i = 0; i < b->n_forward; i++) {
        const tnn_tensor *t = b->forward[i];
        for (int k = 0; k < t->n_src; k++) {
            if (tnn__backward_needs(b, t->src[k])) b->needed[i] = true;
        }
    }
}

/* Part of a node that is not computed again: there is still the part itself. */
static bool is_part_of_kept(const tnn__backward *b, const tnn_tensor *t) {
    return t->op == TNN__OP_PART && !b->copy[t->src[0]->index];
}

/* Appends the nodes (first, end) again, from the checkpoint at first. */
static void recompute(tnn__backward *b, int64_t first, int64_t end) {
    for (int64_t i = first + 1; i < end; i++) {
        const tnn_tensor *t = b->forward[i];
        if (t->op == TNN__OP_NONE || is_part_of_kept(b, t)) continue;
        tnn_tensor *src[TNN__MAX_SRC];
        for (int k = 0; k < t->n_src; k++) {
            src[k] = tnn__backward_value(b, t->src[k]);
        }
        b->copy[i] = tnn__graph_clone(b->g, t, src);
    }
}

static int64_t checkpoint_before(const tnn__backward *b, int64_t i) {
    do {
        i--;
    } while (i >= 0 && !b->forward[i]->is_checkpoint);
    return i;
}

static bool is_loss(const tnn_tensor *t) {
    return t->op == TNN__OP_LINEAR_XENT;
}

static void walk_back(tnn__backward *b, const bool *is_seed) {
    for (int64_t i = b->n_forward - 1; i >= 0; i--) {
        const tnn_tensor *t = b->forward[i];
        /* Everything above a checkpoint is done: what lies below it is needed next, and is computed again. */
        if (t->is_checkpoint) {
            int64_t below = checkpoint_before(b, i);
            if (below >= 0) recompute(b, below, i);
        }
        bool starts = is_loss(t) && is_seed[i];
        if ((!b->grad[i] && !starts) || !b->needed[i] || t->op == TNN__OP_NONE) continue;
        const tnn__op_info *op = tnn__op_info_of(t->op);
        if (!op->grad) {
            tnn__graph_error(b->g, TNN_E_UNSUPPORTED, "%s has no gradient: %s", op->name, op->no_grad);
            return;
        }
        op->grad(b, t, b->grad[i]);
    }
}

static void check_arguments(tnn_graph *g, const tnn_seed *seeds, int64_t n_seeds, const tnn_param *params,
                            int64_t n_params) {
    for (int64_t i = 0; i < n_params; i++) {
        const tnn_tensor *value = params[i].value, *grad = params[i].grad;
        if (!value || !grad || !tnn__is_persistent(value) || !tnn__is_gradient_of(g, grad, value)) {
            tnn__shape_error(g, "backward", "a parameter needs a gradient of its shape, F32 or F64 as the graph", value,
                             grad);
        }
    }
    for (int64_t i = 0; i < n_seeds; i++) {
        const tnn_tensor *y = seeds[i].output, *grad = seeds[i].grad;
        if (!y || tnn__is_persistent(y) || y->graph != g || (!grad && !is_loss(y)) ||
            (grad && (!tnn__is_real(g, grad) || !tnn__same_shape(y, grad)))) {
            tnn__shape_error(g, "backward", "a seed is a loss, or an output with a gradient of its shape and type", y,
                             grad);
        }
    }
}

static void differentiate(tnn__backward *b, const tnn_seed *seeds, int64_t n_seeds, bool *is_seed) {
    mark_needed(b);
    for (int64_t i = 0; i < n_seeds; i++) {
        is_seed[seeds[i].output->index] = true;
        if (seeds[i].grad) tnn__backward_add(b, seeds[i].output, seeds[i].grad);
    }
    walk_back(b, is_seed);
}

tnn_status tnn_graph_backward(tnn_graph *g, const tnn_seed *seeds, int64_t n_seeds, const tnn_param *params,
                              int64_t n_params, tnn_error *err) {
    if (g->mode == TNN_GRAPH_INFER) {
        return tnn__fail(err, TNN_E_STATE, "an inference graph is not differentiated; set the mode TRAIN first");
    }
    if (g->error.status == TNN_OK) check_arguments(g, seeds, n_seeds, params, n_params);
    if (g->error.status) return tnn_graph_status(g, err);

    const tnn_allocator *a = &g->session->alloc;
    size_t n = (size_t)g->n_nodes;
    tnn__backward b = {.g = g, .params = params, .n_params = n_params, .n_forward = g->n_nodes};
    tnn_tensor **arrays = tnn__calloc_array(a, 3 * n, sizeof *arrays);
    bool *flags = tnn__calloc_array(a, 2 * n, sizeof *flags);
    if (arrays && flags) {
        b.forward = arrays;
        b.grad = arrays + n;
        b.copy = arrays + 2 * n;
        b.needed = flags;
        memcpy(b.forward, g->nodes, n * sizeof *arrays);
        differentiate(&b, seeds, n_seeds, flags + n);
    } else {
        tnn__graph_error(g, TNN_E_NOMEM, "out of memory differentiating a graph of %zu nodes", n);
    }
    tnn__free_array(a, arrays, 3 * n, sizeof *arrays);
    tnn__free_array(a, flags, 2 * n, sizeof *flags);
    return tnn_graph_status(g, err);
}
