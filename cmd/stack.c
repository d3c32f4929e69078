/* Drawing the layers of a model. */
#include "stack.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ui.h"

/* Tensors are named blk.N. and what they are. */
static void weigh(stack_layer *layer, const tnn_gguf *g, int64_t index) {
    char prefix[32];
    size_t n = (size_t)snprintf(prefix, sizeof prefix, "blk.%" PRId64 ".", index);
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, i);
        if (t->name.size < n || memcmp(t->name.data, prefix, n) != 0) continue;
        layer->n_params += (uint64_t)(t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]);
        layer->bytes += t->n_bytes;
    }
}

void stack_of(stack *s, const tnn_model *m) {
    *s = (stack){.hparams = *tnn_model_hparams(m)};
    s->layers = calloc((size_t)s->hparams.n_layers, sizeof *s->layers);
    for (int64_t i = 0; s->layers && i < s->hparams.n_layers; i++) {
        s->layers[i].spec = tnn_llama_arch_layer_spec(tnn_model_arch(m), i);
        weigh(&s->layers[i], tnn_model_gguf(m), i);
    }
}

void stack_free(stack *s) {
    free(s->layers);
}

static void describe_mixer(const tnn_llama_hparams *hp, tnn_mixer_kind kind, char *out, size_t size) {
    const tnn_gdn_hparams *gdn = &hp->gdn;
    if (kind != TNN_MIXER_GDN) {
        snprintf(out, size, "%" PRId64 " heads of %" PRId64 ", %" PRId64 " of keys%s", hp->n_heads, hp->d_head,
                 hp->n_kv_heads, hp->attn_gate ? ", gated" : "");
    } else if (gdn->conv_width > 0) {
        snprintf(out, size, "%" PRId64 " heads of %" PRId64 ", %" PRId64 " of keys, conv %" PRId64, gdn->n_value_heads,
                 gdn->d_head, gdn->n_key_heads, gdn->conv_width);
    } else {
        snprintf(out, size, "%" PRId64 " heads of %" PRId64 ", %" PRId64 " of keys", gdn->n_value_heads, gdn->d_head,
                 gdn->n_key_heads);
    }
}

void stack_print(const stack *s) {
    for (int64_t i = 0; s->layers && i < s->hparams.n_layers; i++) {
        const stack_layer *layer = &s->layers[i];
        char mixer[128], ffn[48] = "-", params[UI_NUMBER], bytes[UI_NUMBER];
        describe_mixer(&s->hparams, layer->spec.mixer, mixer, sizeof mixer);
        if (layer->spec.ffn == TNN_FFN_SWIGLU) snprintf(ffn, sizeof ffn, "swiglu %" PRId64, s->hparams.d_ff);
        printf("  %3" PRId64 "  %-16s %-38s %-14s %9s  %9s\n", i, tnn_mixer_name(layer->spec.mixer), mixer, ffn,
               ui_count(params, layer->n_params), ui_bytes(bytes, layer->bytes));
    }
}

json_t *stack_json(const stack *s) {
    if (!s->layers) return json_null();
    json_t *array = json_array();
    for (int64_t i = 0; i < s->hparams.n_layers; i++) {
        const stack_layer *layer = &s->layers[i];
        bool ffn = layer->spec.ffn == TNN_FFN_SWIGLU;
        json_array_append_new(array, json_pack("{s:s, s:o, s:I, s:I}", "mixer", tnn_mixer_name(layer->spec.mixer),
                                               "ffn", ffn ? json_string("swiglu") : json_null(), "parameters",
                                               (json_int_t)layer->n_params, "bytes", (json_int_t)layer->bytes));
    }
    return array;
}
