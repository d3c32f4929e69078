/* A model: file, architecture, weights, tokenizer, loaded together and read-only afterwards. */
#include "engine/model.h"

#include <string.h>

#include "base/checksum.h"
#include "llm/archs/llama_arch.h"

tnn_model_options tnn_model_options_default(void) {
    return (tnn_model_options){.use_mmap = true};
}

static tnn_status load_arch(tnn_model *m, tnn_error *err) {
    tnn_llama_hparams hp;
    tnn_status status = tnn_llama_hparams_from_gguf(&hp, m->gguf, err);
    if (!status) status = tnn_llama_arch_new(&m->arch, m->session, &hp, err);
    if (!status) status = tnn_llama_arch_seed_from_gguf(m->arch, m->gguf, err);
    if (!status) status = tnn_store_new(&m->weights, m->session, err);
    if (!status) status = tnn_llama_arch_load_globals_from_gguf_mmap(m->arch, m->weights, m->gguf, err);
    if (!status) status = tnn_llama_arch_load_blocks_from_gguf_mmap(m->arch, m->weights, m->gguf, err);
    return status;
}

tnn_status tnn_model_load(tnn_model **out, tnn_session *s, const char *path, const tnn_model_options *options,
                          tnn_error *err) {
    *out = NULL;
    tnn_model_options defaults = tnn_model_options_default();
    if (!options) options = &defaults;
    tnn_model *m = tnn__calloc(&s->alloc, sizeof *m, TNN__ALIGN);
    if (!m) return tnn__fail_nomem(err, "a model", sizeof *m);
    m->session = s;
    tnn_gguf_open_options open = tnn_gguf_open_options_default();
    open.allocator = &s->alloc;
    open.use_mmap = options->use_mmap;
    tnn_status status = tnn_gguf_open(&m->gguf, path, &open, err);
    if (!status) status = load_arch(m, err);
    if (!status) {
        tnn_error absent;
        status = tnn_tokenizer_new(&m->tokenizer, m->gguf, &s->alloc, &absent);
        if (status == TNN_E_NOTFOUND) {
            status = TNN_OK;
        } else if (status && err) {
            *err = absent;
        }
    }
    if (status) {
        tnn_model_free(m);
        return status;
    }
    *out = m;
    return TNN_OK;
}

void tnn_model_free(tnn_model *m) {
    if (!m) return;
    tnn_tokenizer_free(m->tokenizer);
    tnn_llama_arch_free(m->arch);
    tnn_store_free(m->adapters);
    tnn_store_free(m->weights);
    tnn_gguf_close(m->gguf);
    tnn__free(&m->session->alloc, m, sizeof *m, TNN__ALIGN);
}

tnn_session *tnn_model_session(const tnn_model *m) {
    return m->session;
}

const tnn_llama_hparams *tnn_model_hparams(const tnn_model *m) {
    return tnn_llama_arch_hparams(m->arch);
}

const tnn_llama_arch *tnn_model_arch(const tnn_model *m) {
    return m->arch;
}

const tnn_gguf *tnn_model_gguf(const tnn_model *m) {
    return m->gguf;
}

const tnn_store *tnn_model_weights(const tnn_model *m) {
    return m->weights;
}

const tnn_tokenizer *tnn_model_tokenizer(const tnn_model *m) {
    return m->tokenizer;
}

int64_t tnn_model_n_params(const tnn_model *m) {
    int64_t n = 0;
    for (int64_t i = 0; i < tnn_store_count(m->weights); i++) {
        n += tnn_tensor_elements(tnn_store_at(m->weights, i));
    }
    return n;
}

/* --- fingerprint --- */

#define SAMPLE ((size_t)4096)

static tnn_status add_tensors(tnn__checksum *sum, const tnn_store *st, tnn_error *err) {
    uint8_t sample[SAMPLE];
    tnn_status status = TNN_OK;
    for (int64_t i = 0; st && i < tnn_store_count(st) && !status; i++) {
        const tnn_tensor *t = tnn_store_at(st, i);
        int32_t type = (int32_t)tnn_tensor_type(t);
        size_t n = tnn_tensor_bytes(t) < SAMPLE ? tnn_tensor_bytes(t) : SAMPLE;
        status = tnn_tensor_read(t, 0, sample, n, err);
        tnn__checksum_add(sum, tnn_tensor_name(t), strlen(tnn_tensor_name(t)) + 1);
        tnn__checksum_add(sum, &type, sizeof type);
        tnn__checksum_add(sum, tnn_tensor_ne(t), TNN_MAX_DIMS * sizeof(int64_t));
        if (!status) tnn__checksum_add(sum, sample, n);
    }
    return status;
}

static void add_strengths_of(tnn__checksum *sum, const tnn__linear *l) {
    for (const tnn__lora *pair = l ? l->lora : NULL; pair; pair = pair->next) {
        tnn__checksum_add(sum, &pair->scale, sizeof pair->scale);
    }
}

static void add_strengths(tnn__checksum *sum, const tnn_llama_arch *a) {
    for (int64_t layer = 0; layer < a->n_layers; layer++) {
        for (int i = 0; i < TNN__N_LAYER_LINEARS; i++) {
            add_strengths_of(sum, tnn__layer_linear_at(a, layer, (tnn__layer_linear)i));
        }
    }
    add_strengths_of(sum, &a->output);
}

tnn_status tnn__model_fingerprint(const tnn_model *m, uint64_t *out, tnn_error *err) {
    const tnn_llama_hparams *hp = tnn_model_hparams(m);
    const tnn_rope_config *rope = &hp->rope;
    const float numbers[] = {hp->rms_eps,        hp->attn_scale,     rope->freq_base,           rope->freq_scale,
                             rope->ext_factor,   rope->attn_factor,  rope->beta_fast,           rope->beta_slow,
                             (float)rope->n_rot, (float)hp->n_heads, (float)hp->gdn.n_key_heads};
    tnn__checksum sum = tnn__checksum_begin();
    tnn__checksum_add(&sum, hp->arch, sizeof hp->arch);
    tnn__checksum_add(&sum, numbers, sizeof numbers);
    tnn_status status = add_tensors(&sum, m->weights, err);
    if (!status) status = add_tensors(&sum, m->adapters, err);
    add_strengths(&sum, m->arch);
    *out = tnn__checksum_end(&sum);
    return status;
}
