/* Matching tap patterns. */
#include "llm/taps.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

#define STATE "gdn_state"

enum { NAME_SIZE = 64 };

static const char *full_name(int64_t layer, const char *name, char buf[NAME_SIZE]) {
    if (layer < 0) return name;
    snprintf(buf, NAME_SIZE, "blk.%" PRId64 ".%s", layer, name);
    return buf;
}

tnn_tensor *tnn__tap(tnn_graph *g, const char *patterns, int64_t layer, const char *name, tnn_tensor *t) {
    char buf[NAME_SIZE];
    if (!patterns) return t;
    name = full_name(layer, name, buf);
    return tnn__tap_matches(patterns, name) ? tnn_output(g, t, name) : t;
}

void tnn__tap_states(tnn_graph *g, const char *patterns, int64_t layer, tnn_tensor *y) {
    char buf[NAME_SIZE];
    const char *name = full_name(layer, STATE, buf);
    if (tnn__tap_matches(patterns, name)) tnn_output(g, tnn_gdn_state_norms(g, y), name);
}

bool tnn__tap_is_of_sequences(const char *name) {
    const char *last = strrchr(name, '.');
    return last && strcmp(last + 1, STATE) == 0;
}
