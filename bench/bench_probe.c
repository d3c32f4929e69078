/*
 * The machine's limits as other programs leave them: run before and after a benchmark, and quote both.
 *
 *   bench_probe [ISA]
 */
#include "base/alloc.h"
#include "bench.h"
#include "cpu/probe.h"

int main(int argc, char **argv) {
    int isa = argc > 1 ? tnn_isa_from_name(argv[1]) : (int)tnn_isa_detect();
    if (isa < 0 || !tnn_isa_available((tnn_isa)isa)) {
        fprintf(stderr, "this machine has no level %s\n", argv[1]);
        return 2;
    }
    for (int n_threads = 1; n_threads <= 2; n_threads++) {
        tnn__team *team;
        tnn_probe p;
        tnn_error err;
        if (tnn__team_new(&team, n_threads, &tnn__libc_allocator, &err) != TNN_OK ||
            tnn__probe_run(&p, team, (tnn_isa)isa, &tnn__libc_allocator, &err) != TNN_OK) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        printf("%s, %d thread%s: %.1f F32 GFLOP/s, %.1f int8 Gop/s, %.1f GB/s read\n", tnn_isa_name((tnn_isa)isa),
               n_threads, n_threads > 1 ? "s" : "", p.f32_gflops, p.int8_gops, p.read_gbps);
        tnn__team_free(team);
    }
    return 0;
}
