/*
 * The sampling chain. Each step narrows an array of candidates down; order among them is made only where a step needs
 * it, the likeliest first and equal ones by id.
 */
#include <tinynn/sampler.h>

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/rng.h"

#define SAMPLER_STREAM UINT64_C(0x73616d706c657200) /* "sampler" */

typedef struct candidate {
    float logit;   /* after penalties */
    float rank;    /* what typical sorts by */
    double weight; /* e^((logit - largest logit) / temperature), at temperature 1 until the draw */
    int32_t id;
} candidate;

struct tnn_sampler {
    tnn_allocator alloc;
    tnn_sampler_params params;
    int32_t n_vocab;
    candidate *candidates; /* n_vocab */
    int32_t *counts;       /* of each token among those the penalties look at */
    int32_t *last;         /* ring of these; NULL unless repeat_last_n > 0 */
    size_t n_last, next_last;
};

tnn_sampler_params tnn_sampler_params_default(void) {
    return (tnn_sampler_params){
        .temperature = 0.8f,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .typical_p = 1.0f,
        .repeat_penalty = 1.0f,
        .repeat_last_n = 64,
    };
}

static tnn_status check_params(const tnn_sampler_params *p, tnn_error *err) {
    const struct {
        const char *name;
        float value, min, max;
    } limits[] = {
        {"temperature", p->temperature, 0.0f, INFINITY},
        {"top_p", p->top_p, 0.0f, 1.0f},
        {"min_p", p->min_p, 0.0f, 1.0f},
        {"typical_p", p->typical_p, 0.0f, 1.0f},
        {"repeat_penalty", p->repeat_penalty, 0.0f, INFINITY},
        {"presence_penalty", p->presence_penalty, -INFINITY, INFINITY},
        {"frequency_penalty", p->frequency_penalty, -INFINITY, INFINITY},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        float v = limits[i].value;
        if (!isfinite(v) || v < limits[i].min || v > limits[i].max) {
            return tnn__fail(err, TNN_E_ARG, "%s is %g: give a finite number from %g to %g", limits[i].name, (double)v,
                             (double)limits[i].min, (double)limits[i].max);
        }
    }
    if (p->repeat_penalty == 0.0f) return tnn__fail(err, TNN_E_ARG, "repeat_penalty is 0: give a number above 0");
    if (p->repeat_last_n < -1) {
        return tnn__fail(err, TNN_E_ARG, "repeat_last_n is %d: give a number of tokens, 0 for none or -1 for all",
                         (int)p->repeat_last_n);
    }
    return TNN_OK;
}

tnn_status tnn_sampler_new(tnn_sampler **out, const tnn_sampler_params *params, int32_t n_vocab,
                           const tnn_allocator *allocator, tnn_error *err) {
    *out = NULL;
    tnn_sampler_params p = params ? *params : tnn_sampler_params_default();
    tnn_status status = check_params(&p, err);
    if (status) return status;
    if (n_vocab < 1)
        return tnn__fail(err, TNN_E_ARG, "n_vocab is %d: a vocabulary has at least one token", (int)n_vocab);

    const tnn_allocator *a = tnn__allocator_or_default(allocator);
    tnn_sampler *s = tnn__calloc(a, sizeof *s, sizeof(void *));
    if (!s) return tnn__fail_nomem(err, "a sampler", sizeof *s);
    s->alloc = *a;
    s->params = p;
    s->n_vocab = n_vocab;
    size_t n = (size_t)n_vocab, n_ring = p.repeat_last_n > 0 ? (size_t)p.repeat_last_n : 0;
    s->candidates = tnn__calloc_array(a, n, sizeof *s->candidates);
    s->counts = tnn__calloc_array(a, n, sizeof *s->counts);
    if (n_ring) s->last = tnn__calloc_array(a, n_ring, sizeof *s->last);
    if (!s->candidates || !s->counts || (n_ring && !s->last)) {
        tnn_sampler_free(s);
        return tnn__fail_nomem(err, "a sampler", n * sizeof(candidate) + (n + n_ring) * sizeof(int32_t));
    }
    *out = s;
    return TNN_OK;
}

void tnn_sampler_free(tnn_sampler *s) {
    if (!s) return;
    tnn_allocator a = s->alloc;
    size_t n = (size_t)s->n_vocab;
    tnn__free_array(&a, s->candidates, n, sizeof *s->candidates);
    tnn__free_array(&a, s->counts, n, sizeof *s->counts);
    if (s->last) tnn__free_array(&a, s->last, (size_t)s->params.repeat_last_n, sizeof *s->last);
    tnn__free(&a, s, sizeof *s, sizeof(void *));
}

tnn_status tnn_sampler_accept(tnn_sampler *s, int32_t id, tnn_error *err) {
    if (id < 0 || id >= s->n_vocab) {
        return tnn__fail(err, TNN_E_RANGE, "token id %d is outside the vocabulary: ids are 0 to %d", (int)id,
                         (int)s->n_vocab - 1);
    }
    if (s->params.repeat_last_n == 0) return TNN_OK;
    if (s->last) {
        if (s->n_last == (size_t)s->params.repeat_last_n) {
            s->counts[s->last[s->next_last]]--;
        } else {
            s->n_last++;
        }
        s->last[s->next_last] = id;
        s->next_last = (s->next_last + 1) % (size_t)s->params.repeat_last_n;
    }
    if (s->counts[id] < INT32_MAX) s->counts[id]++;
    return TNN_OK;
}

void tnn_sampler_reset(tnn_sampler *s) {
    memset(s->counts, 0, (size_t)s->n_vocab * sizeof *s->counts);
    s->n_last = s->next_last = 0;
}

static bool likelier(const candidate *a, const candidate *b) {
    return a->logit != b->logit ? a->logit > b->logit : a->id < b->id;
}

static bool more_typical(const candidate *a, const candidate *b) {
    return a->rank != b->rank ? a->rank < b->rank : likelier(a, b);
}

typedef bool (*order)(const candidate *a, const candidate *b);

static void sift_down(candidate *c, size_t i, size_t n, order first) {
    candidate moving = c[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && first(&c[child], &c[child + 1])) child++;
        if (!first(&moving, &c[child])) break;
        c[i] = c[child];
    }
    c[i] = moving;
}

/* Puts the first k of n in order at the front, the rest behind in any: a heap of the best k, its worst on top. */
static void take_first(candidate *c, size_t n, size_t k, order first) {
    for (size_t i = k / 2; i-- > 0;)
        sift_down(c, i, k, first);
    for (size_t i = k; i < n; i++) {
        if (!first(&c[i], &c[0])) continue;
        candidate better = c[i];
        c[i] = c[0];
        c[0] = better;
        sift_down(c, 0, k, first);
    }
    for (size_t end = k; end > 1; end--) {
        candidate worst = c[0];
        c[0] = c[end - 1];
        c[end - 1] = worst;
        sift_down(c, 0, end - 1, first);
    }
}

/* Fills candidates with the n tokens that are not ruled out, penalties applied, in the order of their ids. */
static tnn_status collect(tnn_sampler *s, const float *logits, size_t *n, float *largest, tnn_error *err) {
    const tnn_sampler_params *p = &s->params;
    *n = 0;
    *largest = -INFINITY;
    for (int32_t id = 0; id < s->n_vocab; id++) {
        float logit = logits[id];
        if (isnan(logit) || logit == INFINITY) {
            return tnn__fail(err, TNN_E_RANGE, "logit of token %d is %g: the model's weights or inputs are broken",
                             (int)id, (double)logit);
        }
        if (logit == -INFINITY) continue;
        int32_t count = s->counts[id];
        if (count > 0) {
            logit = logit <= 0.0f ? logit * p->repeat_penalty : logit / p->repeat_penalty;
            logit -= (float)count * p->frequency_penalty + p->presence_penalty;
            logit = fmaxf(-FLT_MAX, fminf(FLT_MAX, logit)); /* extreme penalties stay numbers */
        }
        *largest = fmaxf(*largest, logit);
        s->candidates[(*n)++] = (candidate){.logit = logit, .id = id};
    }
    if (*n == 0) return tnn__fail(err, TNN_E_RANGE, "every logit is -inf: no token is left to choose");
    return TNN_OK;
}

/* Sets the weights of n candidates at a temperature; returns their sum. */
static double weigh(candidate *c, size_t n, float largest, double temperature) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        c[i].weight = exp(((double)c[i].logit - (double)largest) / temperature);
        sum += c[i].weight;
    }
    return sum;
}

/*
 * Brings to the front, in order, as many of n as hold the share p of the weight, at least one; returns their number.
 * Sorts no more than it needs: a few tokens usually hold nearly everything.
 */
static size_t take_share(candidate *c, size_t n, double sum, float p, order first) {
    for (size_t k = 64;; k *= 8) {
        if (k > n) k = n;
        take_first(c, n, k, first);
        double held = 0;
        for (size_t i = 0; i < k; i++) {
            held += c[i].weight;
            if (held >= (double)p * sum) return i + 1;
        }
        if (k == n) return n;
    }
}

/* Locally typical sampling (Meister et al. 2022): those whose surprise is nearest to the expected one. */
static size_t take_typical(candidate *c, size_t n, double sum, float p) {
    double entropy = 0;
    for (size_t i = 0; i < n; i++) {
        double share = c[i].weight / sum;
        if (share > 0) entropy -= share * log(share);
    }
    for (size_t i = 0; i < n; i++) {
        double share = c[i].weight / sum;
        c[i].rank = share > 0 ? (float)fabs(-log(share) - entropy) : INFINITY;
    }
    return take_share(c, n, sum, p, more_typical);
}

/* Keeps those with at least the share min_p of the largest weight, in their order. */
static size_t keep_min_p(candidate *c, size_t n, float min_p) {
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, c[i].weight);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (c[i].weight >= (double)min_p * largest) c[kept++] = c[i];
    }
    return kept;
}

static size_t draw(const candidate *c, size_t n, double sum, uint64_t seed, uint64_t position) {
    uint32_t words[4];
    tnn__philox(seed, SAMPLER_STREAM, position, words);
    double unit = ((double)(words[0] >> 5) * 67108864.0 + (double)(words[1] >> 6)) * 0x1p-53; /* [0, 1), 53 bits */
    double left = unit * sum;
    for (size_t i = 0; i + 1 < n; i++) {
        left -= c[i].weight;
        if (left < 0) return i;
    }
    return n - 1;
}

tnn_status tnn_sampler_sample(tnn_sampler *s, const float *logits, uint64_t position, int32_t *id, tnn_error *err) {
    const tnn_sampler_params *p = &s->params;
    candidate *c = s->candidates;
    size_t n;
    float largest;
    tnn_status status = collect(s, logits, &n, &largest, err);
    if (status) return status;

    if (p->temperature == 0.0f) {
        take_first(c, n, 1, likelier);
        *id = c[0].id;
        return TNN_OK;
    }
    if (p->top_k > 0 && (size_t)p->top_k < n) {
        take_first(c, n, (size_t)p->top_k, likelier);
        n = (size_t)p->top_k;
    }
    double sum = weigh(c, n, largest, 1.0);
    if (p->typical_p < 1.0f) {
        n = take_typical(c, n, sum, p->typical_p);
        sum = weigh(c, n, largest, 1.0);
    }
    if (p->top_p < 1.0f) n = take_share(c, n, sum, p->top_p, likelier);
    if (p->min_p > 0.0f) n = keep_min_p(c, n, p->min_p);
    largest = c[0].logit;
    for (size_t i = 1; i < n; i++)
        largest = fmaxf(largest, c[i].logit);
    sum = weigh(c, n, largest, (double)p->temperature);
    *id = c[draw(c, n, sum, p->seed, position)].id;
    return TNN_OK;
}
