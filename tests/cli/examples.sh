# The examples are programs people start from: they run, and they fail with one line.

expect 2 "$EXAMPLES/generate"
expect 1 "$EXAMPLES/generate" no-such.gguf "Hello"
[ "$(wc -l <err)" -eq 1 ] || fail "an error is one line"
expect_err "no-such.gguf"

[ -n "$MODEL" ] || skip "no model to run; tools/get-model fetches one"
expect 0 "$EXAMPLES/generate" "$MODEL" "The capital of France is" 8
expect_out "tokens"
