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

# A tokenizer and a model from text, which then learns rows in both ways and speaks.
text=$TESTS/golden/data/bpe-small.txt
expect 2 "$EXAMPLES/train_scratch"
expect 1 "$EXAMPLES/train_scratch" no-such.txt tokenizer.gguf run
[ "$(wc -l <err)" -eq 1 ] || fail "an error is one line"
expect_err "no-such.txt"
expect 0 "$EXAMPLES/train_scratch" "$text" tokenizer.gguf run 2
expect_out "step 2 of 2"

mkdir data
printf '{"text": "a text to learn"}\n{"text": "and another one"}\n' >data/train.jsonl
expect 2 "$EXAMPLES/train" tune run/model.gguf data tuned
expect 1 "$EXAMPLES/train" lora no-such.gguf data tuned
[ "$(wc -l <err)" -eq 1 ] || fail "an error is one line"
expect 0 "$EXAMPLES/train" lora run/model.gguf data lora 2
expect_out "lora/adapter.gguf"
expect 0 "$EXAMPLES/train" full run/model.gguf data full 2
expect 0 "$EXAMPLES/generate" full/model.gguf "a text" 4
expect_out "tokens"
expect 0 "$TNN" run run/model.gguf --lora lora/adapter.gguf -p "a text" -n 4

[ -n "$MODEL" ] || skip "no model to run; tools/get-model fetches one"
expect 0 "$EXAMPLES/generate" "$MODEL" "The capital of France is" 8
expect_out "tokens"
