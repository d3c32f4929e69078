/*
 * linear: the rows of W are cut into tasks. For block types the activations are first rounded to int8, once for all
 * linears that read them.
 */
#include "cpu/program.h"

/* --- int8 activations: obj packed, x. One temporary: q, then d, s, sum16 (see kernels.h) --- */

static tnn__act_q8 packed_views(uint8_t *base, int64_t n_in, int64_t n_rows) {
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
    tnn__act_q8 to = packed_views(tnn__ptr(p, st->obj[0]), n, st->n_rows);
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

/* --- the product: obj y, w, x or packed, bias --- */

typedef struct linear_state {
    const tnn__gemm_kernel *kernel;
    int64_t rows_per_task;
} linear_state;

static void run_linear(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const linear_state *s = st->state;
    const tnn_tensor *w = st->node->src[0], *x = st->node->src[1];
    tnn__gemm_args a = {
        .w = tnn__ptr(p, st->obj[1]),
        .row_bytes = tnn_row_bytes((int32_t)w->type, w->ne[0]),
        .n_in = w->ne[0],
        .n_out = w->ne[1],
        .n_cols = x->ne[1],
        .bias = tnn__ptr(p, st->obj[3]),
        .y = tnn__ptr(p, st->obj[0]),
        .y_stride = w->ne[1],
    };
    if (s->kernel->int8_activations) {
        a.act = packed_views(tnn__ptr(p, st->obj[2]), a.n_in, a.n_cols);
    } else {
        a.x = tnn__ptr(p, st->obj[2]);
        a.x_stride = a.n_in;
    }
    int64_t row0 = task * s->rows_per_task;
    int64_t row1 = row0 + s->rows_per_task < a.n_out ? row0 + s->rows_per_task : a.n_out;
    s->kernel->run(&a, row0, row1, scratch);
}

/*
 * Enough tasks to keep a handful of threads level at the end, few enough that packing a panel of W pays. A function of
 * the shape alone, so that results do not depend on the number of threads.
 */
static int64_t rows_per_task(const tnn__gemm_kernel *k, int64_t n_out, int64_t n_cols) {
    int64_t rows = n_cols >= 16 ? 64 : 32;
    if (n_out >= 4096) rows *= n_cols >= 16 ? 1 : 4;
    if (n_out <= 256) rows = 32;
    return rows < k->row_align ? k->row_align : rows;
}

void tnn__lower_linear(tnn__lowering *l, const tnn_tensor *node) {
    const tnn_tensor *w = node->src[0], *x = node->src[1];
    const tnn__gemm_kernel *kernel = &l->kernels->gemm[w->type];
    if (!kernel->run) {
        const char *type = tnn_type_get_info((int32_t)w->type)->name;
        tnn__lower_error(l, TNN_E_UNSUPPORTED, "linear: %s is %s, which cannot be multiplied", tnn_tensor_name(w),
                         type);
        return;
    }
    tnn__obj input = kernel->int8_activations ? pack_activations(l, x) : tnn__lower_obj(l, x);
    tnn__obj y = tnn__lower_obj(l, node), weights = tnn__lower_obj(l, w), bias = tnn__lower_obj(l, node->src[2]);
    linear_state *s = tnn__lower_state(l, sizeof *s);
    tnn__step *st = tnn__lower_step(l, node, run_linear);
    if (!st || !s) return;
    s->kernel = kernel;
    s->rows_per_task = rows_per_task(kernel, w->ne[1], x->ne[1]);
    st->state = s;
    st->n_tasks = (w->ne[1] + s->rows_per_task - 1) / s->rows_per_task;
    if (kernel->scratch_bytes) st->scratch_bytes = kernel->scratch_bytes(w->ne[0], x->ne[1], s->rows_per_task);
    tnn__step_writes(st, y);
    tnn__step_reads(st, weights);
    tnn__step_reads(st, input);
    tnn__step_reads(st, bias);
}
