/* The chat template of a model, and its messages so far, for run and chat. */
#ifndef CMD_CONVERSATION_H
#define CMD_CONVERSATION_H

#include <tinynn/chat.h>
#include <tinynn/model.h>

#include "args.h"

typedef struct chat_args {
    const char *template_name, *system, *answer_prefix, *think;
} chat_args;

extern const arg_option chat_options[]; /* --chat-template, --system, --answer-prefix, --think */
int chat_check(const chat_args *args);  /* what the option table cannot check, before a model is opened */

typedef struct conversation {
    tnn_chat_template *chat_template;
    tnn_chat_message *messages; /* contents are owned */
    size_t n, capacity;
    bool no_system; /* not even the template's own */
    const char *answer_prefix;
    tnn_chat_thinking thinking;
} conversation;

/* The functions return the exit status, having reported a failure. */

/* With the system message, if one is given. *c is to be ended in any case. */
int conversation_begin(conversation *c, const tnn_model *m, const chat_args *args);
int conversation_add(conversation *c, const char *role, const char *content, size_t size);
/* Drops the last n messages. */
void conversation_drop(conversation *c, size_t n);
/* The ids of all messages and of what opens the answer. */
int conversation_encode(const conversation *c, const tnn_tokenizer *tokenizer, tnn_ids *ids);
void conversation_end(conversation *c);

#endif
