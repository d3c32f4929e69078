/*
 * Fine-tunes a model: low-rank pairs beside its weights (lora), or every weight (full). A run that was stopped goes on
 * with tnn_run_open in the place of tnn_run_new, or by tnn train --resume RUN.
 *
 *   train lora|full MODEL.gguf DATA RUN [STEPS]
 *
 * DATA is a folder with train.jsonl (and perhaps valid.jsonl), RUN the folder that gets adapter.gguf or model.gguf,
 * checkpoints, events.jsonl and report.html.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/tnn.h>

static void print_progress(void *ctx, const tnn_train_progress *p) {
    (void)ctx;
    const char *what = p->is_eval ? "validation loss" : "loss";
    printf("step %lld of %lld  %s %.4f\n", (long long)p->step, (long long)p->n_steps, what,
           p->is_eval ? p->val_loss : p->loss);
}

/* Every setting has a default that fits the recipe; include/tinynn/train.h lists them all. */
static tnn_status train(tnn_session *session, char **args, int64_t n_steps, tnn_error *error) {
    tnn_recipe recipe = strcmp(args[0], "lora") == 0 ? TNN_RECIPE_LORA : TNN_RECIPE_FULL;
    tnn_train_config config = tnn_train_config_default(recipe);
    const tnn_train_hooks hooks = {.on_progress = print_progress};
    tnn_run *run = NULL;
    config.model = args[1];
    config.data = args[2];
    config.iters = n_steps;
    config.learning_rate = recipe == TNN_RECIPE_LORA ? 1e-3 : 1e-4;
    config.max_seq_length = 256;

    tnn_status status = tnn_run_new(&run, session, &config, error);
    if (!status) {
        tnn_train_plan plan = tnn_run_plan(run);
        printf("%lld parameters, %.0f MB\n", (long long)plan.n_params, (double)plan.memory_bytes / 1e6);
        status = tnn_run_train(run, args[3], &hooks, error);
        if (!status) printf("%s/%s\n", args[3], plan.result);
    }
    tnn_run_free(run);
    return status;
}

int main(int argc, char **argv) {
    tnn_session *session = NULL;
    tnn_error error = {0};
    if (argc < 5 || (strcmp(argv[1], "lora") != 0 && strcmp(argv[1], "full") != 0)) {
        fprintf(stderr, "usage: train lora|full MODEL.gguf DATA RUN [STEPS]\n");
        return 2;
    }
    tnn_status status = tnn_session_new(&session, NULL, &error);
    if (!status) status = train(session, argv + 1, argc > 5 ? strtoll(argv[5], NULL, 10) : 100, &error);
    if (status) fprintf(stderr, "train: %s\n", error.text);
    tnn_session_free(session);
    return status ? 1 : 0;
}
