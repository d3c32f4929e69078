/*
 * The products of training, one thread, in the tasks that training cuts them into for two: y = W x, dx = W^T dy, dW +=
 * dy x^T of SmolLM2-135M's shapes and 512 tokens (the head: 256), in GFLOP/s.
 *
 *   bench_gemm_train [TYPE] [ISA]
 */
#include <string.h>

#include "bench.h"
#include "cpu/dispatch.h"
#include "cpu/steps/steps.h"

typedef struct problem {
    tnn__kernels kernels;
    tnn__gemm_args y;
    tnn__gemm_dx_args dx;
    tnn__gemm_dw_args dw;
    void *scratch;
} problem;

/* Runs rows or columns [from, to) of one of the products. */
typedef void run_fn(const problem *p, int64_t from, int64_t to);

static void run_y(const problem *p, int64_t from, int64_t to) {
    p->kernels.gemm_float[p->y.type].run(&p->y, from, to, p->scratch);
}

static void run_dx(const problem *p, int64_t from, int64_t to) {
    p->kernels.gemm_dx[p->dx.type].run(&p->dx, from, to, p->scratch);
}

static void run_dw(const problem *p, int64_t from, int64_t to) {
    p->kernels.gemm_dw.run(&p->dw, from, to, p->scratch);
}

/*
 * GFLOP/s of a product in tasks of per_task: from the fastest call of each, so that a calm moment is enough, and in
 * brackets from all calls, as it is where somebody else's thread is on the core.
 */
static void print_rates(const char *name, double gflop, const problem *p, run_fn *run, int64_t n, int64_t per_task) {
    enum { MOST_TASKS = 4096, ROUNDS = 200 };
    static double fastest[MOST_TASKS];
    double best = 0, all = 0, end = bench_now() + 0.6;
    int round = 0;
    for (; round < ROUNDS && (round < 4 || bench_now() < end); round++) {
        for (int64_t task = 0; task * per_task < n; task++) {
            double t = bench_now();
            run(p, task * per_task, (task + 1) * per_task < n ? (task + 1) * per_task : n);
            t = bench_now() - t;
            all += t;
            if (round == 0 || t < fastest[task]) fastest[task] = t;
        }
    }
    for (int64_t task = 0; task * per_task < n; task++)
        best += fastest[task];
    printf("  %s %6.1f (%6.1f)", name, gflop / best, gflop * round / all);
}

static void bench_shape(problem *p, tnn_type type, int64_t n_out, int64_t n_in, int64_t n_cols) {
    size_t n_w = (size_t)(n_out * n_in), row_bytes = tnn_row_bytes((int32_t)type, n_in);
    float *w = bench_floats(n_w, 1), *x = bench_floats((size_t)(n_in * n_cols), 2);
    float *y = bench_floats((size_t)(n_out * n_cols), 3), *dx = bench_floats((size_t)(n_in * n_cols), 4);
    void *stored = bench_alloc(row_bytes * (size_t)n_out);
    if (type == TNN_TYPE_F32)
        memcpy(stored, w, n_w * sizeof *w);
    else if (p->kernels.from_f32[type])
        p->kernels.from_f32[type](w, stored, (int64_t)n_w);
    else
        memset(stored, 0x11, row_bytes * (size_t)n_out);
    p->y = (tnn__gemm_args){stored, type, row_bytes, n_in, n_out, n_cols, x, NULL, n_in, {0}, NULL, y, n_out};
    p->dx = (tnn__gemm_dx_args){stored, type, row_bytes, n_in, n_out, n_cols, y, NULL, dx};
    p->dw = (tnn__gemm_dw_args){n_in, n_out, n_cols, y, x, NULL, NULL, w};
    p->scratch = bench_alloc((size_t)4 << 20);
    double flop = 2e-9 * (double)n_w * (double)n_cols;
    int64_t rows = tnn__rows_per_task(n_out, n_cols, 2, p->kernels.gemm_float[type].row_align);
    int64_t columns = tnn__k_per_task(n_in, 2, p->kernels.gemm_dx[type].k_align);
    printf("  %5lld x %-5lld", (long long)n_out, (long long)n_in);
    print_rates("y", flop, p, run_y, n_out, rows);
    print_rates("dx", flop, p, run_dx, n_in, columns);
    print_rates("dW", flop, p, run_dw, n_out, tnn__dw_rows_per_task(n_out, 2, p->kernels.gemm_dw.row_align));
    putchar('\n');
    free(p->scratch), free(w), free(x), free(y), free(dx), free(stored);
}

int main(int argc, char **argv) {
    static const int64_t shapes[][3] = {{192, 576, 512},
                                        {576, 576, 512},
                                        {1536, 576, 512},
                                        {576, 1536, 512},
                                        {49152, 576, 256}};
    int type = argc > 1 ? tnn_type_from_name(argv[1]) : (int)TNN_TYPE_F32;
    int isa = argc > 2 ? tnn_isa_from_name(argv[2]) : (int)tnn_isa_detect();
    if (type < 0 || isa < 0) {
        fprintf(stderr, "no such type or level\n");
        return 2;
    }
    static problem p;
    printf("level: %s\n", tnn_isa_name(tnn__kernels_init(&p.kernels, (tnn_isa)isa)));
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        bench_shape(&p, (tnn_type)type, shapes[s][0], shapes[s][1], shapes[s][2]);
    return 0;
}
