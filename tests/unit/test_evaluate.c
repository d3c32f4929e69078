/*
 * Hits of a cross-entropy are the rows whose target has the largest logit; the loss of a data set is the same whatever
 * the batch, can be stopped, and tells its taps without padding.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <tinynn/eval.h>
#include <tinynn/ops.h>

#include "support/temp_dir.h"
#include "support/tiny_model.h"

static temp_dir dir;
static tnn_session *session;
static tnn_model *model;
static tnn_dataset *data;

static const char rows[] =
    "{\"text\": \"the hero\"}\n{\"text\": \"he said that the time has come\"}\n{\"text\": \"no\"}\n";

static int open_all(void **state) {
    (void)state;
    tnn_session_options o = tnn_session_options_default();
    o.n_threads = 2;
    temp_dir_create(&dir);
    tiny_model m = tiny_model_default();
    m.tokenizer = true;
    tiny_model_write(&m, temp_path(&dir, "model.gguf"));
    FILE *f = fopen(temp_path(&dir, "rows.jsonl"), "wb");
    if (!f || fwrite(rows, 1, sizeof rows - 1, f) != sizeof rows - 1 || fclose(f) != 0) return -1;
    if (tnn_session_new(&session, &o, NULL)) return -1;
    if (tnn_model_load(&model, session, temp_path(&dir, "model.gguf"), NULL, NULL)) return -1;
    tnn_dataset_options d = tnn_dataset_options_default();
    return tnn_dataset_open_jsonl(&data, temp_path(&dir, "rows.jsonl"), tnn_model_tokenizer(model), NULL, &d, NULL,
                                  NULL);
}

static int close_all(void **state) {
    (void)state;
    tnn_dataset_free(data);
    tnn_model_free(model);
    tnn_session_free(session);
    temp_dir_remove(&dir);
    return 0;
}

/* --- hits --- */

enum { E = 3, VOCAB = 7, ROWS = 300 };

/* Row t of x points at id t % VOCAB; ids 2 and 5 are alike, so that they always tie. */
static void fill(float w[VOCAB][E], float x[ROWS][E]) {
    for (int v = 0; v < VOCAB; v++) {
        double angle = 0.9 * (v == 5 ? 2 : v);
        w[v][0] = (float)cos(angle);
        w[v][1] = (float)sin(angle);
        w[v][2] = 0.0f;
    }
    for (int t = 0; t < ROWS; t++) {
        memcpy(x[t], w[t % VOCAB], sizeof x[t]);
    }
}

static void test_hits(void **state) {
    (void)state;
    static float w[VOCAB][E], x[ROWS][E], weights[ROWS];
    static int32_t targets[ROWS];
    const int64_t n = ROWS, ne_w[2] = {E, VOCAB}, ne_x[2] = {E, ROWS};
    tnn_graph *g;
    tnn_plan *plan;
    tnn_error err;
    fill(w, x);
    for (int t = 0; t < ROWS; t++) {
        targets[t] = t % 11 == 0 ? -1 : t % 3 == 0 ? (t + 1) % VOCAB : t % VOCAB;
    }
    assert_int_equal(tnn_graph_new(&g, session, &err), TNN_OK);
    assert_int_equal(tnn_graph_set_mode(g, TNN_GRAPH_TRAIN, &err), TNN_OK);
    tnn_tensor *tw = tnn_input(g, "w", TNN_TYPE_F32, 2, ne_w), *tx = tnn_input(g, "x", TNN_TYPE_F32, 2, ne_x);
    tnn_tensor *tt = tnn_input(g, "targets", TNN_TYPE_I32, 1, &n),
               *tweights = tnn_input(g, "weights", TNN_TYPE_F32, 1, &n);
    tnn_tensor *losses = tnn_output(g, tnn_linear_xent(g, tw, tx, tt, tweights), "losses");
    tnn_tensor *hits = tnn_output(g, tnn_xent_hits(g, losses), "hits");
    assert_ptr_equal(tnn_xent_hits(g, losses), hits);
    if (tnn_graph_plan(&plan, g, &err)) fail_msg("%s", err.text);
    assert_int_equal(tnn_plan_set(plan, tw, w, sizeof w, &err), TNN_OK);
    assert_int_equal(tnn_plan_set(plan, tx, x, sizeof x, &err), TNN_OK);
    assert_int_equal(tnn_plan_set(plan, tt, targets, sizeof targets, &err), TNN_OK);
    assert_int_equal(tnn_plan_set(plan, tweights, weights, sizeof weights, &err), TNN_OK);
    if (tnn_plan_run(plan, &err)) fail_msg("%s", err.text);
    const float *got = tnn_plan_data(plan, hits);
    for (int t = 0; t < ROWS; t++) {
        int top = t % VOCAB == 5 ? 2 : t % VOCAB; /* of equals, the lowest id */
        float want = targets[t] == top ? 1.0f : 0.0f;
        if (got[t] != want) fail_msg("row %d, target %d: %g", t, targets[t], (double)got[t]);
    }
    assert_null(tnn_xent_hits(g, tx));
    assert_int_equal(tnn_graph_status(g, &err), TNN_E_SHAPE);
    assert_non_null(strstr(err.text, "xent_hits"));
    tnn_plan_free(plan);
    tnn_graph_free(g);
}

/* --- data sets --- */

typedef struct seen {
    int64_t n_rows;
    int n_batches, stop_after;
} seen;

static bool on_batch(void *ctx, const tnn_evaluation *so_far) {
    seen *s = ctx;
    assert_true(so_far->n_scored > 0 && so_far->n_hits <= so_far->n_scored);
    return ++s->n_batches != s->stop_after;
}

static bool on_tap(void *ctx, const char *name, const float *values, int64_t n_features, int64_t n_rows) {
    seen *s = ctx;
    assert_string_equal(name, "final_norm");
    assert_int_equal(n_features, 32);
    assert_true(isfinite(values[n_features * n_rows - 1]));
    s->n_rows += n_rows;
    return true;
}

static void test_batches(void **state) {
    (void)state;
    tnn_error err;
    tnn_evaluation whole, parts;
    tnn_dataset_stats stats = tnn_dataset_get_stats(data);
    seen s = {0};
    tnn_evaluate_options o = {.n_rows = 1, .taps = "final_norm", .on_batch = on_batch, .on_tap = on_tap, .ctx = &s};
    if (tnn_evaluate(&whole, model, data, NULL, &err)) fail_msg("%s", err.text);
    assert_int_equal(whole.n_scored, stats.n_trained);
    assert_int_equal(whole.n_sequences, 3);
    if (tnn_evaluate(&parts, model, data, &o, &err)) fail_msg("%s", err.text);
    assert_true(s.n_batches > 1);
    assert_int_equal(s.n_rows, stats.n_tokens);
    assert_true(fabs(parts.loss / whole.loss - 1) < 1e-6);
    assert_int_equal(parts.n_hits, whole.n_hits);
    assert_true(whole.ppl == exp(whole.loss));

    s = (seen){.stop_after = 1};
    assert_int_equal(tnn_evaluate(&parts, model, data, &o, &err), TNN_E_CANCELLED);
    assert_non_null(strstr(err.text, "of 3 sequences"));
    o.taps = "blk.9.attn_out";
    assert_int_equal(tnn_evaluate(&parts, model, data, &o, &err), TNN_E_ARG);
    o = (tnn_evaluate_options){.n_rows = -1};
    assert_int_equal(tnn_evaluate(&parts, model, data, &o, &err), TNN_E_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits),
        cmocka_unit_test(test_batches),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
