/*
 * Which type each tensor gets when a file is quantised. The mixes are a table of rules, first match wins; what they say
 * was read from llama-quantize, so that files of one name are of one kind everywhere. Its special cases for Falcon
 * and its rules for an importance matrix are left out.
 */
#include "engine/quantize_mix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ascii.h"
#include "base/error.h"
#include "gguf/str.h"

typedef struct file_type_name {
    uint32_t number;
    const char *name;
} file_type_name;

static const file_type_name written[] = {
#define X(name, number, type) {number, #name},
    TNN_FILE_TYPE_LIST(X)
#undef X
};

/* Met in files, not written. */
static const file_type_name others[] = {
    {19, "IQ2_XXS"}, {20, "IQ2_XS"}, {21, "Q2_K_S"}, {22, "IQ3_XS"}, {23, "IQ3_XXS"}, {24, "IQ1_S"}, {26, "IQ3_S"},
    {27, "IQ3_M"},   {28, "IQ2_S"},  {29, "IQ2_M"},  {31, "IQ1_M"},  {36, "TQ1_0"},   {37, "TQ2_0"},
};

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

const char *tnn_file_type_name(uint32_t number) {
    for (int i = 0; i < COUNT(written); i++)
        if (written[i].number == number) return written[i].name;
    for (int i = 0; i < COUNT(others); i++)
        if (others[i].number == number) return others[i].name;
    return NULL;
}

int32_t tnn_file_type_at(int i) {
    return i >= 0 && i < COUNT(written) ? (int32_t)written[i].number : -1;
}

int32_t tnn_file_type_from_name(const char *name) {
    static const file_type_name aliases[] = {{TNN_FILE_TYPE_Q3_K_M, "Q3_K"},
                                             {TNN_FILE_TYPE_Q4_K_M, "Q4_K"},
                                             {TNN_FILE_TYPE_Q5_K_M, "Q5_K"}};
    if (!name) return -1;
    for (int i = 0; i < COUNT(written); i++)
        if (tnn__same_name(written[i].name, name)) return (int32_t)written[i].number;
    for (int i = 0; i < COUNT(aliases); i++)
        if (tnn__same_name(aliases[i].name, name)) return (int32_t)aliases[i].number;
    return -1;
}

static int32_t main_type(tnn_file_type target) {
    switch (target) {
#define X(name, number, type)                                                                                          \
    case TNN_FILE_TYPE_##name:                                                                                         \
        return TNN_TYPE_##type;
        TNN_FILE_TYPE_LIST(X)
#undef X
    }
    return -1;
}

/* --- what a tensor is for --- */

/* ATTN_V stands for every projection that carries values, also fused with queries and keys. */
typedef enum role { OUTPUT, TOKEN_EMBD, ATTN_V, ATTN_K, ATTN_OUT, FFN_DOWN, OTHER } role;

static const struct {
    const char *part; /* of the name */
    role role;
} roles[] = {
    {"attn_qkv.weight", ATTN_V}, {"attn_kv_b.weight", ATTN_V},     {"attn_v.weight", ATTN_V},
    {"attn_k.weight", ATTN_K},   {"attn_output.weight", ATTN_OUT}, {"ffn_down", FFN_DOWN},
};

static role role_of(const char *name) {
    if (strcmp(name, "output.weight") == 0) return OUTPUT;
    if (strcmp(name, "token_embd.weight") == 0 || strcmp(name, "per_layer_token_embd.weight") == 0) return TOKEN_EMBD;
    for (int i = 0; i < COUNT(roles); i++)
        if (strstr(name, roles[i].part)) return roles[i].role;
    return OTHER;
}

/* Matrices that are small, or change the result more than they weigh. */
static const char *const kept[] = {
    "_norm.weight",
    "ffn_gate_inp.weight",
    "position_embd",
    "token_types.weight",
    "ssm_conv1d",
    "shortconv.conv.weight",
    "attn_rel_b.weight",
    "patch_embd",
    "altup",
    "laurel",
    "per_layer_model_proj",
    "time_mix_first",
    "time_mix_w0",
    "time_mix_w1",
    "time_mix_w2",
    "time_mix_v0",
    "time_mix_v1",
    "time_mix_v2",
    "time_mix_a0",
    "time_mix_a1",
    "time_mix_a2",
    "time_mix_g1",
    "time_mix_g2",
    "time_mix_decay_w1",
    "time_mix_decay_w2",
    "time_mix_lerp_fused",
};

static bool is_converted(const tnn_gguf_tensor *t) {
    const char *name = t->name.data;
    size_t n = t->name.size;
    bool matrix = t->ne[1] > 1 || t->ne[2] > 1 || t->ne[3] > 1;
    if (!matrix || n < 6 || strcmp(name + n - 6, "weight") != 0) return false;
    for (int i = 0; i < COUNT(kept); i++)
        if (strstr(name, kept[i])) return false;
    return true;
}

/* --- the rules of the mixes --- */

/* Where a rule holds: i of n, the ordinal of the tensor among those of its role. */
typedef enum condition { ALWAYS, FIRST_2, FIRST_4, FIRST_8TH, FIRST_16TH, MORE_BITS, SHARED_V, EXPERTS_8 } condition;

/* One bit per mix, by the number of its file type (all below 64). */
#define MIX(name) (UINT64_C(1) << TNN_FILE_TYPE_##name)
#define ANY_MIX   UINT64_MAX

typedef struct rule {
    uint64_t mixes;
    role role;
    condition when;
    tnn_type type;
} rule;

static const rule rules[] = {
    {ANY_MIX, ATTN_V, EXPERTS_8, TNN_TYPE_Q8_0},
    {MIX(Q2_K), ATTN_V, SHARED_V, TNN_TYPE_Q4_K},
    {MIX(Q2_K), ATTN_V, ALWAYS, TNN_TYPE_Q3_K},
    {MIX(Q3_K_M), ATTN_V, FIRST_2, TNN_TYPE_Q5_K},
    {MIX(Q3_K_M), ATTN_V, ALWAYS, TNN_TYPE_Q4_K},
    {MIX(Q3_K_L), ATTN_V, ALWAYS, TNN_TYPE_Q5_K},
    {MIX(IQ4_NL) | MIX(IQ4_XS), ATTN_V, SHARED_V, TNN_TYPE_Q5_K},
    {MIX(Q4_K_M) | MIX(Q5_K_M), ATTN_V, MORE_BITS, TNN_TYPE_Q6_K},
    {MIX(Q4_K_S), ATTN_V, FIRST_4, TNN_TYPE_Q5_K},

    {ANY_MIX, ATTN_K, EXPERTS_8, TNN_TYPE_Q8_0},

    {MIX(Q2_K), FFN_DOWN, ALWAYS, TNN_TYPE_Q3_K},
    {MIX(Q3_K_M), FFN_DOWN, FIRST_16TH, TNN_TYPE_Q5_K},
    {MIX(Q3_K_M), FFN_DOWN, ALWAYS, TNN_TYPE_Q4_K},
    {MIX(Q3_K_L), FFN_DOWN, ALWAYS, TNN_TYPE_Q5_K},
    {MIX(Q4_K_M) | MIX(Q5_K_M), FFN_DOWN, MORE_BITS, TNN_TYPE_Q6_K},
    {MIX(Q4_K_S) | MIX(IQ4_NL) | MIX(IQ4_XS), FFN_DOWN, FIRST_8TH, TNN_TYPE_Q5_K},

    {MIX(Q2_K) | MIX(Q3_K_S) | MIX(Q3_K_M) | MIX(Q4_K_S) | MIX(Q4_K_M) | MIX(IQ4_NL) | MIX(IQ4_XS), ATTN_OUT, EXPERTS_8,
     TNN_TYPE_Q5_K},
    {MIX(Q3_K_L), ATTN_OUT, EXPERTS_8, TNN_TYPE_Q3_K},
    {MIX(Q2_K), ATTN_OUT, ALWAYS, TNN_TYPE_Q3_K},
    {MIX(Q3_K_M), ATTN_OUT, ALWAYS, TNN_TYPE_Q4_K},
    {MIX(Q3_K_L), ATTN_OUT, ALWAYS, TNN_TYPE_Q5_K},
};

typedef struct mix {
    tnn_file_type target;
    const tnn_quantize_options *options;
    int64_t n_layers, n_attn_v, n_experts, group; /* group: query heads that share a value head */
    bool tied;                                    /* token_embd is also the output */
    int64_t n_fallback;
    bool large_group_model; /* the 70B shape: attn_v is so small that bits are cheap there */
} mix;

static bool holds(condition when, const mix *m, int64_t i, int64_t n) {
    switch (when) {
    case ALWAYS:
        return true;
    case FIRST_2:
        return i < 2;
    case FIRST_4:
        return i < 4;
    case FIRST_8TH:
        return i < n / 8;
    case FIRST_16TH:
        return i < n / 16;
    case MORE_BITS:
        return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
    case SHARED_V:
        return m->group >= 4;
    case EXPERTS_8:
        return m->n_experts == 8;
    }
    return false;
}

static int32_t type_of_output(const mix *m, int32_t type, int64_t row) {
    if (m->options->output_type >= 0) return m->options->output_type;
    if (m->target == TNN_FILE_TYPE_MXFP4 || type == TNN_TYPE_Q8_0) return TNN_TYPE_Q8_0;
    return row % tnn_type_get_info(type)->block_elems == 0 ? TNN_TYPE_Q6_K : TNN_TYPE_Q8_0;
}

static int32_t type_by_rules(const mix *m, role r, int32_t type, int64_t i, int64_t row) {
    if (r == OUTPUT || (r == TOKEN_EMBD && m->tied)) return type_of_output(m, type, row);
    if (r == TOKEN_EMBD && m->target == TNN_FILE_TYPE_MXFP4) return TNN_TYPE_Q8_0;
    int64_t n = r == ATTN_V ? m->n_attn_v : m->n_layers;
    for (int k = 0; k < COUNT(rules); k++) {
        const rule *candidate = &rules[k];
        if (!(candidate->mixes >> m->target & 1) || candidate->role != r || !holds(candidate->when, m, i, n)) continue;
        type = (int32_t)candidate->type;
        break;
    }
    if (r == ATTN_V && m->large_group_model && (type == TNN_TYPE_Q3_K || type == TNN_TYPE_Q4_K)) type = TNN_TYPE_Q5_K;
    return type;
}

/* A type whose blocks a row of this length fills. */
static int32_t fitting_type(int32_t type, int64_t row) {
    static const int32_t fallback[][2] = {
        {TNN_TYPE_Q2_K, TNN_TYPE_Q4_0}, {TNN_TYPE_Q3_K, TNN_TYPE_Q4_0}, {TNN_TYPE_Q4_K, TNN_TYPE_Q5_0},
        {TNN_TYPE_Q5_K, TNN_TYPE_Q5_1}, {TNN_TYPE_Q6_K, TNN_TYPE_Q8_0}, {TNN_TYPE_IQ4_XS, TNN_TYPE_IQ4_NL},
    };
    if (row % tnn_type_get_info(type)->block_elems == 0) return type;
    for (int i = 0; i < COUNT(fallback); i++)
        if (fallback[i][0] == type && row % tnn_type_get_info(fallback[i][1])->block_elems == 0) return fallback[i][1];
    return TNN_TYPE_F16;
}

static int32_t choose(mix *m, const tnn_gguf_tensor *t, int64_t ordinal) {
    if (!is_converted(t)) return t->type;
    role r = role_of(t->name.data);
    int32_t type = main_type(m->target);
    if (r == TOKEN_EMBD && m->options->token_embd_type >= 0) {
        type = m->options->token_embd_type;
    } else if (r == OUTPUT && m->options->output_type >= 0) {
        type = m->options->output_type;
    } else if (tnn_type_get_info(type)->quantized && !m->options->pure) {
        type = type_by_rules(m, r, type, ordinal, t->ne[0]);
    }
    int32_t fitting = fitting_type(type, t->ne[0]);
    m->n_fallback += fitting != type;
    return fitting;
}

/* --- facts about the file --- */

/* <arch>.<key> as an integer, of a per-layer array the first; `missing` where there is none. */
static tnn_status hparam(const tnn_gguf *g, const char *key, int64_t missing, int64_t *out, tnn_error *err) {
    char full[160];
    tnn_gguf_str arch = {"", 0};
    *out = missing;
    tnn_status status = tnn_gguf_get_str(g, "general.architecture", &arch, err);
    if (status != TNN_OK) return status == TNN_E_NOTFOUND ? TNN_OK : status;
    snprintf(full, sizeof full, "%.*s.%s", arch.size > 64 ? 64 : (int)arch.size, arch.data, key);
    int64_t i = tnn_gguf_find_key(g, full);
    if (i < 0) return TNN_OK;
    if (tnn_gguf_array_i64(g, i, 0, out)) return TNN_OK;
    return tnn__fail(err, TNN_E_FORMAT, "key %s is not a whole number", full);
}

static bool arch_is(const tnn_gguf *g, const char *name) {
    tnn_gguf_str arch;
    return tnn_gguf_get_str(g, "general.architecture", &arch, NULL) == TNN_OK && tnn__str_is(arch, name);
}

static tnn_status read_mix(mix *m, const tnn_gguf *g, tnn_error *err) {
    int64_t heads, kv_heads;
    tnn_status status = hparam(g, "block_count", 0, &m->n_layers, err);
    if (status == TNN_OK) status = hparam(g, "attention.head_count", 1, &heads, err);
    if (status == TNN_OK) status = hparam(g, "attention.head_count_kv", heads, &kv_heads, err);
    if (status == TNN_OK) status = hparam(g, "expert_count", 0, &m->n_experts, err);
    if (status != TNN_OK) return status;
    m->group = kv_heads > 0 ? heads / kv_heads : 0;
    m->large_group_model = m->n_layers == 80 && ((arch_is(g, "llama") && heads != kv_heads) || arch_is(g, "qwen2"));
    m->tied = tnn_gguf_find_tensor(g, "output.weight") < 0;
    return TNN_OK;
}

/* --- ordinals --- */

typedef struct placed {
    int layer; /* -1 for what belongs to none */
    const char *name;
    int64_t index;
} placed;

static int layer_of(const char *name) {
    int layer;
    return sscanf(name, "blk.%9d.", &layer) == 1 ? layer : -1;
}

static int by_layer(const void *a, const void *b) {
    const placed *x = a, *y = b;
    return x->layer != y->layer ? (x->layer < y->layer ? -1 : 1) : strcmp(x->name, y->name);
}

/* Tensors in order of their layers, whatever their order in the file: the rules count along the model. */
static void choose_all(mix *m, const tnn_gguf *g, const placed *order, int64_t n, int32_t *types) {
    int64_t seen_v = 0, seen_down = 0;
    for (int64_t i = 0; i < n; i++)
        m->n_attn_v += role_of(order[i].name) == ATTN_V;
    for (int64_t i = 0; i < n; i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, order[i].index);
        role r = role_of(order[i].name);
        int64_t ordinal = 0;
        if (is_converted(t) && r == ATTN_V) ordinal = seen_v++;
        if (is_converted(t) && r == FFN_DOWN) ordinal = m->n_experts > 1 ? order[i].layer : seen_down++;
        types[order[i].index] = choose(m, t, ordinal);
    }
}

tnn_quantize_options tnn_quantize_options_default(void) {
    return (tnn_quantize_options){.n_threads = 1, .output_type = -1, .token_embd_type = -1};
}

/* A type given for one tensor: none (-1), or one that can be written. */
static tnn_status check_override(const char *name, int32_t type, tnn_error *err) {
    if (type < 0 || tnn_type_get_info(type)->usable) return TNN_OK;
    return tnn__fail(err, TNN_E_ARG, "%s is %d, which is no type that can be written", name, (int)type);
}

tnn_status tnn__quantize_types(const tnn_gguf *g, tnn_file_type target, const tnn_quantize_options *options,
                               int32_t *types, int64_t *n_fallback, tnn_error *err) {
    tnn_quantize_options standard = tnn_quantize_options_default();
    mix m = {.target = target, .options = options ? options : &standard};
    if (main_type(target) < 0) return tnn__fail(err, TNN_E_ARG, "file type %d cannot be written", (int)target);
    tnn_status status = check_override("output_type", m.options->output_type, err);
    if (status == TNN_OK) status = check_override("token_embd_type", m.options->token_embd_type, err);
    if (status == TNN_OK) status = read_mix(&m, g, err);
    if (status != TNN_OK) return status;

    const tnn_allocator *a = tnn__allocator_or_default(m.options->allocator);
    int64_t n = tnn_gguf_n_tensors(g);
    placed *order = tnn__calloc_array(a, (size_t)n, sizeof *order);
    if (!order) return tnn__fail_nomem(err, "the order of tensors", (size_t)n * sizeof *order);
    for (int64_t i = 0; i < n; i++) {
        const char *name = tnn_gguf_tensor_at(g, i)->name.data;
        order[i] = (placed){layer_of(name), name, i};
    }
    qsort(order, (size_t)n, sizeof *order, by_layer);
    choose_all(&m, g, order, n, types);
    *n_fallback = m.n_fallback;
    tnn__free_array(a, order, (size_t)n, sizeof *order);
    return TNN_OK;
}

tnn_status tnn_quantize_types(const tnn_gguf *g, tnn_file_type target, const tnn_quantize_options *options,
                              int32_t *types, tnn_error *err) {
    int64_t n_fallback;
    return tnn__quantize_types(g, target, options, types, &n_fallback, err);
}
