/*
 * A model: one GGUF opened, checked and bound to an architecture, with its tokenizer and chat template. Read-only once
 * loaded; many sequences of its session share it.
 */
#ifndef TINYNN_MODEL_H
#define TINYNN_MODEL_H

#include <tinynn/gguf.h>
#include <tinynn/llama_arch.h>
#include <tinynn/session.h>
#include <tinynn/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tnn_model tnn_model;

typedef struct tnn_model_options {
    bool use_mmap; /* default true; false reads the file into memory */
} tnn_model_options;

TNN_API tnn_model_options tnn_model_options_default(void);

/*
 * Opens PATH. options may be NULL. On success *out is the caller's (tnn_model_free, before the session); on failure
 * NULL. Errors name the key, tensor, shape or type that does not fit: E_UNSUPPORTED for an architecture or block type
 * tinynn cannot run, E_SHAPE for a tensor that contradicts the hyperparameters.
 */
TNN_API tnn_status tnn_model_load(tnn_model **out, tnn_session *s, const char *path, const tnn_model_options *options,
                                  tnn_error *err);
TNN_API void tnn_model_free(tnn_model *m); /* NULL is allowed */

TNN_API tnn_session *tnn_model_session(const tnn_model *m);
TNN_API const tnn_llama_hparams *tnn_model_hparams(const tnn_model *m);
TNN_API const tnn_llama_arch *tnn_model_arch(const tnn_model *m);
TNN_API const tnn_gguf *tnn_model_gguf(const tnn_model *m);
TNN_API const tnn_store *tnn_model_weights(const tnn_model *m);
/* NULL when the file carries no tokenizer. */
TNN_API const tnn_tokenizer *tnn_model_tokenizer(const tnn_model *m);
TNN_API int64_t tnn_model_n_params(const tnn_model *m);

#ifdef __cplusplus
}
#endif
#endif
