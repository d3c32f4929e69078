/* The layers of a model: their kinds, and what each weighs. */
#ifndef CMD_STACK_H
#define CMD_STACK_H

#include <tinynn/model.h>

#include "json.h"

typedef struct stack_layer {
    tnn_layer_spec spec;
    uint64_t n_params, bytes;
} stack_layer;

typedef struct stack {
    tnn_llama_hparams hparams;
    stack_layer *layers; /* hparams.n_layers */
} stack;

/* Without memory there are no layers. */
void stack_of(stack *s, const tnn_model *m);
void stack_free(stack *s);
void stack_print(const stack *s); /* a line for each layer */
json_t *stack_json(const stack *s);

#endif
