/* Samples of a run: what the model as it stands says to a prompt, greedily, so that two samples differ by training
 * alone. */
#include <string.h>

#include <tinynn/seq.h>

#include "engine/model.h"
#include "recipes/run.h"

/* What is trained, seen as a model; lent, never freed. */
static tnn_model as_model(const tnn_run *r) {
    return (tnn_model){.session = r->session, .arch = r->arch, .weights = r->weights, .tokenizer = r->tokenizer};
}

/* A user's message where the data are conversations, else the text itself. */
static tnn_status encode_prompt(const tnn_run *r, tnn_ids *ids, tnn_error *err) {
    const tnn_train_config *c = &r->config;
    size_t n = strlen(c->sample_prompt);
    if (!r->chat || !c->data[0])
        return tnn_tokenizer_encode(r->tokenizer, c->sample_prompt, n, TNN_ENCODE_ADD_SPECIAL, ids, err);
    tnn_chat_options o = tnn_chat_options_default();
    const tnn_chat_message messages[2] = {
        {.role = "system", .content = c->system, .content_size = strlen(c->system)},
        {.role = "user", .content = c->sample_prompt, .content_size = n},
    };
    size_t first = c->system[0] ? 0 : 1;
    return tnn_chat_encode(r->chat, r->tokenizer, messages + first, 2 - first, &o, ids, NULL, err);
}

static tnn_seq_options seq_options(const tnn_run *r, int64_t n_prompt) {
    tnn_seq_options o = tnn_seq_options_default();
    o.n_ctx = n_prompt + r->config.sample_tokens;
    o.n_batch = n_prompt;
    o.snapshot_bytes = 0;
    return o;
}

typedef struct collected {
    tnn_text *text;
    tnn_error *err;
    tnn_status status;
} collected;

/* A NUL, with which an event would end, becomes U+FFFD as bytes that are no character do. */
static bool collect(void *ctx, int32_t id, const char *text, size_t n) {
    collected *c = ctx;
    (void)id;
    for (size_t i = 0; i < n && !c->status; i++) {
        c->status = tnn_text_append(c->text, text[i] ? text + i : "\xEF\xBF\xBD", text[i] ? 1 : 3, c->err);
    }
    return c->status == TNN_OK;
}

static tnn_status generate(const tnn_run *r, const tnn_ids *prompt, tnn_text *out, tnn_error *err) {
    tnn_model m = as_model(r);
    tnn_seq_options so = seq_options(r, (int64_t)prompt->n);
    collected c = {.text = out, .err = err};
    tnn_generate_options go = tnn_generate_options_default();
    tnn_generate_result result;
    tnn_seq *q;
    go.n_predict = r->config.sample_tokens;
    go.sampler.temperature = 0.0f;
    go.on_token = collect;
    go.ctx = &c;
    tnn_status status = tnn_seq_new(&q, &m, &so, err);
    if (status) return status;
    status = tnn_seq_generate(q, prompt->data, (int64_t)prompt->n, &go, &result, err);
    tnn_seq_free(q);
    return c.status ? c.status : status;
}

tnn_status tnn__run_sample(const tnn_run *r, tnn_text *out, tnn_error *err) {
    tnn_ids prompt = {.allocator = &r->session->alloc};
    tnn_status status = encode_prompt(r, &prompt, err);
    if (!status) status = generate(r, &prompt, out, err);
    tnn_ids_free(&prompt);
    return status;
}

size_t tnn__run_sample_bytes(const tnn_run *r) {
    tnn_model m = as_model(r);
    tnn_ids prompt = {.allocator = &r->session->alloc};
    size_t cache = 0, workspace = 0;
    if (r->config.sample_prompt[0] && encode_prompt(r, &prompt, NULL) == TNN_OK) {
        tnn_seq_options so = seq_options(r, (int64_t)prompt.n);
        tnn_seq_bytes(&m, &so, &cache, &workspace, NULL);
    }
    tnn_ids_free(&prompt);
    return cache + workspace;
}
