/* Trainable weights of an arch: F32 tensors by GGUF name, filled at random or from a file. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/ascii.h"
#include "base/rng.h"
#include "core/tensor.h"
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
    a->output.weight = untied ? take_matrix(&m, "output.weight", true, hp->d_model, hp->n_vocab) : NULL;
    a->donor_d_in = donor_d_in;
    a->hparams.tied = !untied;
    return m.status;
}

static void take_linear(allocation *m, const tnn_llama_hparams *hp, int64_t layer, tnn__layer_linear which,
                        tnn__linear *to) {
    tnn__name_buffer name;
    int64_t n_in, n_out;
    tnn__layer_linear_shape(hp, which, &n_in, &n_out);
    to->weight = take_matrix(m, tnn__linear_full_name(&name, layer, which, "weight"), true, n_in, n_out);
    if (tnn__layer_linear_needs_bias(hp, which)) {
        to->bias = take(m, tnn__linear_full_name(&name, layer, which, "bias"), true, 1, &n_out);
    }
}

static void take_layer(allocation *m, const tnn_llama_arch *a, int64_t layer) {
    for (int i = 0; i < TNN__N_LAYER_TENSORS; i++) {
        tnn__layer_tensor which = (tnn__layer_tensor)i;
        tnn_tensor **to = tnn__layer_tensor_at(a, layer, which);
        tnn__name_buffer name;
        int64_t ne[2];
        int n_dims = tnn__layer_tensor_shape(&a->hparams, which, ne);
        if (to) *to = take(m, tnn__tensor_full_name(&name, &a->hparams, layer, which, true), true, n_dims, ne);
    }
    a->gdn_blocks[layer].decay_form = TNN_GDN_A_LOG;
    for (int i = 0; i < TNN__N_LAYER_LINEARS; i++) {
        tnn__linear *to = tnn__layer_linear_at(a, layer, (tnn__layer_linear)i);
        if (to) take_linear(m, &a->hparams, layer, (tnn__layer_linear)i, to);
    }
}

tnn_status tnn_llama_arch_alloc_blocks_trainable_f32(tnn_llama_arch *a, tnn_store *st, tnn_error *err) {
    tnn_error unread;
    allocation m = {.store = st, .err = err ? err : &unread};
    for (int64_t i = 0; i < a->n_layers && !m.status; i++) {
        m.status = tnn__check_layer(a, i, m.err);
        take_layer(&m, a, i);
    }
    if (!m.status) a->bound = true;
    return m.status;
}

/*
 * Gated DeltaNet as flash-linear-attention begins: A uniform in (0, 16), time steps dt log-uniform in [0.001, 0.1], of
 * which the inverse of softplus is stored; the convolution as PyTorch does. False: t is nothing of these.
 */
static bool fill_gdn(const tnn_tensor *t, uint64_t seed, float *values, int64_t n) {
    const char *name = tnn_tensor_name(t);
    uint64_t stream = tnn__hash_str(name);
    if (tnn__ends_with(name, ".ssm_a" TNN__LOG_SUFFIX)) {
        tnn__fill_uniform(seed, stream, values, n, 1e-4f, 16.0f);
        for (int64_t i = 0; i < n; i++) {
            values[i] = logf(values[i]);
        }
    } else if (tnn__ends_with(name, ".ssm_dt.bias")) {
        tnn__fill_uniform(seed, stream, values, n, logf(0.001f), logf(0.1f));
        for (int64_t i = 0; i < n; i++) {
            float dt = expf(values[i]);
            values[i] = dt + logf(-expm1f(-dt));
        }
    } else if (tnn__ends_with(name, ".ssm_conv1d.weight")) {
        float bound = 1.0f / sqrtf((float)tnn_tensor_ne(t)[0]);
        tnn__fill_uniform(seed, stream, values, n, -bound, bound);
    } else {
        return false;
    }
    return true;
}

static void fill_random(const tnn_llama_arch *a, const tnn_tensor *t, uint64_t seed, float *values, int64_t n) {
    const char *name = tnn_tensor_name(t);
    if (fill_gdn(t, seed, values, n)) return;
    if (t->n_dims == 1) {
        float value = tnn__ends_with(name, ".bias") ? 0.0f : 1.0f;
        for (int64_t i = 0; i < n; i++) {
            values[i] = value;
        }
        return;
    }
    bool into_residual = tnn__ends_with(name, ".attn_output.weight") || tnn__ends_with(name, ".ssm_out.weight") ||
                         tnn__ends_with(name, ".ffn_down.weight");
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
    if (tnn_tensor_type(to) != TNN_TYPE_F32) {
        return tnn__fail(err, TNN_E_ARG, "tensor %s is copied to %s: an F32 tensor is needed", from->name.data,
                         tnn_type_get_info((int32_t)tnn_tensor_type(to))->name);
    }
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
