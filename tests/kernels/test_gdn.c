/*
 * The gated delta rule at every level, forward and back: a known answer, every number of rows to 257 against double
 * precision, and what is hard for the chunked form. Tolerances are relative, in the norm of each result (and 1e-30,
 * where all of it underflows): 1e-8 in double (what the known answer was printed with), 1e-4 in single.
 */
#include "support/kernels.h"

#include "cpu/ref/f64.h"

/* --- a problem: one key head, one value head, in double, and its results --- */

enum { MAX_T = 257, MAX_D = 128 };

static const double TOLERANCE = 1e-4;

typedef struct problem {
    int64_t d_k, d_v, n_rows, chunk;
    int64_t border; /* where a second sequence begins; 0: there is one */
    tnn_l2_rule norm;
    double *q, *k, *v, *decay, *beta, *state, *dout, *dstate;
} problem;

enum { OUT, STATE, DQ, DK, DV, DDECAY, DBETA, DSTATE, N_RESULTS };
static const char *const result_names[N_RESULTS] = {"o", "S_T", "dq", "dk", "dv", "dg", "dbeta", "dS_0"};

typedef struct results {
    double *of[N_RESULTS];
} results;

static int64_t result_size(const problem *p, int i) {
    const int64_t sizes[N_RESULTS] = {p->n_rows * p->d_v, p->d_k * p->d_v, p->n_rows * p->d_k, p->n_rows * p->d_k,
                                      p->n_rows * p->d_v, p->n_rows,       p->n_rows,          p->d_k * p->d_v};
    return sizes[i];
}

static double *doubles(int64_t n) {
    double *x = calloc((size_t)n, sizeof *x);
    assert_non_null(x);
    return x;
}

static problem problem_new(int64_t d_k, int64_t d_v, int64_t n_rows) {
    problem p = {.d_k = d_k, .d_v = d_v, .n_rows = n_rows, .norm = TNN_L2_EPS_ADDED};
    p.q = doubles(n_rows * d_k);
    p.k = doubles(n_rows * d_k);
    p.v = doubles(n_rows * d_v);
    p.decay = doubles(n_rows);
    p.beta = doubles(n_rows);
    p.state = doubles(d_k * d_v);
    p.dout = doubles(n_rows * d_v);
    p.dstate = doubles(d_k * d_v);
    return p;
}

static void problem_free(problem *p) {
    double *const all[] = {p->q, p->k, p->v, p->decay, p->beta, p->state, p->dout, p->dstate};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static results results_new(const problem *p) {
    results r;
    for (int i = 0; i < N_RESULTS; i++)
        r.of[i] = doubles(result_size(p, i));
    return r;
}

static void results_free(results *r) {
    for (int i = 0; i < N_RESULTS; i++)
        free(r->of[i]);
}

/* Values F32 can hold, so that both precisions see the same problem. */
static void random_doubles(double *x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        x[i] = (double)random_float();
}

static void fill(problem *p) {
    random_doubles(p->q, p->n_rows * p->d_k);
    random_doubles(p->k, p->n_rows * p->d_k);
    random_doubles(p->v, p->n_rows * p->d_v);
    random_doubles(p->state, p->d_k * p->d_v);
    random_doubles(p->dout, p->n_rows * p->d_v);
    random_doubles(p->dstate, p->d_k * p->d_v);
    for (int64_t t = 0; t < p->n_rows; t++) {
        double x = (double)random_float(), y = (double)random_float();
        p->decay[t] = (double)(float)-log1p(exp(4 * x - 2)); /* most keep something, some forget all */
        p->beta[t] = (double)(float)(1 / (1 + exp(-3 * y)));
    }
}

/* --- both precisions: all sequences forward, then all back, so that what is kept of one must outlive the others --- */

static int n_sequences(const problem *p) {
    return p->border ? 2 : 1;
}

static int64_t first_row(const problem *p, int sequence) {
    return sequence == 0 ? 0 : sequence == n_sequences(p) ? p->n_rows : p->border;
}

static int64_t kept_size(const problem *p) {
    return tnn__gdn_kept_rows(p->n_rows, p->d_k) * p->d_v;
}

static results run_f64(const problem *p) {
    tnn__kernels_f64 k;
    tnn__kernels_init_f64(&k);
    results r = results_new(p);
    tnn__gdn_back_args_f64 a = {
        .f = {.q = p->q,
              .k = p->k,
              .v = p->v,
              .q_stride = p->d_k,
              .k_stride = p->d_k,
              .v_stride = p->d_v,
              .decay = p->decay,
              .beta = p->beta,
              .d_k = p->d_k,
              .d_v = p->d_v,
              .n_v_heads = 1,
              .scale = 1 / sqrt((double)p->d_k),
              .norm = p->norm,
              .norm_eps = 1e-6,
              .chunk = p->chunk ? p->chunk : k.gdn.chunk,
              .out = r.of[OUT],
              .kept = doubles(kept_size(p)),
              .n_rows = p->n_rows},
        .dout = p->dout,
        .dq = r.of[DQ],
        .dk = r.of[DK],
        .dv = r.of[DV],
        .ddecay = r.of[DDECAY],
        .dbeta = r.of[DBETA],
    };
    size_t state_bytes = (size_t)(p->d_k * p->d_v) * sizeof(double);
    void *scratch = scratch_new(k.gdn.scratch_bytes(&a.f, p->n_rows));
    for (int i = 0; i < n_sequences(p); i++) {
        memcpy(r.of[STATE], p->state, state_bytes);
        k.gdn.run(&a.f, 0, 0, first_row(p, i), first_row(p, i + 1), r.of[STATE], scratch);
    }
    free(scratch);
    scratch = scratch_new(k.gdn.back_scratch_bytes(&a.f, p->n_rows));
    for (int i = 0; i < n_sequences(p); i++) {
        memcpy(r.of[DSTATE], p->dstate, state_bytes);
        k.gdn.back(&a, 0, 0, first_row(p, i), first_row(p, i + 1), p->state, r.of[DSTATE], false, scratch);
    }
    free(scratch);
    free(a.f.kept);
    return r;
}

static buffer to_floats(const double *x, int64_t n) {
    buffer b = buffer_new((size_t)n * sizeof(float));
    for (int64_t i = 0; i < n; i++)
        ((float *)b.data)[i] = (float)x[i];
    return b;
}

static buffer result_buffer(const problem *p, int i) {
    return buffer_new((size_t)result_size(p, i) * sizeof(float));
}

static results run_f32(const tnn__kernels *k, const problem *p) {
    int64_t n = p->n_rows, size = p->d_k * p->d_v;
    buffer q = to_floats(p->q, n * p->d_k), key = to_floats(p->k, n * p->d_k), v = to_floats(p->v, n * p->d_v);
    buffer decay = to_floats(p->decay, n), beta = to_floats(p->beta, n), dout = to_floats(p->dout, n * p->d_v);
    buffer found = to_floats(p->state, size), left = to_floats(p->dstate, size), of[N_RESULTS];
    buffer kept = buffer_new((size_t)kept_size(p) * sizeof(float));
    for (int i = 0; i < N_RESULTS; i++)
        of[i] = result_buffer(p, i);
    tnn__gdn_back_args a = {
        .f = {.q = q.data,
              .k = key.data,
              .v = v.data,
              .q_stride = p->d_k,
              .k_stride = p->d_k,
              .v_stride = p->d_v,
              .decay = decay.data,
              .beta = beta.data,
              .d_k = p->d_k,
              .d_v = p->d_v,
              .n_v_heads = 1,
              .scale = 1 / sqrtf((float)p->d_k),
              .norm = p->norm,
              .norm_eps = 1e-6f,
              .chunk = p->chunk ? p->chunk : k->gdn.chunk,
              .out = of[OUT].data,
              .kept = kept.data,
              .n_rows = n},
        .dout = dout.data,
        .dq = of[DQ].data,
        .dk = of[DK].data,
        .dv = of[DV].data,
        .ddecay = of[DDECAY].data,
        .dbeta = of[DBETA].data,
    };
    void *scratch = scratch_new(k->gdn.scratch_bytes(&a.f, n));
    for (int i = 0; i < n_sequences(p); i++) {
        memcpy(of[STATE].data, found.data, (size_t)size * sizeof(float));
        k->gdn.run(&a.f, 0, 0, first_row(p, i), first_row(p, i + 1), of[STATE].data, scratch);
    }
    free(scratch);
    scratch = scratch_new(k->gdn.back_scratch_bytes(&a.f, n));
    for (int i = 0; i < n_sequences(p); i++) {
        memcpy(of[DSTATE].data, left.data, (size_t)size * sizeof(float));
        k->gdn.back(&a, 0, 0, first_row(p, i), first_row(p, i + 1), found.data, of[DSTATE].data, false, scratch);
    }
    free(scratch);
    results r = results_new(p);
    for (int i = 0; i < N_RESULTS; i++) {
        for (int64_t e = 0; e < result_size(p, i); e++)
            r.of[i][e] = (double)((float *)of[i].data)[e];
        buffer_free(&of[i]);
    }
    buffer *const in[] = {&q, &key, &v, &decay, &beta, &dout, &found, &left, &kept};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++)
        buffer_free(in[i]);
    return r;
}

static void compare(const problem *p, const results *got, const results *want) {
    for (int i = 0; i < N_RESULTS; i++) {
        double difference = 0, size = 0;
        for (int64_t e = 0; e < result_size(p, i); e++) {
            double d = got->of[i][e] - want->of[i][e];
            difference += d * d;
            size += want->of[i][e] * want->of[i][e];
        }
        check_near(sqrt(difference), 0, TOLERANCE * sqrt(size) + 1e-30, "%s of %lld rows, %lld x %lld, chunks of %lld",
                   result_names[i], (long long)p->n_rows, (long long)p->d_k, (long long)p->d_v, (long long)p->chunk);
    }
}

static void check_level(const tnn__kernels *k, const problem *p) {
    results want = run_f64(p), got = run_f32(k, p);
    compare(p, &got, &want);
    results_free(&want);
    results_free(&got);
}

/* --- known answer: six rows, made with the generator below, gradients checked by finite differences --- */

static uint32_t lcg_state;

static void lcg_fill(double *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < 4; j++) {
            lcg_state = lcg_state * 1664525u + 1013904223u;
            sum += (lcg_state >> 8) * 0x1p-24;
        }
        x[i] = sum - 2;
    }
}

static const double known_out[24] = {-0.02980909, -0.03575119, 0.13528787, -0.01340726, -0.14455763, -0.05919690,
                                     -0.04255734, 0.00168643,  0.01496346, -0.03670296, -0.01258376, -0.03687444,
                                     -0.01800489, -0.03612124, 0.03750452, -0.17768286, 0.01690935,  -0.11950373,
                                     0.02638704,  -0.12620658, 0.11214166, -0.00978145, 0.13786821,  -0.06467978};
static const double known_state[16] = {-0.13149839, 0.00343257,  -0.16171574, 0.06968240, 0.18959735,  -0.00376671,
                                       0.23282197,  -0.09784985, -0.08815989, 0.01540433, -0.10825685, 0.05646570,
                                       0.05647074,  -0.02612864, 0.07022893,  -0.05309410};
static const double known_dq[24] = {-0.08934171, 0.00972783,  0.09482373, 0.04919148,  0.03741817,  -0.04563890,
                                    -0.10055315, -0.06574863, 0.00835359, -0.00603800, -0.01633333, -0.00843140,
                                    0.00271771,  -0.00143216, 0.00186154, 0.00831727,  0.03100745,  0.03680033,
                                    0.07579461,  -0.04824600, 0.00109568, -0.04752404, -0.03210395, -0.00876427};
static const double known_dk[24] = {0.01637843, -0.08726990, -0.00668599, -0.05587599, 0.04337732,  -0.07074145,
                                    0.07379812, -0.17262692, -0.00038692, -0.00594890, 0.00412322,  0.00541575,
                                    0.01075966, 0.01168860,  -0.00129462, 0.00499386,  0.01466414,  0.03848483,
                                    0.03808936, 0.02119205,  0.24253848,  0.10529722,  -0.16926668, -0.04970084};
static const double known_dv[24] = {-0.09402070, 0.06914352,  -0.05211489, -0.00946294, 0.02014026,  0.00126865,
                                    0.04765909,  -0.06631094, -0.01691737, 0.00031453,  -0.05848181, -0.00987058,
                                    0.01106856,  -0.03570336, -0.13714783, -0.00719419, -0.07687809, 0.00406877,
                                    -0.04793068, -0.09920578, -0.28055464, 0.22023671,  0.07087643,  -0.03580458};
static const double known_dstate[16] = {-0.00060821, 0.00063650,  0.00008024,  -0.00067618, -0.01704810, 0.01262303,
                                        -0.00924966, -0.00219084, -0.00064784, 0.00088060,  0.00055658,  -0.00170523,
                                        -0.00481708, 0.00285769,  -0.00423787, 0.00245184};
static const double known_decay[6] = {-3.42115627, -0.92375411, -2.84182087, -1.44491179, -2.52778303, -2.55899282};
/* With respect to the inputs of the gates: decay -2 softplus(a + 0.5), update gate sigmoid(b). */
static const double known_da[6] = {0.01080703, 0.00535246, 0.00137924, -0.02110563, 0.00911264, 0.00621152};
static const double known_db[6] = {-0.04053092, 0.02455133, 0.01272881, -0.00446406, -0.03048295, -0.04584368};

static void check_values(const double *got, const double *want, int64_t n, double tolerance, const char *what) {
    for (int64_t i = 0; i < n; i++)
        check_near(got[i], want[i], tolerance, "known answer: %s %lld", what, (long long)i);
}

static void known_answer(const tnn__kernels *k, bool in_double, int64_t chunk) {
    problem p = problem_new(4, 4, 6);
    double a[6], b[6], tolerance = in_double ? 1e-8 : 1e-6;
    lcg_state = 2024;
    p.chunk = chunk;
    lcg_fill(p.q, 24);
    lcg_fill(p.k, 24);
    lcg_fill(p.v, 24);
    lcg_fill(a, 6);
    lcg_fill(b, 6);
    lcg_fill(p.state, 16);
    lcg_fill(p.dout, 24);
    lcg_fill(p.dstate, 16);
    for (int t = 0; t < 6; t++) {
        p.decay[t] = -2 * log1p(exp(a[t] + 0.5));
        p.beta[t] = 1 / (1 + exp(-b[t]));
    }
    check_values(p.decay, known_decay, 6, 1e-8, "g");
    results r = in_double ? run_f64(&p) : run_f32(k, &p);
    for (int t = 0; t < 6; t++) {
        r.of[DDECAY][t] *= -2 / (1 + exp(-a[t] - 0.5));
        r.of[DBETA][t] *= p.beta[t] * (1 - p.beta[t]);
    }
    const double *const want[N_RESULTS] = {known_out, known_state, known_dq, known_dk,
                                           known_dv,  known_da,    known_db, known_dstate};
    for (int i = 0; i < N_RESULTS; i++)
        check_values(r.of[i], want[i], result_size(&p, i), tolerance, result_names[i]);
    results_free(&r);
    problem_free(&p);
}

static void known(const tnn__kernels *k) {
    static const int64_t chunks[] = {1, 2, 3, 4, 6, 64};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        known_answer(k, true, chunks[i]);
        known_answer(k, false, chunks[i]);
    }
}

/* --- every number of rows --- */

static void check_shape(const tnn__kernels *k, int64_t d_k, int64_t d_v, int64_t n_rows, tnn_l2_rule norm) {
    problem p = problem_new(d_k, d_v, n_rows);
    p.norm = norm;
    fill(&p);
    check_level(k, &p);
    problem_free(&p);
}

static void rows(const tnn__kernels *k) {
#ifdef TNN_TEST_SLOW_BUILD
    const int64_t step = 13;
#else
    const int64_t step = 1;
#endif
    for (int64_t n = 1; n <= MAX_T; n += step) {
        check_shape(k, 16, 16, n, TNN_L2_EPS_ADDED);
        if (n % 5 == 1) check_shape(k, 5, 3, n, TNN_L2_EPS_FLOOR);
    }
}

static void shapes(const tnn__kernels *k) {
    static const int64_t sizes[] = {2, 3, 7, 8, 9, 16, 24, 31, 32, 40, 48, 64, 65, 96, 128};
    enum { N = sizeof sizes / sizeof *sizes };
    for (int i = 0; i < N; i++) {
        check_shape(k, sizes[i], sizes[i], 66, TNN_L2_EPS_ADDED);
        check_shape(k, sizes[i], sizes[(i * 4 + 2) % N], 5, TNN_L2_EPS_FLOOR);
        check_shape(k, sizes[i], sizes[(i * 7 + 3) % N], 35, TNN_L2_NONE);
    }
    check_shape(k, 1, 1, 5, TNN_L2_NONE);
    check_shape(k, 128, 128, 1, TNN_L2_EPS_FLOOR);
    check_shape(k, 128, 128, 200, TNN_L2_EPS_ADDED);
    check_shape(k, 128, 128, 63, TNN_L2_EPS_ADDED);
}

/* --- blocks: what is kept for the way back --- */

static problem rows_of(const problem *p, int64_t first, int64_t n_rows) {
    problem part = *p;
    part.border = 0;
    part.n_rows = n_rows;
    part.q += first * p->d_k;
    part.k += first * p->d_k;
    part.v += first * p->d_v;
    part.dout += first * p->d_v;
    part.decay += first;
    part.beta += first;
    return part;
}

/* Sequences of more than a block, one after the other, against one of each alone, in double, in chunks of 64. */
static void check_blocks(const tnn__kernels *k, int64_t d, int64_t chunk, int64_t n_rows, int64_t border) {
    problem p = problem_new(d, d, n_rows);
    fill(&p);
    p.border = border;
    p.chunk = chunk;
    for (int64_t t = 0; t < n_rows; t++)
        p.decay[t] /= 64; /* a block's first state is felt to its end */
    results both[2] = {run_f64(&p), run_f32(k, &p)}, want = results_new(&p);
    for (int i = 0; i < n_sequences(&p); i++) {
        int64_t first = first_row(&p, i), n = first_row(&p, i + 1) - first;
        problem alone = rows_of(&p, first, n);
        alone.chunk = 64;
        results one = run_f64(&alone);
        for (int j = 0; j < N_RESULTS; j++) {
            bool of_rows = j != STATE && j != DSTATE;
            int64_t row = result_size(&p, j) / (of_rows ? n_rows : 1);
            memcpy(want.of[j] + (of_rows ? first * row : 0), one.of[j],
                   (size_t)(of_rows ? n * row : row) * sizeof(double));
        }
        results_free(&one);
    }
    for (int i = 0; i < 2; i++) {
        compare(&p, &both[i], &want);
        results_free(&both[i]);
    }
    results_free(&want);
    problem_free(&p);
}

static void blocks(const tnn__kernels *k) {
    static const struct {
        int64_t n_rows, border;
    } all[] = {{512, 0}, {513, 0}, {1024, 0}, {1025, 1}, {1100, 0}, {1100, 511}, {1537, 513}, {1600, 1024}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        check_blocks(k, 16, 0, all[i].n_rows, all[i].border);
        check_blocks(k, 16, 48, all[i].n_rows, all[i].border); /* blocks of 528 */
        check_blocks(k, 3, 3, all[i].n_rows, all[i].border);
    }
    check_blocks(k, 16, 1, 1030, 3);
    check_blocks(k, 32, 0, 1030, 3); /* a panel of the widest vectors */
}

/* --- what is hard --- */

/*
 * Equal keys, all of the old value erased each time; without decay, and with decays whose inverses overflow. What a
 * decay lets through is nearly all erased as well: the last rows' gradients of the decay are differences of terms up to
 * some hundred times the result, in which a unit in the last place of |k|^2 can be seen.
 */
static void equal_keys(const tnn__kernels *k) {
    static const double decays[] = {0, -1e-3, -3, -30, -200};
    for (size_t i = 0; i < sizeof decays / sizeof *decays; i++) {
        problem p = problem_new(128, 128, 130);
        fill(&p);
        for (int64_t t = 0; t < p.n_rows; t++) {
            memcpy(p.k + t * p.d_k, p.k, (size_t)p.d_k * sizeof *p.k);
            p.beta[t] = (double)(1 - (float)(t % 2) * 0x1p-20f);
            p.decay[t] = (double)(float)(decays[i] * (1 + 0.1 * (double)(t % 3)));
        }
        check_level(k, &p); /* fails where something is not finite, too */
        problem_free(&p);
    }
}

/* A zero vector has no direction: rules that add eps give zeros, and nothing is infinite. */
static void zero_vectors(const tnn__kernels *k) {
    for (int norm = TNN_L2_EPS_ADDED; norm <= TNN_L2_EPS_FLOOR; norm++) {
        problem p = problem_new(16, 16, 9);
        p.norm = (tnn_l2_rule)norm;
        fill(&p);
        memset(p.k + 16, 0, 16 * sizeof *p.k);
        memset(p.q + 64, 0, 16 * sizeof *p.q);
        check_level(k, &p);
        problem_free(&p);
    }
}

/* What is not a number is seen, in its row and after, and not before. */
static void not_a_number(const tnn__kernels *k) {
    problem p = problem_new(16, 16, 70);
    fill(&p);
    p.v[66 * 16 + 3] = NAN;
    results r = run_f32(k, &p);
    for (int64_t t = 0; t < 66 * 16; t++)
        assert_true(isfinite(r.of[OUT][t]));
    assert_true(isnan(r.of[OUT][66 * 16 + 3]));
    assert_true(isnan(r.of[OUT][69 * 16 + 3]));
    results_free(&r);
    problem_free(&p);
}

/* Row by row with the state handed on, and all at once. */
static void decoding(const tnn__kernels *k) {
    problem p = problem_new(128, 128, 150);
    fill(&p);
    results whole = run_f32(k, &p), one = results_new(&p);
    memcpy(one.of[STATE], p.state, (size_t)(p.d_k * p.d_v) * sizeof(double));
    for (int64_t t = 0; t < p.n_rows; t++) {
        problem row = rows_of(&p, t, 1);
        row.state = one.of[STATE];
        results r = run_f32(k, &row);
        memcpy(one.of[OUT] + t * p.d_v, r.of[OUT], (size_t)p.d_v * sizeof(double));
        memcpy(one.of[STATE], r.of[STATE], (size_t)(p.d_k * p.d_v) * sizeof(double));
        results_free(&r);
    }
    for (int i = OUT; i <= STATE; i++)
        for (int64_t e = 0; e < result_size(&p, i); e++)
            check_near(one.of[i][e], whole.of[i][e], 1e-5, "%s %lld, row by row", result_names[i], (long long)e);
    results_free(&whole);
    results_free(&one);
    problem_free(&p);
}

static bool same_rule(const tnn__kernels *a, const tnn__kernels *b) {
    return a->gdn.run == b->gdn.run;
}

#define TEST(name)                                                                                                     \
    static void test_##name(void **state) {                                                                            \
        (void)state;                                                                                                   \
        at_levels_unlike(name, same_rule);                                                                             \
    }
TEST(known)
TEST(rows)
TEST(shapes)
TEST(blocks)
TEST(equal_keys)
TEST(zero_vectors)
TEST(not_a_number)
TEST(decoding)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),        cmocka_unit_test(test_rows),       cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_blocks),       cmocka_unit_test(test_equal_keys), cmocka_unit_test(test_zero_vectors),
        cmocka_unit_test(test_not_a_number), cmocka_unit_test(test_decoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
