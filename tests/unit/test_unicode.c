/* Character classes at the edges of Unicode 15.1, and UTF-8 over every code point and every ill-formed kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "text/unicode.h"

static const struct {
    uint32_t code;
    unsigned classes;
} known[] = {
    {'a', TNN__LETTER},
    {'Z', TNN__LETTER},
    {'0', TNN__NUMBER},
    {'_', TNN__PUNCTUATION},
    {'~', TNN__SYMBOL},
    {'$', TNN__SYMBOL},
    {'`', TNN__SYMBOL},
    {0x00, 0},
    {0x08, 0},
    {0x09, TNN__SPACE},
    {0x0D, TNN__SPACE},
    {0x0E, 0},
    {0x1C, 0},
    {0x20, TNN__SPACE},
    {0x7F, 0},
    {0x85, TNN__SPACE},
    {0xA0, TNN__SPACE},
    {0xAA, TNN__LETTER},
    {0xAD, 0},
    {0xB2, TNN__NUMBER},
    {0xBD, TNN__NUMBER},
    {0x301, TNN__MARK},
    {0x200B, 0},
    {0x2028, TNN__SPACE},
    {0x3000, TNN__SPACE},
    {0x180E, 0},
    {0x1680, TNN__SPACE},
    {0xFEFF, 0},
    {0x2160, TNN__NUMBER},
    {0x3007, TNN__NUMBER},
    {0x4E00, TNN__LETTER},
    {0x9FFF, TNN__LETTER},
    {0xAC00, TNN__LETTER},
    {0xD7A3, TNN__LETTER},
    {0xD7A4, 0},
    {0xD800, 0},
    {0xE000, 0},
    {0x1F600, TNN__SYMBOL},
    {0x10FFFF, 0},
    /* new in 15.0 and 15.1 */
    {0x1DF25, TNN__LETTER},
    {0x2FFC, TNN__SYMBOL},
    {0x31EF, TNN__SYMBOL},
    {0x2EBF0, TNN__LETTER},
    {0x2EE5D, TNN__LETTER},
    /* not before 16.0 */
    {0x1C89, 0},
    {0x2EE5E, 0},
    {0x105C0, 0},
};

static void classes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (tnn__unicode_class(known[i].code) != known[i].classes) {
            fail_msg("U+%04X: expected %u, got %u", (unsigned)known[i].code, known[i].classes,
                     tnn__unicode_class(known[i].code));
        }
    }
}

/* How many code points have each class, by Unicode 15.1.0's DerivedGeneralCategory.txt and PropList.txt. */
static void class_sizes(void **state) {
    (void)state;
    size_t counts[6] = {0};
    for (uint32_t code = 0; code < 0x110000; code++) {
        for (int bit = 0; bit < 6; bit++)
            counts[bit] += tnn__unicode_class(code) >> bit & 1u;
    }
    static const size_t expected[6] = {136726, 1831, 842, 7775, 2450, 25}; /* L N P S M, White_Space */
    for (int bit = 0; bit < 6; bit++)
        assert_int_equal(counts[bit], expected[bit]);
}

static void every_code_point_round_trips(void **state) {
    (void)state;
    for (uint32_t code = 0; code < 0x110000; code++) {
        char text[4];
        uint32_t back = 0;
        int length = tnn__utf8_encode(code, text);
        assert_int_equal(length, code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4);
        int read = tnn__utf8_decode(text, (size_t)length, &back);
        if (code >= 0xD800 && code < 0xE000) {
            assert_int_equal(read, -1);
            continue;
        }
        assert_int_equal(read, length);
        assert_int_equal(back, code);
        for (int cut = 0; cut < length; cut++)
            assert_int_equal(tnn__utf8_decode(text, (size_t)cut, &back), 0);
    }
}

/* Every sequence of three bytes: well-formed exactly if encoding what was read gives the same bytes. */
static void every_three_bytes(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits < 1u << 24; bits++) {
        char text[3] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits}, again[4];
        uint32_t code = 0;
        int length = tnn__utf8_decode(text, 3, &code);
        if (length > 0) {
            assert_int_equal(tnn__utf8_encode(code, again), length);
            assert_memory_equal(text, again, length);
        } else if (length == 0) { /* the beginning of four */
            uint32_t lead = bits >> 16;
            assert_true(lead >= 0xF0 && lead <= 0xF4);
        }
    }
}

static void ill_formed(void **state) {
    (void)state;
    static const char *const texts[] = {"\x80",
                                        "\xBF",
                                        "\xC0\x80",
                                        "\xC1\xBF",
                                        "\xE0\x9F\xBF",
                                        "\xED\xA0\x80",
                                        "\xF0\x8F\xBF\xBF",
                                        "\xF4\x90\x80\x80",
                                        "\xF5\x80\x80\x80",
                                        "\xFF",
                                        "\xC3(",
                                        "\xE2\x82(",
                                        "\xF0\x9F\x98("};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint32_t code;
        assert_int_equal(tnn__utf8_decode(texts[i], strlen(texts[i]), &code), -1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes),
        cmocka_unit_test(class_sizes),
        cmocka_unit_test(every_code_point_round_trips),
        cmocka_unit_test(every_three_bytes),
        cmocka_unit_test(ill_formed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
