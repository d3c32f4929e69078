/*
 * A program that has chosen a locale: numbers in settings and files are written with a point all the same, and names do
 * not depend on how a language makes capitals. The locales are made here, so that the machine need not have them.
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tinynn/quantize.h>
#include <tinynn/train.h>

#include "support/temp_dir.h"

static temp_dir dir;
static tnn_error err;

static void ok(tnn_status status) {
    if (status) fail_msg("%s", err.text);
}

static bool make_locale(const char *language) {
    char command[1200];
    snprintf(command, sizeof command, "localedef -i %s -f UTF-8 '%s/%s.UTF-8' 2>'%s/why'", language, dir.path, language,
             dir.path);
    return system(command) == 0;
}

static void choose(const char *name) {
    if (!setlocale(LC_ALL, name)) fail_msg("no locale %s", name);
}

static void test_settings(void **state) {
    (void)state;
    char text[16];
    choose("de_DE.UTF-8");
    snprintf(text, sizeof text, "%.1f", 0.5);
    assert_string_equal(text, "0,5"); /* the locale is the one that hurts */
    tnn_train_config c = tnn_train_config_default(TNN_RECIPE_SCRATCH);
    ok(tnn_train_config_set(&c, "learning_rate", "0.5", &err));
    assert_true(c.learning_rate == 0.5);
    assert_int_equal(tnn_train_config_set(&c, "learning_rate", "0,5", &err), TNN_E_ARG);
    snprintf(text, sizeof text, "%.1f", 0.5);
    assert_string_equal(text, "0,5"); /* and still the program's */
}

static void write_text(const char *path) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < 60; i++) {
        fprintf(f, "line %d of a text\n", i);
    }
    fclose(f);
}

static void has(const char *path, const char *fragment) {
    static char text[1 << 16];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    if (!strstr(text, fragment)) fail_msg("%s does not have %s", path, fragment);
}

/* Settings, events and report of a run, and the run opened again from them. */
static void test_run(void **state) {
    (void)state;
    char text[1024], out[1024], file[1100];
    tnn_session *s;
    tnn_run *r;
    choose("de_DE.UTF-8");
    snprintf(text, sizeof text, "%s/text", dir.path);
    snprintf(out, sizeof out, "%s/run", dir.path);
    write_text(text);
    tnn_train_config c = tnn_train_config_default(TNN_RECIPE_SCRATCH);
    c.text = text;
    c.tokenizer = "bytes";
    c.iters = 3;
    c.steps_per_report = 1;
    c.batch_size = 1;
    c.max_seq_length = 16;
    c.d_model = 16;
    c.n_layers = 1;
    c.n_heads = 2;
    c.d_ff = 16;
    c.learning_rate = 0.25;
    ok(tnn_session_new(&s, NULL, &err));
    ok(tnn_run_new(&r, s, &c, &err));
    ok(tnn_run_train(r, out, NULL, &err));
    tnn_run_free(r);
    snprintf(file, sizeof file, "%s/config.json", out);
    has(file, "\"learning_rate\": 0.25");
    snprintf(file, sizeof file, "%s/events.jsonl", out);
    has(file, "\"lr\":0.25");
    snprintf(file, sizeof file, "%s/report.html", out);
    has(file, "points=\"64.0,");
    ok(tnn_run_open(&r, s, out, &err));
    tnn_run_free(r);
    tnn_session_free(s);
}

static void test_capitals(void **state) {
    (void)state;
    choose("tr_TR.UTF-8");
    assert_int_equal(tnn_file_type_from_name("iq4_nl"), TNN_FILE_TYPE_IQ4_NL);
    assert_int_equal(tnn_type_from_name("iq4_nl"), TNN_TYPE_IQ4_NL);
}

static int remove_all(void **state) {
    char command[600];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir.path);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_capitals),
    };
    temp_dir_create(&dir);
    if (setenv("LOCPATH", dir.path, 1) || !make_locale("de_DE") || !make_locale("tr_TR")) {
        fprintf(stderr, "skipped: localedef makes no locales here (Debian: package locales)\n");
        remove_all(NULL);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, remove_all);
}
