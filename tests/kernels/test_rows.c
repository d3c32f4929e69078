/*
 * Kernels over one row, at every level, against double precision, for every length to 130 and some model sizes.
 *
 * Tolerances: rms_norm: the sum of squares is a chain of n/8 + 8 roundings at most, of which the root takes half; two
 * products, a quotient and a root are 4 more. swiglu: the exponential is good to 2 ulp (4 u), negation, sum, quotient
 * and product add 4 u; where e^-z overflows (z < -88.7) silu becomes 0, which is 2^-121 off at most. rope: two products
 * and a sum, 2 u of the magnitudes. add is exact to the bit.
 */
#include "support/kernels.h"

static const int64_t long_sizes[] = {255, 256, 576, 1000, 2048, 4097};
enum { N_LONG = sizeof long_sizes / sizeof *long_sizes, MAX_SHORT = 130 };

/* Every size worth a try. */
static int64_t size_at(int64_t i) {
    return i < MAX_SHORT ? i + 1 : i - MAX_SHORT < N_LONG ? long_sizes[i - MAX_SHORT] : 0;
}

static buffer floats_new(int64_t n) {
    buffer b = buffer_new((size_t)n * sizeof(float));
    random_floats(b.data, n);
    return b;
}

static void rms_norm(const tnn__kernels *k) {
    for (int64_t c = 0, n; (n = size_at(c)) > 0; c++) {
        buffer x = floats_new(n), gamma = floats_new(n), y = buffer_new((size_t)n * sizeof(float));
        const float *in = x.data, *g = gamma.data, *out = y.data;
        float eps = 1e-5f;
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += (double)in[i] * (double)in[i];
        double factor = 1 / sqrt(sum / (double)n + (double)eps);
        double relative = ((double)n / 16 + 8) * U32;
        k->rms_norm(in, g, y.data, n, eps);
        for (int64_t i = 0; i < n; i++) {
            double want = (double)in[i] * factor * (double)g[i];
            check_near(out[i], want, relative * fabs(want), "rms_norm, n %lld, %lld", (long long)n, (long long)i);
        }
        k->rms_norm(in, g, x.data, n, eps);
        check_same(x.data, y.data, (size_t)n * sizeof(float), "rms_norm in place, n %lld", (long long)n);
        buffer_free(&x);
        buffer_free(&gamma);
        buffer_free(&y);
    }
}

static void check_swiglu(float gate, float up, float got) {
    double z = (double)gate, want = z / (1 + exp(-z)) * (double)up;
    check_near(got, want, 8 * U32 * fabs(want) + 0x1p-121 * fmax(1, fabs((double)up)), "swiglu of %g and %g",
               (double)gate, (double)up);
}

static void swiglu(const tnn__kernels *k) {
    for (int64_t c = 0, n; (n = size_at(c)) > 0; c++) {
        buffer gate = floats_new(n), up = floats_new(n), y = buffer_new((size_t)n * sizeof(float));
        float *z = gate.data;
        for (int64_t i = 0; i < n; i++)
            z[i] *= (float[]){1, 10, 100, 1000}[i % 4];
        k->swiglu(z, up.data, y.data, n);
        for (int64_t i = 0; i < n; i++)
            check_swiglu(z[i], ((float *)up.data)[i], ((float *)y.data)[i]);
        k->swiglu(z, up.data, z, n);
        check_same(z, y.data, (size_t)n * sizeof(float), "swiglu in place, n %lld", (long long)n);
        buffer_free(&gate);
        buffer_free(&up);
        buffer_free(&y);
    }
}

/* The exponential over its whole range, and what is not a number. */
static void swiglu_range(const tnn__kernels *k) {
    enum { N = 1 << 16 };
    static float gate[N], up[N], y[N];
    for (int i = 0; i < N; i++) {
        gate[i] = ((float)i - N / 2) * (120.0f / (N / 2));
        up[i] = 1;
    }
    k->swiglu(gate, up, y, N);
    for (int i = 0; i < N; i++)
        check_swiglu(gate[i], up[i], y[i]);

    float odd[8] = {NAN, -NAN, INFINITY, 3.4e38f, -3.4e38f, 0.0f, -0.0f, 1e-40f}, result[8];
    k->swiglu(odd, up, result, 8);
    assert_true(isnan(result[0]) && isnan(result[1]));
    assert_true(isinf(result[2]) && result[2] > 0);
    assert_true(result[3] == 3.4e38f && result[4] == 0 && result[5] == 0 && result[6] == 0);
    assert_true(result[7] >= 0 && result[7] <= 1e-40f);
}

static void add(const tnn__kernels *k) {
    for (int64_t c = 0, n; (n = size_at(c)) > 0; c++) {
        buffer a = floats_new(n), b = floats_new(n), y = buffer_new((size_t)n * sizeof(float));
        k->add(a.data, b.data, y.data, n);
        for (int64_t i = 0; i < n; i++) {
            float want = ((float *)a.data)[i] + ((float *)b.data)[i];
            check_same((float *)y.data + i, &want, sizeof want, "add, n %lld, %lld", (long long)n, (long long)i);
        }
        k->add(a.data, b.data, a.data, n);
        check_same(a.data, y.data, (size_t)n * sizeof(float), "add in place, n %lld", (long long)n);
        buffer_free(&a);
        buffer_free(&b);
        buffer_free(&y);
    }
}

static void check_rope(const tnn__kernels *k, int64_t d, int64_t n_rot, bool interleaved, bool inverse) {
    buffer x = floats_new(d), y = buffer_new((size_t)d * sizeof(float));
    buffer cs = buffer_new((size_t)n_rot * sizeof(float));
    const float *in = x.data, *out = y.data;
    float *angle = cs.data;
    for (int64_t i = 0; i < n_rot / 2; i++) {
        float a = 4 * random_float();
        angle[2 * i] = cosf(a);
        angle[2 * i + 1] = sinf(a);
    }
    k->rope(in, angle, y.data, d, n_rot, interleaved, inverse);
    for (int64_t i = 0; i < n_rot / 2; i++) {
        int64_t i0 = interleaved ? 2 * i : i, i1 = interleaved ? 2 * i + 1 : i + n_rot / 2;
        double cos = (double)angle[2 * i], sin = (double)angle[2 * i + 1] * (inverse ? -1 : 1);
        double x0 = (double)in[i0], x1 = (double)in[i1];
        check_near(out[i0], x0 * cos - x1 * sin, 2 * U32 * (fabs(x0 * cos) + fabs(x1 * sin)),
                   "rope, d %lld, n_rot %lld, pair %lld", (long long)d, (long long)n_rot, (long long)i);
        check_near(out[i1], x0 * sin + x1 * cos, 2 * U32 * (fabs(x0 * sin) + fabs(x1 * cos)),
                   "rope, d %lld, n_rot %lld, pair %lld", (long long)d, (long long)n_rot, (long long)i);
    }
    check_same(out + n_rot, in + n_rot, (size_t)(d - n_rot) * sizeof(float), "rope, beyond n_rot");
    k->rope(in, angle, x.data, d, n_rot, interleaved, inverse);
    check_same(x.data, y.data, (size_t)d * sizeof(float), "rope in place");
    buffer_free(&x);
    buffer_free(&y);
    buffer_free(&cs);
}

static void rope(const tnn__kernels *k) {
    for (int64_t n_rot = 2; n_rot <= 256; n_rot += n_rot < 80 ? 2 : 16)
        for (int64_t rest = 0; rest <= 9; rest += 3)
            for (int how = 0; how < 4; how++)
                check_rope(k, n_rot + rest, n_rot, how & 1, how & 2);
}

#define TEST(name)                                                                                                     \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        at_every_level(name);                                                                                          \
    }
TEST(rms_norm)
TEST(swiglu)
TEST(swiglu_range)
TEST(add)
TEST(rope)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rms_norm), cmocka_unit_test(test_swiglu), cmocka_unit_test(test_swiglu_range),
        cmocka_unit_test(test_add),      cmocka_unit_test(test_rope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
