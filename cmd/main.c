/* The command `tnn`: finds the verb and hands it its arguments. Each verb is a file of its own. */
#include <stdio.h>
#include <string.h>

#include "ui.h"
#include "verbs.h"

static const verb *const verbs[] = {
    &verb_run,  &verb_chat,  &verb_show,  &verb_list,     &verb_tokenize, &verb_tokenizer, &verb_logits,
    &verb_eval, &verb_train, &verb_merge, &verb_quantize, &verb_bench,    &verb_version,
};

enum { N_VERBS = sizeof verbs / sizeof *verbs };

static void print_overview(void) {
    printf("tnn: run, inspect and train GGUF language models on the CPU\n\n"
           "  tnn VERB [MODEL] [option...]\n\n");
    for (int i = 0; i < N_VERBS; i++)
        printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
    printf("  %-10s %s\n", "help", "what a verb takes: tnn help VERB, or tnn VERB --help");
    printf("\nMODEL is a GGUF file, or a name that tnn list shows. Results go to stdout, progress to stderr.\n"
           "Exit status: 0 done, 1 failed, 2 bad usage or input.\n");
}

static const verb *find_verb(const char *name) {
    for (int i = 0; i < N_VERBS; i++)
        if (strcmp(verbs[i]->name, name) == 0) return verbs[i];
    return NULL;
}

static int unknown_verb(const char *name) {
    const char *names[N_VERBS + 1];
    for (int i = 0; i < N_VERBS; i++)
        names[i] = verbs[i]->name;
    names[N_VERBS] = "help";
    const char *near = args_nearest(name, names, N_VERBS + 1);
    if (near) return ui_error(UI_USAGE, "unknown verb '%s': did you mean '%s'? (tnn help lists them)", name, near);
    return ui_error(UI_USAGE, "unknown verb '%s' (tnn help lists them)", name);
}

static int help(int argc, char **argv) {
    if (argc == 0) {
        print_overview();
        return ui_finish(UI_OK);
    }
    const verb *v = find_verb(argv[0]);
    if (!v && strcmp(argv[0], "help") != 0) return unknown_verb(argv[0]);
    if (v) {
        if (v->prepare) v->prepare(argc - 1, argv + 1);
        args_help(v);
    } else {
        print_overview();
    }
    return ui_finish(UI_OK);
}

static int run_verb(const verb *v, int argc, char **argv) {
    ui_set_verb(v->name);
    if (v->prepare) v->prepare(argc, argv);
    void *args = args_new(v);
    if (!args) return ui_error(UI_FAILURE, "out of memory");
    int code = UI_USAGE;
    switch (args_parse(v, args, argc, argv)) {
    case ARGS_OK:
        ui_install_signals(v->hears_interrupts);
        code = v->run(args);
        break;
    case ARGS_HELP:
        args_help(v);
        code = UI_OK;
        break;
    case ARGS_BAD:
        break;
    }
    args_free(v, args);
    return ui_finish(code);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_overview();
        return UI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "--help") == 0)
        return help(argc - 2, argv + 2);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) name = verb_version.name;
    const verb *v = find_verb(name);
    return v ? run_verb(v, argc - 2, argv + 2) : unknown_verb(name);
}
