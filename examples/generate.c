/*
 * The smallest useful program: loads a model, continues a prompt, prints the text as it comes.
 *
 *   generate MODEL.gguf "Once upon a time" [TOKENS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/tnn.h>

static bool print_text(void *ctx, int32_t id, const char *text, size_t n) {
    (void)ctx;
    (void)id;
    return fwrite(text, 1, n, stdout) == n && fflush(stdout) == 0;
}

/* Every step fails the same way: `error` holds one line that says what, where and what to do. */
static tnn_status generate(tnn_model *model, const char *prompt, int64_t n_predict, tnn_error *error) {
    const tnn_tokenizer *tokenizer = tnn_model_tokenizer(model);
    tnn_ids ids = {0};
    tnn_seq *seq = NULL;
    tnn_generate_options options = tnn_generate_options_default();
    tnn_generate_result result;
    tnn_status status;

    if (!tokenizer) {
        snprintf(error->text, sizeof(error->text), "the file has no tokenizer");
        return TNN_E_UNSUPPORTED;
    }
    options.n_predict = n_predict;
    options.on_token = print_text;

    status = tnn_tokenizer_encode(tokenizer, prompt, strlen(prompt), TNN_ENCODE_ADD_SPECIAL, &ids, error);
    if (!status) status = tnn_seq_new(&seq, model, NULL, error);
    if (!status) status = tnn_seq_generate(seq, ids.data, (int64_t)ids.n, &options, &result, error);
    if (!status) printf("\n[%lld tokens, %s]\n", (long long)result.n_generated, tnn_finish_name(result.finish));
    tnn_seq_free(seq);
    tnn_ids_free(&ids);
    return status;
}

int main(int argc, char **argv) {
    tnn_session *session = NULL;
    tnn_model *model = NULL;
    tnn_error error = {0};
    tnn_status status;

    if (argc < 3) {
        fprintf(stderr, "usage: generate MODEL.gguf PROMPT [TOKENS]\n");
        return 2;
    }
    status = tnn_session_new(&session, NULL, &error);
    if (!status) status = tnn_model_load(&model, session, argv[1], NULL, &error);
    if (!status) status = generate(model, argv[2], argc > 3 ? strtoll(argv[3], NULL, 10) : 64, &error);
    if (status) fprintf(stderr, "generate: %s\n", error.text);

    tnn_model_free(model);
    tnn_session_free(session);
    return status ? 1 : 0;
}
