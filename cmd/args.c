/* Parsing and help text from a verb's tables. */
#include "args.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui.h"

#define HELP_COLUMN 34
#define HELP_WIDTH  100

void *args_new(const verb *v) {
    void *args = calloc(1, v->args_size ? v->args_size : 1);
    if (args && v->init) v->init(args);
    return args;
}

/* The place an option of a group fills. */
static void *place(void *args, const arg_group *group, const arg_option *option) {
    return (char *)args + group->offset + option->offset;
}

void args_free(const verb *v, void *args) {
    if (!args) return;
    for (const arg_group *g = v->groups; g->options; g++)
        for (const arg_option *o = g->options; o->names; o++)
            if (o->kind == ARG_TEXTS) free(((arg_texts *)place(args, g, o))->items);
    free(args);
}

/* Calls on each spelling in "-n, --n-predict" until fn returns true. */
static bool each_name(const char *names, bool (*fn)(void *ctx, const char *name, size_t size), void *ctx) {
    while (*names) {
        size_t n = strcspn(names, ", ");
        if (n > 0 && fn(ctx, names, n)) return true;
        names += n + strspn(names + n, ", ");
    }
    return false;
}

typedef struct name_key {
    const char *text;
    size_t size;
} name_key;

static bool name_equals(void *ctx, const char *name, size_t size) {
    const name_key *key = ctx;
    return key->size == size && memcmp(key->text, name, size) == 0;
}

static const arg_option *find_option(const verb *v, const char *text, size_t size, const arg_group **group) {
    name_key key = {text, size};
    for (const arg_group *g = v->groups; g->options; g++)
        for (const arg_option *o = g->options; o->names; o++)
            if (each_name(o->names, name_equals, &key)) {
                *group = g;
                return o;
            }
    return NULL;
}

/* --- suggestions --- */

#define NEAR_MAX 32 /* longer words are not compared */

/* Levenshtein distance of two words, upper case and '_' taken for lower case and '-'. */
static int word_distance(const char *a, size_t n_a, const char *b, size_t n_b) {
    int row[NEAR_MAX + 1];
    if (n_a > NEAR_MAX || n_b > NEAR_MAX) return NEAR_MAX;
    for (size_t j = 0; j <= n_b; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n_a; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n_b; j++) {
            int x = (unsigned char)(a[i - 1] == '_' ? '-' : a[i - 1]), y = (unsigned char)b[j - 1];
            if (x >= 'A' && x <= 'Z') x += 'a' - 'A';
            if (y >= 'A' && y <= 'Z') y += 'a' - 'A';
            int best = diagonal + (x != y);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n_b];
}

typedef struct nearest {
    const char *word;
    size_t word_size;
    const char *best;
    size_t best_size;
    int distance;
} nearest;

static bool consider(void *ctx, const char *name, size_t size) {
    nearest *n = ctx;
    int d = word_distance(n->word, n->word_size, name, size);
    if (d < n->distance) {
        n->distance = d;
        n->best = name;
        n->best_size = size;
    }
    return false;
}

/* A third of a word may be wrong before a guess is worth more than silence. */
static int tolerance(size_t word_size) {
    return 1 + (int)word_size / 3;
}

const char *args_nearest(const char *word, const char *const *words, int n) {
    nearest best = {.word = word, .word_size = strlen(word), .distance = tolerance(strlen(word)) + 1};
    for (int i = 0; i < n; i++)
        consider(&best, words[i], strlen(words[i]));
    return best.best;
}

static int unknown_option(const verb *v, const char *text, size_t size) {
    nearest best = {.word = text, .word_size = size, .distance = tolerance(size) + 1};
    for (const arg_group *g = v->groups; g->options; g++)
        for (const arg_option *o = g->options; o->names; o++)
            each_name(o->names, consider, &best);
    if (size > 2 && best.best)
        return ui_error(UI_USAGE, "unknown option '%.*s': did you mean '%.*s'? (see tnn help %s)", (int)size, text,
                        (int)best.best_size, best.best, v->name);
    return ui_error(UI_USAGE, "unknown option '%.*s' (see tnn help %s)", (int)size, text, v->name);
}

/* --- values --- */

static bool read_int(const char *name, const arg_option *o, const char *text, int64_t *out) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end) {
        ui_error(UI_USAGE, "%s: '%s' is not a whole number", name, text);
        return false;
    }
    if (errno == ERANGE || (double)value < o->min || (double)value > o->max) {
        ui_error(UI_USAGE, "%s: %s is out of range; it goes from %.0f to %.0f", name, text, o->min, o->max);
        return false;
    }
    *out = value;
    return true;
}

static bool read_real(const char *name, const arg_option *o, const char *text, double *out) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value)) {
        ui_error(UI_USAGE, "%s: '%s' is not a number", name, text);
        return false;
    }
    if (value < o->min || value > o->max) {
        ui_error(UI_USAGE, "%s: %s is out of range; it goes from %g to %g", name, text, o->min, o->max);
        return false;
    }
    *out = value;
    return true;
}

static bool add_text(arg_texts *texts, const char *text) {
    const char **items = realloc(texts->items, (size_t)(texts->n + 1) * sizeof *items);
    if (!items) {
        ui_error(UI_FAILURE, "out of memory");
        return false;
    }
    items[texts->n++] = text;
    texts->items = items;
    return true;
}

static bool set_value(void *where, const char *name, const arg_option *o, const char *text) {
    switch (o->kind) {
    case ARG_FLAG:
        *(bool *)where = true;
        return true;
    case ARG_INT:
        return read_int(name, o, text, where);
    case ARG_REAL:
        return read_real(name, o, text, where);
    case ARG_TEXT:
        *(const char **)where = text;
        return true;
    case ARG_TEXTS:
        return add_text(where, text);
    }
    return false;
}

static bool is_help(const char *text) {
    return strcmp(text, "-h") == 0 || strcmp(text, "--help") == 0;
}

/* One option at argv[*i], with its value there ("--temp=0") or in the next argument. */
static bool parse_option(const verb *v, void *args, int argc, char **argv, int *i) {
    const char *text = argv[*i];
    const char *equals = text[1] == '-' ? strchr(text, '=') : NULL;
    size_t size = equals ? (size_t)(equals - text) : strlen(text);
    const arg_group *group = NULL;
    const arg_option *o = find_option(v, text, size, &group);
    if (!o) {
        unknown_option(v, text, size);
        return false;
    }
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)size, text);
    const char *value = equals ? equals + 1 : NULL;
    if (o->kind == ARG_FLAG && value) {
        ui_error(UI_USAGE, "%s takes no value", name);
        return false;
    }
    if (o->kind != ARG_FLAG && !value) {
        if (*i + 1 >= argc) {
            ui_error(UI_USAGE, "%s needs a value: %s %s", name, name, o->value);
            return false;
        }
        value = argv[++*i];
    }
    return set_value(place(args, group, o), name, o, value);
}

static const char **positional_place(void *args, const arg_positional *p) {
    return (const char **)((char *)args + p->offset);
}

static bool take_positional(const verb *v, void *args, const char *text) {
    for (const arg_positional *p = v->positionals; p < v->positionals + ARG_MAX_POSITIONALS && p->name; p++) {
        const char **where = positional_place(args, p);
        if (!*where) {
            *where = text;
            return true;
        }
    }
    ui_error(UI_USAGE, "one argument too many: '%s' (see tnn help %s)", text, v->name);
    return false;
}

static bool all_there(const verb *v, void *args) {
    for (const arg_positional *p = v->positionals; p < v->positionals + ARG_MAX_POSITIONALS && p->name; p++)
        if (p->required && !*positional_place(args, p)) {
            ui_error(UI_USAGE, "%s is missing (see tnn help %s)", p->name, v->name);
            return false;
        }
    return true;
}

arg_result args_parse(const verb *v, void *args, int argc, char **argv) {
    const char *rest[ARG_MAX_POSITIONALS + 1]; /* placed last: -m may fill MODEL, whatever stands before it */
    int n_rest = 0;
    bool options = true;
    for (int i = 0; i < argc; i++) {
        bool is_option = options && argv[i][0] == '-' && argv[i][1] != 0;
        if (is_option && is_help(argv[i])) return ARGS_HELP;
        if (is_option && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (is_option) {
            if (!parse_option(v, args, argc, argv, &i)) return ARGS_BAD;
        } else if (n_rest <= ARG_MAX_POSITIONALS) {
            rest[n_rest++] = argv[i];
        }
    }
    for (int i = 0; i < n_rest; i++)
        if (!take_positional(v, args, rest[i])) return ARGS_BAD;
    return all_there(v, args) ? ARGS_OK : ARGS_BAD;
}

/* --- help --- */

/* Text wrapped at HELP_WIDTH, continued at `column`; the cursor stands at `at`. */
static void print_wrapped(const char *text, int column, int at) {
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (at > column && at + 1 + (int)n > HELP_WIDTH) {
            printf("\n%*s", column, "");
            at = column;
        } else if (at > column) {
            putchar(' ');
            at++;
        }
        fwrite(text, 1, n, stdout);
        at += (int)n;
        text += n;
        if (*text == '\n') {
            printf("\n%*s", column, "");
            at = column;
            text++;
        } else {
            text += strspn(text, " ");
        }
    }
    putchar('\n');
}

static void format_default(char *out, size_t size, const arg_option *o, const void *where) {
    *out = 0;
    switch (o->kind) {
    case ARG_FLAG:
    case ARG_TEXTS:
        break;
    case ARG_INT:
        if (o->unset && *(const int64_t *)where <= 0) {
            snprintf(out, size, "%s", o->unset);
        } else {
            snprintf(out, size, "%lld", (long long)*(const int64_t *)where);
        }
        break;
    case ARG_REAL:
        snprintf(out, size, "%g", *(const double *)where);
        break;
    case ARG_TEXT: {
        const char *text = *(const char *const *)where;
        const char *shown = text ? text : o->unset;
        if (shown) snprintf(out, size, "%s", shown);
        break;
    }
    }
}

static void print_option(const arg_option *o, const void *where) {
    char left[128], text[640], standard[128];
    int n = snprintf(left, sizeof left, "  %s%s%s", o->names, o->value ? " " : "", o->value ? o->value : "");
    if (n + 2 > HELP_COLUMN) {
        printf("%s\n%*s", left, HELP_COLUMN, "");
    } else {
        printf("%-*s", HELP_COLUMN, left);
    }
    format_default(standard, sizeof standard, o, where);
    snprintf(text, sizeof text, *standard ? "%s (default: %s)" : "%s", o->help, standard);
    print_wrapped(text, HELP_COLUMN, HELP_COLUMN);
}

void args_help(const verb *v) {
    void *args = args_new(v);
    if (!args) {
        ui_error(UI_FAILURE, "out of memory");
        return;
    }
    printf("tnn %s", v->name);
    for (const arg_positional *p = v->positionals; p < v->positionals + ARG_MAX_POSITIONALS && p->name; p++)
        printf(p->required ? " %s" : " [%s]", p->name);
    printf(" [option...]\n\n");
    print_wrapped(v->description, 0, 0);
    printf("\n");
    for (const arg_group *g = v->groups; g->options; g++)
        for (const arg_option *o = g->options; o->names; o++)
            if (o->help) print_option(o, place(args, g, o));
    printf("%-*s%s\n", HELP_COLUMN, "  -h, --help", "this text");
    args_free(v, args);
}
