/* Writing a file tensor by tensor in given types, with the rows of some changed on the way. */
#ifndef TNN_ENGINE_QUANTIZE_H
#define TNN_ENGINE_QUANTIZE_H

#include <tinynn/quantize.h>

typedef struct tnn__conversion {
    const tnn_gguf *g;
    const int32_t *types; /* of each tensor */
    int32_t file_type;    /* for general.file_type; -1: as g has it */
    int64_t n_fallback;   /* for the result */
    const tnn_quantize_options *options;
    /* Called before each tensor: whether its rows pass through edit_row. NULL: none do. */
    tnn_status (*begin_tensor)(void *ctx, const tnn_gguf_tensor *t, bool *edited, tnn_error *err);
    /* Changes a row in place; called from several threads. */
    void (*edit_row)(const void *ctx, int64_t row, float *values);
    void *ctx;
} tnn__conversion;

/* Errors and result as tnn_quantize_file's. */
tnn_status tnn__convert_file(const tnn__conversion *c, const char *path, tnn_quantize_result *result, tnn_error *err);

#endif
