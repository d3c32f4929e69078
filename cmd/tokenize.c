/* `tnn tokenize`: text to ids and back, with the tokenizer of a file; its weights are not touched. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/tokenizer.h>

#include "input.h"
#include "json.h"
#include "open.h"
#include "ui.h"
#include "verbs.h"

typedef struct tokenize_args {
    file_args file;
    prompt_args prompt;
    bool decode, jsonl, json;
} tokenize_args;

static const arg_option verb_options[] = {
    {"--decode", ARG_FLAG, offsetof(tokenize_args, decode), NULL, 0, 0, NULL,
     "the other way: the text holds ids, and text is printed; with --no-special, special tokens give none"},
    {"--jsonl", ARG_FLAG, offsetof(tokenize_args, jsonl), NULL, 0, 0, NULL,
     "read one JSON string a line from standard input, print one JSON array of ids a line (the other way: arrays, "
     "strings)"},
    {"--json", ARG_FLAG, offsetof(tokenize_args, json), NULL, 0, 0, NULL, "one JSON object: ids, n, text or tokens"},
    {0},
};

static unsigned decode_flags(const tokenize_args *args) {
    return TNN_DECODE_START | (args->prompt.no_special ? 0u : TNN_DECODE_SPECIAL);
}

/* --- one text --- */

static int print_ids(const tnn_ids *ids) {
    for (size_t i = 0; i < ids->n; i++)
        printf(i ? " %d" : "%d", ids->data[i]);
    putchar('\n');
    return UI_OK;
}

static int print_ids_json(const tnn_tokenizer *tokenizer, const tnn_ids *ids) {
    json_t *tokens = json_array();
    for (size_t i = 0; i < ids->n; i++) {
        tnn_gguf_str text = tnn_tokenizer_token_text(tokenizer, ids->data[i]);
        json_array_append_new(tokens, json_text(text.data, text.size));
    }
    return json_print(
        json_pack("{s:I, s:o, s:o}", "n", (json_int_t)ids->n, "ids", json_ids(ids->data, ids->n), "tokens", tokens));
}

static int encode_one(const tokenize_args *args, const tnn_tokenizer *tokenizer) {
    tnn_ids ids = {0};
    int code = input_prompt(&args->prompt, tokenizer, tnn_tokenizer_n_vocab(tokenizer), &ids);
    if (code == UI_OK) code = args->json ? print_ids_json(tokenizer, &ids) : print_ids(&ids);
    tnn_ids_free(&ids);
    return code;
}

static int decode_one(const tokenize_args *args, const tnn_tokenizer *tokenizer) {
    tnn_text in = {0}, out = {0};
    tnn_ids ids = {0};
    tnn_error err;
    int code = input_text(&args->prompt, &in);
    if (code == UI_OK) code = input_ids(in.data, in.n, tnn_tokenizer_n_vocab(tokenizer), &ids);
    if (code == UI_OK && tnn_tokenizer_decode(tokenizer, ids.data, ids.n, decode_flags(args), &out, &err) != TNN_OK)
        code = ui_fail(&err);
    if (code == UI_OK && args->json) {
        code = json_print(json_pack("{s:I, s:o, s:o}", "n", (json_int_t)ids.n, "ids", json_ids(ids.data, ids.n), "text",
                                    json_text(out.data, out.n)));
    } else if (code == UI_OK) {
        fwrite(out.data, 1, out.n, stdout);
        putchar('\n');
    }
    tnn_text_free(&in);
    tnn_text_free(&out);
    tnn_ids_free(&ids);
    return code;
}

/* --- a line at a time --- */

typedef struct lines {
    const tokenize_args *args;
    const tnn_tokenizer *tokenizer;
    tnn_ids ids;
    tnn_text text;
    int64_t number;
} lines;

static int bad_line(const lines *l, const char *wanted) {
    return ui_error(UI_USAGE, "standard input, line %lld: not a JSON %s", (long long)l->number, wanted);
}

static int encode_line(lines *l, json_t *value) {
    tnn_error err;
    if (!json_is_string(value)) return bad_line(l, "string");
    if (tnn_tokenizer_encode(l->tokenizer, json_string_value(value), json_string_length(value),
                             input_encode_flags(&l->args->prompt), &l->ids, &err) != TNN_OK)
        return ui_fail(&err);
    putchar('[');
    for (size_t i = 0; i < l->ids.n; i++)
        printf(i ? ", %d" : "%d", l->ids.data[i]);
    fputs("]\n", stdout);
    return UI_OK;
}

static int decode_line(lines *l, json_t *value) {
    size_t i;
    json_t *item;
    tnn_error err;
    int32_t n_vocab = tnn_tokenizer_n_vocab(l->tokenizer);
    if (!json_is_array(value)) return bad_line(l, "array of ids");
    json_array_foreach(value, i, item) {
        if (!json_is_integer(item)) return bad_line(l, "array of ids");
        json_int_t id = json_integer_value(item);
        if (id < 0 || id >= n_vocab)
            return ui_error(UI_USAGE, "standard input, line %lld: token id %lld is outside the vocabulary (0 to %d)",
                            (long long)l->number, (long long)id, n_vocab - 1);
        if (tnn_ids_push(&l->ids, (int32_t)id, &err) != TNN_OK) return ui_fail(&err);
    }
    if (tnn_tokenizer_decode(l->tokenizer, l->ids.data, l->ids.n, decode_flags(l->args), &l->text, &err) != TNN_OK)
        return ui_fail(&err);
    json_t *text = json_text(l->text.data, l->text.n);
    bool failed = !text || json_dumpf(text, stdout, JSON_ENCODE_ANY) != 0;
    json_decref(text);
    putchar('\n');
    return failed ? ui_error(UI_FAILURE, "out of memory") : UI_OK;
}

static int do_line(lines *l, const char *line, size_t size) {
    if (l->number == 1 && size >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        size -= 3;
    }
    json_error_t why;
    json_t *value = json_loadb(line, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!value) return ui_error(UI_USAGE, "standard input, line %lld: not JSON: %s", (long long)l->number, why.text);
    l->ids.n = l->text.n = 0;
    int code = l->args->decode ? decode_line(l, value) : encode_line(l, value);
    json_decref(value);
    return code;
}

static int each_line(const tokenize_args *args, const tnn_tokenizer *tokenizer) {
    lines l = {.args = args, .tokenizer = tokenizer};
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    int code = UI_OK;
    while (code == UI_OK && (n = getline(&line, &capacity, stdin)) > 0) {
        l.number++;
        code = do_line(&l, line, (size_t)n);
    }
    if (code == UI_OK && !feof(stdin)) code = ui_error(UI_USAGE, "standard input: %s", strerror(errno));
    free(line);
    tnn_ids_free(&l.ids);
    tnn_text_free(&l.text);
    return code;
}

static int check_args(const tokenize_args *args) {
    if (args->json && args->jsonl) return ui_error(UI_USAGE, "--json and --jsonl exclude each other");
    if (!args->jsonl) return input_check(&args->prompt);
    if (!args->prompt.text && !args->prompt.file) return UI_OK;
    return ui_error(UI_USAGE, "--jsonl reads standard input; it takes no -p or -f");
}

static int run(void *p) {
    const tokenize_args *args = p;
    tnn_gguf *g = NULL;
    tnn_tokenizer *tokenizer = NULL;
    tnn_error err;
    char *path = NULL;
    int code = check_args(args);
    if (code == UI_OK) code = open_find(&args->file, &path);
    if (code == UI_OK) code = open_gguf(&g, path, &args->file);
    free(path);
    if (code == UI_OK && tnn_tokenizer_new(&tokenizer, g, NULL, &err) != TNN_OK) code = ui_fail(&err);
    tnn_gguf_close(g);
    if (code == UI_OK && args->jsonl) {
        code = each_line(args, tokenizer);
    } else if (code == UI_OK) {
        code = args->decode ? decode_one(args, tokenizer) : encode_one(args, tokenizer);
    }
    tnn_tokenizer_free(tokenizer);
    return code;
}

const verb verb_tokenize = {
    .name = "tokenize",
    .summary = "text to token ids, and back",
    .description = "Prints the token ids of a text, with spaces between. The file may hold a vocabulary alone.",
    .positionals = {{"MODEL", offsetof(tokenize_args, file.model), false}},
    .groups = {{text_options, offsetof(tokenize_args, prompt)},
               {verb_options, 0},
               {file_options, offsetof(tokenize_args, file)}},
    .args_size = sizeof(tokenize_args),
    .run = run,
};
