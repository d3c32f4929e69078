/* The choice of types, with what the driver reports about it. */
#ifndef TNN_ENGINE_QUANTIZE_MIX_H
#define TNN_ENGINE_QUANTIZE_MIX_H

#include <tinynn/quantize.h>

/* tnn_quantize_types; *n_fallback gets the number of matrices whose rows did not fit the wanted type. */
tnn_status tnn__quantize_types(const tnn_gguf *g, tnn_file_type target, const tnn_quantize_options *options,
                               int32_t *types, int64_t *n_fallback, tnn_error *err);

#endif
