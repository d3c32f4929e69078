/* The public side of the probe: a team for the time it runs. */
#include <tinynn/probe.h>

#include "base/alloc.h"
#include "base/error.h"
#include "cpu/probe.h"

tnn_status tnn_probe_machine(tnn_probe *out, int n_threads, tnn_isa isa, tnn_error *err) {
    if (n_threads < 1 || n_threads > TNN__MAX_THREADS)
        return tnn__fail(err, TNN_E_ARG, "%d threads to measure with: give 1 to %d", n_threads, TNN__MAX_THREADS);
    if (!tnn_isa_available(isa)) return tnn__fail(err, TNN_E_ARG, "this machine has no level %s", tnn_isa_name(isa));
    tnn__team *team;
    tnn_status status = tnn__team_new(&team, n_threads, &tnn__libc_allocator, err);
    if (status != TNN_OK) return status;
    status = tnn__probe_run(out, team, isa, &tnn__libc_allocator, err);
    tnn__team_free(team);
    return status;
}
