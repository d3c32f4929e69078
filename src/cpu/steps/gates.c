/* Lowering of gates, the gated norm and slices: all go row by row. */
#include "cpu/steps/steps.h"

void tnn__lower_sigmoid(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->sigmoid, 1);
}

void tnn__lower_sigmoid_back(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->sigmoid_back, 2);
}

void tnn__lower_sigmoid_gate(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->sigmoid_gate, 2);
}

void tnn__lower_sigmoid_gate_back(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->sigmoid_gate_back, 3);
}

void tnn__lower_rms_norm_gated(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->rms_norm_gated, 3);
}

void tnn__lower_slice(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->slice, 1);
}

void tnn__lower_slice_back(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->slice_back, 1);
}

void tnn__lower_gdn_decay(tnn__lowering *l, const tnn_tensor *node) {
    tnn__lower_simple(l, node, tnn__steps_for(node)->gdn_decay, 3);
}

/* --- ways back with sums over rows: a partial sum per task of rows, then the sum of these in order --- */

static tnn__obj new_partials(tnn__lowering *l, const tnn_tensor *node) {
    size_t n_tasks = (size_t)tnn__n_tasks(tnn__n_rows(node), TNN__ROW_TILE);
    return tnn__lower_temp(l, n_tasks * (size_t)node->ne[0] * tnn__real_bytes(node));
}

static void sum_partials(tnn__lowering *l, const tnn_tensor *node, const tnn_tensor *grad, tnn__obj partials) {
    tnn__obj to = tnn__lower_obj(l, grad);
    tnn__step *st = grad ? tnn__lower_step(l, node, tnn__steps_for(node)->sum_partials) : NULL;
    if (!st) return;
    tnn__step_writes(st, to);
    tnn__step_reads(st, partials);
}

/* Sources x, gamma, z, dy, dgamma. */
void tnn__lower_rms_norm_gated_back(tnn__lowering *l, const tnn_tensor *node) {
    tnn__obj dx = tnn__lower_obj(l, node), partials = new_partials(l, node), dz = tnn__lower_obj(l, node->parts[0]);
    tnn__obj x = tnn__lower_obj(l, node->src[0]), gamma = tnn__lower_obj(l, node->src[1]);
    tnn__obj z = tnn__lower_obj(l, node->src[2]), dy = tnn__lower_obj(l, node->src[3]);
    tnn__step *st = tnn__lower_rowwise(l, node, tnn__n_rows(node), tnn__steps_for(node)->rms_norm_gated_back);
    if (!st) return;
    tnn__step_writes(st, dx);
    tnn__step_writes(st, partials);
    tnn__step_writes(st, dz);
    tnn__step_reads(st, x);
    tnn__step_reads(st, gamma);
    tnn__step_reads(st, z);
    tnn__step_reads(st, dy);
    sum_partials(l, node, node->src[4], partials);
}

/* Sources x, dt_bias, a, dy, ddt_bias, da. */
void tnn__lower_gdn_decay_back(tnn__lowering *l, const tnn_tensor *node) {
    tnn__obj dx = tnn__lower_obj(l, node), of_dt = new_partials(l, node), of_a = new_partials(l, node), src[4];
    for (int i = 0; i < 4; i++) {
        src[i] = tnn__lower_obj(l, node->src[i]);
    }
    tnn__step *st = tnn__lower_rowwise(l, node, tnn__n_rows(node), tnn__steps_for(node)->gdn_decay_back);
    if (!st) return;
    tnn__step_writes(st, dx);
    tnn__step_writes(st, of_dt);
    tnn__step_writes(st, of_a);
    for (int i = 0; i < 4; i++) {
        tnn__step_reads(st, src[i]);
    }
    sum_partials(l, node, node->src[4], of_dt);
    sum_partials(l, node, node->src[5], of_a);
}
