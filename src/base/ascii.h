/* Comparing names. */
#ifndef TNN_BASE_ASCII_H
#define TNN_BASE_ASCII_H

#include <stdbool.h>
#include <string.h>

static inline bool tnn__ends_with(const char *name, const char *end) {
    size_t n = strlen(name), k = strlen(end);
    return n >= k && strcmp(name + n - k, end) == 0;
}

static inline char tnn__ascii_upper(char c) {
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Without regard to case, the same in every locale: a type is called iq4_nl in Turkey, too. */
static inline bool tnn__same_name(const char *a, const char *b) {
    while (*a && tnn__ascii_upper(*a) == tnn__ascii_upper(*b)) {
        a++;
        b++;
    }
    return tnn__ascii_upper(*a) == tnn__ascii_upper(*b);
}

#endif
