/*
 * Plans: which nodes the outputs need, in order, handed to the backend, which lays out memory and cuts the work.
 */
#include <string.h>

#include "base/alloc.h"
#include "core/graph.h"

struct tnn_plan {
    tnn_graph *graph;
    tnn__program *program;
    bool reserved;
};

/* Marks what the outputs depend on and lists it in order of creation. */
static int64_t collect_needed(const tnn_graph *g, uint8_t *needed, tnn_tensor **nodes) {
    for (int64_t i = 0; i < g->n_outputs; i++) {
        needed[g->outputs[i]->index] = 1;
    }
    for (int64_t i = 0; i < g->n_effects; i++) {
        needed[g->effects[i]->index] = 1;
    }
    for (int64_t i = g->n_nodes - 1; i >= 0; i--) {
        if (!needed[i]) continue;
        const tnn_tensor *t = g->nodes[i];
        for (int k = 0; k < t->n_src; k++) {
            if (t->src[k] && !tnn__is_persistent(t->src[k])) needed[t->src[k]->index] = 1;
        }
    }
    int64_t n = 0;
    for (int64_t i = 0; i < g->n_nodes; i++) {
        if (needed[i]) nodes[n++] = g->nodes[i];
    }
    return n;
}

tnn_status tnn_graph_plan(tnn_plan **out, tnn_graph *g, tnn_error *err) {
    *out = NULL;
    tnn_status status = tnn_graph_status(g, err);
    if (status) return status;
    if (g->n_outputs == 0 && g->n_effects == 0)
        return tnn__fail(err, TNN_E_STATE, "the graph has no outputs; mark some with tnn_output");

    const tnn_allocator *a = &g->session->alloc;
    size_t n_nodes = (size_t)g->n_nodes;
    tnn_plan *p = tnn__calloc(a, sizeof *p, TNN__ALIGN);
    uint8_t *needed = tnn__calloc_array(a, n_nodes, 1);
    tnn_tensor **nodes = tnn__calloc_array(a, n_nodes, sizeof *nodes);
    if (!p || !needed || !nodes) {
        status = tnn__fail_nomem(err, "a plan", sizeof *p + n_nodes * (1 + sizeof *nodes));
    } else {
        p->graph = g;
        int64_t n = collect_needed(g, needed, nodes);
        tnn__backend *b = g->session->backend;
        status = b->ops->compile(b, g, nodes, n, &p->program, err);
    }
    tnn__free_array(a, needed, n_nodes, 1);
    tnn__free_array(a, nodes, n_nodes, sizeof *nodes);
    if (status) {
        tnn__free(a, p, sizeof *p, TNN__ALIGN);
        return status;
    }
    *out = p;
    return TNN_OK;
}

static const tnn__backend_ops *backend(const tnn_plan *p) {
    return p->graph->session->backend->ops;
}

void tnn_plan_free(tnn_plan *p) {
    if (!p) return;
    backend(p)->program_free(p->program);
    tnn__free(&p->graph->session->alloc, p, sizeof *p, TNN__ALIGN);
}

size_t tnn_plan_bytes(const tnn_plan *p) {
    return backend(p)->program_bytes(p->program);
}

tnn_status tnn_plan_reserve(tnn_plan *p, tnn_error *err) {
    if (p->reserved) return TNN_OK;
    tnn_status status = backend(p)->program_reserve(p->program, err);
    p->reserved = status == TNN_OK;
    return status;
}

tnn_status tnn_plan_set(tnn_plan *p, tnn_tensor *input, const void *data, size_t n, tnn_error *err) {
    const char *name = input ? tnn_tensor_name(input) : "(none)";
    if (!input || !input->is_input || input->graph != p->graph)
        return tnn__fail(err, TNN_E_ARG, "%s is no input of this plan's graph", name);
    if (n != input->bytes)
        return tnn__fail(err, TNN_E_ARG, "input %s: %zu bytes given, %zu expected", name, n, input->bytes);
    tnn_status status = tnn_plan_reserve(p, err);
    if (status) return status;
    void *to = backend(p)->program_data(p->program, input);
    if (to) memcpy(to, data, n); /* an input nothing depends on has no place */
    return TNN_OK;
}

tnn_status tnn_plan_run(tnn_plan *p, tnn_error *err) {
    tnn_status status = tnn_plan_reserve(p, err);
    return status ? status : backend(p)->program_run(p->program, err);
}

const void *tnn_plan_data(const tnn_plan *p, const tnn_tensor *t) {
    return t && t->is_output && t->graph == p->graph && p->reserved ? backend(p)->program_data(p->program, t) : NULL;
}
