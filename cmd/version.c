/* `tnn version`, also `tnn --version`. */
#include <stdio.h>

#include <tinynn/isa.h>

#include "json.h"
#include "ui.h"
#include "verbs.h"

typedef struct version_args {
    bool json;
} version_args;

static int run(void *p) {
    const version_args *args = p;
    const char *isa = tnn_isa_name(tnn_isa_detect());
    if (args->json) return json_print(json_pack("{s:s, s:s}", "version", TNN_VERSION, "isa", isa));
    printf("tnn %s (%s)\n", TNN_VERSION, isa);
    return UI_OK;
}

static const arg_option verb_options[] = {
    {"--json", ARG_FLAG, offsetof(version_args, json), NULL, 0, 0, NULL, "one JSON object"},
    {0},
};

const verb verb_version = {
    .name = "version",
    .summary = "the version, and the instruction set this processor offers",
    .description = "Prints the version and the best instruction set that this processor offers.",
    .groups = {{verb_options, 0}},
    .args_size = sizeof(version_args),
    .run = run,
};
