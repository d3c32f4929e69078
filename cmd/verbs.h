/* The verbs, each in a file of its name. */
#ifndef CMD_VERBS_H
#define CMD_VERBS_H

#include "args.h"

extern const verb verb_run, verb_chat, verb_show, verb_list, verb_tokenize, verb_tokenizer, verb_logits, verb_eval,
    verb_train, verb_merge, verb_quantize, verb_bench, verb_version;

#endif
