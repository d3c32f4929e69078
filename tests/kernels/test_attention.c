/*
 * Attention at every level against a softmax in double precision: head sizes, groups, key types, windows, empty ranges,
 * masks; the same bits however rows are cut into tasks; parts joined.
 *
 * Tolerance: with d the error of a score (its sum of products: (d + 8) u times the sum of magnitudes; scaling, mask and
 * change of base: 8 u times the largest magnitude), a weight is off by a factor e^(2 d) and by the roundings of the
 * exponential (4 u) and of the sums over keys, a chain of at most 64 per block plus one per block. That times the sum
 * of weighted magnitudes bounds the error of an output; the same bound in front of the sum goes for log-sum-exp.
 */
#include "support/kernels.h"

typedef struct problem {
    tnn_type type;
    int64_t d, d_v, n_head, n_kv_head, n_rows, n_kv;
    buffer q, k, v, mask, out, lse;
    double *k_f64, *v_f64; /* [d, n_kv_head, n_kv] */
    int32_t *lo, *hi;
    tnn__attn_args args;
} problem;

typedef struct shape {
    tnn_type type;
    int64_t d, d_v, group, n_kv_head, n_rows, n_kv;
    bool mask;
} shape;

/* Rows of a stored type, and what they stand for. */
static buffer stored_rows(tnn_type type, int64_t d, int64_t n, double **f64) {
    tnn__kernels portable;
    tnn__kernels_init(&portable, TNN_ISA_PORTABLE);
    size_t row_bytes = tnn_row_bytes((int32_t)type, d);
    buffer b = buffer_new(row_bytes * (size_t)n);
    float *row = malloc((size_t)d * sizeof *row);
    *f64 = malloc((size_t)(d * n) * sizeof **f64);
    assert_true(row && *f64);
    for (int64_t j = 0; j < n; j++) {
        char *to = (char *)b.data + row_bytes * (size_t)j;
        random_floats(row, d);
        portable.from_f32[type](row, to, d);
        portable.to_f32[type](to, row, d);
        for (int64_t i = 0; i < d; i++)
            (*f64)[j * d + i] = (double)row[i];
    }
    free(row);
    return b;
}

/* Causal by default; every third row has a window that starts late, some rows see nothing. */
static void set_ranges(problem *p) {
    for (int64_t t = 0; t < p->n_rows; t++) {
        p->hi[t] = (int32_t)(p->n_kv - p->n_rows + t + 1);
        p->lo[t] = 0;
        if (t % 3 == 1) p->lo[t] = (int32_t)random_below(p->hi[t]);
        if (t % 7 == 5) p->lo[t] = p->hi[t] = (int32_t)random_below(p->n_kv);
    }
}

static problem problem_new(const shape *s) {
    problem p = {.type = s->type,
                 .d = s->d,
                 .d_v = s->d_v,
                 .n_head = s->group * s->n_kv_head,
                 .n_kv_head = s->n_kv_head,
                 .n_rows = s->n_rows,
                 .n_kv = s->n_kv};
    int64_t n_q = p.d * p.n_head * p.n_rows, n_out = p.d_v * p.n_head * p.n_rows;
    p.q = buffer_new((size_t)n_q * sizeof(float));
    p.out = buffer_new((size_t)n_out * sizeof(float));
    p.lse = buffer_new((size_t)(p.n_head * p.n_rows) * sizeof(float));
    p.mask = buffer_new((size_t)(p.n_kv * p.n_rows) * sizeof(float));
    p.k = stored_rows(p.type, p.d, p.n_kv * p.n_kv_head, &p.k_f64);
    p.v = stored_rows(p.type, p.d_v, p.n_kv * p.n_kv_head, &p.v_f64);
    p.lo = malloc((size_t)p.n_rows * sizeof *p.lo);
    p.hi = malloc((size_t)p.n_rows * sizeof *p.hi);
    assert_true(p.lo && p.hi);
    random_floats(p.q.data, n_q);
    for (int64_t i = 0; i < n_q; i++)
        ((float *)p.q.data)[i] *= 4;
    random_floats(p.mask.data, p.n_kv * p.n_rows);
    for (int64_t i = 0; i < p.n_kv * p.n_rows; i += 1 + random_below(8))
        ((float *)p.mask.data)[i] = -INFINITY;
    set_ranges(&p);
    size_t k_row = tnn_row_bytes((int32_t)p.type, p.d), v_row = tnn_row_bytes((int32_t)p.type, p.d_v);
    p.args = (tnn__attn_args){.q = p.q.data,
                              .k = p.k.data,
                              .v = p.v.data,
                              .kv_type = p.type,
                              .k_pos_bytes = k_row * (size_t)p.n_kv_head,
                              .k_head_bytes = k_row,
                              .v_pos_bytes = v_row * (size_t)p.n_kv_head,
                              .v_head_bytes = v_row,
                              .d = p.d,
                              .d_v = p.d_v,
                              .n_head = p.n_head,
                              .n_kv_head = p.n_kv_head,
                              .n_rows = p.n_rows,
                              .scale = 1.0f / sqrtf((float)p.d),
                              .lo = p.lo,
                              .hi = p.hi,
                              .mask = s->mask ? p.mask.data : NULL,
                              .mask_stride = p.n_kv,
                              .out = p.out.data,
                              .lse = p.lse.data};
    return p;
}

static void problem_free(problem *p) {
    buffer_free(&p->q);
    buffer_free(&p->k);
    buffer_free(&p->v);
    buffer_free(&p->mask);
    buffer_free(&p->out);
    buffer_free(&p->lse);
    free(p->k_f64);
    free(p->v_f64);
    free(p->lo);
    free(p->hi);
}

static void run(const tnn__kernels *k, const problem *p, int64_t rows_per_task) {
    void *scratch = scratch_new(k->attn_scratch_bytes(&p->args, rows_per_task));
    for (int64_t c = 0; c < p->n_kv_head; c++)
        for (int64_t t = 0; t < p->n_rows; t += rows_per_task)
            k->attn(&p->args, c, t, t + rows_per_task < p->n_rows ? t + rows_per_task : p->n_rows, scratch);
    free(scratch);
}

static void run_parts(const tnn__kernels *k, const problem *p, int64_t keys_per_part) {
    int64_t group = p->n_head / p->n_kv_head, stride = group * (p->d_v + 2) + 5;
    int64_t n_parts = (p->n_kv + keys_per_part - 1) / keys_per_part;
    void *scratch = scratch_new(k->attn_scratch_bytes(&p->args, 1));
    float *parts = scratch_new((size_t)(n_parts * stride) * sizeof *parts);
    for (int64_t c = 0; c < p->n_kv_head; c++) {
        for (int64_t t = 0; t < p->n_rows; t++) {
            for (int64_t i = 0; i < n_parts; i++) {
                k->attn_part(&p->args, c, t, i * keys_per_part, (i + 1) * keys_per_part, parts + i * stride, scratch);
                for (int64_t l = 0; l < 5; l++)
                    assert_true(isnan(parts[i * stride + stride - 5 + l]));
            }
            k->attn_join(&p->args, c, t, parts, n_parts, stride);
        }
    }
    free(parts);
    free(scratch);
}

/* Scores of row t, head h in s, and what they may be off by. */
static double score_row(const problem *p, int64_t t, int64_t h, double *s) {
    int64_t c = h / (p->n_head / p->n_kv_head);
    const float *q = (const float *)p->q.data + (t * p->n_head + h) * p->d;
    double error = 0;
    for (int64_t j = p->lo[t]; j < p->hi[t]; j++) {
        const double *key = p->k_f64 + (j * p->n_kv_head + c) * p->d;
        double sum = 0, magnitude = 0;
        for (int64_t i = 0; i < p->d; i++) {
            sum += (double)q[i] * key[i];
            magnitude += fabs((double)q[i] * key[i]);
        }
        s[j] = sum * (double)p->args.scale;
        double largest = fabs(s[j]);
        if (p->args.mask) {
            float mask = p->args.mask[t * p->args.mask_stride + j];
            s[j] += (double)mask;
            if (isfinite(mask)) largest += fabs((double)mask);
        }
        double e = ((double)p->d + 8) * U32 * magnitude * (double)p->args.scale + 8 * U32 * largest;
        if (e > error) error = e;
    }
    return error;
}

static void check_row(const problem *p, int64_t t, int64_t h, double *s, const char *what) {
    int64_t c = h / (p->n_head / p->n_kv_head), row = t * p->n_head + h;
    const float *out = (const float *)p->out.data + row * p->d_v, lse = ((const float *)p->lse.data)[row];
    double score_error = score_row(p, t, h, s), max = -(double)INFINITY, sum = 0;
    for (int64_t j = p->lo[t]; j < p->hi[t]; j++)
        max = s[j] > max ? s[j] : max;
    if (max == -(double)INFINITY) {
        assert_true(isinf(lse) && lse < 0);
        for (int64_t i = 0; i < p->d_v; i++)
            assert_true(out[i] == 0);
        return;
    }
    for (int64_t j = p->lo[t]; j < p->hi[t]; j++)
        sum += exp(s[j] - max);
    double relative = 2 * score_error + (4 + 64 + 16 + (double)p->n_kv / 64) * U32;
    check_near(lse, max + log(sum), relative + 2 * U32 * fabs(max), "%s, lse of row %lld head %lld", what, (long long)t,
               (long long)h);
    for (int64_t i = 0; i < p->d_v; i++) {
        double want = 0, magnitude = 0;
        for (int64_t j = p->lo[t]; j < p->hi[t]; j++) {
            double term = exp(s[j] - max) / sum * p->v_f64[(j * p->n_kv_head + c) * p->d_v + i];
            want += term;
            magnitude += fabs(term);
        }
        check_near(out[i], want, 2 * relative * magnitude, "%s %s d %lld group %lld, %lld of %lld keys, row %lld, %lld",
                   what, tnn_type_get_info((int32_t)p->type)->name, (long long)p->d,
                   (long long)(p->n_head / p->n_kv_head), (long long)(p->hi[t] - p->lo[t]), (long long)p->n_kv,
                   (long long)t, (long long)i);
    }
}

static void check_result(const problem *p, const char *what) {
    double *s = malloc((size_t)p->n_kv * sizeof *s);
    assert_non_null(s);
    for (int64_t t = 0; t < p->n_rows; t++)
        for (int64_t h = 0; h < p->n_head; h++)
            check_row(p, t, h, s, what);
    free(s);
}

/* Whole rows in tasks of two sizes, then parts of one and two blocks. */
static void check_shape(const tnn__kernels *k, const shape *s) {
    problem p = problem_new(s);
    size_t bytes = (size_t)(p.d_v * p.n_head * p.n_rows) * sizeof(float);
    size_t lse_bytes = (size_t)(p.n_head * p.n_rows) * sizeof(float);
    float *whole = malloc(bytes), *whole_lse = malloc(lse_bytes);
    assert_true(whole && whole_lse);
    run(k, &p, k->attn_rows);
    check_result(&p, "whole rows");
    memcpy(whole, p.out.data, bytes);
    memcpy(whole_lse, p.lse.data, lse_bytes);
    for (int64_t rows = 1; rows <= 5; rows += 2) {
        memset(p.out.data, 0xff, bytes);
        memset(p.lse.data, 0xff, lse_bytes);
        run(k, &p, rows);
        check_same(p.out.data, whole, bytes, "%lld rows a task", (long long)rows);
        check_same(p.lse.data, whole_lse, lse_bytes, "lse, %lld rows a task", (long long)rows);
    }
    for (int64_t blocks = 1; blocks <= 2; blocks++) {
        memset(p.out.data, 0xff, bytes);
        memset(p.lse.data, 0xff, lse_bytes);
        run_parts(k, &p, blocks * TNN__ATTN_BLOCK);
        check_result(&p, "parts");
    }
    free(whole);
    free(whole_lse);
    problem_free(&p);
}

static const tnn_type kv_types[] = {TNN_TYPE_F32, TNN_TYPE_F16, TNN_TYPE_BF16, TNN_TYPE_Q8_0};

static void head_sizes(const tnn__kernels *k) {
    static const int64_t sizes[] = {16, 64, 80, 128, 256, 1, 4, 7, 20, 33, 100};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t y = 0; y < sizeof kv_types / sizeof *kv_types; y++) {
            if (kv_types[y] == TNN_TYPE_Q8_0 && sizes[i] % 32 != 0) continue;
            shape s = {.type = kv_types[y],
                       .d = sizes[i],
                       .d_v = sizes[i],
                       .group = 2,
                       .n_kv_head = 2,
                       .n_rows = 9,
                       .n_kv = 150};
            check_shape(k, &s);
            s.n_rows = 2;
            check_shape(k, &s);
        }
    }
}

static void value_size_differs(const tnn__kernels *k) {
    shape s = {.type = TNN_TYPE_F32, .d = 48, .d_v = 40, .group = 3, .n_kv_head = 1, .n_rows = 8, .n_kv = 70};
    check_shape(k, &s);
    s.type = TNN_TYPE_F16;
    s.d_v = 72;
    check_shape(k, &s);
}

static void groups(const tnn__kernels *k) {
    static const int64_t groups[] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        for (int64_t n_rows = 1; n_rows <= 11; n_rows += 5) {
            shape s = {.type = i % 2 ? TNN_TYPE_F16 : TNN_TYPE_F32,
                       .d = 64,
                       .d_v = 64,
                       .group = groups[i],
                       .n_kv_head = 2,
                       .n_rows = n_rows,
                       .n_kv = 131};
            check_shape(k, &s);
        }
    }
}

static void key_counts(const tnn__kernels *k) {
    for (int64_t n_kv = 1; n_kv <= 130; n_kv++) {
        int64_t n_rows = 1 + n_kv % 12;
        shape s = {.type = kv_types[n_kv % 3],
                   .d = 16,
                   .d_v = 16,
                   .group = 3,
                   .n_kv_head = 1,
                   .n_rows = n_rows < n_kv ? n_rows : n_kv,
                   .n_kv = n_kv};
        check_shape(k, &s);
    }
}

static void masks(const tnn__kernels *k) {
    for (int64_t n_rows = 1; n_rows <= 33; n_rows += 8) {
        shape s = {.type = TNN_TYPE_F32,
                   .d = 32,
                   .d_v = 32,
                   .group = 3,
                   .n_kv_head = 2,
                   .n_rows = n_rows,
                   .n_kv = 140,
                   .mask = true};
        check_shape(k, &s);
    }
}

/* A mask that leaves nothing gives zeros, as an empty range does. */
static void masked_out(const tnn__kernels *k) {
    for (int64_t n_rows = 1; n_rows <= 9; n_rows += 8) {
        shape s = {.type = TNN_TYPE_F32,
                   .d = 16,
                   .d_v = 16,
                   .group = 2,
                   .n_kv_head = 1,
                   .n_rows = n_rows,
                   .n_kv = 100,
                   .mask = true};
        problem p = problem_new(&s);
        for (int64_t j = 0; j < p.n_kv; j++)
            ((float *)p.mask.data)[(n_rows - 1) * p.n_kv + j] = -INFINITY;
        run(k, &p, k->attn_rows);
        check_result(&p, "masked out");
        run_parts(k, &p, TNN__ATTN_BLOCK);
        check_result(&p, "masked out, parts");
        problem_free(&p);
    }
}

/* Rows of one task have ranges far apart, and what no row sees is NaN: no row may be touched by keys it does not see.
 */
static void foreign_keys(const tnn__kernels *k) {
    for (size_t y = 0; y < 3; y++) {
        shape s = {.type = kv_types[y], .d = 24, .d_v = 24, .group = 3, .n_kv_head = 1, .n_rows = 12, .n_kv = 300};
        problem p = problem_new(&s);
        bool seen[300] = {false};
        for (int64_t t = 0; t < p.n_rows; t++) {
            p.lo[t] = (int32_t)(random_below(20) * 14);
            p.hi[t] = p.lo[t] + (int32_t)random_below(14);
            for (int64_t j = p.lo[t]; j < p.hi[t]; j++)
                seen[j] = true;
        }
        size_t row = tnn_row_bytes((int32_t)s.type, s.d);
        for (int64_t j = 0; j < p.n_kv; j++) {
            if (seen[j]) continue;
            memset((char *)p.k.data + row * (size_t)j, 0xff, row);
            memset((char *)p.v.data + row * (size_t)j, 0xff, row);
        }
        run(k, &p, 12);
        check_result(&p, "foreign keys");
        run_parts(k, &p, TNN__ATTN_BLOCK);
        check_result(&p, "foreign keys, parts");
        problem_free(&p);
    }
}

/* A NaN among the keys or values a row sees shows in its result, and in no other row's. */
static void not_finite(const tnn__kernels *k) {
    for (int64_t n_rows = 3; n_rows <= 9; n_rows += 6) {
        for (int in_v = 0; in_v < 2; in_v++) {
            shape s =
                {.type = TNN_TYPE_F32, .d = 16, .d_v = 16, .group = 1, .n_kv_head = 1, .n_rows = n_rows, .n_kv = 80};
            problem p = problem_new(&s);
            float *data = in_v ? p.v.data : p.k.data;
            for (int64_t i = 0; i < s.d; i++)
                data[77 * s.d + i] = NAN;
            for (int64_t t = 0; t < n_rows; t++) {
                p.lo[t] = t == 0 ? 77 : 0; /* the first row sees nothing else */
                p.hi[t] = t == 0 ? 78 : (int32_t)(80 - n_rows + t + 1);
            }
            run(k, &p, n_rows);
            for (int64_t t = 0; t < n_rows; t++)
                for (int64_t i = 0; i < s.d; i++)
                    assert_int_equal(isnan(p.args.out[t * s.d + i]), p.lo[t] <= 77 && p.hi[t] > 77);
            problem_free(&p);
        }
    }
}

/* Scores far apart: all weight on one key, and no overflow on the way. */
static void large_scores(const tnn__kernels *k) {
    for (int64_t n_rows = 2; n_rows <= 8; n_rows += 6) {
        shape s = {.type = TNN_TYPE_F32, .d = 8, .d_v = 8, .group = 2, .n_kv_head = 1, .n_rows = n_rows, .n_kv = 90};
        problem p = problem_new(&s);
        p.args.scale = 300;
        run(k, &p, k->attn_rows);
        check_result(&p, "large scores");
        problem_free(&p);
    }
}

#define TEST(name)                                                                                                     \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        at_every_level(name);                                                                                          \
    }
TEST(head_sizes)
TEST(value_size_differs)
TEST(groups)
TEST(key_counts)
TEST(masks)
TEST(masked_out)
TEST(foreign_keys)
TEST(not_finite)
TEST(large_scores)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_sizes),   cmocka_unit_test(test_value_size_differs),
        cmocka_unit_test(test_groups),       cmocka_unit_test(test_key_counts),
        cmocka_unit_test(test_masks),        cmocka_unit_test(test_masked_out),
        cmocka_unit_test(test_foreign_keys), cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_large_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
