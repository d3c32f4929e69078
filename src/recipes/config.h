/* config.json, and names of choices. */
#ifndef TNN_RECIPES_CONFIG_H
#define TNN_RECIPES_CONFIG_H

#include <tinynn/train.h>

const char *tnn__recipe_name(tnn_recipe r);

/* Name of the first setting of a new body that is not at its default, `except` apart; NULL: there is none. */
const char *tnn__config_body_setting(const tnn_train_config *c, const char *except);
/* Every setting alone: in its range; strings in UTF-8, or config.json could not hold them. */
tnn_status tnn__config_check(const tnn_train_config *c, tnn_error *err);

/* Checksums of what a run was begun with, to see that it goes on with the same; 0: none. */
typedef struct tnn__run_hashes {
    uint64_t base; /* the file of config.model */
    uint64_t data; /* ids and marks of training and validation */
} tnn__run_hashes;

/* The text of config.json, from malloc; NULL without memory. */
char *tnn__config_to_json(const tnn_train_config *c, const tnn__run_hashes *hashes);

/* Strings of c are lent by *owner, to be given to tnn__config_free_owner in every case (NULL is allowed). */
tnn_status tnn__config_from_json(tnn_train_config *c, tnn__run_hashes *hashes, const char *text, const char *path,
                                 void **owner, tnn_error *err);
void tnn__config_free_owner(void *owner);

#endif
