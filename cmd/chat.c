/* `tnn chat`: a conversation, line by line. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conversation.h"
#include "generate.h"
#include "json.h"
#include "open.h"
#include "ui.h"
#include "verbs.h"

typedef struct chat_verb_args {
    file_args file;
    compute_args compute;
    adapter_args adapters;
    context_args context;
    sample_args sample;
    chat_args chat;
    bool timings, json;
} chat_verb_args;

static const arg_option verb_options[] = {
    {"--timings", ARG_FLAG, offsetof(chat_verb_args, timings), NULL, 0, 0, NULL, "tokens per second after each answer"},
    {"--json", ARG_FLAG, offsetof(chat_verb_args, json), NULL, 0, 0, NULL,
     "print no text as it comes, but at the end one JSON object with all messages"},
    {0},
};

typedef struct chat {
    const chat_verb_args *args;
    engine engine;
    conversation conversation;
    generation generation;
    tnn_ids ids;
    bool person; /* at a terminal */
    char *line;  /* the buffer of getline */
    size_t line_capacity;
} chat;

static const char help[] = "  /reset  forget the conversation\n"
                           "  /exit   end, like Ctrl-D\n"
                           "  /help   this text\n"
                           "  Ctrl-C ends an answer; a \\ at the end of a line goes on in the next\n";

/* --- input --- */

/* A line, or several where each but the last ends in a backslash. False at the end of the input. */
static bool read_message(chat *c, tnn_text *message, int *code) {
    tnn_error err;
    message->n = 0;
    for (bool more = true; more;) {
        if (c->person) fputs(message->n ? ". " : "> ", stderr);
        ssize_t n = getline(&c->line, &c->line_capacity, stdin);
        if (n < 0) {
            if (ferror(stdin) && errno != EINTR) *code = ui_error(UI_USAGE, "standard input: %s", strerror(errno));
            if (c->person) fputc('\n', stderr);
            return false;
        }
        while (n > 0 && (c->line[n - 1] == '\n' || c->line[n - 1] == '\r'))
            n--;
        more = n > 0 && c->line[n - 1] == '\\';
        if (more) c->line[n - 1] = '\n';
        if (tnn_text_append(message, c->line, (size_t)n, &err) != TNN_OK) {
            *code = ui_fail(&err);
            return false;
        }
    }
    return true;
}

static bool is(const tnn_text *message, const char *command) {
    return message->n == strlen(command) && memcmp(message->data, command, message->n) == 0;
}

/* --- one turn --- */

/* Takes the question back, so that the conversation stays as it was. */
static int context_full(chat *c, size_t n_ids) {
    ui_note("the conversation (%zu tokens) does not fit into the context of %" PRId64
            "; /reset begins anew, -c sets a larger one",
            n_ids, tnn_seq_capacity(c->engine.seq));
    conversation_drop(&c->conversation, 1);
    return UI_OK;
}

static void after_answer(chat *c) {
    if (!c->args->json) putchar('\n');
    fflush(stdout);
    if (c->args->timings) generation_print_timings(&c->generation);
    if (c->generation.result.finish == TNN_FINISH_CONTEXT)
        ui_note("the context of %" PRId64 " tokens is full; /reset begins anew, -c sets a larger one",
                tnn_seq_capacity(c->engine.seq));
    ui_clear_interrupt();
}

static int turn(chat *c, const tnn_text *message) {
    int code = conversation_add(&c->conversation, "user", message->data, message->n);
    c->ids.n = 0;
    if (code == UI_OK) code = conversation_encode(&c->conversation, tnn_model_tokenizer(c->engine.model), &c->ids);
    if (code != UI_OK) return code;
    if ((int64_t)c->ids.n >= tnn_seq_capacity(c->engine.seq)) return context_full(c, c->ids.n);
    code = generation_run(&c->generation, &c->ids);
    if (code != UI_OK) return code;
    after_answer(c);
    const tnn_text *answer = &c->generation.text;
    return conversation_add(&c->conversation, "assistant", answer->n ? answer->data : "", answer->n);
}

static int reset(chat *c) {
    conversation_end(&c->conversation);
    return conversation_begin(&c->conversation, c->engine.model, &c->args->chat);
}

static int converse(chat *c) {
    tnn_text message = {0};
    int code = UI_OK;
    c->person = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    if (c->person) fprintf(stderr, "%s\n", help);
    while (code == UI_OK && !ui_interrupted() && read_message(c, &message, &code)) {
        if (is(&message, "/exit") || is(&message, "/quit")) break;
        if (is(&message, "/help")) {
            fputs(help, stderr);
        } else if (is(&message, "/reset")) {
            code = reset(c);
        } else if (message.n > 0) {
            code = turn(c, &message);
        }
    }
    tnn_text_free(&message);
    return code;
}

static int print_json(const conversation *c) {
    json_t *messages = json_array();
    for (size_t i = 0; i < c->n; i++)
        json_array_append_new(messages, json_pack("{s:s, s:o}", "role", c->messages[i].role, "content",
                                                  json_text(c->messages[i].content, c->messages[i].content_size)));
    return json_print(
        json_pack("{s:s, s:o}", "template", tnn_chat_template_name(c->chat_template), "messages", messages));
}

static void init(void *p) {
    chat_verb_args *args = p;
    context_args_init(&args->context);
    sample_args_init(&args->sample);
}

static int run(void *p) {
    chat_verb_args *args = p;
    chat c = {.args = args};
    sample_args_pick_seed(&args->sample);
    int code = sample_args_check(&args->sample);
    if (code == UI_OK) code = context_check(&args->context);
    if (code == UI_OK) code = chat_check(&args->chat);
    if (code == UI_OK) code = check_adapters(&args->adapters);
    if (code == UI_OK) code = open_engine(&c.engine, &args->file, &args->compute, &args->adapters);
    if (code == UI_OK) code = conversation_begin(&c.conversation, c.engine.model, &args->chat);
    if (code == UI_OK) code = open_seq(&c.engine, &args->context, NULL);
    c.generation = (generation){.sample = &args->sample, .engine = &c.engine, .stream = !args->json};
    if (code == UI_OK) code = converse(&c);
    if (code == UI_OK && args->json) code = print_json(&c.conversation);
    generation_end(&c.generation);
    conversation_end(&c.conversation);
    tnn_ids_free(&c.ids);
    close_engine(&c.engine);
    free(c.line);
    return code;
}

const verb verb_chat = {
    .name = "chat",
    .summary = "a conversation with the model's own template",
    .description =
        "Reads messages from standard input, a line each, and prints the model's answers. What was said before "
        "stays in the KV cache and is not computed again. /help lists the commands.",
    .positionals = {{"MODEL", offsetof(chat_verb_args, file.model), false}},
    .groups = {{chat_options, offsetof(chat_verb_args, chat)},
               {verb_options, 0},
               {sample_options, offsetof(chat_verb_args, sample)},
               {context_options, offsetof(chat_verb_args, context)},
               {adapter_options, offsetof(chat_verb_args, adapters)},
               {compute_options, offsetof(chat_verb_args, compute)},
               {file_options, offsetof(chat_verb_args, file)}},
    .args_size = sizeof(chat_verb_args),
    .init = init,
    .run = run,
    .hears_interrupts = true,
};
