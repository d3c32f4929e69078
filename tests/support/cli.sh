# Helpers for the cases in tests/cli. Each leaves stdout and stderr of the last command in the files `out` and `err`.

# The case cannot run here; say why.
skip() {
    echo "skipped: $*" >&2
    exit 77
}

fail() {
    echo "FAILED: $*" >&2
    echo "--- stdout" >&2
    head -c 4000 out >&2 || :
    echo "--- stderr" >&2
    head -c 4000 err >&2 || :
    exit 1
}

# expect STATUS COMMAND...: runs it and compares the exit status. Standard input is empty unless redirected.
expect() {
    want=$1
    shift
    got=0
    "$@" >out 2>err || got=$?
    [ "$got" -eq "$want" ] || fail "exit status $got, expected $want: $*"
}

# A failure is exit status 2 (bad usage or input) or 1, nothing on stdout, and one line that holds each TEXT:
#   expect_error STATUS 'TEXT' ... -- COMMAND...
expect_error() {
    want_status=$1
    shift
    texts=
    while [ "$1" != -- ]; do
        texts="$texts$1
"
        shift
    done
    shift
    expect "$want_status" "$@" </dev/null
    [ ! -s out ] || fail "an error leaves nothing on stdout: $*"
    [ "$(wc -l <err)" -eq 1 ] || fail "an error is one line: $*"
    printf '%s' "$texts" >texts
    while IFS= read -r text; do
        grep -qF -- "$text" err || fail "the error does not say '$text': $*"
    done <texts
}

# expect_out TEXT / expect_err TEXT: a fixed text stands in what the last command printed.
expect_out() {
    grep -qF -- "$1" out || fail "stdout does not have '$1'"
}

expect_err() {
    grep -qF -- "$1" err || fail "stderr does not have '$1'"
}

# expect_out_is TEXT: stdout is exactly this, a final newline aside.
expect_out_is() {
    [ "$(cat out)" = "$1" ] || fail "stdout is not '$1'"
}

# expect_json EXPRESSION: stdout is one JSON document d for which the Python expression holds.
expect_json() {
    command -v python3 >/dev/null || skip "python3 is not installed"
    python3 -c 'import json, sys
d = json.load(open("out", encoding="utf-8"))
sys.exit(0 if eval(sys.argv[1]) else 1)' "$1" 2>json_error || fail "not so: $1 $(tail -1 json_error)"
}
