# The examples are programs people start from: they run, and they fail with one line.

expect 2 "$EXAMPLES/generate"
expect 1 "$EXAMPLES/generate" no-such.gguf "Hello"
[ "$(wc -l <err)" -eq 1 ] || fail "an error is one line"
expect_err "no-such.gguf"

# What the erase term of the delta rule is for: with it a stack recalls keys that were overwritten, without it not.
expect 0 "$EXAMPLES/recall"
awk '{ exit !($1 > 0.95) }' out || fail "the delta rule recalls $(cat out) of what was written"
expect 0 "$EXAMPLES/recall" --no-erase
awk '{ exit !($1 < 0.90) }' out || fail "without the erase term $(cat out) is recalled"

[ -n "$MODEL" ] || skip "no model to run; tools/get-model fetches one"
expect 0 "$EXAMPLES/generate" "$MODEL" "The capital of France is" 8
expect_out "tokens"
