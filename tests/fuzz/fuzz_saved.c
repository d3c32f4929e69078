/*
 * Damaged files of our own whose checksum is right all the same: a saved sequence of a hybrid, and a checkpoint. The
 * first byte chooses; then every three bytes change one (two of place, one of value), and a rest of one or two cuts the
 * end. Refused with a message, or what was read can be gone on with.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <tinynn/checkpoint.h>
#include <tinynn/seq.h>

#include "base/checksum.h"
#include "support/fuzz_file.h"

enum { N_IDS = 7, ROWS = 6 };

typedef struct saved {
    uint8_t *data;
    size_t size;
} saved;

static tnn_session *session;
static tnn_model *model;
static tnn_seq *seq;
static tnn_trainer *trainer;
static tnn_checkpoint_state begin;
static saved files[2]; /* sequence, checkpoint */

static saved read_back(void) {
    saved s = {malloc(1 << 20), 0};
    FILE *f = fopen(fuzz_path, "rb");
    fuzz_require(s.data && f);
    s.size = fread(s.data, 1, 1 << 20, f);
    fuzz_require(fclose(f) == 0 && s.size > 0 && s.size < 1 << 20);
    return s;
}

static void set_up_seq(void) {
    const int32_t ids[N_IDS] = {1, 2, 3, 4, 5, 6, 7};
    tnn_seq_options o = tnn_seq_options_default();
    o.n_ctx = 16;
    fuzz_require(tnn_model_load(&model, session, TNN_TEST_SOURCE_DIR "/golden/data/qwen35.gguf", NULL, NULL) == TNN_OK);
    fuzz_require(tnn_seq_new(&seq, model, &o, NULL) == TNN_OK);
    fuzz_require(tnn_seq_prompt(seq, ids, N_IDS, NULL, NULL, NULL, NULL) == TNN_OK);
    fuzz_require(tnn_seq_save(seq, fuzz_path, NULL) == TNN_OK);
    files[0] = read_back();
}

static void set_up_trainer(void) {
    static const tnn_llama_hparams shape = {.arch = "llama",
                                            .n_vocab = 8,
                                            .n_ctx_train = 16,
                                            .d_model = 4,
                                            .n_heads = 2,
                                            .n_kv_heads = 1,
                                            .d_head = 2,
                                            .d_ff = 8,
                                            .rms_eps = 1e-5f,
                                            .attn_scale = 0.70710678f};
    tnn_llama_hparams hp = shape;
    tnn_store *store;
    tnn_llama_arch *arch;
    tnn_trainer_options o = tnn_trainer_options_default();
    hp.rope = tnn_rope_config_default();
    hp.rope.n_rot = 2;
    o.n_rows = ROWS;
    fuzz_require(tnn_store_new(&store, session, NULL) == TNN_OK);
    fuzz_require(tnn_llama_arch_new(&arch, session, &hp, NULL) == TNN_OK);
    fuzz_require(tnn_llama_arch_seed_blocks(arch, 1, NULL) == TNN_OK);
    fuzz_require(tnn_llama_arch_alloc_globals_trainable_f32(arch, store, 0, false, NULL) == TNN_OK);
    fuzz_require(tnn_llama_arch_alloc_blocks_trainable_f32(arch, store, NULL) == TNN_OK);
    fuzz_require(tnn_llama_arch_random_init(arch, store, 1, NULL) == TNN_OK);
    fuzz_require(tnn_trainer_new(&trainer, session, arch, store, &o, NULL) == TNN_OK);
    fuzz_require(tnn_checkpoint_save(fuzz_path, trainer, &begin, NULL, NULL) == TNN_OK);
    files[1] = read_back();
}

static void set_up(void) {
    tnn_session_options o = tnn_session_options_default();
    o.n_threads = 1;
    fuzz_require(tnn_session_new(&session, &o, NULL) == TNN_OK);
    fuzz_file((const uint8_t *)"", 0);
    set_up_seq();
    set_up_trainer();
}

/* The file with its changes, and the checksum that belongs to them. */
static const char *changed(const saved *s, const uint8_t *changes, size_t n) {
    static uint8_t copy[1 << 20];
    size_t size = s->size, cut = n % 3;
    memcpy(copy, s->data, size);
    for (size_t i = 0; i + 3 <= n; i += 3)
        copy[(changes[i] | (size_t)changes[i + 1] << 8) % size] = changes[i + 2];
    if (cut > 0) size -= (size_t)changes[n - 1] * cut % size;
    if (size >= sizeof(uint64_t)) {
        tnn__checksum sum = tnn__checksum_begin();
        tnn__checksum_add(&sum, copy, size - sizeof(uint64_t));
        uint64_t end = tnn__checksum_end(&sum);
        memcpy(copy + size - sizeof end, &end, sizeof end);
    }
    return fuzz_file(copy, size);
}

static void try_seq(const char *path) {
    tnn_error err = {0};
    int32_t id = 1;
    if (tnn_seq_restore(seq, path, &err) != TNN_OK) {
        fuzz_require(err.text[0] != '\0');
        return;
    }
    int64_t length = tnn_seq_length(seq);
    fuzz_require(length >= 0 && length <= tnn_seq_capacity(seq));
    tnn_seq_truncate(seq, length / 2, &err);
    tnn_seq_append(seq, &id, 1, TNN_WANT_LAST, NULL, NULL, &err);
}

static void try_checkpoint(const char *path) {
    tnn_error err = {0};
    tnn_checkpoint_state state;
    if (tnn_checkpoint_load(path, trainer, &state, NULL, &err) != TNN_OK) fuzz_require(err.text[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!session) set_up();
    if (size == 0) return 0;
    if (data[0] & 1) {
        try_checkpoint(changed(&files[1], data + 1, size - 1));
    } else {
        try_seq(changed(&files[0], data + 1, size - 1));
    }
    return 0;
}
