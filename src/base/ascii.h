/* Names compared without regard to case, the same in every locale: a type is called iq4_nl in Turkey, too. */
#ifndef TNN_BASE_ASCII_H
#define TNN_BASE_ASCII_H

#include <stdbool.h>

static inline char tnn__ascii_upper(char c) {
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static inline bool tnn__same_name(const char *a, const char *b) {
    while (*a && tnn__ascii_upper(*a) == tnn__ascii_upper(*b)) {
        a++;
        b++;
    }
    return tnn__ascii_upper(*a) == tnn__ascii_upper(*b);
}

#endif
