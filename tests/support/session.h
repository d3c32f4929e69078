/* Sessions, and stores and graphs of one, opened or the test fails. */
#ifndef TNN_TEST_SESSION_H
#define TNN_TEST_SESSION_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <tinynn/session.h>
#include <tinynn/tensor.h>

static inline tnn_session *open_session(int n_threads) {
    tnn_session *s;
    tnn_error err;
    tnn_session_options o = tnn_session_options_default();
    o.n_threads = n_threads;
    if (tnn_session_new(&s, &o, &err)) fail_msg("%s", err.text);
    return s;
}

static inline void new_graph(tnn_session *s, tnn_store **st, tnn_graph **g) {
    assert_int_equal(tnn_store_new(st, s, NULL), TNN_OK);
    assert_int_equal(tnn_graph_new(g, s, NULL), TNN_OK);
}

#endif
