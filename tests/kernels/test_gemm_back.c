/*
 * The products of training at every level against double precision: y = W x with F32 activations for every type, dx =
 * W^T dy, dW += dy x^T; all tails, weights at odd addresses, buffers that end at a page without access. And results
 * that do not depend on how rows and columns are cut into tasks.
 *
 * Tolerance: as in test_gemm_f32.c, a chain of at most 288 roundings per block of the sum and one per block: 300 u
 * times the sum of magnitudes for the lengths used here.
 */
#include "support/kernels.h"

#define TOLERANCE (300 * U32)

static const tnn_type types[] = {
#define X(type) TNN_TYPE_##type,
    TNN__WEIGHT_TYPES(X)
#undef X
};
#define N_TYPES (sizeof types / sizeof *types)

/* W [n_in, n_out] of a type, at an odd address, and what it stands for. */
typedef struct weights {
    tnn_type type;
    int64_t n_in, n_out;
    size_t row_bytes;
    buffer stored;
    float *value;
} weights;

static weights weights_new(tnn_type type, int64_t n_in, int64_t n_out) {
    weights w = {.type = type, .n_in = n_in, .n_out = n_out, .row_bytes = tnn_row_bytes((int32_t)type, n_in)};
    w.stored = buffer_new(w.row_bytes * (size_t)n_out);
    w.value = malloc((size_t)(n_in * n_out) * sizeof(float));
    assert_non_null(w.value);
    random_floats(w.value, n_in * n_out);
    for (int64_t i = 0; i < n_out; i++) {
        char *row = (char *)w.stored.data + (size_t)i * w.row_bytes;
        assert_int_equal(tnn_quantize_row(type, w.value + i * n_in, row, n_in, NULL), TNN_OK);
        assert_int_equal(tnn_dequantize_row(type, row, w.value + i * n_in, n_in), TNN_OK);
    }
    return w;
}

static void weights_free(weights *w) {
    buffer_free(&w->stored);
    free(w->value);
}

static buffer matrix(int64_t n, int64_t rows) {
    buffer b = buffer_new((size_t)(n * rows) * sizeof(float));
    random_floats(b.data, n * rows);
    return b;
}

/* Tasks of `step` rows or columns, the last shorter. */
static void forward(const tnn__kernels *k, const weights *w, const float *x, int64_t n_cols, int64_t step, float *y) {
    const tnn__gemm_kernel *kernel = &k->gemm_float[w->type];
    tnn__gemm_args a = {.w = w->stored.data,
                        .type = w->type,
                        .row_bytes = w->row_bytes,
                        .n_in = w->n_in,
                        .n_out = w->n_out,
                        .n_cols = n_cols,
                        .x = x,
                        .x_stride = w->n_in,
                        .y = y,
                        .y_stride = w->n_out};
    void *scratch = scratch_new(kernel->scratch_bytes(w->n_in, n_cols, step));
    for (int64_t r = 0; r < w->n_out; r += step)
        kernel->run(&a, r, r + step < w->n_out ? r + step : w->n_out, scratch);
    free(scratch);
}

static void input_gradient(const tnn__kernels *k, const weights *w, const float *dy, int64_t n_cols, int64_t step,
                           float *dx) {
    const tnn__gemm_dx_kernel *kernel = &k->gemm_dx[w->type];
    tnn__gemm_dx_args a = {.w = w->stored.data,
                           .type = w->type,
                           .row_bytes = w->row_bytes,
                           .n_in = w->n_in,
                           .n_out = w->n_out,
                           .n_cols = n_cols,
                           .dy = dy,
                           .dx = dx};
    step = step < kernel->k_align ? kernel->k_align : step / kernel->k_align * kernel->k_align;
    void *scratch = scratch_new(kernel->scratch_bytes(w->n_in, n_cols, step));
    for (int64_t c = 0; c < w->n_in; c += step)
        kernel->run(&a, c, c + step < w->n_in ? c + step : w->n_in, scratch);
    free(scratch);
}

static void weight_gradient(const tnn__kernels *k, int64_t n_in, int64_t n_out, const float *dy, const float *x,
                            int64_t n_cols, int64_t step, float *dw) {
    tnn__gemm_dw_args a = {.n_in = n_in, .n_out = n_out, .n_cols = n_cols, .dy = dy, .x = x, .dw = dw};
    void *scratch = scratch_new(k->gemm_dw.scratch_bytes(n_in, n_cols, step));
    for (int64_t r = 0; r < n_out; r += step)
        k->gemm_dw.run(&a, r, r + step < n_out ? r + step : n_out, scratch);
    free(scratch);
}

static void check_products(const tnn__kernels *k, tnn_type type, int64_t n_in, int64_t n_out, int64_t n_cols) {
    weights w = weights_new(type, n_in, n_out);
    buffer x = matrix(n_in, n_cols), dy = matrix(n_out, n_cols), y = matrix(n_out, n_cols), dx = matrix(n_in, n_cols);
    forward(k, &w, x.data, n_cols, 64, y.data);
    input_gradient(k, &w, dy.data, n_cols, 256, dx.data);
    const float *xs = x.data, *dys = dy.data, *ys = y.data, *dxs = dx.data;
    const char *name = tnn_type_get_info((int32_t)type)->name;
    for (int64_t t = 0; t < n_cols; t++) {
        for (int64_t i = 0; i < n_out; i++) {
            double sum = 0, size = 0;
            for (int64_t c = 0; c < n_in; c++) {
                double product = (double)w.value[i * n_in + c] * (double)xs[t * n_in + c];
                sum += product;
                size += fabs(product);
            }
            /* A level that multiplies in BF16 may do so for BF16 weights. */
            double rounding = type == TNN_TYPE_BF16 ? 0x1p-8 : TOLERANCE;
            check_near(ys[t * n_out + i], sum, rounding * size, "%s %dx%d, y[%d][%d]", name, (int)n_out, (int)n_in,
                       (int)t, (int)i);
        }
        for (int64_t c = 0; c < n_in; c++) {
            double sum = 0, size = 0;
            for (int64_t i = 0; i < n_out; i++) {
                double product = (double)w.value[i * n_in + c] * (double)dys[t * n_out + i];
                sum += product;
                size += fabs(product);
            }
            check_near(dxs[t * n_in + c], sum, TOLERANCE * size, "%s %dx%d, dx[%d][%d]", name, (int)n_out, (int)n_in,
                       (int)t, (int)c);
        }
    }
    buffer_free(&x);
    buffer_free(&dy);
    buffer_free(&y);
    buffer_free(&dx);
    weights_free(&w);
}

static void check_every_type(const tnn__kernels *k) {
    for (size_t i = 0; i < N_TYPES; i++) {
        int64_t block = tnn_type_get_info((int32_t)types[i])->block_elems;
        int64_t n_in = block == 1 ? 37 : block == 32 ? 96 : 512;
        check_products(k, types[i], n_in, 33, 1);
        check_products(k, types[i], n_in, 33, 40);
        check_products(k, types[i], block == 1 ? 300 : n_in, 70, 35);
    }
}

static void check_tails(const tnn__kernels *k) {
    for (int64_t n = 1; n <= 35; n++) {
        check_products(k, TNN_TYPE_F32, n, 19, 33);
        check_products(k, TNN_TYPE_F32, 18, n, 34);
        check_products(k, TNN_TYPE_F32, 17, 20, n);
    }
    check_products(k, TNN_TYPE_F32, 270, 531, 3);
}

static void check_dw(const tnn__kernels *k, int64_t n_in, int64_t n_out, int64_t n_cols) {
    buffer x = matrix(n_in, n_cols), dy = matrix(n_out, n_cols), dw = matrix(n_in, n_out);
    float *before = malloc((size_t)(n_in * n_out) * sizeof *before);
    memcpy(before, dw.data, (size_t)(n_in * n_out) * sizeof *before);
    weight_gradient(k, n_in, n_out, dy.data, x.data, n_cols, 64, dw.data);
    const float *xs = x.data, *dys = dy.data, *dws = dw.data;
    for (int64_t i = 0; i < n_out; i++)
        for (int64_t c = 0; c < n_in; c++) {
            double sum = (double)before[i * n_in + c], size = fabs(sum);
            for (int64_t t = 0; t < n_cols; t++) {
                double product = (double)dys[t * n_out + i] * (double)xs[t * n_in + c];
                sum += product;
                size += fabs(product);
            }
            check_near(dws[i * n_in + c], sum, TOLERANCE * size, "%dx%d by %d, dw[%d][%d]", (int)n_out, (int)n_in,
                       (int)n_cols, (int)i, (int)c);
        }
    free(before);
    buffer_free(&x);
    buffer_free(&dy);
    buffer_free(&dw);
}

static void check_weight_gradients(const tnn__kernels *k) {
    for (int64_t n = 1; n <= 35; n++) {
        check_dw(k, n, 19, 9);
        check_dw(k, 18, n, 10);
        check_dw(k, 17, 20, n);
    }
    check_dw(k, 150, 70, 3);
    check_dw(k, 40, 8, 530);
}

/* Cut into other tasks: the same bits. */
static void check_cuts(const tnn__kernels *k) {
    enum { N_IN = 576, N_OUT = 200, N_COLS = 50 };
    static const tnn_type some[] = {TNN_TYPE_F32, TNN_TYPE_Q4_0, TNN_TYPE_Q8_0};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        weights w = weights_new(some[i], N_IN, N_OUT);
        buffer x = matrix(N_IN, N_COLS), dy = matrix(N_OUT, N_COLS), dx = matrix(N_IN, N_COLS),
               y = matrix(N_OUT, N_COLS);
        float *dx2 = malloc(N_IN * N_COLS * sizeof *dx2), *y2 = malloc(N_OUT * N_COLS * sizeof *y2);
        forward(k, &w, x.data, N_COLS, N_OUT, y.data);
        forward(k, &w, x.data, N_COLS, 64, y2);
        check_same(y.data, y2, N_OUT * N_COLS * sizeof *y2, "forward, type %d", (int)some[i]);
        input_gradient(k, &w, dy.data, N_COLS, N_IN, dx.data);
        input_gradient(k, &w, dy.data, N_COLS, 64, dx2);
        check_same(dx.data, dx2, N_IN * N_COLS * sizeof *dx2, "dx, type %d", (int)some[i]);
        free(dx2);
        free(y2);
        buffer_free(&x);
        buffer_free(&dy);
        buffer_free(&dx);
        buffer_free(&y);
        weights_free(&w);
    }
    buffer x = matrix(N_IN, N_COLS), dy = matrix(N_OUT, N_COLS);
    float *dw = calloc(N_IN * N_OUT, sizeof *dw), *dw2 = calloc(N_IN * N_OUT, sizeof *dw2);
    weight_gradient(k, N_IN, N_OUT, dy.data, x.data, N_COLS, N_OUT, dw);
    weight_gradient(k, N_IN, N_OUT, dy.data, x.data, N_COLS, 16 * (k->gemm_dw.row_align > 16 ? 4 : 1), dw2);
    check_same(dw, dw2, N_IN * N_OUT * sizeof *dw, "dw");
    free(dw);
    free(dw2);
    buffer_free(&x);
    buffer_free(&dy);
}

static void test_every_type(void **state) {
    (void)state;
    at_every_level(check_every_type);
}

static void test_tails(void **state) {
    (void)state;
    at_every_level(check_tails);
}

static void test_weight_gradients(void **state) {
    (void)state;
    at_every_level(check_weight_gradients);
}

static void test_cuts(void **state) {
    (void)state;
    at_every_level(check_cuts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_tails),
        cmocka_unit_test(test_weight_gradients),
        cmocka_unit_test(test_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
