/*
 * Choosing the next token from logits. The chain and its defaults are llama.cpp's: penalties, top-k, typical, top-p,
 * min-p, temperature, draw. The draw depends on (seed, position) alone, so a text can be continued or repeated at any
 * step with the same result.
 */
#ifndef TINYNN_SAMPLER_H
#define TINYNN_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include <tinynn/allocator.h>
#include <tinynn/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tnn_sampler_params {
    float temperature;       /* 0.8; 0: the likeliest token, always */
    int32_t top_k;           /* 40; 0 or less: all */
    float top_p;             /* 0.95; 1: off */
    float min_p;             /* 0.05; 0: off */
    float typical_p;         /* 1: off */
    float repeat_penalty;    /* 1: off */
    float presence_penalty;  /* 0: off */
    float frequency_penalty; /* 0: off */
    int32_t repeat_last_n;   /* 64: tokens the penalties look back; 0: none, -1: all accepted so far */
    uint64_t seed;           /* 0 */
} tnn_sampler_params;

TNN_API tnn_sampler_params tnn_sampler_params_default(void);

/* One thread at a time; two samplers share nothing. */
typedef struct tnn_sampler tnn_sampler;

/*
 * params NULL means the defaults; allocator may be NULL. On failure *out is NULL. Errors: TNN_E_ARG for a parameter
 * that is NaN, infinite or out of its range (named, with its value), TNN_E_NOMEM.
 */
TNN_API tnn_status tnn_sampler_new(tnn_sampler **out, const tnn_sampler_params *params, int32_t n_vocab,
                                   const tnn_allocator *allocator, tnn_error *err);
TNN_API void tnn_sampler_free(tnn_sampler *s); /* NULL is allowed */

/* Records a token, of the prompt or drawn, for the penalties. TNN_E_RANGE for an id outside the vocabulary. */
TNN_API tnn_status tnn_sampler_accept(tnn_sampler *s, int32_t id, tnn_error *err);
TNN_API void tnn_sampler_reset(tnn_sampler *s); /* forgets what was accepted */

/*
 * Draws from logits[n_vocab], which stay as they are; a logit of -inf rules its token out. position is the index of
 * the token to be drawn in its sequence. Nothing is accepted. Equal logits rank by id. Errors: TNN_E_RANGE if a logit
 * is NaN or +inf (named with its id), or if all are -inf. Allocates nothing.
 */
TNN_API tnn_status tnn_sampler_sample(tnn_sampler *s, const float *logits, uint64_t position, int32_t *id,
                                      tnn_error *err);

#ifdef __cplusplus
}
#endif
#endif
