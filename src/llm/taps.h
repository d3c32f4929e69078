/* Taps: named stages of a forward that become outputs when a caller's pattern matches. */
#ifndef TNN_LLM_TAPS_H
#define TNN_LLM_TAPS_H

#include <stdbool.h>

#include <tinynn/ops.h>

/* Whether name matches one of the comma-separated patterns; `*` is any run of characters, `?` any one. NULL matches
 * nothing. */
bool tnn__tap_matches(const char *patterns, const char *name);

/* Marks t as an output under name if it is wanted; returns t. layer < 0: name stands alone, else "blk.<layer>.<name>".
 */
tnn_tensor *tnn__tap(tnn_graph *g, const char *patterns, int64_t layer, const char *name, tnn_tensor *t);

/* blk.<layer>.gdn_state, if it is wanted: norms of the states that y, a gated_delta_net, leaves. */
void tnn__tap_states(tnn_graph *g, const char *patterns, int64_t layer, tnn_tensor *y);

/* Whether the tap of this name has a row for each sequence of a batch, and not for each token. */
bool tnn__tap_is_of_sequences(const char *name);

#endif
