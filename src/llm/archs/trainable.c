/* Trainable weights of an arch: F32 tensors by GGUF name, filled at random or from a file. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "llm/archs/llama_arch.h"

/* Allocates under a name; the first failure latches. */
typedef struct allocation {
    tnn_store *store;
    tnn_error *err; /* never NULL */
    tnn_status status;
} allocation;

static tnn_tensor *take(allocation *m, const char *name, bool trainable, int n_dims, const int64_t *ne) {
    if (m->status) return NULL;
    tnn_tensor *t = tnn_store_tensor(m->store, name, TNN_TYPE_F32, n_dims, ne, m->err);
    if (!t) {
        m->status = m->err->status;
        return NULL;
    }
    tnn_tensor_set_trainable(t, trainable);
    return t;
}

static tnn_tensor *take_matrix(allocation *m, const char *name, bool trainable, int64_t n_in, int64_t n_out) {
    return take(m, name, trainable, 2, (const int64_t[]){n_in, n_out});
}

tnn_status tnn_llama_arch_alloc_globals_trainable_f32(tnn_llama_arch *a, tnn_store *st, int64_t donor_d_in, bool untied,
                                                      tnn_error *err) {
    const tnn_llama_hparams *hp = &a->hparams;
    if (donor_d_in < 0)
        return tnn__fail(err, TNN_E_ARG, "a lens from %" PRId64 " features: give 1 or more, or 0 for none", donor_d_in);
    if (donor_d_in > 0 && !untied && donor_d_in != hp->d_model) {
        return tnn__fail(err, TNN_E_ARG,
                         "a lens from %" PRId64 " to %" PRId64
                         " features cannot share its embedding with the head; untie the head",
                         donor_d_in, hp->d_model);
    }
    tnn_error unread;
    allocation m = {.store = st, .err = err ? err : &unread};
    a->token_embed =
        take_matrix(&m, "token_embd.weight", donor_d_in == 0, donor_d_in > 0 ? donor_d_in : hp->d_model, hp->n_vocab);
    if (donor_d_in > 0) a->w_proj = take_matrix(&m, "lens.proj.weight", true, donor_d_in, hp->d_model);
    a->final_norm_gamma = take(&m, "output_norm.weight", true, 1, &hp->d_model);
    a->output = untied ? take_matrix(&m, "output.weight", true, hp->d_model, hp->n_vocab) : NULL;
    a->donor_d_in = donor_d_in;
    a->hparams.tied = !untied;
    return m.status;
}

static void take_linear(allocation *m, const tnn_llama_hparams *hp, int64_t layer, tnn__block_linear which,
                        tnn__linear *to) {
    tnn__name_buffer name;
    int64_t n_in, n_out;
    const char *part = tnn__block_linear_name(which);
    tnn__block_linear_shape(hp, which, &n_in, &n_out);
    to->weight = take_matrix(m, tnn__block_name(&name, layer, part, "weight"), true, n_in, n_out);
    if (tnn__block_linear_needs_bias(hp, which)) {
        to->bias = take(m, tnn__block_name(&name, layer, part, "bias"), true, 1, &n_out);
    }
}

static tnn_tensor *take_norm(allocation *m, int64_t layer, const char *part, int64_t n) {
    tnn__name_buffer name;
    return take(m, tnn__block_name(&name, layer, part, "weight"), true, 1, &n);
}

tnn_status tnn_llama_arch_alloc_blocks_trainable_f32(tnn_llama_arch *a, tnn_store *st, tnn_error *err) {
    const tnn_llama_hparams *hp = &a->hparams;
    tnn_error unread;
    allocation m = {.store = st, .err = err ? err : &unread};
    for (int64_t i = 0; i < a->n_layers && !m.status; i++) {
        tnn__transformer_block *b = &a->blocks[i];
        if (a->specs[i].mixer != TNN_MIXER_ATTENTION) {
            return tnn__fail(err, TNN_E_UNSUPPORTED, "layer %" PRId64 ": kind %s cannot be trained", i,
                             tnn__mixer_name(a->specs[i].mixer));
        }
        b->attn_norm = take_norm(&m, i, "attn_norm", hp->d_model);
        b->q_norm = hp->qk_norm ? take_norm(&m, i, "attn_q_norm", hp->d_head) : NULL;
        b->k_norm = hp->qk_norm ? take_norm(&m, i, "attn_k_norm", hp->d_head) : NULL;
        b->ffn_norm = take_norm(&m, i, "ffn_norm", hp->d_model);
        for (int k = 0; k < TNN__N_BLOCK_LINEARS; k++) {
            take_linear(&m, hp, i, (tnn__block_linear)k, tnn__block_linear_at(b, (tnn__block_linear)k));
        }
    }
    if (!m.status) a->bound = true;
    return m.status;
}

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static void fill_random(const tnn_llama_arch *a, const tnn_tensor *t, uint64_t seed, float *values, int64_t n) {
    const char *name = tnn_tensor_name(t);
    if (tnn_tensor_ne(t)[1] == 1) {
        float value = ends_with(name, ".bias") ? 0.0f : 1.0f;
        for (int64_t i = 0; i < n; i++) {
            values[i] = value;
        }
        return;
    }
    bool into_residual = ends_with(name, ".attn_output.weight") || ends_with(name, ".ffn_down.weight");
    float deviation = into_residual ? 0.02f / sqrtf(2.0f * (float)a->n_layers) : 0.02f;
    tnn__fill_normal(seed, tnn__hash_str(name), values, n, 0.0f, deviation);
}

tnn_status tnn_llama_arch_random_init(const tnn_llama_arch *a, tnn_store *st, uint64_t seed, tnn_error *err) {
    const tnn_allocator *alloc = &a->session->alloc;
    for (int64_t i = 0; i < tnn_store_count(st); i++) {
        tnn_tensor *t = tnn_store_at(st, i);
        if (!tnn_tensor_trainable(t)) continue;
        int64_t n = tnn_tensor_elements(t);
        float *values = tnn__calloc_array(alloc, (size_t)n, sizeof *values);
        if (!values) return tnn__fail_nomem(err, tnn_tensor_name(t), (size_t)n * sizeof *values);
        fill_random(a, t, seed, values, n);
        tnn_status status = tnn_tensor_write(t, 0, values, (size_t)n * sizeof *values, err);
        tnn__free_array(alloc, values, (size_t)n, sizeof *values);
        if (status) return status;
    }
    return TNN_OK;
}

/* Row by row, so that no second copy of a large tensor is needed. */
tnn_status tnn_tensor_copy_from_gguf(tnn_tensor *to, const tnn_gguf_tensor *from, tnn_error *err) {
    const tnn_allocator *alloc = &tnn__session_of(to)->alloc;
    const int64_t *ne = tnn_tensor_ne(to);
    if (memcmp(ne, from->ne, sizeof from->ne) != 0) {
        return tnn__fail(err, TNN_E_SHAPE,
                         "tensor %s is [%" PRId64 ", %" PRId64 "] in the file, [%" PRId64 ", %" PRId64 "] here",
                         from->name.data, from->ne[0], from->ne[1], ne[0], ne[1]);
    }
    float *row = tnn__calloc_array(alloc, (size_t)ne[0], sizeof *row);
    if (!row) return tnn__fail_nomem(err, from->name.data, (size_t)ne[0] * sizeof *row);
    size_t row_bytes = tnn_row_bytes(from->type, ne[0]), to_bytes = (size_t)ne[0] * sizeof *row;
    tnn_status status = TNN_OK;
    for (int64_t r = 0; r < tnn_tensor_elements(to) / ne[0] && !status; r++) {
        status =
            tnn_dequantize_row((tnn_type)from->type, (const uint8_t *)from->data + (size_t)r * row_bytes, row, ne[0]);
        if (status) {
            tnn__fail(err, status, "tensor %s cannot be converted to F32", from->name.data);
        } else {
            status = tnn_tensor_write(to, (size_t)r * to_bytes, row, to_bytes, err);
        }
    }
    tnn__free_array(alloc, row, (size_t)ne[0], sizeof *row);
    return status;
}
