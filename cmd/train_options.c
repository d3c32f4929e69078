/* Making options of settings, and settings of what was given. */
#include "train_options.h"

#include <stdio.h>
#include <string.h>

#include "ui.h"

#define ALL_RECIPES ((1u << TNN_RECIPE_COUNT) - 1)

/* Other spellings that people know (mlx_lm, transformers, peft), and what stands for a value in help. */
static const struct {
    const char *setting, *before, *after, *value;
} spellings[] = {
    {"data", "", "", "DIR"},
    {"text", "", "", "FILE"},
    {"valid_text", "", "", "FILE"},
    {"tokenizer", "", "", "MODEL"},
    {"like", "", "", "MODEL"},
    {"seed", "-s, ", "", "N"},
    {"iters", "", ", --max-steps", "N"},
    {"num_epochs", "", ", --num-train-epochs", "N"},
    {"max_seq_length", "", ", --max-length", "N"},
    {"batch_size", "", ", --per-device-train-batch-size", "N"},
    {"learning_rate", "", ", --lr", "F"},
    {"lr_scheduler", "", ", --lr-scheduler-type", "NAME"},
    {"grad_accumulation_steps", "", ", --gradient-accumulation-steps", "N"},
    {"grad_checkpoint", "", ", --gradient-checkpointing", NULL},
    {"grad_clip", "", ", --max-grad-norm", "F"},
    {"rslora", "", ", --use-rslora", NULL},
    {"lora_modules", "", ", --target-modules", "LIST"},
    {"save_type", "", "", "TYPE"},
    {"dtype", "", "", "TYPE"},
    {"tap", "", "", "GLOBS"},
    {"system", "", "", "TEXT"},
};

/* Two options a setting, for --NAME and --no-NAME, and the end. */
arg_option train_options[2 * TRAIN_MAX_SETTINGS + 1];

static struct { char names[96], off_names[64], standard[128], help[240]; } texts[TRAIN_MAX_SETTINGS];

static const char *const recipe_names[] = {
#define X(id, name) name,
    TNN_RECIPE_LIST(X)
#undef X
};

int train_recipe(const char *name) {
    for (int i = 0; i < TNN_RECIPE_COUNT; i++)
        if (strcmp(name, recipe_names[i]) == 0) return i;
    return -1;
}

const char *train_recipe_name(int recipe) {
    return recipe_names[recipe];
}

/* --- making the table --- */

static void write_flag(char *out, size_t size, const char *prefix, const char *name) {
    size_t n = (size_t)snprintf(out, size, "--%s%s", prefix, name);
    for (size_t i = 0; i < n; i++)
        if (out[i] == '_') out[i] = '-';
}

static void default_of(const tnn_setting *s, int recipe, char *out, size_t size) {
    tnn_train_config c = tnn_train_config_default((tnn_recipe)recipe);
    const void *at = (const char *)&c + s->offset;
    *out = 0;
    switch (s->kind) {
    case TNN_SETTING_STRING:
        snprintf(out, size, "%s", *(const char *const *)at);
        break;
    case TNN_SETTING_INT:
        snprintf(out, size, "%lld", (long long)*(const int64_t *)at);
        break;
    case TNN_SETTING_FLOAT:
        snprintf(out, size, "%g", *(const double *)at);
        break;
    case TNN_SETTING_CHOICE:
        snprintf(out, size, "%s", s->names[*(const int64_t *)at]);
        break;
    case TNN_SETTING_FLAG:
        snprintf(out, size, "%s", *(const bool *)at ? "on" : "");
        break;
    }
}

/* One default, or for all recipes together the first and those that differ from it. */
static void write_default(const tnn_setting *s, int recipe, char *out, size_t size) {
    char first[64] = "", other[64];
    size_t n = 0;
    for (int r = 0; r < TNN_RECIPE_COUNT; r++) {
        if (!(s->recipes >> r & 1) || (recipe >= 0 && r != recipe)) continue;
        default_of(s, r, other, sizeof other);
        if (n == 0) {
            n = (size_t)snprintf(out, size, "%s", other);
            snprintf(first, sizeof first, "%s", other);
            if (n == 0) return;
        } else if (strcmp(first, other) != 0 && n < size) {
            n += (size_t)snprintf(out + n, size - n, "; %s %s", recipe_names[r], other);
        }
    }
}

static void write_help(const tnn_setting *s, int recipe, char *out, size_t size) {
    size_t n = (size_t)snprintf(out, size, "%s", s->help);
    if (recipe >= 0 || s->recipes == ALL_RECIPES) return;
    for (int r = 0, shown = 0; r < TNN_RECIPE_COUNT && n < size; r++)
        if (s->recipes >> r & 1)
            n += (size_t)snprintf(out + n, size - n, "%s%s", shown++ ? ", " : " [", recipe_names[r]);
    if (n < size) snprintf(out + n, size - n, "]");
}

static const char *value_name(tnn_setting_kind kind) {
    return kind == TNN_SETTING_FLAG ? NULL : kind == TNN_SETTING_INT ? "N" : kind == TNN_SETTING_FLOAT ? "F" : "NAME";
}

static bool is_on_by_default(const tnn_setting *s) {
    tnn_train_config c = tnn_train_config_default(TNN_RECIPE_SCRATCH);
    return s->kind == TNN_SETTING_FLAG && *(const bool *)(const void *)((const char *)&c + s->offset);
}

static arg_option option_of(int i, const tnn_setting *s, int recipe) {
    char name[64];
    const char *before = "", *after = "", *value = value_name(s->kind);
    for (size_t k = 0; k < sizeof spellings / sizeof *spellings; k++)
        if (strcmp(spellings[k].setting, s->name) == 0) {
            before = spellings[k].before;
            after = spellings[k].after;
            value = spellings[k].value;
        }
    write_flag(name, sizeof name, "", s->name);
    snprintf(texts[i].names, sizeof texts[i].names, "%s%s%s", before, name, after);
    write_default(s, recipe, texts[i].standard, sizeof texts[i].standard);
    write_help(s, recipe, texts[i].help, sizeof texts[i].help);
    bool flag = s->kind == TNN_SETTING_FLAG, fits = recipe < 0 || (s->recipes >> recipe & 1);
    return (arg_option){
        .names = texts[i].names,
        .kind = flag ? ARG_FLAG : ARG_TEXT,
        .offset = (flag ? offsetof(train_settings, on) + (size_t)i * sizeof(bool)
                        : offsetof(train_settings, text) + (size_t)i * sizeof(const char *)),
        .value = value,
        .unset = *texts[i].standard ? texts[i].standard : NULL,
        .help = fits && !is_on_by_default(s) ? texts[i].help : NULL,
    };
}

static arg_option off_option_of(int i, const tnn_setting *s) {
    write_flag(texts[i].off_names, sizeof texts[i].off_names, "no-", s->name);
    snprintf(texts[i].help, sizeof texts[i].help, "off, which is otherwise on: %s", s->help);
    return (arg_option){
        .names = texts[i].off_names,
        .kind = ARG_FLAG,
        .offset = offsetof(train_settings, off) + (size_t)i * sizeof(bool),
        .help = texts[i].help,
    };
}

/* The recipe and the model are arguments, not flags. */
static bool is_argument(const tnn_setting *s) {
    return strcmp(s->name, "recipe") == 0 || strcmp(s->name, "model") == 0;
}

void train_options_prepare(int recipe) {
    tnn_setting s;
    int n = 0;
    for (int i = 0; i < TRAIN_MAX_SETTINGS && tnn_setting_get(i, &s); i++) {
        if (is_argument(&s)) continue;
        train_options[n++] = option_of(i, &s, recipe);
        if (is_on_by_default(&s)) train_options[n++] = off_option_of(i, &s);
    }
    train_options[n] = (arg_option){0};
}

/* --- what was given --- */

const char *train_settings_given(const train_settings *s) {
    tnn_setting setting;
    for (int i = 0; i < TRAIN_MAX_SETTINGS && tnn_setting_get(i, &setting); i++)
        if (s->text[i] || s->on[i] || s->off[i]) return texts[i].names;
    return NULL;
}

static int apply(tnn_train_config *c, const tnn_setting *s, const char *text) {
    char flag[64];
    tnn_error err;
    write_flag(flag, sizeof flag, "", s->name);
    if (!(s->recipes >> c->recipe & 1))
        return ui_error(UI_USAGE, "%s does not go with the recipe %s (see tnn help train %s)", flag,
                        train_recipe_name((int)c->recipe), train_recipe_name((int)c->recipe));
    if (tnn_train_config_set(c, s->name, text, &err) == TNN_OK) return UI_OK;
    size_t n = strlen(s->name); /* the library begins with its own spelling */
    return ui_error(UI_USAGE, "%s%s%s", flag, strncmp(err.text, s->name, n) == 0 ? "" : ": ",
                    err.text + (strncmp(err.text, s->name, n) == 0 ? n : 0));
}

int train_settings_apply(const train_settings *s, tnn_train_config *c) {
    tnn_setting setting;
    int code = UI_OK;
    for (int i = 0; i < TRAIN_MAX_SETTINGS && code == UI_OK && tnn_setting_get(i, &setting); i++) {
        if (s->text[i]) code = apply(c, &setting, s->text[i]);
        if (code == UI_OK && s->on[i]) code = apply(c, &setting, "true");
        if (code == UI_OK && s->off[i]) code = apply(c, &setting, "false");
    }
    return code;
}
