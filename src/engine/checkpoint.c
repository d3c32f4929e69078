/*
 * Checkpoint files. Layout, little-endian: magic, version, state, number of tensors; per tensor: name length, name,
 * four extents, number of moments; then its bytes and theirs; last, the checksum of everything before it.
 */
#include "engine/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checksum.h"
#include "base/error.h"
#include "gguf/reader.h"

static const char magic[8] = {'T', 'N', 'N', 'C', 'K', 'P', 'T', '1'};

#define PIECE    ((size_t)1 << 20)
#define MAX_NAME 256

/* The state in the file: every field at eight bytes, in this order. */
typedef struct stored_state {
    int64_t step, epoch, index;
    uint64_t base_hash;
    int64_t n_tokens;
    double best_loss;
    int64_t best_step, evals_without_gain, n_tensors;
} stored_state;

static stored_state pack_state(const tnn_checkpoint_state *s, const tnn_trainer *t) {
    return (stored_state){tnn_trainer_step(t), s->cursor.epoch,       s->cursor.index,
                          s->base_hash,        s->n_tokens,           s->best_loss,
                          s->best_step,        s->evals_without_gain, tnn_trainer_n_params(t)};
}

static tnn_checkpoint_state unpack_state(const stored_state *s) {
    return (tnn_checkpoint_state){
        .step = s->step,
        .cursor = {s->epoch, s->index},
        .base_hash = s->base_hash,
        .n_tokens = s->n_tokens,
        .best_loss = s->best_loss,
        .best_step = s->best_step,
        .evals_without_gain = s->evals_without_gain,
    };
}

/* A trained tensor, then its moments. */
enum { N_FORMS = 3 };

static int forms_of(const tnn_trainer *t, int64_t i, tnn_tensor *forms[N_FORMS]) {
    tnn_tensor *const all[N_FORMS] = {tnn_trainer_value(t, i), tnn_trainer_moment1(t, i), tnn_trainer_moment2(t, i)};
    int n = 0;
    for (int k = 0; k < N_FORMS; k++) {
        if (all[k]) forms[n++] = all[k];
    }
    return n;
}

/* --- saving --- */

typedef struct saver {
    tnn__atomic_file *f;
    tnn__checksum sum;
    uint8_t *piece;
    tnn_error *err;
} saver;

static tnn_status put(saver *s, const void *data, size_t n) {
    tnn__checksum_add(&s->sum, data, n);
    return tnn__atomic_write(s->f, data, n, s->err);
}

static tnn_status put_tensor(saver *s, const tnn_tensor *t) {
    tnn_status status = TNN_OK;
    size_t bytes = tnn_tensor_bytes(t);
    for (size_t at = 0; at < bytes && !status; at += PIECE) {
        size_t n = bytes - at < PIECE ? bytes - at : PIECE;
        status = tnn_tensor_read(t, at, s->piece, n, s->err);
        if (!status) status = put(s, s->piece, n);
    }
    return status;
}

static tnn_status put_param(saver *s, const tnn_trainer *t, int64_t i) {
    tnn_tensor *forms[N_FORMS] = {0};
    int n_forms = forms_of(t, i, forms);
    const char *name = tnn_tensor_name(forms[0]);
    uint64_t header[2] = {strlen(name), (uint64_t)n_forms};
    tnn_status status = put(s, header, sizeof header);
    if (!status) status = put(s, name, header[0]);
    if (!status) status = put(s, tnn_tensor_ne(forms[0]), TNN_MAX_DIMS * sizeof(int64_t));
    for (int k = 0; k < n_forms && !status; k++) {
        status = put_tensor(s, forms[k]);
    }
    return status;
}

uint64_t tnn__checkpoint_bytes(const tnn_trainer *t) {
    uint64_t bytes = sizeof magic + sizeof(stored_state) + sizeof(uint64_t);
    for (int64_t i = 0; i < tnn_trainer_n_params(t); i++) {
        tnn_tensor *forms[N_FORMS] = {0};
        int n = forms_of(t, i, forms);
        bytes += 2 * sizeof(uint64_t) + strlen(tnn_tensor_name(forms[0])) + TNN_MAX_DIMS * sizeof(int64_t);
        bytes += (uint64_t)n * tnn_tensor_bytes(forms[0]);
    }
    return bytes;
}

static tnn_status put_all(saver *s, const tnn_trainer *t, const tnn_checkpoint_state *state) {
    stored_state stored = pack_state(state, t);
    tnn_status status = put(s, magic, sizeof magic);
    if (!status) status = put(s, &stored, sizeof stored);
    for (int64_t i = 0; i < tnn_trainer_n_params(t) && !status; i++) {
        status = put_param(s, t, i);
    }
    uint64_t sum = tnn__checksum_end(&s->sum);
    return status ? status : tnn__atomic_write(s->f, &sum, sizeof sum, s->err);
}

tnn_status tnn__checkpoint_save(const char *path, const tnn_trainer *t, const tnn_checkpoint_state *state,
                                const tnn__file_ops *ops, const tnn_allocator *allocator, tnn_error *err) {
    const tnn_allocator *a = tnn__allocator_or_default(allocator);
    saver s = {.sum = tnn__checksum_begin(), .err = err};
    s.piece = tnn__alloc(a, PIECE, TNN__ALIGN);
    if (!s.piece) return tnn__fail_nomem(err, "a checkpoint", PIECE);
    tnn_status status = tnn__atomic_open(&s.f, path, tnn__checkpoint_bytes(t), ops, a, err);
    if (!status) {
        status = put_all(&s, t, state);
        if (status) {
            tnn__atomic_abort(s.f);
        } else {
            status = tnn__atomic_commit(s.f, err);
        }
    }
    tnn__free(a, s.piece, PIECE, TNN__ALIGN);
    return status;
}

tnn_status tnn_checkpoint_save(const char *path, const tnn_trainer *t, const tnn_checkpoint_state *state,
                               const tnn_allocator *allocator, tnn_error *err) {
    return tnn__checkpoint_save(path, t, state, NULL, allocator, err);
}

/* --- loading --- */

typedef struct loader {
    const char *path;
    tnn__file_view view;
    size_t at;  /* next byte */
    size_t end; /* of what the checksum covers */
    stored_state stored;
    tnn_error *err;
} loader;

static tnn_status damaged(const loader *l, const char *what) {
    return tnn__fail(l->err, TNN_E_FORMAT, "checkpoint %s: %s at byte %zu; use an older one", l->path, what, l->at);
}

/* The next n bytes, or NULL. */
static const uint8_t *take(loader *l, size_t n) {
    if (n > l->end - l->at) return NULL;
    const uint8_t *p = l->view.data + l->at;
    l->at += n;
    return p;
}

/* Adds the first n bytes, which are not kept in memory. */
static void add_view(tnn__checksum *sum, const tnn__file_view *view, size_t n) {
    for (size_t at = 0; at < n; at += PIECE) {
        size_t end = n - at < PIECE ? n : at + PIECE;
        tnn__checksum_add(sum, view->data + at, end - at);
        tnn__file_view_release(view, at, end);
    }
}

static uint64_t sum_of_view(const tnn__file_view *view, size_t n) {
    tnn__checksum sum = tnn__checksum_begin();
    add_view(&sum, view, n);
    return tnn__checksum_end(&sum);
}

/* Numbers that no run comes to must not be added to. */
static tnn_status check_numbers(const loader *l) {
    const int64_t most = INT64_MAX / 2;
    const stored_state *s = &l->stored;
    const struct {
        const char *name;
        int64_t value, most;
    } counters[] = {{"step", s->step, most},           {"epoch", s->epoch, INT32_MAX},
                    {"index", s->index, most},         {"tokens", s->n_tokens, most},
                    {"best step", s->best_step, most}, {"validations without gain", s->evals_without_gain, most}};
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        if (counters[i].value < 0 || counters[i].value > counters[i].most)
            return tnn__fail(l->err, TNN_E_FORMAT,
                             "checkpoint %s: %s %" PRId64 ", which no run comes to; use an older one", l->path,
                             counters[i].name, counters[i].value);
    }
    return isnan(s->best_loss) ? damaged(l, "the best loss is no number") : TNN_OK;
}

static tnn_status open_verified(loader *l, const tnn_allocator *a) {
    tnn_status status = tnn__file_view_open(&l->view, l->path, true, a, l->err);
    if (status) return status;
    uint64_t stored_sum, least = sizeof magic + sizeof(stored_state) + sizeof stored_sum;
    if (l->view.size < least || memcmp(l->view.data, magic, sizeof magic) != 0)
        return damaged(l, "not a checkpoint of this version");
    l->end = l->view.size - sizeof stored_sum;
    memcpy(&stored_sum, l->view.data + l->end, sizeof stored_sum);
    if (sum_of_view(&l->view, l->end) != stored_sum)
        return damaged(l, "the checksum does not match: the file is damaged");
    l->at = sizeof magic;
    memcpy(&l->stored, take(l, sizeof l->stored), sizeof l->stored);
    return check_numbers(l);
}

/* Checks, or with `apply` copies, one tensor and its moments. */
static tnn_status read_param(loader *l, const tnn_trainer *t, int64_t i, bool apply) {
    tnn_tensor *forms[N_FORMS] = {0};
    int n_forms = forms_of(t, i, forms);
    const char *want = tnn_tensor_name(forms[0]);
    uint64_t header[2];
    const uint8_t *p = take(l, sizeof header);
    if (!p) return damaged(l, "a tensor is missing");
    memcpy(header, p, sizeof header);
    const uint8_t *name = header[0] <= MAX_NAME ? take(l, header[0]) : NULL,
                  *ne = name ? take(l, TNN_MAX_DIMS * sizeof(int64_t)) : NULL;
    if (!ne) return damaged(l, "a tensor is missing");
    if (header[0] != strlen(want) || memcmp(name, want, header[0]) != 0 || header[1] != (uint64_t)n_forms ||
        memcmp(ne, tnn_tensor_ne(forms[0]), TNN_MAX_DIMS * sizeof(int64_t)) != 0) {
        return tnn__fail(l->err, TNN_E_SHAPE,
                         "checkpoint %s: tensor %" PRId64
                         " is %.*s, this run trains %s; name, shape or optimizer differ: it "
                         "belongs to another run",
                         l->path, i, (int)header[0], (const char *)name, want);
    }
    tnn_status status = TNN_OK;
    for (int k = 0; k < n_forms && !status; k++) {
        size_t bytes = tnn_tensor_bytes(forms[k]);
        const uint8_t *data = take(l, bytes);
        if (!data) return damaged(l, "a tensor is cut short");
        if (apply) status = tnn_tensor_write(forms[k], 0, data, bytes, l->err);
        tnn__file_view_release(&l->view, l->at - bytes, l->at);
    }
    return status;
}

static tnn_status read_params(loader *l, const tnn_trainer *t, bool apply) {
    size_t begin = l->at;
    if (l->stored.n_tensors != tnn_trainer_n_params(t)) {
        return tnn__fail(l->err, TNN_E_SHAPE,
                         "checkpoint %s has %" PRId64 " tensors, this run trains %" PRId64
                         "; it belongs to another run",
                         l->path, l->stored.n_tensors, tnn_trainer_n_params(t));
    }
    tnn_status status = TNN_OK;
    for (int64_t i = 0; i < l->stored.n_tensors && !status; i++) {
        status = read_param(l, t, i, apply);
    }
    if (!status && l->at != l->end) status = damaged(l, "there is more than the tensors");
    l->at = begin;
    return status;
}

tnn_status tnn_checkpoint_load(const char *path, tnn_trainer *t, tnn_checkpoint_state *state,
                               const tnn_allocator *allocator, tnn_error *err) {
    loader l = {.path = path, .err = err};
    tnn_status status = open_verified(&l, allocator);
    if (!status) status = read_params(&l, t, false);
    if (!status) status = read_params(&l, t, true);
    if (!status) {
        *state = unpack_state(&l.stored);
        tnn_trainer_set_step(t, l.stored.step);
    }
    tnn__file_view_close(&l.view);
    return status;
}

tnn_status tnn_checkpoint_peek(const char *path, tnn_checkpoint_state *state, const tnn_allocator *allocator,
                               tnn_error *err) {
    loader l = {.path = path, .err = err};
    tnn_status status = open_verified(&l, allocator);
    if (!status) *state = unpack_state(&l.stored);
    tnn__file_view_close(&l.view);
    return status;
}

uint64_t tnn__gguf_hash(const tnn_gguf *g) {
    tnn__checksum sum = tnn__checksum_begin();
    add_view(&sum, &g->view, g->view.size);
    for (size_t i = 0; i < g->n_more_shards; i++) {
        add_view(&sum, &g->more_shards[i]->view, g->more_shards[i]->view.size);
    }
    uint64_t value = tnn__checksum_end(&sum);
    return value ? value : 1;
}

tnn_status tnn_file_hash(const char *path, uint64_t *hash, tnn_error *err) {
    tnn__file_view view;
    tnn_status status = tnn__file_view_open(&view, path, true, NULL, err);
    if (status) return status;
    uint64_t value = sum_of_view(&view, view.size);
    *hash = value ? value : 1;
    tnn__file_view_close(&view);
    return TNN_OK;
}
