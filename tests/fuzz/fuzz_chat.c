/*
 * Any bytes as a template, and any bytes as messages of every format: spans tile the text, and no content becomes a
 * control token. The first byte chooses format, roles and options.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/chat.h>

#include "support/tiny_vocab.h"

static void require(bool condition) {
    if (!condition) abort();
}

static tnn_gguf *gguf;
static tnn_tokenizer *tokenizer;

static void set_up(void) {
    static bytes file;
    tiny_vocab v = {0};
    add_chatml_vocab(&v);
    put_vocab(&file, &v, "gpt2", "gpt-2");
    require(tnn_gguf_open_memory(&gguf, file.data, file.size, NULL, NULL) == TNN_OK);
    require(tnn_tokenizer_new(&tokenizer, gguf, NULL, NULL) == TNN_OK);
}

static void detect(const uint8_t *data, size_t size) {
    char *jinja = malloc(size + 2);
    require(jinja != NULL);
    jinja[0] = '{'; /* a Jinja text, not a name */
    memcpy(jinja + 1, data, size);
    jinja[size + 1] = '\0';
    tnn_chat_template *c;
    tnn_error err = {0};
    tnn_status status = tnn_chat_template_new(&c, gguf, jinja, NULL, &err);
    require(status == TNN_OK ? c != NULL : status == TNN_E_UNSUPPORTED && err.text[0]);
    tnn_chat_template_free(c);
    free(jinja);
}

static size_t count_controls(const tnn_chat_template *c, const tnn_chat_message *messages, size_t n,
                             const tnn_chat_options *options) {
    tnn_ids ids = {0};
    tnn_text trained = {0};
    size_t count = 0;
    require(tnn_chat_encode(c, tokenizer, messages, n, options, &ids, &trained, NULL) == TNN_OK);
    require(ids.n == trained.n);
    for (size_t i = 0; i < ids.n; i++)
        count += tnn_tokenizer_token_type(tokenizer, ids.data[i]) == TNN_TOKEN_CONTROL;
    tnn_ids_free(&ids);
    tnn_text_free(&trained);
    return count;
}

static void check_spans(const tnn_chat_template *c, const tnn_chat_message *messages, size_t n,
                        const tnn_chat_options *options) {
    tnn_chat_rendering r = {0};
    require(tnn_chat_render(c, messages, n, options, &r, NULL) == TNN_OK);
    size_t next = 0;
    for (size_t i = 0; i < r.n_spans; i++) {
        require(r.spans[i].begin == next && r.spans[i].end > next);
        next = r.spans[i].end;
    }
    require(next == r.text.n);
    tnn_chat_rendering_free(&r);
}

/* A format, or the template that does most with thoughts. */
static tnn_chat_template *template_of(uint8_t choice) {
    static const char thoughts[] = "<|im_start|> set content = render_content(message.content, true)|trim "
                                   "split('</think>')[-1].lstrip('\\n') '\\n</think>\\n\\n' + content "
                                   "{%- if add_generation_prompt %}{%- if enable_thinking is false %}"
                                   "{{- '<think>\\n\\n</think>\\n\\n' }}{%- else %}{{- '<think>\\n' }}{%- endif %}";
    int n_formats = 0;
    while (tnn_chat_template_known(n_formats))
        n_formats++;
    int i = choice % (n_formats + 1);
    tnn_chat_template *c;
    require(tnn_chat_template_new(&c, gguf, i < n_formats ? tnn_chat_template_known(i) : thoughts, NULL, NULL) ==
            TNN_OK);
    return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!gguf) set_up();
    detect(data, size);
    if (size < 2) return 0;
    tnn_chat_template *c = template_of(data[0]);

    const char *text = (const char *)data + 2;
    size_t n_text = size - 2, third = n_text / 3;
    tnn_chat_message messages[3] = {
        {.role = "system", .content = text, .content_size = third},
        {.role = "user", .content = text + third, .content_size = third},
        {.role = "assistant", .content = text + 2 * third, .content_size = n_text - 2 * third},
    };
    if (data[1] & 4) messages[2].role = "user";
    messages[2].not_learned = (data[1] & 16) != 0;
    tnn_chat_options options = {.generation_prompt = data[1] & 1, .after_last_answer = (data[1] & 2) != 0};
    size_t first = data[1] & 8 ? 1 : 0;
    check_spans(c, messages + first, 3 - first, &options);
    size_t controls = count_controls(c, messages + first, 3 - first, &options);
    for (int i = 0; i < 3; i++)
        messages[i].content_size = 0;
    require(controls == count_controls(c, messages + first, 3 - first, &options));
    tnn_chat_template_free(c);
    return 0;
}
