/* The graph record and what op builders use to append nodes. */
#ifndef TNN_CORE_GRAPH_H
#define TNN_CORE_GRAPH_H

#include "base/arena.h"
#include "base/error.h"
#include "core/session.h"
#include "core/tensor.h"

struct tnn_graph {
    tnn_session *session;
    tnn__arena arena;   /* nodes, names */
    tnn_tensor **nodes; /* in order of creation, sources first */
    int64_t n_nodes;
    int64_t cap_nodes;
    tnn_tensor **outputs;
    int64_t n_outputs;
    int64_t cap_outputs;
    tnn_tensor **effects; /* nodes that are needed for what they do to persistent tensors */
    int64_t n_effects;
    int64_t cap_effects;
    tnn_graph_mode mode;
    bool bf16;       /* operands of products with weights are rounded to BF16 */
    tnn_error error; /* the first one */
};

/* The type of activations: F32, or F64 in CHECK mode. */
static inline tnn_type tnn__real_type(const tnn_graph *g) {
    return g->mode == TNN_GRAPH_CHECK ? TNN_TYPE_F64 : TNN_TYPE_F32;
}

/* Latches the first error; always returns NULL, for builders to return. */
tnn_tensor *tnn__graph_error(tnn_graph *g, tnn_status status, const char *fmt, ...) TNN__PRINTF(3, 4);

/* True when the graph is NULL or failed, or one of the n tensors is NULL: the builder returns NULL at once. */
bool tnn__graph_skip(const tnn_graph *g, int n, const tnn_tensor *const *required);

/* Appends a node with result type and shape; src entries may be NULL. NULL after latching an error. */
tnn_tensor *tnn__graph_node(tnn_graph *g, tnn__op_id op, tnn_type type, int n_dims, const int64_t *ne, int n_src,
                            tnn_tensor *const *src);
/* Appends a node that is src[0]'s memory under another shape (OP_VIEW), or an op that changes src[0] in place. */
tnn_tensor *tnn__graph_alias(tnn_graph *g, tnn__op_id op, int n_dims, const int64_t *ne, int n_src,
                             tnn_tensor *const *src);

/* A further result of node, in the next free place of its parts, or in place i. */
tnn_tensor *tnn__graph_part(tnn_graph *g, tnn_tensor *node, int n_dims, const int64_t *ne);
tnn_tensor *tnn__graph_part_at(tnn_graph *g, tnn_tensor *node, int i, int n_dims, const int64_t *ne);
/* Keeps a node that changes a persistent tensor although no output depends on it; returns it. */
tnn_tensor *tnn__graph_effect(tnn_graph *g, tnn_tensor *node);
/* A copy of a node over other sources; a part is joined to its copied node. */
tnn_tensor *tnn__graph_clone(tnn_graph *g, const tnn_tensor *node, tnn_tensor *const *src);

/* Name, gradient rule or the reason why there is none. */
typedef struct tnn__backward tnn__backward;
typedef void tnn__grad_fn(tnn__backward *b, const tnn_tensor *node, tnn_tensor *grad);
typedef struct tnn__op_info {
    const char *name;
    tnn__grad_fn *grad;
    const char *no_grad;
} tnn__op_info;

#endif
