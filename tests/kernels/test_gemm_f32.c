/*
 * Products of F32, F16 and BF16 weights with F32 activations, at every level, against double precision: all tails of
 * K, rows and columns, weights at odd addresses, buffers that end at a page without access.
 *
 * Tolerance: a sum of products in any order has an error of at most n u / (1 - n u) times the sum of magnitudes, n the
 * longest chain of roundings an element goes through. No kernel has a chain longer than a block of K (256), plus one
 * per block, plus the lanes and the bias. A level that rounds activations to BF16 adds 2^-8 for that rounding and, its
 * products being summed in pairs with subnormals flushed, twice the chain.
 */
#include "support/kernels.h"

typedef struct problem {
    tnn_type type;
    int64_t n_in, n_out, n_cols;
    size_t row_bytes;
    buffer w, x, bias, y;
    float *w_f32; /* what w stands for */
    tnn__gemm_args args;
} problem;

/* Columns of y lie further apart than n_out; what lies between must stay as it is. */
enum { Y_GAP = 3 };

static problem problem_new(tnn_type type, int64_t n_in, int64_t n_out, int64_t n_cols, int shift, bool with_bias) {
    problem p = {.type = type, .n_in = n_in, .n_out = n_out, .n_cols = n_cols};
    p.row_bytes = tnn_row_bytes((int32_t)type, n_in) + (size_t)shift;
    p.w = buffer_new(p.row_bytes * (size_t)n_out);
    p.x = buffer_new((size_t)(n_in * n_cols) * sizeof(float));
    p.bias = buffer_new((size_t)n_out * sizeof(float));
    p.y = buffer_new((size_t)((n_out + Y_GAP) * n_cols - Y_GAP) * sizeof(float));
    p.w_f32 = malloc((size_t)(n_in * n_out) * sizeof(float));
    assert_non_null(p.w_f32);
    random_floats(p.x.data, n_in * n_cols);
    random_floats(p.bias.data, n_out);
    tnn__kernels portable;
    tnn__kernels_init(&portable, TNN_ISA_PORTABLE);
    for (int64_t i = 0; i < n_out; i++) {
        char *row = (char *)p.w.data + (size_t)i * p.row_bytes + (size_t)shift;
        random_floats(p.w_f32 + i * n_in, n_in);
        portable.from_f32[type](p.w_f32 + i * n_in, row, n_in);
        portable.to_f32[type](row, p.w_f32 + i * n_in, n_in);
    }
    p.args = (tnn__gemm_args){.w = (char *)p.w.data + shift,
                              .type = type,
                              .row_bytes = p.row_bytes,
                              .n_in = n_in,
                              .n_out = n_out,
                              .n_cols = n_cols,
                              .x = p.x.data,
                              .x_stride = n_in,
                              .bias = with_bias ? p.bias.data : NULL,
                              .y = p.y.data,
                              .y_stride = n_out + Y_GAP};
    return p;
}

static void problem_free(problem *p) {
    buffer_free(&p->w);
    buffer_free(&p->x);
    buffer_free(&p->bias);
    buffer_free(&p->y);
    free(p->w_f32);
}

static void run(const tnn__gemm_kernel *kernel, const tnn__gemm_args *a, int64_t rows_per_task) {
    void *scratch = scratch_new(kernel->scratch_bytes(a->n_in, a->n_cols, rows_per_task));
    for (int64_t row = 0; row < a->n_out; row += rows_per_task)
        kernel->run(a, row, row + rows_per_task < a->n_out ? row + rows_per_task : a->n_out, scratch);
    free(scratch);
}

/* dpbf16ps multiplies BF16 by BF16. */
static bool rounds_activations(tnn_type type) {
    return type == TNN_TYPE_BF16 && strcmp(level_name, tnn_isa_name(TNN_ISA_AVX512BF16)) == 0;
}

static void check_result(const problem *p) {
    const float *x = p->x.data, *bias = p->args.bias, *y = p->y.data;
    double chain = (double)(p->n_in < 256 ? p->n_in : 256) + (double)p->n_in / 256 + 16;
    double relative = rounds_activations(p->type) ? 0x1p-8 + 2 * chain * U32 : chain * U32;
    for (int64_t t = 0; t < p->n_cols; t++) {
        for (int64_t i = 0; i < p->n_out; i++) {
            double sum = bias ? (double)bias[i] : 0, magnitude = fabs(sum);
            for (int64_t l = 0; l < p->n_in; l++) {
                double term = (double)p->w_f32[i * p->n_in + l] * (double)x[t * p->n_in + l];
                sum += term;
                magnitude += fabs(term);
            }
            check_near(y[t * (p->n_out + Y_GAP) + i], sum, relative * magnitude,
                       "%s %lld x %lld, column %lld of %lld, row %lld", tnn_type_get_info((int32_t)p->type)->name,
                       (long long)p->n_out, (long long)p->n_in, (long long)t, (long long)p->n_cols, (long long)i);
        }
        for (int64_t i = p->n_out; i < p->n_out + Y_GAP && t + 1 < p->n_cols; i++)
            assert_true(isnan(y[t * (p->n_out + Y_GAP) + i]));
    }
}

static const tnn_type types[] = {TNN_TYPE_F32, TNN_TYPE_F16, TNN_TYPE_BF16};

static void check_shape(const tnn__kernels *k, int64_t n_in, int64_t n_out, int64_t n_cols, int shift, bool with_bias) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        problem p = problem_new(types[i], n_in, n_out, n_cols, shift, with_bias);
        run(&k->gemm[types[i]], &p.args, (n_out + 63) / 64 * 64);
        check_result(&p);
        problem_free(&p);
    }
}

static void inner_tails(const tnn__kernels *k) {
    static const int64_t columns[] = {1, 2, 3, 40};
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
        for (int64_t n_in = 1; n_in <= 130; n_in++)
            check_shape(k, n_in, 19, columns[c], (int)(n_in % 4), n_in % 2 == 0);
    }
}

static void row_tails(const tnn__kernels *k) {
    for (int64_t n_out = 1; n_out <= 130; n_out++) {
        check_shape(k, 33, n_out, 1, 1, true);
        check_shape(k, 24, n_out, 35, 3, true);
    }
}

static void column_tails(const tnn__kernels *k) {
    for (int64_t n_cols = 1; n_cols <= 70; n_cols++)
        check_shape(k, 40, 21, n_cols, 2, n_cols % 2 == 0);
}

/* Several blocks of K, of every remainder that its cutting can leave. */
static void long_inner(const tnn__kernels *k) {
    static const int64_t lengths[] = {255, 256, 257, 264, 511, 512, 513, 520, 576, 767, 769, 1000, 1536, 2048};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        check_shape(k, lengths[i], 17, 1, 0, true);
        check_shape(k, lengths[i], 17, 37, 0, true);
    }
}

/* More rows than are packed at a time. */
static void tall(const tnn__kernels *k) {
    check_shape(k, 300, 300, 36, 0, true);
}

/* Any cut into tasks gives the same bits. */
static void task_cuts(const tnn__kernels *k) {
    static const int64_t columns[] = {1, 3, 33, 50};
    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            const tnn__gemm_kernel *kernel = &k->gemm[types[i]];
            assert_true(kernel->row_align >= 1 && kernel->row_align <= 64);
            problem p = problem_new(types[i], 523, 203, columns[c], 0, true);
            size_t bytes = (size_t)((p.n_out + Y_GAP) * p.n_cols - Y_GAP) * sizeof(float);
            float *whole = malloc(bytes);
            assert_non_null(whole);
            run(kernel, &p.args, 256);
            memcpy(whole, p.y.data, bytes);
            for (int64_t rows = kernel->row_align; rows <= 192; rows += kernel->row_align) {
                memset(p.y.data, 0xff, bytes);
                run(kernel, &p.args, rows);
                check_same(p.y.data, whole, bytes, "%s, %lld columns, %lld rows a task",
                           tnn_type_get_info((int32_t)types[i])->name, (long long)p.n_cols, (long long)rows);
            }
            free(whole);
            problem_free(&p);
        }
    }
}

/* A NaN or infinity in one row of W or of x shows in all it belongs to, and nowhere else. */
static void not_finite(const tnn__kernels *k) {
    for (int64_t n_cols = 1; n_cols <= 37; n_cols += 36) {
        problem p = problem_new(TNN_TYPE_F32, 45, 37, n_cols, 0, false);
        ((float *)p.w.data)[5 * 45 + 44] = NAN;
        ((float *)p.w.data)[36 * 45] = INFINITY;
        run(&k->gemm[TNN_TYPE_F32], &p.args, 64);
        for (int64_t t = 0; t < n_cols; t++) {
            const float *y = p.args.y + t * p.args.y_stride;
            for (int64_t i = 0; i < 37; i++)
                assert_true(i == 5 ? isnan(y[i]) : i == 36 ? isinf(y[i]) : isfinite(y[i]));
        }
        problem_free(&p);
    }
}

#define TEST(name)                                                                                                     \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        at_every_level(name);                                                                                          \
    }
TEST(inner_tails)
TEST(row_tails)
TEST(column_tails)
TEST(long_inner)
TEST(tall)
TEST(task_cuts)
TEST(not_finite)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inner_tails), cmocka_unit_test(test_row_tails), cmocka_unit_test(test_column_tails),
        cmocka_unit_test(test_long_inner),  cmocka_unit_test(test_tall),      cmocka_unit_test(test_task_cuts),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
