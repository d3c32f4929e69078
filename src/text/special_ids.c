/*
 * Which tokens are special: ids the file names, ids known by their text where it names none, and the set of tokens that
 * end generation, which is larger than eos alone because many files name the base model's.
 */
#include <string.h>

#include "base/error.h"
#include "text/tokenizer_impl.h"

static const struct {
    tnn_special_token which;
    const char *key;
} id_keys[] = {
    {TNN_SPECIAL_BOS, "tokenizer.ggml.bos_token_id"},
    {TNN_SPECIAL_EOS, "tokenizer.ggml.eos_token_id"},
    {TNN_SPECIAL_EOT, "tokenizer.ggml.eot_token_id"},
    {TNN_SPECIAL_EOM, "tokenizer.ggml.eom_token_id"},
    {TNN_SPECIAL_UNKNOWN, "tokenizer.ggml.unknown_token_id"},
    {TNN_SPECIAL_PADDING, "tokenizer.ggml.padding_token_id"},
    {TNN_SPECIAL_SEPARATOR, "tokenizer.ggml.seperator_token_id"}, /* so spelt in the format */
    {TNN_SPECIAL_MASK, "tokenizer.ggml.mask_token_id"},
    /* the older names first, the newer win */
    {TNN_SPECIAL_FIM_PREFIX, "tokenizer.ggml.prefix_token_id"},
    {TNN_SPECIAL_FIM_SUFFIX, "tokenizer.ggml.suffix_token_id"},
    {TNN_SPECIAL_FIM_MIDDLE, "tokenizer.ggml.middle_token_id"},
    {TNN_SPECIAL_FIM_PREFIX, "tokenizer.ggml.fim_pre_token_id"},
    {TNN_SPECIAL_FIM_SUFFIX, "tokenizer.ggml.fim_suf_token_id"},
    {TNN_SPECIAL_FIM_MIDDLE, "tokenizer.ggml.fim_mid_token_id"},
    {TNN_SPECIAL_FIM_PAD, "tokenizer.ggml.fim_pad_token_id"},
    {TNN_SPECIAL_FIM_REPO, "tokenizer.ggml.fim_rep_token_id"},
    {TNN_SPECIAL_FIM_SEPARATOR, "tokenizer.ggml.fim_sep_token_id"},
};

/* Where the file has no key: the first of these that is a token; it is a control token then, as in llama.cpp. */
static const struct {
    tnn_special_token which;
    const char *texts[11];
} id_texts[] = {
    {TNN_SPECIAL_EOT,
     {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>",
      "[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>"}},
    {TNN_SPECIAL_EOM, {"<|eom_id|>"}},
    {TNN_SPECIAL_FIM_PREFIX, {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>"}},
    {TNN_SPECIAL_FIM_SUFFIX, {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>"}},
    {TNN_SPECIAL_FIM_MIDDLE, {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>"}},
    {TNN_SPECIAL_FIM_PAD, {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>"}},
    {TNN_SPECIAL_FIM_REPO, {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
    {TNN_SPECIAL_FIM_SEPARATOR, {"<|file_sep|>"}},
};

/* Tokens that end a turn or a document whatever the file says of them. */
static const char *const end_texts[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
};

static int32_t find(const tnn_tokenizer *t, const char *text) {
    return tnn__vocab_find_token(&t->vocab, text, strlen(text));
}

/* An id of the file that names no token of the vocabulary (-1 is common) counts as absent. */
static tnn_status load_id(tnn_tokenizer *t, const tnn_gguf *g, const char *key, tnn_special_token which,
                          tnn_error *err) {
    int64_t index = tnn_gguf_find_key(g, key), id;
    if (index < 0) return TNN_OK;
    tnn_gguf_value_type type = tnn_gguf_kv_type(g, index);
    if (type == TNN_GGUF_STRING || type == TNN_GGUF_ARRAY) {
        return tnn__fail(err, TNN_E_FORMAT, "%s is not a number", key);
    }
    if (!tnn_gguf_array_i64(g, index, 0, &id) || id < 0 || id >= t->vocab.n_tokens) return TNN_OK;
    t->special[which] = (int32_t)id;
    return TNN_OK;
}

static void find_by_text(tnn_tokenizer *t) {
    for (size_t i = 0; i < sizeof id_texts / sizeof id_texts[0]; i++) {
        int32_t *id = &t->special[id_texts[i].which];
        size_t n = sizeof id_texts[i].texts / sizeof id_texts[i].texts[0];
        if (*id >= 0) continue;
        for (size_t k = 0; k < n && id_texts[i].texts[k] && *id < 0; k++)
            *id = find(t, id_texts[i].texts[k]);
        if (*id >= 0) t->types[*id] = TNN_TOKEN_CONTROL;
    }
}

static void mark_end(tnn_tokenizer *t, int32_t id) {
    if (id >= 0) t->eog[id] = true;
}

static void mark_ends(tnn_tokenizer *t) {
    for (size_t i = 0; i < sizeof end_texts / sizeof end_texts[0]; i++) {
        int32_t id = find(t, end_texts[i]);
        mark_end(t, id);
        if (id >= 0) t->types[id] = TNN_TOKEN_CONTROL;
    }
    mark_end(t, t->special[TNN_SPECIAL_EOS]);
    mark_end(t, t->special[TNN_SPECIAL_EOT]);
    mark_end(t, t->special[TNN_SPECIAL_EOM]);
    mark_end(t, t->special[TNN_SPECIAL_FIM_PAD]);
    mark_end(t, t->special[TNN_SPECIAL_FIM_REPO]);
    mark_end(t, t->special[TNN_SPECIAL_FIM_SEPARATOR]);

    /* gpt-oss closes a channel, not the answer, with <|end|>; gemma 4 has </s> for other uses */
    bool has_channels = (find(t, "<|return|>") >= 0 && find(t, "<|call|>") >= 0) ||
                        (find(t, "<|calls|>") >= 0 && find(t, "<|flush|>") >= 0);
    int32_t channel_end = find(t, "<|end|>"), unused_end = find(t, "</s>");
    if (has_channels && channel_end >= 0) t->eog[channel_end] = false;
    if (find(t, "<|tool_response>") >= 0 && unused_end >= 0) t->eog[unused_end] = false;
}

tnn_status tnn__tokenizer_load_special(tnn_tokenizer *t, const tnn_gguf *g, tnn_error *err) {
    for (int i = 0; i < TNN_SPECIAL_COUNT; i++)
        t->special[i] = -1;
    if (t->kind == TNN_TOKENIZER_SPM) { /* what SentencePiece models have where the file says nothing */
        int32_t n = t->vocab.n_tokens;
        t->special[TNN_SPECIAL_UNKNOWN] = 0;
        t->special[TNN_SPECIAL_BOS] = n > 1 ? 1 : -1;
        t->special[TNN_SPECIAL_EOS] = n > 2 ? 2 : -1;
    }
    for (size_t i = 0; i < sizeof id_keys / sizeof id_keys[0]; i++) {
        tnn_status status = load_id(t, g, id_keys[i].key, id_keys[i].which, err);
        if (status) return status;
    }
    find_by_text(t);
    mark_ends(t);
    return TNN_OK;
}
