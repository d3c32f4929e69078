/* Saving through replaceable system calls, for tests that let them fail. */
#ifndef TNN_ENGINE_CHECKPOINT_H
#define TNN_ENGINE_CHECKPOINT_H

#include <tinynn/checkpoint.h>
#include <tinynn/gguf.h>

#include "base/file.h"

tnn_status tnn__checkpoint_save(const char *path, const tnn_trainer *t, const tnn_checkpoint_state *state,
                                const tnn__file_ops *ops, const tnn_allocator *allocator, tnn_error *err);

/* tnn_file_hash of a GGUF opened from files, all its shards one after the other. */
uint64_t tnn__gguf_hash(const tnn_gguf *g);
uint64_t tnn__checkpoint_bytes(const tnn_trainer *t);

#endif
