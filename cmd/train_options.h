/*
 * The flags of `tnn train`, made from the library's table of settings: "learning_rate" is --learning-rate, a flag that
 * is on unless told otherwise also has --no-NAME. Which of them are shown, and with which default, depends on the
 * recipe.
 */
#ifndef CMD_TRAIN_OPTIONS_H
#define CMD_TRAIN_OPTIONS_H

#include <tinynn/train.h>

#include "args.h"

#define TRAIN_MAX_SETTINGS 96

/* What the command line says, by the setting's index. */
typedef struct train_settings {
    const char *text[TRAIN_MAX_SETTINGS]; /* NULL: not given */
    bool on[TRAIN_MAX_SETTINGS], off[TRAIN_MAX_SETTINGS];
} train_settings;

extern arg_option train_options[]; /* of a train_settings; filled by train_options_prepare */

int train_recipe(const char *name);     /* its number, or -1 */
void train_options_prepare(int recipe); /* -1: shows those of every recipe */
const char *train_recipe_name(int recipe);

/* The first setting that was given, as its flags; NULL: none. */
const char *train_settings_given(const train_settings *s);
/* Puts them into c, whose recipe is set. Reports failures; returns the exit status. */
int train_settings_apply(const train_settings *s, tnn_train_config *c);

#endif
