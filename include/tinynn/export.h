/*
 * Writing a trained architecture as an ordinary GGUF model.
 */
#ifndef TINYNN_EXPORT_H
#define TINYNN_EXPORT_H

#include <tinynn/llama_arch.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tnn_export_options {
    const char *name; /* general.name; NULL: what like has, or none */
    const tnn_gguf
        *like; /* a model of the same shape: all its metadata is kept; NULL: written from the hyperparameters */
    const tnn_gguf *tokenizer; /* where tokenizer.* comes from when like is NULL; NULL: a model that takes ids only */
    tnn_type type;             /* of matrices: F32, F16, BF16 or a block type their rows fit; others stay F32 */
} tnn_export_options;

/*
 * Writes arch with the weights in st, all F32, to path, atomically. A projection lens is folded into the embedding, so
 * that the file is an ordinary model; a head that shared the embedding becomes output.weight. Errors: as
 * tnn_gguf_writer; E_ARG for a type whose blocks the rows do not fit, or that is not usable; E_UNSUPPORTED for weights
 * that are not F32.
 */
TNN_API tnn_status tnn_export_gguf(const char *path, const tnn_llama_arch *arch, const tnn_store *st,
                                   const tnn_export_options *options, tnn_error *err);

#ifdef __cplusplus
}
#endif
#endif
