/* Strict UTF-8 in both directions. */
#ifndef TNN_BASE_UTF8_H
#define TNN_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define TNN__REPLACEMENT 0xFFFDu /* stands for what is no character */

/*
 * Length in bytes (1 to 4) of the well-formed character at s, with its code point in *code. 0 if the n bytes are the
 * beginning of one (or n is 0), -1 if s[0] begins none. Overlong forms, surrogates and codes past U+10FFFF are
 * ill-formed (Unicode 15.1, table 3-7).
 */
int tnn__utf8_decode(const char *s, size_t n, uint32_t *code);
/*
 * Bytes at s, of n > 0, where no character begins, that one U+FFFD stands for: as many as a character could begin with,
 * or one (Unicode 15.1, section 3.9, "maximal subpart").
 */
size_t tnn__utf8_ill_formed(const char *s, size_t n);
/* Writes code, at most 0x10FFFF, and returns the length. */
int tnn__utf8_encode(uint32_t code, char out[4]);

#endif
