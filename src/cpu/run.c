/* Running a program: one walk of the whole team over the groups, a barrier after each. */
#include <string.h>

#include "base/alloc.h"
#include "cpu/program.h"

size_t tnn__cpu_program_bytes(const tnn__program *p) {
    return p->workspace_bytes + p->scratch_bytes * (size_t)tnn__team_size(p->backend->team);
}

tnn_status tnn__cpu_program_reserve(tnn__program *p, tnn_error *err) {
    size_t bytes = tnn__cpu_program_bytes(p);
    p->memory = tnn__calloc(&p->backend->alloc, bytes, TNN__ALIGN);
    if (!p->memory) return tnn__fail_nomem(err, "the workspace", bytes);
    for (int32_t i = 0; i < p->n_objects; i++) {
        tnn__object *o = &p->objects[i];
        if (!o->persistent && o->first >= 0) o->ptr = p->memory + o->offset;
    }
    return TNN_OK;
}

void *tnn__cpu_program_data(const tnn__program *p, const tnn_tensor *t) {
    return t->index < p->n_nodes ? tnn__ptr(p, p->obj_of_node[t->index]) : NULL;
}

static void run_task(const tnn__program *p, int32_t head, int64_t task, void *scratch) {
    for (int32_t i = head; i >= 0; i = p->steps[i].next) {
        p->steps[i].run(p, &p->steps[i], task, scratch);
    }
}

/* Tasks of a group are numbered through its chains. */
static int32_t chain_of_task(const tnn__program *p, int32_t first, int64_t *task) {
    int32_t head = first;
    for (;; head++) {
        if (!p->steps[head].is_head) continue;
        if (*task < p->n_tasks[head]) return head;
        *task -= p->n_tasks[head];
    }
}

static void walk(void *ctx, int worker) {
    const tnn__program *p = ctx;
    tnn__team *team = p->backend->team;
    void *scratch = p->memory + p->workspace_bytes + (size_t)worker * p->scratch_bytes;
    for (int32_t first = 0, end; first < p->n_steps; first = end) {
        int64_t n_tasks = 0;
        for (end = first; end < p->n_steps && p->steps[end].group == p->steps[first].group; end++) {
            if (p->steps[end].is_head) n_tasks += p->n_tasks[end];
        }
        for (int64_t task; (task = tnn__team_next_task(team, n_tasks)) >= 0;) {
            int32_t head = chain_of_task(p, first, &task);
            run_task(p, head, task, scratch);
        }
        tnn__team_barrier(team);
    }
}

tnn_status tnn__cpu_program_run(tnn__program *p, tnn_error *err) {
    for (int32_t i = 0; i < p->n_steps; i++) {
        const tnn__step *st = &p->steps[i];
        tnn_status status = st->check ? st->check(p, st, err) : TNN_OK;
        if (status) return status;
        p->n_tasks[i] = st->count ? st->count(p, st) : st->n_tasks;
    }
    tnn__team_run(p->backend->team, walk, p);
    return TNN_OK;
}
