/* Learning a tokenizer without memory: an error at every allocation, and no leak. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include <tinynn/bpe_trainer.h>

#include "support/counting_allocator.h"
#include "support/temp_dir.h"

static const char text[] = "low lower lowest new newer newest wide wider widest; the pairs repair the impaired pair.";

/* Everything from the options to the file. */
static tnn_status learn(const tnn_allocator *a, const char *path, tnn_error *err) {
    tnn_bpe_options options = tnn_bpe_options_default();
    tnn_bpe_trainer *t;
    options.chat = true;
    tnn_status status = tnn_bpe_trainer_new(&t, &options, a, err);
    if (status) return status;
    for (int i = 0; i < 20 && !status; i++)
        status = tnn_bpe_trainer_add(t, text + i, strlen(text + i), err);
    if (!status) status = tnn_bpe_trainer_run(t, err);
    if (!status) status = tnn_bpe_trainer_save(t, path, err);
    tnn_bpe_trainer_free(t);
    return status;
}

static void every_allocation_fails(void **state) {
    (void)state;
    temp_dir dir;
    temp_dir_create(&dir);
    for (int from = 0; from < 2; from++) {
        size_t n = 1;
        for (tnn_status status = TNN_E_NOMEM; status != TNN_OK; n++) {
            counting_allocator counter = {.fail_at = n, .fail_from = from};
            tnn_allocator a = counting_interface(&counter);
            tnn_error err = {.status = TNN_OK};
            status = learn(&a, temp_path(&dir, "bpe.gguf"), &err);
            assert_int_equal(counter.live_blocks, 0);
            assert_int_equal(counter.live_bytes, 0);
            assert_int_equal(status, counter.requests >= n ? TNN_E_NOMEM : TNN_OK);
            if (status) assert_int_equal(err.status, TNN_E_NOMEM);
            assert_int_equal(temp_dir_count(&dir), status ? 0 : 1);
        }
        assert_true(n > 20);
        temp_dir_empty(&dir);
    }
    temp_dir_remove(&dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
