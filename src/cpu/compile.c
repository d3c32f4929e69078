/* Lowering a graph: objects for tensors, steps for nodes. Order and memory are schedule.c's. */
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "cpu/program.h"

void tnn__lower_error(tnn__lowering *l, tnn_status status, const char *fmt, ...) {
    if (l->error.status != TNN_OK) return;
    va_list args;
    va_start(args, fmt);
    tnn__vfail(&l->error, status, fmt, args);
    va_end(args);
}

static void no_memory(tnn__lowering *l) {
    tnn__lower_error(l, TNN_E_NOMEM, "out of memory compiling a graph of %lld nodes", (long long)l->graph->n_nodes);
}

/* Doubles an array of elements of `size` bytes when it is full; the arena keeps the old one. */
static bool make_room(tnn__lowering *l, void **array, int32_t n, int32_t *capacity, size_t size) {
    if (n < *capacity) return true;
    int32_t larger = *capacity ? 2 * *capacity : 256;
    void *moved = tnn__arena_push_array(&l->p->arena, (size_t)larger, size);
    if (!moved) {
        no_memory(l);
        return false;
    }
    if (n) memcpy(moved, *array, (size_t)n * size);
    *array = moved;
    *capacity = larger;
    return true;
}

static tnn__obj add_object(tnn__lowering *l, const tnn__object *record) {
    tnn__program *p = l->p;
    void *array = p->objects;
    if (!make_room(l, &array, p->n_objects, &p->cap_objects, sizeof *p->objects)) return TNN__NO_OBJ;
    p->objects = array;
    p->objects[p->n_objects] = *record;
    p->objects[p->n_objects].first = -1;
    return p->n_objects++;
}

/* The cache entry of (key, variant), or the free one where it goes; sized so that it never fills up. */
static struct tnn__obj_slot *cache_slot(tnn__lowering *l, const void *key, int64_t variant) {
    uint64_t hash = ((uint64_t)(uintptr_t)key >> 4) * 0x9e3779b97f4a7c15u ^ (uint64_t)variant * 0xc2b2ae3d27d4eb4fu;
    uint64_t mask = (uint64_t)l->cap_cache - 1;
    uint64_t i = (hash >> 20) & mask;
    while (l->cache[i].key && (l->cache[i].key != key || l->cache[i].variant != variant)) {
        i = (i + 1) & mask;
    }
    return &l->cache[i];
}

static tnn__obj cached(tnn__lowering *l, const void *key, int64_t variant, const tnn__object *record, bool *fresh) {
    if (l->error.status != TNN_OK) return TNN__NO_OBJ;
    struct tnn__obj_slot *slot = cache_slot(l, key, variant);
    *fresh = !slot->key;
    if (slot->key) return slot->obj;
    if (l->n_cache + 1 >= l->cap_cache) {
        no_memory(l);
        return TNN__NO_OBJ;
    }
    l->n_cache++;
    *slot = (struct tnn__obj_slot){.key = key, .variant = variant, .obj = add_object(l, record)};
    return slot->obj;
}

tnn__obj tnn__lower_obj(tnn__lowering *l, const tnn_tensor *t) {
    if (!t) return TNN__NO_OBJ;
    t = tnn__root(t);
    bool persistent = tnn__is_persistent(t);
    tnn__object record = {
        .bytes = t->bytes,
        .ptr = t->data,
        .persistent = persistent,
        .pinned = t->is_input || t->is_output,
    };
    bool fresh;
    return cached(l, t, 0, &record, &fresh);
}

tnn__obj tnn__lower_derived(tnn__lowering *l, const tnn_tensor *t, int64_t variant, size_t bytes, bool *fresh) {
    *fresh = false;
    return cached(l, tnn__root(t), variant, &(tnn__object){.bytes = bytes}, fresh);
}

tnn__obj tnn__lower_temp(tnn__lowering *l, size_t bytes) {
    return l->error.status != TNN_OK ? TNN__NO_OBJ : add_object(l, &(tnn__object){.bytes = bytes});
}

tnn__step *tnn__lower_step(tnn__lowering *l, const tnn_tensor *node, tnn__run_fn *run) {
    tnn__program *p = l->p;
    if (l->error.status != TNN_OK) return NULL;
    void *array = p->steps;
    if (!make_room(l, &array, p->n_steps, &p->cap_steps, sizeof *p->steps)) return NULL;
    p->steps = array;
    tnn__step *st = &p->steps[p->n_steps++];
    *st = (tnn__step){.run = run, .node = node, .n_tasks = 1, .next = -1};
    return st;
}

tnn__step *tnn__lower_rowwise(tnn__lowering *l, const tnn_tensor *node, int64_t n_rows, tnn__run_fn *run) {
    tnn__step *st = tnn__lower_step(l, node, run);
    if (st) {
        st->n_rows = n_rows;
        st->n_tasks = (n_rows + TNN__ROW_TILE - 1) / TNN__ROW_TILE;
    }
    return st;
}

void tnn__step_writes(tnn__step *st, tnn__obj o) {
    st->obj[st->n_obj++] = o;
    st->n_written++;
}

void tnn__step_reads(tnn__step *st, tnn__obj o) {
    st->obj[st->n_obj++] = o;
}

void *tnn__lower_state(tnn__lowering *l, size_t bytes) {
    if (l->error.status != TNN_OK) return NULL;
    void *state = tnn__arena_push(&l->p->arena, bytes);
    if (!state) no_memory(l);
    return state;
}

static void lower_node(tnn__lowering *l, const tnn_tensor *node) {
    switch (node->op) {
#define TNN__OP(id, name, gradient)                                                                                    \
    case TNN__OP_##id:                                                                                                 \
        tnn__lower_##name(l, node);                                                                                    \
        break;
#include "core/ops.def"
#undef TNN__OP
    case TNN__OP_NONE:
        tnn__lower_obj(l, node);
        break;
    case TNN__OP_VIEW:
    case TNN__OP_PART: /* written by the node it belongs to */
        break;
    case TNN__OP_COUNT:
        tnn__lower_error(l, TNN_E_UNSUPPORTED, "the CPU backend has no such operation");
        break;
    }
}

/* A view that is an output pins the memory it shows. */
static void pin_outputs(tnn__lowering *l) {
    for (int64_t i = 0; i < l->graph->n_outputs; i++) {
        tnn__obj o = tnn__lower_obj(l, l->graph->outputs[i]);
        if (o != TNN__NO_OBJ) l->p->objects[o].pinned = true;
    }
}

static tnn_status lower_all(tnn__program *p, const tnn_graph *g, tnn_tensor *const *nodes, int64_t n_nodes,
                            tnn_error *err) {
    tnn__lowering l = {.p = p, .graph = g, .kernels = &p->backend->kernels, .cap_cache = 256};
    /* Every node has at most itself, its sources (TNN__MAX_SRC) and a few derived forms in the cache. */
    while (l.cap_cache < 16 * n_nodes) {
        l.cap_cache *= 2;
    }
    const tnn_allocator *a = &p->backend->alloc;
    l.cache = tnn__calloc_array(a, (size_t)l.cap_cache, sizeof *l.cache);
    if (!l.cache) return tnn__fail_nomem(err, "compiling a graph", (size_t)l.cap_cache * sizeof *l.cache);
    for (int64_t i = 0; i < n_nodes && l.error.status == TNN_OK; i++) {
        lower_node(&l, nodes[i]);
    }
    pin_outputs(&l);
    for (int64_t i = 0; i < n_nodes && l.error.status == TNN_OK; i++) {
        p->obj_of_node[nodes[i]->index] = tnn__lower_obj(&l, nodes[i]);
    }
    tnn__free_array(a, l.cache, (size_t)l.cap_cache, sizeof *l.cache);
    if (l.error.status != TNN_OK && err) *err = l.error;
    return l.error.status;
}

tnn_status tnn__cpu_compile(tnn__backend *b, const tnn_graph *g, tnn_tensor *const *nodes, int64_t n_nodes,
                            tnn__program **out, tnn_error *err) {
    tnn__cpu_backend *backend = (tnn__cpu_backend *)b;
    *out = NULL;
    tnn__program *p = tnn__calloc(&backend->alloc, sizeof *p, TNN__ALIGN);
    if (!p) return tnn__fail_nomem(err, "a program", sizeof *p);
    p->backend = backend;
    tnn__arena_init(&p->arena, &backend->alloc, 64 * 1024);
    p->n_nodes = g->n_nodes;
    p->obj_of_node = tnn__arena_push_array(&p->arena, (size_t)g->n_nodes, sizeof *p->obj_of_node);
    tnn_status status;
    if (!p->obj_of_node) {
        status = tnn__fail_nomem(err, "a program", (size_t)g->n_nodes * sizeof *p->obj_of_node);
    } else {
        for (int64_t i = 0; i < g->n_nodes; i++) {
            p->obj_of_node[i] = TNN__NO_OBJ;
        }
        status = lower_all(p, g, nodes, n_nodes, err);
    }
    if (status == TNN_OK) status = tnn__schedule(p, err);
    if (status) {
        tnn__cpu_program_free(p);
        return status;
    }
    *out = p;
    return TNN_OK;
}

void tnn__cpu_program_free(tnn__program *p) {
    if (!p) return;
    const tnn_allocator a = p->backend->alloc;
    tnn__free(&a, p->memory, tnn__cpu_program_bytes(p), TNN__ALIGN);
    tnn__arena_free(&p->arena);
    tnn__free(&a, p, sizeof *p, TNN__ALIGN);
}
