/*
 * Gradient of attention at every level against the double precision kernel, whose rule tests/grad checks by
 * differences: head sizes, groups, windows, rows that see nothing, masks that hide some keys or all, however keys are
 * cut into parts. Tolerance 1e-4, relative in the norm of each gradient.
 */
#include "support/kernels.h"

#include "cpu/ref/f64.h"

typedef struct shape {
    int64_t d, d_v, group, n_kv_head, n_rows, n_parts;
    bool mask;
} shape;

/* An input in both precisions; values F32 can hold. */
typedef struct both {
    buffer f32;
    double *f64;
} both;

static both both_new(int64_t n) {
    both b = {buffer_new((size_t)n * sizeof(float)), malloc((size_t)n * sizeof(double))};
    assert_non_null(b.f64);
    float *x = b.f32.data;
    random_floats(x, n);
    for (int64_t i = 0; i < n; i++)
        b.f64[i] = (double)x[i];
    return b;
}

static void both_free(both *b) {
    buffer_free(&b->f32);
    free(b->f64);
}

typedef struct problem {
    shape s;
    both q, k, v, mask, dout, out, lse;
    int32_t *lo, *hi;
} problem;

/* Causal by default; some rows have a window that starts late, some see nothing. */
static void set_ranges(problem *p) {
    for (int64_t t = 0; t < p->s.n_rows; t++) {
        p->lo[t] = t % 3 == 1 ? (int32_t)random_below(t + 1) : 0;
        p->hi[t] = (int32_t)(t + 1);
        if (t % 7 == 5) p->hi[t] = p->lo[t];
    }
}

/* Of every key, or of some: hidden ones, as a caller's mask has them. */
static void hide_keys(both *mask, int64_t n) {
    float *x = mask->f32.data;
    for (int64_t t = 0; t < n; t++) {
        for (int64_t j = 0; j < n; j++) {
            if (t % 5 == 3 || (t + j) % 11 == 6) mask->f64[t * n + j] = x[t * n + j] = -INFINITY;
        }
    }
}

#define ARGS(field)                                                                                                    \
    {                                                                                                                  \
        .q = p->q.field, .k = p->k.field, .v = p->v.field, .d = p->s.d, .d_v = p->s.d_v,                               \
        .n_head = p->s.group * p->s.n_kv_head, .n_kv_head = p->s.n_kv_head, .n_rows = p->s.n_rows, .scale = 0.3f,      \
        .lo = p->lo, .hi = p->hi, .mask = p->s.mask ? p->mask.field : NULL, .mask_stride = p->s.n_rows,                \
        .out = p->out.field, .lse = p->lse.field                                                                       \
    }

static tnn__attn_args_f64 args_f64(const problem *p) {
    tnn__attn_args_f64 a = ARGS(f64);
    a.kv_type = TNN_TYPE_F64;
    a.k_head_bytes = (size_t)p->s.d * sizeof(double);
    a.v_head_bytes = (size_t)p->s.d_v * sizeof(double);
    a.k_pos_bytes = a.k_head_bytes * (size_t)p->s.n_kv_head;
    a.v_pos_bytes = a.v_head_bytes * (size_t)p->s.n_kv_head;
    return a;
}

static tnn__attn_args args_f32(const problem *p) {
    tnn__attn_args a = ARGS(f32.data);
    a.kv_type = TNN_TYPE_F32;
    a.k_head_bytes = (size_t)p->s.d * sizeof(float);
    a.v_head_bytes = (size_t)p->s.d_v * sizeof(float);
    a.k_pos_bytes = a.k_head_bytes * (size_t)p->s.n_kv_head;
    a.v_pos_bytes = a.v_head_bytes * (size_t)p->s.n_kv_head;
    return a;
}

static problem problem_new(const shape *s, const tnn__kernels_f64 *k64) {
    int64_t n_head = s->group * s->n_kv_head, n = s->n_rows;
    problem p = {*s,
                 both_new(s->d * n_head * n),
                 both_new(s->d * s->n_kv_head * n),
                 both_new(s->d_v * s->n_kv_head * n),
                 both_new(n * n),
                 both_new(s->d_v * n_head * n),
                 both_new(s->d_v * n_head * n),
                 both_new(n_head * n),
                 malloc((size_t)n * sizeof(int32_t)),
                 malloc((size_t)n * sizeof(int32_t))};
    assert_true(p.lo && p.hi);
    set_ranges(&p);
    hide_keys(&p.mask, n);
    tnn__attn_args_f64 a = args_f64(&p);
    void *scratch = scratch_new(k64->attn_scratch_bytes(&a));
    for (int64_t c = 0; c < s->n_kv_head; c++)
        k64->attn(&a, c, 0, n, scratch);
    free(scratch);
    float *out = p.out.f32.data, *lse = p.lse.f32.data;
    for (int64_t i = 0; i < s->d_v * n_head * n; i++)
        out[i] = (float)p.out.f64[i];
    for (int64_t i = 0; i < n_head * n; i++)
        lse[i] = (float)p.lse.f64[i];
    return p;
}

static void problem_free(problem *p) {
    both *const all[] = {&p->q, &p->k, &p->v, &p->mask, &p->dout, &p->out, &p->lse};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        both_free(all[i]);
    free(p->lo);
    free(p->hi);
}

static void check_gradient(const char *name, const problem *p, const float *got, const double *want, int64_t n) {
    double error = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        size += want[i] * want[i];
    }
    check_near(sqrt(error), 0, 1e-4 * sqrt(size), "%s: d %d, d_v %d, %d rows, %d parts", name, (int)p->s.d,
               (int)p->s.d_v, (int)p->s.n_rows, (int)p->s.n_parts);
}

static void check_shape(const tnn__kernels *k, const shape *s) {
    tnn__kernels_f64 k64;
    tnn__kernels_init_f64(&k64);
    problem p = problem_new(s, &k64);
    int64_t n_q = s->d * s->group * s->n_kv_head * s->n_rows, n_k = s->d * s->n_kv_head * s->n_rows,
            n_v = s->d_v * s->n_kv_head * s->n_rows;
    both dq = both_new(n_q), part = both_new(n_q), dk = both_new(n_k), dv = both_new(n_v);
    tnn__attn_back_args a = {args_f32(&p), p.dout.f32.data, dk.f32.data, dv.f32.data};
    tnn__attn_back_args_f64 a64 = {args_f64(&p), p.dout.f64, dk.f64, dv.f64};
    void *scratch = scratch_new(k->attn_back_scratch_bytes(&a));
    float *sum = dq.f32.data, *share = part.f32.data;
    memset(sum, 0, (size_t)n_q * sizeof *sum);
    for (int64_t i = 0; i < s->n_parts; i++) {
        for (int64_t c = 0; c < s->n_kv_head; c++)
            k->attn_back(&a, c, i, s->n_parts, share, scratch);
        for (int64_t j = 0; j < n_q; j++)
            sum[j] += share[j];
    }
    for (int64_t c = 0; c < s->n_kv_head; c++)
        k64.attn_back(&a64, c, 0, 1, dq.f64, NULL);
    check_gradient("dq", &p, sum, dq.f64, n_q);
    check_gradient("dk", &p, dk.f32.data, dk.f64, n_k);
    check_gradient("dv", &p, dv.f32.data, dv.f64, n_v);
    free(scratch);
    both *const all[] = {&dq, &part, &dk, &dv};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        both_free(all[i]);
    problem_free(&p);
}

static void check_shapes(const tnn__kernels *k) {
    static const shape shapes[] = {
        {8, 8, 1, 1, 1, 1, false},    {64, 64, 3, 2, 70, 1, false},  {64, 64, 3, 1, 200, 2, true},
        {32, 48, 1, 2, 64, 1, false}, {40, 24, 2, 1, 130, 3, false}, {128, 128, 1, 1, 65, 2, true},
        {5, 3, 2, 2, 90, 2, true},    {300, 7, 1, 1, 20, 1, false},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_shape(k, &shapes[i]);
    for (int64_t n = 1; n <= 20; n++) {
        check_shape(k, &(shape){.d = n, .d_v = 21 - n, .group = 1, .n_kv_head = 1, .n_rows = 9, .n_parts = 1});
        check_shape(k, &(shape){.d = 8, .d_v = 8, .group = 1, .n_kv_head = 1, .n_rows = 60 + n, .n_parts = 2});
    }
}

static bool same(const tnn__kernels *a, const tnn__kernels *b) {
    return a->attn_back == b->attn_back;
}

static void test_shapes(void **state) {
    (void)state;
    at_levels_unlike(check_shapes, same);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
