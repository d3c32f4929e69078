/* `tnn tokenizer`: makes a tokenizer from text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/bpe_trainer.h>

#include "input.h"
#include "json.h"
#include "open.h"
#include "ui.h"
#include "verbs.h"

typedef struct tokenizer_args {
    const char *action, *out, *pre;
    arg_texts texts;
    int64_t vocab_size, min_frequency;
    bool chat, json;
} tokenizer_args;

static const arg_option verb_options[] = {
    {"--text, -f", ARG_TEXTS, offsetof(tokenizer_args, texts), "FILE", 0, 0, NULL,
     "text to learn from; may be given many times; - is standard input"},
    {"-o, --out", ARG_TEXT, offsetof(tokenizer_args, out), "FILE", 0, 0, NULL,
     "the vocabulary, a GGUF without tensors"},
    {"--vocab-size", ARG_INT, offsetof(tokenizer_args, vocab_size), "N", 257, TNN_BPE_MAX_VOCAB, NULL,
     "tokens in all, the 256 bytes and the special ones included"},
    {"--min-frequency", ARG_INT, offsetof(tokenizer_args, min_frequency), "N", 1, 4294967295.0, NULL,
     "pairs that occur less often are not merged"},
    {"--pre", ARG_TEXT, offsetof(tokenizer_args, pre), "NAME", 0, 0, NULL,
     "how text is cut into words, within which merges stay: gpt-2, smollm (gpt-2 with single digits), llama-bpe, "
     "qwen2, ..."},
    {"--chat", ARG_FLAG, offsetof(tokenizer_args, chat), NULL, 0, 0, NULL,
     "with the special tokens and the template of ChatML, for models that are to answer"},
    {"--json", ARG_FLAG, offsetof(tokenizer_args, json), NULL, 0, 0, NULL,
     "one JSON object: out, vocab_size, merges, bytes, words, distinct_words, tokens, bytes_per_token, seconds"},
    {0},
};

static void init(void *p) {
    tokenizer_args *args = p;
    tnn_bpe_options standard = tnn_bpe_options_default();
    args->vocab_size = standard.vocab_size;
    args->min_frequency = standard.min_frequency;
    args->pre = standard.pre;
}

static bool on_merge(void *ctx, int32_t n_tokens, int32_t vocab_size) {
    ui_progress_update(ctx, n_tokens, vocab_size, NULL);
    return !ui_interrupted();
}

static int add_texts(const tokenizer_args *args, tnn_bpe_trainer *t) {
    int code = UI_OK;
    tnn_error err;
    for (int i = 0; i < args->texts.n && code == UI_OK; i++) {
        tnn_text text = {0};
        code = input_file(args->texts.items[i], &text);
        if (code == UI_OK && tnn_bpe_trainer_add(t, text.data, text.n, &err) != TNN_OK) code = ui_fail(&err);
        tnn_text_free(&text);
    }
    if (code == UI_OK && tnn_bpe_trainer_get_stats(t).n_bytes == 0)
        code = ui_error(UI_USAGE, "%s: no text to learn from", args->texts.items[0]);
    return code;
}

static int print_result(const tokenizer_args *args, const tnn_bpe_trainer *t, double seconds) {
    tnn_bpe_stats s = tnn_bpe_trainer_get_stats(t);
    double per_token = (double)s.n_bytes / (double)s.n_text_tokens;
    if (s.n_tokens < args->vocab_size)
        ui_note("%d tokens: no further pair occurs %" PRId64 " times", s.n_tokens, args->min_frequency);
    if (args->json)
        return json_print(json_pack("{s:o, s:i, s:i, s:I, s:I, s:I, s:I, s:f, s:f}", "out", json_path(args->out),
                                    "vocab_size", s.n_tokens, "merges", s.n_merges, "bytes", (json_int_t)s.n_bytes,
                                    "words", (json_int_t)s.n_words, "distinct_words", (json_int_t)s.n_kinds, "tokens",
                                    (json_int_t)s.n_text_tokens, "bytes_per_token", per_token, "seconds", seconds));
    printf("%s: %d tokens, %d merges; the text is %" PRIu64 " tokens, %.2f bytes each; %.1f s\n", args->out, s.n_tokens,
           s.n_merges, s.n_text_tokens, per_token, seconds);
    return UI_OK;
}

static int train(const tokenizer_args *args, tnn_bpe_trainer *t, ui_progress *progress, double start) {
    tnn_error err;
    int code = add_texts(args, t);
    if (code == UI_OK && tnn_bpe_trainer_run(t, &err) != TNN_OK) code = ui_fail(&err);
    ui_progress_end(progress);
    if (code != UI_OK) return code;
    tnn_status status = tnn_bpe_trainer_save(t, args->out, &err);
    if (status == TNN_E_IO) return ui_error(UI_FAILURE, "%s", err.text);
    return status == TNN_OK ? print_result(args, t, ui_seconds() - start) : ui_fail(&err);
}

static int run(void *p) {
    const tokenizer_args *args = p;
    double start = ui_seconds();
    tnn_error err;
    tnn_bpe_trainer *t = NULL;
    if (strcmp(args->action, "train") != 0)
        return ui_error(UI_USAGE, "'%s': the one thing to do is train (tnn tokenize encodes and decodes)",
                        args->action);
    if (args->texts.n == 0) return ui_error(UI_USAGE, "no text: name one with --text FILE");
    if (!args->out) return ui_error(UI_USAGE, "-o FILE is missing: where the vocabulary goes");
    int code = check_output(args->out);
    for (int i = 0; i < args->texts.n && code == UI_OK; i++)
        code = check_not_input(args->out, args->texts.items[i]);
    if (code != UI_OK) return code;
    ui_progress progress = ui_progress_begin("tokens");
    tnn_bpe_options options = {
        .vocab_size = (int32_t)args->vocab_size,
        .min_frequency = args->min_frequency,
        .pre = args->pre,
        .chat = args->chat,
        .on_merge = on_merge,
        .ctx = &progress,
    };
    code = tnn_bpe_trainer_new(&t, &options, NULL, &err) == TNN_OK ? train(args, t, &progress, start) : ui_fail(&err);
    tnn_bpe_trainer_free(t);
    return code;
}

const verb verb_tokenizer = {
    .name = "tokenizer",
    .summary = "makes a tokenizer from text: tokenizer train",
    .description =
        "tnn tokenizer train --text FILE -o OUT learns a byte-level BPE vocabulary: OUT is a GGUF without tensors "
        "that `tnn train scratch --tokenizer OUT` takes. The merges are those that Hugging Face `tokenizers` learns: "
        "the most frequent pair first, among equals the one with the lower ids. The same texts give the same file.",
    .positionals = {{"ACTION", offsetof(tokenizer_args, action), true}},
    .groups = {{verb_options, 0}},
    .args_size = sizeof(tokenizer_args),
    .init = init,
    .run = run,
    .hears_interrupts = true,
};
