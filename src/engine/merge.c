/*
 * Merging: the conversion of a file, with the low-rank pairs of a linear added to each of its rows on the way.
 */
#include <tinynn/merge.h>

#include <string.h>

#include "engine/model.h"
#include "engine/quantize.h"
#include "engine/quantize_mix.h"
#include "llm/archs/llama_arch.h"

/* The pairs of the tensor in hand, copied out: A [in, r] and B [r, out]. */
typedef struct pair {
    float *a, *b;
    int64_t n_in, rank, n_out;
    float scale;
} pair;

typedef struct merging {
    const tnn_model *model;
    const tnn_allocator *alloc;
    pair *pairs; /* room for the adapters of the model */
    int n_pairs;
} merging;

static const tnn__lora *pairs_of(tnn_llama_arch *a, const char *name) {
    const tnn__linear *linear = tnn__find_linear(a, name);
    return linear ? linear->lora : NULL;
}

static void drop_pairs(merging *m) {
    for (int i = 0; i < m->n_pairs; i++) {
        const pair *p = &m->pairs[i];
        if (p->a) tnn__free_array(m->alloc, p->a, (size_t)(p->n_in * p->rank), sizeof *p->a);
        if (p->b) tnn__free_array(m->alloc, p->b, (size_t)(p->rank * p->n_out), sizeof *p->b);
    }
    m->n_pairs = 0;
}

static tnn_status copy_out(const merging *m, const tnn_tensor *t, float **out, tnn_error *err) {
    size_t n = (size_t)tnn_tensor_elements(t);
    *out = tnn__calloc_array(m->alloc, n, sizeof **out);
    if (!*out) return tnn__fail_nomem(err, tnn_tensor_name(t), n * sizeof **out);
    return tnn_tensor_read(t, 0, *out, n * sizeof **out, err);
}

static tnn_status take_pair(merging *m, const tnn__lora *from, tnn_error *err) {
    pair *p = &m->pairs[m->n_pairs++];
    *p = (pair){.n_in = tnn_tensor_ne(from->a)[0],
                .rank = tnn_tensor_ne(from->b)[0],
                .n_out = tnn_tensor_ne(from->b)[1],
                .scale = from->scale};
    tnn_status status = copy_out(m, from->a, &p->a, err);
    return status ? status : copy_out(m, from->b, &p->b, err);
}

static tnn_status begin_tensor(void *ctx, const tnn_gguf_tensor *t, bool *edited, tnn_error *err) {
    merging *m = ctx;
    tnn_status status = TNN_OK;
    drop_pairs(m);
    for (const tnn__lora *l = pairs_of(m->model->arch, t->name.data); l && !status; l = l->next) {
        status = take_pair(m, l, err);
    }
    *edited = m->n_pairs > 0;
    return status;
}

/* w [in] += scale * B[row] A */
static void edit_row(const void *ctx, int64_t row, float *w) {
    const merging *m = ctx;
    for (int i = 0; i < m->n_pairs; i++) {
        const pair *p = &m->pairs[i];
        for (int64_t k = 0; k < p->rank; k++) {
            float factor = p->scale * p->b[row * p->rank + k];
            const float *a = p->a + k * p->n_in;
            for (int64_t j = 0; j < p->n_in; j++) {
                w[j] += factor * a[j];
            }
        }
    }
}

static tnn_status choose_types(tnn__conversion *c, int32_t *types, tnn_error *err) {
    c->types = types;
    if (c->file_type >= 0)
        return tnn__quantize_types(c->g, (tnn_file_type)c->file_type, c->options, types, &c->n_fallback, err);
    for (int64_t i = 0; i < tnn_gguf_n_tensors(c->g); i++) {
        types[i] = tnn_gguf_tensor_at(c->g, i)->type;
    }
    return TNN_OK;
}

tnn_status tnn_merge_file(const tnn_model *m, const char *path, int32_t file_type, const tnn_quantize_options *options,
                          tnn_quantize_result *result, tnn_error *err) {
    tnn_quantize_options standard = tnn_quantize_options_default();
    if (m->n_adapters == 0)
        return tnn__fail(err, TNN_E_STATE, "there is nothing to merge: the model has no adapter beside it");
    merging work = {.model = m, .alloc = &m->session->alloc};
    tnn__conversion c = {.g = m->gguf,
                         .file_type = file_type,
                         .options = options ? options : &standard,
                         .begin_tensor = begin_tensor,
                         .edit_row = edit_row,
                         .ctx = &work};
    size_t n = (size_t)tnn_gguf_n_tensors(m->gguf), n_adapters = (size_t)m->n_adapters;
    int32_t *types = tnn__calloc_array(work.alloc, n, sizeof *types);
    work.pairs = tnn__calloc_array(work.alloc, n_adapters, sizeof *work.pairs);
    tnn_status status = TNN_OK;
    if (!types || !work.pairs) status = tnn__fail_nomem(err, "merging", n * sizeof *types);
    if (!status) status = choose_types(&c, types, err);
    if (!status) status = tnn__convert_file(&c, path, result, err);
    drop_pairs(&work);
    if (work.pairs) tnn__free_array(work.alloc, work.pairs, n_adapters, sizeof *work.pairs);
    if (types) tnn__free_array(work.alloc, types, n, sizeof *types);
    return status;
}
