/*
 * Setting a run up: model, tokenizer, data, weights by recipe, trainer. Nothing is written here.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tinynn/export.h>

#include "base/checksum.h"
#include "base/rng.h"
#include "engine/checkpoint.h"
#include "engine/dataset.h"
#include "gguf/reader.h"
#include "llm/archs/llama_arch.h"
#include "recipes/run.h"
#include "text/byte_vocabulary.h"

#define MAX_BATCHES ((int64_t)100000000)

static bool given(const char *s) {
    return s && s[0];
}

/* --- model and tokenizer --- */

static tnn_status open_gguf(const tnn_run *r, tnn_gguf **out, const char *path, tnn_error *err) {
    tnn_gguf_open_options o = tnn_gguf_open_options_default();
    o.allocator = &r->session->alloc;
    return tnn_gguf_open(out, path, &o, err);
}

static tnn_status open_vocabulary(tnn_run *r, tnn_error *err) {
    const tnn_allocator *a = &r->session->alloc;
    const char *source = r->config.tokenizer;
    tnn_status status = TNN_OK;
    if (r->base) {
        r->vocabulary = r->base;
    } else if (!given(source)) {
        return tnn__fail(err, TNN_E_ARG,
                         "scratch needs a tokenizer: give the path of a GGUF that has one, or \"bytes\"");
    } else if (strcmp(source, "bytes") == 0) {
        status = tnn__byte_vocabulary(&r->vocabulary_bytes, &r->n_vocabulary_bytes, a, err);
        if (!status)
            status = tnn_gguf_open_memory(&r->vocabulary, r->vocabulary_bytes, r->n_vocabulary_bytes, NULL, err);
    } else {
        status = open_gguf(r, &r->vocabulary, source, err);
    }
    if (!status) status = tnn_tokenizer_new(&r->tokenizer, r->vocabulary, a, err);
    if (status) return status;
    const char *name = given(r->config.chat_template) ? r->config.chat_template : NULL;
    tnn_error why;
    status = tnn_chat_template_new(&r->chat, r->vocabulary, name, a, &why);
    /* Rows of text need none; rows of messages will say that it is missing. */
    if (status && !name && status != TNN_E_NOMEM) return TNN_OK;
    if (status) *err = why;
    return status;
}

bool tnn__run_names_template(const tnn_run *r) {
    tnn_chat_template *own = NULL;
    if (!r->chat || !given(r->config.chat_template) || !given(r->config.data)) return true;
    tnn_status status = tnn_chat_template_new(&own, r->vocabulary, NULL, &r->session->alloc, NULL);
    bool same = !status && strcmp(tnn_chat_template_name(own), tnn_chat_template_name(r->chat)) == 0;
    tnn_chat_template_free(own);
    return same;
}

static tnn_status open_base(tnn_run *r, tnn_error *err) {
    if (r->config.recipe == TNN_RECIPE_SCRATCH) return TNN_OK;
    if (!given(r->config.model)) {
        return tnn__fail(err, TNN_E_ARG, "%s needs a model: give the path of a GGUF",
                         tnn__recipe_name((tnn_recipe)r->config.recipe));
    }
    tnn_status status = open_gguf(r, &r->base, r->config.model, err);
    if (!status) r->hashes.base = tnn__gguf_hash(r->base);
    return status;
}

/* --- data --- */

static tnn_status open_split(tnn_run *r, const char *split, tnn_dataset **out, tnn_error *err) {
    const tnn_train_config *c = &r->config;
    tnn_dataset_options o = {
        .max_length = c->max_seq_length,
        .train_prompt = !c->mask_prompt,
        .seed = (uint64_t)c->seed,
        .system = given(c->system) ? c->system : NULL,
    };
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s.jsonl", c->data, split);
    if (n < 0 || (size_t)n >= sizeof path) return tnn__fail(err, TNN_E_ARG, "the path of the data is too long");
    return tnn_dataset_open_jsonl(out, path, r->tokenizer, r->chat, &o, &r->session->alloc, err);
}

static tnn_status open_text(tnn_run *r, const char *path, tnn_dataset **out, tnn_error *err) {
    tnn_dataset_options o = {.max_length = r->config.max_seq_length, .seed = (uint64_t)r->config.seed};
    return tnn_dataset_open_text(out, path, r->tokenizer, &o, &r->session->alloc, err);
}

static void add_data(tnn__checksum *sum, const tnn_dataset *d) {
    if (!d) return;
    tnn__checksum_add(sum, d->ids.data, d->ids.n * sizeof *d->ids.data);
    tnn__checksum_add(sum, d->trained.data, d->trained.n);
    tnn__checksum_add(sum, d->begins, (size_t)(d->stats.n_sequences + 1) * sizeof *d->begins);
}

static uint64_t hash_of_data(const tnn_run *r) {
    tnn__checksum sum = tnn__checksum_begin();
    add_data(&sum, r->train);
    add_data(&sum, r->valid);
    uint64_t value = tnn__checksum_end(&sum);
    return value ? value : 1;
}

/* A batch does not reach beyond an epoch, so rows for more than all the data would only be computed as padding. */
static int64_t rows_of_batch(const tnn_run *r) {
    int64_t rows = r->config.batch_size * r->config.max_seq_length;
    int64_t useful = tnn_dataset_get_stats(r->train).n_tokens,
            least = r->valid ? tnn_dataset_get_stats(r->valid).longest : 0;
    if (useful < least) useful = least;
    return useful < rows ? useful : rows;
}

static tnn_status open_splits(tnn_run *r, tnn_error *err) {
    const tnn_train_config *c = &r->config;
    if (given(c->text)) {
        tnn_status status = open_text(r, c->text, &r->train, err);
        return status || !given(c->valid_text) ? status : open_text(r, c->valid_text, &r->valid, err);
    }
    tnn_status status = open_split(r, "train", &r->train, err);
    char path[4096];
    snprintf(path, sizeof path, "%s/valid.jsonl", c->data);
    return status || access(path, F_OK) != 0 ? status : open_split(r, "valid", &r->valid, err);
}

static tnn_status open_data(tnn_run *r, tnn_error *err) {
    tnn_status status = open_splits(r, err);
    if (!status) r->batch_rows = rows_of_batch(r);
    return status;
}

/* --- weights --- */

static tnn_status new_arch(tnn_run *r, const tnn_llama_hparams *hp, tnn_error *err) {
    tnn_status status = tnn_llama_arch_new(&r->arch, r->session, hp, err);
    return status ? status : tnn_store_new(&r->weights, r->session, err);
}

/* The i-th of comma-separated kinds, which repeat; n gets its length. */
static const char *kind_at(const char *kinds, int64_t i, size_t *n) {
    int64_t n_kinds = 1;
    for (const char *p = kinds; *p; p++) {
        n_kinds += *p == ',';
    }
    const char *kind = kinds;
    for (i %= n_kinds; i > 0; i--) {
        kind = strchr(kind, ',') + 1;
    }
    *n = strcspn(kind, ",");
    return kind;
}

static tnn_status mark_layers(tnn_run *r, int64_t n_layers, tnn_error *err) {
    const char *kinds = r->config.layer_kinds;
    tnn_status status = tnn_llama_arch_seed_blocks(r->arch, n_layers, err);
    for (int64_t i = 0; given(kinds) && i < n_layers && !status; i++) {
        size_t n;
        const char *kind = kind_at(kinds, i, &n);
        if (n == 3 && memcmp(kind, "gdn", n) == 0) {
            status = tnn_llama_arch_set_gdn_layer(r->arch, i, err);
        } else if (n != 9 || memcmp(kind, "attention", n) != 0) {
            status = tnn__fail(err, TNN_E_ARG, "layer_kinds: \"%.*s\" is neither attention nor gdn",
                               (int)(n < 64 ? n : 64), kind);
        }
    }
    return status;
}

static bool has_gdn(const tnn_train_config *c) {
    return strstr(c->layer_kinds, "gdn") != NULL;
}

/* A hybrid stack is a qwen35, which others load too; with simplified layers it is a llama-gdn, which is tinynn's own.
 */
static void make_hybrid(tnn_llama_hparams *hp, const tnn_train_config *c) {
    tnn_gdn_hparams *gdn = &hp->gdn;
    gdn->n_key_heads = c->gdn_key_heads ? c->gdn_key_heads : hp->n_heads;
    gdn->n_value_heads = c->gdn_value_heads ? c->gdn_value_heads : gdn->n_key_heads;
    gdn->d_head = c->gdn_head_dim ? c->gdn_head_dim : hp->d_head;
    gdn->conv_width = c->gdn_conv;
    if (gdn->conv_width == 0) {
        snprintf(hp->arch, sizeof hp->arch, "llama-gdn");
        return;
    }
    snprintf(hp->arch, sizeof hp->arch, "qwen35");
    hp->qk_norm = hp->attn_gate = hp->post_norm = true;
    hp->rms_eps = 1e-6f;
    hp->rope.interleaved = false;
    hp->rope.n_rot = (int32_t)(hp->d_head < 8 ? 2 : hp->d_head / 8 * 2); /* a quarter, as Qwen3.5 has it */
}

static tnn_llama_hparams body_from_config(const tnn_train_config *c) {
    tnn_llama_hparams hp = {
        .arch = "llama",
        .n_ctx_train = c->context_length ? c->context_length : c->max_seq_length,
        .d_model = c->d_model,
        .n_layers = c->n_layers,
        .n_heads = c->n_heads,
        .n_kv_heads = c->n_kv_heads ? c->n_kv_heads : c->n_heads,
        .d_head = c->d_head ? c->d_head : c->d_model / c->n_heads,
        .d_ff = c->d_ff,
        .rms_eps = 1e-5f,
        .rope = tnn_rope_config_default(),
    };
    hp.attn_scale = 1.0f / sqrtf((float)hp.d_head);
    hp.rope.interleaved = true;
    hp.rope.n_rot = (int32_t)hp.d_head;
    hp.rope.freq_base = (float)c->rope_base;
    if (has_gdn(c)) make_hybrid(&hp, c);
    return hp;
}

static tnn_status check_body(const tnn_llama_hparams *hp, const tnn_train_config *c, tnn_error *err) {
    if (!c->d_head && c->d_model % c->n_heads != 0)
        return tnn__fail(err, TNN_E_ARG, "d_model %" PRId64 " is no multiple of n_heads %" PRId64 "; give d_head",
                         c->d_model, c->n_heads);
    if (hp->n_heads % hp->n_kv_heads != 0)
        return tnn__fail(err, TNN_E_ARG, "n_heads %" PRId64 " is no multiple of n_kv_heads %" PRId64, hp->n_heads,
                         hp->n_kv_heads);
    if (hp->d_head % 2 != 0)
        return tnn__fail(err, TNN_E_ARG, "heads of %" PRId64 " elements: RoPE needs an even number", hp->d_head);
    if (has_gdn(c) && hp->gdn.n_value_heads % hp->gdn.n_key_heads != 0)
        return tnn__fail(err, TNN_E_ARG, "gdn_value_heads %" PRId64 " is no multiple of gdn_key_heads %" PRId64,
                         hp->gdn.n_value_heads, hp->gdn.n_key_heads);
    if (has_gdn(c) && hp->gdn.conv_width == 1)
        return tnn__fail(err, TNN_E_ARG, "gdn_conv 1: give 2 to 16 taps, or 0 for simplified layers");
    return TNN_OK;
}

/* A donor's embeddings fit a body of their width alone. */
static tnn_status take_width(tnn_train_config *c, const tnn_llama_hparams *donor, tnn_error *err) {
    tnn_train_config standard = tnn_train_config_default((tnn_recipe)c->recipe);
    if (c->d_model != standard.d_model && c->d_model != donor->d_model)
        return tnn__fail(err, TNN_E_ARG,
                         "d_model %" PRId64 ": the embeddings of %s are %" PRId64
                         " wide, and so is its new body; the recipe lens projects them to another width",
                         c->d_model, c->model, donor->d_model);
    c->d_model = donor->d_model;
    return TNN_OK;
}

/* The shape of a new body; *like, which the caller closes, is the file it was taken from, or NULL. */
static tnn_status new_body(const tnn_run *r, const tnn_llama_hparams *donor, tnn_llama_hparams *hp, tnn_gguf **like,
                           tnn_error *err) {
    tnn_train_config c = r->config;
    *like = NULL;
    tnn_status status = c.recipe == TNN_RECIPE_WARM_START ? take_width(&c, donor, err) : TNN_OK;
    if (status) return status;
    if (given(c.like)) {
        status = open_gguf(r, like, c.like, err);
        if (!status) status = tnn_llama_hparams_from_gguf(hp, *like, err);
        hp->n_extra_layers = 0;
        if (c.recipe == TNN_RECIPE_WARM_START) hp->d_model = c.d_model;
    } else {
        *hp = body_from_config(&c);
        status = check_body(hp, &c, err);
        hp->tied = !c.untied;
    }
    hp->n_vocab = tnn_tokenizer_n_vocab(r->tokenizer);
    return status;
}

/* The donor's embedding, and its output where the new body has one of the same width. */
static tnn_status take_donor(tnn_run *r, bool output_too, tnn_error *err) {
    static const char *const names[] = {"token_embd.weight", "output.weight"};
    for (int i = 0; i < (output_too ? 2 : 1); i++) {
        tnn_tensor *to = tnn_store_find(r->weights, names[i]);
        const tnn_gguf_tensor *from = tnn_gguf_tensor_at(r->base, tnn_gguf_find_tensor(r->base, names[i]));
        if (!to || !from) continue;
        tnn_status status = tnn_tensor_copy_from_gguf(to, from, err);
        if (status) return status;
        tnn__gguf_release(r->base, from);
    }
    return TNN_OK;
}

/* Root mean square over the rows of t of their Euclidean norms. */
static tnn_status row_norm(const tnn_tensor *t, double *out, tnn_error *err) {
    float piece[1024];
    double squares = 0;
    size_t n = (size_t)tnn_tensor_elements(t), room = sizeof piece / sizeof *piece;
    for (size_t at = 0; at < n; at += room) {
        size_t k = n - at < room ? n - at : room;
        tnn_status status = tnn_tensor_read(t, at * sizeof *piece, piece, k * sizeof *piece, err);
        if (status) return status;
        for (size_t i = 0; i < k; i++) {
            squares += (double)piece[i] * (double)piece[i];
        }
    }
    *out = sqrt(squares / (double)tnn_tensor_ne(t)[1]);
    return TNN_OK;
}

/*
 * A donor's head was made for the donor's final norm. Behind gains of one, the logit of the token whose tied embedding
 * went in is |e| sqrt(d), 60 and more in models that people use. The gains make up for the size of the head: the first
 * logits are those of a random head of deviation 0.02, with which scratch begins, and the loss begins near ln(n_vocab).
 */
static tnn_status fit_final_norm(const tnn_run *r, tnn_error *err) {
    tnn_tensor *gamma = tnn_store_find(r->weights, "output_norm.weight");
    double norm;
    tnn_status status = row_norm(tnn_llama_arch_head(r->arch), &norm, err);
    if (status || norm == 0 || !isfinite(norm)) return status;
    int64_t d = tnn_tensor_ne(gamma)[0];
    float gain = (float)(0.02 * sqrt((double)d) / norm); /* 0.02 over the deviation of an element */
    for (int64_t i = 0; i < d && !status; i++) {
        status = tnn_tensor_write(gamma, (size_t)i * sizeof gain, &gain, sizeof gain, err);
    }
    return status;
}

static tnn_status fill_new_body(tnn_run *r, const tnn_llama_hparams *donor, tnn_llama_hparams *hp, const tnn_gguf *like,
                                tnn_error *err) {
    bool lens = r->config.recipe == TNN_RECIPE_LENS;
    if (lens) hp->tied = false;
    tnn_status status = new_arch(r, hp, err);
    if (!status) status = like ? tnn_llama_arch_seed_from_gguf(r->arch, like, err) : mark_layers(r, hp->n_layers, err);
    if (!status)
        status =
            tnn_llama_arch_alloc_globals_trainable_f32(r->arch, r->weights, lens ? donor->d_model : 0, !hp->tied, err);
    if (!status) status = tnn_llama_arch_alloc_blocks_trainable_f32(r->arch, r->weights, err);
    if (!status) status = tnn_llama_arch_random_init(r->arch, r->weights, (uint64_t)r->config.seed, err);
    if (!status && r->base) status = take_donor(r, !lens, err);
    if (!status && r->base && !lens) status = fit_final_norm(r, err);
    return status;
}

static tnn_status make_new_body(tnn_run *r, tnn_error *err) {
    tnn_llama_hparams hp, donor = {0};
    tnn_gguf *like = NULL;
    tnn_status status = r->base ? tnn_llama_hparams_from_gguf(&donor, r->base, err) : TNN_OK;
    if (!status) status = new_body(r, &donor, &hp, &like, err);
    if (!status) status = fill_new_body(r, &donor, &hp, like, err);
    tnn_gguf_close(like);
    return status;
}

static tnn_status load_base(tnn_run *r, bool trainable, tnn_error *err) {
    tnn_llama_hparams hp;
    tnn_status status = tnn_llama_hparams_from_gguf(&hp, r->base, err);
    if (!status) status = new_arch(r, &hp, err);
    if (!status) status = tnn_llama_arch_seed_from_gguf(r->arch, r->base, err);
    if (status) return status;
    if (trainable) return tnn_llama_arch_load_trainable_from_gguf(r->arch, r->weights, r->base, err);
    status = tnn_llama_arch_load_globals_from_gguf_mmap(r->arch, r->weights, r->base, err);
    return status ? status : tnn_llama_arch_load_blocks_from_gguf_mmap(r->arch, r->weights, r->base, err);
}

/* --- low-rank pairs --- */

/* Beside the linears of the blocks by name: the untied output, and all of the blocks'. */
#define OUTPUT "output"
#define ALL    "all-linear"

static bool is_word(const char *text, size_t n, const char *word) {
    return strlen(word) == n && memcmp(text, word, n) == 0;
}

static bool is_listed(const char *list, const char *module) {
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        if (is_word(p, n, module)) return true;
        p += n + (p[n] == ',');
    }
    return false;
}

static tnn_status unknown_module(const char *text, size_t n, tnn_error *err) {
    char known[200] = "";
    for (int i = 0, at = 0; i < TNN__N_LAYER_LINEARS; i++) {
        at += snprintf(known + at, sizeof known - (size_t)at, "%s, ", tnn__layer_linear_name((tnn__layer_linear)i));
    }
    return tnn__fail(err, TNN_E_ARG, "lora_modules: %.*s is none of %s" OUTPUT ", " ALL, (int)(n < 64 ? n : 64), text,
                     known);
}

static tnn_status check_modules(const char *list, tnn_error *err) {
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        bool known = is_word(p, n, OUTPUT) || is_word(p, n, ALL);
        for (int i = 0; i < TNN__N_LAYER_LINEARS && !known; i++) {
            known = is_word(p, n, tnn__layer_linear_name((tnn__layer_linear)i));
        }
        if (!known) return unknown_module(p, n, err);
        p += n + (p[n] == ',');
    }
    return TNN_OK;
}

static float pair_strength(const tnn_train_config *c) {
    double rank = (double)c->lora_rank;
    return (float)(c->rslora ? c->lora_alpha / sqrt(rank) : c->lora_alpha / rank);
}

/* A uniform in +-1/sqrt(in) (as PEFT), B zero: the model starts as it was. */
static tnn_status add_pair(tnn_run *r, const tnn_tensor *weight, tnn_error *err) {
    const char *name = tnn_tensor_name(weight);
    char half[TNN_GGUF_MAX_NAME + 16];
    const int64_t *ne = tnn_tensor_ne(weight);
    int64_t rank = r->config.lora_rank;
    snprintf(half, sizeof half, "%s.lora_a", name);
    tnn_tensor *a = tnn_store_tensor(r->pairs, half, TNN_TYPE_F32, 2, (const int64_t[]){ne[0], rank}, err);
    snprintf(half, sizeof half, "%s.lora_b", name);
    tnn_tensor *b = a ? tnn_store_tensor(r->pairs, half, TNN_TYPE_F32, 2, (const int64_t[]){rank, ne[1]}, err) : NULL;
    if (!b) return err->status;
    tnn_tensor_set_trainable(a, true);
    tnn_tensor_set_trainable(b, true);
    const tnn_allocator *alloc = &r->session->alloc;
    int64_t n = ne[0] * rank;
    float *values = tnn__calloc_array(alloc, (size_t)n, sizeof *values), bound = 1.0f / sqrtf((float)ne[0]);
    if (!values) return tnn__fail_nomem(err, half, (size_t)n * sizeof *values);
    tnn__fill_uniform((uint64_t)r->config.seed, tnn__hash_str(tnn_tensor_name(a)), values, n, -bound, bound);
    tnn_status status = tnn_tensor_write(a, 0, values, (size_t)n * sizeof *values, err);
    tnn__free_array(alloc, values, (size_t)n, sizeof *values);
    if (!status) status = tnn_llama_arch_attach_lora(r->arch, name, a, b, pair_strength(&r->config), err);
    /* The base tensor's record lives as long as the run, and so does its name. */
    r->pair_list[r->n_pairs++] = (tnn_adapter_pair){name, a, b};
    return status;
}

static tnn_status add_layer_pairs(tnn_run *r, int64_t layer, tnn_error *err) {
    const char *list = r->config.lora_modules;
    bool all = !given(list) || is_listed(list, ALL);
    tnn_status status = TNN_OK;
    for (int i = 0; i < TNN__N_LAYER_LINEARS && !status; i++) {
        tnn__layer_linear which = (tnn__layer_linear)i;
        const tnn__linear *linear = tnn__layer_linear_at(r->arch, layer, which); /* NULL: a layer of another kind */
        if (linear && (all || is_listed(list, tnn__layer_linear_name(which))))
            status = add_pair(r, linear->weight, err);
    }
    return status;
}

static tnn_status add_output_pair(tnn_run *r, tnn_error *err) {
    const tnn_tensor *weight = tnn_llama_arch_linear(r->arch, OUTPUT ".weight");
    if (weight) return add_pair(r, weight, err);
    return tnn__fail(err, TNN_E_ARG,
                     "lora_modules: %s has no output of its own (it is tied to the token embedding): leave " OUTPUT
                     " away, or train it with the recipe full",
                     r->config.model);
}

static int64_t max_pairs(const tnn_run *r) {
    return tnn_llama_arch_n_layers(r->arch) * TNN__N_LAYER_LINEARS + 1;
}

static tnn_status add_pairs(tnn_run *r, tnn_error *err) {
    const tnn_train_config *c = &r->config;
    int64_t n_layers = tnn_llama_arch_n_layers(r->arch);
    int64_t first = c->num_layers < 0 || c->num_layers > n_layers ? 0 : n_layers - c->num_layers;
    tnn_status status = tnn_store_new(&r->pairs, r->session, err);
    if (status) return status;
    r->pair_list = tnn__calloc_array(&r->session->alloc, (size_t)max_pairs(r), sizeof *r->pair_list);
    if (!r->pair_list) return tnn__fail_nomem(err, "pairs", (size_t)max_pairs(r) * sizeof *r->pair_list);
    for (int64_t i = first; i < n_layers && !status; i++) {
        status = add_layer_pairs(r, i, err);
    }
    if (!status && is_listed(c->lora_modules, OUTPUT)) status = add_output_pair(r, err);
    return status;
}

static tnn_status make_weights(tnn_run *r, tnn_error *err) {
    tnn_status status;
    switch ((tnn_recipe)r->config.recipe) {
    case TNN_RECIPE_SCRATCH:
    case TNN_RECIPE_LENS:
        return make_new_body(r, err);
    case TNN_RECIPE_WARM_START:
        return r->config.new_body ? make_new_body(r, err) : load_base(r, true, err);
    case TNN_RECIPE_FULL:
        return load_base(r, true, err);
    case TNN_RECIPE_LORA:
        status = load_base(r, false, err);
        return status ? status : add_pairs(r, err);
    case TNN_RECIPE_COUNT:
        break;
    }
    return tnn__fail(err, TNN_E_ARG, "there is no recipe %" PRId64, r->config.recipe);
}

/* --- trainer --- */

static tnn_status make_trainer(tnn_run *r, tnn_error *err) {
    const tnn_train_config *c = &r->config;
    tnn_trainer_options o = {
        .n_rows = r->batch_rows,
        .optimizer = (tnn_optimizer)c->optimizer,
        .beta1 = (float)c->beta1,
        .beta2 = (float)c->beta2,
        .eps = (float)c->eps,
        .momentum = (float)c->momentum,
        .muon_momentum = (float)c->muon_momentum,
        .weight_decay = (float)c->weight_decay,
        .grad_clip = (float)c->grad_clip,
        .lora_dropout = (float)c->lora_dropout,
        .seed = (uint64_t)c->seed,
        .evaluates = r->valid != NULL,
        .compute_type = (tnn_type)tnn_type_from_name(c->dtype),
        .recompute = c->grad_checkpoint,
        .taps = given(c->tap) ? c->tap : NULL,
    };
    return tnn_trainer_new(&r->trainer, r->session, r->arch, tnn__trained_store(r), &o, err);
}

/* A shape that would not be taken is not left aside silently. */
static tnn_status check_shape(const tnn_train_config *c, tnn_error *err) {
    bool goes_on = c->recipe == TNN_RECIPE_WARM_START && !c->new_body;
    const char *name = goes_on || given(c->like) ? tnn__config_body_setting(c, goes_on ? "" : "like") : NULL;
    if (name && goes_on)
        return tnn__fail(err, TNN_E_ARG, "%s needs new_body: without it, warm-start goes on with the model as it is",
                         name);
    if (name) return tnn__fail(err, TNN_E_ARG, "%s does not go with like, whose shape is taken", name);
    tnn_train_config standard = tnn_train_config_default((tnn_recipe)c->recipe);
    if (!has_gdn(c) && (c->gdn_key_heads || c->gdn_value_heads || c->gdn_head_dim || c->gdn_conv != standard.gdn_conv))
        return tnn__fail(err, TNN_E_ARG,
                         "the settings of gdn layers need some: give layer_kinds, such as gdn,attention");
    return TNN_OK;
}

/* What the pairs of lora are to be. */
static tnn_status check_pairs(const tnn_train_config *c, tnn_error *err) {
    if (c->recipe != TNN_RECIPE_LORA) return TNN_OK;
    if (c->num_layers == 0) return tnn__fail(err, TNN_E_ARG, "num_layers 0 leaves nothing to train; -1 is all layers");
    return check_modules(c->lora_modules, err);
}

/* What can be told before a file is opened. */
static tnn_status check_config(const tnn_train_config *c, tnn_error *err) {
    int32_t compute_type = tnn_type_from_name(c->dtype);
    tnn_status status = tnn__config_check(c, err);
    if (!status) status = check_shape(c, err);
    if (!status) status = check_pairs(c, err);
    if (status) return status;
    if (given(c->data) == given(c->text))
        return tnn__fail(err, TNN_E_ARG, "give either a folder of train.jsonl (data) or a text file (text)");
    if (given(c->data) && given(c->valid_text))
        return tnn__fail(err, TNN_E_ARG, "valid_text goes with text; a folder of data has valid.jsonl");
    if (c->val_batches == 0) return tnn__fail(err, TNN_E_ARG, "val_batches 0: a validation needs some; -1 takes all");
    if (compute_type != TNN_TYPE_F32 && compute_type != TNN_TYPE_BF16)
        return tnn__fail(err, TNN_E_UNSUPPORTED, "dtype %s: training computes in f32 or bf16", c->dtype);
    if (!tnn_type_get_info(tnn_type_from_name(c->save_type))->usable)
        return tnn__fail(err, TNN_E_ARG, "save_type %s is no type of a model's matrices, such as F16, Q8_0 or Q4_K",
                         c->save_type);
    return TNN_OK;
}

/* Steps that were asked for as a number of epochs or a share. */
static tnn_status count_steps(tnn_run *r, tnn_error *err) {
    tnn_train_config *c = &r->config;
    int64_t n_batches = 0;
    for (int64_t epoch = 0; epoch < c->num_epochs; epoch++) {
        n_batches += tnn_dataset_n_batches(r->train, r->batch_rows, epoch);
        if (n_batches > MAX_BATCHES)
            return tnn__fail(err, TNN_E_ARG, "num_epochs %" PRId64 " is too many: they have over %" PRId64 " batches",
                             c->num_epochs, MAX_BATCHES);
    }
    if (c->num_epochs > 0) c->iters = (n_batches - 1) / c->grad_accumulation_steps + 1;
    if (c->warmup_steps == 0) c->warmup_steps = (int64_t)(c->warmup_ratio * (double)c->iters);
    return TNN_OK;
}

/* What would be found out when the training is done: that the result cannot be written so. */
static tnn_status check_save_type(const tnn_run *r, tnn_error *err) {
    const tnn_train_config *c = &r->config;
    int32_t type = tnn_type_from_name(c->save_type);
    for (int64_t i = 0; c->recipe != TNN_RECIPE_LORA && i < tnn_store_count(r->weights); i++) {
        const tnn_tensor *t = tnn_store_at(r->weights, i);
        int64_t n = tnn_tensor_ne(t)[0];
        if (strcmp(tnn_tensor_name(t), "lens.proj.weight") == 0) continue; /* folded into the embedding */
        if (strcmp(tnn_tensor_name(t), "token_embd.weight") == 0) n = tnn_llama_arch_hparams(r->arch)->d_model;
        if (tnn_tensor_ne(t)[1] > 1 && tnn_row_bytes(type, n) == 0)
            return tnn__fail(err, TNN_E_ARG, "save_type %s: rows of %s, %" PRId64 " long, are no whole blocks of it",
                             c->save_type, tnn_tensor_name(t), n);
    }
    return TNN_OK;
}

static tnn_status check_taps(const tnn_run *r, tnn_error *err) {
    if (!given(r->config.tap)) return TNN_OK;
    if (tnn_trainer_n_taps(r->trainer) > 0) return TNN_OK;
    return tnn__fail(err, TNN_E_ARG, "tap %s matches no stage of this model, such as blk.0.resid_post", r->config.tap);
}

static tnn_status check_patience(const tnn_run *r, tnn_error *err) {
    if (r->config.patience == 0 || r->valid) return TNN_OK;
    return tnn__fail(err, TNN_E_ARG, "patience %" PRId64 " needs a validation: give valid.jsonl in data, or valid_text",
                     r->config.patience);
}

static tnn_status set_up(tnn_run *r, tnn_error *err) {
    tnn_status status = check_config(&r->config, err);
    if (!status) status = open_base(r, err);
    if (!status) status = open_vocabulary(r, err);
    if (!status) status = open_data(r, err);
    if (!status) r->hashes.data = hash_of_data(r);
    if (!status) status = check_patience(r, err);
    if (!status) status = count_steps(r, err);
    if (!status) status = make_weights(r, err);
    if (!status) status = check_save_type(r, err);
    if (!status) status = make_trainer(r, err);
    if (!status) status = check_taps(r, err);
    return status;
}

tnn_status tnn_run_new(tnn_run **out, tnn_session *s, const tnn_train_config *config, tnn_error *err) {
    tnn_error unread;
    if (!err) err = &unread;
    *out = NULL;
    tnn_run *r = tnn__calloc(&s->alloc, sizeof *r, TNN__ALIGN);
    if (!r) return tnn__fail_nomem(err, "a run", sizeof *r);
    r->session = s;
    r->config = *config;
    tnn_status status = set_up(r, err);
    if (status) {
        tnn_run_free(r);
        return status;
    }
    *out = r;
    return TNN_OK;
}

void tnn_run_free(tnn_run *r) {
    if (!r) return;
    const tnn_allocator *a = &r->session->alloc;
    tnn_trainer_free(r->trainer);
    tnn_dataset_free(r->train);
    tnn_dataset_free(r->valid);
    if (r->pair_list) tnn__free_array(a, r->pair_list, (size_t)max_pairs(r), sizeof *r->pair_list);
    tnn_llama_arch_free(r->arch);
    tnn_store_free(r->pairs);
    tnn_store_free(r->weights);
    tnn_chat_template_free(r->chat);
    tnn_tokenizer_free(r->tokenizer);
    if (r->vocabulary != r->base) tnn_gguf_close(r->vocabulary);
    tnn_gguf_close(r->base);
    tnn__free(a, r->vocabulary_bytes, r->n_vocabulary_bytes, 1);
    tnn__config_free_owner(r->config_owner);
    tnn__free(a, r, sizeof *r, TNN__ALIGN);
}

const tnn_dataset *tnn_run_data(const tnn_run *r) {
    return r->train;
}

const tnn_tokenizer *tnn_run_tokenizer(const tnn_run *r) {
    return r->tokenizer;
}

/* --- result --- */

const char *tnn__run_result(const tnn_run *r) {
    return r->config.recipe == TNN_RECIPE_LORA ? "adapter.gguf" : "model.gguf";
}

tnn_status tnn__run_export(const tnn_run *r, const char *path, tnn_error *err) {
    const tnn_train_config *c = &r->config;
    if (c->recipe == TNN_RECIPE_LORA) {
        /* llama.cpp divides by the rank: rsLoRA is written as alpha sqrt(rank). */
        float alpha = pair_strength(c) * (float)c->lora_rank;
        return tnn_adapter_save(path, tnn_llama_arch_hparams(r->arch)->arch, r->base, alpha, r->pair_list, r->n_pairs,
                                &r->session->alloc, err);
    }
    int32_t type = tnn_type_from_name(c->save_type);
    bool same_shape = r->base && c->recipe != TNN_RECIPE_LENS && !c->new_body;
    tnn_export_options o = {.like = same_shape ? r->base : NULL, .tokenizer = r->vocabulary, .type = (tnn_type)type};
    return tnn_export_gguf(path, r->arch, r->weights, &o, err);
}
