/*
 * Conversations as a model was taught them. A file carries its chat template as Jinja text; tinynn recognises the
 * family from that text and renders it with rules of its own, so no template can run anything.
 *
 * A rendered conversation knows which bytes are template and which are message content: contents never become control
 * tokens, whatever they say. It also knows which bytes are the assistant's answers, end-of-turn token included, which
 * is what training has a loss on and what generation continues.
 */
#ifndef TINYNN_CHAT_H
#define TINYNN_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tinynn/allocator.h>
#include <tinynn/gguf.h>
#include <tinynn/status.h>
#include <tinynn/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tnn_chat_template tnn_chat_template; /* immutable: any thread */

/*
 * The template of g, or, where name is not NULL, the one called that ("chatml", "llama3", ...) or the Jinja text given
 * in its place. A file without a template whose vocabulary has the ChatML tokens is taken for ChatML. g may be closed
 * afterwards. On failure *out is NULL. Errors: TNN_E_NOTFOUND (no template in the file), TNN_E_UNSUPPORTED (a template
 * that is not recognised, or recognised and not rendered by tinynn; names --chat-template), TNN_E_NOMEM.
 */
TNN_API tnn_status tnn_chat_template_new(tnn_chat_template **out, const tnn_gguf *g, const char *name,
                                         const tnn_allocator *allocator, tnn_error *err);
TNN_API void tnn_chat_template_free(tnn_chat_template *c); /* NULL is allowed */

TNN_API const char *tnn_chat_template_name(const tnn_chat_template *c);
/* The system message the model's own template puts in when the first message is not one; empty if none. Lent. */
TNN_API tnn_gguf_str tnn_chat_template_default_system(const tnn_chat_template *c);
/* Names that can be forced, in order; NULL past the last. */
TNN_API const char *tnn_chat_template_known(int i);

typedef struct tnn_chat_message {
    const char *role; /* "system", "user", "assistant", ...: letters, digits, '_' and '-' */
    const char *content;
    size_t content_size;
    bool not_learned; /* an answer that is there as context only: tnn_chat_encode does not mark it */
} tnn_chat_message;

/* What the generation prompt asks of a model whose template has thoughts, between "<think>" and "</think>". */
typedef enum tnn_chat_thinking {
    TNN_CHAT_THINKING_DEFAULT, /* what the template does by itself */
    TNN_CHAT_THINKING_ON,
    TNN_CHAT_THINKING_OFF, /* the answer follows an empty thought */
} tnn_chat_thinking;

typedef struct tnn_chat_options {
    bool generation_prompt;     /* end with what opens the assistant's answer */
    bool after_last_answer;     /* only what follows the last answer: extends a context that already holds the rest */
    const char *default_system; /* instead of the template's own; "" for none; NULL: the template's own */
    const char
        *answer_prefix; /* put behind the generation prompt as template text, instead of any thought; NULL: none */
    tnn_chat_thinking thinking;
} tnn_chat_options;

TNN_API tnn_chat_options tnn_chat_options_default(void); /* generation prompt, the template's own system message */

enum {
    TNN_CHAT_CONTENT = 1,     /* bytes of a message; otherwise the template's */
    TNN_CHAT_ANSWER = 2,      /* of an assistant's answer: content, what the template puts before it, and end of turn */
    TNN_CHAT_NOT_LEARNED = 4, /* beside TNN_CHAT_ANSWER: of a message that is not_learned */
};

typedef struct tnn_chat_span {
    size_t begin, end; /* bytes of the text */
    unsigned flags;
} tnn_chat_span;

/* A zeroed one is empty and valid; the allocator rule is that of tnn_text. */
typedef struct tnn_chat_rendering {
    tnn_text text;
    tnn_chat_span *spans; /* cover the text in order, none empty */
    size_t n_spans, span_capacity;
} tnn_chat_rendering;

TNN_API void tnn_chat_rendering_free(tnn_chat_rendering *r); /* leaves it empty and usable */

/*
 * Renders n messages into r, which is emptied first. Ordinary BOS and EOS tokens are the tokenizer's business and not
 * in the text. Where the model's own template does so (Qwen3, Qwen3.5, DeepSeek-R1), answers before the user's last
 * message lose what they hold up to "</think>"; where it does so (Qwen3, Qwen3.5), one behind it begins with its
 * thought, if only an empty one. Errors: TNN_E_ARG (no messages, a role that is not a name, a NULL content that is not
 * empty), TNN_E_UNSUPPORTED (a role the template has no form for; `thinking`, where the template does not tell how),
 * TNN_E_NOMEM; r is then empty.
 */
TNN_API tnn_status tnn_chat_render(const tnn_chat_template *c, const tnn_chat_message *messages, size_t n,
                                   const tnn_chat_options *options, tnn_chat_rendering *r, tnn_error *err);

/*
 * Renders and encodes: appends to ids, and to trained (unless NULL) one byte per id, 1 where the token belongs to an
 * answer that is learned. Context and answers are encoded apart, so that the ids of a prompt are always a prefix of the
 * ids of the same prompt with its answer. BOS is put in front where the tokenizer asks for it, except with
 * after_last_answer. Errors: those of tnn_chat_render and tnn_tokenizer_encode; ids and trained are then as before.
 */
TNN_API tnn_status tnn_chat_encode(const tnn_chat_template *c, const tnn_tokenizer *t, const tnn_chat_message *messages,
                                   size_t n, const tnn_chat_options *options, tnn_ids *ids, tnn_text *trained,
                                   tnn_error *err);

#ifdef __cplusplus
}
#endif
#endif
