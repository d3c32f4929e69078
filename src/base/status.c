/* The fixed text of every status code. */
#include <tinynn/status.h>

const char *tnn_status_text(tnn_status status) {
    switch (status) {
#define X(name, value, text)                                                                                           \
    case TNN_##name:                                                                                                   \
        return text;
        TNN_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}
