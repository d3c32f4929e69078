/* Times bursts on every thread of a team between two barriers, and keeps the best of several. */
#include "cpu/probe.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"

enum {
    REPEATS = 8,
    BURST = 1 << 24, /* operations: some hundred microseconds with wide vectors */
    SCALAR_BURST = 1 << 20,
    READ_CHUNK = 1 << 18, /* words: 2 MiB */
};
#define READ_BYTES ((size_t)256 << 20) /* beyond the caches of most machines */

/* --- portable bursts: eight chains, so that the sum of one does not wait for itself --- */

static double f32_portable(int64_t n, volatile float *sink) {
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    int64_t rounds = n / 16;
    for (int64_t i = 0; i < rounds; i++)
        for (int l = 0; l < 8; l++)
            x[l] = x[l] * 0.999f + 0.001f;
    for (int l = 0; l < 8; l++)
        *sink = x[l];
    return (double)rounds * 16;
}

static double int8_portable(int64_t n, volatile float *sink) {
    int8_t a[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint32_t sum[8] = {0}; /* wraps */
    int64_t rounds = n / 16;
    for (int64_t i = 0; i < rounds; i++)
        for (int l = 0; l < 8; l++)
            sum[l] ^= sum[l] + (uint32_t)(a[l] * (int8_t)i);
    for (int l = 0; l < 8; l++)
        *sink = (float)sum[l];
    return (double)rounds * 16;
}

/* From four places at once: one stream alone does not keep memory busy. */
static uint64_t read_all(const uint64_t *p, size_t n) {
    uint64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    size_t quarter = n / 4;
    for (size_t i = 0; i < quarter; i++) {
        s0 += p[i];
        s1 += p[quarter + i];
        s2 += p[2 * quarter + i];
        s3 += p[3 * quarter + i];
    }
    return s0 + s1 + s2 + s3;
}

/* --- the run --- */

typedef struct bursts {
    tnn__probe_fn *f32, *int8;
    int64_t f32_ops, int8_ops;
} bursts;

static bursts bursts_of(tnn_isa isa) {
    bursts b = {f32_portable, int8_portable, SCALAR_BURST, SCALAR_BURST};
#if defined(__x86_64__)
    if (isa >= TNN_ISA_AVX2 && isa <= TNN_ISA_AVX512BF16)
        b = (bursts){tnn__probe_f32_avx2, tnn__probe_int8_avx2, BURST, BURST};
    if (isa == TNN_ISA_AVXVNNI) b.int8 = tnn__probe_int8_avxvnni;
    if (isa >= TNN_ISA_AVX512 && isa <= TNN_ISA_AVX512BF16)
        b = (bursts){tnn__probe_f32_avx512, tnn__probe_int8_avx512, BURST, BURST};
    if (isa == TNN_ISA_AVX512VNNI || isa == TNN_ISA_AVX512BF16) b.int8 = tnn__probe_int8_avx512vnni;
#else
    (void)isa;
#endif
    return b;
}

typedef struct probe_run {
    tnn__team *team;
    bursts bursts;
    uint64_t *memory;
    tnn_probe best;
} probe_run;

/* Every worker does the same burst; worker 0 takes the time from barrier to barrier. */
static void measure(probe_run *run, int worker, tnn__probe_fn *burst, int64_t ops, double *best) {
    volatile float sink;
    for (int i = 0; i < REPEATS; i++) {
        tnn__team_barrier(run->team);
        double t = tnn__seconds();
        double done = burst(ops, &sink);
        tnn__team_barrier(run->team);
        double rate = done * tnn__team_size(run->team) / (tnn__seconds() - t) * 1e-9;
        if (worker == 0 && rate > *best) *best = rate;
    }
}

/* Round and round through memory that has left the caches by the time it comes again; a burst is one chunk of it. */
static void measure_read(probe_run *run, int worker) {
    size_t words = READ_BYTES / sizeof(uint64_t) / (size_t)tnn__team_size(run->team);
    uint64_t *mine = run->memory + words * (size_t)worker;
    volatile uint64_t sink;
    memset(mine, 1, words * sizeof *mine);
    for (size_t at = 0; at + READ_CHUNK <= words; at += READ_CHUNK) {
        tnn__team_barrier(run->team);
        double t = tnn__seconds();
        sink = read_all(mine + at, READ_CHUNK);
        tnn__team_barrier(run->team);
        double rate = (double)(READ_CHUNK * sizeof *mine) * tnn__team_size(run->team) / (tnn__seconds() - t) * 1e-9;
        if (worker == 0 && rate > run->best.read_gbps) run->best.read_gbps = rate;
    }
    (void)sink;
}

static void work(void *ctx, int worker) {
    probe_run *run = ctx;
    measure(run, worker, run->bursts.f32, run->bursts.f32_ops, &run->best.f32_gflops);
    measure(run, worker, run->bursts.int8, run->bursts.int8_ops, &run->best.int8_gops);
    measure_read(run, worker);
}

tnn_status tnn__probe_run(tnn_probe *out, tnn__team *team, tnn_isa isa, const tnn_allocator *a, tnn_error *err) {
    probe_run run = {.team = team, .bursts = bursts_of(isa)};
    run.memory = tnn__alloc(a, READ_BYTES, TNN__ALIGN);
    if (!run.memory) return tnn__fail_nomem(err, "measuring memory", READ_BYTES);
    tnn__team_run(team, work, &run);
    tnn__free(a, run.memory, READ_BYTES, TNN__ALIGN);
    *out = run.best;
    return TNN_OK;
}
