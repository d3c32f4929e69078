/*
 * A sequence's memory as pieces, in one order: for copies and files. File layout, little-endian: magic, header, ids,
 * pieces, logits if there are any, and the checksum of everything before it.
 */
#include <inttypes.h>
#include <string.h>

#include "base/checksum.h"
#include "base/file.h"
#include "engine/model.h"
#include "engine/seq.h"

#define PIECE ((size_t)1 << 20)

static const char magic[8] = {'T', 'N', 'N', 'S', 'E', 'Q', '0', '1'};

typedef struct header {
    uint64_t model; /* fingerprint */
    int64_t kv_type, length, has_logits;
} header;

/* --- pieces --- */

typedef struct seq_piece {
    tnn_tensor *tensor;
    size_t offset, bytes;
} seq_piece;

/* Of an attention layer, the filled rows of each head of K, then of V; of the others, state and convolution. */
static int64_t pieces_of(const tnn_layer_cache *c) {
    return c->k ? 2 * tnn_tensor_ne(c->k)[2] : 2;
}

static seq_piece kv_piece(const tnn_seq *q, const tnn_layer_cache *c, int64_t i) {
    int64_t n_heads = tnn_tensor_ne(c->k)[2], capacity = tnn_tensor_ne(c->k)[1];
    size_t row = tnn_tensor_bytes(c->k) / (size_t)(n_heads * capacity);
    return (seq_piece){
        .tensor = i < n_heads ? c->k : c->v,
        .offset = (size_t)(i % n_heads * capacity) * row,
        .bytes = (size_t)q->length * row,
    };
}

static seq_piece state_piece(const tnn_layer_cache *c, int64_t i) {
    tnn_tensor *t = i == 0 ? c->state : c->conv;
    return (seq_piece){.tensor = t, .bytes = t ? tnn_tensor_bytes(t) : 0};
}

/* The i-th piece of memory that holds what q has of the past; false past the end. The same order in every sequence of a
 * model. */
static bool piece_at(const tnn_seq *q, int64_t i, seq_piece *out) {
    for (int64_t layer = 0; layer < tnn_model_hparams(q->model)->n_layers; layer++) {
        const tnn_layer_cache *c = &q->caches[layer];
        int64_t n = pieces_of(c);
        if (i < n) {
            *out = c->k ? kv_piece(q, c, i) : state_piece(c, i);
            return true;
        }
        i -= n;
    }
    return false;
}

/* Makes room for logits that no forward holds. */
static tnn_status take_logits(tnn_seq *q, tnn_error *err) {
    size_t n = (size_t)tnn_model_hparams(q->model)->n_vocab;
    if (!q->restored_logits) q->restored_logits = tnn__calloc_array(&q->session->alloc, n, sizeof *q->restored_logits);
    return q->restored_logits ? TNN_OK : tnn__fail_nomem(err, "logits", n * sizeof *q->restored_logits);
}

static void set_logits(tnn_seq *q, const void *logits) {
    memcpy(q->restored_logits, logits, (size_t)tnn_model_hparams(q->model)->n_vocab * sizeof *q->restored_logits);
    q->logits = q->restored_logits;
}

/* --- copy --- */

static tnn_status copy_piece(const seq_piece *from, const seq_piece *to, void *buffer, tnn_error *err) {
    tnn_status status = TNN_OK;
    for (size_t at = 0; at < from->bytes && !status; at += PIECE) {
        size_t n = from->bytes - at < PIECE ? from->bytes - at : PIECE;
        status = tnn_tensor_read(from->tensor, from->offset + at, buffer, n, err);
        if (!status) status = tnn_tensor_write(to->tensor, to->offset + at, buffer, n, err);
    }
    return status;
}

static tnn_status copy_all(tnn_seq *to, const tnn_seq *from, tnn_error *err) {
    const tnn_allocator *a = &from->session->alloc;
    void *buffer = tnn__alloc(a, PIECE, TNN__ALIGN);
    if (!buffer) return tnn__fail_nomem(err, "copying a sequence", PIECE);
    memcpy(to->ids, from->ids, (size_t)from->length * sizeof *to->ids);
    to->length = from->length;
    tnn_status status = from->logits ? take_logits(to, err) : TNN_OK;
    if (!status && from->logits) set_logits(to, from->logits);
    seq_piece source, target;
    for (int64_t i = 0; !status && piece_at(from, i, &source) && piece_at(to, i, &target); i++) {
        status = copy_piece(&source, &target, buffer, err);
    }
    tnn__free(a, buffer, PIECE, TNN__ALIGN);
    return status;
}

tnn_status tnn_seq_copy(tnn_seq **out, const tnn_seq *q, tnn_error *err) {
    tnn_seq_options options = q->options;
    options.taps = q->taps;
    tnn_status status = tnn_seq_new(out, q->model, &options, err);
    if (status) return status;
    status = copy_all(*out, q, err);
    if (status) {
        tnn_seq_free(*out);
        *out = NULL;
    }
    return status;
}

/* --- saving --- */

typedef struct saver {
    tnn__atomic_file *f;
    tnn__checksum sum;
    uint8_t *buffer;
    tnn_error *err;
} saver;

static tnn_status put(saver *s, const void *data, size_t n) {
    tnn__checksum_add(&s->sum, data, n);
    return tnn__atomic_write(s->f, data, n, s->err);
}

static tnn_status put_piece(saver *s, const seq_piece *piece) {
    tnn_status status = TNN_OK;
    for (size_t at = 0; at < piece->bytes && !status; at += PIECE) {
        size_t n = piece->bytes - at < PIECE ? piece->bytes - at : PIECE;
        status = tnn_tensor_read(piece->tensor, piece->offset + at, s->buffer, n, s->err);
        if (!status) status = put(s, s->buffer, n);
    }
    return status;
}

static tnn_status put_all(saver *s, const tnn_seq *q, const header *h) {
    seq_piece piece;
    tnn_status status = put(s, magic, sizeof magic);
    if (!status) status = put(s, h, sizeof *h);
    if (!status) status = put(s, q->ids, (size_t)q->length * sizeof *q->ids);
    for (int64_t i = 0; !status && piece_at(q, i, &piece); i++) {
        status = put_piece(s, &piece);
    }
    size_t n_vocab = (size_t)tnn_model_hparams(q->model)->n_vocab;
    if (!status && q->logits) status = put(s, q->logits, n_vocab * sizeof *q->logits);
    uint64_t sum = tnn__checksum_end(&s->sum);
    return status ? status : tnn__atomic_write(s->f, &sum, sizeof sum, s->err);
}

/* Of the file of a sequence that holds `length` ids. */
static uint64_t file_bytes(const tnn_seq *q, bool logits) {
    seq_piece piece;
    uint64_t bytes = sizeof magic + sizeof(header) + sizeof(uint64_t) + (uint64_t)q->length * sizeof *q->ids;
    for (int64_t i = 0; piece_at(q, i, &piece); i++) {
        bytes += piece.bytes;
    }
    return bytes + (logits ? (uint64_t)tnn_model_hparams(q->model)->n_vocab * sizeof *q->logits : 0);
}

tnn_status tnn_seq_save(const tnn_seq *q, const char *path, tnn_error *err) {
    const tnn_allocator *a = &q->session->alloc;
    header h = {.kv_type = q->options.kv_type, .length = q->length, .has_logits = q->logits != NULL};
    saver s = {.sum = tnn__checksum_begin(), .err = err};
    tnn_status status = tnn__model_fingerprint(q->model, &h.model, err);
    if (status) return status;
    s.buffer = tnn__alloc(a, PIECE, TNN__ALIGN);
    if (!s.buffer) return tnn__fail_nomem(err, "saving a sequence", PIECE);
    status = tnn__atomic_open(&s.f, path, file_bytes(q, h.has_logits), NULL, a, err);
    if (!status) {
        status = put_all(&s, q, &h);
        if (status) {
            tnn__atomic_abort(s.f);
        } else {
            status = tnn__atomic_commit(s.f, err);
        }
    }
    tnn__free(a, s.buffer, PIECE, TNN__ALIGN);
    return status;
}

/* --- restoring --- */

static tnn_status damaged(const char *path, const char *what, tnn_error *err) {
    return tnn__fail(err, TNN_E_FORMAT, "%s: %s; compute the sequence again", path, what);
}

static tnn_status check_file(const tnn__file_view *view, const char *path, header *h, tnn_error *err) {
    uint64_t stored, least = sizeof magic + sizeof *h + sizeof stored;
    if (view->size < least || memcmp(view->data, magic, sizeof magic) != 0)
        return damaged(path, "not a saved sequence of this version", err);
    tnn__checksum sum = tnn__checksum_begin();
    tnn__checksum_add(&sum, view->data, view->size - sizeof stored);
    memcpy(&stored, view->data + view->size - sizeof stored, sizeof stored);
    if (tnn__checksum_end(&sum) != stored) return damaged(path, "the checksum does not match: it is damaged", err);
    memcpy(h, view->data + sizeof magic, sizeof *h);
    return TNN_OK;
}

static tnn_status check_fits(tnn_seq *q, const header *h, const char *path, tnn_error *err) {
    uint64_t model;
    tnn_status status = tnn__model_fingerprint(q->model, &model, err);
    if (status) return status;
    if (h->model != model)
        return tnn__fail(err, TNN_E_ARG, "%s was saved with another model, or with other adapters beside it", path);
    if (h->kv_type != (int64_t)q->options.kv_type)
        return tnn__fail(err, TNN_E_ARG, "%s has a KV cache of another type than %s", path,
                         tnn_type_get_info((int32_t)q->options.kv_type)->name);
    if (h->length < 0) return damaged(path, "its length is below zero", err);
    if (h->length > q->options.n_ctx)
        return tnn__fail(err, TNN_E_FULL, "%s holds %" PRId64 " tokens, the context %" PRId64 "; give a larger one",
                         path, h->length, q->options.n_ctx);
    return TNN_OK;
}

/* What is sampled next looks at them: an id that no token has would be looked up beyond the vocabulary. */
static tnn_status check_ids(const tnn_seq *q, const header *h, const uint8_t *data, const char *path, tnn_error *err) {
    for (int64_t i = 0; i < h->length; i++) {
        int32_t id;
        memcpy(&id, data + (size_t)i * sizeof id, sizeof id);
        if (id < 0 || id >= tnn_model_hparams(q->model)->n_vocab)
            return damaged(path, "it holds an id outside the vocabulary", err);
    }
    return TNN_OK;
}

/* Length and contents of q are the file's from here on. */
static tnn_status take_over(tnn_seq *q, const header *h, const uint8_t *data, tnn_error *err) {
    seq_piece piece;
    tnn_status status = TNN_OK;
    memcpy(q->ids, data, (size_t)h->length * sizeof *q->ids);
    data += (size_t)h->length * sizeof *q->ids;
    for (int64_t i = 0; !status && piece_at(q, i, &piece); i++) {
        if (piece.bytes > 0) status = tnn_tensor_write(piece.tensor, piece.offset, data, piece.bytes, err);
        data += piece.bytes;
    }
    if (!status && h->has_logits) set_logits(q, data);
    return status;
}

static tnn_status restore(tnn_seq *q, const tnn__file_view *view, const char *path, tnn_error *err) {
    header h;
    tnn_status status = check_file(view, path, &h, err);
    if (!status) status = check_fits(q, &h, path, err);
    if (status) return status;
    int64_t before = q->length;
    q->length = h.length;
    bool whole = file_bytes(q, h.has_logits != 0) == view->size;
    q->length = before;
    if (!whole) return damaged(path, "it has another size than its header tells", err);
    const uint8_t *data = view->data + sizeof magic + sizeof h;
    status = check_ids(q, &h, data, path, err);
    if (!status && h.has_logits) status = take_logits(q, err);
    if (status) return status;
    tnn__seq_drop_snapshots(q, 0);
    q->length = h.length;
    q->logits = NULL;
    return take_over(q, &h, data, err);
}

tnn_status tnn_seq_restore(tnn_seq *q, const char *path, tnn_error *err) {
    tnn__file_view view;
    tnn_status status = tnn__file_view_open(&view, path, true, &q->session->alloc, err);
    if (status) return status;
    status = restore(q, &view, path, err);
    tnn__file_view_close(&view);
    return status;
}
