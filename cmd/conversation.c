/* Messages and their template. */
#include "conversation.h"

#include <stdlib.h>
#include <string.h>

#include "open.h"
#include "ui.h"

const arg_option chat_options[] = {
    {"--chat-template", ARG_TEXT, offsetof(chat_args, template_name), "NAME", 0, 0, "the model's own",
     "chat template to use: chatml, llama3, gemma, ..."},
    {"--system, -sys, --system-prompt", ARG_TEXT, offsetof(chat_args, system), "TEXT", 0, 0, "the template's own",
     "system message; an empty one for none"},
    {"--answer-prefix", ARG_TEXT, offsetof(chat_args, answer_prefix), "TEXT", 0, 0, NULL,
     "what the answer is to begin with, as part of the template and not printed"},
    {"--think", ARG_TEXT, offsetof(chat_args, think), "on|off", 0, 0, "the template's own",
     "whether a model that can (Qwen3, Qwen3.5, SmolLM3, DeepSeek-R1) is to think before it answers"},
    {0},
};

int chat_check(const chat_args *args) {
    if (args->think && strcmp(args->think, "on") != 0 && strcmp(args->think, "off") != 0)
        return ui_error(UI_USAGE, "--think takes on or off, not '%s'", args->think);
    if (args->think && args->answer_prefix)
        return ui_error(UI_USAGE, "--think and --answer-prefix both say what an answer begins with: give one of them");
    return check_chat_template(args->template_name);
}

int conversation_begin(conversation *c, const tnn_model *m, const chat_args *args) {
    tnn_error err;
    *c = (conversation){0};
    if (!tnn_model_tokenizer(m)) return ui_error(UI_USAGE, "this file has no tokenizer, so it cannot chat");
    if (tnn_chat_template_new(&c->chat_template, tnn_model_gguf(m), args->template_name, NULL, &err) != TNN_OK)
        return ui_fail(&err);
    c->answer_prefix = args->answer_prefix;
    if (args->think) c->thinking = strcmp(args->think, "on") == 0 ? TNN_CHAT_THINKING_ON : TNN_CHAT_THINKING_OFF;
    c->no_system = args->system && !*args->system;
    return args->system && *args->system ? conversation_add(c, "system", args->system, strlen(args->system)) : UI_OK;
}

int conversation_add(conversation *c, const char *role, const char *content, size_t size) {
    if (c->n == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 16;
        tnn_chat_message *messages = realloc(c->messages, capacity * sizeof *messages);
        if (!messages) return ui_error(UI_FAILURE, "out of memory");
        c->messages = messages;
        c->capacity = capacity;
    }
    char *copy = malloc(size + 1);
    if (!copy) return ui_error(UI_FAILURE, "out of memory");
    memcpy(copy, content, size);
    copy[size] = 0;
    c->messages[c->n++] = (tnn_chat_message){.role = role, .content = copy, .content_size = size};
    return UI_OK;
}

void conversation_drop(conversation *c, size_t n) {
    while (n-- > 0 && c->n > 0)
        free((char *)c->messages[--c->n].content);
}

int conversation_encode(const conversation *c, const tnn_tokenizer *tokenizer, tnn_ids *ids) {
    tnn_error err;
    tnn_chat_options options = tnn_chat_options_default();
    if (c->no_system) options.default_system = "";
    options.answer_prefix = c->answer_prefix;
    options.thinking = c->thinking;
    if (tnn_chat_encode(c->chat_template, tokenizer, c->messages, c->n, &options, ids, NULL, &err) != TNN_OK)
        return ui_fail(&err);
    return UI_OK;
}

void conversation_end(conversation *c) {
    conversation_drop(c, c->n);
    free(c->messages);
    tnn_chat_template_free(c->chat_template);
    *c = (conversation){0};
}
