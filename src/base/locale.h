/*
 * Numbers in files are written as in C whatever locale the program has chosen: between begin and end, the calling
 * thread is in the "C" locale.
 */
#ifndef TNN_BASE_LOCALE_H
#define TNN_BASE_LOCALE_H

#include <locale.h>

typedef struct tnn__c_locale {
    locale_t own, before;
} tnn__c_locale;

static inline tnn__c_locale tnn__c_locale_begin(void) {
    tnn__c_locale c = {.own = newlocale(LC_ALL_MASK, "C", (locale_t)0)};
    if (c.own) c.before = uselocale(c.own);
    return c;
}

static inline void tnn__c_locale_end(tnn__c_locale c) {
    if (!c.own) return;
    uselocale(c.before);
    freelocale(c.own);
}

#endif
