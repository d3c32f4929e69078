/* Reading prompts. */
#include "input.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ui.h"

#define TEXT_OPTIONS                                                                                                   \
    {"-p, --prompt",                                                                                                   \
     ARG_TEXT,                                                                                                         \
     offsetof(prompt_args, text),                                                                                      \
     "TEXT",                                                                                                           \
     0,                                                                                                                \
     0,                                                                                                                \
     "standard input",                                                                                                 \
     "the text; - is standard input"},                                                                                 \
        {"-f, --file", ARG_TEXT, offsetof(prompt_args, file), "FILE", 0, 0, NULL, "read the text from a file"},        \
        {"--no-bos",                                                                                                   \
         ARG_FLAG,                                                                                                     \
         offsetof(prompt_args, no_bos),                                                                                \
         NULL,                                                                                                         \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL,                                                                                                         \
         "do not add the tokens that the model puts round a text (BOS, EOS)"},                                         \
    {                                                                                                                  \
        "--no-special", ARG_FLAG, offsetof(prompt_args, no_special), NULL, 0, 0, NULL,                                 \
            "take special tokens in the text, such as <|im_end|>, for plain text"                                      \
    }

const arg_option text_options[] = {TEXT_OPTIONS, {0}};

const arg_option prompt_options[] = {
    {"--prompt-ids", ARG_TEXT, offsetof(prompt_args, ids), "\"1 2 3\"", 0, 0, NULL,
     "token ids in place of a text, taken as they are; the way for a model without tokenizer"},
    TEXT_OPTIONS,
    {0},
};

int input_file(const char *path, tnn_text *text) {
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (!file) return ui_error(UI_USAGE, "%s: %s", path, strerror(errno));
    char buffer[1 << 16];
    tnn_error err = {.status = TNN_OK};
    size_t n = sizeof buffer;
    while (n == sizeof buffer && err.status == TNN_OK) { /* fewer is the end: a terminal would be asked for another */
        n = fread(buffer, 1, sizeof buffer, file);
        tnn_text_append(text, buffer, n, &err);
    }
    int failed = ferror(file) ? errno : 0;
    if (!standard) fclose(file);
    if (err.status != TNN_OK) return ui_fail(&err);
    if (failed == EINTR && ui_interrupted()) return ui_error(UI_FAILURE, "interrupted");
    if (failed) return ui_error(UI_USAGE, "%s: %s", standard ? "standard input" : path, strerror(failed));
    return UI_OK;
}

int input_text(const prompt_args *args, tnn_text *text) {
    tnn_error err;
    if (args->file) return input_file(args->file, text);
    if (args->text && strcmp(args->text, "-") != 0)
        return tnn_text_append(text, args->text, strlen(args->text), &err) == TNN_OK ? UI_OK : ui_fail(&err);
    return input_file("-", text);
}

static bool is_separator(char c) {
    return c != 0 && strchr(" ,\n\r\t", c) != NULL;
}

/* A decimal number, clamped to what is certainly no id; false if it is none. */
static bool parse_id(const char *word, size_t size, int64_t *id) {
    bool negative = word[0] == '-';
    size_t i = negative;
    int64_t value = 0;
    if (i == size) return false;
    for (; i < size; i++) {
        if (word[i] < '0' || word[i] > '9') return false;
        if (value <= INT32_MAX) value = value * 10 + (word[i] - '0');
    }
    *id = negative ? -1 : value;
    return true;
}

/* The word at or after *i, which is moved behind it; its size is 0 at the end. */
static const char *next_word(const char *text, size_t size, size_t *i, size_t *n) {
    while (*i < size && is_separator(text[*i]))
        ++*i;
    const char *word = text + *i;
    *n = 0;
    while (*i < size && !is_separator(text[*i])) {
        ++*i;
        ++*n;
    }
    return word;
}

static int shown(size_t n) {
    return n < 40 ? (int)n : 40;
}

static int check_ids(const char *text, size_t size) {
    size_t n, i = 0, n_words = 0;
    for (const char *word; word = next_word(text, size, &i, &n), n > 0; n_words++) {
        int64_t id;
        if (!parse_id(word, n, &id)) return ui_error(UI_USAGE, "'%.*s' is not a token id", shown(n), word);
    }
    return n_words > 0 ? UI_OK : ui_error(UI_USAGE, "the prompt is empty");
}

int input_ids(const char *text, size_t size, int64_t n_vocab, tnn_ids *ids) {
    int64_t id, last = n_vocab > 0 ? n_vocab - 1 : INT32_MAX;
    size_t n, i = 0;
    for (const char *word; word = next_word(text, size, &i, &n), n > 0;) {
        if (!parse_id(word, n, &id)) return ui_error(UI_USAGE, "'%.*s' is not a token id", shown(n), word);
        if (id < 0 || id > last)
            return ui_error(UI_USAGE, "token id %.*s is outside the vocabulary (0 to %" PRId64 ")", shown(n), word,
                            last);
        tnn_error err;
        if (tnn_ids_push(ids, (int32_t)id, &err) != TNN_OK) return ui_fail(&err);
    }
    return UI_OK;
}

int input_check_file(const char *path) {
    struct stat st;
    if (strcmp(path, "-") == 0) return UI_OK;
    if (stat(path, &st) != 0) return ui_error(UI_USAGE, "%s: %s", path, strerror(errno));
    return S_ISDIR(st.st_mode) ? ui_error(UI_USAGE, "%s: %s", path, strerror(EISDIR)) : UI_OK;
}

int input_check(const prompt_args *args) {
    if (args->ids && (args->text || args->file))
        return ui_error(UI_USAGE, "--prompt-ids excludes -p and -f: give one prompt");
    if (args->ids) return check_ids(args->ids, strlen(args->ids));
    if (args->text && args->file) return ui_error(UI_USAGE, "-p and -f exclude each other: give one text");
    if (args->file) return input_check_file(args->file);
    if (!args->text && isatty(STDIN_FILENO))
        return ui_error(UI_USAGE, "no text: give it with -p TEXT or -f FILE, or on standard input");
    return UI_OK;
}

unsigned input_encode_flags(const prompt_args *args) {
    return (args->no_bos ? 0u : TNN_ENCODE_ADD_SPECIAL) | (args->no_special ? 0u : TNN_ENCODE_PARSE_SPECIAL);
}

int input_prompt(const prompt_args *args, const tnn_tokenizer *tokenizer, int64_t n_vocab, tnn_ids *ids) {
    if (args->ids) return input_ids(args->ids, strlen(args->ids), n_vocab, ids);
    if (!tokenizer)
        return ui_error(UI_USAGE, "this file has no tokenizer; give the prompt as ids: --prompt-ids \"1 2 3\"");
    tnn_text text = {0};
    tnn_error err;
    int code = input_text(args, &text);
    if (code == UI_OK &&
        tnn_tokenizer_encode(tokenizer, text.data, text.n, input_encode_flags(args), ids, &err) != TNN_OK)
        code = ui_fail(&err);
    tnn_text_free(&text);
    return code;
}
