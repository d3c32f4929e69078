# The manual page says what the command says; `tools/make-manual build/tnn > docs/tnn.1` brings it up to date.
command -v python3 >/dev/null || skip "python3 is not installed"

expect 0 "$TESTS/../tools/make-manual" "$TNN"
cmp -s out "$TESTS/../docs/tnn.1" || {
    diff out "$TESTS/../docs/tnn.1" | head -20 >&2 || :
    fail "docs/tnn.1 is out of date: tools/make-manual build/tnn > docs/tnn.1"
}
