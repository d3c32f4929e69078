/* Datasets: storage of sequences, plain text, the order of an epoch, and batches. JSONL is jsonl.c's. */
#include "engine/dataset.h"

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"

#define MAX_LENGTH ((int64_t)1 << 20)
#define MAX_ROWS   ((int64_t)INT32_MAX) /* a row is a number of 32 bits */
#define MAX_TEXT   ((size_t)1 << 30)

tnn_dataset_options tnn_dataset_options_default(void) {
    return (tnn_dataset_options){.max_length = 2048};
}

/* --- storage --- */

tnn_status tnn__dataset_new(tnn_dataset **out, const tnn_dataset_options *options, const tnn_allocator *a,
                            tnn_error *err) {
    *out = NULL;
    if (options->max_length < 2 || options->max_length > MAX_LENGTH) {
        return tnn__fail(err, TNN_E_ARG, "sequences of %" PRId64 " tokens: give 2 to %" PRId64, options->max_length,
                         MAX_LENGTH);
    }
    a = tnn__allocator_or_default(a);
    tnn_dataset *d = tnn__calloc(a, sizeof *d, TNN__ALIGN);
    if (!d) return tnn__fail_nomem(err, "a dataset", sizeof *d);
    d->alloc = *a;
    d->options = *options;
    d->ids.allocator = d->trained.allocator = &d->alloc;
    *out = d;
    return TNN_OK;
}

void tnn_dataset_free(tnn_dataset *d) {
    if (!d) return;
    tnn_allocator a = d->alloc;
    tnn_ids_free(&d->ids);
    tnn_text_free(&d->trained);
    tnn__free_array(&a, d->begins, (size_t)d->cap_begins, sizeof *d->begins);
    tnn__free(&a, d, sizeof *d, TNN__ALIGN);
}

static bool room_for_begins(tnn_dataset *d) {
    int64_t needed = d->stats.n_sequences + 2;
    if (needed <= d->cap_begins) return true;
    int64_t larger = d->cap_begins ? 2 * d->cap_begins : 256;
    int64_t *moved = tnn__calloc_array(&d->alloc, (size_t)larger, sizeof *moved);
    if (!moved) return false;
    if (d->begins) memcpy(moved, d->begins, (size_t)d->cap_begins * sizeof *moved);
    tnn__free_array(&d->alloc, d->begins, (size_t)d->cap_begins, sizeof *moved);
    d->begins = moved;
    d->cap_begins = larger;
    return true;
}

tnn_status tnn__dataset_end_sequence(tnn_dataset *d, tnn_error *err) {
    if (!room_for_begins(d)) return tnn__fail_nomem(err, "a dataset", (size_t)d->cap_begins * 2 * sizeof *d->begins);
    int64_t begin = d->begins[d->stats.n_sequences], n = (int64_t)d->ids.n - begin, n_trained = 0;
    if (n > d->options.max_length) {
        d->stats.n_cut++;
        n = d->options.max_length;
    }
    /* The first id is never a target: nothing stands before it. */
    for (int64_t i = begin + 1; i < begin + n; i++) {
        n_trained += d->trained.data[i] != 0;
    }
    if (n_trained == 0) {
        d->stats.n_skipped++;
        n = 0;
    } else {
        d->stats.n_sequences++;
        d->stats.n_tokens += n;
        if (n > d->stats.longest) d->stats.longest = n;
        d->stats.n_trained += n_trained;
        d->begins[d->stats.n_sequences] = begin + n;
    }
    d->ids.n = d->trained.n = (size_t)(begin + n);
    return TNN_OK;
}

tnn_dataset_stats tnn_dataset_get_stats(const tnn_dataset *d) {
    return d->stats;
}

const int32_t *tnn_dataset_sequence(const tnn_dataset *d, int64_t i, const char **trained, int64_t *n) {
    *n = 0;
    *trained = NULL;
    if (i < 0 || i >= d->stats.n_sequences) return NULL;
    *n = d->begins[i + 1] - d->begins[i];
    *trained = d->trained.data + d->begins[i];
    return d->ids.data + d->begins[i];
}

/* --- plain text --- */

/* Pieces of max_length of what has been encoded; each begins where the last one ended. */
static tnn_status cut_text(tnn_dataset *d, const tnn_ids *all, tnn_error *err) {
    size_t length = (size_t)d->options.max_length;
    for (size_t at = 0; at < all->n; at += length) {
        size_t n = all->n - at < length ? all->n - at : length;
        tnn_status status = TNN_OK;
        for (size_t i = 0; i < n && !status; i++) {
            status = tnn_ids_push(&d->ids, all->data[at + i], err);
            if (!status) status = tnn_text_append(&d->trained, "\1", 1, err);
        }
        if (!status) status = tnn__dataset_end_sequence(d, err);
        if (status) return status;
        d->stats.n_rows++;
    }
    return TNN_OK;
}

tnn_status tnn_dataset_open_text(tnn_dataset **out, const char *path, const tnn_tokenizer *tokenizer,
                                 const tnn_dataset_options *options, const tnn_allocator *allocator, tnn_error *err) {
    tnn_dataset *d;
    tnn_status status = tnn__dataset_new(&d, options, allocator, err);
    *out = NULL;
    if (status) return status;
    tnn_ids all = {.allocator = &d->alloc};
    char *text = NULL;
    size_t size = 0;
    status = tnn__file_read(path, MAX_TEXT, &d->alloc, &text, &size, err);
    if (!status) status = tnn_tokenizer_encode(tokenizer, text, size, TNN_ENCODE_ADD_SPECIAL, &all, err);
    if (!status) status = cut_text(d, &all, err);
    if (!status && d->stats.n_sequences == 0) {
        status = tnn__fail(err, TNN_E_NOTFOUND, "%s: nothing to train on; the file holds %zu tokens", path, all.n);
    }
    if (text) tnn__free(&d->alloc, text, size + 1, 1);
    tnn_ids_free(&all);
    if (status) {
        tnn_dataset_free(d);
        return status;
    }
    *out = d;
    return TNN_OK;
}

/* --- order --- */

/*
 * Place `index` of a permutation of [0, n) keyed by (seed, epoch): a Feistel network over the next power of four,
 * walked until it lands inside (Black & Rogaway 2002). No table, so that any place of any epoch can be had at once.
 */
static int64_t shuffled_index(uint64_t seed, int64_t epoch, int64_t index, int64_t n) {
    int half = 1;
    while (((int64_t)1 << (2 * half)) < n) {
        half++;
    }
    uint64_t mask = ((uint64_t)1 << half) - 1, x = (uint64_t)index;
    do {
        uint64_t left = x >> half, right = x & mask;
        for (uint64_t round = 0; round < 6; round++) {
            uint32_t key[4];
            tnn__philox(seed, tnn__hash_str("order") + (uint64_t)epoch, right << 3 | round, key);
            uint64_t next = left ^ (key[0] & mask);
            left = right;
            right = next;
        }
        x = left << half | right;
    } while (x >= (uint64_t)n);
    return (int64_t)x;
}

/* --- batches --- */

tnn_status tnn_batch_buffer_init(tnn_batch_buffer *b, int64_t n_rows, const tnn_allocator *allocator, tnn_error *err) {
    *b = (tnn_batch_buffer){0};
    if (n_rows < 1 || n_rows > MAX_ROWS)
        return tnn__fail(err, TNN_E_ARG, "a batch of %" PRId64 " rows: give 1 to %" PRId64, n_rows, MAX_ROWS);
    size_t n = (size_t)n_rows;
    *b = (tnn_batch_buffer){.n_rows = n_rows, .allocator = *tnn__allocator_or_default(allocator)};
    b->ids = tnn__calloc_array(&b->allocator, 5 * n, sizeof *b->ids);
    b->weights = tnn__calloc_array(&b->allocator, n, sizeof *b->weights);
    if (!b->ids || !b->weights) {
        tnn_batch_buffer_free(b);
        return tnn__fail_nomem(err, "a batch", 6 * n * sizeof *b->ids);
    }
    b->positions = b->ids + n;
    b->starts = b->ids + 2 * n;
    b->targets = b->ids + 3 * n;
    b->samples = b->ids + 4 * n;
    return TNN_OK;
}

void tnn_batch_buffer_free(tnn_batch_buffer *b) {
    if (b->ids) tnn__free_array(&b->allocator, b->ids, 5 * (size_t)b->n_rows, sizeof *b->ids);
    if (b->weights) tnn__free_array(&b->allocator, b->weights, (size_t)b->n_rows, sizeof *b->weights);
    *b = (tnn_batch_buffer){0};
}

tnn_batch tnn_batch_buffer_view(const tnn_batch_buffer *b) {
    return (tnn_batch){b->ids, b->positions, b->starts, b->targets, b->weights, b->samples};
}

/* `sample` counts sequences over all epochs; its low bits tell neighbours apart. */
static void add_sequence(tnn_batch_buffer *b, int64_t sample, const int32_t *ids, const char *trained, int64_t n) {
    int64_t start = b->n_tokens;
    for (int64_t i = 0; i < n; i++) {
        int64_t row = start + i;
        bool has_target = i + 1 < n && trained[i + 1];
        b->ids[row] = ids[i];
        b->positions[row] = (int32_t)i;
        b->starts[row] = (int32_t)start;
        b->samples[row] = (int32_t)(sample & INT32_MAX);
        b->targets[row] = has_target ? ids[i + 1] : -1;
        b->weights[row] = has_target ? 1.0f : 0.0f;
        b->n_targets += has_target;
    }
    b->n_tokens += n;
    b->n_sequences++;
}

/* Each row of padding is a sequence of its own: it sees itself and counts for nothing. */
static void pad(tnn_batch_buffer *b) {
    for (int64_t row = b->n_tokens; row < b->n_rows; row++) {
        b->ids[row] = 0;
        b->positions[row] = 0;
        b->starts[row] = (int32_t)row;
        b->samples[row] = 0;
        b->targets[row] = -1;
        b->weights[row] = 0.0f;
    }
}

void tnn_batch_fill(tnn_batch_buffer *b, const tnn_dataset *d, tnn_cursor *cursor, bool shuffled) {
    int64_t n_sequences = d->stats.n_sequences;
    b->n_targets = b->n_tokens = b->n_sequences = 0;
    for (;;) {
        if (cursor->index >= n_sequences) *cursor = (tnn_cursor){.epoch = cursor->epoch + 1};
        int64_t i =
            shuffled ? shuffled_index(d->options.seed, cursor->epoch, cursor->index, n_sequences) : cursor->index;
        const char *trained;
        int64_t n;
        const int32_t *ids = tnn_dataset_sequence(d, i, &trained, &n);
        if (n > b->n_rows - b->n_tokens) break;
        add_sequence(b, cursor->epoch * n_sequences + i, ids, trained, n);
        cursor->index++;
        /* A batch does not reach into the next epoch: what an epoch is stays clear. */
        if (cursor->index >= n_sequences) break;
    }
    pad(b);
}

int64_t tnn_dataset_n_batches(const tnn_dataset *d, int64_t n_rows, int64_t epoch) {
    int64_t n_batches = 1, filled = 0;
    for (int64_t k = 0; k < d->stats.n_sequences; k++) {
        int64_t i = shuffled_index(d->options.seed, epoch, k, d->stats.n_sequences),
                n = d->begins[i + 1] - d->begins[i];
        if (n > n_rows - filled) {
            n_batches++;
            filled = 0;
        }
        filled += n;
    }
    return n_batches;
}

void tnn_batch_scale(tnn_batch_buffer *b, int64_t n_targets) {
    float weight = n_targets > 0 ? 1.0f / (float)n_targets : 0.0f;
    for (int64_t row = 0; row < b->n_rows; row++) {
        b->weights[row] = b->targets[row] >= 0 ? weight : 0.0f;
    }
}
