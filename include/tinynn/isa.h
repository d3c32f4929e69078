/* Instruction-set levels of the CPU backend, each including those before it on the same architecture. */
#ifndef TINYNN_ISA_H
#define TINYNN_ISA_H

#include <tinynn/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* enumerator, name */
#define TNN_ISA_LIST(X)                                                                                                \
    X(PORTABLE, "portable")                                                                                            \
    X(AVX2, "avx2")                                                                                                    \
    X(AVXVNNI, "avxvnni")                                                                                              \
    X(AVX512, "avx512")                                                                                                \
    X(AVX512VNNI, "avx512vnni")                                                                                        \
    X(AVX512BF16, "avx512bf16")                                                                                        \
    X(NEON, "neon")                                                                                                    \
    X(DOTPROD, "dotprod")                                                                                              \
    X(I8MM, "i8mm")

typedef enum tnn_isa {
#define X(name, text) TNN_ISA_##name,
    TNN_ISA_LIST(X)
#undef X
        TNN_ISA_COUNT
} tnn_isa;

/* The best level this processor (and operating system) can run. Any thread. */
TNN_API tnn_isa tnn_isa_detect(void);
/* Whether this processor can run a level. */
TNN_API int tnn_isa_available(tnn_isa isa);
TNN_API const char *tnn_isa_name(tnn_isa isa);   /* "avx2"; never NULL */
TNN_API int tnn_isa_from_name(const char *name); /* -1 if there is none */

#ifdef __cplusplus
}
#endif
#endif
