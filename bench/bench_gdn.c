/*
 * The gated delta rule, one thread: GFLOP/s forward, and forward and back, counted on the recurrence's own operations
 * (7 and 22 d_k d_v a row and head, however they are computed), microseconds a row and head, for rows that are one
 * sequence or many, and a row at a time as in decoding. Then what surrounds it, in GB/s. The machine's limits before
 * and after.
 *
 *   bench_gdn [ISA [CHUNK]]
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "bench.h"
#include "cpu/dispatch.h"
#include "cpu/probe.h"

typedef struct problem {
    const tnn__kernels *kernels;
    tnn__gdn_back_args args;
    int64_t n_rows, length, n_heads; /* rows in all, and of a sequence */
    float *state, *dstate, *kept;
    void *scratch;
} problem;

static void probe(tnn_isa isa) {
    tnn__team *team;
    tnn_probe p;
    tnn_error err;
    if (tnn__team_new(&team, 1, &tnn__libc_allocator, &err) != TNN_OK ||
        tnn__probe_run(&p, team, isa, &tnn__libc_allocator, &err) != TNN_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    printf("limits: %.1f F32 GFLOP/s, %.1f GB/s read\n", p.f32_gflops, p.read_gbps);
    tnn__team_free(team);
}

static int64_t state_size(const problem *p) {
    return p->args.f.d_k * p->args.f.d_v;
}

static void run_heads(problem *p) {
    for (int64_t h = 0; h < p->n_heads; h++) {
        for (int64_t t = 0; t < p->n_rows; t += p->length) {
            memset(p->state, 0, (size_t)state_size(p) * sizeof(float));
            p->kernels->gdn.run(&p->args.f, h, h, t, t + p->length, p->state, p->scratch);
        }
    }
}

static void run_forward(void *ctx) {
    problem *p = ctx;
    p->args.f.kept = NULL;
    run_heads(p);
}

static void run_both(void *ctx) {
    problem *p = ctx;
    p->args.f.kept = p->kept;
    run_heads(p);
    for (int64_t h = 0; h < p->n_heads; h++) {
        for (int64_t t = 0; t < p->n_rows; t += p->length) {
            memset(p->state, 0, (size_t)state_size(p) * sizeof(float));
            memset(p->dstate, 0, (size_t)state_size(p) * sizeof(float));
            p->kernels->gdn.back(&p->args, h, h, t, t + p->length, p->state, p->dstate, false, p->scratch);
        }
    }
}

/* One row of every head, each with a state of its own. */
static void run_decode(void *ctx) {
    problem *p = ctx;
    for (int64_t h = 0; h < p->n_heads; h++)
        p->kernels->gdn.run(&p->args.f, h, h, 0, 1, p->state + h * state_size(p), p->scratch);
}

static float *scaled(float *x, size_t n, float scale, float offset) {
    for (size_t i = 0; i < n; i++)
        x[i] = offset + scale * x[i];
    return x;
}

static problem problem_new(const tnn__kernels *k, int64_t d, int64_t n_heads, int64_t n_rows, int64_t length,
                           int64_t chunk) {
    size_t n = (size_t)(d * n_heads * n_rows), n_gates = (size_t)(n_heads * n_rows);
    problem p = {.kernels = k, .n_rows = n_rows, .length = length, .n_heads = n_heads};
    p.args = (tnn__gdn_back_args){
        .f = {.q = bench_floats(n, 1),
              .k = bench_floats(n, 2),
              .v = bench_floats(n, 3),
              .q_stride = d * n_heads,
              .k_stride = d * n_heads,
              .v_stride = d * n_heads,
              .decay = scaled(bench_floats(n_gates, 4), n_gates, 0.1f, -0.1f),
              .beta = scaled(bench_floats(n_gates, 5), n_gates, 0.5f, 0.5f),
              .d_k = d,
              .d_v = d,
              .n_v_heads = n_heads,
              .scale = 1.0f / sqrtf((float)d),
              .norm = TNN_L2_EPS_ADDED,
              .norm_eps = 1e-6f,
              .chunk = chunk,
              .out = bench_floats(n, 6),
              .n_rows = n_rows},
        .dout = bench_floats(n, 7),
        .dq = bench_floats(n, 8),
        .dk = bench_floats(n, 8),
        .dv = bench_floats(n, 8),
        .ddecay = bench_floats(n_gates, 9),
        .dbeta = bench_floats(n_gates, 9),
    };
    p.state = scaled(bench_floats((size_t)(d * d * n_heads), 10), (size_t)(d * d * n_heads), 0, 0);
    p.dstate = bench_floats((size_t)(d * d), 11);
    p.kept = bench_floats((size_t)(d * tnn__gdn_kept_rows(n_rows, d) * n_heads), 12);
    size_t forward = k->gdn.scratch_bytes(&p.args.f, n_rows), back = k->gdn.back_scratch_bytes(&p.args.f, n_rows);
    p.scratch = bench_alloc(forward > back ? forward : back);
    return p;
}

static void problem_free(problem *p) {
    const void *const all[] = {p->args.f.q,  p->args.f.k, p->args.f.v, p->args.f.decay, p->args.f.beta, p->args.f.out,
                               p->args.dout, p->args.dq,  p->args.dk,  p->args.dv,      p->args.ddecay, p->args.dbeta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free((void *)(uintptr_t)all[i]);
    free(p->state), free(p->dstate), free(p->kept), free(p->scratch);
}

static void bench_rule(const tnn__kernels *k, int64_t d, int64_t n_heads, int64_t n_rows, int64_t length,
                       int64_t chunk) {
    problem p = problem_new(k, d, n_heads, n_rows, length, chunk);
    double forward = bench_best(run_forward, &p, 0.5), both = bench_best(run_both, &p, 1.0);
    double rows = (double)(n_rows * n_heads), unit = rows * (double)(d * d) * 1e-9;
    printf("d %3lld, %2lld heads, %5lld rows of %4lld, chunks of %2lld: forward %6.1f GFLOP/s %6.2f us, with back "
           "%6.1f GFLOP/s "
           "%6.2f us a row\n",
           (long long)d, (long long)n_heads, (long long)n_rows, (long long)length, (long long)chunk, 7 * unit / forward,
           forward / rows * 1e6, 22 * unit / both, both / rows * 1e6);
    problem_free(&p);
}

static void bench_decode(const tnn__kernels *k, int64_t d, int64_t n_heads) {
    problem p = problem_new(k, d, n_heads, 1, 1, k->gdn.chunk);
    double seconds = bench_best(run_decode, &p, 0.3);
    printf("d %3lld, %3lld heads, one row: %6.2f us a head, state read and written at %5.1f GB/s\n", (long long)d,
           (long long)n_heads, seconds / (double)n_heads * 1e6, 8 * (double)(d * d * n_heads) / seconds * 1e-9);
    problem_free(&p);
}

/* --- what surrounds it --- */

enum { CHANNELS = 6144, CONV_ROWS = 64, WIDTH = 4, HEAD = 128, N = CHANNELS * CONV_ROWS };

typedef struct around {
    const tnn__kernels *kernels;
    float *x, *y, *z, *dx, *dz, *w, *dw;
} around;

static void run_conv(void *ctx) {
    around *a = ctx;
    for (int64_t t = WIDTH - 1; t < CONV_ROWS; t++) {
        const float *taps[WIDTH];
        for (int j = 0; j < WIDTH; j++)
            taps[j] = a->x + (t - WIDTH + 1 + j) * CHANNELS;
        a->kernels->conv1d_silu(taps, a->w, WIDTH, a->y + t * CHANNELS, CHANNELS);
    }
}

static void run_conv_back(void *ctx) {
    around *a = ctx;
    for (int64_t t = WIDTH - 1; t < CONV_ROWS; t++) {
        const float *taps[WIDTH];
        float *dtaps[WIDTH];
        for (int j = 0; j < WIDTH; j++) {
            taps[j] = a->x + (t - WIDTH + 1 + j) * CHANNELS;
            dtaps[j] = a->dx + (t - WIDTH + 1 + j) * CHANNELS;
        }
        a->kernels->conv1d_silu_back(taps, a->w, WIDTH, a->y + t * CHANNELS, dtaps, a->dw, CHANNELS);
    }
}

static void run_norm(void *ctx) {
    around *a = ctx;
    for (int64_t i = 0; i < N; i += HEAD)
        a->kernels->rms_norm_gated(a->x + i, a->w, a->z + i, a->y + i, HEAD, 1e-6f);
}

static void run_norm_back(void *ctx) {
    around *a = ctx;
    for (int64_t i = 0; i < N; i += HEAD)
        a->kernels->rms_norm_gated_back(a->x + i, a->w, a->z + i, a->y + i, a->dx + i, a->dz + i, a->dw, HEAD, 1e-6f);
}

static void run_gate(void *ctx) {
    around *a = ctx;
    a->kernels->sigmoid_gate(a->x, a->z, a->y, N);
}

static void run_gate_back(void *ctx) {
    around *a = ctx;
    a->kernels->sigmoid_gate_back(a->x, a->z, a->y, a->dx, a->dz, N);
}

static void bench_around(const tnn__kernels *k) {
    static const struct {
        const char *name;
        void (*run)(void *ctx);
        int arrays; /* of N floats that are read or written */
    } all[] = {{"conv1d_silu", run_conv, 2},    {"conv1d_silu, back", run_conv_back, 4},
               {"rms_norm_gated", run_norm, 3}, {"rms_norm_gated, back", run_norm_back, 5},
               {"sigmoid_gate", run_gate, 3},   {"sigmoid_gate, back", run_gate_back, 5}};
    around a = {k,
                bench_floats(N, 1),
                bench_floats(N, 2),
                bench_floats(N, 3),
                bench_floats(N, 4),
                bench_floats(N, 5),
                bench_floats(WIDTH * CHANNELS, 6),
                bench_floats(WIDTH * CHANNELS, 7)};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        double seconds = bench_best(all[i].run, &a, 0.2);
        printf("%-21s %6.3f ns an element, %5.1f GB/s\n", all[i].name, seconds / N * 1e9,
               all[i].arrays * 4.0 * N / seconds * 1e-9);
    }
    free(a.x), free(a.y), free(a.z), free(a.dx), free(a.dz), free(a.w), free(a.dw);
}

int main(int argc, char **argv) {
    int isa = argc > 1 ? tnn_isa_from_name(argv[1]) : (int)tnn_isa_detect();
    if (isa < 0 || !tnn_isa_available((tnn_isa)isa)) {
        fprintf(stderr, "this machine has no level %s\n", argv[1]);
        return 2;
    }
    tnn__kernels k;
    printf("level: %s\n", tnn_isa_name(tnn__kernels_init(&k, (tnn_isa)isa)));
    int64_t chunk = argc > 2 ? atoll(argv[2]) : k.gdn.chunk;
    probe((tnn_isa)isa);
    bench_rule(&k, 128, 2, 512, 512, chunk);
    bench_rule(&k, 128, 16, 512, 512, chunk);
    bench_rule(&k, 128, 8, 8192, 512, chunk);
    bench_rule(&k, 128, 8, 8192, 8192, chunk);
    bench_rule(&k, 64, 2, 512, 512, chunk);
    bench_decode(&k, 128, 16);
    bench_decode(&k, 128, 512);
    bench_around(&k);
    probe((tnn_isa)isa);
    return 0;
}
