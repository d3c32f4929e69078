/*
 * Binding tensors of a GGUF to the handles of an arch: borrowed where they lie, every shape compared with what the
 * hyperparameters give.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gguf/reader.h"
#include "llm/archs/llama_arch.h"

typedef struct binder {
    tnn_store *store;
    const tnn_gguf *g;
    bool trainable;    /* copies instead of borrowed tensors */
    tnn_error *err;    /* never NULL */
    tnn_status status; /* latched */
} binder;

static void shape_error(binder *b, const tnn_gguf_tensor *t, int n_dims, const int64_t *ne) {
    char want[96];
    size_t at = 0;
    for (int i = 0; i < n_dims; i++) {
        at += (size_t)snprintf(want + at, sizeof want - at, "%s%" PRId64, i ? ", " : "", ne[i]);
    }
    b->status =
        tnn__fail(b->err, TNN_E_SHAPE,
                  "tensor %s is [%" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64 "], the metadata asks for [%s]",
                  t->name.data, t->ne[0], t->ne[1], t->ne[2], t->ne[3], want);
}

static bool shape_fits(const tnn_gguf_tensor *t, int n_dims, const int64_t *ne) {
    for (int i = 0; i < TNN_GGUF_MAX_DIMS; i++) {
        if (t->ne[i] != (i < n_dims ? ne[i] : 1)) return false;
    }
    return true;
}

/* NULL when absent (required: an error). */
static const tnn_gguf_tensor *find(binder *b, const char *name, bool required) {
    const tnn_gguf_tensor *t = tnn_gguf_tensor_at(b->g, tnn_gguf_find_tensor(b->g, name));
    if (!t && required) b->status = tnn__fail(b->err, TNN_E_FORMAT, "tensor %s is missing", name);
    return t;
}

static bool check(binder *b, const tnn_gguf_tensor *t, int n_dims, const int64_t *ne) {
    const tnn_type_info *info = tnn_type_get_info(t->type);
    if (!info->usable) {
        b->status =
            tnn__fail(b->err, TNN_E_UNSUPPORTED, "tensor %s is %s, which tinynn cannot run; requantise the model",
                      t->name.data, info->name ? info->name : "of an unknown type");
    } else if (!shape_fits(t, n_dims, ne)) {
        shape_error(b, t, n_dims, ne);
    }
    return b->status == TNN_OK;
}

/* An F32 copy owned by the store. */
static tnn_tensor *copy(binder *b, const tnn_gguf_tensor *t, const char *name, int n_dims) {
    tnn_tensor *to = tnn_store_tensor(b->store, name, TNN_TYPE_F32, n_dims, t->ne, b->err);
    b->status = to ? tnn_tensor_copy_from_gguf(to, t, b->err) : b->err->status;
    if (to) tnn_tensor_set_trainable(to, b->trainable);
    tnn__gguf_release(b->g, t);
    return to;
}

/* NULL when absent (required: an error) or after a failure. as_f32: its kernels take F32 alone. */
static tnn_tensor *bind(binder *b, const char *name, bool required, bool as_f32, int n_dims, const int64_t *ne) {
    if (b->status) return NULL;
    const tnn_gguf_tensor *t = find(b, name, required);
    if (!t || !check(b, t, n_dims, ne)) return NULL;
    if (b->trainable || (as_f32 && t->type != TNN_TYPE_F32)) return copy(b, t, name, n_dims);
    tnn_tensor *to = tnn_store_borrow(b->store, name, (tnn_type)t->type, n_dims, ne, t->data, b->err);
    if (!to) b->status = b->err->status;
    return to;
}

static tnn_tensor *bind_matrix(binder *b, const char *name, bool required, int64_t n_in, int64_t n_out) {
    return bind(b, name, required, false, 2, (const int64_t[]){n_in, n_out});
}

static tnn_tensor *bind_vector(binder *b, const char *name, bool required, int64_t n) {
    return bind(b, name, required, true, 1, (const int64_t[]){n});
}

static tnn_status load_globals(tnn_llama_arch *a, binder *b) {
    const tnn_llama_hparams *hp = &a->hparams;
    a->token_embed = bind_matrix(b, "token_embd.weight", true, hp->d_model, hp->n_vocab);
    a->final_norm_gamma = bind_vector(b, "output_norm.weight", true, hp->d_model);
    a->output.weight = bind_matrix(b, "output.weight", false, hp->d_model, hp->n_vocab);
    a->rope_factors = bind_vector(b, "rope_freqs.weight", false, hp->rope.n_rot / 2);
    if (a->rope_factors) tnn_tensor_set_trainable(a->rope_factors, false);
    return b->status;
}

tnn_status tnn_llama_arch_load_globals_from_gguf_mmap(tnn_llama_arch *a, tnn_store *st, const tnn_gguf *g,
                                                      tnn_error *err) {
    tnn_error unread;
    binder b = {.store = st, .g = g, .err = err ? err : &unread};
    return load_globals(a, &b);
}

/* --- blocks --- */

static void bind_linear(binder *b, const tnn_llama_hparams *hp, int64_t layer, tnn__layer_linear which,
                        tnn__linear *to) {
    tnn__name_buffer name;
    int64_t n_in, n_out;
    tnn__layer_linear_shape(hp, which, &n_in, &n_out);
    to->weight = bind_matrix(b, tnn__linear_full_name(&name, layer, which, "weight"), true, n_in, n_out);
    bool need_bias = tnn__layer_linear_needs_bias(hp, which);
    to->bias = bind_vector(b, tnn__linear_full_name(&name, layer, which, "bias"), need_bias, n_out);
}

static void refuse_fused(binder *b, int64_t layer) {
    tnn__name_buffer name;
    tnn__linear_full_name(&name, layer, TNN__LINEAR_QKV, "weight");
    if (tnn_gguf_find_tensor(b->g, name.text) < 0) return;
    b->status =
        tnn__fail(b->err, TNN_E_UNSUPPORTED,
                  "tensor %s holds Q, K and V in one; tinynn takes attn_q, attn_k and attn_v: convert the model "
                  "without fusing them",
                  name.text);
}

/* A_log in the place of ssm_a = -e^A_log: what is trained. */
static tnn_tensor *bind_log(binder *b, const tnn_llama_hparams *hp, int64_t layer) {
    tnn__name_buffer stored, trained;
    tnn__tensor_full_name(&stored, hp, layer, TNN__TENSOR_DECAY, false);
    tnn__tensor_full_name(&trained, hp, layer, TNN__TENSOR_DECAY, true);
    if (b->status) return NULL;
    const tnn_gguf_tensor *from = find(b, stored.text, true);
    const int64_t n = hp->gdn.n_value_heads;
    if (!from || !check(b, from, 1, &n)) return NULL;
    tnn_tensor *to = copy(b, from, trained.text, 1);
    for (int64_t i = 0; i < n && !b->status; i++) {
        float a;
        b->status = tnn_tensor_read(to, (size_t)i * sizeof a, &a, sizeof a, b->err);
        if (!b->status && !(a < 0.0f)) {
            b->status = tnn__fail(b->err, TNN_E_RANGE, "tensor %s holds %g; only what lies below 0 can be trained",
                                  stored.text, (double)a);
        }
        a = logf(-a);
        if (!b->status) b->status = tnn_tensor_write(to, (size_t)i * sizeof a, &a, sizeof a, b->err);
    }
    return to;
}

static void bind_layer(binder *b, const tnn_llama_arch *a, int64_t layer) {
    for (int i = 0; i < TNN__N_LAYER_TENSORS; i++) {
        tnn__layer_tensor which = (tnn__layer_tensor)i;
        tnn_tensor **to = tnn__layer_tensor_at(a, layer, which);
        tnn__name_buffer name;
        int64_t ne[2];
        int n_dims = tnn__layer_tensor_shape(&a->hparams, which, ne);
        if (!to) continue;
        if (which == TNN__TENSOR_DECAY && b->trainable) {
            *to = bind_log(b, &a->hparams, layer);
            a->gdn_blocks[layer].decay_form = TNN_GDN_A_LOG;
        } else {
            *to = bind(b, tnn__tensor_full_name(&name, &a->hparams, layer, which, false), true, true, n_dims, ne);
        }
    }
    for (int i = 0; i < TNN__N_LAYER_LINEARS; i++) {
        tnn__linear *to = tnn__layer_linear_at(a, layer, (tnn__layer_linear)i);
        if (to) bind_linear(b, &a->hparams, layer, (tnn__layer_linear)i, to);
    }
}

/* Of a layer that the file has and the stack has not. */
static bool is_extra(const tnn_llama_hparams *hp, const char *name) {
    long long layer = strtoll(name + 4, NULL, 10);
    return layer >= hp->n_layers && layer < hp->n_layers + hp->n_extra_layers;
}

static bool is_read(const binder *b, const char *name) {
    char trained[TNN_GGUF_MAX_NAME + sizeof TNN__LOG_SUFFIX];
    snprintf(trained, sizeof trained, "%s" TNN__LOG_SUFFIX, name);
    return tnn_store_find(b->store, name) || tnn_store_find(b->store, trained);
}

/* A forward that left out a part of a block would be wrong without a word. */
static void refuse_unread_parts(binder *b, const tnn_llama_hparams *hp) {
    for (int64_t i = 0; i < tnn_gguf_n_tensors(b->g) && !b->status; i++) {
        const char *name = tnn_gguf_tensor_at(b->g, i)->name.data;
        if (strncmp(name, "blk.", 4) != 0 || is_read(b, name) || is_extra(hp, name)) continue;
        b->status = tnn__fail(b->err, TNN_E_UNSUPPORTED, "tensor %s has no place in a %s model as tinynn runs it", name,
                              hp->arch);
    }
}

static tnn_status load_blocks(tnn_llama_arch *a, binder *b) {
    for (int64_t i = 0; i < a->n_layers && !b->status; i++) {
        b->status = tnn__check_layer(a, i, b->err);
        if (a->specs[i].mixer == TNN_MIXER_ATTENTION) refuse_fused(b, i);
        bind_layer(b, a, i);
    }
    refuse_unread_parts(b, &a->hparams);
    if (!b->status) a->bound = true;
    return b->status;
}

tnn_status tnn_llama_arch_load_blocks_from_gguf_mmap(tnn_llama_arch *a, tnn_store *st, const tnn_gguf *g,
                                                     tnn_error *err) {
    tnn_error unread;
    binder b = {.store = st, .g = g, .err = err ? err : &unread};
    return load_blocks(a, &b);
}

tnn_status tnn_llama_arch_load_trainable_from_gguf(tnn_llama_arch *a, tnn_store *st, const tnn_gguf *g,
                                                   tnn_error *err) {
    tnn_error unread;
    binder b = {.store = st, .g = g, .trainable = true, .err = err ? err : &unread};
    tnn_status status = load_globals(a, &b);
    return status ? status : load_blocks(a, &b);
}
