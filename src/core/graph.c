/*
 * Graphs: nodes in order of creation, sources first, and the first error any builder met.
 */
#include "core/graph.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

tnn_status tnn_graph_new(tnn_graph **out, tnn_session *s, tnn_error *err) {
    *out = NULL;
    tnn_graph *g = tnn__calloc(&s->alloc, sizeof *g, TNN__ALIGN);
    if (!g) return tnn__fail_nomem(err, "a graph", sizeof *g);
    g->session = s;
    tnn__arena_init(&g->arena, &s->alloc, 0);
    *out = g;
    return TNN_OK;
}

void tnn_graph_free(tnn_graph *g) {
    if (!g) return;
    const tnn_allocator *a = &g->session->alloc;
    tnn__free_array(a, g->nodes, (size_t)g->cap_nodes, sizeof(tnn_tensor *));
    tnn__free_array(a, g->outputs, (size_t)g->cap_outputs, sizeof(tnn_tensor *));
    tnn__free_array(a, g->effects, (size_t)g->cap_effects, sizeof(tnn_tensor *));
    tnn__arena_free(&g->arena);
    tnn__free(a, g, sizeof *g, TNN__ALIGN);
}

tnn_status tnn_graph_status(const tnn_graph *g, tnn_error *err) {
    if (g->error.status != TNN_OK && err) *err = g->error;
    return g->error.status;
}

void tnn_graph_fail(tnn_graph *g, tnn_status status, const char *text) {
    tnn__graph_error(g, status, "%s", text);
}

tnn_tensor *tnn__graph_error(tnn_graph *g, tnn_status status, const char *fmt, ...) {
    if (g->error.status != TNN_OK) return NULL;
    va_list args;
    va_start(args, fmt);
    tnn__vfail(&g->error, status, fmt, args);
    va_end(args);
    return NULL;
}

bool tnn__graph_skip(const tnn_graph *g, int n, const tnn_tensor *const *required) {
    if (!g || g->error.status != TNN_OK) return true;
    for (int i = 0; i < n; i++) {
        if (!required[i]) return true;
    }
    return false;
}

/* Appends to a pointer array that doubles. */
static bool push(tnn_graph *g, tnn_tensor ***array, int64_t *n, int64_t *capacity, tnn_tensor *t) {
    const tnn_allocator *a = &g->session->alloc;
    if (*n == *capacity) {
        int64_t larger = *capacity ? 2 * *capacity : 128;
        tnn_tensor **moved = tnn__calloc_array(a, (size_t)larger, sizeof *moved);
        if (!moved) return false;
        if (*n) memcpy(moved, *array, (size_t)*n * sizeof *moved);
        tnn__free_array(a, *array, (size_t)*capacity, sizeof *moved);
        *array = moved;
        *capacity = larger;
    }
    (*array)[(*n)++] = t;
    return true;
}

static tnn_tensor *append(tnn_graph *g, const tnn_tensor *record) {
    tnn_tensor *t = tnn__arena_push(&g->arena, sizeof *t);
    if (t) {
        *t = *record;
        t->graph = g;
        t->index = (int32_t)g->n_nodes;
    }
    if (!t || g->n_nodes >= INT32_MAX || !push(g, &g->nodes, &g->n_nodes, &g->cap_nodes, t)) {
        return tnn__graph_error(g, TNN_E_NOMEM, "out of memory for a graph of %lld nodes", (long long)g->n_nodes);
    }
    return t;
}

static bool set_sources(tnn_graph *g, tnn_tensor *t, int n_src, tnn_tensor *const *src) {
    t->n_src = n_src;
    for (int i = 0; i < n_src; i++) {
        if (src[i] && !tnn__is_persistent(src[i]) && src[i]->graph != g) {
            tnn__graph_error(g, TNN_E_ARG, "source %d of a node belongs to another graph", i);
            return false;
        }
        t->src[i] = src[i];
    }
    return true;
}

tnn_tensor *tnn__graph_node(tnn_graph *g, tnn__op_id op, tnn_type type, int n_dims, const int64_t *ne, int n_src,
                            tnn_tensor *const *src) {
    tnn_tensor t = {.op = op};
    if (!tnn__tensor_set_shape(&t, type, n_dims, ne)) {
        return tnn__graph_error(g, TNN_E_SHAPE, "the result of a node would have an impossible shape");
    }
    if (!set_sources(g, &t, n_src, src)) return NULL;
    return append(g, &t);
}

tnn_tensor *tnn__graph_alias(tnn_graph *g, tnn__op_id op, int n_dims, const int64_t *ne, int n_src,
                             tnn_tensor *const *src) {
    tnn_tensor t = {.op = op};
    if (!tnn__tensor_set_shape(&t, src[0]->type, n_dims, ne) || t.bytes != src[0]->bytes) {
        char shape[TNN__SHAPE_TEXT];
        return tnn__graph_error(g, TNN_E_SHAPE, "reshape: %s has another number of elements than the shape asked for",
                                tnn__shape_text(src[0], shape));
    }
    if (!set_sources(g, &t, n_src, src)) return NULL;
    t.view_of = src[0]->view_of ? src[0]->view_of : src[0];
    return append(g, &t);
}

tnn_tensor *tnn__graph_part_at(tnn_graph *g, tnn_tensor *node, int i, int n_dims, const int64_t *ne) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){node})) return NULL;
    tnn_tensor *part = tnn__graph_node(g, TNN__OP_PART, node->type, n_dims, ne, 1, &node);
    if (part) node->parts[i] = part;
    return part;
}

tnn_tensor *tnn__graph_part(tnn_graph *g, tnn_tensor *node, int n_dims, const int64_t *ne) {
    int i = 0;
    while (node && node->parts[i]) {
        i++;
    }
    return tnn__graph_part_at(g, node, i, n_dims, ne);
}

tnn_tensor *tnn__graph_effect(tnn_graph *g, tnn_tensor *node) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){node})) return NULL;
    if (push(g, &g->effects, &g->n_effects, &g->cap_effects, node)) return node;
    return tnn__graph_error(g, TNN_E_NOMEM, "out of memory for a graph of %lld nodes", (long long)g->n_nodes);
}

tnn_tensor *tnn__graph_clone(tnn_graph *g, const tnn_tensor *node, tnn_tensor *const *src) {
    if (tnn__graph_skip(g, 0, NULL)) return NULL;
    tnn_tensor t = *node;
    t.is_output = t.is_checkpoint = false;
    t.name = NULL;
    memset(t.parts, 0, sizeof t.parts);
    if (!set_sources(g, &t, node->n_src, src)) return NULL;
    if (t.view_of) t.view_of = src[0]->view_of ? src[0]->view_of : src[0];
    tnn_tensor *copy = append(g, &t);
    if (copy && copy->op == TNN__OP_PART) {
        const tnn_tensor *whole = node->src[0];
        tnn_tensor *copied_whole = copy->src[0];
        for (int i = 0; whole && copied_whole && i < TNN__MAX_PARTS; i++) {
            if (whole->parts[i] == node) copied_whole->parts[i] = copy;
        }
    }
    return copy;
}

tnn_status tnn_graph_set_mode(tnn_graph *g, tnn_graph_mode mode, tnn_error *err) {
    if (g->n_nodes > 0) return tnn__fail(err, TNN_E_STATE, "the mode of a graph is set before its first node");
    if (mode != TNN_GRAPH_INFER && mode != TNN_GRAPH_TRAIN && mode != TNN_GRAPH_CHECK)
        return tnn__fail(err, TNN_E_ARG, "%d is no mode of a graph: give INFER, TRAIN or CHECK", (int)mode);
    g->mode = mode;
    g->bf16 = false;
    return TNN_OK;
}

tnn_status tnn_graph_set_compute_type(tnn_graph *g, tnn_type type, tnn_error *err) {
    if (g->n_nodes > 0) return tnn__fail(err, TNN_E_STATE, "the compute type of a graph is set before its first node");
    if (type == TNN_TYPE_F32 || (type == TNN_TYPE_BF16 && g->mode == TNN_GRAPH_TRAIN)) {
        g->bf16 = type == TNN_TYPE_BF16;
        return TNN_OK;
    }
    return tnn__fail(err, TNN_E_UNSUPPORTED, "a graph computes in f32 or, in TRAIN mode, in bf16");
}

tnn_tensor *tnn_checkpoint(tnn_graph *g, tnn_tensor *x) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){x})) return NULL;
    x->is_checkpoint = true;
    return x;
}

tnn_tensor *tnn_input(tnn_graph *g, const char *name, tnn_type type, int n_dims, const int64_t *ne) {
    if (tnn__graph_skip(g, 0, NULL)) return NULL;
    if (!name) name = "";
    tnn_tensor t = {.is_input = true};
    if (!tnn__tensor_set_shape(&t, type, n_dims, ne)) {
        return tnn__graph_error(g, TNN_E_SHAPE, "input %s: impossible shape", name);
    }
    t.name = tnn__arena_strdup(&g->arena, name);
    if (!t.name) return tnn__graph_error(g, TNN_E_NOMEM, "out of memory for input %s", name);
    return append(g, &t);
}

tnn_tensor *tnn_output(tnn_graph *g, tnn_tensor *t, const char *name) {
    if (tnn__graph_skip(g, 1, (const tnn_tensor *const[]){t})) return NULL;
    if (!name) name = "";
    if (tnn__is_persistent(t))
        return tnn__graph_error(g, TNN_E_ARG, "output %s: a persistent tensor is read directly", name);
    if (t->graph != g) return tnn__graph_error(g, TNN_E_ARG, "output %s belongs to another graph", name);
    if (!t->is_output && !push(g, &g->outputs, &g->n_outputs, &g->cap_outputs, t)) {
        return tnn__graph_error(g, TNN_E_NOMEM, "out of memory for output %s", name);
    }
    t->is_output = true;
    t->name = tnn__arena_strdup(&g->arena, name);
    if (!t->name) return tnn__graph_error(g, TNN_E_NOMEM, "out of memory for output %s", name);
    return t;
}

int64_t tnn_graph_n_outputs(const tnn_graph *g) {
    return g->n_outputs;
}

tnn_tensor *tnn_graph_output_at(const tnn_graph *g, int64_t i) {
    return i >= 0 && i < g->n_outputs ? g->outputs[i] : NULL;
}
