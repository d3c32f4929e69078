/*
 * Tensors, stores, graphs, plans.
 *
 * A tensor has up to four dimensions ne[0..3]; ne[0] is contiguous and fastest (the GGUF order, the reverse of
 * numpy's). Persistent tensors (weights, caches) live in a store; everything else is a node of a graph and gets its
 * place in one workspace when the graph is planned. The life of a computation: build a graph once for a shape, plan it,
 * run the plan as often as wanted; running allocates nothing.
 */
#ifndef TINYNN_TENSOR_H
#define TINYNN_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/session.h>
#include <tinynn/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TNN_MAX_DIMS 4

typedef struct tnn_tensor tnn_tensor;
typedef struct tnn_store tnn_store;
typedef struct tnn_graph tnn_graph;
typedef struct tnn_plan tnn_plan;

/* Lives as long as its store or graph. The returned ne has TNN_MAX_DIMS entries, 1 beyond the last dimension. */
TNN_API tnn_type tnn_tensor_type(const tnn_tensor *t);
TNN_API const int64_t *tnn_tensor_ne(const tnn_tensor *t);
TNN_API const char *tnn_tensor_name(const tnn_tensor *t); /* "" if unnamed */
TNN_API int64_t tnn_tensor_elements(const tnn_tensor *t);
TNN_API size_t tnn_tensor_bytes(const tnn_tensor *t);

/* --- store: persistent tensors with one lifetime --- */

TNN_API tnn_status tnn_store_new(tnn_store **out, tnn_session *s, tnn_error *err);
TNN_API void tnn_store_free(tnn_store *st); /* NULL is allowed; graphs that use its tensors must not run afterwards */

/*
 * A tensor with zeroed memory of its own. n_dims 1..4, ne > 0, ne[0] a multiple of the type's block size.
 * name is copied and must be unique in the store unless empty. NULL on failure (err says why). Pages are touched on
 * first use, so a large cache costs what is used of it.
 */
TNN_API tnn_tensor *tnn_store_tensor(tnn_store *st, const char *name, tnn_type type, int n_dims, const int64_t *ne,
                                     tnn_error *err);
/* A read-only tensor over memory the caller keeps alive (a mapped file): nothing is copied, any alignment. */
TNN_API tnn_tensor *tnn_store_borrow(tnn_store *st, const char *name, tnn_type type, int n_dims, const int64_t *ne,
                                     const void *data, tnn_error *err);
/*
 * A part of an owned tensor of the same store under a name and shape of its own, `offset` bytes in (a multiple of 64).
 * It shares memory: one graph must not use both. Many gradients then lie in one piece of memory, in the order of their
 * parameters.
 */
TNN_API tnn_tensor *tnn_store_view(tnn_store *st, const char *name, tnn_tensor *base, size_t offset, tnn_type type,
                                   int n_dims, const int64_t *ne, tnn_error *err);
TNN_API tnn_tensor *tnn_store_find(const tnn_store *st, const char *name); /* NULL if absent */
TNN_API int64_t tnn_store_count(const tnn_store *st);
TNN_API tnn_tensor *tnn_store_at(const tnn_store *st, int64_t i); /* in order of creation; NULL out of range */
/* Bytes owned by the store (borrowed ones not counted). */
TNN_API size_t tnn_store_bytes(const tnn_store *st);

/* Whether a trainer is to change this tensor. False at first; a borrowed tensor stays frozen. */
TNN_API void tnn_tensor_set_trainable(tnn_tensor *t, bool trainable);
TNN_API bool tnn_tensor_trainable(const tnn_tensor *t);

/* Copies n bytes in or out at a byte offset of a persistent tensor. E_RANGE past the end, E_STATE writing a borrowed
 * one. */
TNN_API tnn_status tnn_tensor_write(tnn_tensor *t, size_t offset, const void *data, size_t n, tnn_error *err);
TNN_API tnn_status tnn_tensor_read(const tnn_tensor *t, size_t offset, void *data, size_t n, tnn_error *err);

/* --- graph --- */

TNN_API tnn_status tnn_graph_new(tnn_graph **out, tnn_session *s, tnn_error *err);
TNN_API void tnn_graph_free(tnn_graph *g); /* NULL is allowed; its plans must have been freed */

/*
 * What a graph is for, chosen before its first node. INFER: activations meet quantised weights in int8. TRAIN: they
 * stay F32 and quantised weights are dequantised in panels, so that gradients are those of what was computed. CHECK:
 * all activations are F64, on reference kernels; for gradient checks. E_STATE once there are nodes, E_ARG for no mode.
 */
typedef enum tnn_graph_mode { TNN_GRAPH_INFER, TNN_GRAPH_TRAIN, TNN_GRAPH_CHECK } tnn_graph_mode;
TNN_API tnn_status tnn_graph_set_mode(tnn_graph *g, tnn_graph_mode mode, tnn_error *err);
/*
 * What products with weights multiply, forward and back: F32, as it is at first, or in TRAIN mode BF16: both operands
 * are rounded to nearest even, sums stay F32, and so does everything that is no such product (norms, attention, loss,
 * gradients of weights). Set after the mode, which sets it back to F32. E_STATE once there are nodes, E_UNSUPPORTED for
 * anything else.
 */
TNN_API tnn_status tnn_graph_set_compute_type(tnn_graph *g, tnn_type type, tnn_error *err);

/*
 * The first error of any builder call on this graph (ops.h); TNN_OK while there is none. Builders return NULL after an
 * error and accept NULL tensors, so model code needs no checks between calls.
 */
TNN_API tnn_status tnn_graph_status(const tnn_graph *g, tnn_error *err);
/* Latches an error found by the caller (a layer kind that is unknown, say). */
TNN_API void tnn_graph_fail(tnn_graph *g, tnn_status status, const char *text);

/* A value the caller supplies before each run (token ids, positions). name may be NULL: none. */
TNN_API tnn_tensor *tnn_input(tnn_graph *g, const char *name, tnn_type type, int n_dims, const int64_t *ne);
/* Keeps t readable after a run, under a name (a tap), NULL: none; returns t. */
TNN_API tnn_tensor *tnn_output(tnn_graph *g, tnn_tensor *t, const char *name);
TNN_API int64_t tnn_graph_n_outputs(const tnn_graph *g);
TNN_API tnn_tensor *tnn_graph_output_at(const tnn_graph *g, int64_t i);

/*
 * Marks x as kept for the way back: what lies between two marks is computed again when its gradients are taken, instead
 * of being stored. Returns x.
 */
TNN_API tnn_tensor *tnn_checkpoint(tnn_graph *g, tnn_tensor *x);

/* A trained tensor and where its gradient is added: persistent, of one shape, grad F32 (F64 in CHECK mode). */
typedef struct tnn_param {
    tnn_tensor *value;
    tnn_tensor *grad;
} tnn_param;

/* Where differentiation starts. grad is d(loss)/d(output), of its shape; NULL for a loss node (tnn_linear_xent). */
typedef struct tnn_seed {
    tnn_tensor *output;
    tnn_tensor *grad;
} tnn_seed;

/*
 * Appends to g what adds the gradients of all seeds into params[i].grad (which is not zeroed). Reverse-mode
 * differentiation; every rule emits ordinary nodes. Not in INFER mode (E_STATE). An op without a rule between a seed
 * and a parameter is E_UNSUPPORTED and names the reason. The arrays are not kept. Errors latch in the graph as well.
 */
TNN_API tnn_status tnn_graph_backward(tnn_graph *g, const tnn_seed *seeds, int64_t n_seeds, const tnn_param *params,
                                      int64_t n_params, tnn_error *err);

/* --- plan --- */

/*
 * Lays out all memory and the order of work for the outputs of g; nodes no output or effect needs are dropped.
 * Allocates only the plan's records, not the workspace. Returns the graph's latched error if there is one.
 */
TNN_API tnn_status tnn_graph_plan(tnn_plan **out, tnn_graph *g, tnn_error *err);
TNN_API void tnn_plan_free(tnn_plan *p); /* NULL is allowed */
/* Bytes of workspace a run takes, scratch of all threads included. Known before anything is allocated. */
TNN_API size_t tnn_plan_bytes(const tnn_plan *p);
/* Takes the workspace. Implied by the first set or run. */
TNN_API tnn_status tnn_plan_reserve(tnn_plan *p, tnn_error *err);

/* Sets an input (whole). n must be tnn_tensor_bytes(t). */
TNN_API tnn_status tnn_plan_set(tnn_plan *p, tnn_tensor *input, const void *data, size_t n, tnn_error *err);
TNN_API tnn_status tnn_plan_run(tnn_plan *p, tnn_error *err);
/* Memory of an output after a run; valid until the next run or free. NULL if t is not an output of this plan. */
TNN_API const void *tnn_plan_data(const tnn_plan *p, const tnn_tensor *t);

#ifdef __cplusplus
}
#endif
#endif
