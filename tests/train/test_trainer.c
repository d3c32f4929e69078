/*
 * The trainer on tiny random models: the loss falls from scratch, with a lens and with low-rank pairs; threads,
 * recompute, packing and taps do not change the result; a quantised base stays as it is; states are those of sequences.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tinynn/export.h>
#include <tinynn/seq.h>
#include <tinynn/trainer.h>

#include "base/rng.h"
#include "support/session.h"
#include "support/temp_dir.h"

#define DATA TNN_TEST_SOURCE_DIR "/golden/data/"

enum { ROWS = 48, VOCAB = 32 };

/* Whether the first of the two layers is Gated DeltaNet. */
static bool is_hybrid(const char *arch) {
    return strcmp(arch, "qwen35") == 0 || strcmp(arch, "llama-gdn") == 0;
}

/* n_heads * d_head != d_model, on purpose. */
static tnn_llama_hparams tiny_hparams(const char *arch) {
    tnn_llama_hparams hp = {
        .n_vocab = VOCAB,
        .n_ctx_train = 256,
        .d_model = 32,
        .n_layers = 2,
        .n_heads = 6,
        .n_kv_heads = 2,
        .d_head = 8,
        .d_ff = 64,
        .rms_eps = 1e-5f,
        .attn_scale = 0.35355339f,
        .rope = tnn_rope_config_default(),
    };
    snprintf(hp.arch, sizeof hp.arch, "%s", arch);
    hp.rope.n_rot = 8;
    hp.rope.interleaved = true;
    hp.qkv_bias = strcmp(arch, "qwen2") == 0;
    hp.qk_norm = strcmp(arch, "qwen3") == 0;
    if (is_hybrid(arch)) hp.gdn = (tnn_gdn_hparams){.n_key_heads = 2, .n_value_heads = 4, .d_head = 8};
    if (strcmp(arch, "qwen35") == 0) {
        hp.qk_norm = hp.attn_gate = hp.post_norm = true;
        hp.gdn.conv_width = 4;
        hp.rope.n_rot = 2;
        hp.rope.interleaved = false;
    }
    return hp;
}

typedef struct run {
    tnn_session *session;
    tnn_store *store;
    tnn_llama_arch *arch;
    tnn_trainer *trainer;
} run;

typedef struct run_options {
    const char *arch;
    int n_threads;
    bool recompute;
    int64_t donor_d_in;
    int64_t n_rows;
    tnn_optimizer optimizer;
    tnn_type compute_type;
    const char *taps;
} run_options;

static run open_run(run_options o) {
    run r;
    tnn_error err;
    tnn_llama_hparams hp = tiny_hparams(o.arch ? o.arch : "llama");
    tnn_trainer_options to = tnn_trainer_options_default();
    to.n_rows = o.n_rows ? o.n_rows : ROWS;
    to.recompute = o.recompute;
    to.optimizer = o.optimizer;
    to.compute_type = o.compute_type;
    to.taps = o.taps;
    r.session = open_session(o.n_threads ? o.n_threads : 2);
    if (tnn_store_new(&r.store, r.session, &err) || tnn_llama_arch_new(&r.arch, r.session, &hp, &err) ||
        tnn_llama_arch_seed_blocks(r.arch, hp.n_layers, &err) ||
        (is_hybrid(hp.arch) && tnn_llama_arch_set_gdn_layer(r.arch, 0, &err)) ||
        tnn_llama_arch_alloc_globals_trainable_f32(r.arch, r.store, o.donor_d_in, o.donor_d_in > 0, &err) ||
        tnn_llama_arch_alloc_blocks_trainable_f32(r.arch, r.store, &err) ||
        tnn_llama_arch_random_init(r.arch, r.store, 1, &err)) {
        fail_msg("%s", err.text);
    }
    if (o.donor_d_in > 0) {
        tnn_tensor *embed = tnn_store_find(r.store, "token_embd.weight");
        float *values = malloc(tnn_tensor_bytes(embed));
        tnn__fill_normal(5, 5, values, tnn_tensor_elements(embed), 0.0f, 0.5f);
        tnn_tensor_write(embed, 0, values, tnn_tensor_bytes(embed), &err);
        free(values);
    }
    if (tnn_trainer_new(&r.trainer, r.session, r.arch, r.store, &to, &err)) fail_msg("%s", err.text);
    return r;
}

static void close_run(run *r) {
    tnn_trainer_free(r->trainer);
    tnn_llama_arch_free(r->arch);
    tnn_store_free(r->store);
    tnn_session_free(r->session);
}

typedef struct batch {
    int32_t ids[2 * ROWS], positions[2 * ROWS], starts[2 * ROWS], targets[2 * ROWS];
    float weights[2 * ROWS];
    int n;
} batch;

/* Appends a sequence whose next id is a fixed function of the last one, so that there is something to learn. */
static void add_sequence(batch *b, int32_t first, int n) {
    int32_t last = first;
    int start = b->n;
    for (int i = 0; i < n; i++) {
        int32_t next = (5 * last + 3) % VOCAB;
        b->ids[b->n] = last;
        b->positions[b->n] = i;
        b->starts[b->n] = start;
        b->targets[b->n] = i + 1 < n ? next : -1;
        b->weights[b->n] = i + 1 < n ? 1.0f : 0.0f;
        last = next;
        b->n++;
    }
}

static void scale_weights(batch *b, int n_targets) {
    for (int i = 0; i < b->n; i++) {
        b->weights[i] /= (float)n_targets;
    }
}

static batch make_batch(int step) {
    batch b = {.n = 0};
    add_sequence(&b, (int32_t)(step * 7 % VOCAB), 20);
    add_sequence(&b, (int32_t)((step * 11 + 3) % VOCAB), ROWS - 20);
    scale_weights(&b, ROWS - 2);
    return b;
}

static tnn_batch view(const batch *b) {
    return (tnn_batch){b->ids, b->positions, b->starts, b->targets, b->weights, NULL};
}

static double one_step(const run *r, int step, float lr) {
    batch b = make_batch(step);
    tnn_batch v = view(&b);
    tnn_error err;
    double loss = 0, norm = 0;
    if (tnn_trainer_accumulate(r->trainer, &v, &loss, &err) || tnn_trainer_update(r->trainer, lr, &norm, &err)) {
        fail_msg("%s", err.text);
    }
    assert_true(norm > 0);
    return loss;
}

static void assert_loss_falls(run_options o, const char *label, float lr, int steps, double below) {
    run r = open_run(o);
    double first = one_step(&r, 0, lr), last = 0;
    for (int step = 1; step < steps; step++) {
        last = one_step(&r, step, lr);
    }
    printf("%-12s loss %.3f -> %.3f in %d steps\n", label, first, last, steps);
    assert_true(fabs(first - log(VOCAB)) < 0.3); /* random weights know nothing */
    assert_true(last < below);
    close_run(&r);
}

static void test_from_scratch_curve(void **state) {
    (void)state;
    assert_loss_falls((run_options){.arch = "llama"}, "llama", 5e-3f, 150, 0.3);
    assert_loss_falls((run_options){.arch = "qwen3"}, "qwen3", 5e-3f, 150, 0.3);
    assert_loss_falls((run_options){.arch = "qwen35"}, "qwen35", 5e-3f, 150, 0.3);
    assert_loss_falls((run_options){.arch = "llama-gdn"}, "llama-gdn", 5e-3f, 150, 0.3);
}

static void test_qkv_bias(void **state) {
    (void)state;
    assert_loss_falls((run_options){.arch = "qwen2"}, "qwen2", 5e-3f, 150, 0.3);
    run r = open_run((run_options){.arch = "qwen2"});
    one_step(&r, 0, 3e-3f);
    float bias[48], sum = 0;
    tnn_tensor_read(tnn_store_find(r.store, "blk.1.attn_q.bias"), 0, bias, sizeof bias, NULL);
    for (int i = 0; i < 48; i++) {
        sum += fabsf(bias[i]);
    }
    assert_true(sum > 0);
    close_run(&r);
}

static void test_sgd(void **state) {
    (void)state;
    assert_loss_falls((run_options){.optimizer = TNN_OPTIMIZER_SGD}, "sgd", 0.5f, 150, 3.3);
}

static void test_projection_lens(void **state) {
    (void)state;
    assert_loss_falls((run_options){.donor_d_in = 40}, "lens", 5e-3f, 150, 0.3);
    run r = open_run((run_options){.donor_d_in = 40});
    tnn_tensor *embed = tnn_store_find(r.store, "token_embd.weight");
    size_t bytes = tnn_tensor_bytes(embed);
    char *before = malloc(bytes), *after = malloc(bytes);
    tnn_tensor_read(embed, 0, before, bytes, NULL);
    one_step(&r, 0, 3e-3f);
    tnn_tensor_read(embed, 0, after, bytes, NULL);
    assert_memory_equal(before, after, bytes); /* the donor's embedding is frozen */
    free(before);
    free(after);
    close_run(&r);

    tnn_session *s = open_session(1);
    tnn_llama_hparams hp = tiny_hparams("llama");
    tnn_llama_arch *arch;
    tnn_store *st;
    tnn_error err;
    assert_int_equal(tnn_store_new(&st, s, &err), TNN_OK);
    assert_int_equal(tnn_llama_arch_new(&arch, s, &hp, &err), TNN_OK);
    assert_int_equal(tnn_llama_arch_alloc_globals_trainable_f32(arch, st, 40, false, &err), TNN_E_ARG);
    tnn_llama_arch_free(arch);
    tnn_store_free(st);
    tnn_session_free(s);
}

/* All weights after some steps, one after the other. */
static float *weights_after(run_options o, int steps, size_t *n) {
    run r = open_run(o);
    for (int step = 0; step < steps; step++) {
        one_step(&r, step, 3e-3f);
    }
    *n = 0;
    for (int64_t i = 0; i < tnn_trainer_n_params(r.trainer); i++) {
        *n += tnn_tensor_bytes(tnn_trainer_value(r.trainer, i));
    }
    char *all = malloc(*n), *to = all;
    for (int64_t i = 0; i < tnn_trainer_n_params(r.trainer); i++) {
        tnn_tensor *t = tnn_trainer_value(r.trainer, i);
        tnn_tensor_read(t, 0, to, tnn_tensor_bytes(t), NULL);
        to += tnn_tensor_bytes(t);
    }
    close_run(&r);
    return (float *)(void *)all;
}

static void test_threads_and_recompute(void **state) {
    (void)state;
    static const char *const archs[] = {"llama", "qwen35", "llama-gdn"};
    for (size_t a = 0; a < sizeof archs / sizeof *archs; a++) {
        size_t n;
        float *one = weights_after((run_options){.arch = archs[a], .n_threads = 1}, 5, &n);
        static const run_options others[] = {{.n_threads = 2}, {.n_threads = 3}, {.n_threads = 2, .recompute = true}};
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
            run_options o = others[i];
            o.arch = archs[a];
            float *other = weights_after(o, 5, &n);
            assert_memory_equal(one, other, n);
            free(other);
        }
        free(one);
    }
}

/* --- BF16 --- */

static double largest_row_norm(const tnn_tensor *t) {
    size_t n_in = (size_t)tnn_tensor_ne(t)[0], n_rows = (size_t)tnn_tensor_ne(t)[1];
    float *values = malloc(tnn_tensor_bytes(t));
    double largest = 0;
    tnn_tensor_read(t, 0, values, tnn_tensor_bytes(t), NULL);
    for (size_t i = 0; i < n_rows; i++) {
        double squares = 0;
        for (size_t k = 0; k < n_in; k++) {
            squares += pow((double)values[i * n_in + k], 2);
        }
        largest = fmax(largest, sqrt(squares));
    }
    free(values);
    return largest;
}

static void add_difference(const tnn_tensor *a, const tnn_tensor *b, double *difference, double *size) {
    float *x = malloc(tnn_tensor_bytes(a)), *y = malloc(tnn_tensor_bytes(b));
    tnn_tensor_read(a, 0, x, tnn_tensor_bytes(a), NULL);
    tnn_tensor_read(b, 0, y, tnn_tensor_bytes(b), NULL);
    for (int64_t k = 0; k < tnn_tensor_elements(a); k++) {
        *difference += pow((double)x[k] - (double)y[k], 2);
        *size += pow((double)x[k], 2);
    }
    free(x);
    free(y);
}

/*
 * The same weights and batch in both types. Rounding to BF16 moves a number by at most 2^-9 of itself, and a row meets
 * nine products of two rounded operands on its way to a logit: v, output, up and down in each of two layers, and the
 * head. To first order a logit, of at most |w| sqrt(E) after the norm, moves by 18 * 2^-9
 * of that, the loss by twice as much, and the gradients, whose way is there and back, by 36 * 2^-9 in L2.
 */
static void test_bf16_is_near(void **state) {
    (void)state;
    run exact = open_run((run_options){0}), rounded = open_run((run_options){.compute_type = TNN_TYPE_BF16});
    batch b = make_batch(0);
    tnn_batch v = view(&b);
    tnn_error err;
    double loss = 0, loss16 = 0, difference = 0, size = 0;
    assert_int_equal(tnn_trainer_accumulate(exact.trainer, &v, &loss, &err), TNN_OK);
    assert_int_equal(tnn_trainer_accumulate(rounded.trainer, &v, &loss16, &err), TNN_OK);
    double logit = largest_row_norm(tnn_store_find(exact.store, "token_embd.weight")) * sqrt(32.0);
    for (int64_t i = 0; i < tnn_trainer_n_params(exact.trainer); i++) {
        add_difference(tnn_trainer_grad(exact.trainer, i), tnn_trainer_grad(rounded.trainer, i), &difference, &size);
    }
    double relative = sqrt(difference / size);
    printf("bf16         loss %.6f, f32 %.6f; gradients differ by %.2e\n", loss16, loss, relative);
    assert_true(loss16 != loss && fabs(loss16 - loss) <= 2 * 18 * 0x1p-9 * logit);
    assert_true(relative > 0 && relative <= 36 * 0x1p-9);
    close_run(&exact);
    close_run(&rounded);
}

static void test_bf16_trains(void **state) {
    (void)state;
    assert_loss_falls((run_options){.compute_type = TNN_TYPE_BF16}, "bf16", 5e-3f, 150, 0.3);
    size_t n;
    float *one = weights_after((run_options){.n_threads = 1, .compute_type = TNN_TYPE_BF16}, 5, &n);
    float *two = weights_after((run_options){.n_threads = 2, .compute_type = TNN_TYPE_BF16}, 5, &n);
    float *again =
        weights_after((run_options){.n_threads = 2, .recompute = true, .compute_type = TNN_TYPE_BF16}, 5, &n);
    assert_memory_equal(one, two, n);
    assert_memory_equal(one, again, n);
    free(one);
    free(two);
    free(again);
}

/* B > 1: the losses and gradients of packed sequences are those of each alone. */
static void check_packed_equals_single(const char *arch) {
    run packed = open_run((run_options){.arch = arch, .n_rows = 40});
    run single = open_run((run_options){.arch = arch, .n_rows = 20});
    batch both = {.n = 0}, alone[2] = {{.n = 0}, {.n = 0}};
    tnn_error err;
    double loss, sum = 0;
    for (int i = 0; i < 2; i++) {
        add_sequence(&both, 5 + 9 * i, 20);
        add_sequence(&alone[i], 5 + 9 * i, 20);
        scale_weights(&alone[i], 38);
    }
    scale_weights(&both, 38);
    tnn_batch v = view(&both);
    assert_int_equal(tnn_trainer_accumulate(packed.trainer, &v, &loss, &err), TNN_OK);
    for (int i = 0; i < 2; i++) {
        double part;
        v = view(&alone[i]);
        assert_int_equal(tnn_trainer_accumulate(single.trainer, &v, &part, &err), TNN_OK);
        sum += part;
    }
    assert_true(fabs(loss - sum) < 1e-5);
    for (int64_t i = 0; i < tnn_trainer_n_params(packed.trainer); i++) {
        tnn_tensor *a = tnn_trainer_grad(packed.trainer, i), *b = tnn_trainer_grad(single.trainer, i);
        int64_t n = tnn_tensor_elements(a);
        float *x = malloc(tnn_tensor_bytes(a)), *y = malloc(tnn_tensor_bytes(b));
        tnn_tensor_read(a, 0, x, tnn_tensor_bytes(a), NULL);
        tnn_tensor_read(b, 0, y, tnn_tensor_bytes(b), NULL);
        double difference = 0, size = 0;
        for (int64_t k = 0; k < n; k++) {
            difference += pow((double)x[k] - (double)y[k], 2);
            size += pow((double)x[k], 2);
        }
        assert_true(size > 0 && sqrt(difference / size) < 1e-4);
        free(x);
        free(y);
    }
    close_run(&packed);
    close_run(&single);
}

static void test_packed_equals_single(void **state) {
    (void)state;
    check_packed_equals_single("llama");
    check_packed_equals_single("qwen35");
    check_packed_equals_single("llama-gdn");
}

/* --- taps --- */

static void test_taps_change_nothing(void **state) {
    (void)state;
    static const char *const archs[] = {"qwen35", "llama-gdn"};
    for (int i = 0; i < 4; i++) {
        size_t n;
        run_options o = {.arch = archs[i % 2], .recompute = i >= 2};
        float *plain = weights_after(o, 5, &n);
        o.taps = "*";
        float *tapped = weights_after(o, 5, &n);
        assert_memory_equal(plain, tapped, n);
        free(plain);
        free(tapped);
    }
}

/* Losses are an output always; a pattern that would match them asks for stages. */
static void test_losses_are_no_tap(void **state) {
    (void)state;
    run all = open_run((run_options){.taps = "*"}), none = open_run((run_options){.taps = "loss*"});
    int64_t n = tnn_trainer_n_taps(all.trainer);
    assert_true(n > 2);
    assert_int_equal(tnn_trainer_n_taps(none.trainer), 0);
    one_step(&all, 0, 0.1f);
    for (int64_t i = 0; i < n; i++) {
        const char *name;
        int64_t n_features, n_rows;
        assert_non_null(tnn_trainer_tap(all.trainer, i, &name, &n_features, &n_rows));
        assert_string_not_equal(name, "losses");
    }
    close_run(&all);
    close_run(&none);
}

/* blk.0.gdn_state of what a model made of `n` ids, in batches of n_batch. */
static void norms_of_sequence(tnn_model *m, const int32_t *ids, int64_t n, int64_t n_batch, float *norms) {
    tnn_seq_options o = {.n_ctx = 64, .n_batch = n_batch, .kv_type = TNN_TYPE_F32, .taps = "blk.*.gdn_state"};
    tnn_seq *q;
    tnn_error err;
    int64_t n_heads, n_rows;
    if (tnn_seq_new(&q, m, &o, &err) || tnn_seq_append(q, ids, n, TNN_WANT_LAST, NULL, NULL, &err))
        fail_msg("%s", err.text);
    assert_int_equal(tnn_seq_n_taps(q), 1);
    const float *tap = tnn_seq_tap(q, 0, &n_heads, &n_rows);
    assert_true(n_heads == 4 && n_rows == 1);
    memcpy(norms, tap, 4 * sizeof *norms);
    tnn_seq_free(q);
}

/* The rows of the tap are the states that the same sequences leave in the model that these weights make. */
static void check_states(const run *r, const batch *b, const int *lengths, int n_sequences) {
    temp_dir dir;
    tnn_model *m;
    tnn_error err;
    const char *name;
    int64_t n_heads, n_rows;
    const float *tap = tnn_trainer_tap(r->trainer, 0, &name, &n_heads, &n_rows);
    assert_string_equal(name, "blk.0.gdn_state");
    assert_true(n_heads == 4 && n_rows == n_sequences);
    temp_dir_create(&dir);
    const char *path = temp_path(&dir, "model.gguf");
    if (tnn_export_gguf(path, r->arch, r->store, &(tnn_export_options){.type = TNN_TYPE_F32}, &err) ||
        tnn_model_load(&m, r->session, path, NULL, &err))
        fail_msg("%s", err.text);
    const int32_t *ids = b->ids;
    for (int i = 0; i < n_sequences; i++) {
        float at_once[4], one_by_one[4];
        norms_of_sequence(m, ids, lengths[i], 64, at_once);
        norms_of_sequence(m, ids, lengths[i], 1, one_by_one);
        for (int h = 0; h < 4; h++) {
            float norm = tap[i * n_heads + h];
            assert_true(norm > 0 && fabsf(norm - at_once[h]) < 1e-4f * norm);
            assert_true(fabsf(norm - one_by_one[h]) < 1e-4f * norm);
        }
        ids += lengths[i];
    }
    tnn_model_free(m);
    temp_dir_remove(&dir);
}

static void test_states(void **state) {
    (void)state;
    static const char *const archs[] = {"qwen35", "llama-gdn"};
    static const int lengths[] = {20, 7, 13};
    for (int i = 0; i < 4; i++) {
        run r = open_run((run_options){.arch = archs[i % 2], .recompute = i >= 2, .taps = "blk.*.gdn_state"});
        batch b = {.n = 0};
        for (int k = 0; k < 3; k++) {
            add_sequence(&b, 3 + 7 * k, lengths[k]);
        }
        while (b.n < ROWS) {
            add_sequence(&b, 0, 1); /* padding */
        }
        scale_weights(&b, 37);
        tnn_batch v = view(&b);
        tnn_error err;
        double loss;
        assert_int_equal(tnn_trainer_n_taps(r.trainer), 1); /* layer 1 is attention */
        assert_int_equal(tnn_trainer_accumulate(r.trainer, &v, &loss, &err), TNN_OK);
        check_states(&r, &b, lengths, 3);
        close_run(&r);
    }
}

static void test_refusals(void **state) {
    (void)state;
    tnn_error err;
    run r = open_run((run_options){.n_threads = 1});
    batch b = make_batch(0);
    tnn_batch v = view(&b);
    double loss;
    b.targets[3] = VOCAB;
    assert_int_equal(tnn_trainer_accumulate(r.trainer, &v, &loss, &err), TNN_E_RANGE);
    assert_non_null(strstr(err.text, "row 3"));
    b = make_batch(0);
    b.starts[2] = 7;
    assert_int_equal(tnn_trainer_accumulate(r.trainer, &v, &loss, &err), TNN_E_RANGE);
    b = make_batch(0);
    b.weights[0] = INFINITY;
    assert_int_equal(tnn_trainer_accumulate(r.trainer, &v, &loss, &err), TNN_OK);
    assert_int_equal(tnn_trainer_update(r.trainer, 1e-3f, NULL, &err), TNN_E_RANGE);
    assert_int_equal(tnn_trainer_update(r.trainer, NAN, NULL, &err), TNN_E_ARG);
    /* A caller may pass over such a step: the next is like any other. */
    b = make_batch(0);
    double norm;
    assert_int_equal(tnn_trainer_accumulate(r.trainer, &v, &loss, &err), TNN_OK);
    assert_int_equal(tnn_trainer_update(r.trainer, 1e-3f, &norm, &err), TNN_OK);
    assert_true(isfinite(norm) && norm > 0);
    tnn_trainer_set_step(r.trainer, -5);
    assert_int_equal(tnn_trainer_step(r.trainer), 0);
    tnn_trainer_options o = tnn_trainer_options_default();
    tnn_trainer *none;
    assert_int_equal(tnn_trainer_new(&none, r.session, r.arch, r.store, &o, &err), TNN_E_ARG);
    o.n_rows = 8;
    o.beta1 = NAN;
    assert_int_equal(tnn_trainer_new(&none, r.session, r.arch, r.store, &o, &err), TNN_E_ARG);
    assert_non_null(strstr(err.text, "beta1"));
    close_run(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_scratch_curve),
        cmocka_unit_test(test_qkv_bias),
        cmocka_unit_test(test_sgd),
        cmocka_unit_test(test_projection_lens),
        cmocka_unit_test(test_threads_and_recompute),
        cmocka_unit_test(test_bf16_is_near),
        cmocka_unit_test(test_bf16_trains),
        cmocka_unit_test(test_packed_equals_single),
        cmocka_unit_test(test_taps_change_nothing),
        cmocka_unit_test(test_losses_are_no_tap),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
