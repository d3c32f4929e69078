/* The settings of a run: one table for defaults, checks, flags and config.json. */
#include "recipes/config.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/error.h"
#include "base/locale.h"

static const char *const recipe_names[] = {
#define X(id, name) name,
    TNN_RECIPE_LIST(X)
#undef X
        NULL};
static const char *const schedule_names[] = {
#define X(id, name) name,
    TNN_SCHEDULE_LIST(X)
#undef X
        NULL};
static const char *const optimizer_names[] = {"adamw", "sgd", "muon", NULL};

const char *tnn__recipe_name(tnn_recipe r) {
    return recipe_names[r];
}

#define ALL      ((1u << TNN_RECIPE_COUNT) - 1)
#define BIT(r)   (1u << TNN_RECIPE_##r)
#define NEW_BODY (BIT(SCRATCH) | BIT(WARM_START) | BIT(LENS))

/* Settings that do not fit every recipe. */
static unsigned recipes_of(const char *name) {
    static const struct {
        const char *name;
        unsigned recipes;
    } some[] = {
        {"model", ALL & ~BIT(SCRATCH)},
        {"tokenizer", BIT(SCRATCH)},
        {"like", NEW_BODY},
        {"new_body", BIT(WARM_START)},
        {"lora_rank", BIT(LORA)},
        {"lora_alpha", BIT(LORA)},
        {"rslora", BIT(LORA)},
        {"lora_dropout", BIT(LORA)},
        {"lora_modules", BIT(LORA)},
        {"num_layers", BIT(LORA)},
        {"d_model", NEW_BODY},
        {"n_layers", NEW_BODY},
        {"n_heads", NEW_BODY},
        {"n_kv_heads", NEW_BODY},
        {"d_head", NEW_BODY},
        {"d_ff", NEW_BODY},
        {"context_length", NEW_BODY},
        {"rope_base", NEW_BODY},
        {"untied", NEW_BODY},
        {"layer_kinds", NEW_BODY},
        {"gdn_key_heads", NEW_BODY},
        {"gdn_value_heads", NEW_BODY},
        {"gdn_head_dim", NEW_BODY},
        {"gdn_conv", NEW_BODY},
        {"save_type", ALL & ~BIT(LORA)},
    };
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        if (strcmp(some[i].name, name) == 0) return some[i].recipes;
    }
    return ALL;
}

#define AT(name)                           offsetof(tnn_train_config, name)
#define SET_STRING(name, def, help)        {#name, TNN_SETTING_STRING, help, 0, 0, NULL, AT(name), 0},
#define SET_INT(name, def, lo, hi, help)   {#name, TNN_SETTING_INT, help, (double)(lo), (double)(hi), NULL, AT(name), 0},
#define SET_FLOAT(name, def, lo, hi, help) {#name, TNN_SETTING_FLOAT, help, lo, hi, NULL, AT(name), 0},
#define SET_FLAG(name, def, help)          {#name, TNN_SETTING_FLAG, help, 0, 0, NULL, AT(name), 0},
#define SET_RECIPE(name, help)             {#name, TNN_SETTING_CHOICE, help, 0, 0, recipe_names, AT(name), 0},
#define SET_SCHEDULE(name, help)           {#name, TNN_SETTING_CHOICE, help, 0, 0, schedule_names, AT(name), 0},
#define SET_OPTIMIZER(name, help)          {#name, TNN_SETTING_CHOICE, help, 0, 0, optimizer_names, AT(name), 0},
static const tnn_setting settings[] = {
    TNN_TRAIN_SETTINGS(SET_STRING, SET_INT, SET_FLOAT, SET_FLAG, SET_RECIPE, SET_SCHEDULE, SET_OPTIMIZER)};
#define N_SETTINGS ((int)(sizeof settings / sizeof *settings))

/* Random weights learn from larger steps than those that have learned already. */
static double default_rate(const tnn_train_config *c) {
    bool random = c->recipe == TNN_RECIPE_SCRATCH || c->recipe == TNN_RECIPE_LENS || c->new_body;
    return random ? 1e-3 : 1e-5;
}

tnn_train_config tnn_train_config_default(tnn_recipe recipe) {
    tnn_train_config c = {
#define DEF_STRING(name, def, help)        .name = (def),
#define DEF_INT(name, def, lo, hi, help)   .name = (def),
#define DEF_FLOAT(name, def, lo, hi, help) .name = (def),
#define DEF_FLAG(name, def, help)          .name = (def),
#define DEF_CHOICE(name, help)             .name = 0,
        TNN_TRAIN_SETTINGS(DEF_STRING, DEF_INT, DEF_FLOAT, DEF_FLAG, DEF_CHOICE, DEF_CHOICE, DEF_CHOICE)};
    c.recipe = (int64_t)recipe;
    c.learning_rate = default_rate(&c);
    return c;
}

int tnn_n_settings(void) {
    return N_SETTINGS;
}

/* The table is constant; what depends on the name is filled in on the way out. */
static tnn_setting filled(int i) {
    tnn_setting s = settings[i];
    s.recipes = recipes_of(s.name);
    return s;
}

bool tnn_setting_get(int i, tnn_setting *out) {
    if (i < 0 || i >= N_SETTINGS) return false;
    *out = filled(i);
    return true;
}

static bool same_name(const char *a, const char *b) {
    for (; *a && *b; a++, b++) {
        if (*a != *b && !(*a == '-' && *b == '_')) return false;
    }
    return *a == *b;
}

/* --- values --- */

static void *field(tnn_train_config *c, const tnn_setting *s) {
    return (char *)c + s->offset;
}

static bool fits_int(const tnn_setting *s, int64_t value) {
    return (double)value >= s->lo && (double)value <= s->hi;
}

static bool fits_float(const tnn_setting *s, double value) {
    return isfinite(value) && value >= s->lo && value <= s->hi;
}

static tnn_status out_of_range(const tnn_setting *s, const char *text, tnn_error *err) {
    if (s->kind == TNN_SETTING_INT)
        return tnn__fail(err, TNN_E_ARG, "%s %s: give a whole number from %.0f to %.0f", s->name, text, s->lo, s->hi);
    return tnn__fail(err, TNN_E_ARG, "%s %s: give a number from %g to %g", s->name, text, s->lo, s->hi);
}

static tnn_status set_number(tnn_train_config *c, const tnn_setting *s, const char *text, tnn_error *err) {
    char *end;
    errno = 0;
    if (s->kind == TNN_SETTING_INT) {
        long long value = strtoll(text, &end, 10);
        if (end == text || *end || errno || !fits_int(s, value)) return out_of_range(s, text, err);
        *(int64_t *)field(c, s) = value;
        return TNN_OK;
    }
    tnn__c_locale locale = tnn__c_locale_begin();
    double value = strtod(text, &end);
    tnn__c_locale_end(locale);
    if (end == text || *end || !fits_float(s, value)) return out_of_range(s, text, err);
    *(double *)field(c, s) = value;
    return TNN_OK;
}

static tnn_status set_choice(tnn_train_config *c, const tnn_setting *s, const char *text, tnn_error *err) {
    char known[160] = "";
    size_t at = 0;
    for (int i = 0; s->names[i]; i++) {
        if (strcmp(text, s->names[i]) == 0) {
            *(int64_t *)field(c, s) = i;
            return TNN_OK;
        }
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", s->names[i]);
    }
    return tnn__fail(err, TNN_E_ARG, "%s %s: give one of %s", s->name, text, known);
}

static tnn_status set_flag(tnn_train_config *c, const tnn_setting *s, const char *text, tnn_error *err) {
    bool yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0,
         no = strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
    if (!yes && !no) return tnn__fail(err, TNN_E_ARG, "%s %s: give true or false", s->name, text);
    *(bool *)field(c, s) = yes;
    return TNN_OK;
}

tnn_status tnn_train_config_set(tnn_train_config *c, const char *name, const char *text, tnn_error *err) {
    if (c->recipe < 0 || c->recipe >= TNN_RECIPE_COUNT)
        return tnn__fail(err, TNN_E_ARG, "there is no recipe %" PRId64, c->recipe);
    for (int i = 0; i < N_SETTINGS; i++) {
        if (!same_name(name, settings[i].name)) continue;
        tnn_setting s = filled(i);
        if (!(s.recipes >> c->recipe & 1)) {
            return tnn__fail(err, TNN_E_ARG, "%s does not go with the recipe %s", name, recipe_names[c->recipe]);
        }
        switch (s.kind) {
        case TNN_SETTING_STRING:
            *(const char **)field(c, &s) = text;
            return TNN_OK;
        case TNN_SETTING_FLAG: {
            tnn_status status = set_flag(c, &s, text, err);
            if (!status && s.offset == offsetof(tnn_train_config, new_body)) c->learning_rate = default_rate(c);
            return status;
        }
        case TNN_SETTING_CHOICE:
            return set_choice(c, &s, text, err);
        case TNN_SETTING_INT:
        case TNN_SETTING_FLOAT:
            return set_number(c, &s, text, err);
        }
    }
    return tnn__fail(err, TNN_E_NOTFOUND, "there is no setting %s", name);
}

/* --- checks --- */

static bool is_default(const tnn_train_config *c, const tnn_setting *s) {
    tnn_train_config standard = tnn_train_config_default((tnn_recipe)c->recipe);
    const char *x = (const char *)c + s->offset, *y = (const char *)&standard + s->offset;
    switch (s->kind) {
    case TNN_SETTING_STRING:
        return strcmp(*(const char *const *)(const void *)x, *(const char *const *)(const void *)y) == 0;
    case TNN_SETTING_FLOAT:
        return memcmp(x, y, sizeof(double)) == 0;
    case TNN_SETTING_FLAG:
        return *(const bool *)x == *(const bool *)y;
    case TNN_SETTING_INT:
    case TNN_SETTING_CHOICE:
        return memcmp(x, y, sizeof(int64_t)) == 0;
    }
    return true;
}

const char *tnn__config_body_setting(const tnn_train_config *c, const char *except) {
    for (int i = 0; i < N_SETTINGS; i++) {
        tnn_setting s = filled(i);
        if (s.recipes == NEW_BODY && strcmp(s.name, except) != 0 && !is_default(c, &s)) return s.name;
    }
    return NULL;
}

static int n_names(const char *const *names) {
    int n = 0;
    while (names[n]) {
        n++;
    }
    return n;
}

static bool is_text(const char *s) {
    json_t *value = json_string(s);
    json_decref(value);
    return value != NULL;
}

static tnn_status check_setting(const tnn_train_config *c, const tnn_setting *s, tnn_error *err) {
    const void *at = (const char *)c + s->offset;
    char number[32];
    switch (s->kind) {
    case TNN_SETTING_STRING:
        if (is_text(*(const char *const *)at)) return TNN_OK;
        return tnn__fail(err, TNN_E_ARG, "%s is %s", s->name,
                         *(const char *const *)at ? "no valid UTF-8, which config.json needs"
                                                  : "NULL: an empty string is what is not given");
    case TNN_SETTING_INT:
        snprintf(number, sizeof number, "%" PRId64, *(const int64_t *)at);
        return fits_int(s, *(const int64_t *)at) ? TNN_OK : out_of_range(s, number, err);
    case TNN_SETTING_FLOAT:
        snprintf(number, sizeof number, "%g", *(const double *)at);
        return fits_float(s, *(const double *)at) ? TNN_OK : out_of_range(s, number, err);
    case TNN_SETTING_CHOICE:
        if (*(const int64_t *)at >= 0 && *(const int64_t *)at < n_names(s->names)) return TNN_OK;
        return tnn__fail(err, TNN_E_ARG, "%s %" PRId64 " is none of its values", s->name, *(const int64_t *)at);
    case TNN_SETTING_FLAG:
        break;
    }
    return TNN_OK;
}

tnn_status tnn__config_check(const tnn_train_config *c, tnn_error *err) {
    tnn_status status = TNN_OK;
    for (int i = 0; i < N_SETTINGS && !status; i++) {
        tnn_setting s = filled(i);
        status = check_setting(c, &s, err);
    }
    return status;
}

/* --- config.json --- */

static json_t *to_json(const tnn_train_config *c, const tnn_setting *s) {
    const void *at = (const char *)c + s->offset;
    switch (s->kind) {
    case TNN_SETTING_STRING:
        return json_string(*(const char *const *)at);
    case TNN_SETTING_INT:
        return json_integer(*(const int64_t *)at);
    case TNN_SETTING_FLOAT:
        return json_real(*(const double *)at);
    case TNN_SETTING_FLAG:
        return json_boolean(*(const bool *)at);
    case TNN_SETTING_CHOICE:
        return json_string(s->names[*(const int64_t *)at]);
    }
    return NULL;
}

static void put_hash(json_t *object, const char *name, uint64_t hash) {
    char text[24];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    json_object_set_new(object, name, json_string(text));
}

static uint64_t get_hash(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? strtoull(text, NULL, 16) : 0;
}

char *tnn__config_to_json(const tnn_train_config *c, const tnn__run_hashes *hashes) {
    json_t *object = json_object();
    for (int i = 0; i < N_SETTINGS && object; i++) {
        tnn_setting s = filled(i);
        if (s.recipes >> c->recipe & 1) json_object_set_new(object, s.name, to_json(c, &s));
    }
    put_hash(object, "base_hash", hashes->base);
    put_hash(object, "data_hash", hashes->data);
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(object);
    return text;
}

/* Numbers go through the same checks as flags do. */
static tnn_status from_json(tnn_train_config *c, const tnn_setting *s, const json_t *value, const char *path,
                            tnn_error *err) {
    char number[64];
    const char *text = NULL;
    if (json_is_string(value)) text = json_string_value(value);
    if (json_is_boolean(value)) text = json_is_true(value) ? "true" : "false";
    if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        text = number;
    } else if (json_is_real(value)) {
        tnn__c_locale locale = tnn__c_locale_begin();
        snprintf(number, sizeof number, "%.17g", json_real_value(value));
        tnn__c_locale_end(locale);
        text = number;
    }
    if (!text) return tnn__fail(err, TNN_E_FORMAT, "%s: %s has a value of a wrong type", path, s->name);
    return tnn_train_config_set(c, s->name, text, err);
}

static tnn_status read_settings(tnn_train_config *c, const json_t *object, const char *path, tnn_error *err) {
    const json_t *recipe = json_object_get(object, "recipe");
    *c = tnn_train_config_default(TNN_RECIPE_SCRATCH);
    if (!json_is_string(recipe)) return tnn__fail(err, TNN_E_FORMAT, "%s: recipe is missing", path);
    tnn_status status = tnn_train_config_set(c, "recipe", json_string_value(recipe), err);
    if (!status) *c = tnn_train_config_default((tnn_recipe)c->recipe);
    for (int i = 0; i < N_SETTINGS && !status; i++) {
        tnn_setting s = filled(i);
        const json_t *value = json_object_get(object, s.name);
        if (value) status = from_json(c, &s, value, path, err);
    }
    return status;
}

tnn_status tnn__config_from_json(tnn_train_config *c, tnn__run_hashes *hashes, const char *text, const char *path,
                                 void **owner, tnn_error *err) {
    json_error_t why;
    json_t *object = json_loads(text, 0, &why);
    *owner = object;
    if (!json_is_object(object)) return tnn__fail(err, TNN_E_FORMAT, "%s: %s", path, object ? "no object" : why.text);
    *hashes = (tnn__run_hashes){get_hash(object, "base_hash"), get_hash(object, "data_hash")};
    return read_settings(c, object, path, err);
}

void tnn__config_free_owner(void *owner) {
    json_decref(owner);
}
