/* What tests need of a GGUF writer beyond the public calls. */
#ifndef TNN_GGUF_WRITER_H
#define TNN_GGUF_WRITER_H

#include <tinynn/gguf.h>

#include "base/file.h"

/* Replaces the system calls of the save; before tnn_gguf_writer_begin. ops must outlive the writer. */
void tnn__gguf_writer_set_file_ops(tnn_gguf_writer *w, const tnn__file_ops *ops);

#endif
