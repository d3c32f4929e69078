/* `tnn run`: a prompt in, text out. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tinynn/chat.h>

#include "conversation.h"
#include "generate.h"
#include "input.h"
#include "json.h"
#include "open.h"
#include "taps.h"
#include "ui.h"
#include "verbs.h"

typedef struct run_args {
    file_args file;
    compute_args compute;
    adapter_args adapters;
    prompt_args prompt;
    context_args context;
    sample_args sample;
    tap_args taps;
    chat_args chat;
    const char *prompt_cache;
    bool raw, json, quiet;
} run_args;

static const arg_option verb_options[] = {
    {"--raw, -no-cnv", ARG_FLAG, offsetof(run_args, raw), NULL, 0, 0, NULL,
     "continue the text as it stands, also where the model has a chat template"},
    {"--prompt-cache", ARG_TEXT, offsetof(run_args, prompt_cache), "FILE", 0, 0, NULL,
     "begin with the prompt that FILE holds computed, as far as it is this one's; then FILE holds this one"},
    {"-q, --quiet", ARG_FLAG, offsetof(run_args, quiet), NULL, 0, 0, NULL, "no timings on stderr"},
    {"--json", ARG_FLAG, offsetof(run_args, json), NULL, 0, 0, NULL,
     "one JSON object when done: text, ids, finish_reason, prompt_ids, seed, tokens per second, taps"},
    {0},
};

/* Options that only a message has. */
static bool about_message(const run_args *args) {
    return args->chat.template_name || args->chat.system || args->chat.answer_prefix || args->chat.think;
}

/*
 * Whether the prompt is a message to a model that was taught to answer. The file must say so itself: base models have
 * the tokens of a template without knowing what they mean.
 */
static bool is_message(const run_args *args, const tnn_model *m) {
    if (args->raw || args->prompt.ids) return false;
    if (about_message(args)) return true; /* asked for: a missing template is an error */
    if (!tnn_model_tokenizer(m) || tnn_gguf_find_key(tnn_model_gguf(m), "tokenizer.chat_template") < 0) return false;
    tnn_chat_template *own;
    tnn_error err;
    if (tnn_chat_template_new(&own, tnn_model_gguf(m), NULL, NULL, &err) == TNN_OK) {
        tnn_chat_template_free(own);
        return true;
    }
    ui_note("the prompt goes on as it stands: %s", err.text);
    return false;
}

static int encode_message(const run_args *args, const tnn_model *m, tnn_ids *ids) {
    conversation c;
    tnn_text text = {0};
    int code = conversation_begin(&c, m, &args->chat);
    if (code == UI_OK) code = input_text(&args->prompt, &text);
    if (code == UI_OK && text.n == 0) code = ui_error(UI_USAGE, "the prompt is empty");
    if (code == UI_OK) code = conversation_add(&c, "user", text.data, text.n);
    if (code == UI_OK) code = conversation_encode(&c, tnn_model_tokenizer(m), ids);
    tnn_text_free(&text);
    conversation_end(&c);
    return code;
}

static int encode(const run_args *args, const tnn_model *m, tnn_ids *ids) {
    bool message = is_message(args, m);
    if (message && (args->prompt.no_bos || args->prompt.no_special))
        return ui_error(UI_USAGE, "--no-bos and --no-special are for a plain text: add --raw");
    int code = message ? encode_message(args, m, ids)
                       : input_prompt(&args->prompt, tnn_model_tokenizer(m), tnn_model_hparams(m)->n_vocab, ids);
    if (code == UI_OK && ids->n == 0) return ui_error(UI_USAGE, "the prompt is empty");
    return code;
}

static int print_json(const run_args *args, const generation *gen, const tnn_ids *prompt) {
    const tnn_generate_result *r = &gen->result;
    const int32_t *ids = tnn_seq_ids(gen->engine->seq) + r->n_prompt;
    json_t *object = json_object();
    json_object_set_new(object, "text", json_text(gen->text.data, gen->text.n));
    json_object_set_new(object, "ids", json_ids(ids, (size_t)r->n_generated));
    json_object_set_new(object, "finish_reason", json_string(tnn_finish_name(r->finish)));
    json_object_set_new(object, "prompt_ids", json_ids(prompt->data, prompt->n));
    json_object_set_new(object, "seed", json_integer(args->sample.seed));
    json_object_set_new(object, "prompt_tokens", json_integer(r->n_prompt));
    json_object_set_new(object, "generated_tokens", json_integer(r->n_generated));
    json_object_set_new(object, "prompt_seconds", json_number(r->prompt_seconds));
    json_object_set_new(object, "decode_seconds", json_number(r->decode_seconds));
    json_object_set_new(object, "prompt_tokens_per_second",
                        json_number(tokens_per_second(gen->n_computed, r->prompt_seconds)));
    json_object_set_new(object, "decode_tokens_per_second",
                        json_number(tokens_per_second(r->n_generated, r->decode_seconds)));
    json_object_set_new(object, "taps", taps_json(gen->taps));
    return json_print(object);
}

static int generate(const run_args *args, engine *e, taps *t, const tnn_ids *prompt) {
    generation gen = {.sample = &args->sample,
                      .engine = e,
                      .taps = t,
                      .prompt_cache = args->prompt_cache,
                      .stream = !args->json};
    int code = generation_run(&gen, prompt);
    if (code == UI_OK) code = taps_write(t, &args->taps);
    if (!args->json && gen.text.n > 0) putchar('\n');
    if (code == UI_OK && args->json) {
        code = print_json(args, &gen, prompt);
    } else if (code == UI_OK) {
        fflush(stdout);
        taps_print(t);
        if (!args->quiet) generation_print_timings(&gen);
    }
    generation_end(&gen);
    return code;
}

/* The first run finds no file; one that is damaged or another model's is worth telling. */
static int take_up_cache(const run_args *args, const engine *e) {
    tnn_error err;
    if (!args->prompt_cache || access(args->prompt_cache, F_OK) != 0) return UI_OK;
    return tnn_seq_restore(e->seq, args->prompt_cache, &err) == TNN_OK ? UI_OK : ui_error(UI_USAGE, "%s", err.text);
}

static void init(void *p) {
    run_args *args = p;
    context_args_init(&args->context);
    sample_args_init(&args->sample);
}

/* What can be told before a model is opened. */
static int check_args(const run_args *args) {
    if (args->raw && about_message(args))
        return ui_error(UI_USAGE, "--raw excludes --chat-template, --system, --answer-prefix and --think");
    int code = input_check(&args->prompt);
    if (code == UI_OK) code = sample_args_check(&args->sample);
    if (code == UI_OK) code = context_check(&args->context);
    if (code == UI_OK) code = chat_check(&args->chat);
    if (code == UI_OK) code = check_adapters(&args->adapters);
    if (code == UI_OK && args->prompt_cache) code = check_output(args->prompt_cache);
    if (code == UI_OK && args->prompt_cache && args->taps.out) code = check_apart(args->taps.out, args->prompt_cache);
    if (code == UI_OK) code = check_not_read(args->taps.out, &args->file, &args->adapters);
    if (code == UI_OK && args->taps.out && args->prompt.file) code = check_not_input(args->taps.out, args->prompt.file);
    return code;
}

static int run(void *p) {
    run_args *args = p;
    engine e = {0};
    tnn_ids prompt = {0};
    taps t;
    sample_args_pick_seed(&args->sample);
    int code = taps_begin(&t, &args->taps);
    if (code == UI_OK) code = check_args(args);
    if (code == UI_OK) code = open_engine(&e, &args->file, &args->compute, &args->adapters);
    if (code == UI_OK) code = encode(args, e.model, &prompt);
    if (code == UI_OK) code = open_seq(&e, &args->context, t.globs);
    if (code == UI_OK) code = take_up_cache(args, &e);
    if (code == UI_OK) code = generate(args, &e, &t, &prompt);
    taps_end(&t);
    tnn_ids_free(&prompt);
    close_engine(&e);
    return code;
}

const verb verb_run = {
    .name = "run",
    .summary = "generate text from a prompt",
    .description =
        "Generates text after a prompt and prints it as it comes. Where the file has a chat template (an instruct "
        "model) "
        "the prompt is a message and the answer is printed; with --raw, with --prompt-ids, and for a base model the "
        "text itself goes on. Ctrl-C ends the text; a second one ends the program.",
    .positionals = {{"MODEL", offsetof(run_args, file.model), false}},
    .groups = {{prompt_options, offsetof(run_args, prompt)},
               {verb_options, 0},
               {chat_options, offsetof(run_args, chat)},
               {sample_options, offsetof(run_args, sample)},
               {context_options, offsetof(run_args, context)},
               {tap_options, offsetof(run_args, taps)},
               {adapter_options, offsetof(run_args, adapters)},
               {compute_options, offsetof(run_args, compute)},
               {file_options, offsetof(run_args, file)}},
    .args_size = sizeof(run_args),
    .init = init,
    .run = run,
    .hears_interrupts = true,
};
