/*
 * Real GGUF files, written by other tools: they open, everything in them can be visited, and a file written from them
 * holds the same. Looks at shared/vocab; any further files can be named on the command line.
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/gguf_walk.h"
#include "support/temp_dir.h"

static temp_dir dir;
static const char **paths;
static size_t n_paths;

static tnn_gguf *open_path(const char *path) {
    tnn_gguf *g;
    tnn_error err;
    if (tnn_gguf_open(&g, path, NULL, &err) != TNN_OK) fail_msg("%s", err.text);
    return g;
}

static void test_everything_can_be_visited(void **state) {
    (void)state;
    for (size_t i = 0; i < n_paths; i++) {
        tnn_gguf *g = open_path(paths[i]);
        uint64_t sum = 0;
        tnn_gguf_str architecture;
        assert_true(walk_gguf(g, &sum));
        assert_int_equal(tnn_gguf_get_str(g, "general.architecture", &architecture, NULL), TNN_OK);
        assert_true(architecture.size > 0);
        tnn_gguf_close(g);
    }
}

static void copy(const tnn_gguf *g, const char *path) {
    tnn_gguf_writer *w;
    tnn_error err;
    assert_int_equal(tnn_gguf_writer_new(&w, NULL, &err), TNN_OK);
    tnn_gguf_copy_kv(w, g, NULL, 0);
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, i);
        tnn_gguf_add_tensor(w, t->name.data, (tnn_type)t->type, t->n_dims, t->ne);
    }
    tnn_gguf_writer_begin(w, path);
    for (int64_t i = 0; i < tnn_gguf_n_tensors(g); i++) {
        const tnn_gguf_tensor *t = tnn_gguf_tensor_at(g, i);
        tnn_gguf_write_data(w, t->data, t->n_bytes);
    }
    if (tnn_gguf_writer_finish(w, &err) != TNN_OK) fail_msg("%s", err.text);
    tnn_gguf_writer_free(w);
}

static bool same_str(tnn_gguf_str a, tnn_gguf_str b) {
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static void expect_same_metadata(const tnn_gguf *a, const tnn_gguf *b) {
    assert_int_equal(tnn_gguf_n_kv(a), tnn_gguf_n_kv(b));
    for (int64_t i = 0; i < tnn_gguf_n_kv(a); i++) {
        assert_true(same_str(tnn_gguf_key(a, i), tnn_gguf_key(b, i)));
        assert_int_equal(tnn_gguf_kv_type(a, i), tnn_gguf_kv_type(b, i));
        assert_int_equal(tnn_gguf_array_type(a, i), tnn_gguf_array_type(b, i));
        assert_int_equal(tnn_gguf_array_count(a, i), tnn_gguf_array_count(b, i));
        uint64_t n = tnn_gguf_array_count(a, i);
        for (uint64_t e = 0; e < (n ? n : 1); e++) {
            int64_t x = 0, y = 0;
            double u = 0, v = 0;
            assert_true(same_str(tnn_gguf_array_str(a, i, e), tnn_gguf_array_str(b, i, e)));
            assert_int_equal(tnn_gguf_array_i64(a, i, e, &x), tnn_gguf_array_i64(b, i, e, &y));
            assert_int_equal(tnn_gguf_array_f64(a, i, e, &u), tnn_gguf_array_f64(b, i, e, &v));
            assert_true(x == y && memcmp(&u, &v, sizeof u) == 0);
        }
    }
}

static void expect_same_tensors(const tnn_gguf *a, const tnn_gguf *b) {
    assert_int_equal(tnn_gguf_n_tensors(a), tnn_gguf_n_tensors(b));
    for (int64_t i = 0; i < tnn_gguf_n_tensors(a); i++) {
        const tnn_gguf_tensor *s = tnn_gguf_tensor_at(a, i), *t = tnn_gguf_tensor_at(b, i);
        assert_true(same_str(s->name, t->name));
        assert_int_equal(s->type, t->type);
        assert_int_equal(s->n_dims, t->n_dims);
        assert_memory_equal(s->ne, t->ne, sizeof s->ne);
        assert_int_equal(s->n_bytes, t->n_bytes);
        assert_true(s->n_bytes == 0 || memcmp(s->data, t->data, s->n_bytes) == 0);
    }
}

static void test_a_copy_is_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < n_paths; i++) {
        tnn_gguf *g = open_path(paths[i]);
        copy(g, temp_path(&dir, "copy.gguf"));
        tnn_gguf *again = open_path(temp_path(&dir, "copy.gguf"));
        expect_same_metadata(g, again);
        expect_same_tensors(g, again);
        tnn_gguf_close(again);
        tnn_gguf_close(g);
    }
}

int main(int argc, char **argv) {
    glob_t found = {0};
    bool globbed = argc < 2 && glob(TNN_TEST_SHARED "/vocab/*.gguf", 0, NULL, &found) == 0;
    paths = (const char **)(argc > 1 ? argv + 1 : found.gl_pathv);
    n_paths = argc > 1 ? (size_t)argc - 1 : found.gl_pathc;
    if (n_paths == 0) {
        fprintf(stderr, "skipped: no GGUF files in %s/vocab; name some on the command line\n", TNN_TEST_SHARED);
        return 77;
    }
    temp_dir_create(&dir);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_can_be_visited),
        cmocka_unit_test(test_a_copy_is_the_same),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    temp_dir_remove(&dir);
    if (globbed) globfree(&found);
    return failed;
}
