/*
 * The CPU backend: threads, kernels and plain memory. tnn_session_new lives here because this is where a session gets
 * its backend.
 */
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity */
#include <sched.h>
#endif
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "core/session.h"
#include "cpu/dispatch.h"
#include "cpu/program.h"

static tnn__cpu_backend *self(tnn__backend *b) {
    return (tnn__cpu_backend *)b;
}

static void backend_free(tnn__backend *b) {
    tnn_allocator a = self(b)->alloc;
    tnn__team_free(self(b)->team);
    tnn__free(&a, b, sizeof(tnn__cpu_backend), TNN__ALIGN);
}

static int backend_threads(const tnn__backend *b) {
    return tnn__team_size(((const tnn__cpu_backend *)b)->team);
}

static tnn_isa backend_isa(const tnn__backend *b) {
    return ((const tnn__cpu_backend *)b)->isa;
}

static void *buffer_alloc(tnn__backend *b, size_t bytes) {
    return tnn__calloc(&self(b)->alloc, bytes, TNN__ALIGN);
}

static void buffer_free(tnn__backend *b, void *data, size_t bytes) {
    tnn__free(&self(b)->alloc, data, bytes, TNN__ALIGN);
}

static void upload(tnn__backend *b, void *data, size_t offset, const void *src, size_t n) {
    (void)b;
    memcpy((uint8_t *)data + offset, src, n);
}

static void download(tnn__backend *b, const void *data, size_t offset, void *dst, size_t n) {
    (void)b;
    memcpy(dst, (const uint8_t *)data + offset, n);
}

static const tnn__backend_ops cpu_ops = {
    .free = backend_free,
    .threads = backend_threads,
    .isa = backend_isa,
    .buffer_alloc = buffer_alloc,
    .buffer_free = buffer_free,
    .upload = upload,
    .download = download,
    .compile = tnn__cpu_compile,
    .program_free = tnn__cpu_program_free,
    .program_bytes = tnn__cpu_program_bytes,
    .program_reserve = tnn__cpu_program_reserve,
    .program_data = tnn__cpu_program_data,
    .program_run = tnn__cpu_program_run,
};

/* Processors this process may run on. */
static int usable_processors(void) {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n <= TNN__MAX_THREADS ? (int)n : 1;
}

tnn_status tnn_session_new(tnn_session **out, const tnn_session_options *options, tnn_error *err) {
    *out = NULL;
    tnn_session_options defaults = tnn_session_options_default();
    if (!options) options = &defaults;
    if (options->n_threads < 0 || options->n_threads > TNN__MAX_THREADS) {
        return tnn__fail(err, TNN_E_ARG, "%d threads: give 1 to %d, or 0 for one per processor", options->n_threads,
                         TNN__MAX_THREADS);
    }
    const tnn_allocator *a = tnn__allocator_or_default(options->allocator);
    tnn__cpu_backend *b = tnn__calloc(a, sizeof *b, TNN__ALIGN);
    if (!b) return tnn__fail_nomem(err, "the CPU backend", sizeof *b);
    b->base.ops = &cpu_ops;
    b->alloc = *a;
    b->isa = tnn__kernels_init(&b->kernels, options->isa);
    tnn__kernels_init_f64(&b->kernels_f64);
    int n_threads = options->n_threads ? options->n_threads : usable_processors();
    tnn_status status = tnn__team_new(&b->team, n_threads, a, err);
    if (status) {
        tnn__free(a, b, sizeof *b, TNN__ALIGN);
        return status;
    }
    return tnn__session_new(out, options, &b->base, err);
}
