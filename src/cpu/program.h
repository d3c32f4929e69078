/*
 * A program of the CPU backend: steps over memory objects. Compiling a graph lowers each node to one or more steps
 * (src/cpu/steps/<op>.c), puts independent steps into groups that need no barrier between them, chains steps that work
 * row by row on the same rows into one task, and lays the objects out in one workspace by the groups they are alive in.
 */
#ifndef TNN_CPU_PROGRAM_H
#define TNN_CPU_PROGRAM_H

#include "base/arena.h"
#include "base/threads.h"
#include "core/backend.h"
#include "core/graph.h"
#include "cpu/kernels.h"
#include "cpu/ref/f64.h"

typedef struct tnn__cpu_backend {
    tnn__backend base;
    tnn_allocator alloc;
    tnn__team *team;
    tnn__kernels kernels;
    tnn__kernels_f64 kernels_f64;
    tnn_isa isa;
} tnn__cpu_backend;

/* --- objects: pieces of memory --- */

typedef int32_t tnn__obj;
#define TNN__NO_OBJ (-1)

typedef struct tnn__object {
    size_t bytes;
    size_t offset; /* in the workspace */
    void *ptr;     /* persistent tensors: from the start; else once reserved */
    bool persistent;
    bool pinned;         /* an input or output: alive throughout */
    int32_t first, last; /* groups it is alive in; first < 0: never used */
} tnn__object;

/* --- steps --- */

typedef struct tnn__step tnn__step;

/* Does one task; scratch is the worker's own, at least the step's scratch_bytes. */
typedef void tnn__run_fn(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch);

#define TNN__MAX_STEP_OBJ 12
/* Rows in one task of a row-wise step; one number, so that row-wise steps can share tasks. */
#define TNN__ROW_TILE 8

struct tnn__step {
    tnn__run_fn *run;
    /* Looks at input values before a run; NULL: nothing to check. */
    tnn_status (*check)(const tnn__program *p, const tnn__step *st, tnn_error *err);
    /* Number of tasks where it depends on input values; NULL: n_tasks. */
    int64_t (*count)(const tnn__program *p, const tnn__step *st);
    int64_t n_tasks;
    int64_t n_rows; /* > 0: row-wise, task i has rows [i * TNN__ROW_TILE, ...) */
    bool gathers;   /* row-wise, but reads rows other than its own: cannot share a task with what it reads */
    size_t scratch_bytes;
    const tnn_tensor *node;
    const void *state; /* what the step's op keeps; in the program's arena */
    int n_obj;
    int n_written; /* obj[0 .. n_written) are written, the rest are read */
    tnn__obj obj[TNN__MAX_STEP_OBJ];
    int32_t group;
    int32_t next; /* the step that follows in the same task, or -1 */
    bool is_head; /* first of its chain */
};

struct tnn__program {
    tnn__cpu_backend *backend;
    tnn__arena arena;
    tnn__object *objects;
    int32_t n_objects, cap_objects;
    tnn__step *steps;
    int32_t n_steps, cap_steps;
    int32_t n_groups;
    int64_t *n_tasks;     /* per step, for the current run */
    int32_t *obj_of_node; /* by node index; TNN__NO_OBJ */
    int64_t n_nodes;
    size_t workspace_bytes;
    size_t scratch_bytes; /* per worker */
    uint8_t *memory;      /* workspace, then the workers' scratch */
};

static inline void *tnn__ptr(const tnn__program *p, tnn__obj o) {
    return o == TNN__NO_OBJ ? NULL : p->objects[o].ptr;
}

static inline const tnn__kernels *tnn__kernels_of(const tnn__program *p) {
    return &p->backend->kernels;
}

/* Rows [*r0, *r1) of a task of a row-wise step. */
static inline void tnn__task_rows(const tnn__step *st, int64_t task, int64_t *r0, int64_t *r1) {
    *r0 = task * TNN__ROW_TILE;
    *r1 = *r0 + TNN__ROW_TILE < st->n_rows ? *r0 + TNN__ROW_TILE : st->n_rows;
}

/* --- lowering: what src/cpu/steps/<op>.c use --- */

typedef struct tnn__lowering {
    tnn__program *p;
    const tnn_graph *graph;
    const tnn__kernels *kernels;
    struct tnn__obj_slot {
        const void *key;
        int64_t variant;
        tnn__obj obj;
    } * cache; /* objects by tensor, and derived ones by (tensor, variant) */
    int64_t cap_cache, n_cache;
    tnn_error error; /* latched */
} tnn__lowering;

/* The object of a tensor (of its root, for a view). NULL gives TNN__NO_OBJ. */
tnn__obj tnn__lower_obj(tnn__lowering *l, const tnn_tensor *t);
/* A new temporary. */
tnn__obj tnn__lower_temp(tnn__lowering *l, size_t bytes);
/*
 * A temporary derived from a tensor (its int8 form, say), made once per program. *fresh tells the caller to add the
 * step that fills it.
 */
tnn__obj tnn__lower_derived(tnn__lowering *l, const tnn_tensor *t, int64_t variant, size_t bytes, bool *fresh);
/* Appends a step; NULL after an error was latched. Valid until the next append. */
tnn__step *tnn__lower_step(tnn__lowering *l, const tnn_tensor *node, tnn__run_fn *run);
/* Row-wise over n_rows. */
tnn__step *tnn__lower_rowwise(tnn__lowering *l, const tnn_tensor *node, int64_t n_rows, tnn__run_fn *run);
/* Written objects must be named before read ones. TNN__NO_OBJ keeps its place. */
void tnn__step_writes(tnn__step *st, tnn__obj o);
void tnn__step_reads(tnn__step *st, tnn__obj o);
/* Zeroed memory that lives with the program. */
void *tnn__lower_state(tnn__lowering *l, size_t bytes);
void tnn__lower_error(tnn__lowering *l, tnn_status status, const char *fmt, ...) TNN__PRINTF(3, 4);

/* One per op of ops.def. */
#define TNN__OP(id, name, gradient) void tnn__lower_##name(tnn__lowering *l, const tnn_tensor *node);
#include "core/ops.def"
#undef TNN__OP

/* Groups, chains and memory of a lowered program (schedule.c). */
tnn_status tnn__schedule(tnn__program *p, tnn_error *err);

/* compile.c and run.c: the backend's program functions. */
tnn_status tnn__cpu_compile(tnn__backend *b, const tnn_graph *g, tnn_tensor *const *nodes, int64_t n_nodes,
                            tnn__program **out, tnn_error *err);
void tnn__cpu_program_free(tnn__program *p);
size_t tnn__cpu_program_bytes(const tnn__program *p);
tnn_status tnn__cpu_program_reserve(tnn__program *p, tnn_error *err);
void *tnn__cpu_program_data(const tnn__program *p, const tnn_tensor *t);
tnn_status tnn__cpu_program_run(tnn__program *p, tnn_error *err);

#endif
