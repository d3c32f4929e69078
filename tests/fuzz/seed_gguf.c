/*
 * Writes the seed corpus of fuzz_gguf: small valid files with every value type, tensors of several types, and none.
 *
 *   seed_gguf FOLDER
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <tinynn/gguf.h>

static void set_metadata(tnn_gguf_writer *w) {
    static const tnn_gguf_str tokens[] = {{"<s>", 3}, {"a", 1}, {"", 0}, {"\xe2\x96\x81x", 4}};
    static const float scores[] = {0, -1, -2, -3};
    static const int8_t i8[] = {-1, 2};
    static const uint16_t u16[] = {1, 65535};
    static const int64_t i64[] = {INT64_MIN, INT64_MAX};
    static const double f64[] = {0.5};
    static const uint8_t flags[] = {1, 0, 1};
    tnn_gguf_set_str(w, "general.architecture", "llama", 5);
    tnn_gguf_set_u32(w, "llama.block_count", 2);
    tnn_gguf_set_i32(w, "i", -1);
    tnn_gguf_set_u64(w, "u", UINT64_MAX);
    tnn_gguf_set_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    tnn_gguf_set_bool(w, "b", true);
    tnn_gguf_set_str_array(w, "tokenizer.ggml.tokens", tokens, 4);
    tnn_gguf_set_array(w, "tokenizer.ggml.scores", TNN_GGUF_F32, scores, 4);
    tnn_gguf_set_array(w, "i8", TNN_GGUF_I8, i8, 2);
    tnn_gguf_set_array(w, "u16", TNN_GGUF_U16, u16, 2);
    tnn_gguf_set_array(w, "i64", TNN_GGUF_I64, i64, 2);
    tnn_gguf_set_array(w, "f64", TNN_GGUF_F64, f64, 1);
    tnn_gguf_set_array(w, "flags", TNN_GGUF_BOOL, flags, 3);
    tnn_gguf_set_array(w, "none", TNN_GGUF_U8, NULL, 0);
}

static void add_tensors(tnn_gguf_writer *w) {
    tnn_gguf_add_tensor(w, "token_embd.weight", TNN_TYPE_Q8_0, 2, (const int64_t[]){32, 4});
    tnn_gguf_add_tensor(w, "output_norm.weight", TNN_TYPE_F32, 1, (const int64_t[]){32});
    tnn_gguf_add_tensor(w, "empty", TNN_TYPE_F16, 3, (const int64_t[]){4, 0, 2});
    tnn_gguf_add_tensor(w, "scalar", TNN_TYPE_BF16, 0, NULL);
    tnn_gguf_add_tensor(w, "blk.0.attn_q.weight", TNN_TYPE_Q4_K, 4, (const int64_t[]){256, 1, 1, 1});
}

static tnn_status write_tensors(tnn_gguf_writer *w) {
    static const uint8_t data[256] = {1, 2, 3};
    static const size_t sizes[] = {34 * 4, 32 * 4, 2, 144};
    tnn_status status = TNN_OK;
    for (size_t i = 0; status == TNN_OK && i < sizeof sizes / sizeof sizes[0]; i++) {
        status = tnn_gguf_write_data(w, data, sizes[i]);
    }
    return status;
}

/* Bits of `what`: 1 metadata, 2 tensors, 4 an alignment of 8. */
static int write_seed(const char *folder, unsigned what) {
    char path[1024];
    snprintf(path, sizeof path, "%s/seed-%u", folder, what);
    tnn_gguf_writer *w;
    tnn_error err;
    tnn_status status = tnn_gguf_writer_new(&w, NULL, &err);
    if (status == TNN_OK) {
        if (what & 1) set_metadata(w);
        if (what & 2) add_tensors(w);
        if (what & 4) tnn_gguf_set_u32(w, "general.alignment", 8);
        tnn_gguf_writer_begin(w, path);
        if (what & 2) write_tensors(w);
        status = tnn_gguf_writer_finish(w, &err);
        tnn_gguf_writer_free(w);
    }
    if (status != TNN_OK) fprintf(stderr, "%s\n", err.text);
    return status == TNN_OK ? 0 : 1;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: seed_gguf FOLDER\n");
        return 2;
    }
    int failed = 0;
    for (unsigned what = 0; what < 8; what++) {
        failed |= write_seed(argv[1], what);
    }
    return failed;
}
