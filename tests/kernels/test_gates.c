/*
 * What surrounds the gated delta rule, at every level, against the double precision kernels: every length to 70 and
 * some more. Tolerances: an exponential is good to 2 ulp, each of the ten or so operations around it adds one at most,
 * sums of n products n/8 + 8; 1e-6 of the largest magnitude that goes into a result covers them to n = 4000.
 */
#include "support/kernels.h"

#include "cpu/ref/f64.h"

enum { MAX_N = 1000, MAX_WIDTH = 5 };

static int64_t size_at(int i) {
    static const int64_t sizes[] = {96, 128, 255, 256, 576, 1000};
    return i < 70 ? i + 1 : i < 76 ? sizes[i - 70] : 0;
}

static tnn__kernels_f64 f64;

/* The same values in both precisions. */
typedef struct pair {
    buffer f32;
    double f64[MAX_N * MAX_WIDTH];
} pair;

static pair pair_new(int64_t n, float scale) {
    pair p;
    p.f32 = buffer_new((size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++) {
        float x = scale * random_float();
        ((float *)p.f32.data)[i] = x;
        p.f64[i] = (double)x;
    }
    return p;
}

static void check_pair(const pair *p, int64_t n, double magnitude, const char *what) {
    for (int64_t i = 0; i < n; i++)
        check_near(((float *)p->f32.data)[i], p->f64[i], 1e-6 * magnitude, "%s, %lld of %lld", what, (long long)i,
                   (long long)n);
}

static void sigmoid(const tnn__kernels *k) {
    for (int c = 0; size_at(c) > 0; c++) {
        int64_t n = size_at(c);
        pair x = pair_new(n, 20), gate = pair_new(n, 90), dy = pair_new(n, 1), y = pair_new(n, 1), z = pair_new(n, 1);
        k->sigmoid(gate.f32.data, y.f32.data, n);
        f64.sigmoid(gate.f64, y.f64, n);
        check_pair(&y, n, 1, "sigmoid");
        k->sigmoid_gate(x.f32.data, gate.f32.data, y.f32.data, n);
        f64.sigmoid_gate(x.f64, gate.f64, y.f64, n);
        check_pair(&y, n, 20, "sigmoid_gate");
        k->sigmoid_gate_back(x.f32.data, gate.f32.data, dy.f32.data, y.f32.data, z.f32.data, n);
        f64.sigmoid_gate_back(x.f64, gate.f64, dy.f64, y.f64, z.f64, n);
        check_pair(&y, n, 1, "sigmoid_gate, dx");
        check_pair(&z, n, 20, "sigmoid_gate, dgate");
        k->sigmoid(gate.f32.data, gate.f32.data, n);
        f64.sigmoid(gate.f64, gate.f64, n);
        check_pair(&gate, n, 1, "sigmoid in place");
        pair *const all[] = {&x, &gate, &dy, &y, &z};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            buffer_free(&all[i]->f32);
    }
}

/* Far out, and what is not a number. */
static void extremes(const tnn__kernels *k) {
    float x[8] = {-1000, 1000, -88, 88, INFINITY, -INFINITY, NAN, 0}, y[8], ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    k->sigmoid(x, y, 8);
    assert_true(y[0] == 0 && y[1] == 1 && y[2] < 1e-37f && y[3] == 1 && y[4] == 1 && y[5] == 0 && y[7] == 0.5f);
    assert_true(isnan(y[6]));
    k->sigmoid_gate(ones, x, y, 8);
    assert_true(y[0] == 0 && y[1] == 1 && isnan(y[6]));
}

static void rms_norm_gated(const tnn__kernels *k) {
    for (int c = 0; size_at(c) > 0; c++) {
        int64_t n = size_at(c);
        pair x = pair_new(n, 1), gamma = pair_new(n, 2), z = pair_new(n, 8), dy = pair_new(n, 1), y = pair_new(n, 1);
        pair dz = pair_new(n, 1), dgamma = pair_new(n, 1);
        k->rms_norm_gated(x.f32.data, gamma.f32.data, z.f32.data, y.f32.data, n, 1e-6f);
        f64.rms_norm_gated(x.f64, gamma.f64, z.f64, y.f64, n, (double)1e-6f);
        check_pair(&y, n, 32, "rms_norm_gated");
        k->rms_norm_gated_back(x.f32.data, gamma.f32.data, z.f32.data, dy.f32.data, y.f32.data, dz.f32.data,
                               dgamma.f32.data, n, 1e-2f);
        f64.rms_norm_gated_back(x.f64, gamma.f64, z.f64, dy.f64, y.f64, dz.f64, dgamma.f64, n, (double)1e-2f);
        check_pair(&y, n, 160, "rms_norm_gated, dx"); /* 1 / rms reaches 10 */
        check_pair(&dz, n, 32, "rms_norm_gated, dz");
        check_pair(&dgamma, n, 32, "rms_norm_gated, dgamma");
        pair *const all[] = {&x, &gamma, &z, &dy, &y, &dz, &dgamma};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            buffer_free(&all[i]->f32);
    }
}

/* `width` rows, of which the gradient leaves out the first `left_out`. */
static void check_conv(const tnn__kernels *k, int64_t n, int64_t width, int64_t left_out) {
    pair x = pair_new(n * width, 2), w = pair_new(n * width, 2), dy = pair_new(n, 1), y = pair_new(n, 1);
    pair dx = pair_new(n * width, 1), dw = pair_new(n * width, 1);
    const float *rows[MAX_WIDTH];
    const double *rows64[MAX_WIDTH];
    float *drows[MAX_WIDTH];
    double *drows64[MAX_WIDTH];
    for (int64_t j = 0; j < width; j++) {
        rows[j] = (float *)x.f32.data + j * n;
        rows64[j] = x.f64 + j * n;
        drows[j] = j < left_out ? NULL : (float *)dx.f32.data + j * n;
        drows64[j] = j < left_out ? NULL : dx.f64 + j * n;
    }
    k->conv1d_silu(rows, w.f32.data, width, y.f32.data, n);
    f64.conv1d_silu(rows64, w.f64, width, y.f64, n);
    check_pair(&y, n, 20, "conv1d_silu");
    k->conv1d_silu_back(rows, w.f32.data, width, dy.f32.data, drows, dw.f32.data, n);
    f64.conv1d_silu_back(rows64, w.f64, width, dy.f64, drows64, dw.f64, n);
    check_pair(&dx, n * width, 20, "conv1d_silu, dx"); /* the rows left out have kept their values */
    check_pair(&dw, n * width, 20, "conv1d_silu, dw");
    pair *const all[] = {&x, &w, &dy, &y, &dx, &dw};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        buffer_free(&all[i]->f32);
}

static void conv1d_silu(const tnn__kernels *k) {
    for (int c = 0; size_at(c) > 0; c++)
        for (int64_t width = 2; width <= MAX_WIDTH; width++)
            check_conv(k, size_at(c), width, (c + width) % width);
}

#define TEST(name)                                                                                                     \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        at_every_level(name);                                                                                          \
    }
TEST(sigmoid)
TEST(extremes)
TEST(rms_norm_gated)
TEST(conv1d_silu)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sigmoid),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_rms_norm_gated),
        cmocka_unit_test(test_conv1d_silu),
    };
    tnn__kernels_init_f64(&f64);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
