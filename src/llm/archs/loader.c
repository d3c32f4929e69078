/*
 * Binding tensors of a GGUF to the handles of an arch: borrowed where they lie, every shape compared with what the
 * hyperparameters give.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

/* An F32 copy owned by the store: of vectors (norms, biases), which are F32 in the kernels, and of all that is to be
 * trained. */
static tnn_tensor *copy(binder *b, const tnn_gguf_tensor *t, int n_dims) {
    tnn_tensor *to = tnn_store_tensor(b->store, t->name.data, TNN_TYPE_F32, n_dims, t->ne, b->err);
    b->status = to ? tnn_tensor_copy_from_gguf(to, t, b->err) : b->err->status;
    if (to) tnn_tensor_set_trainable(to, b->trainable);
    return to;
}

/* NULL when absent (required: an error) or after a failure. */
static tnn_tensor *bind(binder *b, const char *name, bool required, int n_dims, const int64_t *ne) {
    if (b->status) return NULL;
    const tnn_gguf_tensor *t = tnn_gguf_tensor_at(b->g, tnn_gguf_find_tensor(b->g, name));
    if (!t) {
        if (required) b->status = tnn__fail(b->err, TNN_E_FORMAT, "tensor %s is missing", name);
        return NULL;
    }
    const tnn_type_info *info = tnn_type_get_info(t->type);
    if (!info->usable) {
        b->status =
            tnn__fail(b->err, TNN_E_UNSUPPORTED, "tensor %s is %s, which tinynn cannot run; requantise the model", name,
                      info->name ? info->name : "of an unknown type");
        return NULL;
    }
    if (!shape_fits(t, n_dims, ne)) {
        shape_error(b, t, n_dims, ne);
        return NULL;
    }
    if (b->trainable || (n_dims == 1 && t->type != TNN_TYPE_F32)) return copy(b, t, n_dims);
    tnn_tensor *to = tnn_store_borrow(b->store, name, (tnn_type)t->type, n_dims, ne, t->data, b->err);
    if (!to) b->status = b->err->status;
    return to;
}

static tnn_tensor *bind_matrix(binder *b, const char *name, bool required, int64_t n_in, int64_t n_out) {
    return bind(b, name, required, 2, (const int64_t[]){n_in, n_out});
}

static tnn_tensor *bind_vector(binder *b, const char *name, bool required, int64_t n) {
    return bind(b, name, required, 1, (const int64_t[]){n});
}

static tnn_status load_globals(tnn_llama_arch *a, binder *b) {
    const tnn_llama_hparams *hp = &a->hparams;
    a->token_embed = bind_matrix(b, "token_embd.weight", true, hp->d_model, hp->n_vocab);
    a->final_norm_gamma = bind_vector(b, "output_norm.weight", true, hp->d_model);
    a->output = bind_matrix(b, "output.weight", false, hp->d_model, hp->n_vocab);
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

static void bind_linear(binder *b, const tnn_llama_hparams *hp, int64_t layer, tnn__block_linear which,
                        tnn__linear *to) {
    tnn__name_buffer name;
    int64_t n_in, n_out;
    const char *part = tnn__block_linear_name(which);
    tnn__block_linear_shape(hp, which, &n_in, &n_out);
    to->weight = bind_matrix(b, tnn__block_name(&name, layer, part, "weight"), true, n_in, n_out);
    bool need_bias = tnn__block_linear_needs_bias(hp, which);
    to->bias = bind_vector(b, tnn__block_name(&name, layer, part, "bias"), need_bias, n_out);
}

static tnn_tensor *bind_norm(binder *b, int64_t layer, const char *part, bool required, int64_t n) {
    tnn__name_buffer name;
    return bind_vector(b, tnn__block_name(&name, layer, part, "weight"), required, n);
}

static void refuse_fused(binder *b, int64_t layer) {
    tnn__name_buffer name;
    tnn__block_name(&name, layer, "attn_qkv", "weight");
    if (tnn_gguf_find_tensor(b->g, name.text) < 0) return;
    b->status =
        tnn__fail(b->err, TNN_E_UNSUPPORTED,
                  "tensor %s holds Q, K and V in one; tinynn takes attn_q, attn_k and attn_v: convert the model "
                  "without fusing them",
                  name.text);
}

static void bind_block(binder *b, const tnn_llama_hparams *hp, int64_t layer, tnn__transformer_block *to) {
    to->attn_norm = bind_norm(b, layer, "attn_norm", true, hp->d_model);
    to->q_norm = hp->qk_norm ? bind_norm(b, layer, "attn_q_norm", true, hp->d_head) : NULL;
    to->k_norm = hp->qk_norm ? bind_norm(b, layer, "attn_k_norm", true, hp->d_head) : NULL;
    to->ffn_norm = bind_norm(b, layer, "ffn_norm", true, hp->d_model);
    for (int i = 0; i < TNN__N_BLOCK_LINEARS; i++) {
        bind_linear(b, hp, layer, (tnn__block_linear)i, tnn__block_linear_at(to, (tnn__block_linear)i));
    }
}

/* A forward that left out a part of a block would be wrong without a word. */
static void refuse_unread_parts(binder *b, const char *arch) {
    for (int64_t i = 0; i < tnn_gguf_n_tensors(b->g) && !b->status; i++) {
        const char *name = tnn_gguf_tensor_at(b->g, i)->name.data;
        if (strncmp(name, "blk.", 4) != 0 || tnn_store_find(b->store, name)) continue;
        b->status =
            tnn__fail(b->err, TNN_E_UNSUPPORTED, "tensor %s has no place in a %s model as tinynn runs it", name, arch);
    }
}

static tnn_status load_blocks(tnn_llama_arch *a, binder *b) {
    for (int64_t i = 0; i < a->n_layers && !b->status; i++) {
        if (a->specs[i].mixer != TNN_MIXER_ATTENTION) {
            return tnn__fail(b->err, TNN_E_UNSUPPORTED, "layer %" PRId64 ": kind %s cannot be loaded", i,
                             tnn__mixer_name(a->specs[i].mixer));
        }
        refuse_fused(b, i);
        bind_block(b, &a->hparams, i, &a->blocks[i]);
    }
    refuse_unread_parts(b, a->hparams.arch);
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
