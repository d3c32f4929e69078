/*
 * Generation: prompt, sample, append, until an end: a token that ends, a stop string, the limit asked for, the context,
 * or the caller.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "engine/seq.h"

tnn_generate_options tnn_generate_options_default(void) {
    return (tnn_generate_options){.n_predict = -1, .sampler = tnn_sampler_params_default()};
}

const char *tnn_finish_name(tnn_finish f) {
    switch (f) {
    case TNN_FINISH_STOP:
        return "stop";
    case TNN_FINISH_LENGTH:
        return "length";
    case TNN_FINISH_CONTEXT:
        return "context";
    case TNN_FINISH_CANCELLED:
        return "cancelled";
    }
    return "unknown";
}

typedef struct generation {
    tnn_seq *q;
    const tnn_generate_options *options;
    tnn_sampler *sampler;
    tnn_detokenizer *detokenizer; /* NULL without a tokenizer */
    tnn_text held;                /* text that may be the beginning of a stop string */
    bool closed;                  /* a stop string or the caller ended the text: nothing more is handed out */
    bool waiting;                 /* the newest id is not in the cache yet */
    tnn_generate_result *result;
    tnn_error *err;
} generation;

static bool emit(generation *gen, int32_t id, const char *text, size_t n) {
    const tnn_generate_options *o = gen->options;
    return !o->on_token || o->on_token(o->ctx, id, text, n);
}

/* Where the first stop string begins in the held text, or SIZE_MAX. */
static size_t find_stop(const generation *gen) {
    size_t first = SIZE_MAX;
    for (int i = 0; i < gen->options->n_stops; i++) {
        size_t n = strlen(gen->options->stops[i]);
        for (size_t at = 0; n > 0 && at + n <= gen->held.n && at < first; at++) {
            if (memcmp(gen->held.data + at, gen->options->stops[i], n) == 0) first = at;
        }
    }
    return first;
}

/* Bytes at the end of the held text that could still grow into a stop string. */
static size_t possible_stop(const generation *gen) {
    size_t most = 0;
    for (int i = 0; i < gen->options->n_stops; i++) {
        size_t n = strlen(gen->options->stops[i]);
        size_t k = n - (n > 0) < gen->held.n ? n - (n > 0) : gen->held.n;
        for (; k > most; k--) {
            if (memcmp(gen->held.data + gen->held.n - k, gen->options->stops[i], k) == 0) most = k;
        }
    }
    return most;
}

typedef enum step_end { GO_ON, ENDED, FAILED } step_end;

/* Hands out the text of a new id; whole characters only, and nothing of a stop string. */
static step_end hand_out(generation *gen, int32_t id, tnn_gguf_str text, bool final) {
    if (tnn_text_append(&gen->held, text.data, text.size, gen->err)) return FAILED;
    size_t stop = find_stop(gen);
    if (stop != SIZE_MAX) {
        gen->closed = true;
        gen->result->finish = emit(gen, id, gen->held.data, stop) ? TNN_FINISH_STOP : TNN_FINISH_CANCELLED;
        return ENDED;
    }
    size_t ready = gen->held.n - (final ? 0 : possible_stop(gen));
    bool go_on = emit(gen, id, gen->held.data ? gen->held.data : "", ready);
    if (gen->held.data) memmove(gen->held.data, gen->held.data + ready, gen->held.n - ready);
    gen->held.n -= ready;
    if (go_on) return GO_ON;
    gen->closed = true;
    gen->result->finish = TNN_FINISH_CANCELLED;
    return ENDED;
}

static step_end hand_out_id(generation *gen, int32_t id) {
    tnn_gguf_str text = {"", 0};
    if (gen->detokenizer && tnn_detokenizer_push(gen->detokenizer, id, &text, gen->err)) return FAILED;
    return hand_out(gen, id, text, false);
}

/* Computes the newest id, which is done only once another one is wanted, and samples the next. */
static step_end generate_one(generation *gen) {
    tnn_seq *q = gen->q;
    const tnn_tokenizer *tokenizer = tnn_model_tokenizer(q->model);
    int32_t id;
    if (gen->options->n_predict >= 0 && gen->result->n_generated >= gen->options->n_predict) {
        gen->result->finish = TNN_FINISH_LENGTH;
        return ENDED;
    }
    if (q->length + gen->waiting >= q->options.n_ctx) {
        gen->result->finish = TNN_FINISH_CONTEXT;
        return ENDED;
    }
    if (gen->waiting) {
        int32_t newest = q->ids[q->length];
        if (tnn_seq_append(q, &newest, 1, TNN_WANT_LAST, NULL, NULL, gen->err)) return FAILED;
    }
    if (tnn_sampler_sample(gen->sampler, q->logits, (uint64_t)q->length, &id, gen->err)) return FAILED;
    if (tnn_sampler_accept(gen->sampler, id, gen->err)) return FAILED;
    gen->result->n_generated++;
    q->ids[q->length] = id;
    gen->waiting = true;
    if (!gen->options->ignore_eos && tokenizer && tnn_tokenizer_is_eog(tokenizer, id)) {
        gen->result->finish = TNN_FINISH_STOP;
        return ENDED;
    }
    return hand_out_id(gen, id);
}

/* What was held back: the beginning of a stop string that did not come, a character that stayed unfinished. */
static tnn_status finish_text(generation *gen) {
    tnn_gguf_str rest = {"", 0};
    if (gen->closed) return TNN_OK;
    if (gen->detokenizer && tnn_detokenizer_flush(gen->detokenizer, &rest, gen->err)) return gen->err->status;
    if (rest.size == 0 && gen->held.n == 0) return TNN_OK;
    return hand_out(gen, -1, rest, true) == FAILED ? gen->err->status : TNN_OK;
}

static tnn_status generate_all(generation *gen, const int32_t *prompt, int64_t n_prompt) {
    tnn_generate_result *r = gen->result;
    double start = tnn__seconds();
    tnn_status status =
        tnn_seq_prompt(gen->q, prompt, n_prompt, &r->n_reused, gen->options->on_batch, gen->options->ctx, gen->err);
    if (status) return status;
    for (int64_t i = 0; i < n_prompt && !status; i++) {
        status = tnn_sampler_accept(gen->sampler, prompt[i], gen->err);
    }
    if (status) return status;
    double prompted = tnn__seconds();
    r->prompt_seconds = prompted - start;
    step_end end;
    do {
        end = generate_one(gen);
    } while (end == GO_ON);
    r->decode_seconds = tnn__seconds() - prompted;
    return end == FAILED ? gen->err->status : finish_text(gen);
}

static tnn_status check_options(const tnn_generate_options *o, tnn_error *err) {
    if (o->n_predict < -1) {
        return tnn__fail(err, TNN_E_ARG, "%" PRId64 " tokens to predict: give 0 or more, or -1 for no limit",
                         o->n_predict);
    }
    if (o->n_stops < 0 || (o->n_stops > 0 && !o->stops))
        return tnn__fail(err, TNN_E_ARG, "%d stop strings, which are not there: give as many as n_stops says",
                         o->n_stops);
    for (int i = 0; i < o->n_stops; i++)
        if (!o->stops[i]) return tnn__fail(err, TNN_E_ARG, "stop string %d is NULL: give a string", i);
    return TNN_OK;
}

tnn_status tnn_seq_generate(tnn_seq *q, const int32_t *prompt, int64_t n_prompt, const tnn_generate_options *options,
                            tnn_generate_result *result, tnn_error *err) {
    tnn_generate_options defaults = tnn_generate_options_default();
    tnn_error unread;
    tnn_generate_result unwanted;
    generation gen = {
        .q = q,
        .options = options ? options : &defaults,
        .result = result ? result : &unwanted,
        .err = err ? err : &unread,
        .held.allocator = &q->session->alloc,
    };
    *gen.result = (tnn_generate_result){.n_prompt = n_prompt};
    tnn_status status = check_options(gen.options, err);
    if (status) return status;
    const tnn_tokenizer *tokenizer = tnn_model_tokenizer(q->model);
    const tnn_allocator *a = &q->session->alloc;
    int32_t n_vocab = (int32_t)tnn_model_hparams(q->model)->n_vocab;
    status = tnn_sampler_new(&gen.sampler, &gen.options->sampler, n_vocab, a, gen.err);
    if (!status && tokenizer) status = tnn_detokenizer_new(&gen.detokenizer, tokenizer, 0, a, gen.err);
    if (!status) status = generate_all(&gen, prompt, n_prompt);
    tnn_sampler_free(gen.sampler);
    tnn_detokenizer_free(gen.detokenizer);
    tnn_text_free(&gen.held);
    return status;
}
