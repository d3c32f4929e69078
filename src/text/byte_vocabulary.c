/* The file is put together byte by byte: it is small and always the same. */
#include "text/byte_vocabulary.h"

#include <string.h>

#include <tinynn/gguf.h>
#include <tinynn/tokenizer.h>

#include "base/alloc.h"
#include "base/error.h"
#include "text/merge.h"

enum { N_TOKENS = 257, END_OF_TEXT = 256, MAX_BYTES = 8192 };

typedef struct output {
    uint8_t data[MAX_BYTES];
    size_t n;
} output;

static void put(output *o, const void *data, size_t n) {
    memcpy(o->data + o->n, data, n);
    o->n += n;
}

static void put_u32(output *o, uint32_t value) {
    const uint8_t p[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};
    put(o, p, sizeof p);
}

static void put_u64(output *o, uint64_t value) {
    put_u32(o, (uint32_t)value);
    put_u32(o, (uint32_t)(value >> 32));
}

static void put_str(output *o, const char *s, size_t n) {
    put_u64(o, n);
    put(o, s, n);
}

static void put_key(output *o, const char *key, tnn_gguf_value_type type) {
    put_str(o, key, strlen(key));
    put_u32(o, type);
}

static void put_array(output *o, const char *key, tnn_gguf_value_type type, uint64_t n) {
    put_key(o, key, TNN_GGUF_ARRAY);
    put_u32(o, type);
    put_u64(o, n);
}

tnn_status tnn__byte_vocabulary(void **data, size_t *size, const tnn_allocator *a, tnn_error *err) {
    static const char end_of_text[] = "<|endoftext|>";
    output o = {.n = 0};
    put(&o, "GGUF", 4);
    put_u32(&o, 3);
    put_u64(&o, 0); /* tensors */
    put_u64(&o, 7); /* keys */
    put_key(&o, "tokenizer.ggml.model", TNN_GGUF_STRING);
    put_str(&o, "gpt2", 4);
    put_key(&o, "tokenizer.ggml.pre", TNN_GGUF_STRING);
    put_str(&o, "gpt-2", 5);
    put_array(&o, "tokenizer.ggml.tokens", TNN_GGUF_STRING, N_TOKENS);
    for (int byte = 0; byte < END_OF_TEXT; byte++) {
        char utf8[4];
        int n = tnn__utf8_encode(tnn__bpe_code((uint32_t)byte), utf8);
        put_str(&o, utf8, (size_t)n);
    }
    put_str(&o, end_of_text, sizeof end_of_text - 1);
    put_array(&o, "tokenizer.ggml.token_type", TNN_GGUF_I32, N_TOKENS);
    for (int id = 0; id < N_TOKENS; id++) {
        put_u32(&o, id == END_OF_TEXT ? TNN_TOKEN_CONTROL : TNN_TOKEN_NORMAL);
    }
    put_array(&o, "tokenizer.ggml.merges", TNN_GGUF_STRING, 0);
    put_key(&o, "tokenizer.ggml.bos_token_id", TNN_GGUF_U32);
    put_u32(&o, END_OF_TEXT);
    put_key(&o, "tokenizer.ggml.eos_token_id", TNN_GGUF_U32);
    put_u32(&o, END_OF_TEXT);

    void *copy = tnn__alloc(a, o.n, 1);
    if (!copy) return tnn__fail_nomem(err, "the byte vocabulary", o.n);
    memcpy(copy, o.data, o.n);
    *data = copy;
    *size = o.n;
    return TNN_OK;
}
