/* A GGUF with the tensors of a small transformer of any depth: real names, rows of the length that is asked for. */
#ifndef TNN_TEST_MODEL_SHAPE_H
#define TNN_TEST_MODEL_SHAPE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <tinynn/gguf.h>

typedef struct model_shape {
    const char *arch;
    uint32_t n_layers, n_heads, n_kv_heads, n_experts;
    int64_t row; /* elements of every row */
    bool tied;
} model_shape;

static inline void shape_matrix(tnn_gguf_writer *w, const char *fmt, uint32_t layer, int64_t row, int64_t n_rows) {
    char name[64];
    snprintf(name, sizeof name, fmt, (unsigned)layer);
    tnn_gguf_add_tensor(w, name, TNN_TYPE_F32, n_rows > 1 ? 2 : 1, (const int64_t[]){row, n_rows});
}

/* The layers stand in the file from the last to the first: what a tensor becomes must not depend on its place. */
static inline tnn_status write_model_shape(const char *path, const model_shape *m, tnn_error *err) {
    static const char *const matrices[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                           "ffn_gate", "ffn_up", "ffn_down"};
    tnn_gguf_writer *w;
    tnn_status status = tnn_gguf_writer_new(&w, NULL, err);
    if (status != TNN_OK) return status;
    const struct {
        const char *key;
        uint32_t value;
    } hparams[] = {{"block_count", m->n_layers},
                   {"attention.head_count", m->n_heads},
                   {"attention.head_count_kv", m->n_kv_heads},
                   {"expert_count", m->n_experts}};
    tnn_gguf_set_str(w, "general.architecture", m->arch, strlen(m->arch));
    for (int i = 0; i < 4; i++) {
        char key[96];
        snprintf(key, sizeof key, "%s.%s", m->arch, hparams[i].key);
        tnn_gguf_set_u32(w, key, hparams[i].value);
    }
    int64_t n_rows = 1;
    shape_matrix(w, "token_embd.weight", 0, m->row, 2);
    shape_matrix(w, "output_norm.weight", 0, m->row, 1);
    if (!m->tied) shape_matrix(w, "output.weight", 0, m->row, 2);
    n_rows += m->tied ? 2 : 4;
    for (uint32_t i = m->n_layers; i-- > 0;) {
        shape_matrix(w, "blk.%u.attn_norm.weight", i, m->row, 1);
        for (int k = 0; k < 7; k++) {
            char name[32];
            snprintf(name, sizeof name, "blk.%%u.%s.weight", matrices[k]);
            shape_matrix(w, name, i, m->row, 2);
        }
        n_rows += 15;
    }
    tnn_gguf_writer_begin(w, path);
    float row[512];
    for (int64_t r = 0; r < n_rows; r++) {
        for (int64_t i = 0; i < m->row; i++) {
            row[i] = (float)((i * 37 + r * 11) % 101 - 50) * 0.01f;
        }
        tnn_gguf_write_data(w, row, (size_t)m->row * sizeof *row);
    }
    status = tnn_gguf_writer_finish(w, err);
    tnn_gguf_writer_free(w);
    return status;
}

#endif
