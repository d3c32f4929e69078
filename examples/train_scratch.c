/*
 * A language model from a text file and nothing else: learns a tokenizer, then trains random weights. The program
 * generate speaks with what comes out.
 *
 *   train_scratch TEXT TOKENIZER.gguf RUN [STEPS]
 *
 * TOKENIZER.gguf is written; RUN is the folder that gets model.gguf, checkpoints, events.jsonl and report.html.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/tnn.h>

static void print_progress(void *ctx, const tnn_train_progress *p) {
    (void)ctx;
    printf("step %lld of %lld  loss %.4f\n", (long long)p->step, (long long)p->n_steps, p->loss);
}

/* The first megabyte decides which bytes become tokens; any text can be written in them. */
static tnn_status learn_tokenizer(const char *path, const char *out, tnn_error *error) {
    static char text[1 << 20];
    FILE *file = fopen(path, "rb");
    if (!file) {
        snprintf(error->text, sizeof error->text, "%s cannot be opened", path);
        return TNN_E_IO;
    }
    size_t n = fread(text, 1, sizeof text, file);
    fclose(file);

    tnn_bpe_options options = tnn_bpe_options_default();
    tnn_bpe_trainer *trainer;
    options.vocab_size = 512;
    tnn_status status = tnn_bpe_trainer_new(&trainer, &options, NULL, error);
    if (!status) status = tnn_bpe_trainer_add(trainer, text, n, error);
    if (!status) status = tnn_bpe_trainer_run(trainer, error);
    if (!status) status = tnn_bpe_trainer_save(trainer, out, error);
    tnn_bpe_trainer_free(trainer);
    return status;
}

/* args: the text, the tokenizer, the folder of the run. Settings left alone have the defaults of the recipe. */
static tnn_status train(tnn_session *session, char **args, int64_t n_steps, tnn_error *error) {
    tnn_train_config config = tnn_train_config_default(TNN_RECIPE_SCRATCH);
    const tnn_train_hooks hooks = {.on_progress = print_progress};
    tnn_run *run;
    config.text = args[0];
    config.tokenizer = args[1];
    config.d_model = 128;
    config.n_layers = 2;
    config.n_heads = 4;
    config.d_ff = 384;
    config.max_seq_length = 128;
    config.iters = n_steps;
    tnn_status status = tnn_run_new(&run, session, &config, error);
    if (!status) status = tnn_run_train(run, args[2], &hooks, error);
    tnn_run_free(run);
    return status;
}

int main(int argc, char **argv) {
    tnn_session *session = NULL;
    tnn_error error = {0};
    if (argc < 4) {
        fprintf(stderr, "usage: train_scratch TEXT TOKENIZER.gguf RUN [STEPS]\n");
        return 2;
    }
    tnn_status status = tnn_session_new(&session, NULL, &error);
    if (!status) status = learn_tokenizer(argv[1], argv[2], &error);
    if (!status) status = train(session, argv + 1, argc > 4 ? strtoll(argv[4], NULL, 10) : 200, &error);
    if (status) fprintf(stderr, "train_scratch: %s\n", error.text);
    tnn_session_free(session);
    return status ? 1 : 0;
}
