/*
 * Matrix products with float activations, one thread: GFLOP/s for many columns, GB/s of weights for one. Beside them
 * OpenBLAS where the build found it.
 *
 *   bench_gemm_f32 [ISA]
 */
#include <math.h>
#include <string.h>

#include "bench.h"
#include "cpu/dispatch.h"

#ifdef BENCH_OPENBLAS
#include <cblas.h>
void openblas_set_num_threads(int n);
#endif

enum { TASK_ROWS = 64 };

typedef struct problem {
    const tnn__gemm_kernel *kernel;
    tnn__gemm_args args;
    void *scratch;
} problem;

static void run(void *ctx) {
    problem *p = ctx;
    for (int64_t row = 0; row < p->args.n_out; row += TASK_ROWS) {
        int64_t end = row + TASK_ROWS < p->args.n_out ? row + TASK_ROWS : p->args.n_out;
        p->kernel->run(&p->args, row, end, p->scratch);
    }
}

#ifdef BENCH_OPENBLAS
static void run_openblas(void *ctx) {
    const tnn__gemm_args *a = &((problem *)ctx)->args;
    int m = (int)a->n_out, n = (int)a->n_cols, k = (int)a->n_in;
    if (n == 1)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, m, k, 1, a->w, k, a->x, 1, 0, a->y, 1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, m, k, 1, a->x, k, a->w, k, 0, a->y, m);
}
#endif

static void report(const char *name, const problem *p, double seconds) {
    const tnn__gemm_args *a = &p->args;
    double flop = 2.0 * (double)a->n_out * (double)a->n_in * (double)a->n_cols;
    double bytes = (double)a->row_bytes * (double)a->n_out;
    printf("  %-9s %8.1f GFLOP/s %6.1f GB/s %9.3f ms\n", name, flop / seconds * 1e-9, bytes / seconds * 1e-9,
           seconds * 1e3);
}

static void bench_shape(const tnn__kernels *kernels, int64_t n_out, int64_t n_in, int64_t n_cols) {
    static const tnn_type types[] = {TNN_TYPE_F32, TNN_TYPE_F16, TNN_TYPE_BF16};
    float *w = bench_floats((size_t)(n_out * n_in), 1), *x = bench_floats((size_t)(n_in * n_cols), 2);
    float *y = bench_floats((size_t)(n_out * n_cols), 3);
    void *stored = bench_alloc((size_t)(n_out * n_in) * 4);
    printf("%lld x %lld, %lld columns\n", (long long)n_out, (long long)n_in, (long long)n_cols);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        problem p = {.kernel = &kernels->gemm[types[i]]};
        kernels->from_f32[types[i]](w, stored, n_out * n_in);
        p.args = (tnn__gemm_args){.w = stored,
                                  .type = types[i],
                                  .row_bytes = tnn_row_bytes((int32_t)types[i], n_in),
                                  .n_in = n_in,
                                  .n_out = n_out,
                                  .n_cols = n_cols,
                                  .x = x,
                                  .x_stride = n_in,
                                  .y = y,
                                  .y_stride = n_out};
        p.scratch = bench_alloc(p.kernel->scratch_bytes(n_in, n_cols, TASK_ROWS) + 64);
        report(tnn_type_get_info((int32_t)types[i])->name, &p, bench_best(run, &p, 0.3));
        free(p.scratch);
#ifdef BENCH_OPENBLAS
        if (types[i] == TNN_TYPE_F32) report("OpenBLAS", &p, bench_best(run_openblas, &p, 0.3));
#endif
    }
    free(w), free(x), free(y), free(stored);
}

int main(int argc, char **argv) {
    static const int64_t shapes[][2] = {{576, 576}, {1536, 576}, {576, 1536}, {2048, 2048}, {8192, 2048}};
    static const int64_t columns[] = {512, 1, 2, 4, 8, 12, 16, 24, 32};
    int isa = argc > 1 ? tnn_isa_from_name(argv[1]) : (int)tnn_isa_detect();
    if (isa < 0) {
        fprintf(stderr, "no such level: %s\n", argv[1]);
        return 2;
    }
#ifdef BENCH_OPENBLAS
    openblas_set_num_threads(1);
#endif
    tnn__kernels kernels;
    printf("level: %s\n", tnn_isa_name(tnn__kernels_init(&kernels, (tnn_isa)isa)));
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            if (c < 2 || s == 3) bench_shape(&kernels, shapes[s][0], shapes[s][1], columns[c]);
    return 0;
}
