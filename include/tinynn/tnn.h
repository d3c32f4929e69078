/* Everything public. */
#ifndef TINYNN_TNN_H
#define TINYNN_TNN_H

#include <tinynn/adapter.h>
#include <tinynn/allocator.h>
#include <tinynn/bpe_trainer.h>
#include <tinynn/chat.h>
#include <tinynn/checkpoint.h>
#include <tinynn/dataset.h>
#include <tinynn/eval.h>
#include <tinynn/export.h>
#include <tinynn/gguf.h>
#include <tinynn/isa.h>
#include <tinynn/llama_arch.h>
#include <tinynn/merge.h>
#include <tinynn/model.h>
#include <tinynn/ops.h>
#include <tinynn/output_file.h>
#include <tinynn/probe.h>
#include <tinynn/quantize.h>
#include <tinynn/sampler.h>
#include <tinynn/seq.h>
#include <tinynn/session.h>
#include <tinynn/status.h>
#include <tinynn/tensor.h>
#include <tinynn/tokenizer.h>
#include <tinynn/train.h>
#include <tinynn/trainer.h>
#include <tinynn/types.h>

#endif
