/* The model record. */
#ifndef TNN_ENGINE_MODEL_H
#define TNN_ENGINE_MODEL_H

#include <tinynn/model.h>

#include "base/alloc.h"
#include "core/session.h"

struct tnn_model {
    tnn_session *session;
    tnn_gguf *gguf;
    tnn_store *weights;
    tnn_store *adapters; /* low-rank pairs, or NULL */
    int n_adapters;
    tnn_llama_arch *arch;
    tnn_tokenizer *tokenizer; /* NULL: ids only */
};

/*
 * A number that tells models apart: names, types, shapes and the first bytes of all tensors, numbers that change the
 * forward, adapters and their strength. It does not read whole weights.
 */
tnn_status tnn__model_fingerprint(const tnn_model *m, uint64_t *out, tnn_error *err);

#endif
