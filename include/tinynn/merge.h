/*
 * One model out of a model and the adapters beside it, and how far two models are apart.
 */
#ifndef TINYNN_MERGE_H
#define TINYNN_MERGE_H

#include <tinynn/adapter.h>
#include <tinynn/quantize.h>
#include <tinynn/seq.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Writes m with its adapters added into the weights, W + sum of scale B A, to path (atomically): tensor by tensor, a
 * few megabytes of rows at a time, in the types of m's file or, with file_type >= 0, in those of that mix. A type with
 * fewer bits than the sum needs rounds it: tnn_compare tells what that costs. options: n_threads, on_step and ctx, and
 * for a mix the rest; may be NULL. result may be NULL.
 * Errors: those of tnn_quantize_file; TNN_E_STATE for a model without adapters.
 */
TNN_API tnn_status tnn_merge_file(const tnn_model *m, const char *path, int32_t file_type,
                                  const tnn_quantize_options *options, tnn_quantize_result *result, tnn_error *err);

typedef struct tnn_comparison {
    int64_t n_windows, of_windows;
    int64_t n_scored;    /* positions with a next id */
    double ppl, ref_ppl; /* e^ mean -ln p(next id) */
    double kl;           /* mean over positions of KL(ref || other) of the next id, in nats */
    double kl_max;
    double same_top; /* share of positions where both find the same id likeliest */
} tnn_comparison;

/*
 * Compares what `other` predicts with what `ref` does over windows of n_ctx ids, each computed from an empty cache; ids
 * beyond the last whole window are left out, at most n_windows (0: all) are taken. Both have one vocabulary and a
 * capacity of n_ctx or more. on_window may be NULL; false stops (TNN_E_CANCELLED).
 * Errors: TNN_E_RANGE for n_ctx out of range, too few ids or logits that are not finite; TNN_E_SHAPE; TNN_E_NOMEM.
 */
TNN_API tnn_status tnn_compare(tnn_comparison *out, tnn_seq *ref, tnn_seq *other, const int32_t *ids, int64_t n,
                               int64_t n_ctx, int64_t n_windows,
                               bool (*on_window)(void *ctx, const tnn_comparison *so_far), void *ctx, tnn_error *err);

#ifdef __cplusplus
}
#endif
#endif
