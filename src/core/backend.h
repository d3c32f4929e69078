/*
 * What a backend is: memory for persistent tensors, and programs made from graphs. Models and recipes never see it.
 */
#ifndef TNN_CORE_BACKEND_H
#define TNN_CORE_BACKEND_H

#include "core/tensor.h"

typedef struct tnn__backend tnn__backend;
typedef struct tnn__program tnn__program;

typedef struct tnn__backend_ops {
    void (*free)(tnn__backend *b);
    int (*threads)(const tnn__backend *b);
    tnn_isa (*isa)(const tnn__backend *b);

    /* Persistent memory, zeroed; the pointer means something to this backend only. */
    void *(*buffer_alloc)(tnn__backend *b, size_t bytes);
    void (*buffer_free)(tnn__backend *b, void *data, size_t bytes);
    void (*upload)(tnn__backend *b, void *data, size_t offset, const void *src, size_t n);
    void (*download)(tnn__backend *b, const void *data, size_t offset, void *dst, size_t n);

    /* A program for the nodes, in order; n_nodes are those that outputs need. Lays out memory, takes none for data. */
    tnn_status (*compile)(tnn__backend *b, const tnn_graph *g, tnn_tensor *const *nodes, int64_t n_nodes,
                          tnn__program **out, tnn_error *err);
    void (*program_free)(tnn__program *p);
    size_t (*program_bytes)(const tnn__program *p);
    tnn_status (*program_reserve)(tnn__program *p, tnn_error *err);
    /* Host memory of an input or output once reserved; NULL if the tensor is neither. */
    void *(*program_data)(const tnn__program *p, const tnn_tensor *t);
    tnn_status (*program_run)(tnn__program *p, tnn_error *err);
} tnn__backend_ops;

struct tnn__backend {
    const tnn__backend_ops *ops;
};

#endif
