/* Text and ids that come in: from the command line, from files, from standard input. */
#ifndef CMD_INPUT_H
#define CMD_INPUT_H

#include <stdbool.h>
#include <stdio.h>

#include <tinynn/tokenizer.h>

#include "args.h"

typedef struct prompt_args {
    const char *text; /* "-": standard input */
    const char *file;
    const char *ids;
    bool no_bos, no_special;
} prompt_args;

extern const arg_option prompt_options[]; /* -p, -f, --prompt-ids, --no-bos, --no-special */
extern const arg_option text_options[];   /* the same without --prompt-ids */

/* What can be told of a prompt, or of the file of a text, before a model is opened. */
int input_check(const prompt_args *args);
int input_check_file(const char *path);

/* Everything in a file, or in standard input for "-". Reports failures; returns the exit status. */
int input_file(const char *path, tnn_text *text);
/* What -p or -f say, else standard input. */
int input_text(const prompt_args *args, tnn_text *text);
/* Ids written in decimal with spaces or commas between. `n_vocab` 0: any that are not negative. */
int input_ids(const char *text, size_t size, int64_t n_vocab, tnn_ids *ids);
unsigned input_encode_flags(const prompt_args *args);
/* The ids of a prompt: --prompt-ids as given, else the text through the tokenizer (NULL: an error says so). */
int input_prompt(const prompt_args *args, const tnn_tokenizer *tokenizer, int64_t n_vocab, tnn_ids *ids);

#endif
