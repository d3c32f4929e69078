/* What kernels ask of the compiler beyond C. Only kernel files include this. */
#ifndef TNN_CPU_VEC_COMPILER_H
#define TNN_CPU_VEC_COMPILER_H

/* Kernels are written once over constants (a type, a tile width) and specialised by inlining. */
#define TNN__INLINE static inline __attribute__((always_inline))

/* Compiled once for all that call it. */
#ifdef __clang__
#define TNN__ONCE __attribute__((noinline))
#else
#define TNN__ONCE __attribute__((noinline, noclone))
#endif

/* Before a loop over a tile: only when it is unrolled whole does the tile live in registers. */
#ifdef __clang__
#define TNN__UNROLL _Pragma("clang loop unroll(full)")
#else
#define TNN__UNROLL _Pragma("GCC unroll 16")
#endif

/* Keeps the variable in a register of its own, instead of computing it anew from others at every use. */
#define TNN__IN_REGISTER(variable) __asm__("" : "+r"(variable))

#endif
