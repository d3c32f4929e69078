/* What this machine can do at most, so that a measured speed can be told as a share of it. */
#ifndef TINYNN_PROBE_H
#define TINYNN_PROBE_H

#include <tinynn/isa.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tnn_probe {
    double f32_gflops; /* products and sums of F32 in registers, each counted; 1e9 a second */
    double int8_gops;  /* products of bytes summed to 32 bits, likewise */
    double read_gbps;  /* memory read in order; 1e9 bytes a second */
} tnn_probe;

/*
 * Measures for a quarter of a second, with n_threads (1..1024) threads of its own and what `isa` has. Needs 256 MiB
 * for that time. Other programs on the machine lower all three. Errors: TNN_E_ARG for a number of threads out of range
 * or a level that is not there, TNN_E_NOMEM. Any thread.
 */
TNN_API tnn_status tnn_probe_machine(tnn_probe *out, int n_threads, tnn_isa isa, tnn_error *err);

#ifdef __cplusplus
}
#endif
#endif
