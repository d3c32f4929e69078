/*
 * LoRA adapters as GGUF files in the form llama.cpp loads (general.type = adapter): pairs beside a model's linears.
 */
#ifndef TINYNN_ADAPTER_H
#define TINYNN_ADAPTER_H

#include <tinynn/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Puts the pairs of an adapter file beside the linears of m, for every sequence made from then on; several adapters add
 * up. The strength of a pair is scale * alpha / rank, or scale alone where the file has no alpha. Tensors are copied to
 * F32. Errors name the tensor: E_FORMAT for a file that is no adapter or a pair with a half missing, E_NOTFOUND for one
 * that fits no linear, E_SHAPE, E_UNSUPPORTED for another architecture or kind of adapter; m is then to be freed. An
 * adapter that names its base and was trained over other weights than m's goes on, with a warning to the session's log.
 */
TNN_API tnn_status tnn_model_add_adapter(tnn_model *m, const char *path, float scale, tnn_error *err);

/* A pair to be written: the base tensor's GGUF name, A [in, r] and B [r, out], F32. */
typedef struct tnn_adapter_pair {
    const char *name;
    const tnn_tensor *a;
    const tnn_tensor *b;
} tnn_adapter_pair;

/*
 * Writes an adapter, atomically. alpha as users give it: the strength is alpha / rank. base: the file of the model that
 * the pairs were trained over, whose name and norms are noted so that another model can be told; NULL: nothing is.
 * E_ARG for a pair without its name or a half.
 */
TNN_API tnn_status tnn_adapter_save(const char *path, const char *arch, const tnn_gguf *base, float alpha,
                                    const tnn_adapter_pair *pairs, int64_t n, const tnn_allocator *allocator,
                                    tnn_error *err);

#ifdef __cplusplus
}
#endif
#endif
