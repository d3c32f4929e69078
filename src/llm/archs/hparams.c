/*
 * Hyperparameters of the llama family from GGUF metadata: every required key present, every value in range. What the
 * file asks for and tinynn does not do is refused by name here, before any tensor is looked at.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tinynn/llama_arch.h>

#include "base/error.h"
#include "gguf/str.h"

/* What sets one architecture of the family apart from llama. */
typedef struct family {
    const char *name;
    bool interleaved_rope;
    bool qkv_bias;
    bool qk_norm;
    bool attn_gate;
    bool post_norm;
    bool gdn;  /* layers may be Gated DeltaNet */
    bool conv; /* these have the short convolution */
    int32_t nope_interval;
} family;

static const family families[] = {
    {.name = "llama", .interleaved_rope = true},
    {.name = "qwen2", .qkv_bias = true},
    {.name = "qwen3", .qk_norm = true},
    {.name = "smollm3", .interleaved_rope = true, .nope_interval = 4},
    /* Its IMROPE is plain RoPE where all position streams carry one position, as they do for text. */
    {.name = "qwen35", .qk_norm = true, .attn_gate = true, .post_norm = true, .gdn = true, .conv = true},
    /* llama with simplified Gated DeltaNet layers; tinynn's own. */
    {.name = "llama-gdn", .interleaved_rope = true, .gdn = true},
};
#define N_FAMILIES (sizeof families / sizeof *families)

/* Relatives that are asked for by name and are not run. */
static const struct {
    const char *name, *why;
} refused[] = {
    {"qwen3next", "its value heads are grouped and its feed-forward is a mixture of experts"},
    {"qwen35moe", "its feed-forward is a mixture of experts"},
    {"qwen3moe", "its feed-forward is a mixture of experts"},
    {"qwen2moe", "its feed-forward is a mixture of experts"},
};

/* Reads "<arch>.<name>" keys; the first failure latches. */
typedef struct reader {
    const tnn_gguf *g;
    const char *arch;
    int64_t n_blocks; /* layers in the file; 0 until read: nothing is per layer before */
    tnn_error *err;
    tnn_status status;
} reader;

#define KEY_MAX 128

static const char *full_key(const reader *r, const char *name, char buf[KEY_MAX]) {
    snprintf(buf, KEY_MAX, "%s.%s", r->arch, name);
    return buf;
}

static void refuse_int(reader *r, const char *key, int64_t value, int64_t lo, int64_t hi) {
    r->status = tnn__fail(r->err, TNN_E_FORMAT, "metadata %s = %" PRId64 " is outside %" PRId64 "..%" PRId64, key,
                          value, lo, hi);
}

/* Integers may be stored once or once per layer; per-layer values must all be equal. False: absent (or failed). */
static bool read_int(reader *r, const char *name, int64_t lo, int64_t hi, int64_t *out) {
    char key[KEY_MAX];
    if (r->status) return false;
    int64_t i = tnn_gguf_find_key(r->g, full_key(r, name, key)), value = 0, other;
    if (i < 0) return false;
    bool is_array = tnn_gguf_kv_type(r->g, i) == TNN_GGUF_ARRAY;
    uint64_t count = tnn_gguf_array_count(r->g, i);
    if (is_array && count != (uint64_t)r->n_blocks) {
        r->status = tnn__fail(r->err, TNN_E_FORMAT, "metadata %s has %" PRIu64 " values for %" PRId64 " layers", key,
                              count, r->n_blocks);
        return false;
    }
    if (!tnn_gguf_array_i64(r->g, i, 0, &value)) {
        r->status = tnn__fail(r->err, TNN_E_FORMAT, "metadata %s is not an integer", key);
        return false;
    }
    for (uint64_t e = 1; e < count; e++) {
        if (!tnn_gguf_array_i64(r->g, i, e, &other) || other != value) {
            r->status = tnn__fail(r->err, TNN_E_UNSUPPORTED,
                                  "metadata %s differs from layer to layer, which tinynn does not run", key);
            return false;
        }
    }
    if (value < lo || value > hi) {
        refuse_int(r, key, value, lo, hi);
        return false;
    }
    *out = value;
    return true;
}

static void need_int(reader *r, const char *name, int64_t lo, int64_t hi, int64_t *out) {
    char key[KEY_MAX];
    if (read_int(r, name, lo, hi, out) || r->status) return;
    r->status = tnn__fail(r->err, TNN_E_FORMAT, "metadata %s is missing", full_key(r, name, key));
}

static bool read_float(reader *r, const char *name, double lo, double hi, float *out) {
    char key[KEY_MAX];
    float value;
    if (r->status) return false;
    tnn_status status = tnn_gguf_get_f32(r->g, full_key(r, name, key), &value, r->err);
    if (status == TNN_E_NOTFOUND) return false;
    if (status) {
        r->status = status;
        return false;
    }
    if (!(isfinite(value) && (double)value >= lo && (double)value <= hi)) {
        r->status = tnn__fail(r->err, TNN_E_FORMAT, "metadata %s = %g is outside %g..%g", key, (double)value, lo, hi);
        return false;
    }
    *out = value;
    return true;
}

/* Empty when absent. */
static tnn_gguf_str read_str(reader *r, const char *name) {
    char key[KEY_MAX];
    tnn_gguf_str s = {"", 0};
    if (r->status) return s;
    tnn_status status = tnn_gguf_get_str(r->g, full_key(r, name, key), &s, r->err);
    if (status != TNN_OK && status != TNN_E_NOTFOUND) r->status = status;
    return s;
}

static const family *find_family(const tnn_gguf *g, tnn_error *err) {
    tnn_gguf_str arch = {"", 0};
    tnn_status status = tnn_gguf_get_str(g, "general.architecture", &arch, err);
    if (status == TNN_E_NOTFOUND) tnn__fail(err, TNN_E_FORMAT, "metadata general.architecture is missing");
    if (status) return NULL;
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (tnn__str_is(arch, families[i].name)) return &families[i];
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (!tnn__str_is(arch, refused[i].name)) continue;
        tnn__fail(err, TNN_E_UNSUPPORTED, "architecture \"%s\" is not run by tinynn: %s", refused[i].name,
                  refused[i].why);
        return NULL;
    }
    char known[128] = "";
    for (size_t i = 0, at = 0; i < N_FAMILIES; i++) {
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", families[i].name);
    }
    tnn__fail(err, TNN_E_UNSUPPORTED, "architecture \"%.*s\" is not known; tinynn runs %s", tnn__str_shown(arch),
              arch.data, known);
    return NULL;
}

static void read_vocab(reader *r, int64_t *n_vocab) {
    const int64_t most = INT32_MAX;
    int64_t tokens = tnn_gguf_find_key(r->g, "tokenizer.ggml.tokens");
    if (tokens >= 0 && tnn_gguf_array_count(r->g, tokens) > 0) {
        uint64_t n = tnn_gguf_array_count(r->g, tokens);
        if (n > (uint64_t)most) refuse_int(r, "tokenizer.ggml.tokens (count)", (int64_t)n, 1, most);
        *n_vocab = (int64_t)n;
    } else {
        need_int(r, "vocab_size", 1, most, n_vocab);
    }
}

/* Scaling of the rotation: facts of "linear" and "yarn"; llama3's is the tensor rope_freqs. */
static void read_rope_scaling(reader *r, const tnn_llama_hparams *hp, tnn_rope_config *rope) {
    tnn_gguf_str type = read_str(r, "rope.scaling.type");
    bool yarn = tnn__str_is(type, "yarn");
    if (type.size > 0 && !yarn && !tnn__str_is(type, "linear") && !tnn__str_is(type, "none")) {
        if (!r->status) {
            r->status = tnn__fail(r->err, TNN_E_UNSUPPORTED,
                                  "RoPE scaling \"%.*s\" is not supported; none, linear and yarn are",
                                  (int)(type.size < 32 ? type.size : 32), type.data);
        }
        return;
    }
    float factor = 0.0f;
    if (!read_float(r, "rope.scaling.factor", 0.0, 1e6, &factor) || factor == 0.0f) {
        read_float(r, "rope.scale_linear", 0.0, 1e6, &factor);
    }
    if (factor > 0.0f && !tnn__str_is(type, "none")) rope->freq_scale = 1.0f / factor;
    read_float(r, "rope.scaling.attn_factor", 0.0, 1e3, &rope->attn_factor);
    int64_t original = hp->n_ctx_train;
    read_int(r, "rope.scaling.original_context_length", 1, INT32_MAX, &original);
    rope->n_ctx_orig = (int32_t)original;
    if (!yarn) return;
    float log_multiplier = 0.0f;
    rope->ext_factor = 1.0f;
    read_float(r, "rope.scaling.yarn_ext_factor", 0.0, 1e3, &rope->ext_factor);
    read_float(r, "rope.scaling.yarn_attn_factor", 0.0, 1e3, &rope->attn_factor);
    read_float(r, "rope.scaling.yarn_beta_fast", 1e-3, 1e6, &rope->beta_fast);
    read_float(r, "rope.scaling.yarn_beta_slow", 1e-3, 1e6, &rope->beta_slow);
    read_float(r, "rope.scaling.yarn_log_multiplier", 0.0, 1e3, &log_multiplier);
    /* The op multiplies by 1 + 0.1 ln(factor); with a multiplier m the wanted total is that over 1 + 0.1 m ln(factor).
     */
    if (log_multiplier > 0.0f && factor > 1.0f) rope->attn_factor /= 1.0f + 0.1f * log_multiplier * logf(factor);
}

static void read_attention(reader *r, const family *f, tnn_llama_hparams *hp) {
    need_int(r, "attention.head_count", 1, 65536, &hp->n_heads);
    hp->n_kv_heads = hp->n_heads;
    read_int(r, "attention.head_count_kv", 1, 65536, &hp->n_kv_heads);
    if (!r->status && hp->n_heads % hp->n_kv_heads != 0) {
        r->status =
            tnn__fail(r->err, TNN_E_FORMAT,
                      "metadata %s.attention.head_count = %" PRId64 " is not a multiple of head_count_kv = %" PRId64,
                      r->arch, hp->n_heads, hp->n_kv_heads);
    }
    if (r->status) return;
    hp->d_head = hp->d_model / hp->n_heads;
    bool explicit_d = read_int(r, "attention.key_length", 2, 65536, &hp->d_head);
    int64_t d_value = hp->d_head;
    read_int(r, "attention.value_length", 2, 65536, &d_value);
    if (r->status) return;
    if (!explicit_d && hp->d_model % hp->n_heads != 0) {
        r->status = tnn__fail(r->err, TNN_E_FORMAT,
                              "metadata %s.embedding_length = %" PRId64 " is not a multiple of head_count = %" PRId64,
                              r->arch, hp->d_model, hp->n_heads);
    } else if (d_value != hp->d_head) {
        r->status = tnn__fail(r->err, TNN_E_UNSUPPORTED,
                              "metadata %s.attention.value_length = %" PRId64 " differs from key_length = %" PRId64,
                              r->arch, d_value, hp->d_head);
    }
    hp->attn_scale = 1.0f / sqrtf((float)hp->d_head);
    float scale = 0.0f;
    if (read_float(r, "attention.scale", 0.0, 1e6, &scale) && scale > 0.0f) hp->attn_scale = scale;
    hp->qkv_bias = f->qkv_bias;
    hp->qk_norm = f->qk_norm;
    hp->attn_gate = f->attn_gate;
    hp->post_norm = f->post_norm;
    hp->nope_interval = f->nope_interval;
}

/* --- Gated DeltaNet --- */

#define MAX_GDN_HEADS 65536
#define MAX_CONV      16

static void read_gdn(reader *r, const family *f, tnn_gdn_hparams *gdn) {
    int64_t inner = 0;
    need_int(r, "ssm.group_count", 1, MAX_GDN_HEADS, &gdn->n_key_heads);
    need_int(r, "ssm.time_step_rank", 1, MAX_GDN_HEADS, &gdn->n_value_heads);
    need_int(r, "ssm.state_size", 1, 4096, &gdn->d_head);
    need_int(r, "ssm.inner_size", 1, INT32_MAX, &inner);
    if (f->conv) need_int(r, "ssm.conv_kernel", 2, MAX_CONV, &gdn->conv_width);
    if (r->status) return;
    if (gdn->n_value_heads % gdn->n_key_heads != 0) {
        r->status =
            tnn__fail(r->err, TNN_E_FORMAT,
                      "metadata %s.ssm.time_step_rank = %" PRId64 " is not a multiple of ssm.group_count = %" PRId64,
                      r->arch, gdn->n_value_heads, gdn->n_key_heads);
    } else if (inner != gdn->n_value_heads * gdn->d_head) {
        r->status =
            tnn__fail(r->err, TNN_E_UNSUPPORTED,
                      "metadata %s.ssm.inner_size = %" PRId64 " is not ssm.time_step_rank x ssm.state_size = %" PRId64
                      ": values and keys of different widths are not run",
                      r->arch, inner, gdn->n_value_heads * gdn->d_head);
    }
}

/* The layers that predict further tokens are counted as blocks. */
static void read_extra_layers(reader *r, tnn_llama_hparams *hp) {
    read_int(r, "nextn_predict_layers", 0, r->n_blocks - 1, &hp->n_extra_layers);
    hp->n_layers -= hp->n_extra_layers;
}

/* Which layers are Gated DeltaNet: a list, else all but every nth (4 where the file does not say). */
static tnn_status mark_layers(tnn_llama_arch *a, reader *r) {
    char key[KEY_MAX];
    int64_t n = tnn_llama_arch_n_layers(a), interval = 4, recurrent;
    int64_t list = tnn_gguf_find_key(r->g, full_key(r, "attention.recurrent_layers", key));
    if (list >= 0 && tnn_gguf_array_count(r->g, list) != (uint64_t)r->n_blocks) {
        return tnn__fail(r->err, TNN_E_FORMAT, "metadata %s has %" PRIu64 " values for %" PRId64 " layers", key,
                         tnn_gguf_array_count(r->g, list), r->n_blocks);
    }
    read_int(r, "full_attention_interval", 1, INT32_MAX, &interval);
    for (int64_t i = 0; i < n && !r->status; i++) {
        if (list < 0) {
            recurrent = (i + 1) % interval != 0;
        } else if (!tnn_gguf_array_i64(r->g, list, (uint64_t)i, &recurrent)) {
            return tnn__fail(r->err, TNN_E_FORMAT, "metadata %s is no list of true and false", key);
        }
        if (recurrent) r->status = tnn_llama_arch_set_gdn_layer(a, i, r->err);
    }
    return r->status;
}

tnn_status tnn_llama_arch_seed_from_gguf(tnn_llama_arch *a, const tnn_gguf *g, tnn_error *err) {
    tnn_error unread;
    const tnn_llama_hparams *hp = tnn_llama_arch_hparams(a);
    reader r = {.g = g, .arch = hp->arch, .err = err ? err : &unread};
    bool hybrid = hp->gdn.n_key_heads > 0;
    int64_t n_extra = 0;
    need_int(&r, "block_count", 1, 4096, &r.n_blocks);
    if (hybrid) read_int(&r, "nextn_predict_layers", 0, r.n_blocks - 1, &n_extra);
    if (r.status) return r.status;
    tnn_status status = tnn_llama_arch_seed_blocks(a, r.n_blocks - n_extra, r.err);
    return status || !hybrid ? status : mark_layers(a, &r);
}

static void read_rope(reader *r, const family *f, tnn_llama_hparams *hp) {
    if (r->status) return;
    hp->rope = tnn_rope_config_default();
    hp->rope.interleaved = f->interleaved_rope;
    int64_t n_rot = hp->d_head;
    bool explicit_n_rot = read_int(r, "rope.dimension_count", 2, hp->d_head, &n_rot);
    if (!r->status && n_rot % 2 != 0) {
        r->status = tnn__fail(r->err, TNN_E_FORMAT, "metadata %s.%s = %" PRId64 " is odd: RoPE turns pairs", r->arch,
                              explicit_n_rot ? "rope.dimension_count" : "attention.key_length", n_rot);
    }
    hp->rope.n_rot = (int32_t)n_rot;
    read_float(r, "rope.freq_base", 1.001, 1e12, &hp->rope.freq_base);
    read_rope_scaling(r, hp, &hp->rope);
}

tnn_status tnn_llama_hparams_from_gguf(tnn_llama_hparams *out, const tnn_gguf *g, tnn_error *err) {
    tnn_error unread;
    if (!err) err = &unread;
    const family *f = find_family(g, err);
    if (!f) return err->status;
    tnn_llama_hparams hp = {0};
    reader r = {.g = g, .arch = f->name, .err = err};
    snprintf(hp.arch, sizeof hp.arch, "%s", f->name);

    int64_t n_experts = 0;
    read_int(&r, "expert_count", 0, INT32_MAX, &n_experts);
    if (n_experts > 0) {
        return tnn__fail(err, TNN_E_UNSUPPORTED, "this %s model has %" PRId64 " experts; tinynn runs dense models",
                         f->name, n_experts);
    }
    need_int(&r, "context_length", 1, INT32_MAX, &hp.n_ctx_train);
    need_int(&r, "embedding_length", 1, 1 << 20, &hp.d_model);
    need_int(&r, "block_count", 1, 4096, &hp.n_layers);
    r.n_blocks = hp.n_layers;
    if (f->gdn) read_gdn(&r, f, &hp.gdn);
    if (f->gdn) read_extra_layers(&r, &hp);
    need_int(&r, "feed_forward_length", 1, 1 << 24, &hp.d_ff);
    read_attention(&r, f, &hp);
    if (!r.status && !read_float(&r, "attention.layer_norm_rms_epsilon", 0.0, 1.0, &hp.rms_eps) && !r.status) {
        r.status = tnn__fail(err, TNN_E_FORMAT, "metadata %s.attention.layer_norm_rms_epsilon is missing", f->name);
    }
    read_rope(&r, f, &hp);
    if (!r.status) read_vocab(&r, &hp.n_vocab);
    if (r.status) return r.status;
    hp.tied = tnn_gguf_find_tensor(g, "output.weight") < 0;
    *out = hp;
    return TNN_OK;
}
