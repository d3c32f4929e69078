/* A model: file, architecture, weights, tokenizer, loaded together and read-only afterwards. */
#include "engine/model.h"

tnn_model_options tnn_model_options_default(void) {
    return (tnn_model_options){.use_mmap = true};
}

static tnn_status load_arch(tnn_model *m, tnn_error *err) {
    tnn_llama_hparams hp;
    tnn_status status = tnn_llama_hparams_from_gguf(&hp, m->gguf, err);
    if (!status) status = tnn_llama_arch_new(&m->arch, m->session, &hp, err);
    if (!status) status = tnn_llama_arch_seed_blocks(m->arch, hp.n_layers, err);
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
