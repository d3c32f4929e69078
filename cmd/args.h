/*
 * What a verb takes on its command line, as data. Parsing, range checks, suggestions for a mistyped flag and the text
 * of --help all come from the same tables; a default is the value the verb's init function leaves in its structure, so
 * what help says is what happens.
 */
#ifndef CMD_ARGS_H
#define CMD_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum arg_kind {
    ARG_FLAG,  /* bool, becomes true */
    ARG_INT,   /* int64_t */
    ARG_REAL,  /* double; neither NaN nor infinite */
    ARG_TEXT,  /* const char * */
    ARG_TEXTS, /* arg_texts: may be given many times */
} arg_kind;

typedef struct arg_texts {
    const char **items; /* owned by args_parse, freed by args_free */
    int n;
} arg_texts;

typedef struct arg_option {
    const char *names; /* every accepted spelling: "-n, --n-predict"; --help shows the line as it stands */
    arg_kind kind;
    size_t offset;     /* of the value in the group's structure */
    const char *value; /* stands for the value in help: "N" */
    double min, max;   /* ARG_INT and ARG_REAL, both allowed */
    const char *unset; /* said in help in place of a default that is 0, negative or NULL */
    const char *help;  /* NULL: accepted, but not shown */
} arg_option;

/* Options that several verbs share lie in one structure inside each verb's own. */
typedef struct arg_group {
    const arg_option *options; /* ends with names == NULL */
    size_t offset;             /* of the structure its options fill */
} arg_group;

/* Taken in order by arguments that are no options; one whose place an option has filled (-m) is passed over. */
typedef struct arg_positional {
    const char *name;
    size_t offset; /* of a const char * */
    bool required;
} arg_positional;

#define ARG_MAX_GROUPS      10
#define ARG_MAX_POSITIONALS 3

typedef struct verb {
    const char *name;
    const char *summary;                             /* one line, for the list of verbs */
    const char *description;                         /* paragraphs of help */
    arg_positional positionals[ARG_MAX_POSITIONALS]; /* ends with name == NULL */
    arg_group groups[ARG_MAX_GROUPS];                /* ends with options == NULL */
    size_t args_size;
    void (*prepare)(int argc, char **argv); /* sees the arguments before the tables are used; may be NULL */
    void (*init)(void *args);               /* defaults, over zeroed memory; may be NULL */
    int (*run)(void *args);                 /* exit status */
    bool hears_interrupts; /* ends in good order when ui_interrupted(); otherwise a signal ends the process */
} verb;

typedef enum arg_result { ARGS_OK, ARGS_HELP, ARGS_BAD } arg_result;

/* A zeroed and initialised structure for the verb, NULL without memory; freed by args_free. */
void *args_new(const verb *v);
void args_free(const verb *v, void *args);
/* Fills args from what follows the verb. ARGS_BAD has been reported; ARGS_HELP means --help was asked for. */
arg_result args_parse(const verb *v, void *args, int argc, char **argv);
void args_help(const verb *v); /* on stdout */

/* The entry of `words` (n of them) that is likely meant by `word`, or NULL. */
const char *args_nearest(const char *word, const char *const *words, int n);

#endif
