/* What a chat template holds, for the files that build it and render with it. */
#ifndef TNN_TEXT_CHAT_TEMPLATE_H
#define TNN_TEXT_CHAT_TEMPLATE_H

#include <tinynn/chat.h>

#include "base/arena.h"
#include "text/chat_formats.h"

struct tnn_chat_template {
    tnn_allocator alloc;
    tnn__arena arena; /* of the texts below */
    const tnn__chat_format *format;
    tnn_gguf_str eos;
    tnn_gguf_str default_system;    /* where the first message is no system message */
    tnn_gguf_str preamble;          /* of the system message, which is there even if empty */
    bool smollm3;                   /* "/think" and "/no_think" in the first system message choose the mode: */
    tnn_gguf_str unthinking_system; /* its default_system with "/no_think" */
};

#endif
