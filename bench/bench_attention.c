/*
 * Attention, one thread: GFLOP/s of a causal prefill (the products that the causal triangle needs, 4 d per pair of row
 * and key), GB/s of keys and values for one row at the end of a long context.
 *
 *   bench_attention [ISA]
 */
#include <math.h>
#include <string.h>

#include "bench.h"
#include "cpu/dispatch.h"

typedef struct problem {
    const tnn__kernels *kernels;
    tnn__attn_args args;
    int64_t n_kv;
    float *parts;
    void *scratch;
} problem;

static void run_prefill(void *ctx) {
    problem *p = ctx;
    int64_t step = p->kernels->attn_rows;
    for (int64_t c = 0; c < p->args.n_kv_head; c++)
        for (int64_t t = 0; t < p->args.n_rows; t += step)
            p->kernels->attn(&p->args, c, t, t + step < p->args.n_rows ? t + step : p->args.n_rows, p->scratch);
}

enum { PART_KEYS = 2 * TNN__ATTN_BLOCK };

static void run_decode(void *ctx) {
    problem *p = ctx;
    int64_t stride = p->args.n_head / p->args.n_kv_head * (p->args.d_v + 2);
    int64_t n_parts = (p->n_kv + PART_KEYS - 1) / PART_KEYS;
    for (int64_t c = 0; c < p->args.n_kv_head; c++) {
        for (int64_t i = 0; i < n_parts; i++)
            p->kernels->attn_part(&p->args, c, 0, i * PART_KEYS, (i + 1) * PART_KEYS, p->parts + i * stride,
                                  p->scratch);
        p->kernels->attn_join(&p->args, c, 0, p->parts, n_parts, stride);
    }
}

/* The cache as a session lays it out: [d, n_kv, n_kv_head]. */
static void bench_shape(const tnn__kernels *k, tnn_type type, int64_t d, int64_t n_head, int64_t n_kv_head,
                        int64_t n_rows, int64_t n_kv) {
    size_t row_bytes = tnn_row_bytes((int32_t)type, d), n_elems = (size_t)(d * n_kv * n_kv_head);
    float *q = bench_floats((size_t)(d * n_head * n_rows), 1), *f32 = bench_floats(n_elems, 2);
    void *keys = bench_alloc(row_bytes * (size_t)(n_kv * n_kv_head)),
         *values = bench_alloc(row_bytes * (size_t)(n_kv * n_kv_head));
    k->from_f32[type](f32, keys, (int64_t)n_elems);
    k->from_f32[type](f32, values, (int64_t)n_elems);
    int32_t *range = bench_alloc((size_t)n_rows * 2 * sizeof *range);
    for (int64_t t = 0; t < n_rows; t++) {
        range[t] = 0;
        range[n_rows + t] = (int32_t)(n_kv - n_rows + t + 1);
    }
    problem p = {.kernels = k, .n_kv = n_kv};
    p.args = (tnn__attn_args){.q = q,
                              .k = keys,
                              .v = values,
                              .kv_type = type,
                              .k_pos_bytes = row_bytes,
                              .k_head_bytes = row_bytes * (size_t)n_kv,
                              .v_pos_bytes = row_bytes,
                              .v_head_bytes = row_bytes * (size_t)n_kv,
                              .d = d,
                              .d_v = d,
                              .n_head = n_head,
                              .n_kv_head = n_kv_head,
                              .n_rows = n_rows,
                              .scale = 1.0f / sqrtf((float)d),
                              .lo = range,
                              .hi = range + n_rows,
                              .out = bench_floats((size_t)(d * n_head * n_rows), 3)};
    p.scratch = bench_alloc(k->attn_scratch_bytes(&p.args, k->attn_rows) + 64);
    p.parts = bench_alloc((size_t)((n_kv / PART_KEYS + 1) * (n_head / n_kv_head) * (d + 2)) * sizeof(float));
    double pairs = (double)n_rows * ((double)n_kv - (double)n_rows + ((double)n_rows + 1) / 2);
    double seconds = bench_best(n_rows > 1 ? run_prefill : run_decode, &p, 0.3);
    printf("%-5s d %3lld, %2lld heads of %lld, %4lld rows, %5lld keys: %7.1f GFLOP/s %6.1f GB/s %8.3f ms\n",
           tnn_type_get_info((int32_t)type)->name, (long long)d, (long long)n_head, (long long)n_kv_head,
           (long long)n_rows, (long long)n_kv, 4 * (double)d * (double)n_head * pairs / seconds * 1e-9,
           2 * (double)row_bytes * (double)(n_kv * n_kv_head) / seconds * 1e-9, seconds * 1e3);
    free(q), free(f32), free(keys), free(values), free(range), free((void *)p.args.out), free(p.scratch), free(p.parts);
}

int main(int argc, char **argv) {
    static const tnn_type types[] = {TNN_TYPE_F16, TNN_TYPE_F32, TNN_TYPE_BF16, TNN_TYPE_Q8_0};
    int isa = argc > 1 ? tnn_isa_from_name(argv[1]) : (int)tnn_isa_detect();
    if (isa < 0) {
        fprintf(stderr, "no such level: %s\n", argv[1]);
        return 2;
    }
    tnn__kernels k;
    printf("level: %s\n", tnn_isa_name(tnn__kernels_init(&k, (tnn_isa)isa)));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        bench_shape(&k, types[i], 64, 9, 3, 512, 512);
        bench_shape(&k, types[i], 64, 32, 32, 512, 512);
        bench_shape(&k, types[i], 128, 32, 8, 512, 512);
        bench_shape(&k, types[i], 64, 9, 3, 512, 4096);
        bench_shape(&k, types[i], 64, 9, 3, 1, 512);
        bench_shape(&k, types[i], 64, 9, 3, 1, 32768);
        bench_shape(&k, types[i], 64, 32, 32, 1, 8192);
        bench_shape(&k, types[i], 128, 32, 8, 1, 32768);
    }
    return 0;
}
