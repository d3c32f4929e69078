/* kv_append: rows [d, K, T] into a cache [d, capacity, K, slots], in place */
#include "ops/op.h"

static bool is_cache_type(tnn_type type) {
    return type == TNN_TYPE_F32 || type == TNN_TYPE_F16 || type == TNN_TYPE_BF16 || type == TNN_TYPE_Q8_0;
}

tnn_tensor *tnn_kv_append(tnn_graph *g, tnn_tensor *cache, tnn_tensor *x, tnn_tensor *positions, tnn_tensor *slots) {
    if (tnn__graph_skip(g, 3, (const tnn_tensor *const[]){cache, x, positions})) return NULL;
    if (!tnn__is_persistent(cache) || cache->borrowed || cache->n_dims != 4 || !is_cache_type(cache->type)) {
        return tnn__shape_error(g, "kv_append",
                                "the cache must be an owned F32, F16, BF16 or Q8_0 [d, capacity, K, slots]", cache,
                                NULL);
    }
    if (x->type != TNN_TYPE_F32 || x->n_dims != 3 || x->ne[0] != cache->ne[0] || x->ne[1] != cache->ne[2]) {
        return tnn__shape_error(g, "kv_append", "F32 x [d, K, T] must fit the cache [d, capacity, K, slots]", x, cache);
    }
    if (!tnn__is_index(positions, x->ne[2]) || !positions->is_input ||
        (slots && (!tnn__is_index(slots, x->ne[2]) || !slots->is_input))) {
        return tnn__shape_error(g, "kv_append", "positions and slots must be I32 [T] inputs", positions, slots);
    }
    return tnn__graph_alias(g, TNN__OP_KV_APPEND, cache->n_dims, cache->ne, 4,
                            (tnn_tensor *const[]){cache, x, positions, slots});
}
