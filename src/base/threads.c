/*
 * The team. A run is announced by a new epoch; inside a run everybody meets at a barrier whose phase number flips when
 * the last one arrives. Whoever waits for either looks for it in a short spin, then gives the processor away a few
 * times and then sleeps on a condition variable: there may be more threads than free cores, and a waiting thread that
 * stays runnable keeps the one it waits for from getting a core.
 */
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "base/error.h"

#if defined(__x86_64__) || defined(__i386__)
#include <emmintrin.h>
#define cpu_relax() _mm_pause()
#else
#define cpu_relax() ((void)0)
#endif

/*
 * Looks at a number before the processor is given away, about 25 ns each where the CPU has a pause instruction, and
 * times that it is given away before the thread sleeps: with cores to spare a yield comes straight back, after half a
 * microsecond or so. A barrier yields early, for without cores to spare the late worker needs this one now.
 */
typedef struct patience {
    int spins, yields;
} patience;

static const patience epoch_patience = {1500, 0};
static const patience barrier_patience = {100, 200};

typedef struct team_worker {
    tnn__team *team;
    int index;
    pthread_t thread;
} team_worker;

/* Each group of fields that different threads write lies in cache lines of its own. */
struct tnn__team {
    int n_threads;
    int n_started; /* threads created, so n_threads - 1 once the team is up */
    tnn_allocator alloc;
    team_worker *workers;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    void (*fn)(void *ctx, int worker); /* NULL tells the workers to end; written before the epoch that announces it */
    void *ctx;

    _Alignas(TNN__ALIGN) atomic_uint epoch;
    atomic_int n_sleeping;

    _Alignas(TNN__ALIGN) atomic_int n_arrived;
    _Alignas(TNN__ALIGN) atomic_uint phase;
    _Alignas(TNN__ALIGN) _Atomic int64_t next_task;
};

static bool changed(const atomic_uint *value, unsigned old) {
    return atomic_load_explicit(value, memory_order_acquire) != old;
}

static bool changes_soon(const atomic_uint *value, unsigned old, patience p) {
    for (int i = 0; i < p.spins; i++) {
        if (changed(value, old)) return true;
        cpu_relax();
    }
    for (int i = 0; i < p.yields; i++) {
        if (changed(value, old)) return true;
        sched_yield();
    }
    return false;
}

/* Returns when `value`, one of the team's two numbers, is no longer `old`; whoever changes it calls wake_sleepers. */
static void wait_until_changed(tnn__team *team, const atomic_uint *value, unsigned old, patience p) {
    if (changes_soon(value, old, p)) return;
    pthread_mutex_lock(&team->mutex);
    /* Sequentially consistent on both sides: either the other side sees this count, or the load sees its change. */
    atomic_fetch_add(&team->n_sleeping, 1);
    while (atomic_load(value) == old) {
        pthread_cond_wait(&team->wake, &team->mutex);
    }
    atomic_fetch_sub(&team->n_sleeping, 1);
    pthread_mutex_unlock(&team->mutex);
}

static void wake_sleepers(tnn__team *team) {
    if (atomic_load(&team->n_sleeping) == 0) return;
    pthread_mutex_lock(&team->mutex);
    pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->mutex);
}

static void announce(tnn__team *team, void (*fn)(void *ctx, int worker), void *ctx) {
    team->fn = fn;
    team->ctx = ctx;
    atomic_fetch_add(&team->epoch, 1);
    wake_sleepers(team);
}

static void *worker_main(void *arg) {
    const team_worker *self = arg;
    tnn__team *team = self->team;
    for (unsigned seen = 0;; seen++) {
        wait_until_changed(team, &team->epoch, seen, epoch_patience);
        if (!team->fn) return NULL;
        team->fn(team->ctx, self->index);
        tnn__team_barrier(team);
    }
}

/* Workers leave signals to the caller's threads, but for the ones that a fault raises on the spot. */
static int start_workers(tnn__team *team) {
    sigset_t blocked, previous;
    sigfillset(&blocked);
    sigdelset(&blocked, SIGBUS);
    sigdelset(&blocked, SIGSEGV);
    sigdelset(&blocked, SIGFPE);
    sigdelset(&blocked, SIGILL);
    pthread_sigmask(SIG_SETMASK, &blocked, &previous);
    int rc = 0;
    for (int i = 1; i < team->n_threads && rc == 0; i++) {
        team_worker *w = &team->workers[i - 1];
        w->team = team;
        w->index = i;
        rc = pthread_create(&w->thread, NULL, worker_main, w);
        if (rc == 0) team->n_started++;
    }
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    return rc;
}

tnn_status tnn__team_new(tnn__team **out, int n_threads, const tnn_allocator *a, tnn_error *err) {
    *out = NULL;
    if (n_threads < 1 || n_threads > TNN__MAX_THREADS) {
        return tnn__fail(err, TNN_E_RANGE, "%d threads asked for; use 1 to %d", n_threads, TNN__MAX_THREADS);
    }
    a = tnn__allocator_or_default(a);
    tnn__team *team = tnn__calloc(a, sizeof *team, _Alignof(tnn__team));
    team_worker *workers = tnn__calloc_array(a, (size_t)n_threads - 1, sizeof *workers);
    if (!team || !workers) {
        tnn__free(a, team, sizeof *team, _Alignof(tnn__team));
        tnn__free_array(a, workers, (size_t)n_threads - 1, sizeof *workers);
        return tnn__fail_nomem(err, "a team of threads", sizeof *team + (size_t)n_threads * sizeof *workers);
    }
    team->n_threads = n_threads;
    team->alloc = *a;
    team->workers = workers;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->wake, NULL);
    atomic_init(&team->epoch, 0);
    atomic_init(&team->n_sleeping, 0);
    atomic_init(&team->n_arrived, 0);
    atomic_init(&team->phase, 0);
    atomic_init(&team->next_task, 0);
    int rc = start_workers(team);
    if (rc != 0) {
        int n_started = team->n_started;
        tnn__team_free(team);
        return tnn__fail(err, TNN_E_NOMEM, "cannot start thread %d of %d (error %d); use fewer threads", n_started + 2,
                         n_threads, rc);
    }
    *out = team;
    return TNN_OK;
}

void tnn__team_free(tnn__team *team) {
    if (!team) return;
    announce(team, NULL, NULL);
    for (int i = 0; i < team->n_started; i++) {
        pthread_join(team->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->mutex);
    tnn_allocator a = team->alloc;
    tnn__free_array(&a, team->workers, (size_t)team->n_threads - 1, sizeof *team->workers);
    tnn__free(&a, team, sizeof *team, _Alignof(tnn__team));
}

int tnn__team_size(const tnn__team *team) {
    return team->n_threads;
}

void tnn__team_run(tnn__team *team, void (*fn)(void *ctx, int worker), void *ctx) {
    if (team->n_threads > 1) announce(team, fn, ctx);
    fn(ctx, 0);
    tnn__team_barrier(team);
}

void tnn__team_barrier(tnn__team *team) {
    if (team->n_threads == 1) {
        atomic_store_explicit(&team->next_task, 0, memory_order_relaxed);
        return;
    }
    /* The phase cannot move before this worker has arrived, so it may be read first. */
    unsigned phase = atomic_load_explicit(&team->phase, memory_order_relaxed);
    int n_before = atomic_fetch_add_explicit(&team->n_arrived, 1, memory_order_acq_rel);
    if (n_before == team->n_threads - 1) {
        atomic_store_explicit(&team->n_arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&team->next_task, 0, memory_order_relaxed);
        atomic_store(&team->phase, phase + 1);
        wake_sleepers(team);
        return;
    }
    wait_until_changed(team, &team->phase, phase, barrier_patience);
}

int64_t tnn__team_next_task(tnn__team *team, int64_t n) {
    int64_t task;
    if (team->n_threads == 1) {
        /* Relaxed load and store are plain moves; a read-modify-write would lock the bus for nobody. */
        task = atomic_load_explicit(&team->next_task, memory_order_relaxed);
        atomic_store_explicit(&team->next_task, task + 1, memory_order_relaxed);
    } else {
        task = atomic_fetch_add_explicit(&team->next_task, 1, memory_order_relaxed);
    }
    return task < n ? task : -1;
}

typedef struct for_call {
    tnn__team *team;
    int64_t n;
    void (*fn)(void *ctx, int64_t task, int worker);
    void *ctx;
} for_call;

static void for_worker(void *ctx, int worker) {
    const for_call *call = ctx;
    for (int64_t task; (task = tnn__team_next_task(call->team, call->n)) >= 0;) {
        call->fn(call->ctx, task, worker);
    }
}

void tnn__team_for(tnn__team *team, int64_t n, void (*fn)(void *ctx, int64_t task, int worker), void *ctx) {
    for_call call = {team, n, fn, ctx};
    tnn__team_run(team, for_worker, &call);
}
