/*
 * Lowering of products with weights. For block types in inference the activations are first rounded to int8, in BF16
 * graphs to BF16, once for all linears that read them.
 */
#include "cpu/steps/steps.h"

/* --- int8 activations: obj packed, x. One temporary: q, then d, s, sum16 (see kernels.h) --- */

tnn__act_q8 tnn__packed_views(uint8_t *base, int64_t n_in, int64_t n_rows) {
    size_t n = (size_t)(n_in * n_rows);
    return (tnn__act_q8){
        .q = (int8_t *)base,
        .d = (float *)(void *)(base + n),
        .s = (float *)(void *)(base + n + n / 32 * sizeof(float)),
        .sum16 = (int16_t *)(void *)(base + n + n / 32 * 2 * sizeof(float)),
    };
}

static size_t packed_bytes(int64_t n_in, int64_t n_rows) {
    size_t n = (size_t)(n_in * n_rows);
    return n + n / 32 * 2 * sizeof(float) + n / 16 * sizeof(int16_t);
}

static void run_pack(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = st->node->ne[0], r0, r1;
    tnn__act_q8 to = tnn__packed_views(tnn__ptr(p, st->obj[0]), n, st->n_rows);
    const float *x = tnn__ptr(p, st->obj[1]);
    tnn__task_rows(st, task, &r0, &r1);
    for (int64_t t = r0; t < r1; t++) {
        tnn__kernels_of(p)->quantize_act(x + t * n, n, to.q + t * n, to.d + t * (n / 32), to.s + t * (n / 32),
                                         to.sum16 + t * (n / 16));
    }
}

static tnn__obj pack_activations(tnn__lowering *l, const tnn_tensor *x) {
    bool fresh;
    int64_t variant = 1 + x->ne[0]; /* views of one tensor with other row lengths pack differently */
    tnn__obj packed = tnn__lower_derived(l, x, variant, packed_bytes(x->ne[0], x->ne[1]), &fresh);
    if (!fresh) return packed;
    tnn__obj from = tnn__lower_obj(l, x);
    tnn__step *st = tnn__lower_rowwise(l, x, x->ne[1], run_pack);
    if (st) {
        tnn__step_writes(st, packed);
        tnn__step_reads(st, from);
    }
    return packed;
}

/* --- BF16 activations: obj rounded, x --- */

static void run_round(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    (void)scratch;
    int64_t n = tnn__row_elements(st->node), r0, r1;
    uint16_t *to = tnn__ptr(p, st->obj[0]);
    const float *x = tnn__ptr(p, st->obj[1]);
    tnn__task_rows(st, task, &r0, &r1);
    tnn__kernels_of(p)->from_f32[TNN_TYPE_BF16](x + r0 * n, to + r0 * n, (r1 - r0) * n);
}

/* Views have their elements in the same places, so that one rounded form serves them all. */
#define ROUNDED INT64_MAX

static tnn__obj round_activations(tnn__lowering *l, const tnn_tensor *x) {
    bool fresh;
    size_t bytes = (size_t)tnn_tensor_elements(x) * sizeof(uint16_t);
    tnn__obj rounded = tnn__lower_derived(l, x, ROUNDED, bytes, &fresh);
    if (!fresh) return rounded;
    tnn__obj from = tnn__lower_obj(l, x);
    tnn__step *st = tnn__lower_rowwise(l, x, tnn__n_rows(x), run_round);
    if (st) {
        tnn__step_writes(st, rounded);
        tnn__step_reads(st, from);
    }
    return rounded;
}

/* --- cutting --- */

/* n in tasks of `most` at most, of which every thread gets as many. */
static int64_t even_size(int64_t n, int64_t most, int n_threads, int64_t align) {
    const int64_t step = align > 16 ? align : 16, rounds = tnn__n_tasks(n, most * n_threads);
    return tnn__n_tasks(tnn__n_tasks(n, rounds * n_threads), step) * step;
}

int64_t tnn__rows_per_task(int64_t n_out, int64_t n_cols, int n_threads, int64_t align) {
    if (n_cols >= 16) return even_size(n_out, 96, n_threads, align);
    int64_t rows = 64;
    if (n_out >= 4096) rows = 128;
    if (n_out <= 256) rows = 32;
    return rows < align ? align : rows;
}

int64_t tnn__k_per_task(int64_t n_in, int n_threads, int64_t align) {
    return even_size(n_in, 144, n_threads, align);
}

int64_t tnn__columns_per_task(int64_t n_cols) {
    const int64_t most = 576, tile = 12, n_parts = tnn__n_tasks(n_cols, most);
    return n_parts < 2 ? n_cols : tnn__n_tasks(tnn__n_tasks(n_cols, n_parts), tile) * tile;
}

int64_t tnn__dw_rows_per_task(int64_t n_out, int n_threads, int64_t align) {
    return even_size(n_out, 192, n_threads, align);
}

/* Of a team of one, two: cut alike, they do the same in the same order. */
static int n_threads_of(const tnn__lowering *l) {
    int n = tnn__team_size(l->p->backend->team);
    return n < 2 ? 2 : n;
}

static bool can_multiply(tnn__lowering *l, const tnn_tensor *w, bool there) {
    if (!there) {
        const char *type = tnn_type_get_info((int32_t)w->type)->name;
        tnn__lower_error(l, TNN_E_UNSUPPORTED, "linear: %s is %s, which cannot be multiplied", tnn_tensor_name(w),
                         type);
    }
    return there;
}

/* F64 graphs run reference kernels, whose scratch is a row of W. */
static size_t f64_scratch(const tnn_tensor *w) {
    return sizeof(double) * (size_t)w->ne[0];
}

/* The pair's rows are few and its product small: activations are as in training, in every mode. */
static void lower_pair(tnn__lowering *l, const tnn_tensor *node, tnn__step *st, tnn__linear_state *s) {
    const tnn_tensor *b = node->src[4];
    bool f64 = node->type == TNN_TYPE_F64;
    s->pair = s->bf16 ? &l->kernels->gemm_bf16[b->type] : &l->kernels->gemm_float[b->type];
    if (!can_multiply(l, b, f64 || s->pair->run)) return;
    size_t bytes = f64 ? f64_scratch(b) : s->pair->scratch_bytes(b->ne[0], TNN__ADDED_COLUMNS, s->rows_per_task);
    bytes += tnn__added_bytes(node, s->rows_per_task);
    if (bytes > st->scratch_bytes) st->scratch_bytes = bytes;
}

void tnn__lower_linear(tnn__lowering *l, const tnn_tensor *node) {
    const tnn_tensor *w = node->src[0], *x = node->src[1];
    bool f64 = node->type == TNN_TYPE_F64, infer = l->graph->mode == TNN_GRAPH_INFER;
    bool bf16 = l->graph->bf16;
    const tnn__gemm_kernel *kernel = infer  ? &l->kernels->gemm[w->type]
                                     : bf16 ? &l->kernels->gemm_bf16[w->type]
                                            : &l->kernels->gemm_float[w->type];
    if (!can_multiply(l, w, f64 || kernel->run)) return;
    tnn__obj input = infer && kernel->int8_activations ? pack_activations(l, x)
                     : bf16                            ? round_activations(l, x)
                                                       : tnn__lower_obj(l, x);
    tnn__obj y = tnn__lower_obj(l, node), weights = tnn__lower_obj(l, w), bias = tnn__lower_obj(l, node->src[2]);
    tnn__obj addend = tnn__lower_obj(l, node->src[3]), b = tnn__lower_obj(l, node->src[4]);
    tnn__obj low = node->src[5] && bf16 ? round_activations(l, node->src[5]) : tnn__lower_obj(l, node->src[5]);
    tnn__linear_state *s = tnn__lower_state(l, sizeof *s);
    tnn__step *st = tnn__lower_step(l, node, tnn__steps_for(node)->linear);
    if (!st || !s) return;
    s->kernel = kernel;
    s->bf16 = bf16;
    s->rows_per_task = tnn__rows_per_task(w->ne[1], x->ne[1], n_threads_of(l), f64 ? 1 : kernel->row_align);
    s->columns_per_task = infer && kernel->int8_activations ? x->ne[1] : tnn__columns_per_task(x->ne[1]);
    st->state = s;
    st->n_tasks = tnn__n_tasks(w->ne[1], s->rows_per_task) * tnn__n_tasks(x->ne[1], s->columns_per_task);
    st->scratch_bytes = f64 ? f64_scratch(w) : kernel->scratch_bytes(w->ne[0], s->columns_per_task, s->rows_per_task);
    if (node->src[4]) lower_pair(l, node, st, s);
    tnn__step_writes(st, y);
    tnn__step_reads(st, weights);
    tnn__step_reads(st, input);
    tnn__step_reads(st, bias);
    tnn__step_reads(st, addend);
    tnn__step_reads(st, b);
    tnn__step_reads(st, low);
}

void tnn__lower_linear_dx(tnn__lowering *l, const tnn_tensor *node) {
    const tnn_tensor *w = node->src[0];
    bool f64 = node->type == TNN_TYPE_F64;
    bool bf16 = l->graph->bf16;
    const tnn__gemm_dx_kernel *kernel = bf16 ? &l->kernels->gemm_dx_bf16[w->type] : &l->kernels->gemm_dx[w->type];
    if (!can_multiply(l, w, f64 || kernel->run)) return;
    tnn__obj dx = tnn__lower_obj(l, node), weights = tnn__lower_obj(l, w);
    tnn__obj dy = bf16 ? round_activations(l, node->src[1]) : tnn__lower_obj(l, node->src[1]);
    tnn__obj addend = tnn__lower_obj(l, node->src[2]);
    tnn__linear_dx_state *s = tnn__lower_state(l, sizeof *s);
    tnn__step *st = tnn__lower_step(l, node, tnn__steps_for(node)->linear_dx);
    if (!st || !s) return;
    s->kernel = kernel;
    s->bf16 = bf16;
    s->k_per_task = tnn__k_per_task(w->ne[0], n_threads_of(l), f64 ? 1 : kernel->k_align);
    s->columns_per_task = tnn__columns_per_task(node->ne[1]);
    st->state = s;
    st->n_tasks = tnn__n_tasks(w->ne[0], s->k_per_task) * tnn__n_tasks(node->ne[1], s->columns_per_task);
    st->scratch_bytes = f64 ? f64_scratch(w) : kernel->scratch_bytes(w->ne[0], s->columns_per_task, s->k_per_task);
    tnn__step_writes(st, dx);
    tnn__step_reads(st, weights);
    tnn__step_reads(st, dy);
    tnn__step_reads(st, addend);
}

void tnn__lower_linear_dw(tnn__lowering *l, const tnn_tensor *node) {
    const tnn_tensor *dy = node->src[1];
    bool bf16 = l->graph->bf16;
    const tnn__gemm_dw_kernel *kernel = bf16 ? &l->kernels->gemm_dw_bf16 : &l->kernels->gemm_dw;
    tnn__obj to = tnn__lower_obj(l, node), from = bf16 ? round_activations(l, dy) : tnn__lower_obj(l, dy);
    tnn__obj x = bf16 ? round_activations(l, node->src[2]) : tnn__lower_obj(l, node->src[2]);
    tnn__linear_dw_state *s = tnn__lower_state(l, sizeof *s);
    tnn__step *st = tnn__lower_step(l, node, tnn__steps_for(node)->linear_dw);
    if (!st || !s) return;
    s->kernel = kernel;
    s->bf16 = bf16;
    s->rows_per_task = tnn__dw_rows_per_task(node->ne[1], n_threads_of(l), kernel->row_align);
    st->state = s;
    st->n_tasks = tnn__n_tasks(node->ne[1], s->rows_per_task);
    st->scratch_bytes = kernel->scratch_bytes(node->ne[0], dy->ne[1], s->rows_per_task);
    tnn__step_writes(st, to);
    tnn__step_reads(st, from);
    tnn__step_reads(st, x);
}

/* --- linear_xent: chunk by chunk, logits, rows, and where they are wanted dx and dW --- */

/*
 * Rows whose logits exist at a time: what XENT_LOGITS floats hold, since each chunk unpacks W again, but no fewer than
 * XENT_ROWS; chunks are as equal as can be.
 */
#define XENT_LOGITS ((int64_t)1 << 24)
#define XENT_ROWS   128

static int64_t xent_chunk(int64_t n_vocab, int64_t n_rows) {
    int64_t most = XENT_LOGITS / n_vocab > XENT_ROWS ? XENT_LOGITS / n_vocab : XENT_ROWS;
    int64_t n_chunks = tnn__n_tasks(n_rows, most);
    return tnn__n_tasks(n_rows, n_chunks);
}

static tnn_status check_targets(const tnn__program *p, const tnn__step *st, tnn_error *err) {
    const tnn_tensor *w = st->node->src[0];
    const int32_t *targets = tnn__ptr(p, st->obj[4]);
    for (int64_t t = 0; t < st->node->ne[0]; t++) {
        if (targets[t] >= w->ne[1]) {
            return tnn__fail(err, TNN_E_RANGE, "target %d at row %lld is outside the vocabulary 0..%lld", targets[t],
                             (long long)t, (long long)w->ne[1] - 1);
        }
    }
    return TNN_OK;
}

/* W x or B low: objects of one product, and of its gradients where they are wanted. */
typedef struct xent_product {
    const tnn_tensor *weight;
    tnn__obj w, x, dw, dx;
} xent_product;

typedef struct xent_objects {
    xent_product products[2];
    int n_products;
    tnn__obj losses, hits, logits, targets, weights;
    tnn__obj rounded; /* gradients of the logits in BF16 */
} xent_objects;

static tnn__step *xent_step(tnn__lowering *l, const tnn_tensor *node, tnn__run_fn *run, tnn__xent_state *s,
                            int64_t n_tasks) {
    tnn__step *st = tnn__lower_step(l, node, run);
    if (!st || !s) return NULL;
    st->state = s;
    st->n_tasks = n_tasks;
    return st;
}

static tnn__xent_state *xent_state(tnn__lowering *l, const tnn_tensor *node, const tnn_tensor *w, int64_t row0,
                                   int64_t row1) {
    tnn__xent_state *s = tnn__lower_state(l, sizeof *s);
    if (!s) return NULL;
    bool f64 = node->type == TNN_TYPE_F64;
    s->w = w;
    s->row0 = row0;
    s->row1 = row1;
    bool bf16 = l->graph->bf16;
    s->bf16 = bf16;
    s->kernel = bf16 ? &l->kernels->gemm_bf16[w->type] : &l->kernels->gemm_float[w->type];
    s->dx_kernel = bf16 ? &l->kernels->gemm_dx_bf16[w->type] : &l->kernels->gemm_dx[w->type];
    s->dw_kernel = bf16 ? &l->kernels->gemm_dw_bf16 : &l->kernels->gemm_dw;
    s->rows_per_task = tnn__rows_per_task(w->ne[1], row1 - row0, n_threads_of(l), f64 ? 1 : s->kernel->row_align);
    s->dw_rows_per_task = tnn__dw_rows_per_task(w->ne[1], n_threads_of(l), s->dw_kernel->row_align);
    s->k_per_task = tnn__k_per_task(w->ne[0], n_threads_of(l), f64 ? 1 : s->dx_kernel->k_align);
    return s;
}

/* The first product makes the logits, the second is added to them, by way of the scratch. */
static void lower_xent_logits(tnn__lowering *l, const tnn_tensor *node, const xent_objects *o, tnn__xent_state *s,
                              int i) {
    const tnn__step_fns *fns = tnn__steps_for(node);
    const tnn_tensor *w = s->w;
    int64_t n = s->row1 - s->row0;
    tnn__step *st =
        xent_step(l, node, i == 0 ? fns->xent_logits : fns->xent_add, s, tnn__n_tasks(w->ne[1], s->rows_per_task));
    if (!st) return;
    bool f64 = node->type == TNN_TYPE_F64;
    st->scratch_bytes = f64 ? f64_scratch(w) : s->kernel->scratch_bytes(w->ne[0], n, s->rows_per_task);
    if (i > 0) st->scratch_bytes += tnn__added_bytes(node, s->rows_per_task);
    tnn__step_writes(st, o->logits);
    tnn__step_reads(st, o->products[i].w);
    tnn__step_reads(st, o->products[i].x);
}

static void lower_xent_rows(tnn__lowering *l, const tnn_tensor *node, const xent_objects *o, tnn__xent_state *s) {
    tnn__step *st = xent_step(l, node, tnn__steps_for(node)->xent_rows, s, s->row1 - s->row0);
    if (!st) return;
    if (s->row0 == 0) st->check = check_targets;
    tnn__step_writes(st, o->losses);
    tnn__step_writes(st, o->logits);
    tnn__step_writes(st, o->rounded);
    tnn__step_writes(st, o->hits);
    tnn__step_reads(st, o->targets);
    tnn__step_reads(st, o->weights);
}

static void lower_xent_gradients(tnn__lowering *l, const tnn_tensor *node, const xent_objects *o, tnn__xent_state *s,
                                 const xent_product *p) {
    const tnn__step_fns *fns = tnn__steps_for(node);
    const tnn_tensor *w = s->w;
    bool f64 = node->type == TNN_TYPE_F64;
    int64_t n = s->row1 - s->row0;
    tnn__obj dlogits = s->bf16 ? o->rounded : o->logits;
    if (p->dx != TNN__NO_OBJ) {
        tnn__step *st = xent_step(l, node, fns->xent_dx, s, tnn__n_tasks(w->ne[0], s->k_per_task));
        if (!st) return;
        st->scratch_bytes = f64 ? f64_scratch(w) : s->dx_kernel->scratch_bytes(w->ne[0], n, s->k_per_task);
        tnn__step_writes(st, p->dx);
        tnn__step_reads(st, p->w);
        tnn__step_reads(st, dlogits);
    }
    if (p->dw != TNN__NO_OBJ) {
        tnn__step *st = xent_step(l, node, fns->xent_dw, s, tnn__n_tasks(w->ne[1], s->dw_rows_per_task));
        if (!st) return;
        st->scratch_bytes = s->dw_kernel->scratch_bytes(w->ne[0], n, s->dw_rows_per_task);
        tnn__step_writes(st, p->dw);
        tnn__step_reads(st, dlogits);
        tnn__step_reads(st, p->x);
    }
}

static void lower_xent_chunk(tnn__lowering *l, const tnn_tensor *node, const xent_objects *o, int64_t row0,
                             int64_t row1) {
    tnn__xent_state *states[2] = {NULL, NULL};
    for (int i = 0; i < o->n_products; i++) {
        states[i] = xent_state(l, node, o->products[i].weight, row0, row1);
        if (!states[i]) return;
        lower_xent_logits(l, node, o, states[i], i);
    }
    lower_xent_rows(l, node, o, states[0]);
    for (int i = 0; i < o->n_products; i++) {
        lower_xent_gradients(l, node, o, states[i], &o->products[i]);
    }
}

static xent_product xent_product_at(tnn__lowering *l, const tnn_tensor *node, int i) {
    const tnn_tensor *w = node->src[3 * i], *x = node->src[3 * i + 1];
    return (xent_product){
        .weight = w,
        .w = tnn__lower_obj(l, w),
        .x = l->graph->bf16 ? round_activations(l, x) : tnn__lower_obj(l, x),
        .dw = tnn__lower_obj(l, node->src[3 * i + 2]),
        .dx = tnn__lower_obj(l, node->parts[i]),
    };
}

void tnn__lower_linear_xent(tnn__lowering *l, const tnn_tensor *node) {
    const tnn_tensor *w = node->src[0];
    bool f64 = node->type == TNN_TYPE_F64, bf16 = l->graph->bf16;
    if (!can_multiply(l, w, f64 || (l->kernels->gemm_float[w->type].run && l->kernels->gemm_dx[w->type].run))) return;
    int64_t n_rows = node->ne[0], chunk = xent_chunk(w->ne[1], n_rows);
    size_t n_logits = (size_t)(chunk * w->ne[1]);
    xent_objects o = {
        .n_products = node->src[3] ? 2 : 1,
        .losses = tnn__lower_obj(l, node),
        .hits = tnn__lower_obj(l, node->parts[2]),
        .logits = tnn__lower_temp(l, n_logits * tnn__real_bytes(node)),
        .rounded = bf16 ? tnn__lower_temp(l, n_logits * sizeof(uint16_t)) : TNN__NO_OBJ,
        .targets = tnn__lower_obj(l, node->src[6]),
        .weights = tnn__lower_obj(l, node->src[7]),
    };
    for (int i = 0; i < o.n_products; i++) {
        o.products[i] = xent_product_at(l, node, i);
    }
    for (int64_t r = 0; r < n_rows; r += chunk) {
        lower_xent_chunk(l, node, &o, r, r + chunk < n_rows ? r + chunk : n_rows);
    }
}
