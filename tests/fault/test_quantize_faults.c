/* Quantising a file without memory: each allocation fails once, and from then on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <tinynn/quantize.h>

#include "support/counting_allocator.h"
#include "support/model_shape.h"
#include "support/temp_dir.h"

static void test_every_allocation_fails(void **state) {
    (void)state;
    temp_dir dir;
    tnn_error err;
    tnn_gguf *g;
    temp_dir_create(&dir);
    if (write_model_shape(temp_path(&dir, "in.gguf"), &(model_shape){"llama", 3, 4, 1, 0, 256, false}, &err) != TNN_OK)
        fail_msg("%s", err.text);
    assert_int_equal(tnn_gguf_open(&g, temp_path(&dir, "in.gguf"), NULL, &err), TNN_OK);
    for (int from = 0; from <= 1; from++) {
        for (size_t n = 1;; n++) {
            counting_allocator counter = {.fail_at = n, .fail_from = from != 0};
            tnn_allocator a = counting_interface(&counter);
            tnn_quantize_options o = tnn_quantize_options_default();
            o.allocator = &a;
            o.n_threads = 2;
            tnn_status status = tnn_quantize_file(g, temp_path(&dir, "out.gguf"), TNN_FILE_TYPE_Q4_K_M, &o, NULL, &err);
            assert_int_equal(counter.live_blocks, 0);
            assert_int_equal(counter.live_bytes, 0);
            if (counter.requests < n) { /* nothing was refused any more */
                assert_int_equal(status, TNN_OK);
                assert_true(n > 5);
                break;
            }
            assert_int_equal(status, TNN_E_NOMEM);
            assert_int_equal(err.status, TNN_E_NOMEM);
            assert_int_equal(temp_dir_count(&dir), from == 0 ? 1 : 2);
        }
    }
    tnn_gguf_close(g);
    temp_dir_remove(&dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
