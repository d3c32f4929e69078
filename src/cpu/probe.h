/* The measuring behind tnn_probe_machine, by a team that is there. */
#ifndef TNN_CPU_PROBE_H
#define TNN_CPU_PROBE_H

#include <tinynn/probe.h>

#include "base/threads.h"

/* By all threads of the team at once, with what `isa` (available here) has. Needs 256 MiB for the time it runs. */
tnn_status tnn__probe_run(tnn_probe *out, tnn__team *team, tnn_isa isa, const tnn_allocator *a, tnn_error *err);

/*
 * A burst of about n operations that depend on nothing but registers; returns how many there were. *sink keeps the
 * compiler from dropping them.
 */
typedef double tnn__probe_fn(int64_t n, volatile float *sink);
#if defined(__x86_64__)
tnn__probe_fn tnn__probe_f32_avx2, tnn__probe_int8_avx2, tnn__probe_int8_avxvnni;
tnn__probe_fn tnn__probe_f32_avx512, tnn__probe_int8_avx512, tnn__probe_int8_avx512vnni;
#endif

#endif
