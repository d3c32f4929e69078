/*
 * The tensor record, shared by everything inside the library. Only src/cpu/ (a backend) follows `data`.
 */
#ifndef TNN_CORE_TENSOR_H
#define TNN_CORE_TENSOR_H

#include <tinynn/ops.h>
#include <tinynn/tensor.h>

typedef enum tnn__op_id {
    TNN__OP_NONE, /* a persistent tensor or an input */
#define TNN__OP(id, name, gradient) TNN__OP_##id,
#include "core/ops.def"
#undef TNN__OP
    TNN__OP_VIEW, /* the same memory under another shape */
    TNN__OP_PART, /* a further result of src[0] */
    TNN__OP_COUNT
} tnn__op_id;

#define TNN__MAX_SRC   8
#define TNN__MAX_PARTS 4

/* What an op needs beside its sources. */
typedef union tnn__op_params {
    struct {
        float eps;
    } rms_norm;
    struct {
        float factor;
    } scale;
    struct {
        uint64_t seed, stream;
        float p;
    } dropout;
    struct {
        tnn_rope_config config;
        bool inverse;
    } rope;
    struct {
        float scale;
        int32_t window;
        bool cached;
    } attention;
    struct {
        int64_t first;
    } slice;
    struct {
        tnn_gdn_decay_form form;
    } gdn_decay;
    struct {
        int64_t d_k, d_v, n_k_heads, n_v_heads;
        tnn_l2_rule norm;
        float norm_eps;
        bool tiled;
        bool packed; /* src[0] holds q, k and v of a row one after the other */
    } gdn;
} tnn__op_params;

struct tnn_tensor {
    tnn_type type;
    int n_dims;
    int64_t ne[TNN_MAX_DIMS];
    size_t bytes;
    const char *name;

    /* persistent */
    tnn_store *store;
    void *data;
    bool borrowed;
    bool shares; /* memory of another tensor of the store */
    bool trainable;

    /* node of a graph */
    tnn_graph *graph;
    int32_t index; /* in order of creation */
    tnn__op_id op;
    int n_src;
    tnn_tensor *src[TNN__MAX_SRC];     /* entries may be NULL: optional sources keep their place */
    tnn_tensor *parts[TNN__MAX_PARTS]; /* further results, or NULL */
    tnn_tensor *view_of;               /* whose memory this is; never itself a view */
    tnn__op_params params;
    bool is_input;
    bool is_output;
    bool is_checkpoint;
};

/* The tensor whose memory t uses: itself unless t is a view. */
static inline const tnn_tensor *tnn__root(const tnn_tensor *t) {
    return t->view_of ? t->view_of : t;
}

static inline bool tnn__is_persistent(const tnn_tensor *t) {
    return t->store != NULL;
}

/* "[576, 12]" into buf; returns buf. */
#define TNN__SHAPE_TEXT 96
const char *tnn__shape_text(const tnn_tensor *t, char buf[TNN__SHAPE_TEXT]);

bool tnn__same_shape(const tnn_tensor *a, const tnn_tensor *b);

/*
 * Fills type, ne and bytes; checks what every tensor must keep: 1..4 dimensions, positive extents, whole blocks along
 * ne[0], a size that fits. False: the record is untouched.
 */
bool tnn__tensor_set_shape(tnn_tensor *t, tnn_type type, int n_dims, const int64_t *ne);

#endif
