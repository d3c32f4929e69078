/*
 * Texts to words with their counts, words to merges (bpe_pairs.h), merges to a vocabulary file. Symbols are numbered
 * without the special tokens: the bytes in the order of their characters, then the merged ones.
 */
#include <tinynn/bpe_trainer.h>

#include <stdio.h>
#include <string.h>

#include <tinynn/gguf.h>
#include <tinynn/tokenizer.h>

#include "base/alloc.h"
#include "base/error.h"
#include "text/bpe_pairs.h"
#include "text/buffer.h"
#include "text/merge.h"
#include "text/pretokenize.h"
#include "text/vocab.h"

static const char chatml[] = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
                             "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
                             "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/* In the order of their ids; the first is there always, the others for chat. */
static const char *const special_texts[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
enum { ID_END_OF_TEXT, ID_IM_START, ID_IM_END, N_CHAT_SPECIALS, N_SPECIALS = 1, N_BYTES = 256 };

struct tnn_bpe_trainer {
    tnn_allocator alloc;
    tnn_bpe_options options;
    const tnn__pretokenizer *pre;
    bool ran;
    tnn_bpe_stats stats;
    tnn__vocab words; /* as bytes */
    uint32_t *counts; /* of each word */
    size_t count_capacity;
    size_t word_bytes; /* of all words that differ */
    tnn_text word;     /* the one at hand */
    tnn__bpe_pairs pairs;
    tnn__vocab symbols; /* in the mapped alphabet */
    tnn__merge *merges;
    size_t merge_capacity;
};

tnn_bpe_options tnn_bpe_options_default(void) {
    return (tnn_bpe_options){.vocab_size = 4096, .min_frequency = 2, .pre = "smollm"};
}

static int32_t n_specials(const tnn_bpe_trainer *t) {
    return t->options.chat ? N_CHAT_SPECIALS : N_SPECIALS;
}

static tnn_status check_options(const tnn_bpe_trainer *t, tnn_error *err) {
    const tnn_bpe_options *o = &t->options;
    int32_t least = N_BYTES + n_specials(t);
    if (o->vocab_size < least || o->vocab_size > TNN_BPE_MAX_VOCAB)
        return tnn__fail(err, TNN_E_ARG, "vocab_size %d: from %d, for the bytes and the special tokens, to %d",
                         (int)o->vocab_size, (int)least, (int)TNN_BPE_MAX_VOCAB);
    if (o->min_frequency < 1)
        return tnn__fail(err, TNN_E_ARG, "min_frequency %lld: at least 1", (long long)o->min_frequency);
    if (!t->pre)
        return tnn__fail(err, TNN_E_ARG, "pre '%.64s' is no pre-tokenizer: gpt-2, smollm, llama-bpe and qwen2 are",
                         o->pre ? o->pre : "");
    return TNN_OK;
}

tnn_status tnn_bpe_trainer_new(tnn_bpe_trainer **out, const tnn_bpe_options *options, const tnn_allocator *allocator,
                               tnn_error *err) {
    *out = NULL;
    const tnn_allocator *a = tnn__allocator_or_default(allocator);
    tnn_bpe_trainer *t = tnn__calloc(a, sizeof *t, sizeof(void *));
    if (!t) return tnn__fail_nomem(err, "a BPE trainer", sizeof *t);
    t->alloc = *a;
    t->options = options ? *options : tnn_bpe_options_default();
    t->pre = t->options.pre ? tnn__pretokenizer_find(t->options.pre, strlen(t->options.pre)) : NULL;
    t->word.allocator = &t->alloc;
    tnn__vocab_init(&t->words, a);
    tnn__vocab_init(&t->symbols, a);
    tnn__bpe_pairs_init(&t->pairs, a);
    tnn_status status = check_options(t, err);
    if (status) {
        tnn_bpe_trainer_free(t);
        return status;
    }
    *out = t;
    return TNN_OK;
}

void tnn_bpe_trainer_free(tnn_bpe_trainer *t) {
    if (!t) return;
    tnn_allocator a = t->alloc;
    tnn__buffer_free(&a, t->merges, t->merge_capacity, sizeof *t->merges);
    tnn__buffer_free(&a, t->counts, t->count_capacity, sizeof *t->counts);
    tnn__bpe_pairs_free(&t->pairs);
    tnn__vocab_free(&t->symbols);
    tnn__vocab_free(&t->words);
    tnn_text_free(&t->word);
    tnn__free(&a, t, sizeof *t, sizeof(void *));
}

/* --- words --- */

typedef struct adder {
    tnn_bpe_trainer *t;
    tnn_error *err;
} adder;

static tnn_status new_word(tnn_bpe_trainer *t, tnn_error *err) {
    if (t->word.n > TNN_BPE_MAX_WORD_BYTES - t->word_bytes)
        return tnn__fail(err, TNN_E_RANGE, "the words that differ have more than %zu bytes together: take less text",
                         TNN_BPE_MAX_WORD_BYTES);
    void *counts = t->counts;
    tnn_status status =
        tnn__buffer_reserve(&t->alloc, &counts, &t->count_capacity, t->words.n_symbols + 1, sizeof *t->counts, err);
    if (status) return status;
    t->counts = counts;
    t->counts[t->words.n_symbols] = 0;
    t->word_bytes += t->word.n;
    return TNN_OK;
}

static tnn_status count_word(void *ctx, const tnn__char *text, size_t begin, size_t end) {
    const adder *a = ctx;
    tnn_bpe_trainer *t = a->t;
    tnn_status status = TNN_OK;
    t->word.n = 0;
    for (size_t i = begin; i < end && !status; i++) {
        char bytes[4];
        int n = tnn__utf8_encode(tnn__char_code(text[i]), bytes);
        status = tnn_text_append(&t->word, bytes, (size_t)n, a->err);
    }
    int32_t word = status ? -1 : tnn__vocab_find(&t->words, t->word.data, t->word.n);
    if (!status && word < 0) {
        status = new_word(t, a->err);
        if (!status) status = tnn__vocab_intern(&t->words, t->word.data, t->word.n, &word, a->err);
    }
    if (status) return status;
    t->counts[word]++;
    t->stats.n_words++;
    return TNN_OK;
}

tnn_status tnn_bpe_trainer_add(tnn_bpe_trainer *t, const char *text, size_t size, tnn_error *err) {
    if (t->ran) return tnn__fail(err, TNN_E_STATE, "the tokenizer is trained already: texts come before");
    if (size > TNN_ENCODE_MAX_BYTES)
        return tnn__fail(err, TNN_E_RANGE, "a text of %zu bytes is too long to cut at once: give at most %zu", size,
                         TNN_ENCODE_MAX_BYTES);
    if (size > TNN_BPE_MAX_TEXT_BYTES - t->stats.n_bytes)
        return tnn__fail(err, TNN_E_RANGE, "more than %zu bytes of text: take less", (size_t)TNN_BPE_MAX_TEXT_BYTES);
    tnn__char *chars = tnn__calloc_array(&t->alloc, size, sizeof *chars);
    if (!chars) return tnn__fail_nomem(err, "characters of a text", size * sizeof *chars);
    size_t n = tnn__utf8_read(text, size, chars);
    t->stats.n_bytes += size;
    tnn_status status = tnn__pretokenize(t->pre, chars, n, count_word, &(adder){t, err});
    tnn__free_array(&t->alloc, chars, size, sizeof *chars);
    return status;
}

/* --- merges --- */

/* The alphabet, and for each byte its symbol. */
static tnn_status add_bytes(tnn_bpe_trainer *t, int32_t symbol_of[N_BYTES], tnn_error *err) {
    tnn_status status = TNN_OK;
    for (uint32_t code = 0; t->symbols.n_symbols < N_BYTES && !status; code++) {
        int byte = tnn__bpe_byte(code);
        if (byte < 0) continue;
        char text[4];
        int n = tnn__utf8_encode(code, text);
        symbol_of[byte] = (int32_t)t->symbols.n_symbols;
        status = tnn__vocab_add(&t->symbols, text, (size_t)n, err);
    }
    return status;
}

static tnn_status add_words(tnn_bpe_trainer *t, const int32_t symbol_of[N_BYTES], tnn_error *err) {
    tnn_status status = TNN_OK;
    for (size_t i = 0; i < t->words.n_symbols && !status; i++) {
        const tnn__symbol *word = &t->words.symbols[i];
        for (size_t k = 0; k < word->size && !status; k++)
            status = tnn__bpe_pairs_add(&t->pairs, symbol_of[(unsigned char)word->text[k]], t->counts[i], k == 0, err);
    }
    return status ? status : tnn__bpe_pairs_start(&t->pairs, err);
}

/* The symbol that a pair becomes: a new one, or one that another pair of the same text has made. */
static tnn_status add_merge(tnn_bpe_trainer *t, tnn__merge *m, tnn_error *err) {
    void *merges = t->merges;
    size_t n = (size_t)t->stats.n_merges;
    tnn_status status = tnn__buffer_reserve(&t->alloc, &merges, &t->merge_capacity, n + 1, sizeof *t->merges, err);
    if (status) return status;
    t->merges = merges;
    const tnn__symbol *left = &t->symbols.symbols[m->left], *right = &t->symbols.symbols[m->right];
    t->word.n = 0;
    status = tnn_text_append(&t->word, left->text, left->size, err);
    if (!status) status = tnn_text_append(&t->word, right->text, right->size, err);
    if (!status) status = tnn__vocab_intern(&t->symbols, t->word.data, t->word.n, &m->merged, err);
    if (status) return status;
    t->merges[n] = *m;
    t->stats.n_merges++;
    return TNN_OK;
}

static tnn_status merge_all(tnn_bpe_trainer *t, tnn_error *err) {
    const tnn_bpe_options *o = &t->options;
    size_t n_wanted = (size_t)(o->vocab_size - n_specials(t));
    tnn_status status = TNN_OK;
    bool found = true;
    while (!status && t->symbols.n_symbols < n_wanted) {
        tnn__merge m;
        status = tnn__bpe_pairs_take(&t->pairs, (uint64_t)o->min_frequency, &found, &m.left, &m.right, err);
        if (status || !found) break;
        status = add_merge(t, &m, err);
        if (!status) status = tnn__bpe_pairs_join(&t->pairs, m.left, m.right, m.merged, err);
        if (!status && o->on_merge &&
            !o->on_merge(o->ctx, n_specials(t) + (int32_t)t->symbols.n_symbols, o->vocab_size))
            return tnn__fail(err, TNN_E_CANCELLED, "stopped after %d merges", (int)t->stats.n_merges);
    }
    return status;
}

tnn_status tnn_bpe_trainer_run(tnn_bpe_trainer *t, tnn_error *err) {
    int32_t symbol_of[N_BYTES];
    if (t->ran) return tnn__fail(err, TNN_E_STATE, "the tokenizer is trained already");
    t->ran = true;
    tnn_status status = add_bytes(t, symbol_of, err);
    if (!status) status = add_words(t, symbol_of, err);
    if (!status) status = merge_all(t, err);
    return status;
}

tnn_bpe_stats tnn_bpe_trainer_get_stats(const tnn_bpe_trainer *t) {
    tnn_bpe_stats stats = t->stats;
    stats.n_kinds = t->words.n_symbols;
    stats.n_tokens = n_specials(t) + (int32_t)t->symbols.n_symbols;
    stats.n_text_tokens = tnn__bpe_pairs_n_symbols(&t->pairs);
    return stats;
}

/* --- the file --- */

static void set_str(tnn_gguf_writer *w, const char *key, const char *value) {
    tnn_gguf_set_str(w, key, value, strlen(value));
}

static tnn_status set_tokens(const tnn_bpe_trainer *t, tnn_gguf_writer *w, tnn_error *err) {
    size_t first = (size_t)n_specials(t), n = first + t->symbols.n_symbols;
    tnn_gguf_str *texts = tnn__calloc_array(&t->alloc, n, sizeof *texts);
    int32_t *types = tnn__calloc_array(&t->alloc, n, sizeof *types);
    tnn_status status = texts && types ? TNN_OK : tnn__fail_nomem(err, "tokens", n * sizeof *texts);
    for (size_t i = 0; i < first && i < N_CHAT_SPECIALS && !status; i++) {
        texts[i] = (tnn_gguf_str){special_texts[i], strlen(special_texts[i])};
        types[i] = TNN_TOKEN_CONTROL;
    }
    for (size_t i = 0; i < t->symbols.n_symbols && !status; i++) {
        texts[first + i] = (tnn_gguf_str){t->symbols.symbols[i].text, t->symbols.symbols[i].size};
        types[first + i] = TNN_TOKEN_NORMAL;
    }
    if (!status) status = tnn_gguf_set_str_array(w, "tokenizer.ggml.tokens", texts, n);
    if (!status) status = tnn_gguf_set_array(w, "tokenizer.ggml.token_type", TNN_GGUF_I32, types, n);
    if (texts) tnn__free_array(&t->alloc, texts, n, sizeof *texts);
    if (types) tnn__free_array(&t->alloc, types, n, sizeof *types);
    return status;
}

/* "left right", each behind the other in one text that the strings point into. */
static tnn_status set_merges(const tnn_bpe_trainer *t, tnn_gguf_writer *w, tnn_error *err) {
    size_t n = (size_t)t->stats.n_merges, at = 0;
    tnn_text all = {.allocator = &t->alloc};
    tnn_gguf_str *lines = tnn__calloc_array(&t->alloc, n, sizeof *lines);
    tnn_status status = lines ? TNN_OK : tnn__fail_nomem(err, "merges", n * sizeof *lines);
    for (size_t i = 0; i < n && !status; i++) {
        const tnn__symbol *left = &t->symbols.symbols[t->merges[i].left];
        const tnn__symbol *right = &t->symbols.symbols[t->merges[i].right];
        status = tnn_text_append(&all, left->text, left->size, err);
        if (!status) status = tnn_text_append(&all, " ", 1, err);
        if (!status) status = tnn_text_append(&all, right->text, right->size, err);
        lines[i].size = left->size + 1 + right->size;
    }
    for (size_t i = 0; i < n && !status; i++) {
        lines[i].data = all.data + at;
        at += lines[i].size;
    }
    if (!status) status = tnn_gguf_set_str_array(w, "tokenizer.ggml.merges", lines, n);
    if (lines) tnn__free_array(&t->alloc, lines, n, sizeof *lines);
    tnn_text_free(&all);
    return status;
}

static void set_facts(const tnn_bpe_trainer *t, tnn_gguf_writer *w) {
    set_str(w, "general.architecture", "llama"); /* llama.cpp wants one, for a vocabulary too */
    set_str(w, "tokenizer.ggml.model", "gpt2");
    set_str(w, "tokenizer.ggml.pre", t->pre->name);
    tnn_gguf_set_u32(w, "tokenizer.ggml.bos_token_id", ID_END_OF_TEXT);
    tnn_gguf_set_u32(w, "tokenizer.ggml.eos_token_id", ID_END_OF_TEXT);
    tnn_gguf_set_u32(w, "tokenizer.ggml.padding_token_id", ID_END_OF_TEXT);
    tnn_gguf_set_bool(w, "tokenizer.ggml.add_bos_token", false);
    if (!t->options.chat) return;
    tnn_gguf_set_u32(w, "tokenizer.ggml.eot_token_id", ID_IM_END);
    set_str(w, "tokenizer.chat_template", chatml);
}

tnn_status tnn_bpe_trainer_save(const tnn_bpe_trainer *t, const char *path, tnn_error *err) {
    if (!t->ran) return tnn__fail(err, TNN_E_STATE, "the tokenizer is not trained yet");
    tnn_gguf_writer *w;
    tnn_error own = {.status = TNN_OK}; /* what went wrong here; the writer keeps its own first failure */
    tnn_status status = tnn_gguf_writer_new(&w, &t->alloc, err);
    if (status) return status;
    set_facts(t, w);
    status = set_tokens(t, w, &own);
    if (!status) status = set_merges(t, w, &own);
    if (!status) status = tnn_gguf_writer_begin(w, path);
    if (!own.status) status = tnn_gguf_writer_finish(w, err);
    if (own.status && err) *err = own;
    tnn_gguf_writer_free(w);
    return status;
}
