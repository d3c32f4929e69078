/* From a prompt to text. */
#include "generate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "json.h"

const arg_option sample_options[] = {
    {"-n, --n-predict, --predict", ARG_INT, offsetof(sample_args, n_predict), "N", -1, INT32_MAX,
     "-1: until the model ends or the context is full", "tokens to generate, at most"},
    {"--temp", ARG_REAL, offsetof(sample_args, temperature), "T", 0, 1000, NULL,
     "temperature; 0 takes the likeliest token, always"},
    {"--top-k", ARG_INT, offsetof(sample_args, top_k), "N", 0, INT32_MAX, NULL,
     "draw from the N likeliest tokens; 0: all"},
    {"--top-p", ARG_REAL, offsetof(sample_args, top_p), "P", 0, 1, NULL,
     "draw from the fewest tokens that make up P of the probability; 1: off"},
    {"--min-p", ARG_REAL, offsetof(sample_args, min_p), "P", 0, 1, NULL,
     "drop tokens less likely than P times the likeliest; 0: off"},
    {"--typical", ARG_REAL, offsetof(sample_args, typical_p), "P", 0, 1, NULL, "locally typical sampling; 1: off"},
    {"--repeat-penalty", ARG_REAL, offsetof(sample_args, repeat_penalty), "X", 0, 1000, NULL,
     "divide the logits of tokens seen lately; 1: off"},
    {"--repeat-last-n", ARG_INT, offsetof(sample_args, repeat_last_n), "N", -1, INT32_MAX, NULL,
     "tokens that the penalties look back; -1: all"},
    {"--presence-penalty", ARG_REAL, offsetof(sample_args, presence_penalty), "X", -1000, 1000, NULL,
     "taken from the logits of tokens seen lately"},
    {"--frequency-penalty", ARG_REAL, offsetof(sample_args, frequency_penalty), "X", -1000, 1000, NULL,
     "the same, once for each time a token was seen"},
    {"-s, --seed", ARG_INT, offsetof(sample_args, seed), "N", -1, 9007199254740992.0, "-1: another one each time",
     "same seed, same text"},
    {"--ignore-eos", ARG_FLAG, offsetof(sample_args, ignore_eos), NULL, 0, 0, NULL,
     "go on after the token with which the model ends"},
    {"--stop, -r, --reverse-prompt", ARG_TEXTS, offsetof(sample_args, stops), "TEXT", 0, 0, NULL,
     "end before this text; may be given many times"},
    {0},
};

/* The library's float as a person writes it: 0.8, not 0.800000011920929. */
static double written(float x) {
    json_t *value = json_float(x);
    double y = value ? json_real_value(value) : (double)x;
    json_decref(value);
    return y;
}

void sample_args_init(sample_args *args) {
    tnn_generate_options standard = tnn_generate_options_default();
    const tnn_sampler_params *p = &standard.sampler;
    args->n_predict = standard.n_predict;
    args->seed = -1;
    args->top_k = p->top_k;
    args->repeat_last_n = p->repeat_last_n;
    args->temperature = written(p->temperature);
    args->top_p = written(p->top_p);
    args->min_p = written(p->min_p);
    args->typical_p = written(p->typical_p);
    args->repeat_penalty = written(p->repeat_penalty);
    args->presence_penalty = written(p->presence_penalty);
    args->frequency_penalty = written(p->frequency_penalty);
}

int sample_args_check(const sample_args *args) {
    if ((float)args->repeat_penalty > 0.0f) return UI_OK;
    return ui_error(UI_USAGE, "--repeat-penalty: %g is out of range; give a number above 0, 1 is off",
                    args->repeat_penalty);
}

void sample_args_pick_seed(sample_args *args) {
    struct timespec t;
    if (args->seed >= 0) return;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t mixed = ((uint64_t)t.tv_sec * 1000000007u + (uint64_t)t.tv_nsec) ^ ((uint64_t)getpid() << 20);
    args->seed = (int64_t)(mixed & 0x7fffffff); /* short enough to be typed again */
}

static tnn_generate_options generate_options(generation *gen) {
    const sample_args *s = gen->sample;
    tnn_generate_options o = tnn_generate_options_default();
    o.n_predict = s->n_predict;
    o.sampler = (tnn_sampler_params){
        .temperature = (float)s->temperature,
        .top_k = (int32_t)s->top_k,
        .top_p = (float)s->top_p,
        .min_p = (float)s->min_p,
        .typical_p = (float)s->typical_p,
        .repeat_penalty = (float)s->repeat_penalty,
        .presence_penalty = (float)s->presence_penalty,
        .frequency_penalty = (float)s->frequency_penalty,
        .repeat_last_n = (int32_t)s->repeat_last_n,
        .seed = (uint64_t)s->seed,
    };
    o.ignore_eos = s->ignore_eos;
    o.stops = s->stops.items;
    o.n_stops = s->stops.n;
    o.ctx = gen;
    return o;
}

/* --- the prompt --- */

static void end_progress(generation *gen) {
    ui_progress_end(&gen->progress);
    gen->progress = (ui_progress){0};
}

static void save_prompt(generation *gen) {
    tnn_error err;
    if (tnn_seq_save(gen->engine->seq, gen->prompt_cache, &err) != TNN_OK)
        gen->code = ui_error(UI_FAILURE, "%s", err.text);
}

static bool on_batch(void *ctx, int64_t pos, int64_t n, const float *logits) {
    generation *gen = ctx;
    (void)logits;
    gen->n_computed += n;
    ui_progress_update(&gen->progress, pos + n, gen->n_prompt, NULL);
    if (pos + n == gen->n_prompt) end_progress(gen);
    if (gen->taps) gen->code = taps_collect(gen->taps, gen->engine->seq);
    if (gen->code == UI_OK && gen->prompt_cache && pos + n == gen->n_prompt) save_prompt(gen);
    return gen->code == UI_OK && !ui_interrupted();
}

/* --- the text --- */

static bool on_token(void *ctx, int32_t id, const char *text, size_t n) {
    generation *gen = ctx;
    tnn_error err;
    if (tnn_text_append(&gen->text, text, n, &err) != TNN_OK) {
        gen->code = ui_fail(&err);
        return false;
    }
    if (gen->stream && n > 0) {
        fwrite(text, 1, n, stdout);
        fflush(stdout);
    }
    /* What ran last is the prompt before the first token, and was collected; -1 is text that was held back. */
    if (gen->taps && gen->has_token && id >= 0) gen->code = taps_collect(gen->taps, gen->engine->seq);
    gen->has_token = true;
    return gen->code == UI_OK && !ui_interrupted();
}

int generation_run(generation *gen, const tnn_ids *prompt) {
    tnn_seq *q = gen->engine->seq;
    tnn_error err;
    if ((int64_t)prompt->n > tnn_seq_capacity(q))
        return ui_error(UI_USAGE,
                        "the prompt has %zu tokens and the context holds %" PRId64 ": give a larger one with -c",
                        prompt->n, tnn_seq_capacity(q));
    tnn_generate_options options = generate_options(gen);
    options.on_batch = on_batch;
    options.on_token = on_token;
    gen->text.n = 0;
    gen->has_token = false;
    gen->n_prompt = (int64_t)prompt->n;
    gen->n_computed = 0;
    gen->progress = ui_progress_begin("prompt");
    double start = ui_seconds();
    tnn_status status = tnn_seq_generate(q, prompt->data, gen->n_prompt, &options, &gen->result, &err);
    end_progress(gen);
    if (gen->code != UI_OK) return gen->code;
    if (status == TNN_E_CANCELLED) {
        gen->result.finish = TNN_FINISH_CANCELLED;
        gen->result.prompt_seconds = ui_seconds() - start;
        return UI_OK;
    }
    return status == TNN_OK ? UI_OK : ui_fail(&err);
}

void generation_end(generation *gen) {
    tnn_text_free(&gen->text);
}

double tokens_per_second(int64_t tokens, double seconds) {
    return seconds > 0 ? (double)tokens / seconds : 0;
}

void generation_print_timings(const generation *gen) {
    const tnn_generate_result *r = &gen->result;
    fprintf(stderr, "prompt %" PRId64 " tokens", r->n_prompt);
    if (r->n_reused) fprintf(stderr, ", %" PRId64 " of them known", r->n_reused);
    fprintf(stderr, " (%.1f tok/s), %" PRId64 " new (%.1f tok/s), %s\n",
            tokens_per_second(gen->n_computed, r->prompt_seconds), r->n_generated,
            tokens_per_second(r->n_generated, r->decode_seconds), tnn_finish_name(r->finish));
}
