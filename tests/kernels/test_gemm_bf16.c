/*
 * The products of training in BF16 at every level against double precision on the same rounded operands: y = W x, dx =
 * W^T dy, dW += dy x^T, for every type and all tails, and the same bits however rows and columns are cut into tasks.
 *
 * Tolerance: a product of two BF16 numbers is exact in F32, so only sums round: at most 540 of them in a row here,
 * hence 540 u times the sum of magnitudes.
 */
#include "support/kernels.h"

#include "base/half.h"

#define TOLERANCE (540 * U32)

static const tnn_type types[] = {
#define X(type) TNN_TYPE_##type,
    TNN__WEIGHT_TYPES(X)
#undef X
};
#define N_TYPES (sizeof types / sizeof *types)

/* A matrix in BF16, at the end of its memory, and its values. */
typedef struct rounded {
    buffer stored;
    double *value;
} rounded;

static rounded rounded_new(int64_t n, int64_t rows) {
    rounded r = {buffer_new((size_t)(n * rows) * sizeof(uint16_t)), malloc((size_t)(n * rows) * sizeof(double))};
    assert_non_null(r.value);
    uint16_t *to = r.stored.data;
    for (int64_t i = 0; i < n * rows; i++) {
        to[i] = tnn__f32_to_bf16(random_float());
        r.value[i] = (double)tnn__bf16_to_f32(to[i]);
    }
    return r;
}

static void rounded_free(rounded *r) {
    buffer_free(&r->stored);
    free(r->value);
}

/* W [n_in, n_out] of a type, and its elements rounded. */
static rounded weights_new(tnn_type type, int64_t n_in, int64_t n_out) {
    size_t row_bytes = tnn_row_bytes((int32_t)type, n_in);
    rounded w = {buffer_new(row_bytes * (size_t)n_out), malloc((size_t)(n_in * n_out) * sizeof(double))};
    float *row = malloc((size_t)n_in * sizeof *row);
    assert_true(w.value && row);
    for (int64_t i = 0; i < n_out; i++) {
        char *stored = (char *)w.stored.data + (size_t)i * row_bytes;
        random_floats(row, n_in);
        assert_int_equal(tnn_quantize_row(type, row, stored, n_in, NULL), TNN_OK);
        assert_int_equal(tnn_dequantize_row(type, stored, row, n_in), TNN_OK);
        for (int64_t k = 0; k < n_in; k++)
            w.value[i * n_in + k] = (double)tnn__bf16_to_f32(tnn__f32_to_bf16(row[k]));
    }
    free(row);
    return w;
}

static float *floats(int64_t n) {
    float *p = malloc((size_t)n * sizeof *p);
    assert_non_null(p);
    random_floats(p, n);
    return p;
}

typedef struct shape {
    int64_t n_in, n_out, n_cols;
} shape;

/* Tasks of `step` rows or columns, the last shorter. */
static void forward(const tnn__kernels *k, tnn_type type, const rounded *w, const rounded *x, const float *bias,
                    shape s, int64_t step, float *y) {
    const tnn__gemm_kernel *kernel = &k->gemm_bf16[type];
    tnn__gemm_args a = {.w = w->stored.data,
                        .type = type,
                        .row_bytes = tnn_row_bytes((int32_t)type, s.n_in),
                        .n_in = s.n_in,
                        .n_out = s.n_out,
                        .n_cols = s.n_cols,
                        .x16 = x->stored.data,
                        .x_stride = s.n_in,
                        .bias = bias,
                        .y = y,
                        .y_stride = s.n_out};
    void *scratch = scratch_new(kernel->scratch_bytes(s.n_in, s.n_cols, step));
    for (int64_t r = 0; r < s.n_out; r += step)
        kernel->run(&a, r, r + step < s.n_out ? r + step : s.n_out, scratch);
    free(scratch);
}

static void input_gradient(const tnn__kernels *k, tnn_type type, const rounded *w, const rounded *dy, shape s,
                           int64_t step, float *dx) {
    const tnn__gemm_dx_kernel *kernel = &k->gemm_dx_bf16[type];
    tnn__gemm_dx_args a = {.w = w->stored.data,
                           .type = type,
                           .row_bytes = tnn_row_bytes((int32_t)type, s.n_in),
                           .n_in = s.n_in,
                           .n_out = s.n_out,
                           .n_cols = s.n_cols,
                           .dy16 = dy->stored.data,
                           .dx = dx};
    step = step < kernel->k_align ? kernel->k_align : step / kernel->k_align * kernel->k_align;
    void *scratch = scratch_new(kernel->scratch_bytes(s.n_in, s.n_cols, step));
    for (int64_t c = 0; c < s.n_in; c += step)
        kernel->run(&a, c, c + step < s.n_in ? c + step : s.n_in, scratch);
    free(scratch);
}

static void weight_gradient(const tnn__kernels *k, const rounded *dy, const rounded *x, shape s, int64_t step,
                            float *dw) {
    tnn__gemm_dw_args a = {.n_in = s.n_in,
                           .n_out = s.n_out,
                           .n_cols = s.n_cols,
                           .dy16 = dy->stored.data,
                           .x16 = x->stored.data,
                           .dw = dw};
    void *scratch = scratch_new(k->gemm_dw_bf16.scratch_bytes(s.n_in, s.n_cols, step));
    for (int64_t r = 0; r < s.n_out; r += step)
        k->gemm_dw_bf16.run(&a, r, r + step < s.n_out ? r + step : s.n_out, scratch);
    free(scratch);
}

/* got against start + sum over i of a[i * a_step] b[i * b_step] */
static void check_sum(const char *what, double got, double start, const double *a, int64_t a_step, const double *b,
                      int64_t b_step, int64_t n) {
    double sum = start, size = fabs(start);
    for (int64_t i = 0; i < n; i++) {
        sum += a[i * a_step] * b[i * b_step];
        size += fabs(a[i * a_step] * b[i * b_step]);
    }
    check_near(got, sum, TOLERANCE * size, "%s", what);
}

static void check_shape(const tnn__kernels *k, tnn_type type, shape s) {
    rounded w = weights_new(type, s.n_in, s.n_out), x = rounded_new(s.n_in, s.n_cols),
            dy = rounded_new(s.n_out, s.n_cols);
    float *bias = floats(s.n_out), *y = floats(s.n_out * s.n_cols), *dx = floats(s.n_in * s.n_cols);
    float *dw = floats(s.n_in * s.n_out), *before = malloc((size_t)(s.n_in * s.n_out) * sizeof *before);
    memcpy(before, dw, (size_t)(s.n_in * s.n_out) * sizeof *before);
    forward(k, type, &w, &x, bias, s, 64, y);
    input_gradient(k, type, &w, &dy, s, 64, dx);
    weight_gradient(k, &dy, &x, s, 64, dw);
    for (int64_t t = 0; t < s.n_cols; t++) {
        for (int64_t i = 0; i < s.n_out; i++)
            check_sum("y", (double)y[t * s.n_out + i], (double)bias[i], w.value + i * s.n_in, 1, x.value + t * s.n_in,
                      1, s.n_in);
        for (int64_t c = 0; c < s.n_in; c++)
            check_sum("dx", (double)dx[t * s.n_in + c], 0, w.value + c, s.n_in, dy.value + t * s.n_out, 1, s.n_out);
    }
    for (int64_t i = 0; i < s.n_out; i++)
        for (int64_t c = 0; c < s.n_in; c++)
            check_sum("dw", (double)dw[i * s.n_in + c], (double)before[i * s.n_in + c], dy.value + i, s.n_out,
                      x.value + c, s.n_in, s.n_cols);
    free(bias), free(y), free(dx), free(dw), free(before);
    rounded_free(&w);
    rounded_free(&x);
    rounded_free(&dy);
}

static void check_every_type(const tnn__kernels *k) {
    for (size_t i = 0; i < N_TYPES; i++) {
        int64_t block = tnn_type_get_info((int32_t)types[i])->block_elems;
        check_shape(k, types[i], (shape){block == 1 ? 38 : block == 32 ? 96 : 512, 33, 40});
    }
}

static void check_tails(const tnn__kernels *k) {
    for (int64_t n = 1; n <= 35; n++) {
        check_shape(k, TNN_TYPE_F32, (shape){n, 19, 33});
        check_shape(k, TNN_TYPE_F32, (shape){18, n, 34});
        check_shape(k, TNN_TYPE_F32, (shape){17, 20, n});
    }
    check_shape(k, TNN_TYPE_F32, (shape){270, 530, 3});
    check_shape(k, TNN_TYPE_F32, (shape){150, 8, 530});
}

/* Cut into other tasks: the same bits. */
static void check_cuts(const tnn__kernels *k) {
    const shape s = {576, 200, 50};
    rounded w = weights_new(TNN_TYPE_Q8_0, s.n_in, s.n_out), x = rounded_new(s.n_in, s.n_cols),
            dy = rounded_new(s.n_out, s.n_cols);
    size_t y_bytes = (size_t)(s.n_out * s.n_cols) * sizeof(float),
           dx_bytes = (size_t)(s.n_in * s.n_cols) * sizeof(float);
    size_t dw_bytes = (size_t)(s.n_in * s.n_out) * sizeof(float);
    float *a = calloc(1, dw_bytes), *b = calloc(1, dw_bytes);
    forward(k, TNN_TYPE_Q8_0, &w, &x, NULL, s, s.n_out, a);
    forward(k, TNN_TYPE_Q8_0, &w, &x, NULL, s, 64, b);
    check_same(a, b, y_bytes, "y");
    input_gradient(k, TNN_TYPE_Q8_0, &w, &dy, s, s.n_in, a);
    input_gradient(k, TNN_TYPE_Q8_0, &w, &dy, s, 64, b);
    check_same(a, b, dx_bytes, "dx");
    memset(a, 0, dw_bytes);
    memset(b, 0, dw_bytes);
    weight_gradient(k, &dy, &x, s, s.n_out, a);
    weight_gradient(k, &dy, &x, s, 64, b);
    check_same(a, b, dw_bytes, "dw");
    free(a), free(b);
    rounded_free(&w);
    rounded_free(&x);
    rounded_free(&dy);
}

static void test_every_type(void **state) {
    (void)state;
    at_every_level(check_every_type);
}

static void test_tails(void **state) {
    (void)state;
    at_every_level(check_tails);
}

static void test_cuts(void **state) {
    (void)state;
    at_every_level(check_cuts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_tails),
        cmocka_unit_test(test_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
