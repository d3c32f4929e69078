/*
 * Training rows from JSONL. The first row decides the kind; every row becomes messages or text, and then ids with a
 * mark on those under loss.
 */
#include <inttypes.h>
#include <string.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/file.h"
#include "engine/dataset.h"

#define MAX_FILE     ((size_t)1 << 31)
#define MAX_LINE     ((size_t)64 << 20)
#define MAX_MESSAGES 4096

typedef enum row_kind {
    ROW_MESSAGES,
    ROW_CONVERSATIONS,
    ROW_COMPLETION,
    ROW_INSTRUCTION,
    ROW_TEXT,
    N_ROW_KINDS
} row_kind;

/* The field whose presence tells a kind, in the order in which they are looked for. */
static const char *const kind_fields[N_ROW_KINDS] = {
    [ROW_MESSAGES] = "messages",
    [ROW_CONVERSATIONS] = "conversations",
    [ROW_COMPLETION] = "completion",
    [ROW_INSTRUCTION] = "instruction",
    [ROW_TEXT] = "text",
};

typedef struct reader {
    tnn_dataset *d;
    const char *path;
    int64_t line; /* from 1 */
    const tnn_tokenizer *tokenizer;
    const tnn_chat_template *chat;
    int kind; /* -1 before the first row */
    tnn_error *err;
} reader;

static tnn_status row_error(const reader *r, tnn_status status, const char *what) {
    return tnn__fail(r->err, status, "%s:%" PRId64 ": %s", r->path, r->line, what);
}

/* A string field; NULL and an error unless it is a string, or not required and absent or null: empty. */
static const char *string_field(const reader *r, const json_t *row, const char *name, bool required, size_t *size) {
    const json_t *value = json_object_get(row, name);
    char what[96];
    if (!required && (!value || json_is_null(value))) {
        *size = 0;
        return "";
    }
    if (!value || !json_is_string(value)) {
        snprintf(what, sizeof what, value ? "field \"%s\" is not a string" : "field \"%s\" is missing", name);
        row_error(r, TNN_E_FORMAT, what);
        return NULL;
    }
    *size = json_string_length(value);
    return json_string_value(value);
}

static tnn_status encode_messages(const reader *r, const tnn_chat_message *messages, size_t n) {
    if (!r->chat)
        return row_error(r, TNN_E_UNSUPPORTED,
                         "this model has no chat template for messages; give --chat-template or rows of text");
    tnn_chat_options options = tnn_chat_options_default();
    options.generation_prompt = false;
    options.default_system = r->d->options.system;
    tnn_error why;
    size_t before = r->d->trained.n;
    tnn_status status = tnn_chat_encode(r->chat, r->tokenizer, messages, n, &options, &r->d->ids, &r->d->trained, &why);
    if (status) return row_error(r, status, why.text);
    if (r->d->options.train_prompt) memset(r->d->trained.data + before, 1, r->d->trained.n - before);
    return TNN_OK;
}

/* ShareGPT names its roles otherwise. */
static const char *role_of(const char *from) {
    static const char *const names[][2] = {{"human", "user"},
                                           {"gpt", "assistant"},
                                           {"bing", "assistant"},
                                           {"chatgpt", "assistant"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(from, names[i][0]) == 0) return names[i][1];
    }
    return from;
}

static bool has_calls(const json_t *message) {
    return json_array_size(json_object_get(message, "tool_calls")) > 0 ||
           json_is_object(json_object_get(message, "function_call"));
}

/* Calls of tools without a word: written without them, the answer learned would be none. */
static bool only_calls(const json_t *message, const char *content) {
    const json_t *text = json_object_get(message, content);
    bool empty = json_is_array(text) ? json_array_size(text) == 0 : json_is_string(text) && !json_string_length(text);
    return has_calls(message) && (!text || json_is_null(text) || empty);
}

/* Content that is a list of parts, as the APIs of chat models write it: texts, one behind the other. */
static const char *join_parts(const reader *r, const json_t *parts, tnn__arena *memory, size_t *size) {
    size_t n = 0, i;
    const json_t *part;
    *size = 0;
    if (json_array_size(parts) == 0) {
        row_error(r, TNN_E_FORMAT, "the content of a message is a list of no parts");
        return NULL;
    }
    json_array_foreach(parts, i, part) {
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!json_is_string(json_object_get(part, "text")) || (type && strcmp(type, "text") != 0)) {
            row_error(r, TNN_E_FORMAT, "a message has a part that is not text: only text is taken");
            return NULL;
        }
        *size += json_string_length(json_object_get(part, "text"));
    }
    char *text = tnn__arena_push(memory, *size + 1);
    if (!text) {
        tnn__fail_nomem(r->err, "a message", *size + 1);
        return NULL;
    }
    json_array_foreach(parts, i, part) {
        const json_t *from = json_object_get(part, "text");
        memcpy(text + n, json_string_value(from), json_string_length(from));
        n += json_string_length(from);
    }
    return text;
}

/* OpenAI's rows may say 0 of an answer that is not to be learned, or 1. */
static tnn_status read_weight(const reader *r, const json_t *message, bool *not_learned) {
    const json_t *weight = json_object_get(message, "weight");
    double value = json_is_number(weight) ? json_number_value(weight) : 1;
    if ((weight && !json_is_number(weight) && !json_is_null(weight)) || (value != 0 && value != 1)) {
        return row_error(r, TNN_E_FORMAT, "the weight of a message is neither 0 nor 1");
    }
    *not_learned = value == 0;
    return TNN_OK;
}

/* One message, into the next place of `to` unless it has only calls of tools. */
static tnn_status read_message(const reader *r, const json_t *message, const char *role, const char *content,
                               tnn__arena *memory, tnn_chat_message *to, size_t *n) {
    size_t size;
    const char *name = string_field(r, message, role, true, &size);
    if (!name) return TNN_E_FORMAT;
    if (only_calls(message, content)) return TNN_OK;
    const json_t *parts = json_object_get(message, content);
    const char *text =
        json_is_array(parts) ? join_parts(r, parts, memory, &size) : string_field(r, message, content, true, &size);
    if (!text) return r->err->status;
    tnn_chat_message m = {.role = role_of(name), .content = text, .content_size = size};
    tnn_status status = read_weight(r, message, &m.not_learned);
    if (!status) to[(*n)++] = m;
    return status;
}

static tnn_status read_messages(const reader *r, const json_t *row, const char *list, const char *role,
                                const char *content) {
    const json_t *array = json_object_get(row, list);
    tnn_chat_message messages[64], *all = messages;
    size_t n = json_array_size(array), n_read = 0;
    if (!array) return row_error(r, TNN_E_FORMAT, "the messages are missing: the first row decides the kind of all");
    if (!json_is_array(array) || n == 0 || n > MAX_MESSAGES) {
        return row_error(r, TNN_E_FORMAT, "the messages are no list of 1 to 4096 messages");
    }
    if (n > sizeof messages / sizeof *messages) all = tnn__calloc_array(&r->d->alloc, n, sizeof *all);
    if (!all) return tnn__fail_nomem(r->err, "messages", n * sizeof *all);
    tnn_status status = TNN_OK;
    tnn__arena memory;
    tnn__arena_init(&memory, &r->d->alloc, 0);
    bool tools = json_array_size(json_object_get(row, "tools")) > 0;
    for (size_t i = 0; i < n && !status; i++) {
        const json_t *message = json_array_get(array, i);
        tools = tools || has_calls(message);
        status = read_message(r, message, role, content, &memory, all, &n_read);
    }
    if (!status && n_read > 0) status = encode_messages(r, all, n_read);
    r->d->stats.n_tools += !status && tools;
    tnn__arena_free(&memory);
    if (all != messages) tnn__free_array(&r->d->alloc, all, n, sizeof *all);
    return status;
}

static tnn_status read_completion(const reader *r, const json_t *row) {
    tnn_chat_message m[2] = {{.role = "user"}, {.role = "assistant"}};
    m[0].content = string_field(r, row, "prompt", true, &m[0].content_size);
    if (m[0].content) m[1].content = string_field(r, row, "completion", true, &m[1].content_size);
    return m[0].content && m[1].content ? encode_messages(r, m, 2) : TNN_E_FORMAT;
}

/* Alpaca rows: the input, where there is one, follows the instruction after an empty line. */
static tnn_status read_instruction(const reader *r, const json_t *row) {
    size_t n_instruction, n_input;
    tnn_chat_message m[2] = {{.role = "user"}, {.role = "assistant"}};
    const char *instruction = string_field(r, row, "instruction", true, &n_instruction);
    const char *input = instruction ? string_field(r, row, "input", false, &n_input) : NULL;
    m[1].content = input ? string_field(r, row, "output", true, &m[1].content_size) : NULL;
    if (!m[1].content) return TNN_E_FORMAT;
    tnn_text question = {.allocator = &r->d->alloc};
    tnn_status status = tnn_text_append(&question, instruction, n_instruction, r->err);
    if (!status && n_input > 0) status = tnn_text_append(&question, "\n\n", 2, r->err);
    if (!status && n_input > 0) status = tnn_text_append(&question, input, n_input, r->err);
    if (!status) {
        m[0].content = question.data ? question.data : "";
        m[0].content_size = question.n;
        status = encode_messages(r, m, 2);
    }
    tnn_text_free(&question);
    return status;
}

/* Text: loss on everything, end of text included. */
static tnn_status read_text(const reader *r, const json_t *row) {
    size_t size, before = r->d->ids.n;
    const char *text = string_field(r, row, "text", true, &size);
    if (!text) return TNN_E_FORMAT;
    tnn_status status = tnn_tokenizer_encode(r->tokenizer, text, size, TNN_ENCODE_ADD_SPECIAL, &r->d->ids, r->err);
    int32_t eos = tnn_tokenizer_special(r->tokenizer, TNN_SPECIAL_EOS);
    bool ended = r->d->ids.n > before && r->d->ids.data[r->d->ids.n - 1] == eos;
    if (!status && eos >= 0 && !ended) status = tnn_ids_push(&r->d->ids, eos, r->err);
    for (size_t i = before; i < r->d->ids.n && !status; i++) {
        status = tnn_text_append(&r->d->trained, "\1", 1, r->err);
    }
    return status;
}

static tnn_status decide_kind(reader *r, const json_t *row) {
    for (int kind = 0; kind < N_ROW_KINDS; kind++) {
        if (json_object_get(row, kind_fields[kind])) {
            r->kind = kind;
            return TNN_OK;
        }
    }
    return row_error(r, TNN_E_FORMAT,
                     "a row has \"messages\", \"conversations\", \"prompt\" and \"completion\", \"instruction\" and "
                     "\"output\", or \"text\"");
}

static tnn_status read_row(reader *r, const json_t *row) {
    if (!json_is_object(row)) return row_error(r, TNN_E_FORMAT, "a row is a JSON object");
    tnn_status status = r->kind < 0 ? decide_kind(r, row) : TNN_OK;
    if (status) return status;
    switch ((row_kind)r->kind) {
    case ROW_MESSAGES:
        status = read_messages(r, row, "messages", "role", "content");
        break;
    case ROW_CONVERSATIONS:
        status = read_messages(r, row, "conversations", "from", "value");
        break;
    case ROW_COMPLETION:
        status = read_completion(r, row);
        break;
    case ROW_INSTRUCTION:
        status = read_instruction(r, row);
        break;
    case ROW_TEXT:
        status = read_text(r, row);
        break;
    case N_ROW_KINDS:
        break;
    }
    if (status) return status;
    r->d->stats.n_rows++;
    return tnn__dataset_end_sequence(r->d, r->err);
}

static bool is_blank(const char *line, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') return false;
    }
    return true;
}

static tnn_status read_line(reader *r, const char *line, size_t n) {
    if (n > MAX_LINE)
        return row_error(r, TNN_E_RANGE, "the line is longer than 64 MiB; make it several rows, or a plain text file");
    if (is_blank(line, n)) return TNN_OK;
    json_error_t why;
    json_t *row = json_loadb(line, n, JSON_ALLOW_NUL, &why);
    if (!row) return row_error(r, TNN_E_FORMAT, why.text);
    tnn_status status = read_row(r, row);
    json_decref(row);
    return status;
}

static tnn_status read_lines(reader *r, const char *text, size_t size) {
    static const char mark[3] = {'\xef', '\xbb', '\xbf'};
    size_t at = size >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
    while (at < size) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t n = end ? (size_t)(end - (text + at)) : size - at;
        r->line++;
        tnn_status status = read_line(r, text + at, n);
        if (status) return status;
        at += n + 1;
    }
    return TNN_OK;
}

tnn_status tnn_dataset_open_jsonl(tnn_dataset **out, const char *path, const tnn_tokenizer *tokenizer,
                                  const tnn_chat_template *chat, const tnn_dataset_options *options,
                                  const tnn_allocator *allocator, tnn_error *err) {
    tnn_error unread;
    reader r = {.path = path, .tokenizer = tokenizer, .chat = chat, .kind = -1, .err = err ? err : &unread};
    *out = NULL;
    tnn_status status = tnn__dataset_new(&r.d, options, allocator, r.err);
    if (status) return status;
    char *text = NULL;
    size_t size = 0;
    status = tnn__file_read(path, MAX_FILE, &r.d->alloc, &text, &size, r.err);
    if (!status) status = read_lines(&r, text, size);
    if (!status && r.d->stats.n_sequences == 0) {
        status = tnn__fail(r.err, TNN_E_NOTFOUND,
                           "%s: nothing to learn or to score in %" PRId64 " rows, of which %" PRId64
                           " were cut at %" PRId64 " tokens",
                           path, r.d->stats.n_rows, r.d->stats.n_cut, options->max_length);
    }
    if (text) tnn__free(&r.d->alloc, text, size + 1, 1);
    if (status) {
        tnn_dataset_free(r.d);
        return status;
    }
    *out = r.d;
    return TNN_OK;
}
