/*
 * Matrix products of quantised weights with int8 activations: GOP/s (two per weight and column) and, for one column,
 * GB/s of weights beside what plain reading gives. Threads share the rows of one product, in tasks of 64 rows.
 *
 *   bench_gemm_q8 [ISA [TYPE [THREADS]]]      ISA, TYPE: "all" for the default; THREADS: 1
 */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "bench.h"
#include "cpu/dispatch.h"

enum { TASK_ROWS = 64, MAX_THREADS = 64 };

static const tnn_type types[] = {TNN_TYPE_Q8_0,   TNN_TYPE_Q4_0,   TNN_TYPE_Q4_K, TNN_TYPE_Q6_K, TNN_TYPE_Q5_0,
                                 TNN_TYPE_Q4_1,   TNN_TYPE_Q5_1,   TNN_TYPE_Q5_K, TNN_TYPE_Q2_K, TNN_TYPE_Q3_K,
                                 TNN_TYPE_IQ4_NL, TNN_TYPE_IQ4_XS, TNN_TYPE_MXFP4};
static const int64_t shapes[][2] = {{576, 576}, {1536, 576}, {576, 1536}, {2048, 2048}, {8192, 2048}, {128256, 2048}};
static const int64_t columns[] = {1, 2, 3, 4, 8, 16, 32, 128, 512};

/* Work for several threads: each calls fn with its number. */
typedef struct team {
    void (*fn)(void *ctx, int thread, int n_threads);
    void *ctx;
    int n_threads;
    pthread_barrier_t start, stop;
    bool done;
} team;

typedef struct member {
    team *team;
    int thread;
} member;

static void *serve(void *arg) {
    member *m = arg;
    for (;;) {
        pthread_barrier_wait(&m->team->start);
        if (m->team->done) return NULL;
        m->team->fn(m->team->ctx, m->thread, m->team->n_threads);
        pthread_barrier_wait(&m->team->stop);
    }
}

/* Seconds of the fastest of the calls that fit in min_seconds: of a lone thread its own, or else of the clock. */
static double best_time(void (*fn)(void *, int, int), void *ctx, int n_threads, double min_seconds) {
    team t = {.fn = fn, .ctx = ctx, .n_threads = n_threads};
    pthread_t threads[MAX_THREADS];
    member members[MAX_THREADS];
    pthread_barrier_init(&t.start, NULL, (unsigned)n_threads);
    pthread_barrier_init(&t.stop, NULL, (unsigned)n_threads);
    for (int i = 1; i < n_threads; i++) {
        members[i] = (member){&t, i};
        pthread_create(&threads[i], NULL, serve, &members[i]);
    }
    double best = 1e30, (*now)(void) = n_threads == 1 ? bench_now : tnn__seconds, end = now() + min_seconds;
    do {
        pthread_barrier_wait(&t.start);
        double from = now();
        fn(ctx, 0, n_threads);
        pthread_barrier_wait(&t.stop);
        double seconds = now() - from;
        if (seconds < best) best = seconds;
    } while (now() < end);
    t.done = true;
    pthread_barrier_wait(&t.start);
    for (int i = 1; i < n_threads; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&t.start);
    pthread_barrier_destroy(&t.stop);
    return best;
}

/* --- what memory gives -------------------------------------------------------------------------------------------- */

typedef struct reading {
    const uint64_t *p;
    size_t n;
    uint64_t sum[MAX_THREADS][8];
} reading;

static void read_all(void *ctx, int thread, int n_threads) {
    reading *r = ctx;
    const uint64_t *p = r->p + r->n / (size_t)n_threads * (size_t)thread;
    uint64_t sum[8] = {0};
    for (size_t i = 0; i + 8 <= r->n / (size_t)n_threads; i += 8)
        for (size_t j = 0; j < 8; j++)
            sum[j] += p[i + j];
    memcpy(r->sum[thread], sum, sizeof sum);
}

static void probe(int n_threads) {
    static reading r;
    r.n = (size_t)1 << 25;
    uint64_t *p = bench_alloc(r.n * sizeof *p);
    for (size_t i = 0; i < r.n; i++)
        p[i] = i;
    r.p = p;
    double seconds = best_time(read_all, &r, n_threads, 0.5);
    printf("reading: %.1f GB/s\n", (double)(r.n * sizeof *p) / seconds * 1e-9);
    free(p);
}

/* --- products ----------------------------------------------------------------------------------------------------- */

typedef struct problem {
    const tnn__gemm_kernel *kernel;
    tnn__gemm_args args;
    void *scratch[MAX_THREADS];
} problem;

static void multiply(void *ctx, int thread, int n_threads) {
    problem *p = ctx;
    int64_t n_tasks = (p->args.n_out + TASK_ROWS - 1) / TASK_ROWS;
    for (int64_t task = n_tasks * thread / n_threads; task < n_tasks * (thread + 1) / n_threads; task++) {
        int64_t row = task * TASK_ROWS, end = row + TASK_ROWS;
        p->kernel->run(&p->args, row, end < p->args.n_out ? end : p->args.n_out, p->scratch[thread]);
    }
}

/* Random codes under scales of 0.1 and the like. */
static uint8_t *make_weights(tnn_type type, size_t bytes) {
    const tnn_type_info *info = tnn_type_get_info((int32_t)type);
    static const uint8_t tenth[2] = {0x66, 0x2e};
    uint8_t *w = bench_alloc(bytes);
    uint32_t seed = 1;
    for (size_t i = 0; i < bytes; i++) {
        seed = seed * 1664525u + 1013904223u;
        w[i] = (uint8_t)(seed >> 24);
    }
    for (size_t i = 0; i < bytes; i += (size_t)info->block_bytes) {
        size_t at = type == TNN_TYPE_Q2_K ? 80 : type == TNN_TYPE_Q3_K ? 108 : type == TNN_TYPE_Q6_K ? 208 : 0;
        memcpy(w + i + at, tenth, type == TNN_TYPE_MXFP4 ? 0 : 2);
        if (type == TNN_TYPE_MXFP4) w[i] = 120;
        if (type == TNN_TYPE_Q4_1 || type == TNN_TYPE_Q5_1 || type == TNN_TYPE_Q4_K || type == TNN_TYPE_Q5_K ||
            type == TNN_TYPE_Q2_K)
            memcpy(w + i + at + 2, tenth, 2);
    }
    return w;
}

static void bench_columns(const tnn__kernels *kernels, problem *p, tnn_type type, int64_t n_cols, int n_threads) {
    tnn__gemm_args *a = &p->args;
    float *x = bench_floats((size_t)(a->n_in * n_cols), 2);
    a->n_cols = n_cols;
    a->act.q = bench_alloc((size_t)(a->n_in * n_cols));
    a->act.d = bench_alloc((size_t)(a->n_in * n_cols / 32) * sizeof(float));
    a->act.s = bench_alloc((size_t)(a->n_in * n_cols / 32) * sizeof(float));
    a->act.sum16 = bench_alloc((size_t)(a->n_in * n_cols / 16) * sizeof(int16_t));
    a->y = bench_alloc((size_t)(a->n_out * n_cols) * sizeof(float));
    kernels->quantize_act(x, a->n_in * n_cols, a->act.q, a->act.d, a->act.s, a->act.sum16);
    for (int i = 0; i < n_threads; i++)
        p->scratch[i] = bench_alloc(p->kernel->scratch_bytes(a->n_in, n_cols, TASK_ROWS) + 64);
    double seconds = best_time(multiply, p, n_threads, 0.2);
    double ops = 2.0 * (double)a->n_out * (double)a->n_in * (double)n_cols;
    double bytes = (double)a->row_bytes * (double)a->n_out;
    printf("%-7s %6lld x %4lld, %3lld columns: %7.1f GOP/s %6.1f GB/s %9.3f ms\n",
           tnn_type_get_info((int32_t)type)->name, (long long)a->n_out, (long long)a->n_in, (long long)n_cols,
           ops / seconds * 1e-9, bytes / seconds * 1e-9, seconds * 1e3);
    fflush(stdout);
    for (int i = 0; i < n_threads; i++)
        free(p->scratch[i]);
    free(x), free(a->act.q), free(a->act.d), free(a->act.s), free(a->act.sum16), free(a->y);
}

static void bench_type(const tnn__kernels *kernels, tnn_type type, int n_threads) {
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        int64_t n_out = shapes[s][0], n_in = shapes[s][1];
        problem p = {.kernel = &kernels->gemm[type]};
        size_t row_bytes = tnn_row_bytes((int32_t)type, n_in);
        if (row_bytes == 0) continue; /* not a multiple of the block */
        uint8_t *w = make_weights(type, row_bytes * (size_t)n_out);
        p.args = (tnn__gemm_args){.w = w, .row_bytes = row_bytes, .n_in = n_in, .n_out = n_out, .y_stride = n_out};
        for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
            bool ends = columns[c] == 1 || columns[c] == 512;
            if (n_out > 100000 ? columns[c] == 1 : ends || n_out == 2048)
                bench_columns(kernels, &p, type, columns[c], n_threads);
        }
        free(w);
    }
}

int main(int argc, char **argv) {
    bool all_isas = argc < 2 || strcmp(argv[1], "all") == 0, all_types = argc < 3 || strcmp(argv[2], "all") == 0;
    int isa = all_isas ? (int)tnn_isa_detect() : tnn_isa_from_name(argv[1]);
    int type = all_types ? 0 : tnn_type_from_name(argv[2]);
    int n_threads = argc < 4 ? 1 : atoi(argv[3]);
    if (isa < 0 || type < 0 || n_threads < 1 || n_threads > MAX_THREADS) {
        fprintf(stderr, "usage: bench_gemm_q8 [ISA [TYPE [THREADS]]]\n");
        return 2;
    }
    tnn__kernels kernels;
    printf("level: %s, threads: %d\n", tnn_isa_name(tnn__kernels_init(&kernels, (tnn_isa)isa)), n_threads);
    probe(n_threads);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (all_types || types[i] == (tnn_type)type) bench_type(&kernels, types[i], n_threads);
    probe(n_threads);
    return 0;
}
