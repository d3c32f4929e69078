/* What is carried from row to row: the causal convolution and the gated delta rule, forward and back. */
#include <math.h>

#include "cpu/steps/real.h"

/* --- conv1d_silu: a task is a range of channels; rows are visited in order --- */

/* One range of channels of a batch: x and, where there is one, the state begin at its first channel. */
typedef struct channels {
    int64_t first, n, n_all, width;
    const real *x;
    const real *zeros;
    real *state; /* [n_all, width - 1, slots], or NULL */
} channels;

/* Row `row` of the span's sequence, which may lie before its first row in this batch. */
static const real *row_before(const channels *c, const tnn__span *s, int64_t row) {
    if (row >= s->first) return c->x + row * c->n_all;
    if (!c->state || s->begins) return c->zeros;
    return c->state + (s->slot * (c->width - 1) + c->width - 1 + row - s->first) * c->n_all;
}

/* w [width, n_all] to [n, width] in scratch, behind which lie n zeros. */
static channels load_channels(const tnn_tensor *w, const real *x, const real *weights, int64_t task, real *scratch) {
    channels c = {.n_all = w->ne[1], .width = w->ne[0]};
    int64_t end;
    tnn__split(task, TNN__CONV_CHANNELS, c.n_all, &c.first, &end);
    c.n = end - c.first;
    c.x = x + c.first;
    for (int64_t i = 0; i < c.n; i++) {
        for (int64_t j = 0; j < c.width; j++) {
            scratch[j * c.n + i] = weights[(c.first + i) * c.width + j];
        }
    }
    c.zeros = memset(scratch + c.width * c.n, 0, (size_t)c.n * sizeof *scratch);
    return c;
}

enum { MAX_TAPS = 16 };

/* The last width - 1 rows, which may reach back into the old state. */
static void keep_last_rows(const channels *c, const tnn__span *s) {
    for (int64_t i = 0; i < c->width - 1; i++) {
        real *to = c->state + (s->slot * (c->width - 1) + i) * c->n_all;
        memmove(to, row_before(c, s, s->end - (c->width - 1) + i), (size_t)c->n * sizeof *to);
    }
}

static void run_conv1d_silu(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__spans *spans = tnn__ptr(p, st->obj[TNN__CONV_SPANS]);
    real *y = tnn__ptr(p, st->obj[TNN__CONV_Y]), *state = tnn__ptr(p, st->obj[TNN__CONV_STATE]);
    channels c = load_channels(st->node->src[1], tnn__ptr(p, st->obj[TNN__CONV_X]), tnn__ptr(p, st->obj[TNN__CONV_W]),
                               task, scratch);
    c.state = state ? state + c.first : NULL;
    for (const tnn__span *s = spans->at; s < spans->at + spans->n; s++) {
        for (int64_t t = s->first; t < s->end; t++) {
            const real *taps[MAX_TAPS];
            for (int64_t j = 0; j < c.width; j++) {
                taps[j] = row_before(&c, s, t - c.width + 1 + j);
            }
            KERNELS(p)->conv1d_silu(taps, scratch, c.width, y + t * c.n_all + c.first, c.n);
        }
        if (state) keep_last_rows(&c, s);
    }
}

/* Scratch: w, zeros, and the sum of dw. */
static void run_conv1d_silu_back(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__spans *spans = tnn__ptr(p, st->obj[TNN__CONV_BACK_SPANS]);
    channels c = load_channels(st->node->src[1], tnn__ptr(p, st->obj[TNN__CONV_BACK_X]),
                               tnn__ptr(p, st->obj[TNN__CONV_BACK_W]), task, scratch);
    real *dw = (real *)scratch + (c.width + 1) * c.n;
    real *dx = (real *)tnn__ptr(p, st->obj[TNN__CONV_BACK_DX]) + c.first;
    const real *dy = (const real *)tnn__ptr(p, st->obj[TNN__CONV_BACK_DY]) + c.first;
    memset(dw, 0, (size_t)(c.width * c.n) * sizeof *dw);
    for (const tnn__span *s = spans->at; s < spans->at + spans->n; s++) {
        for (int64_t t = s->first; t < s->end; t++) {
            const real *taps[MAX_TAPS];
            real *dtaps[MAX_TAPS];
            for (int64_t j = 0; j < c.width; j++) {
                int64_t row = t - c.width + 1 + j;
                taps[j] = row_before(&c, s, row);
                dtaps[j] = row >= s->first ? dx + row * c.n_all : NULL;
            }
            KERNELS(p)->conv1d_silu_back(taps, scratch, c.width, dy + t * c.n_all, dtaps, dw, c.n);
        }
    }
    real *grad = tnn__ptr(p, st->obj[TNN__CONV_BACK_DW]);
    for (int64_t i = 0; grad && i < c.n; i++) {
        for (int64_t j = 0; j < c.width; j++) {
            grad[(c.first + i) * c.width + j] += dw[j * c.n + i];
        }
    }
}

/* --- gated_delta_net: a task is a head of a span --- */

/* Where q, k and v lie: three tensors, or one after the other in the rows of q. */
static gdn_args delta_net_args(const tnn__program *p, const tnn_tensor *node, const real *q, const real *k,
                               const real *v) {
    int64_t d_k = node->params.gdn.d_k, d_v = node->params.gdn.d_v;
    int64_t n_k = d_k * node->params.gdn.n_k_heads, n_v = d_v * node->params.gdn.n_v_heads;
    bool packed = node->params.gdn.packed;
    return (gdn_args){
        .q = q,
        .k = packed ? q + n_k : k,
        .v = packed ? q + 2 * n_k : v,
        .q_stride = packed ? 2 * n_k + n_v : n_k,
        .k_stride = packed ? 2 * n_k + n_v : n_k,
        .v_stride = packed ? 2 * n_k + n_v : n_v,
        .d_k = d_k,
        .d_v = d_v,
        .n_v_heads = node->params.gdn.n_v_heads,
        .scale = 1 / (real)sqrt((double)d_k),
        .norm = node->params.gdn.norm,
        .norm_eps = (real)node->params.gdn.norm_eps,
        .chunk = KERNELS(p)->gdn.chunk,
        .n_rows = node->src[0]->ne[node->src[0]->n_dims - 1],
    };
}

static int64_t state_elements(const tnn_tensor *node) {
    return node->params.gdn.d_k * node->params.gdn.d_v;
}

/* A task's state, where none is carried, before the kernel's scratch; whole cache lines. */
static size_t state_scratch(const tnn_tensor *node) {
    return ((size_t)state_elements(node) * sizeof(real) + 63) / 64 * 64;
}

static const real no_elements[1];

static size_t gdn_scratch_bytes(const tnn__program *p, const tnn_tensor *node) {
    gdn_args a = delta_net_args(p, node, no_elements, NULL, NULL);
    return state_scratch(node) + KERNELS(p)->gdn.scratch_bytes(&a, a.n_rows);
}

static size_t gdn_back_scratch_bytes(const tnn__program *p, const tnn_tensor *node) {
    gdn_args a = delta_net_args(p, node, no_elements, NULL, NULL);
    return 2 * state_scratch(node) + KERNELS(p)->gdn.back_scratch_bytes(&a, a.n_rows);
}

static int64_t key_head(const tnn_tensor *node, int64_t h) {
    int64_t n_k = node->params.gdn.n_k_heads, n_v = node->params.gdn.n_v_heads;
    return node->params.gdn.tiled ? h % n_k : h / (n_v / n_k);
}

/* Of head h of the span'th span; the last one's task also clears the head's rows that have no span. */
static void put_norm(const tnn_tensor *node, int64_t span, int64_t n_spans, int64_t h, const real *state, real *norms) {
    int64_t n_heads = node->params.gdn.n_v_heads, n_rows = node->parts[0]->ne[1];
    double squares = 0;
    for (int64_t i = 0; i < state_elements(node); i++) {
        squares += (double)state[i] * (double)state[i];
    }
    norms[span * n_heads + h] = (real)sqrt(squares);
    for (int64_t row = n_spans; span + 1 == n_spans && row < n_rows; row++) {
        norms[row * n_heads + h] = 0;
    }
}

static void run_gdn(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn__spans *spans = tnn__ptr(p, st->obj[TNN__GDN_SPANS]);
    int64_t n_heads = st->node->params.gdn.n_v_heads, h = task % n_heads, size = state_elements(st->node);
    const tnn__span *s = &spans->at[task / n_heads];
    gdn_args a = delta_net_args(p, st->node, tnn__ptr(p, st->obj[TNN__GDN_Q]), tnn__ptr(p, st->obj[TNN__GDN_K]),
                                tnn__ptr(p, st->obj[TNN__GDN_V]));
    a.decay = tnn__ptr(p, st->obj[TNN__GDN_DECAY]);
    a.beta = tnn__ptr(p, st->obj[TNN__GDN_BETA]);
    a.out = tnn__ptr(p, st->obj[TNN__GDN_OUT]);
    a.kept = tnn__ptr(p, st->obj[TNN__GDN_KEPT]);
    real *carried = tnn__ptr(p, st->obj[TNN__GDN_STATE]), *norms = tnn__ptr(p, st->obj[TNN__GDN_NORMS]);
    real *state = carried ? carried + (s->slot * n_heads + h) * size : scratch;
    if (!carried || s->begins) memset(state, 0, (size_t)size * sizeof *state);
    KERNELS(p)->gdn.run(&a, key_head(st->node, h), h, s->first, s->end, state,
                        (uint8_t *)scratch + state_scratch(st->node));
    if (norms) put_norm(st->node, task / n_heads, spans->n, h, state, norms);
}

/* A task is a key head of a span: its value heads add to one dq and dk, in order. */
static void run_gdn_back(const tnn__program *p, const tnn__step *st, int64_t task, void *scratch) {
    const tnn_tensor *node = st->node;
    const tnn__spans *spans = tnn__ptr(p, st->obj[TNN__GDN_BACK_SPANS]);
    int64_t n_k = node->params.gdn.n_k_heads, n_v = node->params.gdn.n_v_heads, c = task % n_k;
    const tnn__span *s = &spans->at[task / n_k];
    real *dq = tnn__ptr(p, st->obj[TNN__GDN_BACK_DQ]), *dk = tnn__ptr(p, st->obj[TNN__GDN_BACK_DK]);
    real *dv = tnn__ptr(p, st->obj[TNN__GDN_BACK_DV]);
    bool packed = node->params.gdn.packed;
    gdn_back_args a = {
        .f =
            delta_net_args(p, node, tnn__ptr(p, st->obj[TNN__GDN_BACK_Q]), tnn__ptr(p, st->obj[TNN__GDN_BACK_K]), NULL),
        .dout = tnn__ptr(p, st->obj[TNN__GDN_BACK_DOUT]),
        .dq = dq,
        .dk = packed ? dq + node->params.gdn.d_k * n_k : dk,
        .dv = packed ? dq + 2 * node->params.gdn.d_k * n_k : dv,
        .ddecay = tnn__ptr(p, st->obj[TNN__GDN_BACK_DDECAY]),
        .dbeta = tnn__ptr(p, st->obj[TNN__GDN_BACK_DBETA]),
    };
    a.f.decay = tnn__ptr(p, st->obj[TNN__GDN_BACK_DECAY]);
    a.f.beta = tnn__ptr(p, st->obj[TNN__GDN_BACK_BETA]);
    a.f.kept = tnn__ptr(p, st->obj[TNN__GDN_BACK_KEPT]);
    real *state = scratch, *dstate = (real *)(void *)((uint8_t *)scratch + state_scratch(node));
    memset(state, 0, state_scratch(node));
    for (int64_t i = 0; i < n_v / n_k; i++) {
        int64_t h = node->params.gdn.tiled ? i * n_k + c : c * (n_v / n_k) + i;
        memset(dstate, 0, state_scratch(node));
        KERNELS(p)->gdn.back(&a, c, h, s->first, s->end, state, dstate, i > 0,
                             (uint8_t *)scratch + 2 * state_scratch(node));
    }
}
