/*
 * Any bytes as a JSONL file of training rows: refused with file, line and reason, or every sequence of it is within its
 * limits and fills batches. The first byte chooses between rows and plain text, and the options.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/dataset.h>

#include "support/fuzz_file.h"
#include "support/tiny_vocab.h"

enum { MAX_LENGTH = 24, BATCH_ROWS = 32 };

static tnn_gguf *gguf;
static tnn_tokenizer *tokenizer;
static tnn_chat_template *chat;

static void set_up(void) {
    static bytes file;
    tiny_vocab v = {0};
    add_chatml_vocab(&v);
    put_vocab(&file, &v, "gpt2", "gpt-2");
    fuzz_require(tnn_gguf_open_memory(&gguf, file.data, file.size, NULL, NULL) == TNN_OK);
    fuzz_require(tnn_tokenizer_new(&tokenizer, gguf, NULL, NULL) == TNN_OK);
    fuzz_require(tnn_chat_template_new(&chat, gguf, tnn_chat_template_known(0), NULL, NULL) == TNN_OK);
}

static void check_sequences(const tnn_dataset *d, const tnn_dataset_options *o) {
    tnn_dataset_stats s = tnn_dataset_get_stats(d);
    int64_t n_tokens = 0, n_trained = 0;
    fuzz_require(s.n_sequences > 0);
    for (int64_t i = 0; i < s.n_sequences; i++) {
        const char *trained;
        int64_t n;
        const int32_t *ids = tnn_dataset_sequence(d, i, &trained, &n);
        fuzz_require(n > 0 && n <= o->max_length);
        for (int64_t t = 0; t < n; t++) {
            fuzz_require(ids[t] >= 0 && ids[t] < tnn_tokenizer_n_vocab(tokenizer));
            n_trained += t > 0 && trained[t] == 1; /* nothing stands before the first */
        }
        n_tokens += n;
    }
    fuzz_require(n_tokens == s.n_tokens && n_trained == s.n_trained);
}

static void check_batches(const tnn_dataset *d) {
    tnn_batch_buffer b;
    tnn_cursor cursor = {0};
    fuzz_require(tnn_batch_buffer_init(&b, BATCH_ROWS, NULL, NULL) == TNN_OK);
    for (int i = 0; i < 3; i++)
        tnn_batch_fill(&b, d, &cursor, i > 0);
    tnn_batch_buffer_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!gguf) set_up();
    if (size == 0) return 0;
    const char *path = fuzz_file(data + 1, size - 1);
    tnn_dataset_options o = tnn_dataset_options_default();
    o.max_length = MAX_LENGTH;
    o.train_prompt = data[0] & 1;
    o.seed = data[0];
    tnn_dataset *d;
    tnn_error err = {0};
    tnn_status status = data[0] & 2
                            ? tnn_dataset_open_text(&d, path, tokenizer, &o, NULL, &err)
                            : tnn_dataset_open_jsonl(&d, path, tokenizer, data[0] & 4 ? NULL : chat, &o, NULL, &err);
    if (status != TNN_OK) {
        fuzz_require(!d && strstr(err.text, path));
        return 0;
    }
    check_sequences(d, &o);
    check_batches(d);
    tnn_dataset_free(d);
    return 0;
}
