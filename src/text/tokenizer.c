/*
 * Building a tokenizer from a GGUF file, and its plain facts. Every list of the file is checked for type and length
 * here; behind this, ids and lengths are known to be right.
 */
#include "text/tokenizer_impl.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "gguf/str.h"

static tnn_status load_kind(tnn_tokenizer *t, const tnn_gguf *g, tnn_error *err) {
    tnn_gguf_str model = {0};
    tnn_status status = tnn_gguf_get_str(g, "tokenizer.ggml.model", &model, err);
    if (status == TNN_E_NOTFOUND || (!status && (tnn__str_is(model, "none") || tnn__str_is(model, "no_vocab")))) {
        return tnn__fail(err, TNN_E_NOTFOUND, "this model has no tokenizer (%s): give token ids with --prompt-ids",
                         status ? "no key tokenizer.ggml.model" : "tokenizer.ggml.model is none");
    }
    if (status) return status;
    if (tnn__str_is(model, "gpt2")) {
        t->kind = TNN_TOKENIZER_BPE;
    } else if (tnn__str_is(model, "llama")) {
        t->kind = TNN_TOKENIZER_SPM;
    } else {
        return tnn__fail(err, TNN_E_UNSUPPORTED,
                         "tokenizer.ggml.model '%.*s' is not supported: gpt2 and llama are; give token ids with "
                         "--prompt-ids",
                         tnn__str_shown(model), model.data);
    }
    return TNN_OK;
}

static tnn_status load_pre(tnn_tokenizer *t, const tnn_gguf *g, tnn_error *err) {
    tnn_gguf_str name = {0};
    tnn_status status = tnn_gguf_get_str(g, "tokenizer.ggml.pre", &name, err);
    if (status && status != TNN_E_NOTFOUND) return status;
    if (name.size == 0) name = (tnn_gguf_str){"default", 7};
    t->pre = tnn__pretokenizer_find(name.data, name.size);
    if (t->pre) return TNN_OK;

    char known[TNN_ERROR_TEXT_MAX] = "";
    size_t used = 0;
    for (size_t i = 0; tnn__pretokenizer_at(i); i++) {
        const char *next = tnn__pretokenizer_at(i)->name;
        if (used + strlen(next) + 2 >= sizeof known) break;
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? " " : "", next);
    }
    return tnn__fail(
        err, TNN_E_UNSUPPORTED,
        "unknown pre-tokenizer '%.*s' (tokenizer.ggml.pre): give token ids with --prompt-ids; known are %s",
        tnn__str_shown(name), name.data, known);
}

/* Index of an array key with at least n elements of an accepted type; -1 where absent. */
static tnn_status find_array(const tnn_gguf *g, const char *key, bool number, bool integer, uint64_t n, int64_t *index,
                             tnn_error *err) {
    *index = tnn_gguf_find_key(g, key);
    if (*index < 0) return TNN_OK;
    if (tnn_gguf_kv_type(g, *index) != TNN_GGUF_ARRAY) {
        return tnn__fail(err, TNN_E_FORMAT, "%s is not an array", key);
    }
    tnn_gguf_value_type type = tnn_gguf_array_type(g, *index);
    bool is_float = type == TNN_GGUF_F32 || type == TNN_GGUF_F64;
    bool is_text = type == TNN_GGUF_STRING || type == TNN_GGUF_ARRAY;
    bool fits = number ? !is_text && is_float != integer : type == TNN_GGUF_STRING;
    if (!fits) {
        return tnn__fail(err, TNN_E_FORMAT, "%s holds elements of type %d, not %s", key, (int)type,
                         number ? (integer ? "integers" : "floats") : "strings");
    }
    uint64_t count = tnn_gguf_array_count(g, *index);
    if (count < n) {
        return tnn__fail(err, TNN_E_FORMAT, "%s has %" PRIu64 " elements, the vocabulary %" PRIu64, key, count, n);
    }
    return TNN_OK;
}

static tnn_status load_tokens(tnn_tokenizer *t, const tnn_gguf *g, tnn_error *err) {
    int64_t key;
    tnn_status status = find_array(g, "tokenizer.ggml.tokens", false, false, 1, &key, err);
    if (status) return status;
    if (key < 0) return tnn__fail(err, TNN_E_FORMAT, "tokenizer.ggml.tokens is missing: the tokenizer has no tokens");
    uint64_t n = tnn_gguf_array_count(g, key);
    if (n > INT32_MAX / 4) {
        return tnn__fail(err, TNN_E_FORMAT, "tokenizer.ggml.tokens has %" PRIu64 " elements: at most 2^29 can be used",
                         n);
    }
    t->vocab.n_tokens = (int32_t)n;
    t->types = tnn__calloc_array(&t->alloc, (size_t)n, sizeof *t->types);
    t->eog = tnn__calloc_array(&t->alloc, (size_t)n, sizeof *t->eog);
    if (!t->types || !t->eog) return tnn__fail_nomem(err, "token types", (size_t)n * 2);
    for (uint64_t i = 0; i < n && !status; i++) {
        tnn_gguf_str text = tnn_gguf_array_str(g, key, i);
        status = tnn__vocab_add(&t->vocab, text.data, text.size, err);
    }
    return status;
}

static tnn_status load_types(tnn_tokenizer *t, const tnn_gguf *g, tnn_error *err) {
    size_t n = (size_t)t->vocab.n_tokens;
    memset(t->types, TNN_TOKEN_NORMAL, n);
    int64_t key;
    tnn_status status = find_array(g, "tokenizer.ggml.token_type", true, true, n, &key, err);
    if (status || key < 0) return status;
    for (size_t i = 0; i < n; i++) {
        int64_t type;
        bool known = tnn_gguf_array_i64(g, key, i, &type) && type >= TNN_TOKEN_UNDEFINED && type <= TNN_TOKEN_BYTE;
        t->types[i] = (uint8_t)(known ? type : TNN_TOKEN_UNDEFINED);
    }
    return TNN_OK;
}

static tnn_status load_scores(tnn_tokenizer *t, const tnn_gguf *g, tnn_error *err) {
    size_t n = (size_t)t->vocab.n_tokens;
    int64_t key;
    tnn_status status = find_array(g, "tokenizer.ggml.scores", true, false, n, &key, err);
    if (status) return status;
    if (key < 0) {
        if (t->kind == TNN_TOKENIZER_BPE) return TNN_OK;
        return tnn__fail(err, TNN_E_FORMAT, "tokenizer.ggml.scores is missing: a llama tokenizer needs it");
    }
    t->scores = tnn__calloc_array(&t->alloc, n, sizeof *t->scores);
    if (!t->scores) return tnn__fail_nomem(err, "token scores", n * sizeof *t->scores);
    for (size_t i = 0; i < n; i++) {
        double score;
        if (!tnn_gguf_array_f64(g, key, i, &score) || isnan(score)) {
            return tnn__fail(err, TNN_E_FORMAT, "tokenizer.ggml.scores[%zu] is not a number", i);
        }
        t->scores[i] = (float)score;
    }
    return TNN_OK;
}

static tnn_status load_flag(const tnn_gguf *g, const char *key, bool *flag, tnn_error *err) {
    tnn_status status = tnn_gguf_get_bool(g, key, flag, err);
    return status == TNN_E_NOTFOUND ? TNN_OK : status;
}

static tnn_status load_specials(tnn_tokenizer *t, tnn_error *err) {
    for (int32_t i = 0; i < t->vocab.n_tokens; i++) {
        bool control = t->types[i] == TNN_TOKEN_CONTROL || t->types[i] == TNN_TOKEN_UNKNOWN;
        if (!control && t->types[i] != TNN_TOKEN_USER_DEFINED) continue;
        const tnn__symbol *s = &t->vocab.symbols[i];
        tnn_status status = tnn__specials_add(&t->specials, s->text, s->size, i, control, err);
        if (status) return status;
    }
    return TNN_OK;
}

static tnn_status load(tnn_tokenizer *t, const tnn_gguf *g, tnn_error *err) {
    tnn_status status = load_kind(t, g, err);
    if (!status && t->kind == TNN_TOKENIZER_BPE) status = load_pre(t, g, err);
    if (!status) status = load_tokens(t, g, err);
    if (!status) status = load_types(t, g, err);
    if (!status) status = load_scores(t, g, err);
    if (!status && t->kind == TNN_TOKENIZER_SPM) status = tnn__spm_load(&t->spm, &t->vocab, t->types, t->scores, err);
    if (!status) status = tnn__tokenizer_load_special(t, g, err);
    if (!status) status = load_specials(t, err);
    if (!status && t->kind == TNN_TOKENIZER_BPE) status = tnn__bpe_load(&t->bpe, &t->vocab, g, err);
    t->add_bos = t->kind == TNN_TOKENIZER_SPM || (t->pre && t->pre->add_bos);
    t->add_space_prefix = t->kind == TNN_TOKENIZER_SPM;
    if (!status) status = load_flag(g, "tokenizer.ggml.add_bos_token", &t->add_bos, err);
    if (!status) status = load_flag(g, "tokenizer.ggml.add_eos_token", &t->add_eos, err);
    if (!status) status = load_flag(g, "tokenizer.ggml.add_space_prefix", &t->add_space_prefix, err);
    return status;
}

tnn_status tnn_tokenizer_new(tnn_tokenizer **out, const tnn_gguf *g, const tnn_allocator *allocator, tnn_error *err) {
    *out = NULL;
    const tnn_allocator *a = tnn__allocator_or_default(allocator);
    tnn_tokenizer *t = tnn__calloc(a, sizeof *t, sizeof(void *));
    if (!t) return tnn__fail_nomem(err, "a tokenizer", sizeof *t);
    t->alloc = *a;
    tnn__vocab_init(&t->vocab, a);
    tnn__specials_init(&t->specials, a);
    t->bpe.alloc = *a;
    tnn_status status = load(t, g, err);
    if (status) {
        tnn_tokenizer_free(t);
        return status;
    }
    *out = t;
    return TNN_OK;
}

void tnn_tokenizer_free(tnn_tokenizer *t) {
    if (!t) return;
    size_t n = (size_t)t->vocab.n_tokens;
    tnn_allocator a = t->alloc;
    tnn__free_array(&a, t->types, n, sizeof *t->types);
    tnn__free_array(&a, t->eog, n, sizeof *t->eog);
    tnn__free_array(&a, t->scores, n, sizeof *t->scores);
    tnn__bpe_free(&t->bpe);
    tnn__specials_free(&t->specials);
    tnn__vocab_free(&t->vocab);
    tnn__free(&a, t, sizeof *t, sizeof(void *));
}

static bool in_vocab(const tnn_tokenizer *t, int32_t id) {
    return id >= 0 && id < t->vocab.n_tokens;
}

tnn_tokenizer_kind tnn_tokenizer_get_kind(const tnn_tokenizer *t) {
    return t->kind;
}

const char *tnn_tokenizer_pre(const tnn_tokenizer *t) {
    return t->pre ? t->pre->name : "";
}

int32_t tnn_tokenizer_n_vocab(const tnn_tokenizer *t) {
    return t->vocab.n_tokens;
}

bool tnn_tokenizer_add_bos(const tnn_tokenizer *t) {
    return t->add_bos;
}

bool tnn_tokenizer_add_eos(const tnn_tokenizer *t) {
    return t->add_eos;
}

int32_t tnn_tokenizer_special(const tnn_tokenizer *t, tnn_special_token which) {
    return which >= 0 && which < TNN_SPECIAL_COUNT ? t->special[which] : -1;
}

bool tnn_tokenizer_is_eog(const tnn_tokenizer *t, int32_t id) {
    return in_vocab(t, id) && t->eog[id];
}

tnn_gguf_str tnn_tokenizer_token_text(const tnn_tokenizer *t, int32_t id) {
    if (!in_vocab(t, id)) return (tnn_gguf_str){"", 0};
    return (tnn_gguf_str){t->vocab.symbols[id].text, t->vocab.symbols[id].size};
}

tnn_token_type tnn_tokenizer_token_type(const tnn_tokenizer *t, int32_t id) {
    return in_vocab(t, id) ? (tnn_token_type)t->types[id] : TNN_TOKEN_UNDEFINED;
}

float tnn_tokenizer_token_score(const tnn_tokenizer *t, int32_t id) {
    return in_vocab(t, id) && t->scores ? t->scores[id] : 0.0f;
}

int32_t tnn_tokenizer_find(const tnn_tokenizer *t, const char *text, size_t size) {
    return tnn__vocab_find_token(&t->vocab, text, size);
}
