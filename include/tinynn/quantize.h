/*
 * A GGUF file into one of other types: which type each tensor gets, and the conversion, tensor by tensor.
 *
 * The named mixes give the tensors that suffer most from few bits (the output, attn_v, ffn_down of some layers) more of
 * them, by the rules of llama-quantize, so that a Q4_K_M written here has the same types and bytes as one written there
 * without an importance matrix.
 */
#ifndef TINYNN_QUANTIZE_H
#define TINYNN_QUANTIZE_H

#include <stdbool.h>
#include <stdint.h>

#include <tinynn/gguf.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What can be written: name, number of general.file_type, type of most matrices */
#define TNN_FILE_TYPE_LIST(X)                                                                                          \
    X(F32, 0, F32)                                                                                                     \
    X(F16, 1, F16)                                                                                                     \
    X(BF16, 32, BF16)                                                                                                  \
    X(Q8_0, 7, Q8_0)                                                                                                   \
    X(Q6_K, 18, Q6_K)                                                                                                  \
    X(Q5_K_M, 17, Q5_K)                                                                                                \
    X(Q5_K_S, 16, Q5_K)                                                                                                \
    X(Q5_1, 9, Q5_1)                                                                                                   \
    X(Q5_0, 8, Q5_0)                                                                                                   \
    X(Q4_K_M, 15, Q4_K)                                                                                                \
    X(Q4_K_S, 14, Q4_K)                                                                                                \
    X(Q4_1, 3, Q4_1)                                                                                                   \
    X(Q4_0, 2, Q4_0)                                                                                                   \
    X(IQ4_NL, 25, IQ4_NL)                                                                                              \
    X(IQ4_XS, 30, IQ4_XS)                                                                                              \
    X(MXFP4, 38, MXFP4)                                                                                                \
    X(Q3_K_L, 13, Q3_K)                                                                                                \
    X(Q3_K_M, 12, Q3_K)                                                                                                \
    X(Q3_K_S, 11, Q3_K)                                                                                                \
    X(Q2_K, 10, Q2_K)

typedef enum tnn_file_type {
#define X(name, number, type) TNN_FILE_TYPE_##name = (number),
    TNN_FILE_TYPE_LIST(X)
#undef X
} tnn_file_type;

/* Name of a general.file_type, also of those that cannot be written; NULL for a number that names none. Any thread. */
TNN_API const char *tnn_file_type_name(uint32_t number);
/*
 * One that can be written, from its name, case ignored; Q3_K, Q4_K and Q5_K mean the _M mix. -1 if there is none.
 * tnn_file_type_at lists them in order of size; -1 past the last. Any thread.
 */
TNN_API int32_t tnn_file_type_from_name(const char *name);
TNN_API int32_t tnn_file_type_at(int i);

typedef struct tnn_quantize_step {
    const tnn_gguf_tensor *tensor;    /* as it was */
    int32_t type;                     /* as it will be; the same where it is copied */
    int64_t index, count;             /* in the file */
    uint64_t bytes_done, bytes_total; /* of the input */
} tnn_quantize_step;

typedef struct tnn_quantize_options {
    const tnn_allocator *allocator; /* NULL: the C library's */
    int n_threads;                  /* default 1 */
    bool pure;                      /* every matrix the one type, no mix */
    int32_t output_type;            /* of output.weight; -1 (default): by the rule of the mix */
    int32_t token_embd_type;        /* of token_embd.weight; -1 (default) */
    /* Called before each tensor and every few megabytes within one; false stops (TNN_E_CANCELLED). NULL: none. */
    bool (*on_step)(void *ctx, const tnn_quantize_step *step);
    void *ctx;
} tnn_quantize_options;

TNN_API tnn_quantize_options tnn_quantize_options_default(void);

/*
 * The type each tensor of g would get: types has tnn_gguf_n_tensors(g) places. Vectors, norms and what is too small or
 * too delicate keep theirs; a matrix whose rows are no multiple of the block takes the fallback (Q4_K -> Q5_0, Q5_K ->
 * Q5_1, Q6_K -> Q8_0, Q2_K and Q3_K -> Q4_0, IQ4_XS -> IQ4_NL, then F16). options may be NULL. Any thread.
 * Errors: TNN_E_ARG for a type that cannot be written, TNN_E_NOMEM, TNN_E_FORMAT for metadata of a wrong type.
 */
TNN_API tnn_status tnn_quantize_types(const tnn_gguf *g, tnn_file_type target, const tnn_quantize_options *options,
                                      int32_t *types, tnn_error *err);

typedef struct tnn_quantize_result {
    int64_t n_converted, n_copied; /* tensors */
    int64_t n_fallback;            /* of the converted: rows that did not fit the wanted type */
    int64_t n_requantized;         /* of the converted: were quantised before, so their error adds up */
    uint64_t bytes_in, bytes_out;  /* tensor data */
} tnn_quantize_result;

/*
 * Writes path (atomically) with every key of g, except those of a split, and every tensor in the order of g.
 * general.file_type and general.quantization_version are set. Each tensor is read and written once, a few megabytes at
 * a time. options and result may be NULL. On failure no file is left.
 * Errors: those of tnn_quantize_types; TNN_E_UNSUPPORTED for a tensor whose type cannot be converted; TNN_E_RANGE for a
 * value that is not finite or does not fit (tensor and row are named); TNN_E_IO, TNN_E_NOMEM, TNN_E_CANCELLED.
 */
TNN_API tnn_status tnn_quantize_file(const tnn_gguf *g, const char *path, tnn_file_type target,
                                     const tnn_quantize_options *options, tnn_quantize_result *result, tnn_error *err);

#ifdef __cplusplus
}
#endif
#endif
