/*
 * A sequence: the caches and states of one timeline, and the forwards that extend it batch by batch.
 */
#include "engine/seq.h"

#include <inttypes.h>
#include <string.h>

#define DEFAULT_CONTEXT 4096
#define MAX_CONTEXT     ((int64_t)1 << 30)
#define MAX_BATCH       ((int64_t)1 << 16)

tnn_seq_options tnn_seq_options_default(void) {
    return (tnn_seq_options){.n_batch = 512, .kv_type = TNN_TYPE_F16, .snapshot_bytes = (int64_t)256 << 20};
}

static tnn_status fill_options(tnn_seq_options *o, const tnn_model *m, tnn_error *err) {
    const tnn_llama_hparams *hp = tnn_model_hparams(m);
    if (o->n_ctx == 0) o->n_ctx = hp->n_ctx_train < DEFAULT_CONTEXT ? hp->n_ctx_train : DEFAULT_CONTEXT;
    if (o->n_ctx < 1 || o->n_ctx > MAX_CONTEXT) {
        return tnn__fail(err, TNN_E_RANGE, "a context of %" PRId64 " tokens: give 1 to %" PRId64, o->n_ctx,
                         MAX_CONTEXT);
    }
    if (o->n_batch < 1 || o->n_batch > MAX_BATCH) {
        return tnn__fail(err, TNN_E_RANGE, "a batch of %" PRId64 " tokens: give 1 to %" PRId64, o->n_batch, MAX_BATCH);
    }
    if (o->n_batch > o->n_ctx) o->n_batch = o->n_ctx;
    if (o->snapshot_bytes < 0)
        return tnn__fail(err, TNN_E_RANGE, "%" PRId64 " bytes of snapshots: give 0 or more", o->snapshot_bytes);
    if (o->kv_type != TNN_TYPE_F16 && o->kv_type != TNN_TYPE_F32 && o->kv_type != TNN_TYPE_BF16 &&
        o->kv_type != TNN_TYPE_Q8_0) {
        return tnn__fail(err, TNN_E_ARG, "a KV cache is F32, F16, BF16 or Q8_0");
    }
    if (tnn_row_bytes((int32_t)o->kv_type, hp->d_head) == 0) {
        return tnn__fail(err, TNN_E_ARG,
                         "a %s KV cache needs heads of whole blocks; this model's have %" PRId64 " elements",
                         tnn_type_get_info((int32_t)o->kv_type)->name, hp->d_head);
    }
    return TNN_OK;
}

/* --- forwards --- */

static void forward_free(tnn__forward *f) {
    tnn_plan_free(f->plan);
    tnn_graph_free(f->graph);
    *f = (tnn__forward){0};
}

static tnn_status forward_build(tnn__forward *f, const tnn_seq *q, int64_t n_rows, tnn_want want, tnn_error *err) {
    tnn_status status = tnn_graph_new(&f->graph, q->session, err);
    if (status) return status;
    f->n_rows = n_rows;
    f->want = want;
    f->ids = tnn_input(f->graph, "ids", TNN_TYPE_I32, 1, &n_rows);
    f->positions = tnn_input(f->graph, "positions", TNN_TYPE_I32, 1, &n_rows);
    tnn_forward_args args = {.ids = f->ids, .positions = f->positions, .caches = q->caches, .taps = q->taps};
    args.logits = want == TNN_WANT_ALL ? TNN_LOGITS_ALL : TNN_LOGITS_ROWS;
    if (want != TNN_WANT_ALL) {
        f->logit_rows = tnn_input(f->graph, "logit_rows", TNN_TYPE_I32, 1, (const int64_t[]){1});
        args.logit_rows = f->logit_rows;
    }
    tnn_llama_arch_forward_out out = tnn_llama_arch_build_forward(tnn_model_arch(q->model), f->graph, &args);
    f->logits = out.logits;
    status = tnn_graph_plan(&f->plan, f->graph, err);
    if (status) forward_free(f);
    return status;
}

/* The forward for a batch of n_rows, built if it is not there. */
static tnn_status forward_for(tnn_seq *q, int64_t n_rows, tnn_want want, tnn__forward **out, tnn_error *err) {
    int slot = n_rows == 1 ? TNN__FORWARD_ONE : n_rows == q->options.n_batch ? TNN__FORWARD_BATCH : TNN__FORWARD_TAIL;
    tnn__forward *f = &q->forwards[slot];
    *out = f;
    if (f->graph && f->n_rows == n_rows && f->want == want) return TNN_OK;
    if (q->last == f) q->last = NULL;
    forward_free(f);
    return forward_build(f, q, n_rows, want, err);
}

/* --- construction --- */

static bool make_kv_cache(tnn_seq *q, tnn_layer_cache *c, tnn_error *err) {
    const tnn_llama_hparams *hp = tnn_model_hparams(q->model);
    const int64_t ne[4] = {hp->d_head, q->options.n_ctx, hp->n_kv_heads, 1};
    c->k = tnn_store_tensor(q->store, "", q->options.kv_type, 4, ne, err);
    c->v = c->k ? tnn_store_tensor(q->store, "", q->options.kv_type, 4, ne, err) : NULL;
    return c->v != NULL;
}

static bool make_state(tnn_seq *q, tnn_layer_cache *c, tnn_error *err) {
    const tnn_gdn_hparams *gdn = &tnn_model_hparams(q->model)->gdn;
    int64_t channels = gdn->d_head * (2 * gdn->n_key_heads + gdn->n_value_heads);
    const int64_t state[4] = {gdn->d_head, gdn->d_head, gdn->n_value_heads, 1};
    const int64_t conv[3] = {channels, gdn->conv_width - 1, 1};
    c->state = tnn_store_tensor(q->store, "", TNN_TYPE_F32, 4, state, err);
    if (!c->state || gdn->conv_width < 2) return c->state != NULL;
    c->conv = tnn_store_tensor(q->store, "", TNN_TYPE_F32, 3, conv, err);
    return c->conv != NULL;
}

static tnn_status make_caches(tnn_seq *q, tnn_error *err) {
    const tnn_llama_hparams *hp = tnn_model_hparams(q->model);
    for (int64_t i = 0; i < hp->n_layers; i++) {
        bool gdn = tnn_llama_arch_layer_spec(tnn_model_arch(q->model), i).mixer == TNN_MIXER_GDN;
        if (gdn ? make_state(q, &q->caches[i], err) : make_kv_cache(q, &q->caches[i], err)) continue;
        size_t row = tnn_row_bytes((int32_t)q->options.kv_type, hp->d_head);
        return tnn__fail(err, TNN_E_NOMEM,
                         "out of memory for the cache of layer %" PRId64 ": %" PRId64
                         " tokens take %.0f MiB in each layer of attention; give a smaller context",
                         i, q->options.n_ctx,
                         2.0 * (double)row * (double)q->options.n_ctx * (double)hp->n_kv_heads / 1048576.0);
    }
    return TNN_OK;
}

/* A pattern that matches no stage is a mistake worth telling: builds the one-row forward and looks. */
static tnn_status check_taps(tnn_seq *q, tnn_error *err) {
    tnn__forward *f;
    tnn_status status = forward_for(q, 1, TNN_WANT_LAST, &f, err);
    if (status) return status;
    for (const char *p = q->taps; *p;) {
        size_t n = strcspn(p, ",");
        char one[128] = "";
        if (n < sizeof one) memcpy(one, p, n);
        if (!tnn__forward_has_tap(f, one)) {
            return tnn__fail(
                err, TNN_E_NOTFOUND,
                "tap %.*s matches nothing; taps are embed, blk.N.attn_norm, blk.N.attn_out, blk.N.ffn_out, "
                "blk.N.resid_post, final_norm, logits; in Gated DeltaNet layers also blk.N.decay, blk.N.beta, "
                "blk.N.gdn_state",
                (int)(n < 64 ? n : 64), p);
        }
        p += n + (p[n] == ',');
    }
    return TNN_OK;
}

static tnn_status seq_init(tnn_seq *q, tnn_error *err) {
    const tnn_allocator *a = &q->session->alloc;
    int64_t n_layers = tnn_model_hparams(q->model)->n_layers;
    q->caches = tnn__calloc_array(a, (size_t)n_layers, sizeof *q->caches);
    q->ids = tnn__calloc_array(a, (size_t)q->options.n_ctx, sizeof *q->ids);
    q->positions = tnn__calloc_array(a, (size_t)q->options.n_batch, sizeof *q->positions);
    if (!q->caches || !q->ids || !q->positions) {
        return tnn__fail_nomem(err, "a sequence", (size_t)(q->options.n_ctx + q->options.n_batch) * sizeof *q->ids);
    }
    if (q->options.taps && q->options.taps[0]) {
        q->taps_bytes = strlen(q->options.taps) + 1;
        q->taps = tnn__alloc(a, q->taps_bytes, 1);
        if (!q->taps) return tnn__fail_nomem(err, "tap patterns", q->taps_bytes);
        memcpy(q->taps, q->options.taps, q->taps_bytes);
    }
    tnn_status status = tnn_store_new(&q->store, q->session, err);
    if (!status) status = make_caches(q, err);
    if (!status) status = tnn__seq_init_snapshots(q, err);
    if (!status && q->taps) status = check_taps(q, err);
    return status;
}

tnn_status tnn_seq_new(tnn_seq **out, tnn_model *m, const tnn_seq_options *options, tnn_error *err) {
    *out = NULL;
    tnn_seq_options filled = options ? *options : tnn_seq_options_default();
    tnn_status status = fill_options(&filled, m, err);
    if (status) return status;
    tnn_session *s = tnn_model_session(m);
    tnn_seq *q = tnn__calloc(&s->alloc, sizeof *q, TNN__ALIGN);
    if (!q) return tnn__fail_nomem(err, "a sequence", sizeof *q);
    q->model = m;
    q->session = s;
    q->options = filled;
    if (filled.n_ctx > tnn_model_hparams(m)->n_ctx_train) {
        tnn__log(s, TNN_LOG_WARN,
                 "the context of %" PRId64 " tokens is longer than the %" PRId64 " this model was trained for",
                 filled.n_ctx, tnn_model_hparams(m)->n_ctx_train);
    }
    status = seq_init(q, err);
    if (status) {
        tnn_seq_free(q);
        return status;
    }
    *out = q;
    return TNN_OK;
}

void tnn_seq_free(tnn_seq *q) {
    if (!q) return;
    const tnn_allocator *a = &q->session->alloc;
    for (int i = 0; i < TNN__N_FORWARDS; i++) {
        forward_free(&q->forwards[i]);
    }
    tnn_store_free(q->store);
    tnn__seq_free_snapshots(q);
    if (q->restored_logits)
        tnn__free_array(a, q->restored_logits, (size_t)tnn_model_hparams(q->model)->n_vocab,
                        sizeof *q->restored_logits);
    tnn__free_array(a, q->caches, (size_t)tnn_model_hparams(q->model)->n_layers, sizeof *q->caches);
    tnn__free_array(a, q->ids, (size_t)q->options.n_ctx, sizeof *q->ids);
    tnn__free_array(a, q->positions, (size_t)q->options.n_batch, sizeof *q->positions);
    tnn__free(a, q->taps, q->taps_bytes, 1);
    tnn__free(a, q, sizeof *q, TNN__ALIGN);
}

tnn_status tnn_seq_bytes(tnn_model *m, const tnn_seq_options *options, size_t *cache, size_t *workspace,
                         tnn_error *err) {
    tnn_seq *q;
    tnn_status status = tnn_seq_new(&q, m, options, err);
    if (status) return status;
    tnn__forward *f;
    *cache = tnn_store_bytes(q->store);
    *workspace = 0;
    const int64_t sizes[2] = {1, q->options.n_batch};
    for (int i = 0; i < 2 && !status; i++) {
        status = forward_for(q, sizes[i], TNN_WANT_LAST, &f, err);
        if (!status) *workspace += tnn_plan_bytes(f->plan);
        if (q->options.n_batch == 1) break;
    }
    tnn_seq_free(q);
    return status;
}

int64_t tnn_seq_capacity(const tnn_seq *q) {
    return q->options.n_ctx;
}

int64_t tnn_seq_length(const tnn_seq *q) {
    return q->length;
}

const int32_t *tnn_seq_ids(const tnn_seq *q) {
    return q->ids;
}

const float *tnn_seq_logits(const tnn_seq *q) {
    return q->logits;
}

/* --- extending --- */

/* The ids [first, end) of a caller's, to stand after the first `length` of q. */
static tnn_status check_ids(const tnn_seq *q, int64_t length, const int32_t *ids, int64_t first, int64_t end,
                            tnn_error *err) {
    int64_t n = end - first;
    int64_t n_vocab = tnn_model_hparams(q->model)->n_vocab;
    if (n < 0) return tnn__fail(err, TNN_E_ARG, "%" PRId64 " tokens to append: give 0 or more", n);
    if (n > q->options.n_ctx - length) {
        return tnn__fail(err, TNN_E_FULL,
                         "%" PRId64 " tokens do not fit: the context holds %" PRId64 " and %" PRId64
                         " are taken; give a larger one",
                         n, q->options.n_ctx, length);
    }
    for (int64_t i = first; i < end; i++) {
        if (ids[i] < 0 || ids[i] >= n_vocab) {
            return tnn__fail(err, TNN_E_RANGE,
                             "token id %" PRId32 " at index %" PRId64 " is outside the vocabulary 0..%" PRId64, ids[i],
                             i, n_vocab - 1);
        }
    }
    return TNN_OK;
}

/* One batch at the end of the cache. Its logits: all rows, or the last one. */
static tnn_status run_batch(tnn_seq *q, const int32_t *ids, int64_t n, tnn_want want, const float **logits,
                            tnn_error *err) {
    tnn__forward *f;
    tnn_status status = forward_for(q, n, want, &f, err);
    if (status) return status;
    for (int64_t i = 0; i < n; i++) {
        q->positions[i] = (int32_t)(q->length + i);
    }
    int32_t last = (int32_t)(n - 1);
    size_t bytes = (size_t)n * sizeof *ids;
    status = tnn_plan_set(f->plan, f->ids, ids, bytes, err);
    if (!status) status = tnn_plan_set(f->plan, f->positions, q->positions, bytes, err);
    if (!status && f->logit_rows) status = tnn_plan_set(f->plan, f->logit_rows, &last, sizeof last, err);
    if (!status) status = tnn_plan_run(f->plan, err);
    if (status) return status;
    memmove(q->ids + q->length, ids, bytes);
    q->length += n;
    q->last = f;
    *logits = tnn_plan_data(f->plan, f->logits);
    return TNN_OK;
}

tnn_status tnn_seq_append(tnn_seq *q, const int32_t *ids, int64_t n, tnn_want want, tnn_batch_fn *on_batch, void *ctx,
                          tnn_error *err) {
    if (want == TNN_WANT_ALL && !on_batch)
        return tnn__fail(err, TNN_E_ARG, "all logits were asked for without a callback");
    tnn_status status = check_ids(q, q->length, ids, 0, n, err);
    if (status) return status;
    q->logits = NULL;
    int64_t n_vocab = tnn_model_hparams(q->model)->n_vocab;
    for (int64_t done = 0; done < n;) {
        int64_t batch = n - done < q->options.n_batch ? n - done : q->options.n_batch;
        const float *logits;
        /* Rows that nobody wants still cost one row of logits: too little to keep another plan for. */
        tnn_want rows = want == TNN_WANT_ALL ? TNN_WANT_ALL : TNN_WANT_LAST;
        status = run_batch(q, ids + done, batch, rows, &logits, err);
        if (status) return status;
        done += batch;
        if (batch == q->options.n_batch) status = tnn__seq_snapshot(q, err);
        if (status) return status;
        bool all = want == TNN_WANT_ALL;
        if (done == n && want != TNN_WANT_NONE) q->logits = all ? logits + (batch - 1) * n_vocab : logits;
        if (on_batch && !on_batch(ctx, q->length - batch, batch, all ? logits : NULL)) {
            return tnn__fail(err, TNN_E_CANCELLED, "stopped after %" PRId64 " of %" PRId64 " tokens", done, n);
        }
    }
    return TNN_OK;
}

/* Ids that both have at their beginning. */
static int64_t common_prefix(const tnn_seq *q, const int32_t *ids, int64_t n) {
    int64_t same = 0;
    while (same < n && same < q->length && ids[same] == q->ids[same]) {
        same++;
    }
    return same;
}

tnn_status tnn_seq_prompt(tnn_seq *q, const int32_t *ids, int64_t n, int64_t *reused, tnn_batch_fn *on_batch, void *ctx,
                          tnn_error *err) {
    if (n < 1) return tnn__fail(err, TNN_E_ARG, "the prompt is empty; give at least one token");
    int64_t unread, same = common_prefix(q, ids, n);
    if (!reused) reused = &unread;
    if (same == n && n == q->length && q->logits) {
        *reused = n;
        return TNN_OK;
    }
    if (same == n) same--; /* the last id is computed again: its logits are wanted */
    *reused = tnn_seq_kept_prefix(q, same);
    tnn_status status = check_ids(q, *reused, ids, *reused, n, err);
    if (!status) status = tnn__seq_rewind(q, *reused, err);
    /* The same prompt may be asked for again, when more has followed: that starts one id before its end. */
    bool mark = q->max_snapshots > 0 && q->length < n - 1;
    if (!status && mark)
        status = tnn_seq_append(q, ids + q->length, n - 1 - q->length, TNN_WANT_NONE, on_batch, ctx, err);
    if (!status && mark) status = tnn__seq_snapshot(q, err);
    return status ? status : tnn_seq_append(q, ids + q->length, n - q->length, TNN_WANT_LAST, on_batch, ctx, err);
}

tnn_status tnn_seq_truncate(tnn_seq *q, int64_t n, tnn_error *err) {
    if (n < 0 || n > q->length) {
        return tnn__fail(err, TNN_E_RANGE, "cannot keep %" PRId64 " of %" PRId64 " tokens", n, q->length);
    }
    tnn_status status = tnn__seq_rewind(q, n, err);
    return status || q->length == n
               ? status
               : tnn_seq_append(q, q->ids + q->length, n - q->length, TNN_WANT_NONE, NULL, NULL, err);
}
