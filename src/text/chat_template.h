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
    tnn_gguf_str default_system; /* where the first message is no system message */
    tnn_gguf_str preamble;       /* of the system message, which is there even if empty */
    bool trims;                  /* every content, whatever the format does */

    /* What stands behind a generation prompt: by default, for the model to think, for it not to. May be empty. */
    tnn_gguf_str thought, thinking, unthinking;
    bool drops_thoughts;     /* of answers before the user's last message */
    bool drops_lines;        /* the empty ones behind a thought, with it */
    bool shows_last_thought; /* an answer behind it begins with its thought, `unthinking` where it has none */

    bool smollm3;                   /* "/think" and "/no_think" in the first system message choose, for all answers: */
    tnn_gguf_str unthinking_system; /* default_system with "/no_think" */
};

#endif
