/*
 * GGUF without memory and without a working disk: each allocation fails once, and from then on; each system call of a
 * save fails. The answer is an error, nothing leaks, and the file that was to be replaced is whole: the old or the new.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "gguf/writer.h"
#include "support/counting_allocator.h"
#include "support/gguf_bytes.h"
#include "support/gguf_walk.h"
#include "support/temp_dir.h"

static temp_dir dir;

static int create_dir(void **state) {
    (void)state;
    temp_dir_create(&dir);
    return 0;
}

static int remove_dir(void **state) {
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

/* --- one of everything --- */

#define BIG_BYTES 200000 /* several buffers of the file writer */

static uint8_t big[BIG_BYTES];

static void set_metadata(tnn_gguf_writer *w) {
    static const tnn_gguf_str tokens[] = {{"a", 1}, {"b", 1}, {"", 0}};
    static const float scores[] = {1, 2, 3};
    tnn_gguf_set_str(w, "general.architecture", "llama", 5);
    tnn_gguf_set_str_array(w, "tokenizer.ggml.tokens", tokens, 3);
    tnn_gguf_set_array(w, "tokenizer.ggml.scores", TNN_GGUF_F32, scores, 3);
    for (uint32_t i = 0; i < 40; i++) { /* enough for tables to grow */
        char key[16];
        snprintf(key, sizeof key, "key.%u", (unsigned)i);
        tnn_gguf_set_u32(w, key, i);
    }
}

/* Metadata of its own and of `source`, 40 small tensors and a big one. */
static tnn_status write_sample(const char *path, const tnn_gguf *source, const tnn_allocator *a,
                               const tnn__file_ops *ops, tnn_error *err) {
    tnn_gguf_writer *w;
    tnn_status status = tnn_gguf_writer_new(&w, a, err);
    if (status != TNN_OK) return status;
    tnn__gguf_writer_set_file_ops(w, ops);
    set_metadata(w);
    if (source) tnn_gguf_copy_kv(w, source, NULL, 0);
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", i);
        tnn_gguf_add_tensor(w, name, TNN_TYPE_F32, 1, (const int64_t[]){i});
    }
    tnn_gguf_add_tensor(w, "big", TNN_TYPE_I8, 1, (const int64_t[]){BIG_BYTES});
    tnn_gguf_writer_begin(w, path);
    for (int i = 0; i < 40; i++) {
        tnn_gguf_write_data(w, big, 4 * (size_t)i);
    }
    for (size_t at = 0; at < BIG_BYTES; at += BIG_BYTES / 4) {
        tnn_gguf_write_data(w, big + at, BIG_BYTES / 4);
    }
    status = tnn_gguf_writer_finish(w, err);
    tnn_gguf_writer_free(w);
    return status;
}

static bool is_sample(const char *path) {
    tnn_gguf *g;
    tnn_error err;
    uint64_t sum = 0;
    if (tnn_gguf_open(&g, path, NULL, &err) != TNN_OK) return false;
    const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, tnn_gguf_find_tensor(g, "big"));
    bool same = walk_gguf(g, &sum) && t && t->n_bytes == BIG_BYTES && memcmp(t->data, big, BIG_BYTES) == 0;
    tnn_gguf_close(g);
    return same;
}

/* --- no memory --- */

typedef tnn_status (*scenario)(const tnn_allocator *a, tnn_error *err);

static tnn_status scenario_write(const tnn_allocator *a, tnn_error *err) {
    tnn_gguf *source = NULL;
    tnn_status status = tnn_gguf_open(&source, temp_path(&dir, "s-00001-of-00002.gguf"), NULL, err);
    if (status != TNN_OK) return status;
    status = write_sample(temp_path(&dir, "out.gguf"), source, a, NULL, err);
    tnn_gguf_close(source);
    return status;
}

static tnn_status open_with(const tnn_allocator *a, bool use_mmap, const char *name, tnn_error *err) {
    tnn_gguf_open_options options = {.allocator = a, .use_mmap = use_mmap};
    tnn_gguf *g;
    uint64_t sum = 0;
    tnn_status status = tnn_gguf_open(&g, temp_path(&dir, name), &options, err);
    if (status != TNN_OK) {
        assert_null(g);
        return status;
    }
    assert_true(walk_gguf(g, &sum));
    tnn_gguf_close(g);
    return TNN_OK;
}

static tnn_status scenario_map(const tnn_allocator *a, tnn_error *err) {
    return open_with(a, true, "sample.gguf", err);
}

static tnn_status scenario_read(const tnn_allocator *a, tnn_error *err) {
    return open_with(a, false, "sample.gguf", err);
}

static tnn_status scenario_split(const tnn_allocator *a, tnn_error *err) {
    return open_with(a, false, "s-00001-of-00002.gguf", err);
}

/* A file that is refused late, so that failures meet failures. */
static tnn_status scenario_refused(const tnn_allocator *a, tnn_error *err) {
    tnn_status status = open_with(a, true, "s-00002-of-00002.gguf", err);
    assert_int_not_equal(status, TNN_OK);
    return status == TNN_E_FORMAT ? TNN_OK : status;
}

static void write_split(void) {
    for (int no = 0; no < 2; no++) {
        char name[64], tensor[16];
        tnn_gguf_writer *w;
        tnn_error err;
        snprintf(name, sizeof name, "s-%05d-of-00002.gguf", no + 1);
        snprintf(tensor, sizeof tensor, "t%d", no);
        assert_int_equal(tnn_gguf_writer_new(&w, NULL, &err), TNN_OK);
        tnn_gguf_set_u32(w, "split.no", (uint32_t)no);
        tnn_gguf_set_u32(w, "split.count", 2);
        tnn_gguf_set_i32(w, "split.tensors.count", 2);
        tnn_gguf_set_str(w, "general.name", "split", 5);
        tnn_gguf_add_tensor(w, tensor, TNN_TYPE_F32, 1, (const int64_t[]){1});
        tnn_gguf_writer_begin(w, temp_path(&dir, name));
        tnn_gguf_write_data(w, big, 4);
        if (tnn_gguf_writer_finish(w, &err) != TNN_OK) fail_msg("%s", err.text);
        tnn_gguf_writer_free(w);
    }
}

static void fail_every_allocation(scenario run) {
    for (int from = 0; from <= 1; from++) {
        for (size_t n = 1;; n++) {
            counting_allocator counter = {.fail_at = n, .fail_from = from != 0};
            tnn_allocator a = counting_interface(&counter);
            tnn_error err = {0};
            tnn_status status = run(&a, &err);
            assert_int_equal(counter.live_blocks, 0);
            assert_int_equal(counter.live_bytes, 0);
            if (counter.requests < n) { /* nothing was refused any more */
                assert_int_equal(status, TNN_OK);
                assert_true(n > 3);
                break;
            }
            assert_int_equal(status, TNN_E_NOMEM);
            assert_int_equal(err.status, TNN_E_NOMEM);
            assert_non_null(strstr(err.text, "out of memory"));
        }
    }
}

static void test_every_allocation_fails(void **state) {
    (void)state;
    tnn_error err;
    temp_dir_empty(&dir);
    write_split();
    if (write_sample(temp_path(&dir, "sample.gguf"), NULL, NULL, NULL, &err) != TNN_OK) fail_msg("%s", err.text);
    fail_every_allocation(scenario_map);
    fail_every_allocation(scenario_read);
    fail_every_allocation(scenario_split);
    fail_every_allocation(scenario_refused);
    assert_int_equal(temp_dir_count(&dir), 3);
    fail_every_allocation(scenario_write);
    assert_int_equal(temp_dir_count(&dir), 4);
}

/* --- no disk --- */

typedef enum fault { FAULT_ENOSPC, FAULT_EIO, FAULT_EINTR, FAULT_SHORT, FAULT_COUNT } fault;

typedef struct faulty_disk {
    int calls;   /* of all kinds, so far */
    int fail_at; /* the call, from 1 on, that fails; 0 for none */
    fault kind;
    bool renamed;
} faulty_disk;

/* True if this call is the one to fail; errno is set. */
static bool fails(faulty_disk *d) {
    d->calls++;
    if (d->calls != d->fail_at || d->kind == FAULT_SHORT) return false;
    errno = d->kind == FAULT_ENOSPC ? ENOSPC : d->kind == FAULT_EIO ? EIO : EINTR;
    return true;
}

static int disk_open(void *ctx, const char *path, int flags, unsigned mode) {
    return fails(ctx) ? -1 : open(path, flags, (mode_t)mode);
}

static int64_t disk_write(void *ctx, int fd, const void *data, size_t n) {
    faulty_disk *d = ctx;
    if (fails(d)) return -1;
    bool cut = d->calls == d->fail_at && n > 1;
    return write(fd, data, cut ? n / 2 : n);
}

static int disk_fsync(void *ctx, int fd) {
    return fails(ctx) ? -1 : fsync(fd);
}

static int disk_close(void *ctx, int fd) {
    bool failed = fails(ctx);
    int saved = errno;
    int rc = close(fd); /* a failed close has closed all the same */
    if (failed) errno = saved;
    return failed ? -1 : rc;
}

static int disk_rename(void *ctx, const char *from, const char *to) {
    faulty_disk *d = ctx;
    if (fails(d)) return -1;
    d->renamed = true;
    return rename(from, to);
}

static int disk_unlink(void *ctx, const char *path) {
    (void)ctx; /* works: what is left behind by a failed unlink cannot be cleared away */
    return unlink(path);
}

static void put_old_file(void) {
    temp_dir_empty(&dir);
    FILE *f = fopen(temp_path(&dir, "out.gguf"), "wb");
    assert_non_null(f);
    fputs("old", f);
    fclose(f);
}

static bool is_old_file(const char *path) {
    char text[8] = "";
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    return n == 3 && strcmp(text, "old") == 0;
}

/* Fails each call of a save in turn; returns how many there were. */
static int fail_every_call(fault kind) {
    for (int n = 1;; n++) {
        put_old_file();
        faulty_disk disk = {.fail_at = n, .kind = kind};
        tnn__file_ops ops = {&disk, disk_open, disk_write, disk_fsync, disk_close, disk_rename, disk_unlink};
        counting_allocator counter = {0};
        tnn_allocator a = counting_interface(&counter);
        tnn_error err = {0};
        const char *path = temp_path(&dir, "out.gguf");
        tnn_status status = write_sample(path, NULL, &a, &ops, &err);
        assert_int_equal(counter.live_bytes, 0);
        assert_int_equal(temp_dir_count(&dir), 1);
        if (status == TNN_OK || disk.renamed) {
            assert_true(is_sample(path));
        } else {
            assert_true(is_old_file(path));
        }
        if (status != TNN_OK) {
            assert_int_equal(status, TNN_E_IO);
            assert_non_null(strstr(err.text, "out.gguf"));
        }
        if (status != TNN_OK && kind == FAULT_ENOSPC) assert_non_null(strstr(err.text, "bytes are needed"));
        if (disk.calls < n) {
            assert_int_equal(status, TNN_OK);
            return n - 1;
        }
    }
}

static void test_every_call_of_a_save_fails(void **state) {
    (void)state;
    for (size_t i = 0; i < BIG_BYTES; i++) {
        big[i] = (uint8_t)(i * 7 >> 2);
    }
    for (int kind = 0; kind < FAULT_COUNT; kind++) {
        /* Two opens, several writes, two syncs, two closes, a rename. */
        assert_true(fail_every_call((fault)kind) >= 10);
    }
}

/* The whole size is known before the first byte, and an ENOSPC says it. */
static void test_full_disk_says_what_is_needed(void **state) {
    (void)state;
    put_old_file();
    faulty_disk disk = {.fail_at = 4, .kind = FAULT_ENOSPC};
    tnn__file_ops ops = {&disk, disk_open, disk_write, disk_fsync, disk_close, disk_rename, disk_unlink};
    tnn_error err = {0};
    assert_int_equal(write_sample(temp_path(&dir, "full.gguf"), NULL, NULL, &ops, &err), TNN_E_IO);
    assert_int_equal(write_sample(temp_path(&dir, "whole.gguf"), NULL, NULL, NULL, NULL), TNN_OK);
    struct stat st;
    assert_int_equal(stat(temp_path(&dir, "whole.gguf"), &st), 0);
    char needed[64];
    snprintf(needed, sizeof needed, "%lld bytes are needed", (long long)st.st_size);
    if (!strstr(err.text, needed)) fail_msg("'%s' is not in: %s", needed, err.text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_fails),
        cmocka_unit_test(test_every_call_of_a_save_fails),
        cmocka_unit_test(test_full_disk_says_what_is_needed),
    };
    return cmocka_run_group_tests(tests, create_dir, remove_dir);
}
