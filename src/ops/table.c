/* The table made from ops.def, and the error text all builders share. */
#include "ops/op.h"

#define TNN__NO_GRAD(why) .no_grad = why
#define TNN__GRAD(name)   .grad = tnn__grad_##name
static const tnn__op_info ops[TNN__OP_COUNT] = {
    [TNN__OP_NONE] = {.name = "input", .no_grad = "an input is not computed"},
#define TNN__OP(id, op_name, gradient) [TNN__OP_##id] = {.name = #op_name, gradient},
#include "core/ops.def"
#undef TNN__OP
    [TNN__OP_VIEW] = {.name = "reshape", .grad = tnn__grad_view},
    [TNN__OP_PART] = {.name = "part", .no_grad = "further results are not differentiated"},
};

const tnn__op_info *tnn__op_info_of(tnn__op_id op) {
    return &ops[op];
}

tnn_tensor *tnn__shape_error(tnn_graph *g, const char *op, const char *what, const tnn_tensor *a, const tnn_tensor *b) {
    char shape_a[TNN__SHAPE_TEXT], shape_b[TNN__SHAPE_TEXT];
    if (!a) return tnn__graph_error(g, TNN_E_SHAPE, "%s: %s", op, what);
    const char *type_a = tnn_type_get_info((int32_t)a->type)->name;
    if (!b) {
        return tnn__graph_error(g, TNN_E_SHAPE, "%s: %s; got %s %s %s", op, what, tnn_tensor_name(a), type_a,
                                tnn__shape_text(a, shape_a));
    }
    return tnn__graph_error(g, TNN_E_SHAPE, "%s: %s; got %s %s %s and %s %s %s", op, what, tnn_tensor_name(a), type_a,
                            tnn__shape_text(a, shape_a), tnn_tensor_name(b), tnn_type_get_info((int32_t)b->type)->name,
                            tnn__shape_text(b, shape_b));
}
