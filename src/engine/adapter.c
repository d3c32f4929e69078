/* Reading and writing adapter files. */
#include <tinynn/adapter.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/checksum.h"
#include "engine/model.h"
#include "gguf/str.h"

#define SUFFIX_A ".lora_a"
#define SUFFIX_B ".lora_b"

/* --- the base --- */

/* Sixteen hexadecimal digits: norms_of the base. Other programs leave the key alone. */
#define NORMS_KEY     "tinynn.base_norms"
#define BASE_NAME_KEY "general.base_model.0.name"

enum { DIGITS = 17 };

static bool is_norm(const tnn_gguf_tensor *t) {
    static const char suffix[] = "_norm.weight";
    size_t n = sizeof suffix - 1;
    return t->type == TNN_TYPE_F32 && t->n_bytes > 0 && t->name.size > n &&
           memcmp(t->name.data + t->name.size - n, suffix, n) == 0;
}

/*
 * Tells the model that pairs were trained over from others, whatever the types of its matrices: its norms, which no
 * quantisation touches and every training of all weights changes. False for a file that has none in F32.
 */
static bool norms_of(const tnn_gguf *g, char digits[DIGITS]) {
    uint64_t sum = 0; /* the same in any order of tensors */
    bool any = false;
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, i);
        if (!is_norm(t)) continue;
        tnn__checksum one = tnn__checksum_begin();
        tnn__checksum_add(&one, t->name.data, t->name.size);
        tnn__checksum_add(&one, t->data, t->n_bytes);
        sum += tnn__checksum_end(&one);
        any = true;
    }
    snprintf(digits, DIGITS, "%016" PRIx64, sum);
    return any;
}

static void note_base(tnn_gguf_writer *w, const tnn_gguf *base) {
    char digits[DIGITS];
    tnn_gguf_str name;
    if (norms_of(base, digits)) tnn_gguf_set_str(w, NORMS_KEY, digits, strlen(digits));
    if (tnn_gguf_get_str(base, "general.name", &name, NULL)) return;
    tnn_gguf_set_u32(w, "general.base_model.count", 1);
    tnn_gguf_set_str(w, BASE_NAME_KEY, name.data, name.size);
}

/* --- reading --- */

typedef struct adapter_file {
    tnn_model *model;
    tnn_gguf *g;
    float alpha; /* 0: none */
    float scale;
    tnn_error *err; /* never NULL */
} adapter_file;

static tnn_status check_header(adapter_file *f, const char *path) {
    tnn_gguf_str type = {"", 0}, kind = {"", 0}, arch = {"", 0};
    const char *model_arch = tnn_model_hparams(f->model)->arch;
    tnn_status status = tnn_gguf_get_str(f->g, "general.type", &type, f->err);
    if (status && status != TNN_E_NOTFOUND) return status;
    if (!tnn__str_is(type, "adapter")) {
        return tnn__fail(f->err, TNN_E_FORMAT, "%s is no adapter (general.type is not \"adapter\")", path);
    }
    status = tnn_gguf_get_str(f->g, "adapter.type", &kind, f->err);
    if (!status) status = tnn_gguf_get_str(f->g, "general.architecture", &arch, f->err);
    if (status == TNN_E_NOTFOUND)
        return tnn__fail(f->err, TNN_E_FORMAT, "%s: adapter.type or general.architecture is missing", path);
    if (status) return status;
    if (!tnn__str_is(kind, "lora"))
        return tnn__fail(f->err, TNN_E_UNSUPPORTED, "%s: only adapters of type \"lora\" are known", path);
    if (!tnn__str_is(arch, model_arch)) {
        return tnn__fail(f->err, TNN_E_UNSUPPORTED, "%s was made for the architecture \"%.*s\"; this model is \"%s\"",
                         path, (int)(arch.size < 32 ? arch.size : 32), arch.data, model_arch);
    }
    status = tnn_gguf_get_f32(f->g, "adapter.lora.alpha", &f->alpha, f->err);
    if (status && status != TNN_E_NOTFOUND) return status;
    if (!isfinite(f->alpha))
        return tnn__fail(f->err, TNN_E_FORMAT, "%s: metadata adapter.lora.alpha is %g", path, (double)f->alpha);
    return TNN_OK;
}

/* An adapter over other weights of the same shapes is allowed, as over a further training of its base, and told. */
static void check_base(const adapter_file *f, const char *path) {
    char digits[DIGITS];
    tnn_gguf_str want, name = {"", 0};
    if (tnn_gguf_get_str(f->g, NORMS_KEY, &want, NULL) || !norms_of(f->model->gguf, digits) ||
        tnn__str_is(want, digits)) {
        return;
    }
    bool named = tnn_gguf_get_str(f->g, BASE_NAME_KEY, &name, NULL) == TNN_OK;
    tnn__log(
        f->model->session, TNN_LOG_WARN,
        "%s was trained over other weights than this model's, and may not fit it; use it with its own model%s%.*s%s, "
        "of any quantisation",
        path, named ? ", \"" : "", tnn__str_shown(name), name.data, named ? "\"" : "");
}

/* A copy in F32 under a name of its own. */
static tnn_tensor *copy_half(adapter_file *f, const tnn_gguf_tensor *t) {
    char name[TNN_GGUF_MAX_NAME + 32];
    snprintf(name, sizeof name, "adapter.%d.%s", f->model->n_adapters, t->name.data);
    if (t->n_dims != 2 || !tnn_type_get_info(t->type)->usable) {
        tnn__fail(f->err, TNN_E_FORMAT, "adapter tensor %s is no matrix of a type that converts to F32", t->name.data);
        return NULL;
    }
    tnn_tensor *to = tnn_store_tensor(f->model->adapters, name, TNN_TYPE_F32, 2, t->ne, f->err);
    return to && tnn_tensor_copy_from_gguf(to, t, f->err) == TNN_OK ? to : NULL;
}

static bool ends_with(const tnn_gguf_tensor *t, const char *suffix, char *base) {
    size_t n = t->name.size, k = strlen(suffix);
    if (n <= k || memcmp(t->name.data + n - k, suffix, k) != 0) return false;
    memcpy(base, t->name.data, n - k);
    base[n - k] = 0;
    return true;
}

static tnn_status add_pair(adapter_file *f, const tnn_gguf_tensor *first, const char *base) {
    char other[TNN_GGUF_MAX_NAME + 16];
    snprintf(other, sizeof other, "%s" SUFFIX_B, base);
    const tnn_gguf_tensor *second = tnn_gguf_tensor_at(f->g, tnn_gguf_find_tensor(f->g, other));
    if (!second) return tnn__fail(f->err, TNN_E_FORMAT, "adapter: %s is there, %s is missing", first->name.data, other);
    tnn_tensor *a = copy_half(f, first), *b = a ? copy_half(f, second) : NULL;
    if (!b) return f->err->status;
    float rank = (float)tnn_tensor_ne(b)[0];
    float strength = f->alpha != 0.0f ? f->scale * f->alpha / rank : f->scale;
    return tnn_llama_arch_attach_lora(f->model->arch, base, a, b, strength, f->err);
}

static tnn_status add_pairs(adapter_file *f) {
    int64_t n_halves = 0, n_pairs = 0;
    for (int64_t i = 0; i < tnn_gguf_n_tensors(f->g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(f->g, i);
        char base[TNN_GGUF_MAX_NAME + 1];
        n_halves++;
        if (ends_with(t, SUFFIX_B, base)) continue;
        if (!ends_with(t, SUFFIX_A, base)) {
            return tnn__fail(f->err, TNN_E_FORMAT, "adapter tensor %s ends neither in " SUFFIX_A " nor in " SUFFIX_B,
                             t->name.data);
        }
        tnn_status status = add_pair(f, t, base);
        if (status) return status;
        n_pairs++;
    }
    if (n_pairs == 0 || n_halves != 2 * n_pairs) {
        return tnn__fail(f->err, TNN_E_FORMAT, "adapter: %" PRId64 " tensors make no whole pairs", n_halves);
    }
    return TNN_OK;
}

tnn_status tnn_model_add_adapter(tnn_model *m, const char *path, float scale, tnn_error *err) {
    tnn_error unread;
    adapter_file f = {.model = m, .scale = scale, .err = err ? err : &unread};
    if (!isfinite(scale)) return tnn__fail(err, TNN_E_ARG, "an adapter at scale %g: give a number", (double)scale);
    tnn_gguf_open_options open = tnn_gguf_open_options_default();
    open.allocator = &m->session->alloc;
    tnn_status status = tnn_gguf_open(&f.g, path, &open, f.err);
    if (status) return status;
    status = check_header(&f, path);
    if (!status && !m->adapters) status = tnn_store_new(&m->adapters, m->session, f.err);
    if (!status) status = add_pairs(&f);
    if (!status) check_base(&f, path);
    tnn_gguf_close(f.g);
    if (!status) m->n_adapters++;
    return status;
}

/* --- writing --- */

static tnn_status write_half(tnn_gguf_writer *w, const tnn_tensor *t, const tnn_allocator *a, tnn_error *err) {
    size_t bytes = tnn_tensor_bytes(t);
    void *values = tnn__alloc(a, bytes, TNN__ALIGN);
    if (!values) return tnn__fail_nomem(err, "writing an adapter", bytes);
    tnn_status status = tnn_tensor_read(t, 0, values, bytes, err);
    if (!status) status = tnn_gguf_write_data(w, values, bytes);
    tnn__free(a, values, bytes, TNN__ALIGN);
    return status;
}

static void declare(tnn_gguf_writer *w, const tnn_adapter_pair *pairs, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        char name[TNN_GGUF_MAX_NAME + 16];
        snprintf(name, sizeof name, "%s" SUFFIX_A, pairs[i].name);
        tnn_gguf_add_tensor(w, name, TNN_TYPE_F32, 2, tnn_tensor_ne(pairs[i].a));
        snprintf(name, sizeof name, "%s" SUFFIX_B, pairs[i].name);
        tnn_gguf_add_tensor(w, name, TNN_TYPE_F32, 2, tnn_tensor_ne(pairs[i].b));
    }
}

tnn_status tnn_adapter_save(const char *path, const char *arch, const tnn_gguf *base, float alpha,
                            const tnn_adapter_pair *pairs, int64_t n, const tnn_allocator *allocator, tnn_error *err) {
    const tnn_allocator *a = tnn__allocator_or_default(allocator);
    tnn_gguf_writer *w;
    tnn_error first = {TNN_OK, ""};
    for (int64_t i = 0; i < n; i++)
        if (!pairs[i].name || !pairs[i].a || !pairs[i].b)
            return tnn__fail(err, TNN_E_ARG, "pair %" PRId64 " of an adapter lacks its name or a half", i);
    tnn_status status = tnn_gguf_writer_new(&w, a, err);
    if (status) return status;
    /* The writer latches its first error, and finish tells it. */
    tnn_gguf_set_str(w, "general.type", "adapter", 7);
    tnn_gguf_set_str(w, "general.architecture", arch, strlen(arch));
    tnn_gguf_set_str(w, "adapter.type", "lora", 4);
    tnn_gguf_set_f32(w, "adapter.lora.alpha", alpha);
    if (base) note_base(w, base);
    declare(w, pairs, n);
    tnn_gguf_writer_begin(w, path);
    for (int64_t i = 0; i < n && !status; i++) {
        status = write_half(w, pairs[i].a, a, &first);
        if (!status) status = write_half(w, pairs[i].b, a, &first);
    }
    if (first.status) {
        if (err) *err = first;
    } else {
        status = tnn_gguf_writer_finish(w, err);
    }
    tnn_gguf_writer_free(w);
    return status;
}
