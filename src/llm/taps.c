/* Matching tap patterns. */
#include "llm/taps.h"

#include <inttypes.h>
#include <stdio.h>

/* One pattern [p, end) against a whole name; linear in their product, no recursion. */
static bool glob(const char *p, const char *end, const char *name) {
    const char *star = NULL, *retry = NULL;
    while (*name) {
        if (p < end && *p == '*') {
            star = p++;
            retry = name;
        } else if (p < end && (*p == '?' || *p == *name)) {
            p++;
            name++;
        } else if (star) {
            p = star + 1;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (p < end && *p == '*') {
        p++;
    }
    return p == end;
}

bool tnn__tap_matches(const char *patterns, const char *name) {
    for (const char *p = patterns; p && *p;) {
        const char *end = p;
        while (*end && *end != ',') {
            end++;
        }
        if (glob(p, end, name)) return true;
        p = *end ? end + 1 : end;
    }
    return false;
}

tnn_tensor *tnn__tap(tnn_graph *g, const char *patterns, int64_t layer, const char *name, tnn_tensor *t) {
    char full[64];
    if (!patterns) return t;
    if (layer >= 0) {
        snprintf(full, sizeof full, "blk.%" PRId64 ".%s", layer, name);
        name = full;
    }
    return tnn__tap_matches(patterns, name) ? tnn_output(g, t, name) : t;
}
