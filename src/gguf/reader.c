/*
 * Opening GGUF files: bytes from a file or from memory, the place of every tensor in them, and split files joined
 * into one. The header is parsed in header.c, metadata is read in metadata.c.
 */
#include "gguf/reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "gguf/format.h"

#define LABEL_PATH_MAX 160 /* longer paths are shown by their end */

tnn_gguf_open_options tnn_gguf_open_options_default(void) {
    return (tnn_gguf_open_options){.allocator = NULL, .use_mmap = true};
}

/* --- the place of tensors --- */

static int shown(tnn_gguf_str name) {
    return (int)name.size; /* at most TNN_GGUF_MAX_NAME */
}

/* Turns an offset in the data section into one in the file, and checks that the bytes are there. */
static tnn_status place_tensor(tnn_gguf *g, tnn_gguf_tensor *t, uint64_t data_start, tnn_error *err) {
    uint64_t offset = t->file_offset;
    if (offset % g->alignment != 0) {
        return tnn__fail(err, TNN_E_FORMAT,
                         "%s: tensor '%.*s': its offset %" PRIu64 " is no multiple of the alignment %zu", g->label,
                         shown(t->name), t->name.data, offset, g->alignment);
    }
    uint64_t data_size = g->file_size > data_start ? g->file_size - data_start : 0;
    uint64_t end;
    /* Of a tensor without bytes only the padding before it may reach beyond the file. */
    bool fits = t->n_bytes > 0 ? offset <= data_size && t->n_bytes <= data_size - offset
                               : tnn__gguf_pad(data_size, g->alignment, &end) && offset <= end;
    if (!fits) {
        return tnn__fail(err, TNN_E_FORMAT,
                         "%s: tensor '%.*s': %zu bytes at offset %" PRIu64 " of the data section (byte %" PRIu64
                         ") lie outside the file of %zu bytes; it was cut short or is damaged",
                         g->label, shown(t->name), t->name.data, t->n_bytes, offset, data_start, g->file_size);
    }
    t->file_offset = data_start + offset;
    t->data = t->n_bytes > 0 ? g->file + t->file_offset : NULL;
    return TNN_OK;
}

static int by_offset(const void *a, const void *b) {
    const tnn_gguf_tensor *x = *(const tnn_gguf_tensor *const *)a;
    const tnn_gguf_tensor *y = *(const tnn_gguf_tensor *const *)b;
    return x->file_offset < y->file_offset ? -1 : x->file_offset > y->file_offset;
}

/* tensors: n of them with bytes, in order of offset. */
static tnn_status check_neighbours(const tnn_gguf *g, const tnn_gguf_tensor *const *tensors, size_t n, tnn_error *err) {
    for (size_t i = 1; i < n; i++) {
        const tnn_gguf_tensor *a = tensors[i - 1], *b = tensors[i];
        if (a->file_offset + a->n_bytes > b->file_offset) {
            return tnn__fail(err, TNN_E_FORMAT, "%s: tensors '%.*s' and '%.*s' overlap at byte %" PRIu64, g->label,
                             shown(a->name), a->name.data, shown(b->name), b->name.data, b->file_offset);
        }
    }
    return TNN_OK;
}

static tnn_status check_overlap(const tnn_gguf *g, tnn_error *err) {
    if (g->n_tensors == 0) return TNN_OK;
    const tnn_gguf_tensor **tensors = tnn__calloc_array(&g->alloc, g->n_tensors, sizeof *tensors);
    if (!tensors) return tnn__fail_nomem(err, "the order of tensors in a GGUF file", g->n_tensors * sizeof *tensors);
    size_t n = 0;
    bool ascending = true;
    for (size_t i = 0; i < g->n_tensors; i++) {
        if (g->tensors[i].n_bytes == 0) continue;
        if (n > 0 && tensors[n - 1]->file_offset > g->tensors[i].file_offset) ascending = false;
        tensors[n++] = &g->tensors[i];
    }
    if (!ascending) qsort(tensors, n, sizeof *tensors, by_offset);
    tnn_status status = check_neighbours(g, tensors, n, err);
    tnn__free_array(&g->alloc, tensors, g->n_tensors, sizeof *tensors);
    return status;
}

/* Adds the tensors from `first` on to the name table. */
static tnn_status index_tensor_names(tnn_gguf *g, size_t first, tnn_error *err) {
    for (size_t i = first; i < g->n_tensors; i++) {
        const tnn_gguf_tensor *t = &g->tensors[i];
        tnn_status status = tnn__names_add(&g->tensor_names, t->name, i);
        if (status == TNN_E_NOMEM) {
            return tnn__fail_nomem(err, "the tensor table of a GGUF file", 2 * g->n_tensors * sizeof(tnn__name_slot));
        }
        if (status != TNN_OK) {
            int64_t earlier = tnn__names_find(&g->tensor_names, t->name.data, t->name.size);
            return tnn__fail(err, TNN_E_FORMAT, "%s: tensors %" PRId64 " and %zu have the same name '%.*s'", g->label,
                             earlier, i, shown(t->name), t->name.data);
        }
    }
    return TNN_OK;
}

static tnn_status place_tensors(tnn_gguf *g, tnn_error *err) {
    uint64_t data_start;
    if (!tnn__gguf_pad(g->header_end, g->alignment, &data_start)) {
        return tnn__fail(err, TNN_E_FORMAT, "%s: the data section begins beyond 2^64 bytes", g->label);
    }
    for (size_t i = 0; i < g->n_tensors; i++) {
        tnn_status status = place_tensor(g, &g->tensors[i], data_start, err);
        if (status != TNN_OK) return status;
    }
    tnn_status status = index_tensor_names(g, 0, err);
    return status != TNN_OK ? status : check_overlap(g, err);
}

/* --- one file --- */

static tnn_gguf *create(const tnn_gguf_open_options *options, const char *path, tnn_error *err) {
    const tnn_allocator *a = tnn__allocator_or_default(options ? options->allocator : NULL);
    tnn_gguf *g = tnn__calloc(a, sizeof *g, TNN__ALIGN);
    if (!g) {
        tnn__fail_nomem(err, "an open GGUF file", sizeof *g);
        return NULL;
    }
    g->alloc = *a;
    tnn__arena_init(&g->arena, a, 0);
    tnn__names_init(&g->keys, a);
    tnn__names_init(&g->tensor_names, a);
    g->label = "GGUF in memory";
    if (!path) return g;

    size_t n = strlen(path);
    bool cut = n > LABEL_PATH_MAX;
    size_t label_bytes = (cut ? LABEL_PATH_MAX + 3 : n) + 1;
    char *label = tnn__arena_push(&g->arena, label_bytes);
    if (!label) {
        tnn__fail_nomem(err, "the path of a GGUF file", label_bytes);
        tnn_gguf_close(g);
        return NULL;
    }
    snprintf(label, label_bytes, "%s%s", cut ? "..." : "", cut ? path + n - LABEL_PATH_MAX : path);
    g->label = label;
    return g;
}

/* Takes g, whose bytes are known. */
static tnn_status finish_open(tnn_gguf **out, tnn_gguf *g, tnn_error *err) {
    tnn_status status = tnn__gguf_parse_header(g, err);
    if (status == TNN_OK) status = place_tensors(g, err);
    if (status != TNN_OK) {
        tnn_gguf_close(g);
        return status;
    }
    *out = g;
    return TNN_OK;
}

static tnn_status open_one(tnn_gguf **out, const char *path, const tnn_gguf_open_options *options, tnn_error *err) {
    *out = NULL;
    tnn_gguf *g = create(options, path, err);
    if (!g) return TNN_E_NOMEM;
    tnn_status status = tnn__file_view_open(&g->view, path, options ? options->use_mmap : true, &g->alloc, err);
    if (status != TNN_OK) {
        tnn_gguf_close(g);
        return status;
    }
    g->file = g->view.data;
    g->file_size = g->view.size;
    return finish_open(out, g, err);
}

void tnn_gguf_close(tnn_gguf *g) {
    if (!g) return;
    for (size_t i = 0; i < g->n_more_shards; i++) {
        tnn_gguf_close(g->more_shards[i]);
    }
    tnn_allocator a = g->alloc;
    tnn__free_array(&a, g->more_shards, g->n_more_shards, sizeof(tnn_gguf *));
    tnn__names_free(&g->tensor_names);
    tnn__free_array(&a, g->tensors, g->tensor_capacity, sizeof *g->tensors);
    tnn__free_array(&a, g->string_at, g->n_strings, sizeof *g->string_at);
    tnn__names_free(&g->keys);
    tnn__free_array(&a, g->kvs, g->kv_capacity, sizeof *g->kvs);
    tnn__free(&a, g->header, g->header_capacity, TNN__ALIGN);
    tnn__file_view_close(&g->view);
    tnn__arena_free(&g->arena);
    tnn__free(&a, g, sizeof *g, TNN__ALIGN);
}

/* --- split files --- */

/* The split keys of a shard; 0 and 1 where there are none. */
typedef struct split_keys {
    uint16_t no, count;
    int64_t n_tensors; /* of all shards; -1 if not stated */
} split_keys;

static tnn_status read_split_keys(const tnn_gguf *g, split_keys *keys, tnn_error *err) {
    uint32_t no = 0, count = 1;
    *keys = (split_keys){.no = 0, .count = 1, .n_tensors = -1};
    tnn_status status = tnn_gguf_get_u32(g, "split.count", &count, err);
    if (status == TNN_E_NOTFOUND || (status == TNN_OK && count <= 1)) return TNN_OK;
    if (status != TNN_OK) return status;

    status = tnn_gguf_get_u32(g, "split.no", &no, err);
    if (status != TNN_OK && status != TNN_E_NOTFOUND) return status;
    status = tnn_gguf_get_i64(g, "split.tensors.count", &keys->n_tensors, err);
    if (status != TNN_OK && status != TNN_E_NOTFOUND) return status;
    if (count > UINT16_MAX || no >= count) {
        return tnn__fail(err, TNN_E_FORMAT, "%s: keys split.no (%" PRIu32 ") and split.count (%" PRIu32 ") do not fit",
                         g->label, no, count);
    }
    keys->no = (uint16_t)no;
    keys->count = (uint16_t)count;
    return TNN_OK;
}

#define SHARD_SUFFIX_BYTES sizeof "-00001-of-00001.gguf"

static void print_shard_suffix(char suffix[SHARD_SUFFIX_BYTES], uint16_t no, uint16_t count) {
    snprintf(suffix, SHARD_SUFFIX_BYTES, "-%05u-of-%05u.gguf", no + 1u, (unsigned)count);
}

/* Opens shard `no` as g->more_shards[no - 1]; path is that of another shard, and becomes this one's. */
static tnn_status open_shard(tnn_gguf *g, uint16_t no, uint16_t count, char *path, const tnn_gguf_open_options *options,
                             tnn_error *err) {
    print_shard_suffix(path + strlen(path) - (SHARD_SUFFIX_BYTES - 1), no, count);
    tnn_gguf *shard;
    tnn_status status = open_one(&shard, path, options, err);
    if (status != TNN_OK) return status;
    g->more_shards[no - 1] = shard;

    split_keys keys;
    status = read_split_keys(shard, &keys, err);
    if (status != TNN_OK) return status;
    if (keys.no != no || keys.count != count) {
        return tnn__fail(err, TNN_E_FORMAT,
                         "%s: shard %u of %u is expected here; its keys split.no and split.count say %u of %u",
                         shard->label, no + 1u, (unsigned)count, keys.no + 1u, (unsigned)keys.count);
    }
    return TNN_OK;
}

static tnn_status open_more_shards(tnn_gguf *g, const char *path, uint16_t count, const tnn_gguf_open_options *options,
                                   tnn_error *err) {
    size_t n = count - 1u;
    g->more_shards = tnn__calloc_array(&g->alloc, n, sizeof(tnn_gguf *));
    if (!g->more_shards) return tnn__fail_nomem(err, "the shards of a GGUF file", n * sizeof(tnn_gguf *));
    g->n_more_shards = n;
    char *shard_path = tnn__arena_strdup(&g->arena, path);
    if (!shard_path) return tnn__fail_nomem(err, "the path of a shard", strlen(path) + 1);
    for (uint16_t no = 1; no < count; no++) {
        tnn_status status = open_shard(g, no, count, shard_path, options, err);
        if (status != TNN_OK) return status;
    }
    return TNN_OK;
}

/* Appends the tensors of the other shards to g's own. */
static tnn_status join_tensors(tnn_gguf *g, int64_t n_stated, tnn_error *err) {
    size_t own = g->n_tensors, total = own;
    for (size_t s = 0; s < g->n_more_shards; s++) {
        total += g->more_shards[s]->n_tensors;
    }
    if (n_stated < 0 || (uint64_t)n_stated != total) {
        return tnn__fail(err, TNN_E_FORMAT, "%s: the shards hold %zu tensors, key split.tensors.count says %" PRId64,
                         g->label, total, n_stated);
    }
    tnn_gguf_tensor *all = tnn__calloc_array(&g->alloc, total, sizeof *all);
    if (!all) return tnn__fail_nomem(err, "the tensor list of a split GGUF file", total * sizeof *all);
    if (own > 0) memcpy(all, g->tensors, own * sizeof *all);
    tnn__free_array(&g->alloc, g->tensors, g->tensor_capacity, sizeof *all);
    g->tensors = all;
    g->n_tensors = g->tensor_capacity = total;

    tnn_gguf_tensor *next = all + own;
    for (size_t s = 0; s < g->n_more_shards; s++) {
        const tnn_gguf *shard = g->more_shards[s];
        for (size_t i = 0; i < shard->n_tensors; i++, next++) {
            *next = shard->tensors[i];
            next->shard = (int)s + 1;
        }
    }
    return index_tensor_names(g, own, err);
}

static tnn_status join_shards(tnn_gguf *g, const char *path, const tnn_gguf_open_options *options, tnn_error *err) {
    split_keys keys;
    tnn_status status = read_split_keys(g, &keys, err);
    if (status != TNN_OK || keys.count == 1) return status;
    if (keys.no != 0) {
        return tnn__fail(err, TNN_E_FORMAT, "%s: this is shard %u of %u; open the first one", g->label, keys.no + 1u,
                         (unsigned)keys.count);
    }
    char suffix[SHARD_SUFFIX_BYTES];
    print_shard_suffix(suffix, 0, keys.count);
    size_t n = strlen(path);
    if (n < sizeof suffix - 1 || strcmp(path + n - (sizeof suffix - 1), suffix) != 0) {
        return tnn__fail(err, TNN_E_FORMAT, "%s: this is shard 1 of %u, so its name must end in %s; rename it",
                         g->label, (unsigned)keys.count, suffix);
    }
    status = open_more_shards(g, path, keys.count, options, err);
    return status != TNN_OK ? status : join_tensors(g, keys.n_tensors, err);
}

/* --- public --- */

tnn_status tnn_gguf_open(tnn_gguf **out, const char *path, const tnn_gguf_open_options *options, tnn_error *err) {
    tnn_gguf *g;
    *out = NULL;
    tnn_status status = open_one(&g, path, options, err);
    if (status != TNN_OK) return status;
    status = join_shards(g, path, options, err);
    if (status != TNN_OK) {
        tnn_gguf_close(g);
        return status;
    }
    *out = g;
    return TNN_OK;
}

tnn_status tnn_gguf_open_memory(tnn_gguf **out, const void *data, size_t size, const tnn_gguf_open_options *options,
                                tnn_error *err) {
    static const uint8_t nothing[1];
    *out = NULL;
    tnn_gguf *g = create(options, NULL, err);
    if (!g) return TNN_E_NOMEM;
    g->file = data ? data : nothing;
    g->file_size = data ? size : 0;
    tnn_status status = finish_open(&g, g, err);
    if (status != TNN_OK) return status;

    split_keys keys;
    status = read_split_keys(g, &keys, err);
    if (status == TNN_OK && keys.count > 1) {
        status = tnn__fail(err, TNN_E_UNSUPPORTED, "%s: this is shard %u of %u; open split files by path", g->label,
                           keys.no + 1u, (unsigned)keys.count);
    }
    if (status != TNN_OK) {
        tnn_gguf_close(g);
        return status;
    }
    *out = g;
    return TNN_OK;
}

uint32_t tnn_gguf_version(const tnn_gguf *g) {
    return g->version;
}

size_t tnn_gguf_alignment(const tnn_gguf *g) {
    return g->alignment;
}

int tnn_gguf_shard_count(const tnn_gguf *g) {
    return (int)g->n_more_shards + 1;
}

uint64_t tnn_gguf_file_bytes(const tnn_gguf *g) {
    uint64_t bytes = g->file_size;
    for (size_t i = 0; i < g->n_more_shards; i++) {
        bytes += g->more_shards[i]->file_size;
    }
    return bytes;
}

int64_t tnn_gguf_n_tensors(const tnn_gguf *g) {
    return (int64_t)g->n_tensors;
}

int64_t tnn_gguf_find_tensor(const tnn_gguf *g, const char *name) {
    return tnn__names_find(&g->tensor_names, name, strlen(name));
}

const tnn_gguf_tensor *tnn_gguf_tensor_at(const tnn_gguf *g, int64_t i) {
    return i >= 0 && (uint64_t)i < g->n_tensors ? &g->tensors[i] : NULL;
}

void tnn__gguf_release(const tnn_gguf *g, const tnn_gguf_tensor *t) {
    const tnn_gguf *shard = t->shard > 0 ? g->more_shards[t->shard - 1] : g;
    size_t begin = (size_t)t->file_offset;
    tnn__file_view_release(&shard->view, begin, begin + t->n_bytes);
}
