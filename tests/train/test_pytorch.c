/*
 * Ten steps of full fine-tuning and of LoRA, from the same weights over the same tokens, as PyTorch and PEFT take them
 * (tests/golden/make_training_reference.py): every loss, every gradient norm, and the first gradient of every
 * parameter. `test_pytorch MODEL.gguf REFERENCE.gguf` follows a reference of another model.
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

#include <tinynn/tnn.h>

#define DATA TNN_TEST_SOURCE_DIR "/golden/data/"
#define END  ".lora_a"

enum { STEPS = 10 };

static const char *model_path, *reference_path;
static tnn_error err;

static void ok(tnn_status status) {
    if (status) fail_msg("%s", err.text);
}

typedef struct followed {
    tnn_session *session;
    tnn_gguf *model, *reference;
    tnn_llama_arch *arch;
    tnn_store *weights, *pairs;
    tnn_trainer *trainer;
    uint32_t n_rows;
    const char *mode; /* "full" or "lora": the prefix of what the reference holds of it */
} followed;

static const tnn_gguf_tensor *reference_tensor(const followed *f, const char *prefix, const char *name) {
    char full[160];
    snprintf(full, sizeof full, "%s.%s", prefix, name);
    const tnn_gguf_tensor *t = tnn_gguf_tensor_at(f->reference, tnn_gguf_find_tensor(f->reference, full));
    if (!t) fail_msg("the reference has no %s", full);
    return t;
}

static tnn_tensor *take_half(const followed *f, const char *name) {
    const tnn_gguf_tensor *from = reference_tensor(f, "start", name);
    tnn_tensor *t = tnn_store_tensor(f->pairs, name, TNN_TYPE_F32, 2, from->ne, &err);
    assert_non_null(t);
    ok(tnn_tensor_write(t, 0, from->data, from->n_bytes, &err));
    tnn_tensor_set_trainable(t, true);
    return t;
}

/* Every pair the reference starts from. */
static void attach_pairs(const followed *f) {
    float alpha;
    ok(tnn_gguf_get_f32(f->reference, "training.lora.alpha", &alpha, &err));
    for (int64_t i = 0; i < tnn_gguf_n_tensors(f->reference); i++) {
        const char *name = tnn_gguf_tensor_at(f->reference, i)->name.data;
        size_t n = strlen(name), n_prefix = strlen("start.");
        if (strncmp(name, "start.", n_prefix) != 0 || strcmp(name + n - strlen(END), END) != 0) continue;
        char base[128], other[160];
        snprintf(base, sizeof base, "%.*s", (int)(n - n_prefix - strlen(END)), name + n_prefix);
        snprintf(other, sizeof other, "%s.lora_b", base);
        tnn_tensor *a = take_half(f, name + n_prefix), *b = take_half(f, other);
        ok(tnn_llama_arch_attach_lora(f->arch, base, a, b, alpha / (float)tnn_tensor_ne(b)[0], &err));
    }
}

static followed open_followed(const char *mode) {
    followed f = {.mode = mode};
    bool lora = strcmp(mode, "lora") == 0;
    tnn_llama_hparams hp;
    tnn_trainer_options o = tnn_trainer_options_default();
    ok(tnn_session_new(&f.session, NULL, &err));
    ok(tnn_gguf_open(&f.model, model_path, NULL, &err));
    ok(tnn_gguf_open(&f.reference, reference_path, NULL, &err));
    ok(tnn_gguf_get_u32(f.reference, "training.n_rows", &f.n_rows, &err));
    ok(tnn_llama_hparams_from_gguf(&hp, f.model, &err));
    ok(tnn_llama_arch_new(&f.arch, f.session, &hp, &err));
    ok(tnn_llama_arch_seed_from_gguf(f.arch, f.model, &err));
    ok(tnn_store_new(&f.weights, f.session, &err));
    ok(tnn_store_new(&f.pairs, f.session, &err));
    if (lora) {
        ok(tnn_llama_arch_load_globals_from_gguf_mmap(f.arch, f.weights, f.model, &err));
        ok(tnn_llama_arch_load_blocks_from_gguf_mmap(f.arch, f.weights, f.model, &err));
        attach_pairs(&f);
    } else {
        ok(tnn_llama_arch_load_trainable_from_gguf(f.arch, f.weights, f.model, &err));
    }
    o.n_rows = f.n_rows;
    ok(tnn_trainer_new(&f.trainer, f.session, f.arch, lora ? f.pairs : f.weights, &o, &err));
    return f;
}

static void close_followed(followed *f) {
    tnn_trainer_free(f->trainer);
    tnn_llama_arch_free(f->arch);
    tnn_store_free(f->pairs);
    tnn_store_free(f->weights);
    tnn_gguf_close(f->reference);
    tnn_gguf_close(f->model);
    tnn_session_free(f->session);
}

static int64_t key_of(const followed *f, const char *what, char key[64]) {
    snprintf(key, 64, "training.%s.%s", f->mode, what);
    int64_t i = tnn_gguf_find_key(f->reference, key);
    assert_true(i >= 0);
    return i;
}

/* ||g - want|| / ||want||; neither may be zero. */
static double gradient_distance(const tnn_tensor *grad, const float *want) {
    int64_t n = tnn_tensor_elements(grad);
    float *x = malloc((size_t)n * sizeof *x);
    double difference = 0, size = 0, own = 0;
    assert_non_null(x);
    ok(tnn_tensor_read(grad, 0, x, (size_t)n * sizeof *x, &err));
    for (int64_t i = 0; i < n; i++) {
        difference += pow((double)x[i] - (double)want[i], 2);
        size += pow((double)want[i], 2);
        own += pow((double)x[i], 2);
    }
    free(x);
    assert_true(size > 0 && own > 0);
    return sqrt(difference / size);
}

static void compare_gradients(const followed *f) {
    double worst = 0;
    const char *worst_name = "";
    int64_t n = tnn_trainer_n_params(f->trainer);
    for (int64_t i = 0; i < n; i++) {
        const char *name = tnn_tensor_name(tnn_trainer_value(f->trainer, i));
        const tnn_gguf_tensor *want = reference_tensor(f, f->mode, name);
        double d = gradient_distance(tnn_trainer_grad(f->trainer, i), want->data);
        if (!(d <= 1e-3)) fail_msg("%s: the gradient of %s is off by %.2e", f->mode, name, d);
        if (d > worst) {
            worst = d;
            worst_name = name;
        }
    }
    printf("%s: %d first gradients, the worst off by %.2e (%s)\n", f->mode, (int)n, worst, worst_name);
}

static void fill_step(const followed *f, uint64_t step, tnn_batch_buffer *b) {
    int64_t ids = tnn_gguf_find_key(f->reference, "training.ids");
    for (uint32_t i = 0; i < f->n_rows; i++) {
        int64_t id = 0, next = -1;
        assert_true(tnn_gguf_array_i64(f->reference, ids, step * f->n_rows + i, &id));
        if (i + 1 < f->n_rows) tnn_gguf_array_i64(f->reference, ids, step * f->n_rows + i + 1, &next);
        b->ids[i] = (int32_t)id;
        b->targets[i] = (int32_t)next;
        b->positions[i] = (int32_t)i;
        b->starts[i] = 0;
    }
    tnn_batch_scale(b, (int64_t)f->n_rows - 1);
}

static void follow(const char *mode) {
    followed f = open_followed(mode);
    char key[64];
    float lr;
    double worst_loss = 0, worst_norm = 0;
    int64_t losses = key_of(&f, "losses", key), norms = key_of(&f, "norms", key);
    key_of(&f, "lr", key);
    ok(tnn_gguf_get_f32(f.reference, key, &lr, &err));
    tnn_batch_buffer b;
    ok(tnn_batch_buffer_init(&b, f.n_rows, NULL, &err));
    for (uint64_t step = 0; step < STEPS; step++) {
        double loss, norm, want_loss = 0, want_norm = 0;
        fill_step(&f, step, &b);
        tnn_batch view = tnn_batch_buffer_view(&b);
        ok(tnn_trainer_accumulate(f.trainer, &view, &loss, &err));
        if (step == 0) compare_gradients(&f);
        ok(tnn_trainer_update(f.trainer, lr, &norm, &err));
        assert_true(tnn_gguf_array_f64(f.reference, losses, step, &want_loss));
        assert_true(tnn_gguf_array_f64(f.reference, norms, step, &want_norm));
        worst_loss = fmax(worst_loss, fabs(loss / want_loss - 1));
        worst_norm = fmax(worst_norm, fabs(norm / want_norm - 1));
    }
    printf("%s: %d losses within %.2e, gradient norms within %.2e\n", mode, STEPS, worst_loss, worst_norm);
    assert_true(worst_loss <= 1e-4);
    assert_true(worst_norm <= 1e-3);
    tnn_batch_buffer_free(&b);
    close_followed(&f);
}

static void follow_model(const char *model, const char *reference) {
    model_path = model;
    reference_path = reference;
    follow("full");
    follow("lora");
}

static void test_llama(void **state) {
    (void)state;
    follow_model(DATA "llama-gqa.gguf", DATA "llama-gqa.training.gguf");
}

/* Two layers of Gated DeltaNet with tiled value heads, one of gated attention. */
static void test_hybrid(void **state) {
    (void)state;
    follow_model(DATA "qwen35-tiled-untied.gguf", DATA "qwen35-tiled-untied.training.gguf");
}

/* A pair beside the untied output as well. */
static void test_output(void **state) {
    (void)state;
    follow_model(DATA "llama-mha-untied.gguf", DATA "llama-mha-untied.training.gguf");
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_llama), cmocka_unit_test(test_hybrid),
                                       cmocka_unit_test(test_output)};
    if (argc == 3) {
        follow_model(argv[1], argv[2]);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
