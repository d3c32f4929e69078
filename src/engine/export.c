/* Exporting: metadata from the hyperparameters or from a model of the same shape, tensors row by row. */
#include <tinynn/export.h>
#include <tinynn/quantize.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "llm/archs/llama_arch.h"

typedef struct exporter {
    const tnn_llama_arch *arch;
    const tnn_store *store;
    const tnn_export_options *options;
    tnn_gguf_writer *w;
    const tnn_allocator *alloc;
    tnn_error *err; /* never NULL */
} exporter;

/* --- metadata --- */

static const char *key(const exporter *e, const char *name, char buf[128]) {
    snprintf(buf, 128, "%s.%s", e->arch->hparams.arch, name);
    return buf;
}

static void set_u32(const exporter *e, const char *name, int64_t value) {
    char buf[128];
    tnn_gguf_set_u32(e->w, key(e, name, buf), (uint32_t)value);
}

static void set_f32(const exporter *e, const char *name, float value) {
    char buf[128];
    tnn_gguf_set_f32(e->w, key(e, name, buf), value);
}

static void set_rope(const exporter *e) {
    const tnn_rope_config *c = &e->arch->hparams.rope, usual = tnn_rope_config_default();
    bool yarn = c->ext_factor != 0.0f;
    set_u32(e, "rope.dimension_count", c->n_rot);
    set_f32(e, "rope.freq_base", c->freq_base);
    if (c->attn_factor != usual.attn_factor) set_f32(e, "rope.scaling.attn_factor", c->attn_factor);
    if (!yarn && c->freq_scale == 1.0f) return;
    const char *type = yarn ? "yarn" : "linear";
    char buf[128];
    tnn_gguf_set_str(e->w, key(e, "rope.scaling.type", buf), type, strlen(type));
    set_f32(e, "rope.scaling.factor", 1.0f / c->freq_scale);
    if (c->n_ctx_orig > 0) set_u32(e, "rope.scaling.original_context_length", c->n_ctx_orig);
    if (!yarn) return;
    set_f32(e, "rope.scaling.yarn_ext_factor", c->ext_factor);
    set_f32(e, "rope.scaling.yarn_beta_fast", c->beta_fast);
    set_f32(e, "rope.scaling.yarn_beta_slow", c->beta_slow);
}

/* Pairs of RoPE to each of the position streams of IMROPE, as Qwen3.5 divides them: 11, 11, 10 of 32. */
static void set_rope_sections(const exporter *e) {
    char buf[128];
    int32_t pairs = e->arch->hparams.rope.n_rot / 2;
    const int32_t sections[4] = {(pairs + 2) / 3, (pairs + 1) / 3, pairs / 3, 0};
    tnn_gguf_set_array(e->w, key(e, "rope.dimension_sections", buf), TNN_GGUF_I32, sections, 4);
}

static bool is_gdn(const exporter *e, int64_t layer) {
    return tnn_llama_arch_layer_spec(e->arch, layer).mixer == TNN_MIXER_GDN;
}

/* A list says which layers are recurrent; the interval says it too where there is one, for readers that know no list.
 */
static void set_layer_kinds(const exporter *e) {
    int64_t n = e->arch->n_layers, interval = 1;
    char buf[128];
    uint8_t recurrent[TNN__MAX_LAYERS];
    while (interval <= n && is_gdn(e, interval - 1)) {
        interval++;
    }
    bool regular = interval <= n;
    for (int64_t i = 0; i < n; i++) {
        recurrent[i] = is_gdn(e, i);
        regular = regular && (recurrent[i] != 0) == ((i + 1) % interval != 0);
    }
    tnn_gguf_set_array(e->w, key(e, "attention.recurrent_layers", buf), TNN_GGUF_BOOL, recurrent, (uint64_t)n);
    if (regular) set_u32(e, "full_attention_interval", interval);
}

static void set_gdn(const exporter *e) {
    const tnn_gdn_hparams *gdn = &e->arch->hparams.gdn;
    if (gdn->n_key_heads == 0) return;
    set_layer_kinds(e);
    set_u32(e, "ssm.group_count", gdn->n_key_heads);
    set_u32(e, "ssm.time_step_rank", gdn->n_value_heads);
    set_u32(e, "ssm.state_size", gdn->d_head);
    set_u32(e, "ssm.inner_size", gdn->n_value_heads * gdn->d_head);
    if (gdn->conv_width > 0) {
        set_u32(e, "ssm.conv_kernel", gdn->conv_width);
        set_rope_sections(e);
    }
}

static void set_hparams(const exporter *e) {
    const tnn_llama_hparams *hp = &e->arch->hparams;
    tnn_gguf_set_str(e->w, "general.architecture", hp->arch, strlen(hp->arch));
    tnn_gguf_set_str(e->w, "general.type", "model", 5);
    set_u32(e, "vocab_size", hp->n_vocab);
    set_u32(e, "context_length", hp->n_ctx_train);
    set_u32(e, "embedding_length", hp->d_model);
    set_u32(e, "block_count", hp->n_layers);
    set_u32(e, "feed_forward_length", hp->d_ff);
    set_u32(e, "attention.head_count", hp->n_heads);
    set_u32(e, "attention.head_count_kv", hp->n_kv_heads);
    if (hp->d_head * hp->n_heads != hp->d_model) {
        set_u32(e, "attention.key_length", hp->d_head);
        set_u32(e, "attention.value_length", hp->d_head);
    }
    set_f32(e, "attention.layer_norm_rms_epsilon", hp->rms_eps);
    if (hp->attn_scale != 1.0f / sqrtf((float)hp->d_head)) set_f32(e, "attention.scale", hp->attn_scale);
    set_rope(e);
    set_gdn(e);
    if (e->options->tokenizer) {
        tnn_gguf_str donor = {"", 0};
        char donor_prefix[96];
        tnn_gguf_get_str(e->options->tokenizer, "general.architecture", &donor, NULL);
        snprintf(donor_prefix, sizeof donor_prefix, "%.*s.", (int)(donor.size < 80 ? donor.size : 80), donor.data);
        const char *const skip[] = {"general.", "quantize.", donor_prefix};
        tnn_gguf_copy_kv(e->w, e->options->tokenizer, skip, donor.size > 0 ? 3 : 2);
    } else {
        tnn_gguf_set_str(e->w, "tokenizer.ggml.model", "none", 4);
    }
}

/* Layers that were not run were not trained: the file has none. */
static void leave_out_extra_layers(const exporter *e) {
    set_u32(e, "block_count", e->arch->n_layers);
    set_u32(e, "nextn_predict_layers", 0);
    set_layer_kinds(e);
}

static void set_metadata(const exporter *e) {
    const tnn_export_options *o = e->options;
    if (o->like) {
        static const char *const skip[] = {"general.file_type", "general.quantization_version"};
        tnn_gguf_copy_kv(e->w, o->like, skip, 2);
        if (e->arch->hparams.n_extra_layers > 0) leave_out_extra_layers(e);
    } else {
        set_hparams(e);
    }
    if (o->name) tnn_gguf_set_str(e->w, "general.name", o->name, strlen(o->name));
    int32_t file_type = tnn_file_type_from_name(tnn_type_get_info((int32_t)o->type)->name);
    if (file_type >= 0) tnn_gguf_set_u32(e->w, "general.file_type", (uint32_t)file_type);
    if (tnn_type_get_info((int32_t)o->type)->quantized) tnn_gguf_set_u32(e->w, "general.quantization_version", 2);
}

/* --- tensors --- */

/* A tensor of the file: one of the store, under its name or another. */
typedef struct item {
    const tnn_tensor *t;
    char name[TNN_GGUF_MAX_NAME + 1];
    bool folded;     /* behind the lens: rows of d_model */
    bool from_log;   /* A_log, of which the file holds -e^A_log */
    bool as_trained; /* F32, whatever the type of matrices */
} item;

static void set_name(item *it, const char *name) {
    size_t n = strlen(name) - (it->from_log ? strlen(TNN__LOG_SUFFIX) : 0);
    snprintf(it->name, sizeof it->name, "%.*s", (int)n, name);
}

/*
 * Item i of the store's tensors and one more; false if it is not written. The lens is no tensor of an ordinary model:
 * the embedding it is folded into is, and a head that shared the embedding keeps what it had as output.weight.
 */
static bool item_at(const exporter *e, int64_t i, item *out) {
    const tnn_llama_arch *a = e->arch;
    if (i == tnn_store_count(e->store)) {
        *out = (item){.t = a->token_embed};
        set_name(out, "output.weight");
        return a->w_proj && !a->output.weight;
    }
    const tnn_tensor *t = tnn_store_at(e->store, i);
    const char *name = tnn_tensor_name(t);
    *out = (item){
        .t = t,
        .folded = a->w_proj && t == a->token_embed,
        .from_log = tnn__ends_with(name, ".ssm_a" TNN__LOG_SUFFIX),
        .as_trained = tnn__ends_with(name, ".ssm_conv1d.weight"),
    };
    set_name(out, name);
    return t != a->w_proj;
}

static int64_t row_length(const exporter *e, const item *it) {
    return it->folded ? e->arch->hparams.d_model : tnn_tensor_ne(it->t)[0];
}

static tnn_type type_of(const exporter *e, const item *it) {
    return tnn_tensor_ne(it->t)[1] > 1 && !it->as_trained ? e->options->type : TNN_TYPE_F32;
}

static tnn_status declare(const exporter *e, const item *it) {
    tnn_type type = type_of(e, it), stored = tnn_tensor_type(it->t);
    if (stored != TNN_TYPE_F32) {
        return tnn__fail(e->err, TNN_E_UNSUPPORTED, "tensor %s is %s; only F32 weights are exported", it->name,
                         tnn_type_get_info((int32_t)stored)->name);
    }
    int64_t ne[2] = {row_length(e, it), tnn_tensor_ne(it->t)[1]};
    if (tnn_row_bytes((int32_t)type, ne[0]) == 0) {
        return tnn__fail(e->err, TNN_E_ARG,
                         "tensor %s: rows of %" PRId64 " are no whole %s blocks; choose another type", it->name, ne[0],
                         tnn_type_get_info((int32_t)type)->name);
    }
    return tnn_gguf_add_tensor(e->w, it->name, type, ne[1] > 1 ? 2 : 1, ne);
}

/* y [E] = W_proj x [donor]; in double: done once, for good. */
static void fold_row(const float *proj, const float *x, int64_t donor, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t k = 0; k < donor; k++) {
            sum += (double)proj[i * donor + k] * (double)x[k];
        }
        y[i] = (float)sum;
    }
}

typedef struct row_buffers {
    float *in, *out, *proj;
    void *packed;
    int64_t n_in, n_out;
    size_t n_proj, packed_bytes;
} row_buffers;

static void free_buffers(const exporter *e, row_buffers *b) {
    if (b->in) tnn__free_array(e->alloc, b->in, (size_t)b->n_in, sizeof *b->in);
    if (b->out) tnn__free_array(e->alloc, b->out, (size_t)b->n_out, sizeof *b->out);
    if (b->proj) tnn__free_array(e->alloc, b->proj, b->n_proj, sizeof *b->proj);
    tnn__free(e->alloc, b->packed, b->packed_bytes, TNN__ALIGN);
}

static tnn_status take_buffers(const exporter *e, const item *it, row_buffers *b) {
    *b = (row_buffers){.n_in = tnn_tensor_ne(it->t)[0], .n_out = row_length(e, it)};
    b->packed_bytes = tnn_row_bytes((int32_t)type_of(e, it), b->n_out);
    b->in = tnn__calloc_array(e->alloc, (size_t)b->n_in, sizeof *b->in);
    b->out = tnn__calloc_array(e->alloc, (size_t)b->n_out, sizeof *b->out);
    b->packed = tnn__alloc(e->alloc, b->packed_bytes, TNN__ALIGN);
    b->n_proj = it->folded ? (size_t)tnn_tensor_elements(e->arch->w_proj) : 0;
    if (it->folded) b->proj = tnn__calloc_array(e->alloc, b->n_proj, sizeof *b->proj);
    if (!b->in || !b->out || !b->packed || (it->folded && !b->proj)) {
        return tnn__fail_nomem(e->err, it->name, b->packed_bytes);
    }
    return it->folded ? tnn_tensor_read(e->arch->w_proj, 0, b->proj, b->n_proj * sizeof *b->proj, e->err) : TNN_OK;
}

static tnn_status write_tensor(const exporter *e, const item *it) {
    row_buffers b;
    tnn_status status = take_buffers(e, it, &b);
    size_t in_bytes = (size_t)b.n_in * sizeof(float);
    for (int64_t r = 0; r < tnn_tensor_elements(it->t) / b.n_in && !status; r++) {
        const float *row = b.in;
        status = tnn_tensor_read(it->t, (size_t)r * in_bytes, b.in, in_bytes, e->err);
        if (b.proj) {
            fold_row(b.proj, b.in, b.n_in, b.out, b.n_out);
            row = b.out;
        }
        for (int64_t i = 0; it->from_log && i < b.n_in; i++) {
            b.in[i] = -expf(b.in[i]);
        }
        if (!status) status = tnn_quantize_row(type_of(e, it), row, b.packed, b.n_out, NULL);
        if (status) {
            tnn__fail(e->err, status, "tensor %s, row %" PRId64 ": cannot be stored as %s", it->name, r,
                      tnn_type_get_info((int32_t)type_of(e, it))->name);
        } else {
            status = tnn_gguf_write_data(e->w, b.packed, b.packed_bytes);
        }
    }
    free_buffers(e, &b);
    return status;
}

static tnn_status write_all(const exporter *e, const char *path) {
    tnn_status status = TNN_OK;
    set_metadata(e);
    int64_t n_items = tnn_store_count(e->store) + 1;
    item it;
    for (int64_t i = 0; i < n_items && !status; i++) {
        if (item_at(e, i, &it)) status = declare(e, &it);
    }
    if (!status) status = tnn_gguf_writer_begin(e->w, path);
    for (int64_t i = 0; i < n_items && !status; i++) {
        if (item_at(e, i, &it)) status = write_tensor(e, &it);
    }
    return status;
}

tnn_status tnn_export_gguf(const char *path, const tnn_llama_arch *arch, const tnn_store *st,
                           const tnn_export_options *options, tnn_error *err) {
    tnn_error unread, own = {TNN_OK, ""};
    exporter e = {.arch = arch, .store = st, .options = options, .alloc = &arch->session->alloc, .err = &own};
    if (!err) err = &unread;
    if (!tnn_type_get_info((int32_t)options->type)->usable)
        return tnn__fail(err, TNN_E_ARG, "type %d is none of a model's matrices", (int)options->type);
    tnn_status status = tnn_gguf_writer_new(&e.w, e.alloc, err);
    if (status) return status;
    status = write_all(&e, path);
    if (own.status) {
        *err = own;
    } else {
        status = tnn_gguf_writer_finish(e.w, err); /* tells the writer's own first error */
    }
    tnn_gguf_writer_free(e.w);
    return status;
}
