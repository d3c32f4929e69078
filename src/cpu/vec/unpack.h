/*
 * Rows of stored weights as F32, the values of the portable conversions bit for bit. The including file has its
 * vectors, unpack_<type> for each block type that it unpacks with them, and the list of those, TNN__UNPACKED(X); the
 * others go through the portable code.
 */
#ifndef TNN_CPU_VEC_UNPACK_H
#define TNN_CPU_VEC_UNPACK_H

#include <string.h>

TNN__INLINE void unpack_plain(tnn_type type, const char *from, float *to, int64_t n) {
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vf_store(to + i, vf_load_elems(type, from + (size_t)i * elem_bytes(type)));
    if (i < n) vf_store_some(to + i, vm_first(n - i), vf_load_tail(type, from + (size_t)i * elem_bytes(type), n - i));
}

/* n elements, whole blocks. */
static void unpack_row(tnn_type type, const char *from, float *to, int64_t n) {
    switch (type) {
    case TNN_TYPE_F32:
        memcpy(to, from, (size_t)n * sizeof *to);
        break;
    case TNN_TYPE_F16:
        unpack_plain(TNN_TYPE_F16, from, to, n);
        break;
    case TNN_TYPE_BF16:
        unpack_plain(TNN_TYPE_BF16, from, to, n);
        break;
#define X(TYPE, name)                                                                                                  \
    case TNN_TYPE_##TYPE:                                                                                              \
        unpack_##name(from, to, n);                                                                                    \
        break;
        TNN__UNPACKED(X)
#undef X
    default:
        (void)tnn_dequantize_row(type, from, to, n);
        break;
    }
}

#endif
