/* The gated delta rule of the lower levels, to which kernels for some head sizes leave the others. */
#ifndef TNN_CPU_KERNELS_GDN_H
#define TNN_CPU_KERNELS_GDN_H

#include "cpu/kernels.h"

tnn__gdn_fn tnn__gdn_portable, tnn__gdn_avx2;
tnn__gdn_back_fn tnn__gdn_back_portable, tnn__gdn_back_avx2;
size_t tnn__gdn_portable_scratch(const tnn__gdn_args *a, int64_t rows);
size_t tnn__gdn_back_portable_scratch(const tnn__gdn_args *a, int64_t rows);
size_t tnn__gdn_avx2_scratch(const tnn__gdn_args *a, int64_t rows);
size_t tnn__gdn_back_avx2_scratch(const tnn__gdn_args *a, int64_t rows);

#endif
