#include "base/utf8.h"

/* Length of the sequence a lead byte promises and the range of its second byte; 0 for a byte that leads none. */
static int sequence_length(unsigned char lead, unsigned char *second_min, unsigned char *second_max) {
    *second_min = 0x80;
    *second_max = 0xBF;
    if (lead < 0x80) return 1;
    if (lead < 0xC2) return 0;
    if (lead < 0xE0) return 2;
    if (lead < 0xF0) {
        if (lead == 0xE0) *second_min = 0xA0;
        if (lead == 0xED) *second_max = 0x9F;
        return 3;
    }
    if (lead > 0xF4) return 0;
    if (lead == 0xF0) *second_min = 0x90;
    if (lead == 0xF4) *second_max = 0x8F;
    return 4;
}

int tnn__utf8_decode(const char *s, size_t n, uint32_t *code) {
    if (n == 0) return 0;
    unsigned char lead = (unsigned char)s[0], min, max;
    int length = sequence_length(lead, &min, &max);
    if (length == 0) return -1;
    if (length == 1) {
        *code = lead;
        return 1;
    }
    uint32_t value = lead & (0x7Fu >> length);
    for (int i = 1; i < length; i++) {
        if ((size_t)i == n) return 0;
        unsigned char c = (unsigned char)s[i];
        if (c < min || c > max) return -1;
        value = value << 6 | (c & 0x3Fu);
        min = 0x80;
        max = 0xBF;
    }
    *code = value;
    return length;
}

size_t tnn__utf8_ill_formed(const char *s, size_t n) {
    uint32_t code;
    size_t length = 1;
    while (length < n && tnn__utf8_decode(s, length + 1, &code) == 0)
        length++;
    return length;
}

int tnn__utf8_encode(uint32_t code, char out[4]) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    int length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--) {
        out[i] = (char)(0x80u | (code & 0x3Fu));
        code >>= 6;
    }
    out[0] = (char)(0xF00u >> length | code);
    return length;
}
