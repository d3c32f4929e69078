/*
 * A fixed team of threads that walks a list of steps together. The caller is worker 0. Work is cut into tasks by
 * shape alone; which worker takes a task is free, so results must not depend on it.
 */
#ifndef TNN_BASE_THREADS_H
#define TNN_BASE_THREADS_H

#include <stdint.h>

#include <tinynn/allocator.h>
#include <tinynn/status.h>

#define TNN__MAX_THREADS 1024

typedef struct tnn__team tnn__team;

/* E_RANGE unless 1 <= n_threads <= TNN__MAX_THREADS. Workers sleep between runs after a short spin. */
tnn_status tnn__team_new(tnn__team **out, int n_threads, const tnn_allocator *a, tnn_error *err);
void tnn__team_free(tnn__team *team);
int tnn__team_size(const tnn__team *team);

/* Runs fn(ctx, worker) once on every worker, returns when all have. Not reentrant: one run at a time per team. */
void tnn__team_run(tnn__team *team, void (*fn)(void *ctx, int worker), void *ctx);

/* Inside a run: waits until every worker has arrived. Memory written before it is visible after it. */
void tnn__team_barrier(tnn__team *team);

/* Inside a run: the next task of [0, n) for the current stage, or -1 when none is left. Every worker must drain a stage
 * and pass a barrier before tnn__team_barrier-separated code starts the next; the barrier resets the counter. */
int64_t tnn__team_next_task(tnn__team *team, int64_t n);

/* Convenience: fn(ctx, task, worker) for every task of [0, n). */
void tnn__team_for(tnn__team *team, int64_t n, void (*fn)(void *ctx, int64_t task, int worker), void *ctx);

#endif
