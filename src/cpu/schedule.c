/*
 * Order and memory of a program. Steps keep their order; a step joins the current group if nothing in it conflicts,
 * chains onto one of its tasks if both go row by row over the same rows, and otherwise starts a new group after a
 * barrier. An object is alive from the first group that touches it to the last, so steps of one group never share
 * memory by accident.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cpu/program.h"

/* Whether b may not run beside a: one writes what the other touches. */
static bool conflicts(const tnn__step *a, const tnn__step *b) {
    for (int i = 0; i < a->n_obj; i++) {
        for (int j = 0; j < b->n_obj; j++) {
            bool written = i < a->n_written || j < b->n_written;
            if (written && a->obj[i] == b->obj[j] && a->obj[i] != TNN__NO_OBJ) return true;
        }
    }
    return false;
}

static bool chain_conflicts(const tnn__program *p, int32_t head, const tnn__step *st) {
    for (int32_t i = head; i >= 0; i = p->steps[i].next) {
        if (conflicts(&p->steps[i], st)) return true;
    }
    return false;
}

static bool can_share_rows(const tnn__step *head, const tnn__step *st) {
    return head->n_rows > 0 && head->n_rows == st->n_rows && !st->gathers;
}

/* Where step i goes in the group whose chains start in [first, i): -1 nowhere, i a chain of its own, else the head to
 * follow. */
static int32_t place_in_group(const tnn__program *p, int32_t first, int32_t i) {
    int32_t follow = i;
    for (int32_t head = first; head < i; head++) {
        if (!p->steps[head].is_head || !chain_conflicts(p, head, &p->steps[i])) continue;
        if (follow != i || !can_share_rows(&p->steps[head], &p->steps[i])) return -1;
        follow = head;
    }
    return follow;
}

static void form_groups(tnn__program *p) {
    int32_t first = 0;
    for (int32_t i = 0; i < p->n_steps; i++) {
        int32_t place = place_in_group(p, first, i);
        if (place < 0) {
            first = i;
            p->n_groups++;
            place = i;
        }
        tnn__step *st = &p->steps[i];
        st->group = p->n_groups;
        st->is_head = place == i;
        if (!st->is_head) {
            int32_t tail = place;
            while (p->steps[tail].next >= 0) {
                tail = p->steps[tail].next;
            }
            p->steps[tail].next = i;
        }
    }
    if (p->n_steps > 0) p->n_groups++;
}

static void find_lifetimes(tnn__program *p) {
    for (int32_t i = 0; i < p->n_steps; i++) {
        const tnn__step *st = &p->steps[i];
        for (int k = 0; k < st->n_obj; k++) {
            if (st->obj[k] == TNN__NO_OBJ) continue;
            tnn__object *o = &p->objects[st->obj[k]];
            if (o->first < 0) o->first = st->group;
            o->last = st->group;
        }
    }
    for (int32_t i = 0; i < p->n_objects; i++) {
        tnn__object *o = &p->objects[i];
        if (o->pinned) {
            o->first = 0;
            o->last = INT32_MAX;
        }
    }
}

static int larger_first(const void *a, const void *b) {
    const tnn__object *x = *(tnn__object *const *)a, *y = *(tnn__object *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

static bool alive_together(const tnn__object *a, const tnn__object *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest place for o among those placed already, which are kept in order of offset. */
static tnn_status place_object(tnn__object *o, tnn__object **by_offset, int32_t n_placed, size_t *total,
                               tnn_error *err) {
    size_t bytes, at = 0, end;
    if (!tnn__round_up_size(o->bytes, TNN__ALIGN, &bytes)) return tnn__fail_nomem(err, "the workspace", o->bytes);
    for (int32_t i = 0; i < n_placed; i++) {
        const tnn__object *q = by_offset[i];
        if (!alive_together(o, q)) continue;
        if (q->offset >= at && q->offset - at >= bytes) break;
        size_t q_end = q->offset + ((q->bytes + TNN__ALIGN - 1) & ~(size_t)(TNN__ALIGN - 1));
        if (q_end > at) at = q_end;
    }
    if (!tnn__add_size(at, bytes, &end) || end > PTRDIFF_MAX) return tnn__fail_nomem(err, "the workspace", o->bytes);
    o->offset = at;
    if (end > *total) *total = end;
    int32_t i = n_placed;
    while (i > 0 && by_offset[i - 1]->offset > at) {
        by_offset[i] = by_offset[i - 1];
        i--;
    }
    by_offset[i] = o;
    return TNN_OK;
}

static tnn_status lay_out(tnn__program *p, tnn_error *err) {
    const tnn_allocator *a = &p->backend->alloc;
    size_t n = (size_t)p->n_objects;
    tnn__object **by_size = tnn__calloc_array(a, n, sizeof *by_size);
    tnn__object **by_offset = tnn__calloc_array(a, n, sizeof *by_offset);
    tnn_status status = TNN_OK;
    if (!by_size || !by_offset) status = tnn__fail_nomem(err, "laying out memory", 2 * n * sizeof *by_size);
    int32_t n_live = 0;
    for (int32_t i = 0; i < p->n_objects && status == TNN_OK; i++) {
        tnn__object *o = &p->objects[i];
        if (!o->persistent && o->first >= 0) by_size[n_live++] = o;
    }
    if (status == TNN_OK) qsort(by_size, (size_t)n_live, sizeof *by_size, larger_first);
    for (int32_t i = 0; i < n_live && status == TNN_OK; i++) {
        status = place_object(by_size[i], by_offset, i, &p->workspace_bytes, err);
    }
    tnn__free_array(a, by_size, n, sizeof *by_size);
    tnn__free_array(a, by_offset, n, sizeof *by_offset);
    return status;
}

tnn_status tnn__schedule(tnn__program *p, tnn_error *err) {
    form_groups(p);
    find_lifetimes(p);
    for (int32_t i = 0; i < p->n_steps; i++) {
        if (p->steps[i].scratch_bytes > p->scratch_bytes) p->scratch_bytes = p->steps[i].scratch_bytes;
    }
    if (!tnn__round_up_size(p->scratch_bytes, TNN__ALIGN, &p->scratch_bytes)) {
        return tnn__fail_nomem(err, "the workers' scratch", p->scratch_bytes);
    }
    p->n_tasks = tnn__arena_push_array(&p->arena, (size_t)p->n_steps + 1, sizeof *p->n_tasks);
    if (!p->n_tasks) return tnn__fail_nomem(err, "a program", (size_t)p->n_steps * sizeof *p->n_tasks);
    return lay_out(p, err);
}
